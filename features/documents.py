"""JSON documents that have a form: what comes from a disk or a server that others write to is judged before it is read.

A digest says only that a document is as somebody wrote it. Its form is judged once, here, so that whoever reads on
meets no wrong type, no missing key and no depth without end. Messages name places and forms, and no value.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import from_json

from vouch.features.errors import DataError

LARGEST = 1e30
"""Sums and products of numbers up to it are numbers."""
NAME = "[a-z][a-z0-9_]{0,62}"
DIGEST = "[0-9a-f]{64}"
Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Name = Annotated[str, StringConstraints(pattern=f"^{NAME}$")]
Digest = Annotated[str, StringConstraints(pattern=f"^{DIGEST}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]{0,60}\.[a-z]{2,10}$")]
Text = Annotated[str, StringConstraints(max_length=1000)]


class Document(BaseModel):
    """A document whose values must be of their types as they are; what a later release adds is not read."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)


class Malformed(DataError):
    """A document that has another form than it should."""

    code = "malformed"


Form = TypeVar("Form", bound=BaseModel)


def read_document(form: type[Form], name: str, content: bytes) -> tuple[Form, Any]:
    """Return a document that has its form, and the plain data that it was read from; raises Malformed.

    >>> class Point(Document):
    ...     x: Number
    >>> read_document(Point, "point.json", b'{"x": 1.5, "y": 2}')
    (Point(x=1.5), {'x': 1.5, 'y': 2})
    """
    try:
        plain = from_json(content, allow_inf_nan=False)
    except ValueError as error:
        raise Malformed(f"{name} is no JSON") from error
    return judged(form, name, plain), plain


def judged(form: type[Form], name: str, plain: Any) -> Form:
    """Return plain data as the document that it should be; raises Malformed."""
    try:
        return form.model_validate(plain)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part)[:40] for part in first["loc"][:4])
        problem = first["msg"].removeprefix("Value error, ")
        raise Malformed(f"{name} is not sound: {place or 'it'}: {problem}") from error
