"""Pictures: one chart as a file of SVG with its style inside, for notebooks and the tracking server."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from vouch.features.charts.bars import Bars, LabelledRows
from vouch.features.charts.curves import Plot
from vouch.features.charts.html_templates import CHARTS, html_environment
from vouch.features.vectors.numerals import Numerals

if TYPE_CHECKING:
    from collections.abc import Callable

    import jinja2

    from vouch.features.charts.series import Trend

    Chart = Plot | LabelledRows | Bars | Trend

ENGLISH = Numerals("en")
SCOPE = "svg.vouch"


@dataclass(frozen=True)
class Picture:
    """A chart with its name; a notebook shows it, and `svg` is what a file of it holds."""

    svg: str

    def _repr_svg_(self) -> str:
        return self.svg


def picture(
    chart: Chart, name: str, language: Numerals = ENGLISH, written: Callable[[float], str] | None = None
) -> Picture:
    """Return a chart as a picture; `name` tells those who do not see it what it shows, `written` how values read."""
    from markupsafe import Markup

    values = {"kind": "chart vouch", "style": Markup(f"<style>{style()}</style>"), "attributes": _attributes(chart)}
    macros: Any = _templates().get_template("charts.html.jinja").module
    if isinstance(chart, Plot | LabelledRows):
        drawn = (macros.plot if isinstance(chart, Plot) else macros.rows)(language, chart, name, **values)
    elif isinstance(chart, Bars):
        drawn = macros.histogram(language, chart, name, **values)
    else:
        drawn = macros.trend(language, chart, name, written or language.brief, **values)
    return Picture(str(drawn).strip())


def _attributes(chart: Chart) -> Any:
    """What a file says of itself: that it is SVG, and how large it is by default."""
    from markupsafe import Markup

    height = getattr(chart, "height", 190.0)
    return Markup(f' xmlns="http://www.w3.org/2000/svg" width="{chart.width:.0f}" height="{height:.0f}"')


@cache
def style() -> str:
    """The colours and looks of charts, as rules that hold inside a picture alone."""
    palette = (CHARTS / "palette.css").read_text(encoding="utf-8").replace(":root", SCOPE)
    looks = (CHARTS / "charts.css").read_text(encoding="utf-8").replace("svg ", f"{SCOPE} ")
    ground = f"{SCOPE} {{ background: var(--card); font-family: system-ui, sans-serif; }}"
    return " ".join("\n".join((palette, looks, ground)).split())


@cache
def _templates() -> jinja2.Environment:
    return html_environment()
