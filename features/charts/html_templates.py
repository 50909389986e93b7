"""HTML templates: one setting of Jinja for page, report and charts, in which every text is escaped and visible."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vouch.features.shown import visible_text

if TYPE_CHECKING:
    import jinja2

CHARTS = Path(__file__).parent


def html_environment(folder: Path = CHARTS) -> jinja2.Environment:
    """Return the templates of a folder, beside those of charts.

    Whatever they are given is escaped, and freed of what hides its neighbours.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, CHARTS]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(place=_place, slug=_slug)
    return environment


def _visible(value: Any) -> Any:
    """A value as it may stand in a page; markup of our own making stays as it is."""
    return visible_text(value) if type(value) is str else value


def _place(number: float) -> str:
    """A place in a drawing, to a tenth."""
    return f"{number:.1f}".removesuffix(".0")


def _slug(name: str) -> str:
    """A value of the interface as part of a key or a class."""
    return name.replace(" ", "_")
