"""Plots of calibration and gain, for the tracking server and the model card."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from vouch.models.quality.figures import calibration_table, gain_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vouch.training.evaluate import Evaluation


def pictures(evaluation: Evaluation) -> dict[str, bytes]:
    """PNG files by name: calibration of the chosen recipe, gain of all."""
    return {"calibration.png": _png(_calibration(evaluation)), "gain.png": _png(_gain(evaluation))}


def _figure(title: str) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    return figure


def _png(figure: Figure) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=100)
    return content.getvalue()


def _calibration(evaluation: Evaluation) -> Figure:
    data = evaluation.data
    table = calibration_table(data.test.label, evaluation.challenger.probability)
    figure = _figure(f"{data.model.name}: {evaluation.chosen}, calibration at all origins")
    axes = figure.add_subplot()
    top = float(max(table.predicted.max(), table.high.max()))
    axes.plot([0, top], [0, top], color="grey", linewidth=1)
    below, above = (table.observed - table.low).clip(0), (table.high - table.observed).clip(0)
    axes.errorbar(table.predicted, table.observed, yerr=[below, above], fmt="o", markersize=4)
    axes.set(xlabel="mean probability of the bin", ylabel="share that came true (95 % interval)")
    return figure


def _gain(evaluation: Evaluation) -> Figure:
    data = evaluation.data
    figure = _figure(f"{data.model.name}: what the highest scores capture")
    axes = figure.add_subplot()
    for name, judged in evaluation.judged.items():
        table = gain_table(data.test.label, judged.probability)
        axes.plot(table.share, table.captured, label=name, linewidth=2.5 if name == evaluation.chosen else 1.2)
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    axes.set(xlabel="share of the customers, best first", ylabel="share of all that came true")
    axes.legend()
    return figure
