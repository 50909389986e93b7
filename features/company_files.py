"""Company files: settings that a company changes in a file of its own, which holds only what differs from what comes.

Each kind of file is declared as a form; what does not fit it is refused with the place, in words.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from vouch.features.errors import ConfigurationError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable
    from pathlib import Path

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
    base, judge = tomllib.loads(shipped.read_text(encoding="utf-8")), TypeAdapter(form)
    if own is None or not own.exists():
        return judge.validate_python(base)
    try:
        given = tomllib.loads(own.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{own}: not valid TOML: {error}") from error
    for name in given:
        if name not in base:
            raise ConfigurationError(f"{own}: there is no [{name}]{did_you_mean(name, base)}")
    try:
        return judge.validate_python(_merged(base, given, _DEPTH))
    except ValidationError as error:
        raise ConfigurationError(f"{own}: {_in_words(form, error.errors(include_url=False)[0])}") from error


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
    *tables, key = (str(part) for part in error["loc"] if part != "[key]")
    place = f"[{'.'.join(tables)}]: " if tables else ""
    if error["type"] == "extra_forbidden":
        return f"{place}unknown key {key!r}{did_you_mean(key, _keys(form, tables))}"
    words = _WORDS.get(error["type"])
    return f"{place}{key!r} {words.format(**error.get('ctx', {}))}" if words else f"{place}{key!r}: {error['msg']}"


def _keys(form: Any, tables: list[str]) -> Mapping[str, object]:
    """The keys that the table at a place may have."""
    for name in tables:
        form = form.model_fields[name].annotation if hasattr(form, "model_fields") else get_args(form)[-1]
    keys: Mapping[str, object] = form.model_fields
    return keys
