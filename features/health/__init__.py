"""The health score: rules as data, a company's own in its home, and the score that they give over a vector.

`rules` is the form of `health.toml`, `score` what the rules make of vectors, `adopted` which rules hold in a home.
"""

from __future__ import annotations

from vouch.features.health.rules import HealthRules, Measure, health_rules
from vouch.features.health.score import (
    COLUMNS,
    UNKNOWN,
    BandReason,
    band_of,
    band_reason,
    health_at,
    points_and_health,
    with_health,
)

__all__ = [
    "COLUMNS",
    "UNKNOWN",
    "BandReason",
    "HealthRules",
    "Measure",
    "band_of",
    "band_reason",
    "health_at",
    "health_rules",
    "points_and_health",
    "with_health",
]
