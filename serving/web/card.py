"""The charts of a model's card in the reader's language, each with the figures behind it as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vouch.models.quality.card_charts import card_charts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vouch.models.quality.card_charts import Chart
    from vouch.serving.presentation.translations import Speech

    Table = tuple[list[str], list[list[str]]]

EVERY = 4
"""Points of a gain curve that its table leaves out for each that it tells."""


def charts_of(drawn: Mapping[str, Any], t: Speech) -> Mapping[str, Chart]:
    """Return the charts of a card, by what they show."""
    return card_charts(drawn, lambda key: t(f"drawn.{key}"), t)


def table_of(drawn: Mapping[str, Any], name: str, t: Speech) -> Table:
    """Return the figures behind one of the charts: the titles of the columns, and the rows."""
    return _TABLES[name](drawn, t)


def _calibration(drawn: Mapping[str, Any], t: Speech) -> Table:
    titles = [t("drawn.predicted"), t("drawn.observed"), t.interval_name(), t("metrics.n")]
    rows = []
    for row in drawn["calibration"]:
        between = f"{t.percent(row['low'])} – {t.percent(row['high'])}"
        rows.append([t.percent(row["predicted"]), t.percent(row["observed"]), between, t.number(row["n"], 0)])
    return titles, rows


def _decisions(drawn: Mapping[str, Any], t: Speech) -> Table:
    titles = [t(f"drawn.{name}") for name in ("threshold", "model", "everybody")]
    rows = []
    for row in drawn["decision_curve"]:
        benefits = [t.number(1000 * row[of], 1) for of in ("net_benefit", "everybody")]
        rows.append([t.percent(row["threshold"]), *benefits])
    return titles, rows


def _gains(drawn: Mapping[str, Any], t: Speech) -> Table:
    curves: list[dict[str, Any]] = drawn["gains"]
    shares = [t.percent(share, 0) for share, _ in curves[0]["points"][EVERY::EVERY]]
    rows = [[one["name"], *(t.percent(held, 0) for _, held in one["points"][EVERY::EVERY])] for one in curves]
    return [t("models.candidate"), *shares], rows


def _risks(drawn: Mapping[str, Any], t: Speech) -> Table:
    counts: list[int] = drawn["risks"]
    ends = [t.percent(place / len(counts), 0) for place in range(len(counts) + 1)]
    rows = [[f"{ends[place]} – {ends[place + 1]}", t.number(n)] for place, n in enumerate(counts) if n]
    return [t("portfolio.probability"), t("metrics.n")], rows


def _strongest(drawn: Mapping[str, Any], t: Speech) -> Table:
    rows = [[name, t.number(power, 3)] for name, power in drawn["strongest_features"]]
    return [t("models.feature"), t("drawn.auc")], rows


_TABLES: Mapping[str, Callable[[Mapping[str, Any], Speech], Table]] = {
    "calibration": _calibration,
    "decision_curve": _decisions,
    "gains": _gains,
    "risks": _risks,
    "strongest": _strongest,
}
