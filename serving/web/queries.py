"""Parameters of an address: whatever somebody typed into one is a value that is meant, or none."""

from __future__ import annotations

DIGITS = 8
"""As many as any number in an address needs."""


def whole_number(text: str | None) -> int | None:
    """Return a number of plain digits, None for anything else.

    >>> whole_number("20"), whole_number("²"), whole_number("-1"), whole_number("9" * 5_000), whole_number(None)
    (20, None, None, None, None)
    """
    if not text or len(text) > DIGITS or not (text.isascii() and text.isdecimal()):
        return None
    return int(text)
