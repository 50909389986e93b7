"""Types of what is told of a customer's health: the score that counts, and each measure with its points."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field


class CountingHealth(BaseModel):
    """The health that counts for the floor and the badge: the lower of what the rules say and what was set by hand."""

    score: Annotated[float | None, Field(description="0 to 100.")]
    band: str
    is_by_hand: bool


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
