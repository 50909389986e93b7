"""Learners: LightGBM and logistic regression as candidates, two rules as baselines that anybody could set up.

Each gives a scorer of the very kind that a bundle holds, so that what is judged is what is served. Fits are seeded, and
use one thread, so that equal data give equal models.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.features.contract.tables import DAY_US
from vouch.features.errors import DefinitionError, did_you_mean
from vouch.models.scoring.formulas import PointsMeasure, bend, points, standardised
from vouch.models.scoring.scorers import make_scorer
from vouch.models.scoring.trees import load_lightgbm
from vouch.training.recipes.averaging import averaged

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vouch.models.scoring.feature_matrix import Column
    from vouch.models.scoring.scorers import Scorer
    from vouch.models.scoring.trees import Matrix, Numbers
    from vouch.training.dataset import Dataset
    from vouch.training.dataset import DatasetPart as Rows

LIGHTGBM: Mapping[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.08,
    "num_leaves": 8,
    "min_data_in_leaf": 100,
    "feature_fraction": 0.3,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 10.0,
    "max_bin": 127,
    "cat_smooth": 50.0,
    "cat_l2": 50.0,
    "min_data_per_group": 200,
    "deterministic": True,
    "force_col_wise": True,
    "num_threads": 1,
    "verbose": -1,
}
"""Shallow trees with few features each: most of what customers show is additive, and the rows are few.

One thread: the model is the same on every machine, and trees this small are slower with two (100 rounds on 26,000 rows
by 217 features took 0.9 s of processor time with one thread and columns, 17 s with two threads and rows on a busy
machine, because threads wait for one another by spinning).
"""
DEEP = "lightgbm_deep"
DEEPER: Mapping[str, Any] = {
    "learning_rate": 0.05,
    "num_leaves": 20,
    "min_data_in_leaf": 10,
    "feature_fraction_bynode": 0.6,
    "lambda_l2": 1.0,
    "max_bin": 255,
}
"""Trees for tables whose features interact and tell much: hardly held back, and the mean of several fits for that."""
SUBSPACE = "lightgbm_subspace"
SUBSPACES: Mapping[str, Any] = {
    **DEEPER,
    "learning_rate": 0.04,
    "num_leaves": 16,
    "feature_fraction": 0.6,
    "cat_smooth": 10.0,
    "cat_l2": 10.0,
    "min_data_per_group": 50,
}
"""Deep trees that each see some of the columns (random subspaces, Ho 1998) and trust categories of few rows: for flat
tables of many columns that say much the same. Where two columns tell all only together, trees that see all win."""
COPIES, COPIES_UP_TO = 4, 10_000
"""Fits of a deep candidate that are averaged, and rows up to which they are: more rows steady a fit by themselves. Each
draws rows and features by a seed of its own."""
LINE = "logistic"
FREE, FAMILY, FEATURE = "free", "family", "feature"
TREES: Mapping[str, str] = {"lightgbm": FREE, "lightgbm_family": FAMILY, "lightgbm_feature": FEATURE}
"""What one tree of a candidate may use together. Additive models (Lou, Caruana & Gehrke 2012) win where what customers
show is additive, and lose where it interacts: the validation cutoff decides."""
ROUNDS = 600
PATIENCE = 30
"""Rounds without gain on the validation rows after which fitting stops."""
PENALTY = 0.02
"""Inverse strength of the ridge penalty of the logistic regression (features have unit spread)."""
FEATURES_PER_TREE = 40
"""A tree sees at least so many features: a share of few would leave none to interact."""
TREES_FROM, LINE_FROM = 60, 20
"""Customers of the rarer outcome from which trees, and the line, are candidates at all."""
MAXIMUM_ROWS = 200_000
"""Rows that the logistic regression is fitted on at most, drawn by the seed."""
DIGITS = 12
"""Significant digits kept of fitted numbers: more than matter, fewer than differ between linear algebra libraries."""


@dataclass(frozen=True)
class Fitted:
    """A fitted model before calibration: the content of its bundle, and what scores with it."""

    name: str
    kind: str
    content: str | Mapping[str, Any]
    scorer: Scorer
    facts: Mapping[str, float] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """What the learner was told, for the record."""
    best_rounds: int | None = None
    """Rounds that would have been best on the rows that were watched: what a later fit may learn from."""


Recipe = Callable[..., Fitted]
"""Dataset and seed -> Fitted; see `fit_lightgbm` for `rounds` and `watch`, which others do not look at."""


def validation(rows: Rows, matured_days: int, seed: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return which training rows to fit on and which to validate on while fitting (masks).

    Validation is the last training cutoff, fitting what was final before it. Where there is no earlier one, a quarter
    of the customers validate.
    """
    last = rows.as_of_us.max()
    earlier = rows.as_of_us <= last - matured_days * DAY_US
    if len(np.unique(rows.label[earlier])) == 2 and len(np.unique(rows.label[rows.as_of_us == last])) == 2:
        return earlier, rows.as_of_us == last
    distinct, customer = np.unique(rows.customers, return_inverse=True)
    held = (np.random.default_rng(seed).random(len(distinct)) < 0.25)[customer]
    return ~held, held


def lightgbm_parameters(data: Dataset, seed: int, trees: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters of a fit: the defaults, what the definition says, and what is `given`."""
    share = max(LIGHTGBM["feature_fraction"], min(1.0, FEATURES_PER_TREE / len(data.columns)))
    check_parameters(data.model.name, data.model.lightgbm)
    parameters = {**LIGHTGBM, "feature_fraction": share, **data.model.lightgbm, **given, "seed": seed}
    return parameters if trees == FREE else {**parameters, "interaction_constraints": _together(data.columns, trees)}


def check_parameters(model: str, given: Iterable[str]) -> None:
    """Raise DefinitionError for a parameter that LightGBM does not know: it would pass over it in silence."""
    aliases: Mapping[str, Sequence[str]] = load_lightgbm().basic._ConfigAliases._get_all_param_aliases()
    known = {*aliases, *(alias for of in aliases.values() for alias in of)}
    for name in given:
        if name not in known:
            raise DefinitionError(f"Model {model!r}: LightGBM has no parameter {name!r}{did_you_mean(name, known)}")


def _together(columns: Sequence[Column], trees: str) -> list[list[int]]:
    """Places of the features that one tree may use together."""
    groups: dict[str, list[int]] = {}
    for place, column in enumerate(columns):
        groups.setdefault(column.family if trees == FAMILY else column.name, []).append(place)
    return list(groups.values())


def lightgbm_data(data: Dataset, rows: Rows, parameters: Mapping[str, Any], reference: Any = None) -> Any:
    """Rows as LightGBM bins them."""
    lightgbm = load_lightgbm()
    categorical = [place for place, column in enumerate(data.columns) if column.categories is not None]
    binning = {name: parameters[name] for name in ("max_bin", "verbose", "num_threads", "seed")}
    return lightgbm.Dataset(
        rows.matrix, rows.label, reference=reference, categorical_feature=categorical, params=binning
    )


def fit_lightgbm(
    data: Dataset,
    seed: int,
    name: str = "lightgbm",
    trees: str = "",
    given: Mapping[str, Any] | None = None,
    copies: int = 1,
    rounds: int | None = None,
    watch: Rows | None = None,
) -> Fitted:
    """Gradient boosted trees: the mean of several `copies` where there are more than one.

    The number of `rounds` is given, or found on the validation rows before all rows are fitted. Rows to `watch` change
    nothing of the model: they say how many rounds would have been best on them.
    """
    parameters = lightgbm_parameters(data, seed, trees or TREES.get(name, FREE), given or {})
    rounds = rounds or _validated_rounds(data, seed, parameters)
    whole, best = lightgbm_data(data, data.train, parameters), None
    copies = copies if len(data.train) <= COPIES_UP_TO else 1
    fits = []
    for copy in range(copies):
        drawn = {**parameters, **_draws(seed, copy)}
        if watch is not None and not copy and len(np.unique(watch.label)) == 2:
            booster, best = _watched(data, whole, drawn, rounds, watch)
        else:
            booster = load_lightgbm().train(drawn, whole, rounds)
        fits.append(booster.model_to_string(num_iteration=rounds))
    text = averaged(fits)
    stated = {known: value for known, value in parameters.items() if known != "interaction_constraints"}
    scorer = make_scorer("lightgbm", text, len(data.columns))
    return Fitted(name, "lightgbm", text, scorer, {"rounds": rounds}, stated, best)


def _validated_rounds(data: Dataset, seed: int, parameters: Mapping[str, Any]) -> int:
    """Rounds after which the loss on the validation rows falls no further."""
    lightgbm = load_lightgbm()
    fit, held = validation(data.train, data.target.matured_days, seed)
    first = lightgbm_data(data, data.train.take(fit), parameters)
    early = lightgbm.train(
        parameters,
        first,
        ROUNDS,
        valid_sets=[lightgbm_data(data, data.train.take(held), parameters, first)],
        callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
    )
    return max(int(early.best_iteration), 1)


def _watched(data: Dataset, whole: Any, parameters: Mapping[str, Any], rounds: int, watch: Rows) -> tuple[Any, int]:
    """Trees of at least so many rounds, and after how many the loss on the watched rows was least."""
    lightgbm, losses = load_lightgbm(), []

    def look(state: Any) -> None:
        losses.append(state.evaluation_result_list[0][2])
        done, best = len(losses), int(np.argmin(losses)) + 1
        if done >= rounds and done - best >= PATIENCE:
            raise lightgbm.callback.EarlyStopException(done - 1, state.evaluation_result_list)

    seen = lightgbm_data(data, watch, parameters, whole)
    booster = lightgbm.train(dict(parameters), whole, max(rounds, ROUNDS), valid_sets=[seen], callbacks=[look])
    return booster, int(np.argmin(losses)) + 1


def _draws(seed: int, copy: int) -> dict[str, int]:
    """Seeds of what one copy draws; the first draws as a single fit does."""
    return dict.fromkeys(("bagging_seed", "feature_fraction_seed"), 1000 * (seed + 1) + copy) if copy else {}


def fit_logistic(data: Dataset, seed: int, **_: Any) -> Fitted:
    """Logistic regression: numbers filled with the median, bent, standardised, with a flag where missing; one-hot."""
    from sklearn.linear_model import LogisticRegression

    rows = data.train
    if len(rows) > MAXIMUM_ROWS:
        chosen = np.random.default_rng(seed).choice(len(rows), MAXIMUM_ROWS, replace=False)
        rows = rows.take(np.sort(chosen))
    designs = [_design(rows.matrix[:, place], column.categories) for place, column in enumerate(data.columns)]
    matrix = np.concatenate([columns for columns, _ in designs], axis=1)
    model = LogisticRegression(C=PENALTY, solver="newton-cholesky", max_iter=50).fit(matrix, rows.label)
    weights = np.split(model.coef_[0], np.cumsum([columns.shape[1] for columns, _ in designs])[:-1])
    terms = [_term(columns, known, weight) for (columns, known), weight in zip(designs, weights, strict=True)]
    base = float(model.intercept_[0]) + sum(term["mean"] for term in terms)
    content = {"base": rounded(base), "terms": terms}
    return Fitted("logistic", "logistic", content, make_scorer("logistic", content, len(data.columns)))


def _design(values: Matrix, categories: Sequence[str] | None) -> tuple[Numbers, dict[str, float]]:
    """Columns of the regression for one feature, and the numbers that make them."""
    whole = values.astype(np.float64)
    missing = np.isnan(whole)
    if categories is not None:
        codes = np.where(missing, len(categories), whole)
        return (codes[:, None] == np.arange(len(categories) + 1)).astype(np.float64), {}
    fill = 0.0 if missing.all() else float(np.median(whole[~missing]))
    bent = bend(np.where(missing, fill, whole))
    known = {"fill": fill, "centre": rounded(bent.mean()), "scale": rounded(bent.std()) or 1.0}
    score = standardised(whole, **known)
    return (np.column_stack([score, missing]) if missing.any() else score[:, None]), known


def _term(columns: Numbers, known: Mapping[str, float], weights: Numbers) -> dict[str, Any]:
    mean = rounded(float(columns.mean(axis=0) @ weights))
    if not known:
        return {"weights": [rounded(weight) for weight in weights], "mean": mean}
    missing_weight = rounded(weights[1]) if len(weights) == 2 else 0.0
    return {**known, "weight": rounded(weights[0]), "missing_weight": missing_weight, "mean": mean}


def rounded(value: float) -> float:
    """Return a fitted number to as many digits as are kept."""
    return float(f"{value:.{DIGITS}g}")


def fit_recency(data: Dataset, seed: int, **_: Any) -> Fitted:
    """The rule of thumb: the longer ago the last activity (or act), the colder; one feature on a logarithmic scale."""
    names = [column.name for column in data.columns]
    feature = next((name for name in data.model.recency if name in names), None)
    days = (0.0, 1.0, 3.0, 7.0, 14.0, 28.0, 56.0, 91.0, 182.0, 365.0, 730.0)
    earned = tuple(100.0 - 100.0 * float(np.log1p(day) / np.log1p(days[-1])) for day in days)
    return _fit_rule("recency", data, [PointsMeasure(feature, 1.0, days, earned)] if feature else [])


def fit_health(data: Dataset, seed: int, **_: Any) -> Fitted:
    """The health score by the rules that hold in the company, weighted over what is known.

    One rule judges all: where segments have weights of their own, those of the company as a whole are taken.
    """
    parts = [
        PointsMeasure(
            measure.feature,
            measure.weight,
            at=tuple(float(start) for start, _ in measure.tiers[1:] if start is not None),
            points=tuple(earned for _, earned in measure.tiers),
        )
        for measure in data.health.measures
    ]
    return _fit_rule("health", data, parts)


def _fit_rule(name: str, data: Dataset, parts: Sequence[PointsMeasure]) -> Fitted:
    """Map a rule's score to log-odds by the line that fits the training rows best (a rule that knows nothing: flat)."""
    from sklearn.linear_model import LogisticRegression

    by_feature = {part.feature: part.as_json() for part in parts}
    listed = [by_feature.get(column.name) for column in data.columns]
    score = points(listed, data.train.matrix).sum(axis=1)
    centre, spread = float(score.mean()), float(score.std()) or 1.0  # whatever its scale, the line is found as well
    model = LogisticRegression(C=1e6, solver="newton-cholesky")
    model.fit((score[:, None] - centre) / spread, data.train.label)
    slope = float(model.coef_[0, 0]) / spread
    content = {
        "base": rounded(float(model.intercept_[0]) - slope * centre),
        "slope": rounded(slope),
        "parts": listed,
    }
    return Fitted(name, "rules", content, make_scorer("rules", content, len(data.columns)))


BASELINES: Mapping[str, Recipe] = {"recency": fit_recency, "health": fit_health}
CANDIDATES: Mapping[str, Recipe] = {
    **{name: partial(fit_lightgbm, name=name) for name in TREES},
    DEEP: partial(fit_lightgbm, name=DEEP, given=DEEPER, copies=COPIES),
    SUBSPACE: partial(fit_lightgbm, name=SUBSPACE, given=SUBSPACES, copies=COPIES),
    LINE: fit_logistic,
}


def recipes(data: Dataset) -> dict[str, Recipe]:
    """Candidates that so many outcomes can teach, the preferred first, and the rules that anybody could set up.

    Trees and the line are left out where the newest origin has too few customers of the rarer outcome.
    """
    rows = data.at(data.plan.origins[-1].train) if data.plan.origins else data.train
    rarer = min(len(np.unique(rows.customers[rows.label == kind])) for kind in (0.0, 1.0))
    wanted = dict.fromkeys([*data.model.learners, LINE])
    taught = [name for name in wanted if rarer >= (LINE_FROM if name == LINE else TREES_FROM)]
    return {**{name: CANDIDATES[name] for name in taught}, **BASELINES}
