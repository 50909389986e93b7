"""The weekly batch: from a company's tables to one published snapshot of scores, reasons, profiles and metrics.

A week is left alone once it is published, unless its inputs changed and a revision is asked for. Customers go through
in batches, so that memory does not grow with their number.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import narwhals as nw
import pyarrow as pa
import pyarrow.compute

from features.contract import DAY_US
from features.errors import SnapshotError, UsageError
from features.health import UNKNOWN, with_health
from features.measures import definition_fingerprint as measures_fingerprint
from features.measures import measure_by
from features.moment import SEGMENTS
from features.sources import open_tables, stage
from features.vectors import definition_fingerprint, vectors
from serving import changes as changing
from serving import columns, snapshot
from serving.instants import spoken
from serving.profiles import profiles
from serving.published import week_before
from serving.scoring import champions, score
from serving.streams import ordered_batches, scratch_folder, sweep
from serving.tiers import tiers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from features.asof import Frame, Tables
    from features.project import Project
    from features.sources import Staged
    from serving.scoring import Champion, Scored

FRESH_DAYS = 8
"""Data that end longer before the instant than a week and a day are called old."""
Outcome = Literal["published", "left_alone", "inputs_changed"]


@dataclass(frozen=True)
class Week:
    """What became of one week: the snapshot that stands now, and whether this run made it."""

    as_of_us: int
    revision: int
    outcome: Outcome
    folder: Path
    customers: int
    statuses: Mapping[str, Mapping[str, int]]
    warnings: Sequence[str] = ()

    def as_dict(self) -> dict[str, Any]:
        """For a scheduler to read."""
        return {
            "as_of": spoken(self.as_of_us),
            "revision": self.revision,
            "outcome": self.outcome,
            "folder": str(self.folder),
            "customers": self.customers,
            "statuses": {model: dict(counts) for model, counts in self.statuses.items()},
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True)
class Batch:
    """One run over one company's staged data."""

    home: Path
    staged: Staged
    tables: Tables
    champions: Mapping[str, Champion]
    now_us: int
    scratch: Path
    progress: Callable[[str], None] = field(default=lambda _: None)

    @property
    def inputs(self) -> str:
        """Digest of everything that decides the bytes of a snapshot, the instant apart."""
        hashes = [f"{name} {champion.content_hash}" for name, champion in sorted(self.champions.items())]
        parts = [self.staged.fingerprint, definition_fingerprint(), measures_fingerprint(), code_version(), *hashes]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def week(self, as_of_us: int, is_revision: bool) -> Week:
        """Publish one week, or leave it alone."""
        folder = snapshot.current_folder(self.home, as_of_us)
        if folder is None:
            return self._finished(as_of_us) or self._publish(as_of_us)
        try:
            standing = snapshot.open_revision(folder)
        except SnapshotError:
            if is_revision:
                return self._publish(as_of_us)
            raise
        if standing.manifest["inputs"] == self.inputs:
            return _told(standing, "left_alone")
        return self._publish(as_of_us) if is_revision else _told(standing, "inputs_changed")

    def _finished(self, as_of_us: int) -> Week | None:
        """Point to a revision that a killed run had written whole, from the same inputs."""
        parent = snapshot.pointer(self.home, as_of_us).parent
        for _, folder in sorted(snapshot.revisions(parent).items(), reverse=True):
            try:
                found = snapshot.open_revision(folder)
            except SnapshotError:  # damaged: the week is written anew, under the next number
                continue
            if found.manifest["inputs"] == self.inputs:
                snapshot.point_to(folder)
                return _told(found, "published")
        return None

    def _publish(self, as_of_us: int) -> Week:
        with snapshot.drafting(self.home, as_of_us) as draft:
            before = self._before(as_of_us)
            statuses = self._write_customers(draft, as_of_us, before)
            self.progress(f"{spoken(as_of_us)}: metrics")
            scores = nw.scan_parquet(str(draft.folder / "scores.parquet"), backend="polars")
            envelopes = envelope_table(self.tables, as_of_us, scores)
            with draft.table("metrics", envelopes.schema) as writer:
                writer.write_table(envelopes)
            manifest = self._manifest(as_of_us, statuses, len(envelopes)) | {"changes_since": _named(before)}
            self.progress(f"{spoken(as_of_us)}: publishing")
            return _told(draft.publish(manifest), "published")

    def _before(self, as_of_us: int) -> snapshot.Snapshot | None:
        """The snapshot of the week before, or None where there is none that can be read: that is no reason to stop."""
        try:
            return week_before(self.home, as_of_us)
        except SnapshotError:
            return None

    def _write_customers(
        self, draft: snapshot.Draft, as_of_us: int, before: snapshot.Snapshot | None
    ) -> dict[str, Counter[str]]:
        """Write scores and profiles, batch by batch; return how many customers have which status."""
        self.progress(f"{spoken(as_of_us)}: tiers")
        tier = tiers(self.tables, as_of_us)
        self.progress(f"{spoken(as_of_us)}: vectors")
        rows = ordered_batches(with_health(vectors(self.tables, as_of_us)), self.scratch / f"vectors-{as_of_us}")
        people = ordered_batches(profiles(self.tables, as_of_us), self.scratch / f"profiles-{as_of_us}")
        statuses: dict[str, Counter[str]] = {name: Counter() for name in columns.MODELS}
        schema, done, kept_schema, changes = (
            columns.scores(as_of_us),
            0,
            changing.kept_schema(),
            columns.changes(as_of_us),
        )
        with (
            draft.table("scores", schema) as scores,
            draft.table("customers", columns.CUSTOMERS) as customers,
            draft.table("vectors", kept_schema) as kept,
            draft.table("changes", changes) as moved,
        ):
            for batch, profile in zip(rows, people, strict=True):
                assert batch["customer_id"].equals(profile["customer_id"]), "both come from the same view of customers"
                scored = {name: score(champion, batch) for name, champion in self.champions.items()}
                scores.write_table(score_table(schema, batch, as_of_us, scored, tier))
                customers.write_table(profile_table(profile))
                kept.write_table(changing.kept(batch, kept_schema))
                moved.write_table(changing.change_table(batch, as_of_us, self.champions, scored, before))
                for name, of_model in scored.items():
                    statuses[name].update(of_model.status.to_pylist())
                done += len(batch)
                self.progress(f"{spoken(as_of_us)}: {done:,} customers scored")
        return statuses

    def _manifest(self, as_of_us: int, statuses: Mapping[str, Mapping[str, int]], metrics: int) -> dict[str, Any]:
        report = self.staged.report
        through_us = self._data_through_us(as_of_us)
        customers = sum(statuses[columns.MODELS[0]].values())
        return {
            "now": spoken(self.now_us),
            "data_through": None if through_us is None else spoken(through_us),
            "engine": self.tables.engine,
            "code_version": code_version(),
            "inputs": self.inputs,
            "input_fingerprint": self.staged.fingerprint,
            "definition_fingerprint": definition_fingerprint(),
            "metrics_fingerprint": measures_fingerprint(),
            "models": {name: _model_facts(champion) for name, champion in self.champions.items()},
            "columns": {name: sorted(held) for name, held in sorted(self.tables.columns.items())},
            "rows_in": {name: table["rows"] for name, table in report["tables"].items()},
            "quarantined": {name: table["quarantined"] for name, table in report["tables"].items()},
            "rows_out": {"scores": customers, "customers": customers, "metrics": metrics},
            "tables": columns.MEANINGS,
            "statuses": {name: dict(sorted(counts.items())) for name, counts in statuses.items()},
            "warnings": self._warnings(as_of_us),
        }

    def _data_through_us(self, as_of_us: int) -> int | None:
        """The newest own time of activity, as far as it is before the instant."""
        newest_us = self.staged.data_through_us
        return None if newest_us is None else min(newest_us, as_of_us)

    def _warnings(self, as_of_us: int) -> list[str]:
        through_us = self._data_through_us(as_of_us)
        found = [
            f"No champion of {name} has passed the gate: its scores are empty. Run `vouch train {name}`."
            for name, champion in self.champions.items()
            if champion.predictor is None
        ]
        if through_us is not None and as_of_us - through_us > FRESH_DAYS * DAY_US:
            found.append(f"The data end at {spoken(through_us)}, long before {spoken(as_of_us)}.")
        return found


def score_weeks(
    project: Project,
    instants: Sequence[int] | None,
    now_us: int,
    *,
    is_revision: bool = False,
    engine: str = "duckdb",
    progress: Callable[[str], None] = lambda _: None,
) -> list[Week]:
    """Publish one snapshot per instant (by default of the latest week that the data reach), under the lock.

    Raises Locked where another run is at work, UsageError for an instant after `now_us`, and what reading the data
    raises.
    """
    late = [instant for instant in instants or () if instant > now_us]
    if late:
        raise UsageError(f"{spoken(late[0])} lies after now ({spoken(now_us)})")
    with snapshot.lock(project.home, "score"):
        sweep(project.home, "score")
        return _score_under_lock(project, instants, now_us, is_revision, engine, progress)


def _score_under_lock(
    project: Project,
    instants: Sequence[int] | None,
    now_us: int,
    is_revision: bool,
    engine: str,
    progress: Callable[[str], None],
) -> list[Week]:
    with scratch_folder(project.home, "score") as scratch:
        progress("reading and checking the tables")
        staged = stage(project, now_us)
        tables = open_tables(staged, engine, memory_limit=project.memory_limit, threads=project.threads)
        found = champions(project.home, tables)
        batch = Batch(project.home, staged, tables, found, now_us, scratch, progress)
        return [batch.week(as_of_us, is_revision) for as_of_us in instants or [staged.default_as_of_us(now_us)]]


def score_table(
    schema: pa.Schema, batch: pa.Table, as_of_us: int, scored: Mapping[str, Scored], tier: Mapping[str, str]
) -> pa.Table:
    """Return one batch of `scores.parquet` from vectors with health, scores and tiers.

    Who has left has no health: a score over what is left of a customer would turn green.
    """
    rows, customers = len(batch), batch["customer_id"]
    found: dict[str, Any] = {"customer_id": customers, "as_of": columns.repeated(as_of_us, rows)}
    for name, of_model in scored.items():
        for part in ("status", "probability", "reasons", "base", "raw", "model"):
            found[f"{name}_{part}"] = getattr(of_model, part)
    found["churn_band"] = scored["churn"].band
    found["advocacy_score"] = pa.compute.multiply(scored["advocacy"].probability, 100.0)
    found["advocate_tier"] = pa.array([tier.get(customer, "none") for customer in customers.to_pylist()])
    has_left = pa.compute.equal(scored["churn"].status, "churned")
    found["health_score"] = pa.compute.if_else(has_left, None, batch["health_score"])
    found["health_band"] = pa.compute.if_else(has_left, UNKNOWN, batch["health_band"])
    found["clv_margin"] = pa.nulls(rows, pa.float64())
    return pa.table(found).select(schema.names).cast(schema)


def profile_table(profile: pa.Table) -> pa.Table:
    """Return one batch of `customers.parquet`."""
    asked_at = profile["last_asked_us"].cast(pa.timestamp("us", tz="UTC"))
    return profile.append_column("last_asked_at", asked_at).select(columns.CUSTOMERS.names).cast(columns.CUSTOMERS)


def envelope_table(tables: Tables, as_of_us: int, scores: Frame | None = None) -> pa.Table:
    """Return all metrics at an instant as `metrics.parquet` holds them: the company as a whole, then its segments.

    `scores` are those of the same snapshot, for the metrics that rest on a model.
    """
    rows = [envelope.as_dict() for envelope in measure_by(tables, as_of_us, (None, *SEGMENTS), scores=scores)]
    schema = columns.metrics(as_of_us)
    plain = schema.remove(schema.get_field_index("as_of"))
    table = pa.Table.from_pylist([{name: row[name] for name in plain.names} for row in rows], schema=plain)
    return table.append_column("as_of", columns.repeated(as_of_us, len(table))).select(schema.names).cast(schema)


def _named(found: snapshot.Snapshot | None) -> dict[str, Any] | None:
    return {"as_of": spoken(found.as_of_us), "revision": found.revision} if found else None


def code_version() -> str:
    """Version of this distribution."""
    return importlib.metadata.version("vouch")


def _model_facts(champion: Champion) -> dict[str, Any] | None:
    if champion.predictor is None:
        return None
    return {
        "content_hash": champion.content_hash,
        "kind": champion.predictor.kind,
        "target": champion.predictor.target,
    }


def _told(found: snapshot.Snapshot, outcome: Outcome) -> Week:
    return Week(
        as_of_us=found.as_of_us,
        revision=found.revision,
        outcome=outcome,
        folder=found.folder,
        customers=found.manifest["rows_out"]["scores"],
        statuses=found.manifest["statuses"],
        warnings=found.manifest["warnings"],
    )
