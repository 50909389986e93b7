"""Announcing: what happened since as messages of the outbox, and what each of them says when it is sent.

A week that was published or refused, and a job that failed, is told to every destination that wants to know; an owner's
digest says who of one's customers is newly at risk and who newly speaks up. Customers are read when a message is sent,
so that who was erased or objects by then is in none.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from vouch.features.errors import SnapshotError
from vouch.features.instants import as_datetime, instant_text, iso_text, parse_instant
from vouch.features.shown import visible_text
from vouch.serving.batch.run_records import last_of_each
from vouch.serving.snapshots.files import published, read_snapshot
from vouch.serving.snapshots.movers import NEW_ADVOCATE, NEW_HIGH
from vouch.serving.store.actions import objectors
from vouch.serving.store.outbox import DIGEST, Message

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from vouch.serving.reach.messages.settings import Channel
    from vouch.serving.snapshots.files import Snapshot
    from vouch.serving.store.connection import Database

PUBLISHED, REFUSED, FAILED = "week.published", "week.refused", "run.failed"
SELF = "notify"
"""The job that tells of the others; that it failed is told by what waits in the outbox."""
LISTED = {NEW_HIGH: "newly_at_risk", NEW_ADVOCATE: "new_advocates"}
"""Lists of movers that a digest tells, by the name that it has there."""
MOST_LISTED = 100
PERSON, MOVED = ("name", "mrr", "crm_url"), ("probability", "probability_before")
Happened = tuple[str, int, int | None, str | None, dict[str, Any]]
"""What kind of thing, the instant and revision that it is about, whose it is, and its figures."""


def messages(home: Path, database: Database, channels: Mapping[str, Channel]) -> list[Message]:
    """Return all that the newest week and the last run have to tell, whether it was told or not."""
    happened: list[Happened] = [*_of_runs(home)]
    instants = published(home)
    if instants:
        week = read_snapshot(home, instants[-1], [])
        happened.append((PUBLISHED, week.as_of_us, week.revision, None, _figures(week)))
        for owner, moved in changes_by_owner(home, database, week.as_of_us).items():
            counts = {name: len(rows) for name, rows in moved.items()}
            happened.append((DIGEST, week.as_of_us, week.revision, owner, counts))
    return [
        Message(name, kind, as_of_us, revision, owner, figures)
        for name, channel in channels.items()
        for kind, as_of_us, revision, owner, figures in happened
        if channel.wants(kind, owner)
    ]


def _of_runs(home: Path) -> Iterator[Happened]:
    """The last run of the batch, where it was refused, and that of every job, where it failed."""
    for command, (last, _) in sorted(last_of_each(home).items()):
        error = last.get("error") or {}
        figures = {"run": last["now"], "code": error.get("code"), "message": error.get("message")}
        if last["outcome"] == "refused" and command == "score":
            yield REFUSED, parse_instant(last["now"]), None, None, figures
        elif last["outcome"] == "failed" and command != SELF:
            yield FAILED, parse_instant(last["now"]), None, None, {"command": command, **figures}


def _figures(week: Snapshot) -> dict[str, Any]:
    manifest = week.manifest
    return {
        "customers": (manifest.get("rows_out") or {}).get("scores"),
        "statuses": manifest.get("statuses") or {},
        "warnings": len(manifest.get("warnings") or ()),
        "data_through": manifest.get("data_through"),
    }


def changes_by_owner(home: Path, database: Database, as_of_us: int) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Return of each owner the customers who are newly at risk and who newly speak up, the largest movement first."""
    week = read_snapshot(home, as_of_us, [])
    if "movers.parquet" not in week.manifest["files"]:
        return {}
    rows = _movers(home, as_of_us, week.revision, *sorted(week.manifest["files"].items()))
    with database.reading() as connection:
        out = objectors(connection)
    by_owner: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for owner, name, row in rows:
        if row["customer_id"] not in out:
            by_owner.setdefault(owner, {name: [] for name in LISTED.values()})[name].append(row)
    return {owner: {name: rows[:MOST_LISTED] for name, rows in lists.items()} for owner, lists in by_owner.items()}


@lru_cache(maxsize=1)
def _movers(home: Path, as_of_us: int, *_: object) -> list[tuple[str, str, dict[str, Any]]]:
    """Who of whom moved, by owner and list, the largest movement first; read again once a file of the week is another.

    A round tells hundreds of owners, and reads the week once.
    """
    week = read_snapshot(home, as_of_us, ["movers", "customers"])
    movers = week.table("movers", ["customer_id", "list", "rank", *MOVED])
    movers = movers.filter(pc.is_in(movers["list"], pa.array(list(LISTED)))).sort_by([("rank", "ascending")])
    people = week.table("customers", ["customer_id", "owner", *PERSON])
    people = people.filter(pc.is_in(people["customer_id"], movers["customer_id"].combine_chunks()))
    named = {row["customer_id"]: row for row in people.to_pylist()}
    moved = []
    for row in movers.to_pylist():
        person = named.get(row["customer_id"])
        if person is not None and person["owner"]:
            profile = {"customer_id": row["customer_id"], **{name: person[name] for name in PERSON}}
            moved.append((person["owner"], LISTED[row["list"]], {**profile, **{name: row[name] for name in MOVED}}))
    return moved


def what_it_says(home: Path, database: Database, message: Message) -> dict[str, Any] | None:
    """Return what a message says, as of now; None where there is nothing to say of it any more."""
    data: dict[str, Any] = {"as_of": instant_text(message.as_of_us), "revision": message.revision, **message.figures}
    if message.kind == DIGEST:
        try:
            digest = changes_by_owner(home, database, message.as_of_us).get(message.owner or "")
        except SnapshotError:  # the week is no longer kept
            digest = None
        if digest is None:
            return None
        data = {**data, "owner": message.owner, **digest}
    return {"type": message.kind, "timestamp": iso_text(as_datetime(message.as_of_us)), "data": data}


def sentences(content: Mapping[str, Any]) -> tuple[str, str]:
    """Return a message as a title and plain lines, for people; a name is one line, whatever stands in it."""
    data = content["data"]
    if content["type"] == PUBLISHED:
        lines = [f"{data['customers']:,} customers, data through {data['data_through']}, {data['warnings']} warnings"]
        for model, counts in data["statuses"].items():
            lines.append(f"{model}: " + ", ".join(f"{name} {number:,}" for name, number in counts.items()))
        return f"The week as of {data['as_of']} is published", "\n".join(lines)
    if content["type"] == REFUSED:
        return f"The run of {data['run']} was refused", f"{data['message']}\nThe week before goes on being served."
    if content["type"] == FAILED:
        return f"vouch {data['command']} of {data['run']} failed", f"{data['code']}: {data['message']}"
    lines = []
    for name, title in (("newly_at_risk", "Newly at risk"), ("new_advocates", "New advocates")):
        lines += [f"{title}: {len(data[name])}"] if data[name] else []
        lines += [f"- {visible_text(row['name'] or row['customer_id'])}" for row in data[name]]
    return f"What changed for {visible_text(data['owner'])} as of {data['as_of']}", "\n".join(lines)
