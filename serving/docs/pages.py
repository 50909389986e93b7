"""The documentation as pages: the Markdown files beside this module, in reading order, rendered with working links.

The repository shows the files as they are; the service shows them under /app/docs. What a page says is run by tests.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
ORDER = (
    *("first-hour", "your-data", "training", "metrics", "every-week"),
    *("keeping", "serving", "reach", "library", "scale", "speed", "installing", "THREATS"),
)
"""From the first look to the day when it is run: commands of later pages go on where earlier ones stopped."""
CATALOGUE = "metric-catalogue"
"""The one page that is made from definitions, and lies beside them."""
ADDRESS = "/app/docs"
_COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)
_WIDE = {
    "<pre>": '<pre class="scroll" tabindex="0">',
    "<table>": '<div class="scroll" tabindex="0"><table>',
    "</table>": "</table></div>",
}
"""What is wider than a small window scrolls by itself, by keys, too."""
_HEADING = re.compile(r"<h2>(.*?)</h2>")
_LINK = re.compile(r'<a href="(?!https?:|#)([^"]*)">(.*?)</a>', re.DOTALL)


@dataclass(frozen=True)
class DocumentationPage:
    """One page: its name in addresses, its title, and where its text lies."""

    name: str
    title: str
    path: Path


@cache
def documentation() -> dict[str, DocumentationPage]:
    """Return all pages by name, in the order in which they are read."""
    places = {name: FOLDER / f"{name}.md" for name in ORDER}
    places[CATALOGUE] = ROOT / "features" / "metrics" / "definitions" / "CATALOGUE.md"
    return {name: DocumentationPage(name, _title(path), path) for name, path in places.items()}


def _title(path: Path) -> str:
    return path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")


@cache
def as_html(name: str) -> str | None:
    """Return a page as HTML without its title, None where there is none of that name.

    Links between pages lead to pages; what the service does not hold (code, tests) is shown as its name alone.
    """
    page = documentation().get(name)
    if page is None:
        return None
    text = _COMMENT.sub("", page.path.read_text(encoding="utf-8").partition("\n")[2])
    shown: str = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    for plain, wide in _WIDE.items():
        shown = shown.replace(plain, wide)
    shown = _HEADING.sub(lambda match: f'<h2 id="{anchor(match[1])}">{match[1]}</h2>', shown)
    by_path = {other.path.resolve(): other for other in documentation().values()}

    def linked(match: re.Match[str]) -> str:
        place, _, part = match[1].partition("#")
        other = by_path.get((page.path.parent / place).resolve())
        if other is None:
            return match[2]
        return f'<a href="{ADDRESS}/{other.name}{"#" if part else ""}{part}">{match[2]}</a>'

    return _LINK.sub(linked, shown)


def anchor(heading: str) -> str:
    """Return the name by which a link leads to a heading, as the repository's own pages have it.

    >>> anchor("Tables and columns of one's own")
    'tables-and-columns-of-ones-own'
    """
    return re.sub(r"[^\w\- ]", "", re.sub(r"<[^>]*>|&\w+;", "", heading).lower()).replace(" ", "-")
