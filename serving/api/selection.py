"""Selection of fields: an answer with those that were asked for, and what says of whom and of which week it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import from_json, to_json

from vouch.features.errors import did_you_mean
from vouch.serving.api.answer_types import Fresh
from vouch.serving.api.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

ALWAYS = (*Fresh.model_fields, "customer_id", "rank")
"""Fields that are in every answer."""


def selected(content: bytes, fields: Sequence[str], gives: type[BaseModel]) -> bytes:
    """Return an answer with some fields: of each row where it has rows, else of the answer itself.

    Raises the problem `invalid_value` for a field that there is none of.
    """
    if not fields:
        return content
    listed = _rows_of(gives)
    known = (listed[1] if listed else gives).model_fields
    for name in fields:
        if name not in known:
            raise Problem("invalid_value", f"There is no such field in the answer{did_you_mean(name, known)}", "fields")
    answer: dict[str, Any] = from_json(content)
    if listed is None:
        return to_json(_only(answer, fields))
    return to_json({**answer, listed[0]: [_only(row, fields) for row in answer[listed[0]]]})


def _only(row: Mapping[str, Any], fields: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name in fields or name in ALWAYS}


def rows_in(answer: Any, gives: type[BaseModel]) -> int:
    """How many rows an answer hands out: those of its list, or the one thing that it is about."""
    if isinstance(answer, bytes):
        return int(getattr(answer, "rows", 1))
    listed = _rows_of(gives)
    return 1 if listed is None else len(answer[listed[0]])


def _rows_of(gives: type[BaseModel]) -> tuple[str, type[BaseModel]] | None:
    """The field that holds the rows of a page, and the type of a row; None for an answer about one thing."""
    if "total" not in gives.model_fields:
        return None
    for name, field in gives.model_fields.items():
        inner = get_args(field.annotation)
        if get_origin(field.annotation) is list and inner and issubclass(inner[0], BaseModel):
            return name, inner[0]
    return None
