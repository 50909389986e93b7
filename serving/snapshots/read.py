"""Reading of published snapshots: batch by batch, as cells that are safe to show, and the snapshot before it."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vouch import models
from vouch.features.errors import DefinitionError, SnapshotError
from vouch.features.health import band_reason
from vouch.features.health.rules import HealthRules, health_rules, rules_of
from vouch.features.instants import WEEK_US, from_file_stamp
from vouch.features.metrics.context import Record
from vouch.features.shown import visible_text
from vouch.features.vectors.sentences import signed
from vouch.serving.snapshots.arrow_streams import BATCH_ROWS, rebatched
from vouch.serving.snapshots.files import published, read_snapshot
from vouch.serving.snapshots.schema import HEALTH_BOUNDS, nothing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from vouch.features.health import BandReason
    from vouch.serving.snapshots.files import Snapshot


RUNS = "runs"
"""Under the home: one file per run, with what it told; its name begins with the command and the moment."""


def record_of(home: Path, as_of_us: int) -> Record | None:
    """Return which weeks were published before an instant, and since when there are runs; None before the first."""
    weeks = [instant for instant in published(home) if instant < as_of_us]
    runs = [from_file_stamp(path.stem.removeprefix("score-")) for path in (home / RUNS).glob("score-*.json")]
    begins = [*weeks[:1], *(instant_us for instant_us in runs if instant_us is not None and instant_us < as_of_us)]
    return Record(min(begins), frozenset(weeks), partial(_named, home)) if begins else None


def _named(home: Path, week_us: int, customers: Collection[str]) -> dict[str, str]:
    """The family of the strongest reason for leaving that a published week named of each customer; see `Record`."""
    try:
        scores = read_snapshot(home, week_us, {"scores"}).table("scores", ["customer_id", "churn_reasons"])
    except SnapshotError:  # a damaged week names nothing
        return {}
    named = {}
    for row in scores.filter(pc.is_in(scores["customer_id"], pa.array(sorted(customers)))).to_pylist():
        reasons = [of for of in row["churn_reasons"] or () if of["contribution"] > 0]
        if reasons:
            named[row["customer_id"]] = str(max(reasons, key=lambda of: of["contribution"])["family"])
    return named


def health_rules_of(manifest: Mapping[str, Any]) -> HealthRules:
    """Return the rules of health that a week was made by: before it said so, those that come with vouch.

    Raises ConfigurationError where they are not sound.
    """
    rules = manifest.get("health")
    return health_rules() if rules is None else rules_of(rules["rules"], "the health rules of the week")


def horizon_of(manifest: Mapping[str, Any], model: str) -> int | None:
    """How many days ahead a week's probabilities look, by the target that its champion was trained on."""
    facts = (manifest.get("models") or {}).get(model) or {}
    try:
        return models.load(model).target_named(str(facts.get("target"))).horizon_days
    except DefinitionError:
        return None


def columns_of(snapshot: Snapshot, table: str) -> list[str]:
    """Return the columns of a table; raises SnapshotError where it is damaged."""
    path = snapshot.path(table)
    try:
        names: list[str] = pq.read_schema(path).names
    except (OSError, pa.ArrowException) as error:
        raise SnapshotError(f"{path} cannot be read. Score the week again with --revision.") from error
    return names


def batches(snapshot: Snapshot, table: str, columns: Sequence[str], size: int = BATCH_ROWS) -> Iterator[pa.Table]:
    """Give columns of a table, `size` rows at a time and at least once; raises SnapshotError where it is damaged."""
    path = snapshot.path(table)
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            present = [name for name in columns if name in file.schema_arrow.names]
            schema = pa.schema([file.schema_arrow.field(name) for name in present])
            parts = (batch.select(present) for batch in file.iter_batches(size, columns=present))
            for part in rebatched(parts, schema, size):
                yield pa.table({name: part[name] if name in present else nothing(name, len(part)) for name in columns})
    except (OSError, KeyError, pa.ArrowException) as error:
        raise SnapshotError(f"{path} cannot be read. Score the week again with --revision.") from error


def reasons_of(snapshot: Snapshot, model: str, rows: Collection[int]) -> dict[int, list[dict[str, Any]]]:
    """Return the reasons of some rows of `scores`, by their places; whose score has none has an empty list."""
    wanted, start = sorted(rows), 0
    reasons_by_row: dict[int, list[dict[str, Any]]] = {}
    for batch in batches(snapshot, "scores", [f"{model}_reasons"]):
        here = [row for row in wanted if start <= row < start + len(batch)]
        taken = batch.column(0).take(pa.array([row - start for row in here], pa.int64())).to_pylist()
        reasons_by_row.update((row, reasons or []) for row, reasons in zip(here, taken, strict=True))
        start += len(batch)
    return reasons_by_row


def band_reasons_of(snapshot: Snapshot, rows: Collection[int]) -> dict[int, BandReason | None]:
    """Return why the band of health of some rows of `scores` is not that of their score, by their places."""
    rules, wanted, start = health_rules_of(snapshot.manifest), sorted(rows), 0
    names = ["health_score", *HEALTH_BOUNDS, "health_band"]
    reasons: dict[int, BandReason | None] = {}
    both = zip(batches(snapshot, "scores", names), batches(snapshot, "customers", ["segment"]), strict=True)
    for scores, people in both:
        places = [row for row in wanted if start <= row < start + len(scores)]
        taken = pa.array([row - start for row in places], pa.int64())
        segments = people.column(0).take(taken).to_pylist()
        for place, segment, row in zip(places, segments, scores.take(taken).to_pylist(), strict=True):
            reasons[place] = band_reason(row, rules.of(segment))
        start += len(scores)
    return reasons


def in_words(reason: Mapping[str, Any]) -> str:
    """Return one reason as a sentence that says which way it moves the score.

    >>> in_words({"feature": "active_days_28d", "value": "3", "contribution": 0.5})
    'raises it: Used on 3 days in 4 weeks'
    """
    return visible_text(signed(reason))


def crm_link(template: str | None, customer_id: str) -> str | None:
    """Return the address of a customer in the CRM; None for what is no web address.

    >>> crm_link("https://crm.example/c/{customer_id}", "a b"), crm_link("javascript:alert(1)", "a")
    ('https://crm.example/c/a%20b', None)
    """
    if template is None or not template.startswith(("https://", "http://")):
        return None
    return template.replace("{customer_id}", quote(customer_id, safe=""))


def weeks_up_to(home: Path, as_of_us: int, limit: int, tables: Collection[str]) -> list[Snapshot]:
    """Return the newest published snapshots up to an instant that can be read, at most `limit`, the newest last."""
    weeks: list[Snapshot] = []
    for instant in [instant for instant in published(home) if instant <= as_of_us][-limit:]:
        with suppress(SnapshotError):  # a trend has a gap there
            weeks.append(read_snapshot(home, instant, tables))
    return weeks


def week_before(home: Path, as_of_us: int, tables: Collection[str] | None = None) -> Snapshot | None:
    """Return the published snapshot of a week before, or of the nearest instant before that there is; None without.

    `tables` names those that will be read, where that is not all. Raises SnapshotError where that one is damaged.
    """
    instant = instant_before(published(home), as_of_us)
    return None if instant is None else read_snapshot(home, instant, tables)


def instant_before(instants: Iterable[int], as_of_us: int) -> int | None:
    """Return which of some instants, in order, is that of the week before; None without an earlier one.

    A snapshot between two weeks is compared with a week, and is no week before itself where there is one.
    """
    earlier = [instant for instant in instants if instant < as_of_us]
    older = [instant for instant in earlier if instant <= as_of_us - WEEK_US]
    return next(reversed(older or earlier), None)


def at_or_before(home: Path, instant_us: int) -> Snapshot:
    """Return the newest published snapshot that is no later than an instant; raises SnapshotError without one."""
    earlier = [instant for instant in published(home) if instant <= instant_us]
    return read_snapshot(home, earlier[-1] if earlier else instant_us)
