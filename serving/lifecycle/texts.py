"""Customers in texts: logs and what runs told, packed or not. Their names are struck out, the rest stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vouch.serving.lifecycle.pages import page_mentions
from vouch.serving.lifecycle.scrubbing import is_searchable, mentions, scrub_text
from vouch.serving.lifecycle.spelling import is_number
from vouch.serving.lifecycle.subject import Held

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vouch.serving.lifecycle.subject import Subject

HOW = "names struck out"


def files(folder: Path) -> list[Path]:
    """All files of a folder."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def read_texts(subject: Subject, name: str) -> Iterator[Held]:
    """Give the lines of all texts of a folder that name customers; what cannot be searched is told."""
    for path in files(subject.home / name):
        yield from lines(subject, path, HOW)


def lines(subject: Subject, path: Path, how: str, is_json: bool = False, is_page: bool = False) -> Iterator[Held]:
    """Give the lines of one text that name customers."""
    if not is_searchable(path):
        subject.leave(path, "no text that can be searched")
        return
    mentioned = page_mentions(path, subject.spelling) if is_page else mentions(path, subject.spelling, is_json)
    for customer, line in mentioned:
        yield Held(customer, subject.place(path), line, how, is_sure=not is_number(customer))


def erase_texts(subject: Subject, name: str) -> None:
    """Strike names out of all texts of a folder."""
    for path in files(subject.home / name):
        if is_searchable(path):
            scrub_text(path, subject.customer_ids)
