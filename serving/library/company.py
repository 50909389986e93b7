"""A company as a notebook has it: its tables checked, vectors and labelled panels as frames, champions, metrics.

What the commands do by the same code; but for `train` nothing is registered or changed. Frames are pandas, or Polars
where `frames="polars"` is given. Instants are ISO dates (midnight UTC) or instants; without one the newest Monday is
taken, as for the commands.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import narwhals as nw
import numpy as np

from vouch import models
from vouch.features.contract.tables import ACTIVITY_TABLES, DAY_US
from vouch.features.errors import Refused, UsageError
from vouch.features.facts.beginning import beginning_us
from vouch.features.ingest.stage import opened, stage
from vouch.features.instants import microseconds, parse_instant
from vouch.features.metrics.feeds import contract_report
from vouch.features.project import load_project
from vouch.features.vectors.build import collect, describe, vectors_at
from vouch.features.vectors.lines import use_own_features
from vouch.models.definition import SCORED
from vouch.models.predictor import Predictor
from vouch.models.registry.bundles import load_any_champion
from vouch.models.registry.offsets import in_force, offsets
from vouch.models.registry.versions import RunLabels
from vouch.serving.batch.run_records import recording
from vouch.serving.library.splitter import EmbargoSplit
from vouch.serving.metric_queries import Question, answered
from vouch.serving.snapshots.files import lock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd
    from narwhals.typing import IntoDataFrame

    from vouch.features.asof import Tables
    from vouch.features.ingest.stage import Staged
    from vouch.features.project import Project
    from vouch.models.definition import Model
    from vouch.models.registry.bundles import AnyPredictor
    from vouch.models.targets import Target

Frames = Literal["pandas", "polars"]
SPACING_DAYS, MOST = 28, 12
KEYS = ("customer_id", "as_of_us", "label")
"""Columns of a panel that are no features."""


def open_company(data: str | None = None, *, now: str | None = None, frames: Frames = "pandas") -> CompanyTables:
    """Open a company's tables.

    Args:
        data: a folder, a DuckDB file, a `postgresql://` URL or a project file; without it, `vouch.toml` in the current
            folder.
        now: what time to take it for, instead of reading the clock.
        frames: whether frames are pandas or Polars.

    Raises UsageError where nothing is there, DataError where the tables break the contract.
    """
    now_us = microseconds(datetime.now(UTC)) if now is None else parse_instant(now)
    return CompanyTables(load_project(data), now_us, frames)


@dataclass(frozen=True)
class TrainedModel:
    """What came of training one model: the judgement in words and figures, and whether it serves from now on."""

    model: str
    is_promoted: bool
    is_refused: bool
    """Whether the gate held it back, or nothing could be fitted; `text` says why."""
    version: int | None
    """In the registry of models; None where nothing was registered."""
    text: str
    """As `vouch train` prints it."""
    figures: IntoDataFrame
    """One row per candidate and baseline, judged out of time, the chosen one first."""


@dataclass(frozen=True)
class CompanyTables:
    """One company's tables, read and checked when they are first asked for."""

    project: Project
    now_us: int
    frames: Frames = "pandas"

    @cached_property
    def _staged(self) -> Staged:
        return stage(self.project, self.now_us)

    @cached_property
    def _opened(self) -> Tables:
        return opened(self.project, self._staged, "polars")

    @property
    def _tables(self) -> Tables:
        """The tables, with the register of features as this company's: another one may have been opened since."""
        use_own_features(self._opened)
        return self._opened

    def _instant(self, as_of: str | None) -> int:
        return self._staged.default_as_of_us(self.now_us) if as_of is None else parse_instant(as_of)

    def _made(self, frame: pd.DataFrame) -> IntoDataFrame:
        return frame if self.frames == "pandas" else nw.from_native(frame, eager_only=True).to_polars()

    def check(self) -> dict[str, Any]:
        """The contract: what is there, what each table feeds, what is in quarantine and why; as `vouch check` says."""
        return contract_report(self._staged)

    def vectors(self, as_of: str | None = None) -> IntoDataFrame:
        """One row per customer known at an instant: `customer_id`, `as_of_us`, and one column per feature."""
        return self._made(collect(next(vectors_at(self._tables, [self._instant(as_of)]))))

    def panel(self, model: str, instants: Sequence[str] | None = None, as_of: str | None = None) -> IntoDataFrame:
        """Labelled rows: the vectors of who was eligible at each instant, with what came true as known at `as_of`.

        Columns `customer_id`, `as_of_us`, `label` (1.0 or 0.0; rows whose outcome is not final are left out), and the
        features that the model may read. Without `instants` there are up to 12, four weeks apart, back from the newest
        whose outcome is final. Raises MissingTable where the model has no outcome here, Refused where no instant is
        left.
        """
        import pandas

        known_us = self._instant(as_of)
        definition, target = self._target(model)
        chosen = self._instants(target, known_us) if instants is None else [parse_instant(of) for of in instants]
        labels = target.label(self._tables, chosen, known_us, target)
        names = [row["name"] for row in describe() if self._reads(definition, str(row["name"]))]
        parts = []
        for instant, frame in zip(chosen, map(collect, vectors_at(self._tables, chosen)), strict=True):
            rows = frame.loc[np.isin(target.status(frame), list(SCORED))]
            known = labels.loc[(labels["as_of_us"] == instant) & labels["label"].notna(), ["customer_id", "label"]]
            parts.append(rows.merge(known, on="customer_id", how="inner")[[*KEYS, *names]])
        return self._made(pandas.concat(parts, ignore_index=True))

    def splits(self, panel: IntoDataFrame, model: str) -> Iterator[tuple[Any, Any]]:
        """Splits by time for a panel: positions of rows to fit on, and to judge on, the newest instant last.

        All outcomes of the rows that are fitted on were final before the instant that is judged.
        """
        yield from self.splitter(model).split(panel)

    def splitter(self, model: str, most: int | None = None) -> EmbargoSplit:
        """The same for scikit-learn's `cv`, the newest `most` splits: see `EmbargoSplit`."""
        return EmbargoSplit(self._target(model)[1].matured_days, most)

    def metrics(
        self, ids: Sequence[str] | None = None, *, by: str | None = None, as_of: str | None = None
    ) -> IntoDataFrame:
        """Metrics with their intervals, one row per metric and segment; all of them where none is named."""
        import pandas

        asked = Question(ids=ids, by=by, as_of_us=self._instant(as_of))
        return self._made(pandas.DataFrame(answered(self.project, asked, self.now_us, "polars").rows))

    def train(
        self,
        model: str,
        *,
        as_of: str | None = None,
        seed: int = 0,
        trials: int = 0,
        origins: int | None = None,
        evaluation: bool = True,
        experiment: str = "vouch",
        tags: Mapping[str, str] | None = None,
    ) -> list[TrainedModel]:
        """Fit a model, judge it out of time, register it and gate it, as `vouch train` does; one result per model.

        `model` is a definition, one of a section `[models.x]`, `value`, or `all`. A model that the gate holds back is
        told so and raises nothing: the champion of before stays. Raises MissingTable where it has no outcome here,
        UsageError for a tag that MLflow would not keep, or where another process trains.
        """
        import pandas

        from vouch.training.cutoffs import ORIGINS
        from vouch.training.recipes.tuning import Tuning
        from vouch.training.value.named import train_named

        home, labels = self.project.home, RunLabels(experiment, tags or {})
        asked = (None if as_of is None else parse_instant(as_of), self.now_us, seed, Tuning(trials, None))
        with recording(home, "train", self.now_us) as record, lock(home, "train"):
            reports = train_named(self.project, model, *asked, origins or ORIGINS, evaluation, labels)
            ended = [{"model": report.model, "is_refused": report.is_refused} for report in reports]
            record.figures = {"models": ended}
        return [
            TrainedModel(
                report.model, report.is_promoted, report.is_refused, report.version, report.text(),
                self._made(pandas.DataFrame(report.figure_rows())),
            )
            for report in reports
        ]  # fmt: skip

    def champion(self, model: str) -> AnyPredictor:
        """The champion of a model, verified, with the offset that holds today.

        That of `value` says what customers bring, and gives no probability. Raises UsageError where none has passed
        the gate yet.
        """
        champion = load_any_champion(self.project.home, model)
        if champion is None:
            raise UsageError(f"No champion of {model!r} has passed the gate: run `vouch train {model}`")
        return self._with_offset(champion) if isinstance(champion, Predictor) else champion

    def _with_offset(self, predictor: Predictor, as_of_us: int | None = None) -> Predictor:
        """A champion with the offset that holds in a week, by default today's."""
        known = in_force(offsets(self.project.home, predictor.name), predictor.content_hash, as_of_us)
        return predictor.shifted(known.offset if known else 0.0)

    def score(self, model: str, as_of: str | None = None, *, vectors: IntoDataFrame | None = None) -> IntoDataFrame:
        """The champion's scores of who is eligible at an instant, or of a frame of vectors, the highest first.

        Columns `customer_id`, `status`, `probability`, `low`, `high` (ends of its 95 % interval); as the weekly run
        would publish them, an offset that was in force by then included. `vectors` are rows as `vectors()` gives them.
        """
        import pandas

        predictor, frame, status = self._eligible(model, as_of, vectors)
        raw, probability = predictor.score(frame)
        low, high = predictor.interval(raw)
        scored = {
            "customer_id": frame["customer_id"],
            "status": status,
            "probability": probability,
            "low": low,
            "high": high,
        }
        ranked = pandas.DataFrame(scored).sort_values(["probability", "customer_id"], ascending=[False, True])
        return self._made(ranked.reset_index(drop=True))

    def explain(self, model: str, as_of: str | None = None, *, vectors: IntoDataFrame | None = None) -> IntoDataFrame:
        """Why each eligible customer is scored as they are: one row per customer and family of features.

        Columns `customer_id`, `family`, `feature` (the one that leads), `value` as text, `contribution` in log-odds;
        with the champion's base they add up to the raw score.
        """
        import pandas

        predictor, frame, _ = self._eligible(model, as_of, vectors)
        explained = predictor.reasons(frame).as_arrow(frame).to_pylist()
        rows = [
            {"customer_id": who, **reason}
            for who, reasons in zip(frame["customer_id"], explained, strict=True)
            for reason in reasons
        ]
        return self._made(pandas.DataFrame(rows))

    def features(self) -> IntoDataFrame:
        """The dictionary of features, the company's own among them: name, family, unit, table, what it means."""
        import pandas

        use_own_features(self._tables)
        return self._made(pandas.DataFrame(describe()))

    def _target(self, model: str) -> tuple[Model, Target]:
        definition = models.load(model).configured(self.project.models.get(model))
        return definition, definition.target(self._tables)

    def _reads(self, definition: Model, name: str) -> bool:
        from vouch.features.vectors.declare import load_families

        return definition.uses(load_families()[name])

    def _instants(self, target: Target, known_us: int) -> list[int]:
        begins_us = beginning_us(self._tables.frames[name] for name in ACTIVITY_TABLES if name in self._tables)
        newest = known_us - target.matured_days * DAY_US
        instants = [newest - step * SPACING_DAYS * DAY_US for step in range(MOST)]
        if begins_us is None or newest <= begins_us:
            raise Refused(
                f"The history is too short: no instant has an outcome that is final after {target.matured_days} days"
            )
        return sorted(instant for instant in instants if instant > begins_us)

    def _eligible(
        self, model: str, as_of: str | None, vectors: IntoDataFrame | None
    ) -> tuple[Predictor, pd.DataFrame, np.ndarray[Any, Any]]:
        champion, instant = self.champion(model), self._instant(as_of)
        if not isinstance(champion, Predictor):
            raise UsageError(f"The model {model!r} gives no probability: champion({model!r}) says what customers bring")
        predictor = self._with_offset(champion, instant)
        target = models.load(model).target_of(predictor.manifest)
        if vectors is None:
            frame = collect(next(vectors_at(self._tables, [instant])))
        else:
            frame = nw.from_native(vectors, eager_only=True).to_pandas()
            if lacking := [name for name in ("customer_id", *predictor.names) if name not in frame]:
                raise UsageError(f"The vectors lack {', '.join(lacking)}: take rows as `vectors()` gives them")
        status = target.status(frame)
        is_scored = np.isin(status, list(SCORED))
        return predictor, frame.loc[is_scored].reset_index(drop=True), status[is_scored]
