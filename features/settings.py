"""Parts of a project file: one table of TOML each, whose unknown keys and wrong types are told with their place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vouch.features.errors import ConfigurationError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_WORDS = {
    str: "a text",
    dict: "a table",
    list: "a list",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}


class Part:
    """One table of a project file: unknown keys and values of another type are errors that name the place."""

    def __init__(self, path: Path, where: str, raw: Any) -> None:
        self.path = path
        self.where = f"{path}: {where}" if where else f"{path}"
        if not isinstance(raw, dict):
            raise ConfigurationError(f"{self.where} must be a table")
        self.raw: dict[str, Any] = raw

    def only(self, allowed: Mapping[str, type]) -> Part:
        """Refuse a key that is not allowed, or a value of another type; a whole number is a number."""
        for key, value in self.raw.items():
            if key not in allowed:
                raise ConfigurationError(f"{self.where}: unknown key {key!r}{did_you_mean(key, allowed)}")
            kind = allowed[key]
            is_number = kind in {int, float} and isinstance(value, bool)
            if is_number or not isinstance(value, (int, float) if kind is float else kind):
                raise ConfigurationError(f"{self.where}: {key!r} must be {_WORDS[kind]}")
        return self

    def texts(self) -> dict[str, str]:
        """All keys, whose values must be texts."""
        return {**self.only(dict.fromkeys(self.raw, str)).raw}

    def names(self, key: str) -> tuple[str, ...]:
        """A list of texts; empty where it is not set."""
        given = self.raw.get(key, [])
        if not all(isinstance(name, str) for name in given):
            raise ConfigurationError(f"{self.where}: {key!r} must be a list of texts")
        return tuple(given)

    def share(self, key: str, otherwise: float) -> float:
        """A number from 0 to 1."""
        value = float(self.raw.get(key, otherwise))
        if not 0 <= value <= 1:
            raise ConfigurationError(f"{self.where}: {key!r} must lie between 0 and 1")
        return value
