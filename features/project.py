"""One company's project: where its data lie, how they map onto the contract, where vouch keeps its own files.

Built once by the command line or the service, then passed. The only module that reads the environment.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.contract import TABLES
from features.errors import ConfigurationError, UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_HOME = ".vouch"
PROJECT_FILE = "vouch.toml"
ENGINES = ("duckdb", "polars", "spark")


@dataclass(frozen=True)
class TableMapping:
    """How one canonical table is made: a source relation with renames and constants, or a query over the sources."""

    source: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    query: str | None = None
    epoch: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Project:
    """One company's data, mapping and home.

    `location` is a folder, a DuckDB file or a `postgresql://` URL, or None where the mapping names single files
    (`sources`). `tables` is empty where the names are the contract's own.
    """

    home: Path
    location: str | None
    sources: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, TableMapping] = field(default_factory=dict)
    feedback_sources: tuple[str, ...] = ()
    store: str | None = None
    tracking: str | None = None
    memory_limit: str = "4GB"
    threads: int | None = None


_KEYS = {
    "": {"data", "source", "tables", "feedback", "engine"},
    "feedback": {"sources"},
    "engine": {"memory_limit", "threads"},
    "tables": {"from", "columns", "constants", "query", "epoch"},
}


def _only(found: Mapping[str, Any], allowed: set[str], where: str, path: Path) -> None:
    for key in found:
        if key not in allowed:
            raise ConfigurationError(f"{path}: unknown key {key!r} in {where}{did_you_mean(key, allowed)}")


def _mapping(table: str, raw: Mapping[str, Any], path: Path) -> TableMapping:
    where = f"[tables.{table}]"
    if table not in TABLES:
        raise ConfigurationError(f"{path}: {where} is no table of the contract{did_you_mean(table, TABLES)}")
    _only(raw, _KEYS["tables"], where, path)
    if ("from" in raw) == ("query" in raw):
        raise ConfigurationError(f"{path}: {where} needs either `from` or `query`, not both and not neither")
    for part in ("columns", "constants", "epoch"):
        _only(raw.get(part, {}), set(TABLES[table].columns), f"{where} {part}", path)
    return TableMapping(
        source=raw.get("from"),
        columns=dict(raw.get("columns", {})),
        constants=dict(raw.get("constants", {})),
        query=raw.get("query"),
        epoch=dict(raw.get("epoch", {})),
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"There is no project file {path}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not valid TOML: {error}") from error


def _anchored(path: Path, name: str) -> str:
    """A location named in a project file, relative to the folder of that file; `${NAME}` is read from the settings."""
    expanded = os.path.expandvars(name)
    if expanded.startswith("postgresql://"):
        return expanded
    if "$" in expanded:
        raise ConfigurationError(f"{path}: the variable in {name!r} is not set")
    return str((path.parent / expanded).resolve())


def _from_file(path: Path, home: Path) -> Project:
    raw = _read(path)
    _only(raw, _KEYS[""], "the file", path)
    for section in ("feedback", "engine"):
        _only(raw.get(section, {}), _KEYS[section], f"[{section}]", path)
    engine = raw.get("engine", {})
    return Project(
        home=home,
        location=_anchored(path, raw["data"]) if "data" in raw else None,
        sources={name: _anchored(path, file) for name, file in raw.get("source", {}).items()},
        tables={name: _mapping(name, table, path) for name, table in raw.get("tables", {}).items()},
        feedback_sources=tuple(raw.get("feedback", {}).get("sources", ())),
        store=os.environ.get("VOUCH_STORE_URL"),
        tracking=os.environ.get("MLFLOW_TRACKING_URI"),
        memory_limit=engine.get("memory_limit", "4GB"),
        threads=engine.get("threads"),
    )


def home() -> Path:
    """Return the folder that vouch keeps its own files in: `VOUCH_HOME`, else `./.vouch`."""
    return Path(os.environ.get("VOUCH_HOME", DEFAULT_HOME)).resolve()


def load_project(data: str | None = None) -> Project:
    """Read where a company's data are.

    `data` is a folder, a DuckDB file, a `postgresql://` URL or a project file; without it, `vouch.toml` in the current
    folder. Raises UsageError where nothing is there and ConfigurationError where the file is wrong.
    """
    if data is None:
        if not Path(PROJECT_FILE).exists():
            raise UsageError(f"No data given, and no {PROJECT_FILE} in this folder. Give a folder, file or URL.")
        data = PROJECT_FILE
    if data.endswith(".toml"):
        return _from_file(Path(data).resolve(), home())
    if not data.startswith("postgresql://") and not Path(data).exists():
        raise UsageError(f"There is no file or folder {data!r}")
    location = data if data.startswith("postgresql://") else str(Path(data).resolve())
    return Project(
        home=home(),
        location=location,
        store=os.environ.get("VOUCH_STORE_URL"),
        tracking=os.environ.get("MLFLOW_TRACKING_URI"),
    )
