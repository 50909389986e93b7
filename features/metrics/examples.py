"""Builders of rows for worked examples: times in days from the instant, negative before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

Row = dict[str, Any]


def answers(
    instrument: str, scores: Iterable[float], low: float, high: float, touchpoint: str | None = None, **more: Any
) -> list[Row]:
    """One answer ten days ago per score, each by another customer."""
    return [
        {
            "instrument": instrument,
            "score": score,
            "scale_min": low,
            "scale_max": high,
            "status": "answered",
            "touchpoint": touchpoint,
            "invited_at": -10,
            **more,
        }
        for score in scores
    ]


def repeated(times: int, **row: Any) -> list[Row]:
    """The same row several times, each by another customer."""
    return [dict(row) for _ in range(times)]
