"""Charts of a model card, from the figures that its history keeps: one set for page, tracking server and notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vouch.features.charts.bars import Entry, histogram_bars, labelled_rows
from vouch.features.charts.curves import Axis, Curve, Spot, calibration_plot, plot
from vouch.features.charts.picture import ENGLISH, picture

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vouch.features.charts.bars import Bars, LabelledRows
    from vouch.features.charts.curves import Plot
    from vouch.features.charts.picture import Picture
    from vouch.features.vectors.numerals import Numerals

    Chart = Plot | LabelledRows | Bars

WORDS: Mapping[str, str] = {
    "calibration": "Calibration",
    "gains": "What the highest scores capture",
    "decision_curve": "Net benefit of acting on whom it says",
    "risks": "Distribution of risks",
    "strongest": "Strongest single features",
    "predicted": "Predicted",
    "observed": "Came true",
    "smooth": "smooth, with its 95% band",
    "ideal": "the promise kept",
    "share": "Share of customers, highest scores first",
    "captured": "Share of all that came true",
    "anybody": "in any order",
    "threshold": "Acted on from a probability of",
    "net_benefit": "Net benefit in 1,000 customers",
    "model": "the model",
    "everybody": "everybody",
    "nobody": "nobody",
    "pays": "pays from here",
    "auc": "ROC-AUC by itself",
}
"""What is written in the charts, in English; the page has the other languages under the same keys."""


def card_charts(
    drawn: Mapping[str, Any], say: Callable[[str], str] = WORDS.__getitem__, written: Numerals = ENGLISH
) -> dict[str, Chart]:
    """Return the charts of a card by name (see `card_curves`); what was not kept, or shows nothing, is left out."""
    made: dict[str, Chart | None] = {
        "calibration": _calibration(drawn, say, written),
        "decision_curve": _decisions(drawn, say, written),
        "gains": _gains(drawn.get("gains") or (), say, written),
        "risks": histogram_bars(drawn.get("risks") or ()),
        "strongest": _strongest(drawn.get("strongest_features") or (), written),
    }
    return {name: chart for name, chart in made.items() if chart is not None}


def card_pictures(drawn: Mapping[str, Any], model: str) -> dict[str, Picture]:
    """Return the same as pictures, each called after the model."""
    return {name: picture(chart, f"{model}: {WORDS[name]}") for name, chart in card_charts(drawn).items()}


def _calibration(drawn: Mapping[str, Any], say: Callable[[str], str], written: Numerals) -> Plot | None:
    bins = [Spot(row["predicted"], row["observed"], row["low"], row["high"]) for row in drawn.get("calibration") or ()]
    curve = drawn.get("smooth_calibration") or ()
    points = [(row["predicted"], row["observed"]) for row in curve]
    smooth = Curve(say("smooth"), points, [(row["low"], row["high"]) for row in curve]) if points else None
    return calibration_plot(bins, smooth, say("ideal"), say("predicted"), say("observed"), written)


def _decisions(drawn: Mapping[str, Any], say: Callable[[str], str], written: Numerals) -> Plot | None:
    """Net benefit in a thousand customers; whom one acts on without a model is everybody or nobody."""
    rows = drawn.get("decision_curve") or ()
    if not rows:
        return None
    model = [(row["threshold"], 1000 * row["net_benefit"]) for row in rows]
    everybody = [(row["threshold"], 1000 * row["everybody"]) for row in rows]
    low, high = min(0.0, *(value for _, value in model)), max(value for _, value in (*model, *everybody))
    floor = min(low, -high / 3)
    shown = [point for point in everybody if point[1] >= floor]
    at = drawn.get("acted_from")
    return plot(
        [
            Curve(say("model"), model),
            Curve(say("everybody"), shown),
            Curve(say("nobody"), [(rows[0]["threshold"], 0.0), (rows[-1]["threshold"], 0.0)], is_ideal=True),
        ],
        Axis(say("threshold"), lambda share: written.points(100 * share), low=0.0, high=rows[-1]["threshold"]),
        Axis(say("net_benefit"), written.brief, low=floor, high=high),
        lines=[] if at is None else [(at, f"{say('pays')}: {written.percent(at)}")],
    )


def _gains(of: Sequence[Mapping[str, Any]], say: Callable[[str], str], written: Numerals) -> Plot | None:
    if not of:
        return None
    marks = (0.0, 0.25, 0.5, 0.75, 1.0)
    curves = [Curve(one["name"], [(share, captured) for share, captured in one["points"]]) for one in of]
    return plot(
        [*curves, Curve(say("anybody"), [(0.0, 0.0), (1.0, 1.0)], is_ideal=True)],
        Axis(say("share"), written.whole_percent, marks=marks),
        Axis(say("captured"), written.whole_percent, marks=marks),
    )


def _strongest(of: Sequence[tuple[str, float]], written: Numerals) -> LabelledRows | None:
    return labelled_rows([Entry(name, power, written.number(power, 3)) for name, power in of], (0.5, 1.0))


def dependence_chart(
    name: str, rows: Sequence[Mapping[str, float]], part: str = "Added to the log-odds", written: Numerals = ENGLISH
) -> Plot | None:
    """Return how what a feature adds goes with its value, from `dependence`."""
    points = [(row["value"], row["part"]) for row in rows]
    band = [(row["low"], row["high"]) for row in rows]
    return plot([Curve(name, points, band)], Axis(name, written.brief), Axis(part, written.brief)) if points else None
