"""Meanings of features in words, in English, Korean and Romanian: what `vouch.features.vectors.sentences` is made of.

English is the docstring of the definition; the other languages stand in `words.toml` under that same docstring, as the
sentences do, so that a definition that is worded anew asks for its translations anew. A feature that a language has no
words for is told in English, whole: half a sentence in each language is none. `make wordings` lists what is missing.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

from vouch.features.errors import UsageError, did_you_mean
from vouch.features.vectors.declare import FEATURES, OWN, load_families

if TYPE_CHECKING:
    from collections.abc import Mapping

Language = Literal["en", "ko", "ro"]
LANGUAGES: tuple[Language, ...] = ("en", "ko", "ro")
UNKNOWN = "unknown"
"""How a missing value is kept in reasons."""

_WINDOW = re.compile(r" in the (\d+) days before| so far")
_MEASURED = ("Mean ", "Standard ", "Change ", "Latest ", "Thanks ")
"""How the meanings of numbers begin that are no counts of what follows them, whatever their unit."""
_NOT_COUNTED = frozenset(
    {
        "category", "contacts", "flag", "hours", "log ratio", "minutes", "money", "money per month", "money per order",
        "events per day", "events per session", "polarity", "ratio", "score", "share", "share of scale", "value",
        "year",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Meaning:
    """What a feature means: the key of its translations, its unit and its window."""

    key: str
    unit: str
    window_days: int | None

    @property
    def is_count(self) -> bool:
        """Whether the English reads as a number of what follows it: `3 tickets opened in 28 days`."""
        return self.unit not in _NOT_COUNTED and not self.key.startswith(_MEASURED)


def meaning(feature: str) -> Meaning | None:
    """Meaning of a feature; None for one that is gone."""
    own = OWN.get(feature)
    return _of_contract(feature) if own is None else _meaning(own.description, own.unit, own.window_days)


@cache
def _of_contract(feature: str) -> Meaning | None:
    load_families()
    declared = FEATURES.get(feature)
    return None if declared is None else _meaning(declared.description, declared.unit, declared.window_days)


@cache
def _meaning(description: str, unit: str, window_days: int | None) -> Meaning:
    text = description.splitlines()[0].rstrip(".")
    if window_days is None and (of_sources := _WINDOW.search(text)) and of_sources[1]:
        window_days = int(of_sources[1])  # of a derived feature: that of what it is derived from
    return Meaning(_WINDOW.sub(" {span}", text), unit, window_days)


@cache
def table() -> Mapping[str, Any]:
    """What `words.toml` says."""
    words: Mapping[str, Any] = tomllib.loads(
        resources.files("vouch.features.vectors").joinpath("words.toml").read_text("utf-8")
    )
    return words


def phrases_of(language: str) -> Mapping[str, str]:
    """Phrases of a language; raises UsageError where it is not there."""
    if language not in LANGUAGES:
        raise UsageError(
            f"There are no words in {language!r}{did_you_mean(language, LANGUAGES)}. Languages: {', '.join(LANGUAGES)}"
        )
    phrases: Mapping[str, str] = table()["phrases"][language]
    return phrases


def wording_language(feature: str, language: str) -> str:
    """Return the language that a feature is told in: the one asked for, or English where it has no words for it."""
    phrases_of(language)
    of = meaning(feature)
    return language if language == "en" or of is None or language in table()["meanings"].get(of.key, {}) else "en"


def family(name: str, language: str = "en") -> str:
    """Name of a family of features as people read it."""
    phrases_of(language)
    return str(table()["families"].get(name, {}).get(language, name))
