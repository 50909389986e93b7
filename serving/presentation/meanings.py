"""Meanings of metrics in the reader's language: what a definition says in English, by that English.

The words of a definition are their own key (`locales/meanings_ko.toml`), as in GNU gettext: who changes a definition
has English told again until somebody words it anew, never a translation of what it said before. `make wordings` lists
what is missing and what is left over. A metric of a company's own is told as its author wrote it.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.serving.presentation.translations import Speech

_SLOT = re.compile(r"(?<=\bwithout )(?!the )[a-z_.]+(?: or [a-z_.]+)*|-?\d+(?:\.\d+)?")
"""What differs between texts that are otherwise one: numbers, and the tables and columns that are missing."""
_STATUS = re.compile(r"^`(?P<status>\w+)`(?: \(`\w+`\))?: (?P<what>.+)$")


@cache
def meanings(language: str) -> Mapping[str, Mapping[str, str]]:
    """Return what a language says for English: of definitions (`meaning`), and of a week's values (`of_value`)."""
    if language == "en":
        return {"meaning": {}, "of_value": {}}
    place = resources.files("vouch.serving.presentation") / "locales" / f"meanings_{language}.toml"
    with place.open("rb") as file:
        return tomllib.load(file)


@cache
def _words(language: str) -> Mapping[str, str]:
    held = meanings(language)
    return {**held["of_value"], **held["meaning"]}


def key_of(text: str) -> str:
    """Return the English that a text is looked up by: each number, and what is missing, as `{}`.

    >>> key_of("n is below 5"), key_of("without usage_events or transactions")
    ('n is below {}', 'without {}')
    """
    return _SLOT.sub("{}", text)


def known(t: Speech, text: str) -> str | None:
    """Return the words of a language for an English text; None where it has none."""
    words = _words(t.language)
    if text in words:
        return words[text]
    shape = words.get(key_of(text))
    if shape is None:
        return None
    return shape.format(*(_filled(t, slot) for slot in _SLOT.findall(text)))


def _filled(t: Speech, slot: str) -> str:
    if slot[0].isalpha():
        return slot.replace(" or ", f" {_words(t.language)['or']} ")
    return t.number(float(slot), len(slot.partition(".")[2]))


def meaning(t: Speech, text: str) -> Markup:
    """Return an English text of a definition in the reader's language, or in English and marked as that."""
    if t.language == "en":
        return escape(text)
    code, of, rest = text.partition(": ")
    words = known(t, text) or (known(t, rest) if of and known(t, code) else None)
    return escape(words) if words else Markup('<span lang="en">{}</span>').format(text)


def null_reason(t: Speech, text: str) -> Markup:
    """Return one line of `null_where` in the reader's language: the status by its name, and what makes it so."""
    match = _STATUS.match(text)
    if match is None:
        return meaning(t, text)
    return Markup("{}: {}").format(t.get(f"status.{match['status']}", match["status"]), meaning(t, match["what"]))
