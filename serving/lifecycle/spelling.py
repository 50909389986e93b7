"""Spellings of a customer's id in a text: composed or not, escaped for JSON, HTML or an address, or as it is.

A log or a report is written by whoever handled the id, so every sign is looked for in each of its forms. A name counts
where it stands by itself, not as a part of a longer word. An id that is a number is struck out of JSON only where it is
the whole of a value that may be one, because figures are no customers.
"""

from __future__ import annotations

import json
import re
import unicodedata
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING

from vouch.features.engines import as_staged
from vouch.features.shown import visible_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

ERASED = "[erased]"
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_HEX = r"[0-9A-Fa-f]"
_BEGINS = rf"(?:(?<![\w%-])(?<!%{_HEX})|(?<=%{_HEX}{{2}})|(?<=\\[nrtbf])|(?<=\\u{_HEX}{{4}}))"
"""By itself: after no letter, or after one that is the end of an escape."""
_ENDS = r"(?![\w\u0300-\u036f-])"
_TEXT_OF_JSON = re.compile(r'"(?:[^"\\]|\\.)*"')
_NUMBER_OF_A_PERSON = re.compile(r'("(?:\w+_id|id|customer|referred_by|author)"\s*:\s*)(-?\d+(?:\.\d+)?)(?![\w.])')


class Spelling:
    """All spellings of some customers, to be found in texts and struck out."""

    def __init__(self, customer_ids: Iterable[str]) -> None:
        self.ids = frozenset(customer_ids)
        self._known: dict[str, str | None] = {}

    @cached_property
    def _each(self) -> dict[str, re.Pattern[str]]:
        return {one: re.compile(_forms(one)) for one in self.ids}

    @cached_property
    def _any(self) -> re.Pattern[str]:
        return _compiled(self.ids)

    @cached_property
    def _words(self) -> re.Pattern[str]:
        return _compiled([one for one in self.ids if not is_number(one)])

    def of(self, spelt: str) -> str:
        """The customer whom a spelling names."""
        if spelt not in self._known:
            self._known[spelt] = next((one for one, form in self._each.items() if form.fullmatch(spelt)), None)
        return self._known[spelt] or spelt

    def named_in(self, text: str) -> list[str]:
        """The customers whom a text names, as often as it does."""
        return [self.of(match[0]) for match in self._any.finditer(text)]

    def struck(self, line: str, is_json: bool) -> tuple[str, list[str]]:
        """A line without the names of customers, and whose names they were."""
        if not is_json:
            return self._any.sub(ERASED, line), self.named_in(line)
        gone: list[str] = []

        def text(match: re.Match[str]) -> str:
            token, is_name = match[0], line[match.end() :].lstrip().startswith(":")
            whole = _whole(token)
            if whole in self.ids and not (is_name and is_number(whole)):
                gone.append(whole)
                return f'"{ERASED}"'
            gone.extend(self.of(name[0]) for name in self._words.finditer(token))
            return self._words.sub(ERASED, token)

        def number(match: re.Match[str]) -> str:
            if match[2] not in self.ids:
                return match[0]
            gone.append(match[2])
            return f'{match[1]}"{ERASED}"'

        numbered = _NUMBER_OF_A_PERSON.sub(number, line)
        line = numbered
        return _TEXT_OF_JSON.sub(text, numbered), gone


def is_number(customer_id: str) -> bool:
    """Whether an id could be a figure as well."""
    return _NUMBER.fullmatch(customer_id) is not None


def _whole(token: str) -> str:
    """What a text of JSON says, as an id would stand in contract form; itself where it says nothing."""
    try:
        return as_staged(json.loads(token))
    except (ValueError, TypeError):
        return token


def _compiled(customer_ids: Collection[str]) -> re.Pattern[str]:
    forms = sorted(map(_forms, filter(None, customer_ids)), key=len, reverse=True)
    return re.compile(f"{_BEGINS}(?:{'|'.join(forms)}){_ENDS}" if forms else r"(?!)")


def _forms(customer_id: str) -> str:
    """A pattern for every spelling of an id; a number is none where it is a part of another one."""
    if is_number(customer_id):
        return rf"(?<!\d\.){re.escape(customer_id)}(?!\.\d)"
    spelt = {customer_id, unicodedata.normalize("NFD", customer_id), visible_text(customer_id)}
    return "|".join(
        "".join(map(_sign, form)) for form in sorted(filter(None, spelt), key=lambda form: (-len(form), form))
    )


def _sign(sign: str) -> str:
    """A pattern for one sign: as it is, or escaped in any of the usual ways."""
    if sign.isascii() and sign.isalnum():
        return sign
    octets = "".join(f"%(?:25)*{_either_case(octet)}" for octet in sign.encode())
    units = sign.encode("utf-16-be").hex()
    json_form = "".join(rf"\\u{_any_case(units[at : at + 4])}" for at in range(0, len(units), 4))
    ways = {re.escape(sign), octets, json_form, re.escape(escape(sign)), re.escape(json.dumps(sign)[1:-1])}
    ways |= {r"\+"} if sign == " " else set()
    ways |= {rf"&#0*{ord(sign)};", rf"&#[xX]0*{_any_case(f'{ord(sign):x}')};"}
    return f"(?:{'|'.join(sorted(ways))})"


def _either_case(octet: int) -> str:
    return _any_case(f"{octet:02x}")


def _any_case(digits: str) -> str:
    return "".join(digit if digit.isdigit() else f"[{digit}{digit.upper()}]" for digit in digits)
