"""The health score: what rules make of the columns of a vector, with coverage and bounds.

Our own definition. A measure whose feature is null is missing: the score is the mean over what is there, and the bounds
take what is missing for 0 and for 100. The band follows the lower bound, so that a missing input can never improve it
(a mean over what is left would rise when a bad input drops out), and is `unknown` where too little is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import narwhals as nw

from vouch.features.health.rules import HealthRules, Measure, health_rules
from vouch.features.vectors.build import narrow_vectors
from vouch.features.vectors.compared import without_early_comparisons

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vouch.features.asof import Frame, Tables

UNKNOWN = "unknown"
NEAR = 1e-9
"""How far below a limit still counts as on it: weights such as 0.15 do not add up exactly."""
COLUMNS = ("health_score", "health_coverage", "health_low", "health_high", "health_band")


@dataclass(frozen=True)
class BandReason:
    """Why a band is another one than the score alone would give.

    `lower_bound`: it follows the lower bound, which counts what is missing as 0. `too_little_known`: less of the weight
    is known than the rules ask for.
    """

    code: Literal["lower_bound", "too_little_known"]
    band: str
    band_of_score: str | None
    low: float
    coverage: float
    coverage_floor: float

    def __str__(self) -> str:
        if self.code == "too_little_known":
            floor, coverage = f"{self.coverage_floor:.0%}", f"{self.coverage:.0%}"
            return f"The band is {self.band}: only {coverage} of the weight is known, and {floor} is needed."
        return (
            f"The band is {self.band} and not {self.band_of_score}: it follows the lower bound, {self.low:.0f} of "
            "100, which counts what is missing as 0."
        )


def band_of(score: float, using: HealthRules | None = None) -> str:
    """Return the band of a score that is known for certain, such as one that somebody set."""
    return [name for name, start in (using or health_rules()).bands if score >= start - NEAR][-1]


def band_reason(row: Mapping[str, Any], rules: HealthRules) -> BandReason | None:
    """Return why the band of a row with `COLUMNS` is not that of its score; None where it is, or nothing is known.

    `rules` are those of the customer's segment.
    """
    score, _, low, _, band = (row.get(name) for name in COLUMNS)
    coverage = row.get("health_coverage")
    if low is None or coverage is None:
        return None
    of_score = None if score is None else band_of(score, rules)
    if band == UNKNOWN:
        return BandReason("too_little_known", UNKNOWN, of_score, low, coverage, rules.coverage_floor)
    if band is None or band == of_score:
        return None
    return BandReason("lower_bound", band, of_score, low, coverage, rules.coverage_floor)


def points_and_health(
    values: Mapping[str, Any], using: HealthRules | None = None
) -> tuple[list[float | None], dict[str, Any]]:
    """Return the points of each measure for the values of one vector, and the columns of `with_health`."""
    chosen = (using or health_rules()).of(values.get("segment"))
    given = {measure.feature: [values.get(measure.feature)] for measure in chosen.measures}
    schema = dict.fromkeys(given, nw.Float64())
    frame = nw.from_dict(given, schema=schema, backend="polars").with_columns(
        *(nw.when(~nw.col(name).is_nan()).then(nw.col(name)).alias(name) for name in given)
    )
    points = [frame.select(points=measure.points())["points"][0] for measure in chosen.measures]
    return points, with_health(frame.lazy(), chosen).collect("polars").rows(named=True)[0]


def with_health(vectors: Frame, using: HealthRules | None = None) -> Frame:
    """Add `health_score`, `health_coverage` (0 to 1), `health_low`, `health_high` and `health_band` to vectors.

    Score and bounds run from 0 to 100; the score is null where no measure is there.
    """
    chosen = using or health_rules()
    earned, known = by_segment(chosen, _earned), by_segment(chosen, _known_weight)
    whole = by_segment(chosen, lambda rules: nw.lit(rules.whole)) if chosen.segments else chosen.whole
    frame = vectors.with_columns(earned.alias("health_earned"), known.alias("health_there"))
    frame = frame.with_columns(
        nw.when(nw.col("health_there") > 0).then(nw.col("health_earned") / nw.col("health_there")).alias(COLUMNS[0]),
        (nw.col("health_there") / whole).alias(COLUMNS[1]),
        (nw.col("health_earned") / whole).alias(COLUMNS[2]),
        ((nw.col("health_earned") + (whole - nw.col("health_there")) * 100.0) / whole).alias(COLUMNS[3]),
    )
    return frame.with_columns(by_segment(chosen, _band).alias(COLUMNS[4])).drop("health_earned", "health_there")


def health_at(tables: Tables, as_of_us: int, using: HealthRules | None = None) -> Frame:
    """Health of all external customers at an instant: `customer_id`, and the columns of `with_health`."""
    chosen = using or health_rules()
    names = [measure.feature for measure in chosen.measures]
    vectors = without_early_comparisons(narrow_vectors(tables, as_of_us, chosen.reads), tables, as_of_us)
    return with_health(vectors, chosen).select("customer_id", *names, *COLUMNS)


def by_segment(rules: HealthRules, make: Callable[[HealthRules], nw.Expr]) -> nw.Expr:
    """What is made of the rules of a row's segment; the rules of all where it has none of its own."""
    made = make(rules)
    for segment, own in rules.segments:
        made = nw.when(nw.col("segment") == segment).then(make(own)).otherwise(made)
    return made


def _earned(rules: HealthRules) -> nw.Expr:
    return _sum([measure.points().fill_null(0.0) * measure.weight for measure in rules.measures])


def _known_weight(rules: HealthRules) -> nw.Expr:
    return _sum([_is_known(measure) * measure.weight for measure in rules.measures])


def _is_known(measure: Measure) -> nw.Expr:
    return (~nw.col(measure.feature).is_null()).cast(nw.Int64).cast(nw.Float64)


def _sum(parts: list[nw.Expr]) -> nw.Expr:
    added = parts[0]
    for part in parts[1:]:  # in the order of the file, so that rounding is the same everywhere
        added = added + part
    return added


def _band(chosen: HealthRules) -> nw.Expr:
    band = nw.lit(chosen.bands[0][0])
    for name, start in chosen.bands[1:]:
        band = nw.when(nw.col("health_low") >= start - NEAR).then(nw.lit(name)).otherwise(band)
    return nw.when(nw.col("health_coverage") >= chosen.coverage_floor - NEAR).then(band).otherwise(nw.lit(UNKNOWN))
