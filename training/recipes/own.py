"""Own learners: whatever has scikit-learn's `fit` and `predict_proba`, as one more recipe beside ours.

It is fitted on the same rows, judged at the same origins and stands in the same report. It can serve where it can be
stored as text or numbers: LightGBM's classifier as its text, XGBoost's and CatBoost's as trees that their JSON tells
(`foreign_trees`), and a logistic regression, alone or behind an imputer and a scaler, as its numbers. Anything else
would have to be a pickle, which runs whatever it holds: it is judged, and never chosen.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.features.errors import BundleError, DefinitionError
from vouch.models.scoring.calibration import log_odds
from vouch.models.scoring.scorers import make_scorer
from vouch.training.recipes.foreign_trees import TRANSLATED
from vouch.training.recipes.learners import Fitted, rounded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from vouch.models.scoring.trees import Matrix, Numbers
    from vouch.training.dataset import Dataset
    from vouch.training.recipes.learners import Recipe

JUDGED_ONLY = "judged_only"
"""Kind of a model that cannot be stored."""


DOUBLE, SINGLE = 1e-6, 1e-4
"""Log-odds by which what is stored may be off what the estimator says; the second where that adds in 32 bits."""
SINGLE_PRECISION = frozenset({"xgboost"})


def own_recipes(learners: Mapping[str, Callable[[int], Any]]) -> dict[str, Recipe]:
    """Return a recipe for each learner of a definition: a function of a seed that gives an estimator."""
    return {name: partial(fit_own, name=name, make=make) for name, make in learners.items()}


def fit_own(data: Dataset, seed: int, name: str, make: Callable[[int], Any], **_: Any) -> Fitted:
    """Fit an estimator on the panel, a data frame of float64 in which a category is the number of its place.

    Raises DefinitionError where it is none, or fails.
    """
    where = f"Learner {name!r} of model {data.model.name!r}"
    estimator = _made(make, seed, where)
    missing = [method for method in ("fit", "predict_proba") if not callable(getattr(estimator, method, None))]
    if missing:
        raise DefinitionError(f"{where} has no {' and no '.join(missing)}: give an estimator as scikit-learn has them")
    names = [column.name for column in data.columns]
    try:
        with _whatever_the_cores():
            estimator.fit(_frame(data.train.matrix, names), data.train.label.astype(np.int64))
        judged = _Judged(estimator, names, where)
        judged.raw(data.train.matrix[:2])
    except DefinitionError:
        raise
    except Exception as error:  # whatever a learner of one's own raises
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise DefinitionError(f"{where} cannot be fitted on these rows: {why}") from error
    kind, content = stored(estimator, data.train.matrix)
    if kind == "linear":
        content = _against_means(content, data.train.matrix)
    parameters = {"estimator": type(estimator).__name__}
    if kind == JUDGED_ONLY:
        return Fitted(name, kind, "", judged, {}, parameters)
    try:
        scorer = make_scorer(kind, content, len(names))
    except BundleError:  # a form of trees that text of ours does not hold
        return Fitted(name, JUDGED_ONLY, "", judged, {}, parameters)
    tolerance = SINGLE if type(estimator).__module__.partition(".")[0] in SINGLE_PRECISION else DOUBLE
    if not np.allclose(scorer.raw(data.train.matrix), judged.raw(data.train.matrix), atol=tolerance):
        return Fitted(name, JUDGED_ONLY, "", judged, {}, parameters)  # its text does not say what it says
    return Fitted(name, kind, content, scorer, {}, parameters)


def _made(make: Callable[[int], Any], seed: int, where: str) -> Any:
    """The estimator; raises DefinitionError where the library that it comes from is not installed."""
    try:
        return make(seed)
    except ImportError as error:
        library = (error.name or str(error)).partition(".")[0]
        raise DefinitionError(f"{where} needs {library!r}, which is not installed: pip install {library}") from error


@contextmanager
def _whatever_the_cores() -> Iterator[None]:
    """Nobody is told that a sandbox does not tell its physical cores: all are taken then."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Could not find the number of physical cores", UserWarning)
        yield


def _against_means(content: dict[str, Any], matrix: Matrix) -> dict[str, Any]:
    """The same numbers with the training mean of each part in the base, so that reasons are against it."""
    means = make_scorer("linear", content, matrix.shape[1]).contributions(matrix).mean(axis=0)
    terms = [{**term, "mean": rounded(mean)} for term, mean in zip(content["terms"], means, strict=True)]
    return {"base": content["base"] + sum(term["mean"] for term in terms), "terms": terms}


def _frame(matrix: Matrix, names: Sequence[str]) -> Any:
    import pandas as pd

    return pd.DataFrame(matrix.astype(np.float64), columns=list(names))


class _Judged:
    """What scores by the estimator itself, while it is in memory."""

    base = 0.0

    def __init__(self, estimator: Any, names: Sequence[str], where: str) -> None:
        self._estimator, self._names, self._where = estimator, names, where

    def raw(self, matrix: Matrix) -> Numbers:
        """Log-odds of each row."""
        with _whatever_the_cores():
            predicted = np.asarray(self._estimator.predict_proba(_frame(matrix, self._names)), np.float64)
        if predicted.shape != (len(matrix), 2) or not np.isfinite(predicted).all():
            raise DefinitionError(f"{self._where} gives no probability of both outcomes for each row")
        return log_odds(predicted[:, 1])

    def contributions(self, matrix: Matrix) -> Numbers:
        """It does not serve, and gives no reasons."""
        raise DefinitionError(f"{self._where} cannot be stored, and gives no reasons")

    def explained(self, matrix: Matrix) -> tuple[Numbers, Numbers]:
        """As `contributions`."""
        return self.raw(matrix), self.contributions(matrix)

    def moved(self, before: Matrix, now: Matrix) -> Numbers:
        """As `contributions`."""
        return self.contributions(now)


def stored(estimator: Any, matrix: Matrix) -> tuple[str, Any]:
    """Kind and content of what can be stored as text or numbers, by exact type; `judged_only` for the rest."""
    columns = matrix.shape[1]
    if _is(estimator, "lightgbm.sklearn", "LGBMClassifier"):
        return "lightgbm", estimator.booster_.model_to_string()
    for (module, name), (document, text) in TRANSLATED.items():
        if _is(estimator, module, name):
            try:
                return "lightgbm", text(document(estimator), matrix)
            except BundleError:
                return JUDGED_ONLY, ""
    steps = list(estimator.steps) if _is(estimator, "sklearn.pipeline", "Pipeline") else [("", estimator)]
    *before, (_, last) = steps
    if not _is(last, "sklearn.linear_model._logistic", "LogisticRegression"):
        return JUDGED_ONLY, ""
    if len(last.classes_) != 2 or last.coef_.shape != (1, columns):
        return JUDGED_ONLY, ""
    fill, centre, scale = np.zeros(columns), np.zeros(columns), np.ones(columns)
    for place, (_, step) in enumerate(before):
        if place == 0 and _is(step, "sklearn.impute._base", "SimpleImputer") and not step.add_indicator:
            fill = np.asarray(step.statistics_, np.float64)
        elif place == len(before) - 1 and _is(step, "sklearn.preprocessing._data", "StandardScaler"):
            centre = np.zeros(columns) if step.mean_ is None else step.mean_
            scale = np.ones(columns) if step.scale_ is None else step.scale_
        else:
            return JUDGED_ONLY, ""
    if not np.isfinite(fill).all():
        return JUDGED_ONLY, ""
    terms = [
        {"fill": rounded(f), "centre": rounded(c), "scale": rounded(s), "weight": rounded(w), "mean": 0.0}
        for f, c, s, w in zip(fill, centre, scale, last.coef_[0], strict=True)
    ]
    return "linear", {"base": rounded(float(last.intercept_[0])), "terms": terms}


def _is(value: Any, module: str, name: str) -> bool:
    """Whether a value is of exactly this type: a class of one's own that inherits from it may do anything else."""
    return type(value).__module__ == module and type(value).__name__ == name
