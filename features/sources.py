"""From wherever a company's tables are to tables in contract form: staged once per input, opened on any engine.

What is staged lies in `$VOUCH_HOME/staged/FINGERPRINT/`, whole or not at all, and is used again while the input, the
mapping and the contract are the same, and no row passes from the future into the past.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import narwhals as nw

from features.asof import Tables
from features.contract import ACTIVITY_TABLES, DAY_US
from features.engine import connect, first_line
from features.errors import DataError, MissingExtra, UsageError, did_you_mean
from features.intake import prepare
from features.project import ENGINES
from features.report import full_report
from features.rows import tables_from_rows
from features.staging import Bench, stage_tables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from features.project import Project
    from features.staging import Outcome

__all__ = ["Staged", "open_tables", "stage", "tables_from_rows"]
BUILDING = ".building-"
"""Begin of the name of a folder that is not finished; one that an interrupted run left behind may go."""
MANIFEST, REPORT = "manifest.json", "report.json"
WEEK_US = 7 * DAY_US
FIRST_MONDAY_US = 4 * DAY_US


@dataclass(frozen=True)
class Staged:
    """One company's tables in contract form on disk.

    `counted` are the figures by table, and the warnings. `columns` are the contract columns handed over, by table.
    `data_through_us` is the newest accepted own time in usage_events and transactions, None where they hold no rows.
    """

    folder: Path
    fingerprint: str
    counted: Mapping[str, Any]
    columns: Mapping[str, frozenset[str]]
    data_through_us: int | None

    @cached_property
    def report(self) -> dict[str, Any]:
        """What `vouch check --format json` prints; for what is fed, all features and metrics are loaded."""
        return full_report(self.counted)

    def default_as_of_us(self, now_us: int) -> int:
        """Newest Monday 00:00 UTC at most 24 hours after the data end, and not after now.

        Raises DataError where there are no rows to go by.
        """
        if self.data_through_us is None:
            raise DataError(f"{' and '.join(ACTIVITY_TABLES)} hold no accepted rows: name the instant with --as-of")
        latest = min(self.data_through_us + DAY_US, now_us)
        return latest - (latest - FIRST_MONDAY_US) % WEEK_US


def stage(project: Project, now_us: int) -> Staged:
    """Read, check and stage all tables of a company, or find them staged already.

    Raises the errors of `features.errors.DataError` where a table or file stops the run.
    """
    home = project.home / "staged"
    mend = "Free disk space or memory, mind the rights of the folder, or raise memory_limit under [engine]."
    try:
        found = _found_or_made(project, home, now_us)
        _show_quarantine(project.home, found)
    except duckdb.Error as error:
        raise DataError(f"The tables cannot be staged in {home}: {first_line(error)}. {mend}") from error
    except OSError as error:
        raise DataError(f"The tables cannot be staged in {home}: {error.strerror}: {error.filename}. {mend}") from error
    return _opened(found)


def _found_or_made(project: Project, home: Path, now_us: int) -> Path:
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=BUILDING, dir=home) as building:
        folder = Path(building) / "tables"
        folder.mkdir()
        connection = connect(project, Path(building))
        try:
            planned, base = prepare(connection, project, Path(building))
            found = _reusable(home, base, now_us)
            if found is not None:
                return found
            outcomes = stage_tables(Bench(connection, folder, now_us), planned)
        finally:
            connection.close()
        return _publish(home, folder, base, outcomes)


def _reusable(home: Path, base: str, now_us: int) -> Path | None:
    """The folder that holds this input already, seen from a now that sees the same rows as the future."""
    for path in sorted(home.glob(f"[!.]*/{MANIFEST}")):
        manifest = _unsealed(path)
        until_us, future_us = manifest["accepted_until_us"], manifest["future_from_us"]
        is_past = until_us is None or until_us - DAY_US <= now_us
        is_future = future_us is None or future_us - DAY_US > now_us
        if manifest["base"] == base and is_past and is_future:
            return path.parent
    return None


def _publish(home: Path, folder: Path, base: str, outcomes: Mapping[str, Outcome]) -> Path:
    """Write the manifest beside the tables, and rename the folder to its fingerprint."""
    future_us = min((o.future_from_us for o in outcomes.values() if o.future_from_us is not None), default=None)
    until_us = max((o.accepted_until_us for o in outcomes.values() if o.accepted_until_us is not None), default=None)
    through = [outcomes[name].accepted_until_us for name in ACTIVITY_TABLES if name in outcomes]
    fingerprint = hashlib.sha256(f"{base} {future_us}".encode()).hexdigest()
    manifest = {
        "fingerprint": fingerprint,
        "base": base,
        "accepted_until_us": until_us,
        "future_from_us": future_us,
        "data_through_us": max((us for us in through if us is not None), default=None),
        "columns": {name: sorted(outcome.columns) for name, outcome in outcomes.items()},
        "files": {name: _digest(folder / f"{name}.parquet") for name in outcomes},
    }
    report = {
        "tables": {name: outcome.report for name, outcome in outcomes.items()},
        "warnings": [warning for outcome in outcomes.values() for warning in outcome.warnings],
    }
    for name, content in ((MANIFEST, manifest), (REPORT, report)):
        (folder / name).write_text(_sealed(content), encoding="utf-8")
    for path in [*folder.rglob("*"), folder]:
        _flush(path)
    target = home / fingerprint
    try:
        folder.rename(target)
    except OSError:
        if not (target / MANIFEST).exists():
            raise
    return target


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _show_quarantine(home: Path, staged: Path) -> None:
    """Make `$VOUCH_HOME/quarantine` hold what this input left there, and nothing older."""
    shown, found = home / "quarantine", staged / "quarantine"
    shown.mkdir(parents=True, exist_ok=True)
    for stale in shown.iterdir():
        if not (found / stale.name).exists():
            stale.unlink()
    for path in sorted(found.iterdir()):
        copy = shown / f"{BUILDING}{path.name}"
        shutil.copyfile(path, copy)
        copy.replace(shown / path.name)


def _sealed(content: Mapping[str, Any]) -> str:
    """JSON text that holds the digest of all else that it holds."""
    plain = json.dumps(content, sort_keys=True)
    return (
        json.dumps({**content, "digest": hashlib.sha256(plain.encode()).hexdigest()}, indent=1, sort_keys=True) + "\n"
    )


def _unsealed(path: Path) -> dict[str, Any]:
    """What `_sealed` wrote; raises DataError where a byte is not as it was written."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        digest = content.pop("digest", None)
    except (ValueError, AttributeError, TypeError) as error:
        raise _damaged(path) from error
    if hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest() != digest:
        raise _damaged(path)
    return content


def _damaged(path: Path) -> DataError:
    return DataError(f"{path} is damaged. Delete the folder {path.parent}, and run again.")


def _opened(folder: Path) -> Staged:
    manifest, report = _unsealed(folder / MANIFEST), _unsealed(folder / REPORT)
    return Staged(
        folder=folder,
        fingerprint=manifest["fingerprint"],
        counted=report,
        columns={name: frozenset(columns) for name, columns in manifest["columns"].items()},
        data_through_us=manifest["data_through_us"],
    )


def open_tables(
    staged: Staged, engine: str = "duckdb", *, memory_limit: str = "4GB", threads: int | None = None
) -> Tables:
    """Open staged tables as lazy frames of one engine: `duckdb`, `polars` or `spark`.

    Each file is compared with its digest first. Raises DataError where one is damaged, MissingExtra where the engine
    is not installed, UsageError where it is none of ours.
    """
    manifest = _unsealed(staged.folder / MANIFEST)
    paths = {name: staged.folder / f"{name}.parquet" for name in manifest["files"]}
    for name, path in paths.items():
        if not path.exists() or _digest(path) != manifest["files"][name]:
            raise _damaged(path)
    frames = _frames(paths, engine, memory_limit, threads)
    return Tables(frames=frames, columns=staged.columns, fingerprint=staged.fingerprint, engine=engine)


def _frames(
    paths: Mapping[str, Path], engine: str, memory_limit: str, threads: int | None
) -> dict[str, nw.LazyFrame[Any]]:
    if engine == "duckdb":
        connection = duckdb.connect(":memory:", config={"memory_limit": memory_limit})
        if threads:
            connection.execute(f"SET threads = {threads}")
        connection.execute("SET TimeZone = 'UTC'")
        return {name: nw.from_native(connection.read_parquet(str(path))) for name, path in paths.items()}
    if engine == "polars":
        import polars as pl

        return {name: nw.from_native(pl.scan_parquet(path)) for name, path in paths.items()}
    if engine == "spark":
        session = _spark()
        return {name: nw.from_native(session.read.parquet(str(path))) for name, path in paths.items()}
    raise UsageError(f"There is no engine {engine!r}{did_you_mean(engine, ENGINES)}: {', '.join(ENGINES)}")


def _spark() -> Any:
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise MissingExtra("The engine spark needs PySpark: pip install 'vouch[spark]'") from error
    return SparkSession.builder.appName("vouch").getOrCreate()
