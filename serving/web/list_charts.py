"""Charts of the lists behind the figures: the retention curve, whose rows are the points of lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vouch.features.charts.curves import Axis, Curve, plot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.features.charts.curves import Plot
    from vouch.serving.presentation.translations import Speech

RETENTION = "retention_curve"
DAYS = (0.0, 7.0, 30.0, 90.0, 180.0, 365.0)
"""Marks of the axis of days."""


def list_chart(answer: Mapping[str, Any], t: Speech) -> Plot | None:
    """Return the retention curve as a plot; None for every other list, and before a day is over."""
    if answer["list"] != RETENTION:
        return None
    curves = []
    for is_from, key in ((True, "curve_from"), (False, "curve_on")):
        rows = [row for row in answer["rows"] if row["is_from"] is is_from and row["pooled"] is not None]
        points = [(float(row["day"]), row["pooled"]) for row in rows]
        curves.append(Curve(t(f"named_lists.{key}"), points, [(row["ci_low"], row["ci_high"]) for row in rows]))
    days = Axis(t("named_lists.curve_days"), t.number, marks=DAYS, is_root=True)
    return plot(curves, days, Axis(t("named_lists.curve_share"), t.points, low=0.0))
