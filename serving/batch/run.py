"""The weekly batch: from a company's tables to one published snapshot of scores, reasons, profiles and metrics.

A week is left alone once it is published, unless its inputs changed and a revision is asked for. Guards look before
anything is published. What a killed run had done is taken up. Customers go through in batches, so that memory does not
grow with their number.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from vouch import models
from vouch.features.errors import SnapshotError, UsageError
from vouch.features.ingest.stage import AUTO, opened, stage
from vouch.features.instants import instant_text
from vouch.features.metrics.context import NO_SETTINGS, Settings
from vouch.features.metrics.evaluate import definition_fingerprint as measures_fingerprint
from vouch.features.project import version
from vouch.features.vectors.fingerprints import combined, feature_fingerprints
from vouch.models.quality.monitoring import has_learned_later
from vouch.models.quality.readiness import readiness
from vouch.models.registry.bundles import load_value_champion
from vouch.models.registry.offsets import offsets
from vouch.serving.batch.outcome import WeekOutcome, WeekPlan
from vouch.serving.batch.steps import WeekSteps
from vouch.serving.metric_queries import settings
from vouch.serving.monitoring import guards
from vouch.serving.monitoring.outcome_watch import answer_alarms, watch_warnings
from vouch.serving.scoring.score import champions
from vouch.serving.snapshots import files, schema
from vouch.serving.snapshots.arrow_streams import sweep, writing
from vouch.serving.snapshots.difference import WEEK_BEFORE, changed_inputs, difference, is_stale
from vouch.serving.snapshots.read import week_before

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from vouch.features.asof import Tables
    from vouch.features.ingest.stage import Staged
    from vouch.features.model_settings import ModelSettings
    from vouch.features.project import Project
    from vouch.models.predictor import Predictor
    from vouch.models.value.predictor import ValuePredictor
    from vouch.serving.batch.outcome import Outcome
    from vouch.serving.monitoring.guards import GuardFinding, WeekStats
    from vouch.serving.scoring.score import Champion
    from vouch.serving.snapshots.files import Snapshot


@dataclass(frozen=True)
class Batch:
    """One run over one company's staged data. `despite` is why hard limits of the guards do not count, if so."""

    home: Path
    staged: Staged
    tables: Tables
    champions: Mapping[str, Champion]
    now_us: int
    despite: str | None = None
    progress: Callable[[str], None] = field(default=lambda _: None)
    settings: Settings = NO_SETTINGS
    value: ValuePredictor | None = None
    model_settings: Mapping[str, ModelSettings] = field(default_factory=dict)

    @property
    def inputs(self) -> str:
        """Digest of everything that decides the bytes of a snapshot, the instant apart."""
        hashes = [
            f"{name} {champion.content_hash}" + (f" {champion.offset}" if champion.offset else "")
            for name, champion in sorted(self.champions.items())
        ]
        if self.value is not None:
            hashes.append(f"{self.value.name} {self.value.content_hash}")
        parts = [
            self.staged.fingerprint,
            combined(feature_fingerprints()),
            measures_fingerprint(self.settings),
            version(),
            *hashes,
        ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def at(self, as_of_us: int) -> Batch:
        """The same with the offsets of the champions that hold in a week."""
        return replace(self, champions={name: champion.at(as_of_us) for name, champion in self.champions.items()})

    def plan(self, as_of_us: int, is_revision: bool) -> WeekPlan:
        """Say what is to be done about one week; raises SnapshotError where it is damaged, and no revision is asked."""
        folder = files.current_folder(self.home, as_of_us)
        if folder is None:
            if (whole := self._finished(as_of_us)) is not None:
                return WeekPlan(as_of_us, "take_up", "a run that was interrupted had written it whole", whole)
            return WeekPlan(as_of_us, "publish", "it is not published yet")
        try:
            standing = files.open_revision(folder)
        except SnapshotError as error:
            if is_revision:
                return WeekPlan(as_of_us, "revise", f"the published one is damaged: {error}")
            raise
        if standing.manifest["inputs"] == self.inputs:
            before = week_before(self.home, as_of_us, [])
            if before is None or not is_stale(standing, before):
                return WeekPlan(as_of_us, "leave_alone", "it is published from these inputs", standing)
            if is_revision:
                return WeekPlan(as_of_us, "revise", f"changed: {WEEK_BEFORE}", standing)
            return WeekPlan(
                as_of_us, "leave_alone", f"changed is only {WEEK_BEFORE}; --revision tells what moved", standing
            )
        because = ", ".join(changed_inputs(standing.manifest, self._facts())) or "what it was made from"
        if is_revision:
            return WeekPlan(as_of_us, "revise", f"changed: {because}", standing)
        return WeekPlan(as_of_us, "inputs_changed", f"changed: {because}; --revision publishes them beside", standing)

    def week(self, plan: WeekPlan) -> WeekOutcome:
        """Do what is planned about one week."""
        if plan.action in ("publish", "revise"):
            return self._publish(plan.as_of_us, plan.standing)
        assert plan.standing is not None, "all that is not made anew is there"
        if plan.action == "take_up":
            files.point_to(plan.standing.folder)
            return _week_outcome(plan.standing, "published")
        if plan.action == "leave_alone":
            return _week_outcome(plan.standing, "left_alone")
        return _week_outcome(
            plan.standing, "inputs_changed", because=changed_inputs(plan.standing.manifest, self._facts())
        )

    def _finished(self, as_of_us: int) -> Snapshot | None:
        """A revision that a killed run had written whole, from the same inputs, and not pointed to."""
        parent = files.pointer(self.home, as_of_us).parent
        for _, folder in sorted(files.revisions(parent).items(), reverse=True):
            try:
                snapshot = files.open_revision(folder)
            except SnapshotError:  # damaged: the week is written anew, under the next number
                continue
            if snapshot.manifest["inputs"] == self.inputs:
                return snapshot
        return None

    def _publish(self, as_of_us: int, standing: Snapshot | None) -> WeekOutcome:
        """Make the tables step by step, let the guards look, and publish, or refuse to."""
        before = self._before(as_of_us)
        origin = f"{self.inputs} {before.manifest['inputs'] if before else None}"
        with files.drafting(self.home, as_of_us, hashlib.sha256(origin.encode()).hexdigest()) as draft:
            work = WeekSteps(
                self.home, draft, as_of_us, self.tables, self.champions, before, self.progress, self.settings,
                self.value,
            )  # fmt: skip
            seconds, taken_up = work.run()
            self.progress(f"{instant_text(as_of_us)}: guards")
            seen, fared = work.seen(), work.fared(self.home)
            findings = guards.judge(guards.load_guards(self.home), self._figures(seen, before, fared["drift"]))
            hard = [finding for finding in findings if finding.level == "hard"]
            manifest = self._facts() | work.facts() | fared | self._judged(as_of_us, seen, before, findings)
            manifest["warnings"] += watch_warnings(fared["watch"])
            if hard and self.despite is None:
                return self._refused(manifest, as_of_us, findings, seconds)
            if standing is not None:
                manifest["difference"] = difference(standing, draft.folder, manifest)
            self.progress(f"{instant_text(as_of_us)}: publishing")
            answer_alarms(self.home, manifest["watch"])  # before, or a run that is killed between would never give it
            snapshot = draft.publish(manifest)
            return _week_outcome(snapshot, "published", findings=findings, seconds=seconds, taken_up=taken_up)

    def _before(self, as_of_us: int) -> Snapshot | None:
        """The snapshot of the week before, or None where there is none that can be read: that is no reason to stop."""
        try:
            return week_before(self.home, as_of_us, ["scores", "vectors"])
        except SnapshotError:
            return None

    def _figures(
        self, seen: WeekStats, before: Snapshot | None, drift: Mapping[str, Any]
    ) -> Iterator[guards.GuardFigure]:
        stats_before = None if before is None else guards.WeekStats.of_manifest(before.manifest)
        yield from guards.contract_figures(self.staged.counted)
        yield from guards.table_figures(seen, stats_before)
        yield from guards.customer_figures(seen, stats_before)
        yield from guards.drift_figures(drift)

    def _model_facts(self) -> dict[str, Any]:
        """What is told of each champion; that of value stands there once there is one."""
        of_model = {
            name: facts and {**facts, "offset": self.champions[name].offset}
            for name, facts in ((name, _facts_of(of.predictor)) for name, of in self.champions.items())
        }
        return of_model | ({} if self.value is None else {self.value.name: _facts_of(self.value)})

    def _facts(self) -> dict[str, Any]:
        """What goes into every week of this run."""
        report = self.staged.counted
        return {
            "now": instant_text(self.now_us),
            "engine": self.tables.engine,
            "code_version": version(),
            "inputs": self.inputs,
            "input_fingerprint": self.staged.fingerprint,
            "definition_fingerprint": combined(feature_fingerprints()),
            "metrics_fingerprint": measures_fingerprint(self.settings),
            "health": {
                "version": self.settings.health.version,
                "digest": self.settings.health.digest,
                "rules": self.settings.health.as_dict(),
            },
            "models": self._model_facts(),
            "columns": {name: sorted(held) for name, held in sorted(self.tables.columns.items())},
            "rows_in": {name: table["rows"] for name, table in report["tables"].items()},
            "quarantined": {name: table["quarantined"] for name, table in report["tables"].items()},
            "tables": schema.MEANINGS,
        }

    def _judged(
        self, as_of_us: int, seen: WeekStats, before: Snapshot | None, findings: Sequence[GuardFinding]
    ) -> dict[str, Any]:
        """What the guards saw, and what a reader should know."""
        through_us = self.staged.data_through_us
        missing = [
            f"No champion of {name} has passed the gate: its scores are empty. Run `vouch train {name}`."
            for name, champion in self.champions.items()
            if champion.predictor is None and not models.load(name).is_optional
        ]
        learned = [
            f"The champion of {name} had learned from what was known at {facts['as_of']}, after this week: its scores "
            "are no forecast, and are not judged."
            for name, facts in self._facts()["models"].items()
            if facts is not None and has_learned_later(facts, as_of_us)
        ]
        return {
            "data_through": None if through_us is None else instant_text(min(through_us, as_of_us)),
            "changes_since": None if before is None else before.name,
            "seen": seen.as_dict(),
            "guards": {
                "findings": [finding.as_dict() for finding in findings],
                "despite": self.despite,
            },
            "warnings": [*missing, *learned, *map(str, findings)],
            "readiness": [one.as_dict() for one in readiness(self.tables, as_of_us, self.model_settings)],
        }

    def _refused(
        self, manifest: Mapping[str, Any], as_of_us: int, findings: Sequence[GuardFinding], seconds: Mapping[str, float]
    ) -> WeekOutcome:
        """A week that is not published: what stands is what stood before."""
        folder = files.current_folder(self.home, as_of_us)
        return WeekOutcome(
            as_of_us=as_of_us,
            revision=None if folder is None else files.revision_of(folder),
            outcome="refused",
            folder=folder,
            customers=manifest["rows_out"]["scores"],
            statuses=manifest["statuses"],
            warnings=manifest["warnings"],
            findings=findings,
            seconds=seconds,
        )


def score_weeks(
    project: Project,
    instants: Sequence[int] | None,
    now_us: int,
    *,
    is_revision: bool = False,
    engine: str = AUTO,
    despite: str | None = None,
    wait_s: float = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> list[WeekOutcome]:
    """Publish one snapshot per instant (by default of the latest week that the data reach), under the lock.

    `despite` is the reason for publishing although guards refuse. Raises Locked where another run is at work for
    longer than `wait_s`, UsageError for an instant after `now_us`, and what reading the data raises.
    """
    with _opened(project, instants, now_us, engine, despite, wait_s, progress) as (batch, wanted):
        weeks = []
        for as_of_us in wanted:
            of_week = replace(batch, champions=_with_offsets(batch)).at(as_of_us)
            weeks.append(of_week.week(of_week.plan(as_of_us, is_revision)))
        return weeks


def plan_weeks(
    project: Project,
    instants: Sequence[int] | None,
    now_us: int,
    *,
    is_revision: bool = False,
    engine: str = AUTO,
    wait_s: float = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> list[WeekPlan]:
    """Say what `score_weeks` would do, and do nothing but read and check the tables."""
    with _opened(project, instants, now_us, engine, None, wait_s, progress) as (batch, wanted):
        return [batch.at(as_of_us).plan(as_of_us, is_revision) for as_of_us in wanted]


@contextmanager
def _opened(
    project: Project,
    instants: Sequence[int] | None,
    now_us: int,
    engine: str,
    despite: str | None,
    wait_s: float,
    progress: Callable[[str], None],
) -> Iterator[tuple[Batch, Sequence[int]]]:
    """Read the tables under the lock; gives the run, and the instants that are wanted."""
    if late := [instant for instant in instants or () if instant > now_us]:
        raise UsageError(f"{instant_text(late[0])} lies after now ({instant_text(now_us)})")
    with files.lock(project.home, "score", wait_s), writing(project.home):
        sweep(project.home, "score")
        progress("reading and checking the tables")
        staged = stage(project, now_us)
        tables = opened(project, staged, engine)
        batch = Batch(
            project.home,
            staged,
            tables,
            champions(project.home, tables, project.models),
            now_us,
            despite,
            progress,
            settings(project),
            load_value_champion(project.home),
            project.models,
        )
        yield batch, instants or [staged.default_as_of_us(now_us)]


def _facts_of(predictor: Predictor | ValuePredictor | None) -> dict[str, Any] | None:
    if predictor is None:
        return None
    return {
        "content_hash": predictor.content_hash,
        "kind": predictor.kind,
        "target": predictor.target,
        "as_of": predictor.manifest.get("as_of"),
        **({"effects": effects.summary()} if (effects := getattr(predictor, "effects", None)) else {}),
    }


def _with_offsets(batch: Batch) -> dict[str, Champion]:
    """The champions with the offsets that stand written down by now: the week before may have found one."""
    return {name: replace(champion, offsets=offsets(batch.home, name)) for name, champion in batch.champions.items()}


def _week_outcome(snapshot: Snapshot, outcome: Outcome, **more: Any) -> WeekOutcome:
    return WeekOutcome(
        as_of_us=snapshot.as_of_us,
        revision=snapshot.revision,
        outcome=outcome,
        folder=snapshot.folder,
        customers=snapshot.manifest["rows_out"]["scores"],
        statuses=snapshot.manifest["statuses"],
        warnings=snapshot.manifest["warnings"],
        difference=snapshot.manifest.get("difference"),
        **more,
    )
