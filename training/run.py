"""The training run: stage, lay cutoffs, build one panel, fit, calibrate, judge, log, register, and gate.

Models that are trained together share the vectors of instants that coincide. What cannot be fitted is refused with its
figures; what is fitted but fails the gate is registered and does not become the champion.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from vouch import models
from vouch.features.errors import MissingTable, NoOutcome, Refused
from vouch.features.health.adopted import held_rules
from vouch.features.ingest.stage import AUTO, opened, stage
from vouch.features.instants import instant_text
from vouch.features.vectors.fingerprints import combined, feature_fingerprints
from vouch.models.predictor import Predictor, write_bundle
from vouch.models.quality.drift import reference
from vouch.models.registry import versions
from vouch.models.registry.champions import usual_models
from vouch.training.cutoffs import ORIGINS, make_plan
from vouch.training.dataset import Dataset, build_panel, customers_of, data_begins, make_dataset
from vouch.training.effects.rows import followed_up
from vouch.training.evaluate import evaluate, fit_only
from vouch.training.gate import judge
from vouch.training.incumbent import meet
from vouch.training.recipes.learners import check_parameters, recipes
from vouch.training.recipes.tuning import NAME as TUNED
from vouch.training.recipes.tuning import Tuning, tune
from vouch.training.registration import register
from vouch.training.report import TrainingReport, card, describe
from vouch.training.tracked.runs import tracked_run
from vouch.training.trained import Trained

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vouch.features.asof import Tables
    from vouch.features.health import HealthRules
    from vouch.features.ingest.stage import Staged
    from vouch.features.model_settings import ModelSettings
    from vouch.features.project import Project
    from vouch.training.recipes.tuning import Tuned

ALL = "all"
UNTUNED = Tuning()
Search = Callable[..., "Tuned | None"]
"""Dataset, seed and `facts` -> what a search for parameters found."""
IN_MEMORY_BYTES = 500_000_000
"""Staged tables up to this size are read with Polars, which is faster on many instants; larger ones with DuckDB."""
ROOT = Path(__file__).resolve().parent.parent


def train(
    project: Project,
    name: str,
    as_of_us: int | None,
    now_us: int,
    seed: int = 0,
    tuning: Tuning = UNTUNED,
    origins: int = ORIGINS,
    is_judged: bool = True,
    labels: versions.RunLabels | None = None,
) -> list[TrainingReport]:
    """Train a model (or `all`) on what was known before an instant; register it, and promote it where the gate lets it.

    `tuning` says how long to search for parameters, `origins` at how many moments the recipe is judged at least. What
    is not judged is registered, and can never become the champion. `labels` are what is said of the run in MLflow.
    One report per model. Raises Refused where a model that was named cannot be fitted, or where none of `all` can.
    """
    models.check_named(project.models)
    for known in models.names():
        check_parameters(known, models.load(known).lightgbm)
    staged = stage(project, now_us)
    known_us = staged.default_as_of_us(now_us) if as_of_us is None else as_of_us
    wanted = usual_models(project.home) if name == ALL else [name]
    search = partial(tune, tuning=tuning, home=project.home) if tuning.trials else None
    outcomes = train_on(
        opened_by_size(project, staged),
        wanted,
        known_us,
        seed,
        search,
        origins,
        is_judged,
        settings=project.models,
        health=held_rules(project.home),
    )
    refusals = [outcome for outcome in outcomes.values() if isinstance(outcome, Refused)]
    if len(refusals) == len(outcomes):
        kind = NoOutcome if all(isinstance(refusal, NoOutcome) for refusal in refusals) else Refused
        raise kind("\n".join([*map(str, refusals), *_loads(staged)]))
    return [
        _refused(model, known_us, outcome)
        if isinstance(outcome, Refused)
        else store(project, outcome, staged.counted, now_us, labels)
        for model, outcome in outcomes.items()
    ]


def _loads(staged: Staged) -> list[str]:
    """What is to be known of tables that became known all at once: nothing can be learnt from before."""
    tables = {name: table["counts"] for name, table in staged.counted["tables"].items()}
    loaded = [name for name, counts in tables.items() if any(count["code"] == "one_load_stamp" for count in counts)]
    if not loaded:
        return []
    return [f"Most rows of {', '.join(loaded)} have one ingested_at, long after their own time: see `vouch check`."]


def opened_by_size(project: Project, staged: Staged) -> Tables:
    """Open staged tables: in memory, or, where they are large, with DuckDB within the project's memory limit."""
    return opened(project, staged, AUTO, IN_MEMORY_BYTES)


def _refused(name: str, as_of_us: int, why: Refused) -> TrainingReport:
    is_applicable = not isinstance(why, NoOutcome)
    return TrainingReport(name, models.load(name).question, as_of_us, refusal=str(why), is_applicable=is_applicable)


def train_on(
    tables: Tables,
    names: Sequence[str],
    as_of_us: int,
    seed: int = 0,
    search: Search | None = None,
    origins: int = ORIGINS,
    is_judged: bool = True,
    *,
    settings: Mapping[str, ModelSettings] | None = None,
    health: HealthRules | None = None,
) -> dict[str, Trained | Refused]:
    """Fit and judge models on tables that are open already; nothing is stored.

    Labels are as known at `as_of_us`; `settings` are what the company decides about models, by their names; `health`
    are its rules of the health score, else those that come with vouch. What cannot be fitted stands as the Refused that
    says why.
    """
    outcomes: dict[str, Trained | Refused] = {}
    wanted, begins_us, customers = {}, data_begins(tables), customers_of(tables, as_of_us)
    definitions = {name: models.load(name).configured((settings or {}).get(name)) for name in names}
    for name, model in definitions.items():
        try:
            target = model.target(tables)
            wanted[name] = (target, make_plan(name, model.cutoffs, target, as_of_us, begins_us, customers))
        except MissingTable as error:
            outcomes[name] = NoOutcome(str(error))
        except Refused as error:
            outcomes[name] = error
    panel = build_panel(tables, wanted)
    for name, (target, plan) in wanted.items():
        labels = target.label(tables, plan.instants, as_of_us, target)
        try:
            data = make_dataset(definitions[name], target, plan, panel, labels, origins)
            data = data if health is None else replace(data, health=health)
            data = followed_up(data, tables, panel, as_of_us, seed)
            outcomes[name] = fit_and_judge(data, as_of_us, seed, tables.fingerprint, search, is_judged)
        except Refused as error:
            outcomes[name] = error
    return {name: outcomes[name] for name in names}


def fit_and_judge(
    data: Dataset,
    as_of_us: int,
    seed: int,
    data_fingerprint: str,
    search: Search | None = None,
    is_judged: bool = True,
) -> Trained:
    """Judge all candidates and baselines, tuned trees among them where a search is given, and fit what serves.

    Where nothing is judged, only the preferred candidate is fitted: the tuned trees, else the first of the definition.
    """
    facts = {
        "data_fingerprint": data_fingerprint,
        "model_fingerprint": data.model.fingerprint,
        "code_fingerprint": code_fingerprint(),
        "as_of": instant_text(as_of_us),
        "seed": seed,
    }
    oldest = replace(data, train=data.at(data.plan.judged[0].train))  # what is judged is not searched on
    tuned = search(oldest, seed, facts=facts) if search else None
    if tuned:
        facts |= {"trials": len(tuned.trials), "is_reproducible": tuned.is_reproducible}
    more = {TUNED: tuned.fit} if tuned else {}
    with threadpool_limits(1):  # fits run side by side; threads of linear algebra would spin while they wait
        if is_judged:
            evaluation = evaluate(data, seed, more, as_of_us)
        else:
            name, fit = next(iter({**more, **recipes(data)}.items()))
            evaluation = fit_only(data, seed, name, fit)
    facts |= {"candidate": evaluation.chosen, "members": " ".join(evaluation.choice.members)}
    return Trained(evaluation.data, evaluation, as_of_us, seed, facts, tuned.trials if tuned else ())


def code_fingerprint() -> str:
    """SHA-256 of the source files that vectors and models are made by."""
    digest = hashlib.sha256()
    for folder in ("features", "models", "training"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".py", ".toml"}:
                digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def write(trained: Trained, folder: Path) -> Predictor:
    """Write what serves as a bundle."""
    served, data = trained.evaluation.served, trained.data
    return write_bundle(
        folder,
        model=trained.name,
        target=data.target.name,
        kind=served.fitted.kind,
        content=served.fitted.content,
        columns=data.columns,
        calibrator=served.calibrated.calibrator,
        golden=trained.golden,
        facts={
            **trained.facts,
            "bands": {band.name: band.at_least for band in data.target.bands[1:]},
            "lightgbm": dict(data.model.lightgbm),
        },
        reference=reference(data.columns, data.newest.matrix, served.probability),
        hazard=trained.evaluation.hazard,
        effects=trained.evaluation.effects,
    )


def store(
    project: Project,
    trained: Trained,
    check: Mapping[str, Any],
    now_us: int,
    labels: versions.RunLabels | None = None,
) -> TrainingReport:
    """Apply the gate, log and register what serves, and make it the champion where the gate lets it.

    What was not judged meets no gate: it is registered, and that is all.
    """
    data, evaluation = trained.data, trained.evaluation
    incumbent = meet(project.home, data, evaluation, trained.seed) if evaluation.is_judged else None
    verdict = judge(evaluation, check, incumbent, trained.seed) if evaluation.is_judged else None
    with tempfile.TemporaryDirectory() as folder:
        predictor = write(trained, Path(folder) / "bundle")
        report = TrainingReport(
            trained.name, data.model.question, trained.as_of_us, **describe(evaluation, incumbent), verdict=verdict,
            facts={**trained.facts, "definition_fingerprint": _definitions(predictor)},
            content_hash=predictor.content_hash, champion_version=versions.champion_version(project.home, trained.name),
            drift=incumbent.drift if incumbent else None,
        )  # fmt: skip
        run = tracked_run(trained, report, Path(folder) / "bundle")
        record = _record(trained, report, now_us) if evaluation.is_judged else {}
        registered = register(project, run, verdict, lambda of: card(_placed(report, of)), record, labels)
    return _placed(report, registered)


def _placed(report: TrainingReport, registered: versions.Registered) -> TrainingReport:
    """A report with its place in the registry."""
    return replace(report, version=registered.version, run_id=registered.run_id, is_promoted=report.passed)


def _definitions(predictor: Predictor) -> str:
    """One fingerprint of all features that a model reads."""
    today = feature_fingerprints()
    return combined({name: today[name] for name in predictor.names})


def _record(trained: Trained, report: TrainingReport, now_us: int) -> dict[str, Any]:
    """What the gate's history keeps beside the verdict: enough to show how good a version was when it was judged."""
    plain = report.as_json()
    return {
        "at_us": now_us,
        "as_of": instant_text(report.as_of_us),
        "content_hash": report.content_hash,
        "chosen": report.chosen,
        "members": list(report.members),
        "why": report.why,
        "instability": dict(report.instability),
        "cutoffs": plain["cutoffs"],
        "rows": plain["rows"],
        "figures": report.figure_rows(),
        "intervals": plain["intervals"],
        "origins": report.origin_rows(),
        "slices": plain["slices"],
        "drawn": plain["statistics"]["drawn"],
    }
