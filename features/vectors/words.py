"""Reasons in words: a feature and its value as people read them, in English, Korean and Romanian.

With what moved, where that is given. English is the docstring of the definition; the other languages stand in
`words.toml` under that same docstring, so that a definition that is worded anew asks for its translations anew. A
feature that a language has no words for is told in English, whole: half a sentence in each language is none. `make
wordings` lists what is missing.
"""

from __future__ import annotations

import math
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

from vouch.features.errors import UsageError, did_you_mean
from vouch.features.vectors.declare import load_families

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
EXACT_TO = 100
"""Numbers from here on are shown without decimals."""


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


@cache
def meaning(feature: str) -> Meaning | None:
    """Meaning of a feature; None for one that is gone."""
    declared = load_families().get(feature)
    if declared is None:
        return None
    text = declared.description.splitlines()[0].rstrip(".")
    return Meaning(_WINDOW.sub(" {span}", text), declared.unit, declared.window_days)


@cache
def table() -> Mapping[str, Any]:
    """What `words.toml` says."""
    words: Mapping[str, Any] = tomllib.loads(
        resources.files("vouch.features.vectors").joinpath("words.toml").read_text("utf-8")
    )
    return words


def reason_text(
    feature: str, value: float | str | None, language: str = "en", previous: float | str | None = None
) -> str:
    """Return a reason as people read it: what the feature means, its value, and what it was before where that is given.

    Values are numbers, or text as reasons keep it (`unknown` and None are a missing value; as `previous`, None is that
    nobody asks). Raises UsageError for a language that is not there.

    >>> reason_text("tickets_28d", 3, previous=0)
    '3 tickets opened in 28 days, up from 0'
    >>> reason_text("tickets_28d", "3", "ko", "0"), reason_text("active_days_7d", "unknown", "ro")
    ('최근 28일간 접수한 문의: 3건, 이전 0건에서 증가', 'zile cu utilizare în ultimele 7 zile: necunoscut')
    """
    of, language = meaning(feature), told_in(feature, language)
    if of is None:
        return f"{feature}: {UNKNOWN if value is None else value}"
    said = phrases_of(language)
    text = _stated(of, value, language, said)
    return text if previous is None else f"{text}, {_moved(of, value, previous, language, said)}"


def phrases_of(language: str) -> Mapping[str, str]:
    """Phrases of a language; raises UsageError where it is not there."""
    if language not in LANGUAGES:
        raise UsageError(
            f"There are no words in {language!r}{did_you_mean(language, LANGUAGES)}. Languages: {', '.join(LANGUAGES)}"
        )
    phrases: Mapping[str, str] = table()["languages"][language]
    return phrases


def told_in(feature: str, language: str) -> str:
    """Return the language that a feature is told in: the one asked for, or English where it has no words for it."""
    phrases_of(language)
    of = meaning(feature)
    return language if language == "en" or of is None or language in table()["meanings"].get(of.key, {}) else "en"


def _stated(of: Meaning, value: float | str | None, language: str, said: Mapping[str, str]) -> str:
    label, shown = _label(of, language, said), _shown(value, of.unit, language, said)
    if language != "en" or not of.is_count or shown in {"1", said["unknown"]}:
        return f"{label}: {shown}"
    if shown != "0":
        return f"{shown} {label}"
    return f"{label}: 0" if label.startswith(("days since", "days until")) else f"{said['none']} {label}"


def _label(of: Meaning, language: str, said: Mapping[str, str]) -> str:
    span = said["lifetime"] if of.window_days is None else said["span"].format(days=_days(of.window_days, language))
    text = of.key[:1].lower() + of.key[1:] if language == "en" else table()["meanings"][of.key][language]
    return str(text).replace("{span}", span)


def _days(days: int, language: str) -> str:
    if language != "ro":
        return str(days)
    return f"{days} de zile" if days >= 20 and not 1 <= days % 100 <= 19 else f"{days} zile"


def _shown(value: float | str | None, unit: str, language: str, said: Mapping[str, str]) -> str:
    """A value with its counter, as the language writes it."""
    if value is None or value in {UNKNOWN, ""} or value != value:
        return said["unknown"]
    if unit == "category":
        return str(value)
    number = float(value)
    if unit == "flag":
        return said["yes"] if number else said["no"]
    if unit == "share":
        return said["percent"].format(number=_written(round(100 * number), language))
    if unit == "log ratio":
        change = round(100 * (math.exp(number) - 1))
        return said["about"].format(sign="+" if change > 0 else "", number=_written(change, language))
    counter = table()["counters"].get(unit, "") if language == "ko" else ""
    return f"{number:.0f}{counter}" if unit == "year" else f"{_written(number, language)}{counter}"


def _written(number: float, language: str) -> str:
    text = f"{number:,.0f}" if abs(number) >= EXACT_TO or float(number).is_integer() else f"{number:.3g}"
    return text.translate(str.maketrans(",.", ".,")) if language == "ro" else text


def _moved(
    of: Meaning, value: float | str | None, previous: float | str, language: str, said: Mapping[str, str]
) -> str:
    now, before = (_shown(known, of.unit, language, said) for known in (value, previous))
    if now == before:
        return said["same"]
    if of.unit in {"category", "flag"} or said["unknown"] in {now, before}:
        return said["was"].format(before=before)
    return said["up" if float(value or 0) > float(previous) else "down"].format(before=before)


def told(entry: Mapping[str, Any], language: str = "en") -> str:
    """Return an entry of reasons (`feature`, `value`) or of changes (with `cause` and `before`) as people read it."""
    if entry.get("cause") == "model":
        return phrases_of(language)["model"]
    text = reason_text(entry["feature"], entry["value"], language, entry.get("before"))
    if entry.get("cause") != "definition":
        return text
    return phrases_of(told_in(entry["feature"], language))["definition"].format(words=text)


def signed(entry: Mapping[str, Any], language: str = "en") -> str:
    """The same, with which way it moves the score.

    >>> signed({"feature": "active_days_28d", "value": "3", "contribution": 0.5}, "ro")
    'îl crește: zile cu utilizare în ultimele 28 de zile: 3'
    """
    way = "raises" if entry["contribution"] > 0 else "lowers"
    spoken_in = language if entry.get("cause") == "model" else told_in(entry["feature"], language)
    return phrases_of(spoken_in)[way].format(words=told(entry, language))


def family(name: str, language: str = "en") -> str:
    """Name of a family of features as people read it."""
    phrases_of(language)
    return str(table()["families"].get(name, {}).get(language, name))
