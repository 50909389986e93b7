"""What each kind of feature gains over all families, kind by kind: log loss and ROC-AUC, paired over customers.

Kinds are tried here before one becomes a family: those of `kinds_of_feature` are in the language of features, those of
`across_customers` look at other customers. LightGBM with the product's own parameters is fitted with and without each,
at the newest origins, as the mean of several seeds. A simulated company is judged by its true probabilities, which
hold less noise than outcomes; a real one (`uboot_contributors`, in `VOUCH_DATASETS`) by what came true. Customers under
60 days stand apart. Flat tables try rates of their categories of many values, out of fold.

A kind pays, and may become a family, where the mean over all worlds is below 0 by an interval that holds for all kinds
together (Bonferroni; one of several that are tried looks good by chance), and gains enough to be computed for everybody
every week.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import public_tables
from across_customers import all_kinds, out_of_fold_rates
from bench_models_public import dataset as flat_dataset
from bench_models_public import folds
from bench_models_simulated import MODELS, company
from kinds_of_feature import KINDS, declared, kind_of
from measuring import FOLDER, Row
from needs import DATASETS
from scipy.stats import norm

from vouch import models
from vouch.features.ingest.stage import stage
from vouch.features.model_settings import ModelSettings
from vouch.features.project import Project
from vouch.features.simulation.parameters import LAST_INSTANT_US, PARAMETERS
from vouch.features.simulation.worlds import world
from vouch.models.definition import Cutoffs
from vouch.models.quality.figures import roc_auc
from vouch.models.scoring.calibration import sigmoid
from vouch.models.scoring.feature_matrix import Column
from vouch.training import run
from vouch.training.cutoffs import make_plan
from vouch.training.dataset import Dataset, build_panel, customers_of, data_begins, make_dataset
from vouch.training.recipes.learners import DEEPER, fit_lightgbm
from vouch.training.simulated.truth import true_probability

IS_LONG = True
ROWS_NEED = (DATASETS,)
CUSTOMERS, WORLDS = 1_500, (None, 1, 2, 3, 4)
ORIGINS, ORIGINS_OF_FEW, SEEDS, ROUNDS, DEEP_ROUNDS = 3, 8, 3, 70, 160
NEW_DAYS = 60
WORTH = 0.0005
"""Log loss that a kind must gain to be worth its computation."""
REAL = "uboot_contributors"
QUARTERS = Cutoffs(grid_days=91, spacing_days=91, train=20, most=24)
FLAT, MANY_VALUED = "telco_ibm_v11", 5
"""A category of more values than that is worth a rate."""
Matrix = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Gain:
    """What a kind adds to a model on one data set: the mean difference in log loss, and its standard error."""

    title: str
    kind: str
    model: str
    base: float
    """Log loss without it."""
    difference: float
    error: float
    note: str

    @property
    def row(self) -> Row:
        """One line of information: the log loss with the kind over that without it."""
        return Row(f"{self.title}: {self.kind}", "without it", 1 + self.difference / self.base, note=self.note)


def rows() -> Iterator[Row]:
    """Each company and model, kind by kind; over all worlds, where a kind has to pay; then real data."""
    has_datasets = bool(os.environ.get("VOUCH_DATASETS"))
    simulated: list[Gain] = []
    with declared():
        for seed in WORLDS:
            project = company(CUSTOMERS, PARAMETERS if seed is None else world(seed), seed or 0)
            for name in MODELS:
                title = f"world {seed or 'of every day'}, {name}"
                for gain in tried(title, panel(project, name, LAST_INSTANT_US), project):
                    simulated.append(gain)
                    yield gain.row
        yield from pooled(simulated)
        project = Project(FOLDER / REAL, str(public_tables.folder() / REAL)) if has_datasets else None
        settings = {"churn": ModelSettings(horizon_days=180, inactive_days=180)}
        for name in MODELS if project else ():
            data = panel(project, name, None, settings.get(name), QUARTERS)
            yield from (gain.row for gain in tried(f"{REAL}, {name}", data, None))
    if has_datasets:
        yield flat().row


def pooled(gains: Sequence[Gain]) -> Iterator[Row]:
    """The mean over all worlds by model and kind, with an interval that holds for all kinds together."""
    kinds = tuple(dict.fromkeys(gain.kind for gain in gains))
    width = float(norm.ppf(1 - 0.025 / max(len(kinds), 1)))
    for model in dict.fromkeys(gain.model for gain in gains):
        for kind in kinds:
            of = [gain for gain in gains if (gain.model, gain.kind) == (model, kind)]
            difference, base = (float(np.mean([getattr(gain, name) for gain in of])) for name in ("difference", "base"))
            half = width * float(np.sqrt(np.sum([gain.error**2 for gain in of]))) / len(of)
            note = f"{difference:+.5f} ± {half:.5f}, {len(of)} worlds"
            least = (base - max(half, WORTH)) / base
            yield Row(f"all worlds, {model}: {kind}", "without it", 1 + difference / base, at_most=least, note=note)


def panel(
    project: Project, name: str, as_of_us: int | None, settings: ModelSettings | None = None, cutoffs: Any = None
) -> Dataset:
    """The rows of one model, with the values of all kinds that are declared."""
    staged = stage(project, LAST_INSTANT_US)
    at = staged.default_as_of_us(LAST_INSTANT_US) if as_of_us is None else as_of_us
    tables, model = run.opened_by_size(project, staged), models.load(name).configured(settings)
    model = replace(model, cutoffs=cutoffs or model.cutoffs)
    target = model.target(tables)
    plan = make_plan(name, model.cutoffs, target, at, data_begins(tables), customers_of(tables, at))
    vectors = build_panel(tables, {name: (target, plan)})
    return make_dataset(model, target, plan, vectors, target.label(tables, plan.instants, at, target), ORIGINS_OF_FEW)


def tried(title: str, data: Dataset, project: Project | None) -> Iterator[Gain]:
    """The gain of each kind, and of all together; `project` is a simulated company with its truth."""
    customers = None if project is None else pd.read_parquet(f"{project.location}/customers.parquet")
    of_family = [kind_of(column.name) for column in data.columns]
    base = with_columns(data, [place for place, kind in enumerate(of_family) if kind is None])
    kinds: dict[str, Dataset] = {
        kind: with_columns(data, [place for place, of in enumerate(of_family) if of in {None, kind}]) for kind in KINDS
    }
    for kind, columns in all_kinds(base, customers).items():
        kinds[kind] = beside(base, columns)
    origins = ORIGINS_OF_FEW if project is None else ORIGINS
    places, alone = out_of_time(base, origins)
    judged = base.train.take(places)
    truth = judged.label
    if project is not None:
        known = true_probability(project, data.model.name, judged.scored(alone))
        truth = np.where(np.isfinite(known), known, judged.label)
    tenure = judged.matrix[:, [column.name for column in base.columns].index("tenure_days")]
    for kind, of in kinds.items():
        _, said = out_of_time(of, origins)
        yield gained((title, kind, data.model.name), judged.customers, truth, alone, said, tenure < NEW_DAYS)


def with_columns(data: Dataset, places: list[int]) -> Dataset:
    """The same rows with some of the columns."""
    train = replace(data.train, matrix=np.ascontiguousarray(data.train.matrix[:, places]))
    return replace(data, columns=tuple(data.columns[place] for place in places), train=train)


def beside(data: Dataset, columns: Mapping[str, Matrix]) -> Dataset:
    """The same rows with more columns."""
    matrix = np.column_stack([data.train.matrix, *columns.values()]).astype(np.float32)
    names = tuple(Column(name, name.partition("_")[0]) for name in columns)
    return replace(data, columns=(*data.columns, *names), train=replace(data.train, matrix=matrix))


def out_of_time(data: Dataset, origins: int) -> tuple[Matrix, Matrix]:
    """Places of the rows of the newest origins, and their probabilities by fits on rows final before each."""
    places, said = [], []
    for origin in data.plan.judged[-origins:]:
        here = np.flatnonzero(data.train.as_of_us == origin.test)
        places.append(here)
        said.append(mean_of_seeds(replace(data, train=data.at(origin.train)), data.train.matrix[here], ROUNDS))
    return np.concatenate(places), np.concatenate(said)


def mean_of_seeds(data: Dataset, matrix: Matrix, rounds: int, given: Mapping[str, Any] | None = None) -> Matrix:
    """Probabilities by the mean of fits that differ in what they draw."""
    fits = [fit_lightgbm(data, seed, given=given, rounds=rounds).scorer for seed in range(SEEDS)]
    return sigmoid(np.mean([scorer.raw(matrix) for scorer in fits], axis=0))


def log_loss(truth: Matrix, said: Matrix) -> Matrix:
    """Expected log loss of each row, where its outcome has this probability."""
    return -(truth * np.log(said) + (1 - truth) * np.log1p(-said))


def paired(customers: Matrix, difference: Matrix) -> tuple[float, float]:
    """Mean of a difference by row, and its standard error over customers."""
    mean = float(difference.mean())
    by_customer = pd.Series(difference - mean).groupby(customers).sum()
    return mean, float(np.sqrt((by_customer**2).sum())) / len(difference)


def soft_auc(truth: Matrix, said: Matrix) -> float:
    """ROC-AUC where outcomes are probabilities: the chance that who comes true stands above who does not."""
    if np.isin(truth, (0.0, 1.0)).all():
        return roc_auc(truth, said)
    ordered = truth[np.argsort(said, kind="stable")]
    below = np.cumsum(1 - ordered) - (1 - ordered)
    return float((ordered * below).sum() / (ordered.sum() * (1 - ordered).sum() - (ordered * (1 - ordered)).sum()))


def gained(
    names: tuple[str, str, str], customers: Matrix, truth: Matrix, alone: Matrix, said: Matrix, is_new: Matrix
) -> Gain:
    """What changed from `alone` to `said`, over all customers and over the new ones."""
    before, after = log_loss(truth, alone), log_loss(truth, said)
    difference, error = paired(customers, after - before)
    auc = soft_auc(truth, said) - soft_auc(truth, alone)
    note = f"{difference:+.5f} ± {1.96 * error:.5f}, ROC-AUC {auc:+.4f}"
    if is_new.any():
        young, of_young = paired(customers[is_new], (after - before)[is_new])
        young_auc = soft_auc(truth[is_new], said[is_new]) - soft_auc(truth[is_new], alone[is_new])
        young_note = f"{young:+.5f} ± {1.96 * of_young:.5f}, ROC-AUC {young_auc:+.4f} ({is_new.sum()} rows)"
        note = f"{note}; under {NEW_DAYS} days {young_note}"
    return Gain(*names, float(before.mean()), difference, error, note)


def flat() -> Gain:
    """Categories of many values as rates that are out of fold inside training, on a flat table."""
    frame, label = public_tables.TABLES[FLAT]()
    columns, matrix = public_tables.encoded(frame)
    fold, alone, said = folds(label, 5, 0), np.empty(len(label)), np.empty(len(label))
    many = [place for place, of in enumerate(columns) if of.categories and len(of.categories) > MANY_VALUED]
    texts = {place: frame[columns[place].name].astype(str).to_numpy() for place in many}
    for number in range(5):
        inside = fold != number
        data = flat_dataset(columns, matrix[inside], label[inside], np.zeros(inside.sum(), np.int64), 1)
        alone[~inside] = mean_of_seeds(data, matrix[~inside], DEEP_ROUNDS, DEEPER)
        rates = {place: rates_of(texts[place], label, inside, number) for place in many}
        with_rates = matrix.copy()
        for place, of in rates.items():
            with_rates[:, place] = of
        plain = tuple(replace(of, categories=None) if place in rates else of for place, of in enumerate(columns))
        data = flat_dataset(plain, with_rates[inside], label[inside], np.zeros(inside.sum(), np.int64), 1)
        said[~inside] = mean_of_seeds(data, with_rates[~inside], DEEP_ROUNDS, DEEPER)
    nobody = np.zeros(len(label), bool)
    names = (FLAT, f"rates of {len(many)} columns", "churn")
    return gained(names, np.arange(len(label)), label, alone, said, nobody)


def rates_of(texts: Matrix, label: Matrix, inside: Matrix, seed: int) -> Matrix:
    """Rates by category: out of fold for the rows inside, by all rows inside for the others."""
    made = np.empty(len(label))
    made[inside] = out_of_fold_rates(texts[inside], label[inside], folds(label[inside], 8, seed))
    made[~inside] = out_of_fold_rates(texts, label, (~inside).astype(np.int64))[~inside]
    return made
