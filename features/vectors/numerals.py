"""Numerals: numbers as people write them, in each language: in sentences, on the page, and in the report."""

from __future__ import annotations

from dataclasses import dataclass

NOTHING = "–"
MINUS = "\N{MINUS SIGN}"
_EUROPEAN = str.maketrans(",.", ".,")
_WHOLE_FROM = 1_000
_MILLION = 1_000_000


@dataclass(frozen=True)
class Numerals:
    """The numbers of one language.

    >>> english = Numerals("en")
    >>> english.number(1234), english.number(41.517), english.number(0.6, 1), english.number(None)
    ('1,234', '41.5', '0.6', '–')
    >>> english.percent(0.1234), Numerals("ro").number(1234.5, 1), english.change(3)
    ('12.3%', '1.234,5', '+3')
    """

    language: str

    def number(self, value: float | None, decimals: int | None = None) -> str:
        """Return a number, thousands parted; by default with as many decimals as its size deserves."""
        if value is None:
            return NOTHING
        if decimals is None:
            decimals = 0 if float(value).is_integer() or abs(value) >= _WHOLE_FROM else 1 if abs(value) >= 10 else 2
        return self._written(f"{value:,.{decimals}f}")

    def brief(self, value: float | None) -> str:
        """Return a number in few characters, for a tile or an axis."""
        if value is not None and abs(value) >= _MILLION:
            return f"{self.number(value / _MILLION, 1)} M"
        return self.number(value)

    def percent(self, share: float | None, decimals: int = 1) -> str:
        """Return a share of 1 in per cent."""
        return NOTHING if share is None else self._unit(self.number(100 * share, decimals), "%")

    def whole_percent(self, share: float) -> str:
        """Return a share of 1 in whole per cent, for an axis."""
        return self.percent(share, 0)

    def points(self, value: float | None) -> str:
        """Return a number of hundredths in per cent, for an axis that is in per cent already."""
        return NOTHING if value is None else self.percent(value / 100, 0 if value >= 10 or value == 0 else 1)

    def change(self, value: float | None, decimals: int | None = None) -> str:
        """Return a difference with its sign; a true minus, so that it lines up with the plus."""
        if value is None:
            return NOTHING
        text = self.number(abs(value), decimals)
        sign = "" if not any(digit in text for digit in "123456789") else "+" if value > 0 else MINUS
        return f"{sign}{text}"

    def date(self, text: str | None) -> str:
        """Return an ISO date as it is: whoever knows the names of months writes it out."""
        return text or NOTHING

    def day(self, text: str) -> str:
        """Return the month and day of an ISO date, for an axis."""
        return text[5:10]

    def _written(self, text: str) -> str:
        signed = text.replace("-", MINUS)
        return signed.translate(_EUROPEAN) if self.language == "ro" else signed

    def _unit(self, text: str, unit: str) -> str:
        return f"{text}\N{NO-BREAK SPACE}{unit}" if self.language == "ro" else f"{text}{unit}"
