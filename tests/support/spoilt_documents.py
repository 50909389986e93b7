"""A JSON document with every wrong value in every place, one at a time; and what is no document at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

WRONG = (None, True, -1, 1e308, "x", "../../x", [], [None], ["x"], [[]], {}, {"x": 1}, 10**400)
CELLS = (0, 3)
"""Of each long list two places: the others are alike."""
DEEP = b"[" * 100_000 + b"]" * 100_000
NO_DOCUMENT = (DEEP, b"", b"\xff\xfe", b"null", b'{"a":NaN}', b"1" * 10_000, b'"' + b"\xed\xa0\x80")


def spoilt(content: Any) -> Iterator[Any]:
    """The document with one thing wrong, for each thing that can be."""
    for way in places(content):
        if any(isinstance(key, int) and key not in CELLS for key in way):
            continue
        yield from (put(content, way, value) for value in WRONG)
        if way:
            yield without(content, way)


def places(content, way=()):
    """Every place of a document, as the way to it."""
    yield way
    inside = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in inside:
        yield from places(value, (*way, key))


def put(content, way, value):
    """The document with another value in one place."""
    if not way:
        return value
    copy = json.loads(json.dumps(content))
    at = copy
    for key in way[:-1]:
        at = at[key]
    at[way[-1]] = value
    return copy


def without(content, way):
    """The document without one key."""
    copy = json.loads(json.dumps(content))
    at = copy
    for key in way[:-1]:
        at = at[key]
    del at[way[-1]]
    return copy
