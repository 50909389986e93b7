"""Company files: settings that a company changes in a file of its own, which holds only what differs from what comes.

Each kind of file is declared as a form; what does not fit it is refused with the place, in words.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from vouch.features.errors import ConfigurationError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from importlib.resources.abc import Traversable
    from pathlib import Path

    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

_DEPTH = 3
"""Tables are merged so deep; what a company writes deeper takes the place of the whole table that comes."""
_WORDS = {
    "float_type": "must be a number",
    "finite_number": "must be a number",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "string_type": "must be a text",
    "model_type": "must be a table",
    "dict_type": "must be a table",
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
}


class Section(BaseModel):
    """A table of such a file: it has these keys and no others, and their values are of their types as they are."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


Form = TypeVar("Form")


def read_settings(form: type[Form], shipped: Traversable, own: Path | None) -> Form:
    """Return the settings that come with vouch, with what the company's own file sets in their place.

    `form` is a Section, or a dictionary of these by name. Raises ConfigurationError where the own file is wrong.
    """
    text = shipped.read_text(encoding="utf-8")
    if own is None or not own.exists():
        return TypeAdapter(form).validate_python(tomllib.loads(text))
    return judged_settings(form, merged_text(text, read_own(own), f"{own}"), f"{own}")


def read_own(own: Path) -> str:
    """Return the text of a company's own file; raises ConfigurationError where it cannot be read."""
    try:
        return own.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{own}: not valid TOML: {error}") from error
    except OSError as error:
        raise ConfigurationError(f"{own} cannot be read: {error.strerror}") from error


def merged_text(shipped: str, own: str, where: str) -> dict[str, Any]:
    """Return what comes with vouch, with what a company's own text sets in its place.

    Raises ConfigurationError, which names `where`, for what is no TOML or has no place.
    """
    base = tomllib.loads(shipped)
    try:
        given = tomllib.loads(own)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{where}: not valid TOML: {error}") from error
    for name in given:
        if name not in base:
            raise ConfigurationError(f"{where}: there is no [{name}]{did_you_mean(name, base)}")
    return _merged(base, given, _DEPTH)


def judged_settings(form: type[Form], plain: Mapping[str, Any], where: str) -> Form:
    """Return plain settings in their form; raises ConfigurationError with the place, in words."""
    try:
        return TypeAdapter(form).validate_python(plain)
    except ValidationError as error:
        raise ConfigurationError(f"{where}: {_in_words(form, error.errors(include_url=False)[0])}") from error


def _merged(base: Mapping[str, Any], own: Mapping[str, Any], depth: int) -> dict[str, Any]:
    """The base with what the own file names."""
    merged = dict(base)
    for name, value in own.items():
        inner = base.get(name)
        is_table = isinstance(inner, dict) and isinstance(value, dict)
        merged[name] = _merged(dict(inner or {}), value, depth - 1) if is_table and depth > 1 else value
    return merged


def _in_words(form: Any, error: ErrorDetails) -> str:
    """The first thing that does not fit, with its place: `[caps]: 'asks_in_30_days' must be a whole number`."""
    message = error["msg"].removeprefix("Value error, ")
    *tables, key = (part if isinstance(part, int) else str(part) for part in error["loc"] or [""] if part != "[key]")
    place = f"{_place(tables)}: " if tables else ""
    if isinstance(key, int):
        return f"{_place([*tables, key])}: {message}"
    if error["type"] == "extra_forbidden":
        return f"{place}unknown key {key!r}{did_you_mean(key, _keys(form, tables))}"
    if error["type"] == "missing":
        return f"{place}{key!r} is missing"
    words = _WORDS.get(error["type"])
    if words:
        return f"{place}{key!r} {words.format(**error.get('ctx', {}))}"
    return f"{place}{key!r}: {message}" if key else message


def _place(tables: Sequence[str | int]) -> str:
    """The place of a table in words: `[caps]`, or `[measures], number 3`."""
    place = ""
    for part in tables:
        if isinstance(part, int):
            place += f", number {part + 1}"
        else:
            place = f"{place[:-1]}.{part}]" if place.endswith("]") else f"{place}, {part}" if place else f"[{part}]"
    return place


def _keys(form: Any, tables: Sequence[str | int]) -> Iterable[str]:
    """The keys that the table at a place may have, as they are written."""
    for part in tables:
        form = _field(form, str(part)).annotation if hasattr(form, "model_fields") else get_args(form)[-1]
    return [field.alias or name for name, field in form.model_fields.items()]


def _field(form: Any, name: str) -> FieldInfo:
    fields: Mapping[str, FieldInfo] = form.model_fields
    return fields[name]
