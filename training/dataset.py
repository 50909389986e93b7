"""Training datasets: point-in-time vectors at each cutoff, with labels as known when the run began.

The rows of all instants whose outcome is final are what serves is fitted on; those of the origins are judged, each by a
model that was fitted on rows whose outcomes were final before (`vouch.training.cutoffs`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from vouch.features.asof import view
from vouch.features.contract.tables import ACTIVITY_TABLES
from vouch.features.errors import Refused
from vouch.features.facts.beginning import beginning_us
from vouch.features.facts.cadence import cadences
from vouch.features.health import health_rules
from vouch.features.instants import WEEK_US
from vouch.features.statistics.few import FEWEST, OTHER
from vouch.features.vectors.build import collect, vectors_at
from vouch.features.vectors.declare import load_families
from vouch.features.vectors.short_windows import short_windows
from vouch.models.definition import SCORED
from vouch.models.predictor import encode
from vouch.models.scoring.feature_matrix import Column
from vouch.training.cutoffs import ORIGINS, lay_origins

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    from vouch.features.asof import Tables
    from vouch.features.health import HealthRules
    from vouch.models.definition import Model
    from vouch.models.scoring.trees import Matrix, Numbers
    from vouch.models.targets import Target
    from vouch.training.arms import TrialArms
    from vouch.training.cutoffs import CutoffPlan

MAXIMUM_CATEGORIES = 64
MINIMUM_OF_CATEGORY = FEWEST
"""Customers whom a category needs in the training rows: a model is kept for longer than the people in it."""
ROWS_OF_CATEGORY = 20
"""Training rows that a category needs, for less teaches nothing. Rarer ones are pooled, where they are enough."""
ROWS_LOOKED_AT = 4000
"""Training rows, evenly spaced, that made-up rows are drawn after."""


@dataclass(frozen=True)
class DatasetPart:
    """Rows of one part of a dataset: encoded features, label, customer and instant of each."""

    matrix: Matrix
    label: Numbers
    customers: np.ndarray[Any, Any]
    as_of_us: np.ndarray[Any, np.dtype[np.int64]]

    def __len__(self) -> int:
        return len(self.label)

    @property
    def positives(self) -> int:
        """Rows whose outcome came true."""
        return int(self.label.sum())

    def take(self, rows: np.ndarray[Any, Any]) -> DatasetPart:
        """Rows by mask or position."""
        return DatasetPart(self.matrix[rows], self.label[rows], self.customers[rows], self.as_of_us[rows])

    def scored(self, probability: Numbers) -> pd.DataFrame:
        """Whose rows these are, what came true, and what a model said: one row each."""
        import pandas as pd

        return pd.DataFrame(
            {
                "customer_id": self.customers,
                "as_of_us": self.as_of_us,
                "label": self.label,
                "probability": probability,
            }
        )


@dataclass(frozen=True)
class Dataset:
    """What one model is fitted on, and the rows among them that are judged."""

    model: Model
    target: Target
    plan: CutoffPlan
    columns: tuple[Column, ...]
    train: DatasetPart
    """Rows that are fitted on: all of them, or those of one origin."""
    test: DatasetPart
    """Rows that are judged: those of all judged origins, the oldest first."""
    test_frame: pd.DataFrame
    """Whole vectors of the test rows, for another model to score."""
    moments: pd.DataFrame | None = None
    """`customer_id`, `moment_us`: each time the outcome came true, where it is a moment."""
    health: HealthRules = field(default_factory=health_rules)
    """Rules of the health score that hold in the company: the baseline `health` goes by them."""
    trials: TrialArms | None = None
    """Who was treated and who was not, where the outcome answers a treatment."""

    def at(self, instants: Sequence[int]) -> DatasetPart:
        """Rows of some instants."""
        return self.train.take(np.isin(self.train.as_of_us, np.array(instants, np.int64)))

    @property
    def newest(self) -> DatasetPart:
        """Rows of the newest instant."""
        return self.at([int(self.train.as_of_us.max())])


def data_begins(tables: Tables) -> int:
    """Return the first week in which the company's activity is really there; see `vouch.features.facts.beginning`."""
    first_us = beginning_us(tables.frames[name] for name in ACTIVITY_TABLES if name in tables)
    if first_us is None:
        raise Refused("There is no activity to learn from: usage_events and transactions hold no rows")
    return first_us // WEEK_US * WEEK_US


def customers_of(tables: Tables, as_of_us: int) -> int:
    """Return how many customers the company has had, as known at an instant."""
    counted = view(tables, "customers", as_of_us).select(nw.col("customer_id").n_unique().alias("customers"))
    (row,) = counted.collect("pyarrow").to_native().to_pylist()
    return int(row["customers"])


@dataclass(frozen=True)
class InstantVectors:
    """Vectors of one instant, rows kept that some model needs; numbers as float32."""

    as_of_us: int
    frame: pd.DataFrame
    status: Mapping[str, np.ndarray[Any, Any]]
    short: frozenset[str] = frozenset()
    """Features whose window is shorter than the cadence of their table."""


def build_panel(tables: Tables, wanted: Mapping[str, tuple[Target, CutoffPlan]]) -> dict[int, InstantVectors]:
    """Compute the vectors of all instants that some model needs, each once, and say who is eligible for which model."""
    panel = {}
    instants = sorted({instant for _, plan in wanted.values() for instant in plan.instants})
    short = short_windows(cadences(tables, instants[-1])) if instants else frozenset()
    for instant, at_instant in zip(instants, vectors_at(tables, instants), strict=True):
        frame = collect(at_instant)
        status = {name: target.status(frame) for name, (target, plan) in wanted.items() if instant in plan.instants}
        keep = np.zeros(len(frame), dtype=bool)
        for statuses in status.values():
            keep |= np.isin(statuses, list(SCORED))
        numbers = frame.select_dtypes("float64").columns
        vectors = frame.loc[keep].astype(dict.fromkeys(numbers, "float32")).reset_index(drop=True)
        kept = {name: statuses[keep] for name, statuses in status.items()}
        panel[instant] = InstantVectors(instant, vectors, kept, short)
    return panel


def make_dataset(
    model: Model,
    target: Target,
    plan: CutoffPlan,
    panel: Mapping[int, InstantVectors],
    labels: pd.DataFrame,
    origins: int = ORIGINS,
) -> Dataset:
    """Join vectors of eligible customers with their labels and encode them; censored rows are dropped.

    Lays the origins of the plan. Only features that vary are kept, and no window below the cadence of its table.
    Raises Refused where too few outcomes came true.
    """
    frame = _eligible(model, panel, labels, plan.instants)
    came_true = frame.groupby("as_of_us")["label"]
    rarer = np.minimum(came_true.sum().to_numpy(), (came_true.size() - came_true.sum()).to_numpy())
    outcomes = dict(zip(sorted(frame["as_of_us"].unique().tolist()), rarer.tolist(), strict=True))
    plan = lay_origins(plan, model.cutoffs, target, origins, outcomes)
    _check_positives(model, target, plan, frame)
    short = frozenset[str]().union(*(panel[instant].short for instant in plan.instants))
    columns = tuple(_columns(model, frame, short))
    every = DatasetPart(
        encode(frame, columns),
        frame["label"].to_numpy(np.float64),
        frame["customer_id"].to_numpy(dtype=object),
        frame["as_of_us"].to_numpy(np.int64),
    )
    is_judged = np.isin(every.as_of_us, [of.test for of in plan.judged])
    judged = frame.loc[is_judged].reset_index(drop=True)
    return Dataset(model, target, plan, columns, every, every.take(is_judged), judged)


def _eligible(
    model: Model, panel: Mapping[int, InstantVectors], labels: pd.DataFrame, instants: Sequence[int]
) -> pd.DataFrame:
    import pandas as pd

    frames = []
    for instant in instants:
        known = panel[instant]
        rows = known.frame.loc[np.isin(known.status[model.name], list(SCORED))]
        of_instant = labels.loc[labels["as_of_us"] == instant, ["customer_id", "label"]]
        frames.append(rows.merge(of_instant, on="customer_id", how="inner", validate="one_to_one"))
    joined = pd.concat(frames, ignore_index=True)
    return joined.loc[joined["label"].notna()].reset_index(drop=True)


def _check_positives(model: Model, target: Target, plan: CutoffPlan, frame: pd.DataFrame) -> None:
    train, test = (
        frame.loc[frame["as_of_us"].isin(of), "label"]
        for of in (plan.origins[-1].train, [of.test for of in plan.judged])
    )
    least = model.gate.minimum_positives
    rarer = min(min(of.sum(), len(of) - of.sum()) for of in (train, test))
    if rarer < least:
        raise Refused(
            f"Model {model.name!r} ({target.name}): too few outcomes to learn from. {len(train)} training rows at "
            f"{len(plan.origins[-1].train)} cutoffs hold {train.sum():.0f} positives, {len(test)} rows at "
            f"{len(plan.judged)} origins hold {test.sum():.0f}; at least {least} of each kind are needed to fit, and "
            f"to judge."
        )


def _columns(model: Model, train: pd.DataFrame, left_out: frozenset[str]) -> Iterable[Column]:
    """Features that the model uses and that vary in the training rows."""
    for feature in load_families().values():
        if not model.uses(feature) or feature.name in left_out:
            continue
        values = train[feature.name]
        if feature.is_category:
            names = _categories(values, train["customer_id"])
            if len(names) > 1 or (names and values.isna().any()):
                yield Column(feature.name, feature.family, names)
        elif values.nunique() > 1 or (values.nunique() == 1 and values.isna().any()):
            yield Column(feature.name, feature.family)


def _categories(values: pd.Series[Any], customers: pd.Series[Any]) -> tuple[str, ...]:
    """The categories of a feature, in order: those that are common enough, and OTHER for the rest together."""
    rows, people = values.value_counts(), customers.groupby(values, observed=True).nunique()
    common = [name for name in rows.index if _is_common(rows[name], people[name])]
    named = sorted(common, key=lambda name: (-rows[name], str(name)))[:MAXIMUM_CATEGORIES]
    rest = values.notna() & ~values.isin(named)
    is_pooled = _is_common(int(rest.sum()), customers[rest].nunique())
    return tuple(sorted({*map(str, named), *([OTHER] if is_pooled else [])}))


def _is_common(rows: int, customers: int) -> bool:
    return customers >= MINIMUM_OF_CATEGORY and rows >= ROWS_OF_CATEGORY


def made_up_rows(data: Dataset, rows: int, seed: int) -> pd.DataFrame:
    """Rows that look like vectors and are nobody's: each cell drawn by itself from rounded quantiles of its feature."""
    import pandas as pd

    generator = np.random.default_rng(seed)
    cells: dict[str, Any] = {}
    some = np.ascontiguousarray(data.train.matrix[:: -(-len(data.train) // ROWS_LOOKED_AT)].T)
    for place, column in enumerate(data.columns):
        values = data.train.matrix[:, place] if np.isnan(some[place]).all() else some[place]
        known = values[~np.isnan(values)].astype(np.float64)
        is_missing = generator.random(rows) < 1 - len(known) / len(values)
        if column.categories is None:
            steps = [float(f"{value:.3g}") for value in np.quantile(known, np.linspace(0.05, 0.95, 7))]
            cells[column.name] = np.where(is_missing, np.nan, generator.choice(steps, rows))
        else:
            drawn = pd.Series(generator.choice(np.array(column.categories, dtype=object), rows), dtype="str")
            cells[column.name] = drawn.mask(is_missing)
    return pd.DataFrame(cells)
