"""Fingerprints of definitions: SHA-256 of everything that one says, whatever the order of sets, and of no address."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any


def fingerprint_of(definition: Any) -> str:
    """SHA-256 of a definition; functions count by their names.

    >>> fingerprint_of({"b": 1, "a": (2,)}) == fingerprint_of({"a": (2,), "b": 1})
    True
    """
    return hashlib.sha256(_text(definition).encode()).hexdigest()


def _text(value: Any) -> str:
    """A value as text that does not depend on the order of sets or mappings, nor on addresses."""
    if is_dataclass(value):
        parts = [f"{part.name}={_text(getattr(value, part.name))}" for part in fields(value)]
        return f"{type(value).__name__}({', '.join(parts)})"
    if callable(value):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_text(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, frozenset):
        return "{" + ", ".join(map(repr, sorted(value))) + "}"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_text, value)) + ")"
    return repr(value)
