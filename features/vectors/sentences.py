"""Reasons as sentences that one can act on: a feature and its value as people say it, in three languages.

`words.toml` holds them under the docstring of the definition: one for each case (`absent`, `zero`, `one`, `long`, a
category) and one for all others. A definition without any is told by its meaning, with its value rounded as people
round. What nobody can act on, and what says only that nothing is known, comes
last in a list; the exact parts stay as they are.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from vouch.features.vectors.declare import load_families
from vouch.features.vectors.numerals import Numerals
from vouch.features.vectors.words import Meaning, meaning, phrases_of, table, wording_language

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Value = float | str | None
WEEK_DAYS = 7
LONG_DAYS = 28
"""From so many days on a silence is told in weeks."""
_SCALES = re.compile(r",? ?\((?:from |de la )?-?[01] ?(?:to|~|la) ?1\)|,? (?:from 0 to 1|de la 0 la 1)|\(0 ?~ ?1\)")
_CHANGE = re.compile(r"^change of (.*?) against the same span before them$")
_SINCE = re.compile(r"^days since (?:the )?(.*)$")
_SINCE_IN = {"ko": re.compile(r"^(.*) 이후 경과일$"), "ro": re.compile(r"^[Zz]ile de (?:la|când) (.*)$")}
"""The same of the other languages' labels."""
_NOUNS = {"된": "됨", "한": "함", "받은": "받음"}
_NO_THING = ("times", "followers")
_UNTIL = ("days until", "days to")
MOST_TIMES, LEAST_SHARE = 10, 0.02
"""A change by more than this many times, or to less than this share, is told by this bound."""


def is_absent(value: Value) -> bool:
    """Whether a reason has no value."""
    return value is None or value in {"unknown", ""} or value != value


def sentence(feature: str, value: Value, language: str = "en", previous: Value = None) -> str:
    """Return a reason as a sentence; `previous` is the value of the week before, None where nobody asks for it.

    >>> sentence("days_to_annual_renewal", "unknown"), sentence("active_days_28d", "0", previous="14")
    ('Has no annual contract and can leave at any time', 'No one used it in 4 weeks (before: 14 days)')
    """
    of, language = meaning(feature), wording_language(feature, language)
    if of is None:
        return f"{feature}: {'unknown' if value is None else value}"
    phrases = phrases_of(language)
    text = _worded(of, value, language) or _by_meaning(of, value, language, phrases)
    if previous is None or (is_absent(previous) and is_absent(value)):
        return text
    now, before = (_shown(known, of.unit, language, phrases) for known in (value, previous))
    return (
        text if now == before or _only_aged(of, value, previous) else phrases["moved"].format(text=text, before=before)
    )


def _only_aged(of: Meaning, value: Value, previous: Value) -> bool:
    """Whether a number of days is another one because a week has gone by, and for nothing else."""
    if of.unit != "days" or of.window_days is not None or is_absent(value) or is_absent(previous):
        return False
    return abs(abs(float(value or 0) - float(previous or 0)) - WEEK_DAYS) < 0.5


def leads(entry: Mapping[str, Any]) -> bool:
    """Whether a reason may lead: somebody can act on it, and it says more than that nothing is known."""
    declared, of = load_families().get(entry["feature"]), meaning(entry["feature"])
    if declared is None or of is None:
        return False
    fixed = table()["fixed"]
    if declared.family in fixed["families"] or of.key in fixed["meanings"]:
        return False
    if is_absent(entry["value"]):
        return "absent" in forms_of(of.key, "en") and of.key not in fixed["where_absent"]
    return True


def for_a_list(reasons: Iterable[Mapping[str, Any]], limit: int | None = None) -> list[Mapping[str, Any]]:
    """Return reasons as a list shows them: none of exactly 0, what one can act on first, nothing that says nothing.

    What has no value and no words for its absence is left out while others are left.
    """
    held = [reason for reason in reasons if reason["contribution"]]
    worth_telling = [reason for reason in held if not is_absent(reason["value"]) or _has_absence(reason["feature"])]
    ordered = sorted(worth_telling or held, key=lambda reason: not leads(reason))
    return ordered[:limit]


def _has_absence(feature: str) -> bool:
    of = meaning(feature)
    return of is not None and ("absent" in forms_of(of.key, "en") or _SINCE.match(_lower(of.key)) is not None)


def forms_of(key: str, language: str) -> Mapping[str, str]:
    """The sentences of a meaning in a language; none where there are none."""
    forms: Mapping[str, str] = table()["sentences"].get(key, {}).get(language, {})
    return forms


def _worded(of: Meaning, value: Value, language: str) -> str | None:
    """The sentence that was written for a value, None where there is none."""
    forms = forms_of(of.key, language)
    phrases = phrases_of(language)
    if is_absent(value):
        text = forms.get("absent")
        return text and _filled(text, of, 0.0, language, phrases)
    if of.unit in {"category", "flag"}:
        name = str(value) if of.unit == "category" else "yes" if float(value or 0) else "no"
        return forms.get(name)
    number = float(value or 0)
    text = forms.get(_case(number, of, forms), forms.get("n"))
    return text and _filled(text, of, number, language, phrases)


def _case(number: float, of: Meaning, forms: Mapping[str, str]) -> str:
    """Which of the sentences a number asks for."""
    whole = _rounded_days(number) if of.unit == "days" else number
    if whole == 0 and "zero" in forms:
        return "zero"
    if whole == 1 and "one" in forms:
        return "one"
    if number < 0 and "less" in forms:
        return "less"
    return "long" if of.unit == "days" and whole >= LONG_DAYS and "long" in forms else "n"


def _filled(text: str, of: Meaning, number: float, language: str, phrases: Mapping[str, str]) -> str:
    days = _rounded_days(number) if of.unit == "days" else 0
    return text.format(
        n=_shown(abs(number), of.unit, language, phrases),
        ago=phrases["today"]
        if days == 0
        else phrases["yesterday"]
        if days == 1
        else phrases["ago"].format(n=_days(days, language)),
        weeks=_weeks(days // 7, language),
        lasting=_lasting(days, language),
        span=_span(of.window_days, language, phrases),
    )


def _by_meaning(of: Meaning, value: Value, language: str, phrases: Mapping[str, str]) -> str:
    """The meaning and the value, where nobody has written a sentence."""
    label = of.key[:1].lower() + of.key[1:] if language == "en" else str(table()["meanings"][of.key][language])
    label = _SCALES.sub("", label)
    span = _span(of.window_days, language, phrases)
    if language == "en":
        return _in_english(label, span, of, value, phrases)
    label = _upper(label.replace("{span}", span))
    if of.unit == "days" and _SINCE.match(_lower(of.key)) and (since := _SINCE_IN[language].match(label)):
        return f"{_upper(_noun(since[1]))}: {_ago(value, language, phrases)}"
    if of.is_count and not is_absent(value) and float(value or 0) == 0:
        return f"{label}: {phrases['none']}"
    return f"{label}: {_shown(value, of.unit, language, phrases)}"


def _noun(label: str) -> str:
    """A Korean label that ended in `이후`, ended as a noun does; one that ends in a noun as it is."""
    return next((label.removesuffix(end) + noun for end, noun in _NOUNS.items() if label.endswith(end)), label)


def _ago(value: Value, language: str, phrases: Mapping[str, str]) -> str:
    """How long ago something was, or that it never was."""
    if is_absent(value):
        return phrases["never"]
    days = _rounded_days(float(value or 0))
    if days < 2:
        return phrases["yesterday" if days == 1 else "today"]
    return phrases["ago"].format(n=_days(days, language))


def _in_english(label: str, span: str, of: Meaning, value: Value, phrases: Mapping[str, str]) -> str:
    shown = _shown(value, of.unit, "en", phrases)
    if change := _CHANGE.match(label):
        label = change[1]
    elif (since := _SINCE.match(label)) and of.unit == "days":
        return f"{_upper(since[1])}: {_ago(value, 'en', phrases)}"
    label = label.replace("{span}", span)
    if of.unit == "flag" and shown == phrases["yes"]:
        return _upper(label)
    if of.is_count and of.unit != "days" and shown == "0" and not label.startswith(_NO_THING):
        return f"No {label}"
    if not of.is_count or is_absent(value) or label.startswith(_UNTIL) or shown in {"0", "1"}:
        return f"{_upper(label)}: {shown}"
    return f"{shown} {label}" if of.unit != "days" else f"{_upper(label)}: {shown}"


def _shown(value: Value, unit: str, language: str, phrases: Mapping[str, str]) -> str:
    """A value as people say it: rounded, with its unit."""
    if is_absent(value):
        return phrases["nothing"]
    if unit == "category":
        return str(value).replace("_", " ")
    number = float(value or 0)
    if unit in {"hours", "minutes"}:
        return _duration(number / 60 if unit == "minutes" else number, language)
    if unit in _BY_UNIT:
        return _BY_UNIT[unit](number, language, phrases)
    counter = table()["counters"].get(unit, "") if language == "ko" else ""
    if unit == "days":
        return _days(_rounded_days(number), language)
    return f"{number:.0f}{counter}" if unit == "year" else f"{_written(number, language)}{counter}"


def _share(number: float, language: str, _: Mapping[str, str]) -> str:
    return Numerals(language).percent(number, 0)


def _of_scale(number: float, language: str, phrases: Mapping[str, str]) -> str:
    return phrases["of_100"].format(n=_written(round(100 * number), language))


def _tone(number: float, _: str, phrases: Mapping[str, str]) -> str:
    return phrases["bad" if number < -1 / 3 else "good" if number > 1 / 3 else "neutral"]


def _change(number: float, language: str, phrases: Mapping[str, str]) -> str:
    """A log ratio as a change: no more than `MOST_TIMES`, for beyond that the figure says nothing."""
    times = math.exp(min(number, 50.0))
    if times >= 2:
        most = phrases["over_times"] if times > MOST_TIMES else phrases["times"]
        return most.format(n=_written(min(round(times, 1 if times < 3 else 0), MOST_TIMES), language))
    share = abs(times - 1)
    if round(100 * share) == 0:
        return phrases["unchanged"]
    if times < LEAST_SHARE:
        return phrases["almost_none"]
    return phrases["more" if times > 1 else "fewer"].format(n=Numerals(language).percent(share, 0))


_BY_UNIT: Mapping[str, Callable[[float, str, Mapping[str, str]], str]] = {
    "share": _share,
    "share of scale": _of_scale,
    "polarity": _tone,
    "log ratio": _change,
    "flag": lambda number, _, phrases: phrases["yes" if number else "no"],
}


def _duration(hours: float, language: str) -> str:
    if hours >= 48:
        return _days(round(hours / 24), language)
    return _counted(round(hours), language, "hour") if hours >= 1 else _counted(round(hours * 60), language, "minute")


def _rounded_days(days: float) -> int:
    """Whole days, as people count them: what was this morning is today."""
    return math.floor(days) if days < 1 else round(days)


def _days(days: int, language: str) -> str:
    return _counted(days, language, "day")


def _weeks(weeks: int, language: str) -> str:
    return _counted(weeks, language, "week")


def _lasting(days: int, language: str) -> str:
    """A long time in months or years."""
    if days < 60:
        return _days(days, language)
    months = round(days / 30.44)
    return _counted(months, language, "month") if months < 24 else _counted(round(days / 365.25), language, "year")


def _counted(number: int, language: str, unit: str) -> str:
    """So many days, weeks, months or years; Romanian says `de` from twenty on."""
    one, several = table()["units"][language][unit]
    if language == "ro" and number != 1 and (number % 100 == 0 or number % 100 >= 20) and number:
        several = f"de {several}"
    return f"{_written(number, language)}{'' if language == 'ko' else ' '}{one if number == 1 else several}"


def _span(window_days: int | None, language: str, phrases: Mapping[str, str]) -> str:
    """A window as people say it: four weeks, three months, a year."""
    if window_days is None:
        return phrases["lifetime"]
    span: str | None = table()["spans"][language].get(str(window_days))
    return span or phrases_of(language)["span"].format(
        days=window_days if language != "ro" else _days(window_days, "ro")
    )


def _written(number: float, language: str) -> str:
    """A number as people round it: whole from ten on, one decimal below."""
    parts = 1 if abs(number) >= MOST_TIMES else 10
    rounded = math.copysign(math.floor(abs(number) * parts + 0.5) / parts, number) or 0.0
    return Numerals(language).number(rounded, 0 if rounded.is_integer() else 1)


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def as_sentence(entry: Mapping[str, Any], language: str = "en") -> str:
    """Return an entry of reasons (`feature`, `value`) or of changes (with `cause` and `before`) as a sentence."""
    if entry.get("cause") == "model":
        return phrases_of(language)["model"]
    text = sentence(entry["feature"], entry["value"], language, entry.get("before"))
    if entry.get("cause") != "definition":
        return text
    return phrases_of(wording_language(entry["feature"], language))["definition"].format(words=text)


def signed(entry: Mapping[str, Any], language: str = "en") -> str:
    """The same, with which way it moves the score.

    >>> signed({"feature": "active_days_28d", "value": "3", "contribution": 0.5}, "ro")
    'îl crește: Folosit în 3 zile în ultimele 4 săptămâni'
    """
    way = "raises" if entry["contribution"] > 0 else "lowers"
    wording = language if entry.get("cause") == "model" else wording_language(entry["feature"], language)
    return phrases_of(wording)[way].format(words=as_sentence(entry, language))
