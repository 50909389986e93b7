"""HTML templates: one setting of Jinja for the page and the report, in which every text is escaped and visible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vouch.features.shown import visible_text

if TYPE_CHECKING:
    from pathlib import Path

    import jinja2


def html_environment(folder: Path) -> jinja2.Environment:
    """Return the templates of a folder; whatever they are given is escaped, and freed of what hides its neighbours."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _visible(value: Any) -> Any:
    """A value as it may stand in a page; markup of our own making stays as it is."""
    return visible_text(value) if type(value) is str else value
