"""Customers in pages: what a reader sees of a report and where its links lead, without the markup around it.

The attributes of a drawing are called like some ids (`x1`, `n`), and name nobody.
"""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vouch.serving.lifecycle.spelling import Spelling


class _Seen(HTMLParser):
    """The texts of a page, and the addresses that it leads to."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._is_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._is_style = tag == "style"
        self.texts += [unquote(value) for name, value in attrs if name == "href" and value]

    def handle_endtag(self, tag: str) -> None:
        self._is_style = False

    def handle_data(self, data: str) -> None:
        if not self._is_style and data.strip():
            self.texts.append(data.strip())


def page_mentions(path: Path, spelling: Spelling) -> Iterator[tuple[str, str]]:
    """Give each customer whom a text or a link of a page names, with it."""
    page = _Seen()
    page.feed(path.read_text(encoding="utf-8"))
    for text in page.texts:
        for name in spelling.struck(text, False)[1]:
            yield name, text
