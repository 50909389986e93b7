"""Plain event logs of any size: customers and their usage events, written to Parquet in the columns of the contract.

Customers differ in how often they come; who comes does several things in one visit. A part of the rows becomes known
late, a few are corrected or withdrawn. One part file per week of ingestion, as a company's own export would have it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl

DAY_US = 86_400_000_000
WEEK_US = 7 * DAY_US
START_US = 1_704_067_200_000_000  # Monday, 1 January 2024
EVENTS = ("view", "open", "edit", "share", "export", "search", "comment", "login")
CHANNELS = ("web", "app", "api", "email", "community")
CHANNEL_SHARES = (0.5, 0.3, 0.1, 0.08, 0.02)
LATE, CORRECTED, WITHDRAWN = 0.02, 0.004, 0.001
VISIT = 5.0
"""Mean events of one customer on a day with any."""


def write_logs(folder: Path, customers: int, events: int, weeks: int = 78, visit: float = VISIT, seed: int = 0) -> Path:
    """Write `customers.parquet` and `usage_events/week-NNN.parquet`; what stands there from the same call is kept."""
    facts = json.dumps([customers, events, weeks, visit, seed])
    if (folder / "_made.json").exists() and (folder / "_made.json").read_text() == facts:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "usage_events").mkdir(parents=True)
    draw = np.random.default_rng(seed)
    _customers(draw, customers).write_parquet(folder / "customers.parquet")
    weights = draw.gamma(0.7, size=customers) + 0.02
    late = pl.DataFrame()
    for week in range(weeks):
        made = _week(draw, week, weights / weights.sum(), events // weeks, visit)
        there = pl.concat([late, made]) if len(late) else made
        until = START_US + (week + 1) * WEEK_US
        known = pl.coalesce("ingested_at", "occurred_at") < until
        (late, there) = there.filter(~known), there.filter(known)
        if week == weeks - 1:
            there = pl.concat([there, late])
        times = pl.col("occurred_at", "ingested_at").cast(pl.Datetime("us", "UTC"))
        there.with_columns(times).write_parquet(folder / "usage_events" / f"week-{week:03}.parquet")
    (folder / "_made.json").write_text(facts)
    return folder


def end_us(weeks: int = 78) -> int:
    """The Monday after the last week."""
    return START_US + weeks * WEEK_US


def _customers(draw: np.random.Generator, customers: int) -> pl.DataFrame:
    created = START_US - draw.integers(0, 400 * DAY_US, customers)
    return pl.DataFrame(
        {
            "customer_id": [f"c{number:08}" for number in range(customers)],
            "created_at": pl.Series(created).cast(pl.Datetime("us", "UTC")),
            "segment": draw.choice(["small", "middle", "large"], customers),
        }
    )


def _week(draw: np.random.Generator, week: int, weights: np.ndarray, events: int, visit: float) -> pl.DataFrame:
    visits = max(int(events / visit), 1)
    who = draw.choice(len(weights), visits, p=weights)
    begins = START_US + week * WEEK_US + draw.integers(0, 7, visits) * DAY_US + draw.integers(0, 80_000_000_000, visits)
    sizes = draw.geometric(1 / visit, visits)
    customer, begin = np.repeat(who, sizes), np.repeat(begins, sizes)
    rows = len(customer)
    at = begin + draw.integers(0, 3_600_000_000, rows)
    frame = pl.DataFrame(
        {
            "event_id": pl.Series(np.arange(rows) + week * 100_000_000).cast(pl.String),
            "customer_id": "c" + pl.Series(customer).cast(pl.String).str.zfill(8),
            "occurred_at": at,
            "event": pl.Series(draw.integers(0, len(EVENTS), rows)).replace_strict(dict(enumerate(EVENTS))),
            "feature": "f" + pl.Series(np.minimum(draw.geometric(0.12, rows), 40)).cast(pl.String),
            "channel": pl.Series(draw.choice(len(CHANNELS), rows, p=CHANNEL_SHARES)).replace_strict(
                dict(enumerate(CHANNELS))
            ),
            "value": np.round(draw.exponential(20.0, rows), 2),
            "user_id": "u" + pl.Series(customer * 5 + draw.integers(0, 5, rows)).cast(pl.String),
        }
    )
    delay = np.where(draw.random(rows) < LATE, draw.integers(1, 28 * DAY_US, rows), 0)
    frame = frame.with_columns(ingested_at=pl.Series(at + delay), is_deleted=pl.lit(False))
    return pl.concat([frame, *_versions(draw, frame)])


def _versions(draw: np.random.Generator, frame: pl.DataFrame) -> list[pl.DataFrame]:
    """Corrections of a value, and withdrawals, known up to four weeks after the row."""
    found = []
    for share, is_deleted in ((CORRECTED, False), (WITHDRAWN, True)):
        of = frame.sample(fraction=share, seed=int(draw.integers(1 << 30)))
        delay = pl.Series(draw.integers(1, 28 * DAY_US, len(of)))
        changed = (pl.col("ingested_at") + delay, pl.col("value") + 1.0, pl.lit(is_deleted).alias("is_deleted"))
        found.append(of.with_columns(*changed))
    return found
