"""Health rules as data: measures, tiers, weights and bands, with what a segment of customers sets apart.

The form of `health.toml`, the one that comes with vouch and a company's own. A company's file holds what differs: a
list, such as that of the measures, takes the place of the whole list that comes.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

import narwhals as nw
from pydantic import Field, FiniteFloat, model_validator

from vouch.features.company_files import Section, judged_settings, merged_text
from vouch.features.durable import document_digest
from vouch.features.errors import ConfigurationError, did_you_mean
from vouch.features.vectors.declare import load_families

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = "health.toml"
BANDS = ("at_risk", "watch", "healthy")
"""Bands from below; a company sets where they begin, for all that counts customers knows them by these names."""


class TierForm(Section):
    """From this value on, the last tier that is reached, so many points; the first tier may begin anywhere."""

    start: FiniteFloat | None = Field(None, alias="from")
    points: FiniteFloat = Field(ge=0, le=100)


class MeasureForm(Section):
    """One input of the score."""

    feature: str
    group: str = Field(min_length=1, max_length=60)
    weight: FiniteFloat = Field(gt=0, le=1e6)
    tiers: list[TierForm] = Field(min_length=1)


class BandForm(Section):
    """Where a band begins."""

    name: Literal["at_risk", "watch", "healthy"]
    start: FiniteFloat = Field(alias="from", ge=0, le=100)


class SegmentForm(Section):
    """What customers of one segment are measured by instead; a weight of 0 leaves a measure out for them."""

    coverage_floor: FiniteFloat | None = Field(None, gt=0, le=1)
    bands: dict[Literal["watch", "healthy"], FiniteFloat] = Field(default_factory=dict)
    weights: dict[str, FiniteFloat] = Field(default_factory=dict)
    tiers: dict[str, list[TierForm]] = Field(default_factory=dict)


class RulesForm(Section):
    """The whole file."""

    version: int = Field(ge=1, lt=2**31)
    coverage_floor: FiniteFloat = Field(gt=0, le=1)
    bands: list[BandForm]
    measures: list[MeasureForm] = Field(min_length=1)
    segments: dict[str, SegmentForm] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits_together(self) -> RulesForm:
        if [band.name for band in self.bands] != list(BANDS) or self.bands[0].start != 0:
            raise ValueError(f"[[bands]] are {', '.join(BANDS)}, in this order, the first from 0")
        _check_rise([band.start for band in self.bands], "[[bands]]")
        names = [measure.feature for measure in self.measures]
        for place, measure in enumerate(self.measures):
            if measure.feature in names[:place]:
                raise ValueError(f"[[measures]]: {measure.feature!r} stands there twice; leave one of the two out")
            _check_rise([tier.start for tier in measure.tiers], f"[[measures]]: the tiers of {measure.feature!r}")
        for segment, form in self.segments.items():
            _check_segment(form, self, f"[segments.{segment}]")
        return self


def _check_segment(form: SegmentForm, rules: RulesForm, where: str) -> None:
    known = {measure.feature: measure.weight for measure in rules.measures}
    for name in (*form.weights, *form.tiers):
        if name not in known:
            raise ValueError(f"{where}: {name!r} is no measure of these rules{did_you_mean(name, known)}")
    for name, weight in form.weights.items():
        if not 0 <= weight <= 1e6:
            raise ValueError(f"{where}: the weight of {name!r} must lie between 0 and 1000000")
    if not sum((known | form.weights).values()) > 0:
        raise ValueError(f"{where}: every measure has the weight 0; leave one that counts")
    for name, tiers in form.tiers.items():
        if not tiers:
            raise ValueError(f"{where}: {name!r} has no tiers")
        _check_rise([tier.start for tier in tiers], f"{where}: the tiers of {name!r}")
    starts: dict[str, float] = {band.name: band.start for band in rules.bands}
    starts.update((name, start) for name, start in form.bands.items())
    if not all(0 <= start <= 100 for start in starts.values()):
        raise ValueError(f"{where}: a band begins between 0 and 100")
    _check_rise([starts[name] for name in BANDS], f"{where}: the bands")


def _check_rise(starts: list[float | None] | list[float], where: str) -> None:
    known = [start for start in starts if start is not None]
    if known != sorted(set(known)) or None in starts[1:]:
        raise ValueError(f"{where} do not rise: each `from` lies above the one before")


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
    """Rules that hold: measures, bands as (name, from) rising, and the least coverage that makes a band.

    `segments` are the rules of customers of one segment each, whole: the same measures in the same order.
    """

    version: int
    coverage_floor: float
    bands: tuple[tuple[str, float], ...]
    measures: tuple[Measure, ...]
    segments: tuple[tuple[str, HealthRules], ...] = ()

    def of(self, segment: str | None) -> HealthRules:
        """The rules for a customer of a segment, without those of others."""
        return dict(self.segments).get(segment or "") or replace(self, segments=())

    @cached_property
    def whole(self) -> float:
        """Sum of the weights."""
        return sum(measure.weight for measure in self.measures)

    @property
    def reads(self) -> list[str]:
        """The columns of a vector that the rules read."""
        return [*(measure.feature for measure in self.measures), *(["segment"] if self.segments else [])]

    def as_dict(self) -> dict[str, Any]:
        """The rules in the form of the file, as JSON keeps them."""
        plain: dict[str, Any] = {
            "version": self.version,
            "coverage_floor": self.coverage_floor,
            "bands": [{"name": name, "from": start} for name, start in self.bands],
            "measures": [
                {"feature": one.feature, "group": one.group, "weight": one.weight, "tiers": _plain_tiers(one)}
                for one in self.measures
            ],
        }
        plain["segments"] = {
            segment: {
                "coverage_floor": rules.coverage_floor,
                "bands": dict(rules.bands[1:]),
                "weights": {one.feature: one.weight for one in rules.measures},
                "tiers": {one.feature: _plain_tiers(one) for one in rules.measures},
            }
            for segment, rules in self.segments
        }
        return plain

    @property
    def digest(self) -> str:
        """SHA-256 of what the rules say, the version included; a comment in the file does not move it."""
        return document_digest(self.as_dict())


def _plain_tiers(measure: Measure) -> list[dict[str, float]]:
    return [{"points": points} | ({} if start is None else {"from": start}) for start, points in measure.tiers]


@cache
def health_rules() -> HealthRules:
    """Return the rules that come with vouch."""
    return rules_of(tomllib.loads(shipped_text()), FILE)


def shipped_text() -> str:
    """Return the file that comes with vouch."""
    return resources.files("vouch.features").joinpath(FILE).read_text(encoding="utf-8")


def read_rules(text: str, where: str) -> HealthRules:
    """Return a company's own rules from the text of its file, over those that come with vouch.

    Raises ConfigurationError, which names the place and the mend, where they are not sound.
    """
    return rules_of(merged_text(shipped_text(), text, where), where)


def check_features(rules: HealthRules, where: str) -> None:
    """Raise ConfigurationError where rules read a feature that is not there, is a text or is sensitive.

    To be called once the company's tables are open: it may have features of its own.
    """
    known = load_families()
    for measure in rules.measures:
        place, name = f"{where}: [[measures]]: {measure.feature!r}", measure.feature
        if name not in known:
            numbers = [one for one, feature in known.items() if not feature.is_category]
            raise ConfigurationError(f"{place} is no feature{did_you_mean(name, numbers)}. `vouch features` lists them")
        if known[name].is_category:
            raise ConfigurationError(
                f"{place} is a text; a measure needs a number. What differs by segment: [segments]"
            )
        if known[name].is_sensitive:
            raise ConfigurationError(f"{place} is sensitive, and nobody's health: measure what customers do")


def rules_of(plain: Mapping[str, Any], where: str) -> HealthRules:
    """Return rules from their plain form; raises ConfigurationError where they are not sound."""
    form = judged_settings(RulesForm, plain, where)
    base = HealthRules(
        form.version,
        form.coverage_floor,
        tuple((band.name, band.start) for band in form.bands),
        tuple(Measure(one.feature, one.group, one.weight, _tiers(one.tiers)) for one in form.measures),
    )
    return replace(base, segments=tuple((name, _of_segment(base, one)) for name, one in sorted(form.segments.items())))


def _of_segment(base: HealthRules, form: SegmentForm) -> HealthRules:
    starts: dict[str, float] = {name: start for name, start in form.bands.items()}  # noqa: C416  # names widen
    measures = (
        replace(
            one,
            weight=form.weights.get(one.feature, one.weight),
            tiers=_tiers(form.tiers[one.feature]) if one.feature in form.tiers else one.tiers,
        )
        for one in base.measures
    )
    floor = base.coverage_floor if form.coverage_floor is None else form.coverage_floor
    bands = tuple((name, starts.get(name, start)) for name, start in base.bands)
    return HealthRules(base.version, floor, bands, tuple(measures))


def _tiers(forms: list[TierForm]) -> tuple[tuple[float | None, float], ...]:
    return tuple((tier.start, tier.points) for tier in forms)
