"""Translations of the page: its texts in three languages, and numbers and dates as each of them writes these.

A text is looked up by a key (`translations/en.toml` has them all). What a language lacks is told in English, the whole
text, and `make wordings` lists it; a key that English lacks is an error, which the tests find before anybody reads it.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from vouch.features.metrics.estimators.foreseen import OUT_OF_TIME
from vouch.features.vectors.numerals import NOTHING, Numerals
from vouch.models.quality.card_charts import WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LANGUAGES: Mapping[str, str] = {"en": "English", "ko": "한국어", "ro": "Română"}
"""Languages of the page, each by its own name. The first one is spoken to whom none of them suits."""
SIGNS: Mapping[str, str] = {"EUR": "€", "USD": "$", "GBP": "£", "KRW": "₩", "JPY": "¥", "INR": "₹"}
"""Currencies that are written with a sign; all others with their code behind."""
SURE = 0.01
"""Below this share of 1, and as far below 1, a probability is told by this bound."""
USUAL, FORESEEN = 0.95, 0.8
"""The share that intervals hold, and that those of forecasts do."""
_HUNDRED = 100


@dataclass(frozen=True)
class Speech(Numerals):
    """One language: called with a key it gives the text, with what is to be filled in."""

    texts: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """Return a text; raises KeyError for a key that is none."""
        return self.texts[key].format(**values) if values else self.texts[key]

    def get(self, key: str, otherwise: str) -> str:
        """Return a text where there is one."""
        return self.texts.get(key, otherwise)

    def chance(self, probability: float | None, decimals: int = 0) -> str:
        """Return a probability in per cent, as people say one, and never as certain."""
        if probability is None:
            return NOTHING
        sure = SURE / 10**decimals
        if probability < sure or probability > 1 - sure:
            word, limit = ("number.under", sure) if probability < sure else ("number.over", 1 - sure)
            return self(word, value=self.percent(limit, decimals))
        return self.percent(probability, decimals)

    def band_reason(self, why: Mapping[str, Any]) -> str:
        """Return why a band of health is another one than its score alone would give, of what `BandReason` holds."""
        band = self(f"health_band.{why['band_of_score'] or 'unknown'}")
        share, floor = self.percent(why["coverage"], 0), self.percent(why["coverage_floor"], 0)
        return self(f"health.{why['code']}", lowest=self.number(why["low"], 0), band=band, coverage=share, floor=floor)

    def interval_name(self, row: Mapping[str, Any] | None = None) -> str:
        """Return what intervals of a metric are called: of the share that they hold, 95 % where nothing is said."""
        return self("metrics.interval", share=self.percent(_share_held(row), 0))

    def interval(self, row: Mapping[str, Any]) -> str:
        """Return the interval of a metric's row where it stands below a heading; its share where that is not 95 %."""
        if row["ci_low"] is None:
            return NOTHING
        low, high = (self.measure(row[end], row["unit"]) for end in ("ci_low", "ci_high"))
        share = _share_held(row)
        return f"{low} – {high}" + ("" if share == USUAL else f" ({self.percent(share, 0)})")

    def between(self, row: Mapping[str, Any]) -> str:
        """Return the interval of a metric's row where it stands by itself; nothing where there is none."""
        if row["ci_low"] is None:
            return ""
        low, high = (self.measure(row[end], row["unit"]) for end in ("ci_low", "ci_high"))
        return self("portfolio.between", share=self.percent(_share_held(row), 0), low=low, high=high)

    def money(self, value: float | None, currency: str | None = None) -> str:
        """Return an amount of money: whole from a hundred on, and where there is nothing after the point."""
        if value is None:
            return NOTHING
        number = self.number(value, 0 if abs(value) >= _HUNDRED or round(float(value), 2).is_integer() else 2)
        if currency is None:
            return number
        sign = SIGNS.get(currency.upper())
        if self.language == "ro" or sign is None:
            return f"{number}\N{NO-BREAK SPACE}{sign or currency}"
        return f"{sign}{number}"

    def measure(self, value: float | None, unit: str) -> str:
        """Return a value of a metric with its unit, where that is short; always to the same decimals for a unit."""
        if value is None:
            return NOTHING
        if unit == "percent":
            return self._unit(self.number(value, 1), "%")
        if unit == "probability":
            return self.percent(value)
        return self.number(value, 1 if unit == "points" else None)

    def date(self, text: str | None) -> str:
        """Return an ISO date or instant as people write it, instants with their time in UTC."""
        if not text:
            return NOTHING
        instant = datetime.fromisoformat(text)
        day = self("date.form", day=instant.day, month=self(f"date.month_{instant.month}"), year=instant.year)
        return f"{day}, {instant:%H:%M} UTC" if "T" in text else day

    def day(self, text: str) -> str:
        """Return the day and month of an ISO date, for an axis."""
        instant = datetime.fromisoformat(text)
        return self("date.short", day=instant.day, month=self(f"date.month_{instant.month}"))


def _share_held(row: Mapping[str, Any] | None) -> float:
    """The share of cases that an interval of a metric's row is to hold."""
    return FORESEEN if row is not None and row.get("ci_method") == OUT_OF_TIME else USUAL


@cache
def speech(language: str) -> Speech:
    """Return one of LANGUAGES."""
    return Speech(language, {**texts("en"), **texts(language)})


@cache
def texts(language: str) -> Mapping[str, str]:
    """Return the texts that a language has of its own, by key."""
    with (resources.files("vouch.serving.presentation") / "locales" / f"{language}.toml").open("rb") as file:
        read = dict(_flat(tomllib.load(file)))
    return {**{f"drawn.{name}": text for name, text in WORDS.items()}, **read} if language == "en" else read


def _flat(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in table.items():
        if isinstance(value, str):
            yield f"{before}{name}", value
        else:
            yield from _flat(value, f"{before}{name}.")


def preferred(accept_language: str) -> str:
    """Return the language of ours that a browser's header wants most (RFC 9110 section 12.5.4).

    >>> preferred("de, ro-MD;q=0.8, en;q=0.5"), preferred("ko;q=0, *"), preferred("")
    ('ro', 'en', 'en')
    """
    wanted = []
    for place, part in enumerate(accept_language.split(",")[:20]):
        tag, _, rest = part.strip().partition(";")
        weight = _weight(rest)
        language = tag.strip().lower().partition("-")[0]
        if language in LANGUAGES and weight > 0:
            wanted.append((-weight, place, language))
    return min(wanted)[2] if wanted else next(iter(LANGUAGES))


def _weight(text: str) -> float:
    name, _, value = text.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
