"""Whole numbers as JSON means them: `2.0` is one, a text or a truth value is none."""

from __future__ import annotations

from typing import Any

from pydantic import BeforeValidator


def whole(value: Any) -> Any:
    """Return a number without a fraction as an int, and everything else as it is.

    >>> whole(2.0), whole(2.5), whole("2"), whole(float("inf"))
    (2, 2.5, '2', inf)
    """
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(whole)
"""Stands last beside a type and its limits, so that they are those of the number as it was made."""
