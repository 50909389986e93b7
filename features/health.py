"""The health score: rules from `health.toml` over the columns of a vector, with coverage and bounds.

Our own definition. A measure whose feature is null is missing: the score is the mean over what is there, and the bounds
take what is missing for 0 and for 100. The band follows the lower bound, so that a missing input can never improve it
(a mean over what is left would rise when a bad input drops out), and is `unknown` where too little is there.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import narwhals as nw

from vouch.features.errors import DefinitionError, did_you_mean
from vouch.features.vectors.build import narrow_vectors
from vouch.features.vectors.compared import without_early_comparisons
from vouch.features.vectors.declare import load_families

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.features.asof import Frame, Tables

UNKNOWN = "unknown"
NEAR = 1e-9
"""How far below a limit still counts as on it: weights such as 0.15 do not add up exactly."""
COLUMNS = ("health_score", "health_coverage", "health_low", "health_high", "health_band")


@dataclass(frozen=True)
class Measure:
    """One input: a feature, the tiers that turn it into points, and its weight. `tiers` are (from, points), rising."""

    feature: str
    group: str
    weight: float
    tiers: tuple[tuple[float | None, float], ...]

    def points(self) -> nw.Expr:
        """Points of the last tier that the feature reaches; null where the feature is null."""
        value = nw.col(self.feature)
        points: nw.Expr = nw.when(~value.is_null()).then(nw.lit(float(self.tiers[0][1])))
        for start, reached in self.tiers[1:]:
            points = nw.when(value >= start).then(nw.lit(float(reached))).otherwise(points)
        return points


@dataclass(frozen=True)
class HealthRules:
    """The whole rule file: measures, bands as (name, from) rising, and the least coverage that makes a band."""

    version: int
    coverage_floor: float
    bands: tuple[tuple[str, float], ...]
    measures: tuple[Measure, ...]


def _rising(starts: list[float | None], where: str) -> None:
    known = [start for start in starts if start is not None]
    if known != sorted(set(known)) or None in starts[1:]:
        raise DefinitionError(f"health.toml: the tiers of {where} do not rise")


def _measure(raw: Mapping[str, Any]) -> Measure:
    name = raw["feature"]
    known = load_families()
    if name not in known:
        raise DefinitionError(f"health.toml: there is no feature {name!r}{did_you_mean(name, known)}")
    tiers = tuple((tier.get("from"), float(tier["points"])) for tier in raw["tiers"])
    _rising([start for start, _ in tiers], name)
    if not all(0 <= points <= 100 for _, points in tiers):
        raise DefinitionError(f"health.toml: points of {name!r} lie between 0 and 100")
    return Measure(name, raw["group"], float(raw["weight"]), tiers)


@cache
def health_rules() -> HealthRules:
    """Read and check the rules; raises DefinitionError where a measure names no feature or its tiers do not rise."""
    raw = tomllib.loads(resources.files("vouch.features").joinpath("health.toml").read_text(encoding="utf-8"))
    bands = tuple((band["name"], float(band["from"])) for band in raw["bands"])
    _rising([start for _, start in bands], "the bands")
    measures = tuple(_measure(measure) for measure in raw["measures"])
    return HealthRules(int(raw["version"]), float(raw["coverage_floor"]), bands, measures)


def band_of(score: float, using: HealthRules | None = None) -> str:
    """Return the band of a score that is known for certain, such as one that somebody set."""
    return [name for name, start in (using or health_rules()).bands if score >= start - NEAR][-1]


def points_and_health(
    values: Mapping[str, float | None], using: HealthRules | None = None
) -> tuple[list[float | None], dict[str, Any]]:
    """Return the points of each measure for the values of one vector, and the columns of `with_health`."""
    chosen = using or health_rules()
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
    whole = sum(measure.weight for measure in chosen.measures)
    earned = _sum([measure.points().fill_null(0.0) * measure.weight for measure in chosen.measures])
    known_weight = _sum([_is_known(measure) * measure.weight for measure in chosen.measures])
    frame = vectors.with_columns(earned.alias("health_earned"), known_weight.alias("health_there"))
    frame = frame.with_columns(
        nw.when(nw.col("health_there") > 0).then(nw.col("health_earned") / nw.col("health_there")).alias(COLUMNS[0]),
        (nw.col("health_there") / whole).alias(COLUMNS[1]),
        (nw.col("health_earned") / whole).alias(COLUMNS[2]),
        ((nw.col("health_earned") + (whole - nw.col("health_there")) * 100.0) / whole).alias(COLUMNS[3]),
    )
    return frame.with_columns(_band(chosen).alias(COLUMNS[4])).drop("health_earned", "health_there")


def health_at(tables: Tables, as_of_us: int, using: HealthRules | None = None) -> Frame:
    """Health of all external customers at an instant: `customer_id`, and the columns of `with_health`."""
    chosen = using or health_rules()
    names = [measure.feature for measure in chosen.measures]
    vectors = without_early_comparisons(narrow_vectors(tables, as_of_us, names), tables, as_of_us)
    return with_health(vectors, chosen).select("customer_id", *names, *COLUMNS)


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
