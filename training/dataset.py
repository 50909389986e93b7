"""Training datasets at rolling cutoffs: point-in-time vectors at each, labels as known when the run began.

The newest instants with a final outcome are for the test, the ones before for calibration, the ones before those for
fitting. Embargo: all outcomes of one part are final before the first cutoff of the next, so that no part could have
seen a label of a later one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.features.contract.tables import ACTIVITY_TABLES, DAY_US
from vouch.features.errors import Refused
from vouch.features.facts.beginning import beginning_us
from vouch.features.instants import WEEK_US
from vouch.features.statistics.few import FEWEST, OTHER
from vouch.features.vectors.build import collect, vectors_at
from vouch.features.vectors.declare import load_families
from vouch.models.definition import SCORED
from vouch.models.predictor import encode
from vouch.models.scoring.feature_matrix import Column

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    from vouch.features.asof import Tables
    from vouch.models.definition import Cutoffs, Model, Target
    from vouch.models.scoring.trees import Matrix, Numbers

MAXIMUM_CATEGORIES = 64
MINIMUM_OF_CATEGORY = FEWEST
"""Customers whom a category needs in the training rows: a model is kept for longer than the people in it."""
ROWS_OF_CATEGORY = 20
"""Training rows that a category needs, for less teaches nothing. Rarer ones are pooled, where they are enough."""
ROWS_LOOKED_AT = 4000
"""Training rows, evenly spaced, that made-up rows are drawn after."""


@dataclass(frozen=True)
class CutoffPlan:
    """The cutoffs of one model, in microseconds, each part rising; `notes` says what the history did not allow."""

    train: tuple[int, ...]
    calibrate: tuple[int, ...]
    test: tuple[int, ...]
    notes: tuple[str, ...] = ()

    @property
    def instants(self) -> tuple[int, ...]:
        """All cutoffs, rising."""
        return (*self.train, *self.calibrate, *self.test)


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
    """What one model is fitted, calibrated and tested on."""

    model: Model
    target: Target
    plan: CutoffPlan
    columns: tuple[Column, ...]
    train: DatasetPart
    calibrate: DatasetPart
    test: DatasetPart
    test_frame: pd.DataFrame
    """Whole vectors of the test rows, for another model to score."""
    moments: pd.DataFrame | None = None
    """`customer_id`, `moment_us`: each time the outcome came true, where it is a moment."""


def data_begins(tables: Tables) -> int:
    """Return the first week in which the company's activity is really there; see `vouch.features.facts.beginning`."""
    first_us = beginning_us(tables.frames[name] for name in ACTIVITY_TABLES if name in tables)
    if first_us is None:
        raise Refused("There is no activity to learn from: usage_events and transactions hold no rows")
    return first_us // WEEK_US * WEEK_US


def make_plan(name: str, cutoffs: Cutoffs, target: Target, as_of_us: int, begins_us: int) -> CutoffPlan:
    """Lay the cutoffs of a model back from `as_of_us`.

    Where the history is short, there are fewer of them, and no calibration at the worst; `notes` says so. Raises
    Refused where there is no room for one cutoff to fit on and one to test on.
    """
    earliest = begins_us + cutoffs.history_days * DAY_US
    for calibrate, test in ((cutoffs.calibrate, cutoffs.test), (1, 1), (0, 1)):
        parts: list[tuple[int, ...]] = []
        before = as_of_us
        for count in (test, calibrate, cutoffs.train):
            parts.append(_part(cutoffs, as_of_us, before - target.matured_days * DAY_US, earliest, count))
            before = parts[-1][0] if parts[-1] else before
        if parts[2] and len(parts[1]) == calibrate and len(parts[0]) == test:
            return CutoffPlan(parts[2], parts[1], parts[0], tuple(_notes(cutoffs, parts)))
    there = (as_of_us - begins_us) // DAY_US
    needed = 2 * target.matured_days + cutoffs.history_days
    raise Refused(
        f"Model {name!r}: the history is too short. {there} days of activity are there; about {needed} are needed: "
        f"{cutoffs.history_days} before the first cutoff, and twice {target.matured_days} until an outcome is final "
        f"(once to fit, once to test)."
    )


def _part(cutoffs: Cutoffs, as_of_us: int, latest: int, earliest: int, count: int) -> tuple[int, ...]:
    grid = cutoffs.grid_days * DAY_US
    first = as_of_us - -(-(as_of_us - latest) // grid) * grid
    steps = (first - step * cutoffs.spacing_days * DAY_US for step in range(count))
    return tuple(sorted(instant for instant in steps if instant >= earliest))


def _notes(cutoffs: Cutoffs, parts: Sequence[tuple[int, ...]]) -> Iterable[str]:
    wanted = {"test": cutoffs.test, "calibration": cutoffs.calibrate, "training": cutoffs.train}
    for (name, count), part in zip(wanted.items(), parts, strict=True):
        if len(part) < count:
            yield f"{len(part)} of {count} {name} cutoffs: the history does not reach further back"


@dataclass(frozen=True)
class InstantVectors:
    """Vectors of one instant, rows kept that some model needs; numbers as float32."""

    as_of_us: int
    frame: pd.DataFrame
    status: Mapping[str, np.ndarray[Any, Any]]


def build_panel(tables: Tables, wanted: Mapping[str, tuple[Target, CutoffPlan]]) -> dict[int, InstantVectors]:
    """Compute the vectors of all instants that some model needs, each once, and say who is eligible for which model."""
    panel = {}
    instants = sorted({instant for _, plan in wanted.values() for instant in plan.instants})
    for instant, found_at in zip(instants, vectors_at(tables, instants), strict=True):
        frame = collect(found_at)
        status = {name: target.status(frame) for name, (target, plan) in wanted.items() if instant in plan.instants}
        keep = np.zeros(len(frame), dtype=bool)
        for statuses in status.values():
            keep |= np.isin(statuses, list(SCORED))
        numbers = frame.select_dtypes("float64").columns
        vectors = frame.loc[keep].astype(dict.fromkeys(numbers, "float32")).reset_index(drop=True)
        panel[instant] = InstantVectors(instant, vectors, {name: statuses[keep] for name, statuses in status.items()})
    return panel


def make_dataset(
    model: Model, target: Target, plan: CutoffPlan, panel: Mapping[int, InstantVectors], labels: pd.DataFrame
) -> Dataset:
    """Join vectors of eligible customers with their labels and encode them; censored rows are dropped.

    Only features that vary in the training rows are kept. Raises Refused where too few outcomes came true.
    """
    frames = {
        part: _eligible(model, panel, labels, instants)
        for part, instants in (("train", plan.train), ("calibrate", plan.calibrate), ("test", plan.test))
    }
    _check_positives(model, target, plan, frames)
    columns = tuple(_columns(model, frames["train"]))
    parts = {
        part: DatasetPart(
            encode(frame, columns),
            frame["label"].to_numpy(np.float64),
            frame["customer_id"].to_numpy(dtype=object),
            frame["as_of_us"].to_numpy(np.int64),
        )
        for part, frame in frames.items()
    }
    train, calibrate, test = (parts[part] for part in ("train", "calibrate", "test"))
    return Dataset(model, target, plan, columns, train, calibrate, test, frames["test"])


def _eligible(
    model: Model, panel: Mapping[int, InstantVectors], labels: pd.DataFrame, instants: Sequence[int]
) -> pd.DataFrame:
    import pandas as pd

    if not instants:
        first = next(iter(panel.values())).frame
        return first.iloc[:0].assign(label=np.empty(0))
    frames = []
    for instant in instants:
        known = panel[instant]
        rows = known.frame.loc[np.isin(known.status[model.name], list(SCORED))]
        of_instant = labels.loc[labels["as_of_us"] == instant, ["customer_id", "label"]]
        frames.append(rows.merge(of_instant, on="customer_id", how="inner", validate="one_to_one"))
    joined = pd.concat(frames, ignore_index=True)
    return joined.loc[joined["label"].notna()].reset_index(drop=True)


def _check_positives(model: Model, target: Target, plan: CutoffPlan, frames: Mapping[str, pd.DataFrame]) -> None:
    train, test = frames["train"]["label"], frames["test"]["label"]
    least = model.gate.minimum_positives
    rarer = min(train.sum(), len(train) - train.sum())
    if rarer < least or test.nunique() < 2:
        raise Refused(
            f"Model {model.name!r} ({target.name}): too few outcomes to learn from. {len(train)} training rows at "
            f"{len(plan.train)} cutoffs hold {train.sum():.0f} positives, {len(test)} test rows hold {test.sum():.0f}; "
            f"at least {least} of each kind are needed to fit, and both kinds to test."
        )


def _columns(model: Model, train: pd.DataFrame) -> Iterable[Column]:
    """Features that the model uses and that vary in the training rows."""
    for feature in load_families().values():
        if not model.uses(feature):
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
