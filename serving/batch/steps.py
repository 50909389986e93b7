"""Idempotent steps that make the tables of one week: what a killed run had made whole is taken up."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import narwhals as nw
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from vouch.features.health import with_health
from vouch.features.instants import instant_text
from vouch.features.metrics.context import MetricContext
from vouch.features.vectors.build import vectors
from vouch.features.vectors.compared import without_early_comparisons
from vouch.features.vectors.short_windows import short_windows
from vouch.serving.batch.between_terms import customers_between_terms, with_terms
from vouch.serving.batch.histories import Histories
from vouch.serving.batch.lifetime_values import LifetimeValues
from vouch.serving.batch.named_lists import list_table, lists_of_metadata
from vouch.serving.batch.objectors import objectors_at, with_objectors, without_objectors
from vouch.serving.batch.profiles import profiles
from vouch.serving.batch.tables import envelope_table, profile_table, score_table
from vouch.serving.batch.tiers import tiers
from vouch.serving.monitoring import observed
from vouch.serving.monitoring.alerts import followed
from vouch.serving.monitoring.drift_and_outcomes import came_true_by_week, drift_of_week
from vouch.serving.monitoring.guards import WeekStats
from vouch.serving.monitoring.outcome_watch import watch_of_week
from vouch.serving.scoring import score_changes
from vouch.serving.scoring.score import score
from vouch.serving.scoring.spark import scored_on_workers
from vouch.serving.snapshots import movers
from vouch.serving.snapshots import schema as columns
from vouch.serving.snapshots.arrow_streams import sink_ordered, stored_batches
from vouch.serving.snapshots.read import record_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from vouch.features.asof import Tables
    from vouch.features.metrics.context import Settings
    from vouch.models.value.predictor import ValuePredictor
    from vouch.serving.scoring.score import Champion, Scored
    from vouch.serving.snapshots.files import Draft, Snapshot

OF_CUSTOMERS = ("scores", "customers", "vectors", "changes")
"""Tables with one row per customer, in one order; they are written together."""


@dataclass(frozen=True)
class WeekSteps:
    """The steps of one week, each done once: what a killed run had done is taken up."""

    home: Path
    draft: Draft
    as_of_us: int
    tables: Tables
    champions: Mapping[str, Champion]
    before: Snapshot | None
    progress: Callable[[str], None]
    settings: Settings
    value: ValuePredictor | None = None

    def run(self) -> tuple[dict[str, float], list[str]]:
        """Do all steps; return the seconds that each took, and those that a killed run had done."""
        draft, work = self.draft, self.draft.work
        steps: Mapping[str, tuple[list[Path], Callable[[], None]]] = {
            "vectors": ([work / "vectors.parquet"], self._vectors),
            "profiles": ([work / "profiles.parquet"], self._profiles),
            "scores": ([draft.folder / f"{name}.parquet" for name in OF_CUSTOMERS], self._scores),
            "movers": ([draft.folder / "movers.parquet"], self._movers),
            "metrics": ([draft.folder / f"{name}.parquet" for name in ("metrics", "lists")], self._metrics),
        }
        seconds, taken_up = {}, []
        for number, (name, (paths, make)) in enumerate(steps.items(), 1):
            self.progress(f"{instant_text(self.as_of_us)}: step {number} of {len(steps)}, {name}")
            start = time.perf_counter()
            if not draft.once(name, paths, make):
                taken_up.append(name)
            seconds[name] = round(time.perf_counter() - start, 2)
        return seconds, taken_up

    def _vectors(self) -> None:
        made = without_early_comparisons(vectors(self.tables, self.as_of_us), self.tables, self.as_of_us)
        made = with_objectors(made, self.tables, self.as_of_us, bool(self.objectors))
        sink_ordered(with_health(made, self.settings.health), self.draft.work / "vectors.parquet")

    @cached_property
    def objectors(self) -> frozenset[str]:
        """Who objects to being profiled: no vector, no score, no tier, and in no list."""
        return objectors_at(self.tables, self.as_of_us)

    def _profiles(self) -> None:
        sink_ordered(profiles(self.tables, self.as_of_us), self.draft.work / "profiles.parquet")

    def _scores(self) -> None:
        """Write what there is of each customer, batch by batch."""
        tier, past = tiers(self.tables, self.as_of_us, self.settings), Histories(self.tables, self.as_of_us)
        tier = {customer: name for customer, name in tier.items() if customer not in self.objectors}
        worth = LifetimeValues(self.tables, self.as_of_us, self.settings, self.value)
        between = customers_between_terms(self.tables, self.as_of_us)
        rows = stored_batches(self.draft.work / "vectors.parquet")
        people = stored_batches(self.draft.work / "profiles.parquet")
        schemas = {
            "scores": columns.scores_schema(self.as_of_us),
            "customers": columns.CUSTOMERS,
            "vectors": score_changes.stored_schema(),
            "changes": columns.changes_schema(self.as_of_us),
        }
        done = 0
        with ExitStack() as opened:
            writers = {name: opened.enter_context(self.draft.table(name, schema)) for name, schema in schemas.items()}
            for batch, profile, scored in zip(rows, people, self._scored(), strict=True):
                assert batch["customer_id"].equals(profile["customer_id"]), "both come from the same view of customers"
                is_out = pa.array(
                    [customer in self.objectors for customer in batch["customer_id"].to_pylist()], pa.bool_()
                )
                scored = with_terms(scored, batch["customer_id"], between)
                scored = {name: without_objectors(of, is_out) for name, of in scored.items()}
                made = {
                    "scores": score_table(
                        schemas["scores"],
                        batch,
                        self.as_of_us,
                        scored,
                        tier,
                        worth.of(batch["customer_id"], scored["churn"], is_out),
                    ),
                    "customers": profile_table(profile, batch, past, is_out),
                    "vectors": score_changes.stored_vectors(batch, schemas["vectors"]),
                    "changes": score_changes.change_table(batch, self.as_of_us, self.champions, scored, self.before),
                }
                for name, table in made.items():
                    writers[name].write_table(table)
                done += len(batch)
                self.progress(f"{instant_text(self.as_of_us)}: {done:,} customers scored")

    def _scored(self) -> Iterator[Mapping[str, Scored]]:
        """The columns of each model, batch by batch: from the workers of the cluster where there is one."""
        stored = self.draft.work / "vectors.parquet"
        if self.tables.engine == "spark":
            scratch = self.draft.work / "scored"
            yield from scored_on_workers(self.tables, self.home, self.champions, stored, scratch)
        else:
            for batch in stored_batches(stored):
                yield {name: score(champion, batch) for name, champion in self.champions.items()}

    def _movers(self) -> None:
        """Write who moved since the snapshot before."""
        listed = movers.state_columns()
        before = None if self.before is None else self.before.table("scores", listed)
        if before is not None and self.objectors:
            is_known = pa.compute.is_in(before["customer_id"], pa.array(sorted(self.objectors), pa.string()))
            before = before.filter(pa.compute.invert(is_known))
        table = movers.mover_table(self.draft.read("scores", listed), before, self.draft.read("changes"), self.as_of_us)
        with self.draft.table("movers", table.schema) as writer:
            writer.write_table(table)

    def _metrics(self) -> None:
        scores = nw.scan_parquet(str(self.draft.folder / "scores.parquet"), backend="polars", glob=False)
        record = record_of(self.home, self.as_of_us)
        context = MetricContext(self.tables, self.as_of_us, scores, self.settings, record)
        for name, made in (("metrics", envelope_table(context)), ("lists", list_table(context))):
            with self.draft.table(name, made.schema) as writer:
                writer.write_table(made)

    def seen(self) -> WeekStats:
        """What guards know of the week."""
        tables = observed.tables_at(self.tables, self.as_of_us)
        short = short_windows({name: of["cadence_days"] for name, of in tables.items() if of["cadence_days"]})
        return WeekStats(
            as_of_us=self.as_of_us,
            tables=tables,
            missing=observed.missing_shares(self.draft.work / "vectors.parquet", short),
            customers=self.draft.rows("scores"),
        )

    def fared(self, home: Path) -> dict[str, Any]:
        """How the models fare: drift, what came true, whether it is as was said, and what became of who was flagged."""
        folder = self.draft.folder
        states = self.draft.read("scores", ["customer_id", "churn_status", "churn_band", "advocate_tier"])
        return {
            "drift": drift_of_week(folder / "vectors.parquet", folder / "scores.parquet", self.champions),
            "came_true": came_true_by_week(home, self.tables, self.as_of_us),
            "watch": watch_of_week(home, self.tables, self.champions, self.as_of_us),
            "flagged": followed(home, self.tables, self.as_of_us, states.to_pandas()),
        }

    def facts(self) -> dict[str, Any]:
        """How many rows came out, and how many customers have which status."""
        names = {name: f"{name}_status" for name in columns.MODELS}
        statuses = self.draft.read("scores", list(names.values()))
        return {
            "rows_out": {name: self.draft.rows(name) for name in columns.MEANINGS},
            "lists": lists_of_metadata(pq.read_schema(self.draft.folder / "lists.parquet").metadata),
            "statuses": {name: observed.counts(statuses[column]) for name, column in names.items()},
            "opted_out": len(self.objectors),
        }
