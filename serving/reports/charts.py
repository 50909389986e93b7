"""Charts of a report as SVG that stands inside a page: no script, no outside address, colours from the page's style.

Colours are drawn as marks that no chart uses by chance and replaced by the page's own, so that one chart serves the
light and the dark page; texts stay texts, and ids are made unique among the charts of a page.
"""

from __future__ import annotations

import io
import re
import textwrap
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    from vouch.serving.reports.report import Group

INK, BAR, BEFORE, RULE = "#010203", "#020304", "#030405", "#040506"
_COLOURS = {INK: "currentColor", BAR: "var(--bar)", BEFORE: "var(--before)", RULE: "var(--rule)"}
_WIDTH = 4.2  # inches: at 9 points readable where a phone shows it in full width
_NAME_WIDTH = 26
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "vouch",
    "text.parse_math": False,
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": RULE,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def group_chart(name: str, groups: Sequence[Group]) -> str:
    """Bars of how many customers stand where, with a line at the count of the week before."""
    with _drawing(0.45 + 0.3 * len(groups)) as (figure, axes):
        places = range(len(groups), 0, -1)
        axes.barh(places, [group.count for group in groups], height=0.62, color=BAR)
        for place, group in zip(places, groups, strict=True):
            if group.before is not None:
                axes.plot([group.before] * 2, [place - 0.42, place + 0.42], color=BEFORE, linewidth=2)
        axes.set_yticks(list(places), [group.value.replace("_", " ") for group in groups])
        axes.set_xlabel("customers")
        axes.set_xlim(0, 1.08 * max([1, *(max(group.count, group.before or 0) for group in groups)]))
        axes.xaxis.set_major_locator(_whole_numbers())
        return _inline(name, figure)


def histogram_chart(name: str, counts: Sequence[int]) -> str:
    """Bars of counts over equal parts of 0 to 1."""
    with _drawing(1.9) as (figure, axes):
        width = 1 / len(counts)
        axes.bar([(place + 0.5) * width for place in range(len(counts))], counts, width=0.9 * width, color=BAR)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.08 * max([1, *counts]))
        axes.yaxis.set_major_locator(_whole_numbers())
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
        axes.set_xlabel("probability of churn")
        axes.set_ylabel("customers")
        return _inline(name, figure)


def interval_chart(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Points with their intervals, one row per metric in per cent."""
    with _drawing(0.55 + 0.3 * len(rows)) as (figure, axes):
        places = range(len(rows), 0, -1)
        for place, row in zip(places, rows, strict=True):
            if row["ci_low"] is not None and row["ci_high"] is not None:
                axes.plot([row["ci_low"], row["ci_high"]], [place, place], color=BEFORE, linewidth=2)
            axes.plot([row["value"]], [place], marker="o", markersize=5, color=BAR)
        axes.set_yticks(list(places), [textwrap.fill(row["name"], _NAME_WIDTH) for row in rows])
        axes.set_xlim(min([0, *(row["value"] for row in rows)]) - 2, max([100, *(row["value"] for row in rows)]) + 2)
        axes.set_ylim(0.3, len(rows) + 0.7)
        axes.set_xlabel("per cent")
        return _inline(name, figure)


def _whole_numbers() -> MaxNLocator:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=5, integer=True)


@contextmanager
def _drawing(height: float) -> Iterator[tuple[Figure, Axes]]:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.subplots()
        axes.patch.set_alpha(0)
        yield figure, axes


def _inline(name: str, figure: Figure) -> str:
    """The figure as one `svg` element; what it shows stands in the page as a table, so a screen reader skips it."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    text = re.sub(r"<metadata>.*?</metadata>", "", file.getvalue(), flags=re.DOTALL)
    text = text[text.index("<svg ") :]
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'\bhref="#([^"]+)"', rf'href="#{name}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    for mark, colour in _COLOURS.items():
        text = text.replace(mark, colour)
    return text.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1).strip()
