"""Model definitions, as data: the outcome, who is eligible, which features, how it is fitted and gated.

One file in this folder with a module-level `MODEL = Model(...)` is one model. Training and serving read nothing else,
so that a new model is a new file. A definition that cannot hold is refused when it is loaded, not when it is run.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vouch.features.errors import ConfigurationError, DefinitionError, MissingTable, UsageError, did_you_mean
from vouch.models.eligibility import ELIGIBLE
from vouch.models.fingerprint import fingerprint_of
from vouch.models.own_outcomes import with_outcome
from vouch.models.targets import Band, Target, Variant, with_bands

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from vouch.features.asof import Tables
    from vouch.features.model_settings import ModelSettings
    from vouch.features.vectors.declare import Feature

__all__ = ["Band", "Costs", "Cutoffs", "Gate", "Model", "Target", "check_named", "load", "names"]
STATUSES = ("ok", "cold_start", "leaving", "churned", "between_terms", "not_eligible")
"""What a customer is to a model, as people read it from the top; `between_terms` is told when a week is made."""
SCORED = frozenset({"ok", "cold_start"})
"""Who gets a probability, and who is trained on."""
LEARNERS = (
    "lightgbm_family", "lightgbm_feature", "lightgbm", "lightgbm_subspace", "lightgbm_deep", "logistic",
)  # fmt: skip
"""Candidates (`vouch.training.recipes.learners`): trees within a family, a feature, free, free and deep, and a line."""
TAKEN = ("recency", "health", "mean", "lightgbm_tuned")
"""Names of what is judged beside the candidates."""
FOLDER = Path(__file__).parent
_IS_DEFINITION = re.compile(r"^MODEL\b.*=", re.MULTILINE)
_NAME = re.compile(r"[a-z][a-z0-9_]*$")


@dataclass(frozen=True)
class Cutoffs:
    """Which past instants a model learns from; see `vouch.training.cutoffs`."""

    grid_days: int = 14
    """Between two instants that the model that serves is fitted on, back from the newest that is final."""
    spacing_days: int = 28
    """Between two training cutoffs of an origin at which the recipe is judged."""
    train: int = 12
    """Training cutoffs of an origin at most."""
    most: int = 52
    """Instants on the grid at most."""
    history_days: int = 56
    """Days of data that the earliest instant must have before it."""

    def needed_days(self, target: Target) -> int:
        """Days of activity without which nothing is learned: those before, and an outcome to fit on and one to test."""
        return 2 * target.matured_days + self.history_days


@dataclass(frozen=True)
class Gate:
    """Limits that a challenger must keep; see `vouch.training.gate` for what each rule means."""

    minimum_positives: int = 20
    """Outcomes of each kind that there must be to fit at the newest origin, and to judge at all origins together."""
    slice_margin: float = 0.05
    """Share of the log loss that a challenger may be worse by on a slice of customers; see `vouch.training.slices`."""
    slice_positives: int = 30
    """Outcomes of each kind from which a slice counts."""
    suspicious_auc: float = 0.95
    """Single-feature ROC-AUC from which a feature is taken for a leak."""
    maximum_quarantined: float = 0.05
    """Share of the rows of a table that may be in quarantine."""


@dataclass(frozen=True)
class Costs:
    """What an action costs and what it wins where the outcome would have come true; in the reporting currency."""

    action: float
    gain: float


@dataclass(frozen=True)
class Model:
    """One model: what it predicts, from what, how it is fitted, and what it must keep to be promoted."""

    name: str
    question: str
    targets: tuple[Target, ...]
    left_out: frozenset[str] = frozenset()
    """Names of features or of families that are not trained on."""
    is_sensitive_allowed: bool = False
    recency: tuple[str, ...] = ()
    """Features, in order of preference, that the recency baseline reads (days since something)."""
    learners: tuple[str, ...] = ("lightgbm_family", "lightgbm", "lightgbm_deep", "logistic")
    """Candidates for the champion, the preferred first: without an evaluation that one alone is fitted."""
    estimators: Mapping[str, Callable[[int], Any]] = field(default_factory=dict)
    """Own learners by name: a function of a seed that gives an estimator with scikit-learn's `fit` and `predict_proba`.

    Each is judged beside the others; one that can be stored as text or numbers may serve (`training.recipes.own`).
    """
    lightgbm: Mapping[str, Any] = field(default_factory=dict)
    """Parameters that differ from the defaults in `vouch.training.recipes.learners`."""
    cutoffs: Cutoffs = field(default_factory=Cutoffs)
    gate: Gate = field(default_factory=Gate)
    costs: Costs | None = None
    is_optional: bool = False
    """Whether `all` leaves it out: it is trained where somebody names it, and nobody is warned that none passed."""

    def __post_init__(self) -> None:
        _check(self)

    def target(self, tables: Tables) -> Target:
        """Return the first target that the company's tables feed; raises MissingTable where there is none."""
        for target in self.targets:
            if target.is_fed(tables):
                return target
        raise MissingTable(f"Model {self.name!r} has no outcome to learn from: it needs {self.wanted_tables}")

    @property
    def wanted_tables(self) -> str:
        """The tables that feed its targets, in words."""
        return "; or ".join(dict.fromkeys(_wanted(target) for target in self.targets))

    def target_named(self, name: str) -> Target:
        """Return a target by name, as a bundle keeps it."""
        base, variant = Variant.of(name)
        for target in self.targets:
            if target.name == name:
                return target
            if target.name == base:
                return with_outcome(target, variant.outcome).configured(variant)
        raise DefinitionError(
            f"Model {self.name!r} has no target {name!r}{did_you_mean(name, [t.name for t in self.targets])}"
        )

    def target_of(self, manifest: Mapping[str, Any]) -> Target:
        """Return the target of a bundle, with the bands that it was trained with."""
        return with_bands(self.target_named(str(manifest["target"])), manifest.get("bands") or {})

    def configured(self, settings: ModelSettings | None) -> Model:
        """Return the model as a company has it.

        Raises ConfigurationError for a band that it does not have, for costs that say too little, and for somebody
        eligible who cannot be.
        """
        if settings is None:
            return self
        self._check_eligible(settings.eligible)
        days = (settings.lead_days, settings.horizon_days, settings.gap_days, settings.inactive_days)
        wanted = Variant(settings.outcome, *days, settings.eligible)
        configured = (with_outcome(target, wanted.outcome).configured(wanted) for target in self.targets)
        targets = tuple(with_bands(target, settings.bands) for target in configured)
        costs = self.costs
        if settings.action is not None or settings.gain is not None:
            action = settings.action if settings.action is not None or costs is None else costs.action
            gain = settings.gain if settings.gain is not None or costs is None else costs.gain
            if action is None or gain is None or gain <= 0:
                raise ConfigurationError(
                    f"[{self.name}.costs] needs an action and a gain above 0: what an action costs, and what it wins"
                )
            costs = Costs(action, gain)
        return replace(self, targets=targets, costs=costs)

    def _check_eligible(self, eligible: str | None) -> None:
        if eligible is None:
            return
        where = f"[{self.name}] eligible = {eligible!r}"
        if eligible not in ELIGIBLE:
            raise ConfigurationError(f"{where}: it is one of {', '.join(ELIGIBLE)}{did_you_mean(eligible, ELIGIBLE)}")
        if not any(target.is_for_chosen for target in self.targets):
            raise ConfigurationError(f"{where}: the outcome of {self.name} says itself whom it can come true for")

    def uses(self, feature: Feature) -> bool:
        """Whether a feature is trained on."""
        is_left_out = bool({feature.name, feature.family} & self.left_out)
        return not is_left_out and (self.is_sensitive_allowed or not feature.is_sensitive)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything that the definition says; functions count by their names."""
        return fingerprint_of(self)


def _wanted(target: Target) -> str:
    parts = [f"{table} with {', '.join(columns)}" if columns else table for table, columns in target.needs.items()]
    return " and ".join([*parts, *([" or ".join(target.any_of)] if target.any_of else [])])


def _check(model: Model) -> None:
    where = f"Model {model.name!r}"
    if not _NAME.match(model.name):
        raise DefinitionError(f"{where}: a name is lower-case letters, digits and underscores")
    if not model.question.endswith("?"):
        raise DefinitionError(f"{where}: say what it predicts as a question that ends in '?'")
    if not model.targets or len({target.name for target in model.targets}) < len(model.targets):
        raise DefinitionError(f"{where}: it needs at least one target, each with a name of its own")
    for target in model.targets:
        _check_target(f"{where}, target {target.name!r}", target)
    unknown = set(model.learners) - set(LEARNERS)
    if unknown or not model.learners:
        raise DefinitionError(f"{where}: learners are {', '.join(LEARNERS)}, not {sorted(unknown) or 'none'}")
    unsound = [name for name in model.estimators if not _NAME.match(name) or name in {*LEARNERS, *TAKEN}]
    if unsound:
        raise DefinitionError(f"{where}: give an own learner a name of its own, in lower case, and not {unsound[0]!r}")
    cutoffs = model.cutoffs
    if min(cutoffs.grid_days, cutoffs.spacing_days, cutoffs.train, cutoffs.most) < 1:
        raise DefinitionError(f"{where}: cutoffs are counted from 1, and their spacing in whole days")
    if cutoffs.spacing_days % cutoffs.grid_days:
        raise DefinitionError(f"{where}: spacing_days must be a multiple of grid_days, so that models share instants")
    if not 0.5 < model.gate.suspicious_auc <= 1:
        raise DefinitionError(f"{where}: suspicious_auc lies between 0.5 and 1")


def _check_target(where: str, target: Target) -> None:
    if target.horizon_days < 1 or target.lead_days < 0 or target.gap_days < 0:
        raise DefinitionError(f"{where}: the horizon is at least a day, lead and gap are not negative")
    if not target.bands:
        return
    starts = [band.at_least for band in target.bands]
    if starts[0] != 0 or starts != sorted(set(starts)) or starts[-1] >= 1:
        raise DefinitionError(f"{where}: bands begin at 0 and rise below 1, found {starts}")


def names() -> list[str]:
    """Names of all models: the files of this folder that hold a `MODEL`."""
    paths = sorted(FOLDER.glob("*.py"))
    return [path.stem for path in paths if _IS_DEFINITION.search(path.read_text(encoding="utf-8"))]


def check_named(settings: Iterable[str]) -> None:
    """Raise ConfigurationError for settings of a model that there is not."""
    known = names()
    for name in settings:
        if name not in known:
            near = did_you_mean(name, known)
            raise ConfigurationError(f"[{name}] is no section and no model{near}. Models: {', '.join(known)}")


def load(name: str) -> Model:
    """Return the definition of a model.

    Raises UsageError where there is none of that name, DefinitionError where it is not sound.
    """
    known = names()
    if name not in known:
        raise UsageError(f"There is no model {name!r}{did_you_mean(name, known)}. Models: {', '.join(known)}")
    model = importlib.import_module(f"vouch.models.{name}").MODEL
    if not isinstance(model, Model):
        raise DefinitionError(f"models/{name}.py: MODEL is no Model")
    if model.name != name:
        raise DefinitionError(f"models/{name}.py: its model is called {model.name!r}; name the file after it")
    return model
