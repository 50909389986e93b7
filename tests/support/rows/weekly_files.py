"""Weekly event files of a small company, with all that may be wrong or late in them."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from support.rows.table_files import NOW_US, row, write_csv
from vouch.features.ingest.stage import stage
from vouch.features.project import Project

START = datetime(2025, 9, 1, 5, tzinfo=UTC)


def events(seed, weeks=4, each=12):
    """Weeks of events with keys that return: late, corrected, withdrawn, repeated, broken, and without a customer."""
    draw = random.Random(seed)
    found = []
    for week in range(weeks):
        rows = []
        for number in range(each):
            at = START + timedelta(days=7 * week - draw.choice((0, 0, 0, 3, 9)), hours=draw.randint(0, 90))
            told = at + timedelta(days=draw.choice((0, 0, 0, 2, 12)), seconds=draw.randint(0, 2))
            returning = draw.random() < 0.4
            rows.append(
                row(
                    "usage_events",
                    event_id=draw.choice(("", f"e{draw.randint(0, 9)}")) if returning else f"w{week}n{number}",
                    customer_id=draw.choice(("c1", "c2", "nobody", "")) if draw.random() < 0.2 else "c1",
                    occurred_at="soon" if draw.random() < 0.05 else at.isoformat(),
                    ingested_at=told.isoformat(),
                    value=draw.choice(("1", "2.5", "many", "")),
                    feature=draw.choice(("a", "b", "")),
                    channel=draw.choice(("web", "community", "")),
                    is_deleted=draw.choice(("false", "false", "true")),
                )
            )
        found.append([*rows, rows[-1]] if week % 2 else rows)
    found[-1].append(found[0][3])
    return found


def handed_over(folder, weeks):
    """Customers, and events in one file per week, as CSV."""
    people = [row("customers"), row("customers", customer_id="c2", created_at="2025-09-20")]
    write_csv(folder, {"customers": people})
    parts = folder / "usage_events"
    parts.mkdir(exist_ok=True)
    for number, rows in enumerate(weeks):
        write_csv(parts, {f"part-{number}": rows})
    return folder


def staged(folder, home, now_us=NOW_US):
    return stage(Project(home=home, location=str(folder)), now_us)
