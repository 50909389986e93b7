"""Audit of the health rules against outcomes: does each measure tell who leaves, and what should it weigh?

Of several past instants whose outcome is final, customers who could leave are scored by the rules as known then, and
set against who had left by the end of the horizon. A measure that tells nothing has an AUC of 0.5; where its points are
in the right order, the share that left falls from tier to tier. The suggested weights are those of a logistic fit that
may only be positive, with an interval from resampled customers; they are told, never applied: changing the rules is a
decision, and a new version of `health.toml`. Rules that a company would take over are set against those that hold, on
the same customers.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
import pyarrow as pa
from scipy.optimize import minimize

from vouch.features.contract.tables import DAY_US
from vouch.features.errors import DataError
from vouch.features.health import HealthRules, health_rules, with_health
from vouch.features.health.score import by_segment
from vouch.features.metrics.estimators import finite
from vouch.features.statistics import intervals
from vouch.features.vectors.build import collect, vectors_at
from vouch.features.vectors.compared import without_early_comparisons
from vouch.models.definition import SCORED, load
from vouch.models.quality.figures import figure_interval, roc_auc

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from vouch.features.asof import Tables
    from vouch.features.metrics.estimators import Floats

SPACING_DAYS = 28
INSTANTS = 4
DRAWS = 100
RIDGE = 1e-3
"""Per row, so that a weight of which nothing is known is 0."""
LEAST_LEAVERS = 20
SCORE = "health_score"


@dataclass(frozen=True)
class Tier:
    """One tier of a measure: customers in it, and the percentage that left."""

    points: float
    n: int
    left: float
    left_low: float
    left_high: float


@dataclass(frozen=True)
class Audit:
    """One measure, or the score as a whole (`measure` is `health_score`), against what came true."""

    measure: str
    group: str | None
    n: int
    coverage: float
    auc: float | None
    auc_low: float | None
    auc_high: float | None
    trend_z: float | None
    is_monotone: bool
    weight: float | None
    suggested_weight: float | None
    suggested_low: float | None
    suggested_high: float | None
    tiers: tuple[Tier, ...]

    def as_dict(self) -> dict[str, Any]:
        """The columns by name."""
        return asdict(self)


def audit(tables: Tables, known_us: int, using: HealthRules | None = None) -> list[Audit]:
    """Audit the rules by what is known at an instant: the score first, then its measures in the order of the file.

    Raises MissingTable where nobody's leaving can be told, DataError where too few have left to judge by.
    """
    chosen = using or health_rules()
    return audited(panel(tables, known_us, chosen), chosen)


def audited(rows: pd.DataFrame, chosen: HealthRules) -> list[Audit]:
    """Audit rules by the rows of `panel`; raises DataError where too few have left to judge by."""
    frame = _judged_rows(rows, chosen)
    left = _leavers(frame)
    customers = frame["customer_id"].to_numpy()
    points = np.column_stack([frame[f"points {measure.feature}"] for measure in chosen.measures])
    low, middle, high = suggested(points, left, customers)
    audits = [_judged(SCORE, None, frame[SCORE].to_numpy(np.float64), left, customers, _bands(frame, chosen))]
    for place, measure in enumerate(chosen.measures):
        one = _judged(measure.feature, measure.group, points[:, place], left, customers, points[:, place])
        weights = {"weight": measure.weight / chosen.whole, "suggested_weight": finite(middle[place])}
        ends = {"suggested_low": finite(low[place]), "suggested_high": finite(high[place])}
        audits.append(Audit(**{**vars(one), **weights, **ends}))
    return audits


@dataclass(frozen=True)
class Comparison:
    """Rules that would be taken over against those that hold: how well each tells who leaves.

    `auc` and `auc_held` are those of the two scores over the customers that both score, `difference` is the first less
    the second, with the ends of its 95 % interval from resampled customers.
    """

    n: int
    left: int
    auc: float
    auc_held: float
    difference: float
    difference_low: float
    difference_high: float

    def objection(self) -> str | None:
        """Why the rules should not be taken over; None where nothing speaks against them."""
        if self.auc <= 0.5:
            return f"their score tells who leaves no better than chance (AUC {self.auc:.3f})"
        if self.difference_high < 0:
            return (
                f"their score tells who leaves less well than the rules that hold: AUC {self.auc:.3f} after "
                f"{self.auc_held:.3f}, a difference of {self.difference:.3f} "
                f"({self.difference_low:.3f} to {self.difference_high:.3f})"
            )
        return None


def compared(rows: pd.DataFrame, own: HealthRules, held: HealthRules) -> Comparison:
    """Set the rules of a company against those that hold, by the rows of `panel`; raises DataError where few left."""
    scores = np.column_stack([_judged_rows(rows, rules)[SCORE].to_numpy(np.float64) for rules in (own, held)])
    both = ~np.isnan(scores).any(axis=1)
    left, customers = _leavers(rows.loc[both]), rows.loc[both, "customer_id"].to_numpy()
    auc, auc_held = (roc_auc(left, -column) for column in scores[both].T)
    distinct, code = np.unique(customers, return_inverse=True)
    generator, drawn = np.random.default_rng(0), []
    for _ in range(DRAWS):
        times = np.bincount(generator.integers(0, len(distinct), len(distinct)), minlength=len(distinct))[code]
        ours, theirs = (roc_auc(left, -column, times) for column in scores[both].T)
        drawn.append(ours - theirs)
    low, high = np.nanquantile(drawn, [intervals.TAIL, 1 - intervals.TAIL])
    return Comparison(len(left), int(left.sum()), auc, auc_held, auc - auc_held, float(low), float(high))


def _leavers(rows: pd.DataFrame) -> Floats:
    """1 for who left; raises DataError where these are too few to judge by."""
    left: Floats = rows["label"].to_numpy(np.float64)
    if left.sum() < LEAST_LEAVERS:
        raise DataError(f"{left.sum():.0f} customers left in the time to audit: at least {LEAST_LEAVERS} are needed")
    return left


def panel(tables: Tables, known_us: int, *using: HealthRules) -> pd.DataFrame:
    """Customers who could leave at each instant, with what the rules read of them, and whether they left.

    Raises MissingTable where nobody's leaving can be told.
    """
    import pandas as pd

    target = load("churn").target(tables)
    last_us = (known_us - target.matured_days * DAY_US) // DAY_US * DAY_US
    instants = [last_us - back * SPACING_DAYS * DAY_US for back in reversed(range(INSTANTS))]
    labels = target.label(tables, instants, known_us, target)
    read = list(dict.fromkeys([name for rules in using for name in rules.reads]))
    frames = []
    for instant, lazy in zip(instants, vectors_at(tables, instants), strict=True):
        rows = collect(without_early_comparisons(lazy, tables, instant))
        rows = rows.loc[np.isin(target.status(rows), list(SCORED)), ["customer_id", *read]]
        of_instant = labels.loc[labels["as_of_us"] == instant, ["customer_id", "label"]]
        frames.append(rows.merge(of_instant, on="customer_id", how="inner", validate="one_to_one"))
    joined = pd.concat(frames, ignore_index=True)
    return joined.loc[joined["label"].notna()].reset_index(drop=True)


def _judged_rows(rows: pd.DataFrame, chosen: HealthRules) -> pd.DataFrame:
    """Rows of `panel` with points, score and band, each by the rules of the customer's segment."""
    points = [_points(chosen, place).alias(f"points {one.feature}") for place, one in enumerate(chosen.measures)]
    read = nw.from_native(pa.Table.from_pandas(rows[chosen.reads], preserve_index=False)).lazy("polars")
    judged: pd.DataFrame = with_health(read, chosen).with_columns(*points).collect("pandas").to_native()
    return judged.assign(customer_id=rows["customer_id"].to_numpy(), label=rows["label"].to_numpy())


def _points(chosen: HealthRules, place: int) -> nw.Expr:
    """Points of one measure, by the rules of each row's segment."""
    return by_segment(chosen, lambda rules: rules.measures[place].points())


def _bands(frame: pd.DataFrame, chosen: HealthRules) -> Floats:
    """Start of the band of each row; NaN where it is unknown."""
    starts = dict(chosen.bands)
    return np.array([starts.get(band, np.nan) for band in frame["health_band"]])


def _judged(name: str, group: str | None, points: Floats, left: Floats, customers: Floats, tiers: Floats) -> Audit:
    """AUC of few points for leaving, and the share that left by tier."""
    known = ~np.isnan(points)
    y, risk = left[known], -points[known]
    can_tell = 0 < y.sum() < len(y)
    auc = roc_auc(y, risk) if can_tell else None
    ends = figure_interval(customers[known], y, risk, "roc_auc", DRAWS) if can_tell else (None, None)
    rows = _tiers(tiers[~np.isnan(tiers)], left[~np.isnan(tiers)])
    return Audit(
        measure=name, group=group, n=int(known.sum()), coverage=float(known.mean()) if len(known) else 0.0, auc=auc,
        auc_low=ends[0], auc_high=ends[1], trend_z=trend(tiers, left), is_monotone=is_monotone(rows),
        weight=None, suggested_weight=None, suggested_low=None, suggested_high=None, tiers=rows,
    )  # fmt: skip


def _tiers(points: Floats, left: Floats) -> tuple[Tier, ...]:
    tiers = []
    for value in np.unique(points):
        of_tier = left[points == value]
        ends = intervals.wilson(of_tier.sum(), len(of_tier)).scaled(100)
        tiers.append(Tier(float(value), len(of_tier), float(100 * of_tier.mean()), float(ends.low), float(ends.high)))
    return tuple(tiers)


def is_monotone(tiers: Sequence[Tier]) -> bool:
    """Whether nowhere more customers left, beyond chance, from a tier of more points than from one of fewer.

    >>> low, high = Tier(0, 900, 9.0, 7.3, 11.1), Tier(50, 900, 12.0, 10.0, 14.3)
    >>> is_monotone([low, high]), is_monotone([low, Tier(50, 900, 15.0, 12.8, 17.5)])
    (True, False)
    """
    return all(better.left_low <= worse.left_high for place, worse in enumerate(tiers) for better in tiers[place + 1 :])


def trend(points: Floats, left: Floats) -> float | None:
    """Cochran-Armitage z of the trend of leaving over points; below 0 where more points leave less. Armitage 1955."""
    known = ~np.isnan(points)
    x, y = points[known], left[known]
    share = y.mean() if len(y) else 0.0
    spread = share * (1 - share) * ((x - x.mean()) ** 2).sum() if len(x) else 0.0
    return float((y * (x - x.mean())).sum() / np.sqrt(spread)) if spread > 0 else None


def suggested(points: Floats, left: Floats, customers: Floats) -> tuple[Floats, Floats, Floats]:
    """Low end, value and high end of each measure's share of the weight; NaN where no measure tells anything."""
    danger = 1 - points / 100
    centre = np.array([column[~np.isnan(column)].mean() if (~np.isnan(column)).any() else 0.0 for column in danger.T])
    rows, row = np.unique(np.where(np.isnan(danger), centre, danger), axis=0, return_inverse=True)
    distinct, code = np.unique(customers, return_inverse=True)
    generator, drawn = np.random.default_rng(0), []
    middle = _shares(rows, row, left, np.ones(len(left)))
    for _ in range(DRAWS):
        times = np.bincount(generator.integers(0, len(distinct), len(distinct)), minlength=len(distinct))
        drawn.append(_shares(rows, row, left, times[code].astype(np.float64)))
    ends = np.nanquantile(np.array(drawn), [intervals.TAIL, 1 - intervals.TAIL], axis=0)
    return np.minimum(ends[0], middle), middle, np.maximum(ends[1], middle)


def _shares(design: Floats, row: NDArray[np.int64], left: Floats, times: Floats) -> Floats:
    """Coefficients of a logistic fit that may only be positive, as shares of their sum; equal rows are fitted once."""
    size, lost = (np.bincount(row, values, len(design)) for values in (times, times * left))
    total = times.sum()

    def loss(given: Floats) -> tuple[float, Floats]:
        odds = given[0] + design @ given[1:]
        rest = size / (1 + np.exp(-odds)) - lost
        value = (size * np.logaddexp(0, odds) - lost * odds).sum() / total + RIDGE * (given[1:] ** 2).sum()
        slope = np.append(rest.sum(), rest @ design) / total
        slope[1:] += 2 * RIDGE * given[1:]
        return float(value), slope

    width = design.shape[1]
    limits = [(None, None), *[(0.0, None)] * width]
    fitted = minimize(loss, np.zeros(width + 1), jac=True, method="L-BFGS-B", bounds=limits).x[1:]
    whole = fitted.sum()
    return fitted / whole if whole > 0 else np.full(width, np.nan)
