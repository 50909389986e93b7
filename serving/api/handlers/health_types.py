"""Types of what is told of a customer's health: the score that counts, and each measure with its points."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field


class CountingHealth(BaseModel):
    """The health that counts for the floor and the badge: the lower of what the rules say and what was set by hand."""

    score: Annotated[float | None, Field(description="0 to 100.")]
    band: str
    is_by_hand: bool


class BandReasonAnswer(BaseModel):
    """Why a health band is another one than the score alone would give."""

    code: Annotated[
        Literal["lower_bound", "too_little_known"],
        Field(
            description="`lower_bound`: the band follows the lower bound, which counts what is missing as 0. "
            "`too_little_known`: less of the weight is known than the rules ask for."
        ),
    ]
    band_of_score: Annotated[str | None, Field(description="The band that the score alone would give.")]
    low: Annotated[float, Field(description="The score had all that is missing 0 points, 0 to 100.")]
    coverage: Annotated[float, Field(description="Share of the weight that is known, 0 to 1.")]
    coverage_floor: Annotated[float, Field(description="The share that a band needs, 0 to 1.")]
    words: str


class HealthBounds(BaseModel):
    """How much of the weight of the rules is known, the ends that leaves, and why the band is not that of the score."""

    health_coverage: Annotated[float | None, Field(description="Share of the rules' weight that is known, 0 to 1.")]
    health_low: Annotated[float | None, Field(description="The score had all that is missing 0 points, 0 to 100.")]
    health_high: Annotated[float | None, Field(description="The score had all that is missing 100 points, 0 to 100.")]
    health_band_reason: Annotated[
        BandReasonAnswer | None, Field(description="Why the band is not that of the score; null where it is.")
    ]


class HealthPart(BaseModel):
    """One measure: its value, the points that it gives, and its weight; null where the value is missing."""

    feature: str
    group: Annotated[str, Field(description="The group of measures.")]
    value: float | None
    points: Annotated[float | None, Field(description="0 to 100.")]
    weight: Annotated[float, Field(description="Of 1 in all.")]


class HealthTold(BaseModel):
    """How a health score comes about: the mean of the points by weight, over what is known."""

    parts: Annotated[list[HealthPart], Field(description="In the order of the rules.")]
    coverage: float
    lowest: Annotated[float, Field(description="The score had all that is missing 0 points; the band follows it.")]
    highest: Annotated[float, Field(description="The score had all that is missing 100 points.")]
    explanation: Annotated[str | None, Field(description="Why the band is not that of the score; null where it is.")]
