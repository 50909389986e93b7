"""Staging: a company's tables, wherever they lie, in contract form; once per input, opened on any engine.

What is staged lies in `$VOUCH_HOME/staged/FINGERPRINT/`, whole or not at all, and is used again while the input, the
mapping and the contract are the same, and no row passes from the future into the past.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import narwhals as nw

from vouch.features.asof import Partition, Tables
from vouch.features.contract.casts import as_is
from vouch.features.contract.tables import ACTIVITY_TABLES, DAY_US
from vouch.features.durable import as_written, file_digest, first_changed, flush, sealed, unsealed
from vouch.features.engines import connect, first_line
from vouch.features.errors import Damaged, DataError, MissingExtra, UsageError, did_you_mean
from vouch.features.ingest import erased as tombstones
from vouch.features.ingest.currencies import check_currencies
from vouch.features.ingest.inputs import FORM, prepare_inputs, query_relation
from vouch.features.ingest.own.own_features import save_own_features
from vouch.features.ingest.own.tables import OwnTables, own_tables
from vouch.features.ingest.refused import FILE as REFUSED
from vouch.features.ingest.refused import show_quarantine
from vouch.features.ingest.request_rows import tables_from_rows
from vouch.features.ingest.stage_files import is_by_part, stage_parts
from vouch.features.ingest.stage_table import REFERRED, finish, parse, parsed, remember
from vouch.features.ingest.staging_context import BUILDING, StagingContext, sweep_unfinished
from vouch.features.ingest.texts.learned_tone import SENTIMENT, are_models_intact, judge_staged, show_models
from vouch.features.instants import FIRST_MONDAY_US, WEEK_US
from vouch.features.project import ENGINES, suggest
from vouch.features.vectors.lines import use_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from vouch.features.ingest.inputs import Inputs
    from vouch.features.ingest.mapping import TablePlan
    from vouch.features.ingest.stage_table import Outcome
    from vouch.features.project import Project

    StagedInputs = tuple[Path, Inputs]
    """A staged folder, and what it was made of."""

_log = logging.getLogger("vouch.features")
__all__ = ["Staged", "open_tables", "opened", "stage", "tables_from_rows"]
MANIFEST, REPORT = "manifest.json", "report.json"
SHELF, ROLLUPS = "parts", "rollups"
AUTO, SMALL_BYTES = "auto", 64_000_000
"""The engine that is chosen by the size of the staged tables, and up to which size they are small."""
_PATTERNS = re.compile(r"[\\*?\[\]{}]")
"""Signs of a path that Spark takes for patterns."""


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
    unread: tuple[str, ...] = ()
    """What lies where the data are and is not read, as warnings: no part of what was staged, but of where it lay."""
    places: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Where each table was read from."""
    again: Callable[[], Staged] | None = field(default=None, compare=False, repr=False)
    """Stages the same once more, where what lies on disk is damaged."""
    own: OwnTables = field(default_factory=OwnTables)
    """What was made of what the contract does not know."""

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

    Raises the errors of `vouch.features.errors.DataError` where a table or file stops the run.
    """
    home = project.home / "staged"
    mend = "Free disk space or memory, mind the rights of the folder, or raise memory_limit under [engine]."
    try:
        version, inputs = _sound(project, home, now_us)
        show_quarantine(project.home, version)
        show_models(project.home / SENTIMENT, unsealed(version / MANIFEST)["sentiment"])
    except duckdb.Error as error:
        raise DataError(f"The tables cannot be staged in {home}: {first_line(error)}. {mend}") from error
    except OSError as error:
        raise DataError(f"The tables cannot be staged in {home}: {error.strerror}: {error.filename}. {mend}") from error
    staged = _opened(version)
    at = {name: _shown(plan.relation.place) for name, plan in inputs.planned.items()} | dict(staged.own.places)
    save_own_features(project.home, staged.own)
    return replace(staged, unread=inputs.not_read(staged.own.sources), places=at, again=partial(stage, project, now_us))


def _shown(place: str) -> str:
    """Where a table was read from, as people call it: a file by its name.

    >>> _shown("/data/shop/orders.csv.gz")
    'orders.csv.gz'
    """
    return Path(place).name


def _sound(project: Project, home: Path, now_us: int) -> StagedInputs:
    """The staged folder and where it came from; what was staged or kept before, and is damaged, is made again."""
    while True:
        try:
            return _staged_or_made(project, home, now_us)
        except Damaged as error:
            is_staged = error.path.is_relative_to(home)
            folder = home / error.path.relative_to(home).parts[0] if is_staged else error.path.parent
            if not folder.exists():
                raise
            _log.warning("warning: %s was damaged and is read again: see to the disk", error.path)
            shutil.rmtree(folder)


def _staged_or_made(project: Project, home: Path, now_us: int) -> StagedInputs:
    home.mkdir(parents=True, exist_ok=True)
    for place in (home, project.home / SHELF, project.home / ROLLUPS):
        sweep_unfinished(place)
    with tempfile.TemporaryDirectory(prefix=f"{BUILDING}{os.getpid()}-", dir=home) as building:
        folder = Path(building) / "tables"
        folder.mkdir()
        connection = connect(project, Path(building))
        try:
            shelf = project.home / SHELF
            inputs = prepare_inputs(connection, project, [Path(building), home, shelf])
            base = inputs.base
            erased = tombstones.load(project.home)
            if erased is not None:
                base = hashlib.sha256(f"{base} {erased.digest}".encode()).hexdigest()
                tombstones.register_hashes(connection, erased)
            staged = _reusable(home, base, now_us)
            if staged is not None:
                return staged, inputs
            ask = partial(query_relation, connection)
            planned, own = own_tables(connection, project, inputs.planned, inputs.relations, ask, inputs.free)
            staging = StagingContext(connection, folder, now_us, home, shelf, erased.digest if erased else None)
            outcomes = _staged(staging, planned)
            check_currencies(staging, outcomes)
            learned = judge_staged(staging, outcomes, project.home / SENTIMENT)
        finally:
            connection.close()
        return _publish(home, folder, base, outcomes, own, learned), inputs


def _staged(staging: StagingContext, plans: Mapping[str, TablePlan]) -> dict[str, Outcome]:
    """Read, check and write all tables: `TABLE.parquet`, and `quarantine/TABLE.parquet` where there is anything.

    A table that comes in parts is a folder of files instead.
    """
    (staging.folder / "quarantine").mkdir()
    first = [name for name in REFERRED if name in plans]
    for name in first:
        parse(staging, plans[name])
        remember(staging, name)
    outcomes = {}
    for name, plan in plans.items():
        if is_by_part(plan):
            outcomes[name] = stage_parts(staging, plan)
            continue
        if name not in first:
            parse(staging, plan)
        outcomes[name] = finish(staging, plan, plans)
        staging.rows(f"DROP TABLE {parsed(name)}")
    return outcomes


def _reusable(home: Path, base: str, now_us: int) -> Path | None:
    """The folder that holds this input already, seen from a now that sees the same rows as the future.

    What is damaged, or was staged by another version of the code, is passed over: it is staged again.
    """
    for path in sorted(home.glob(f"[!.]*/{MANIFEST}")):
        manifest = described(path.parent)
        if manifest is None or manifest["base"] != base:
            continue
        if not are_models_intact(home.parent / SENTIMENT, manifest["sentiment"]):
            continue
        until_us, future_us = manifest["accepted_until_us"], manifest["future_from_us"]
        is_past = until_us is None or until_us - DAY_US <= now_us
        is_future = future_us is None or future_us - DAY_US > now_us
        if is_past and is_future:
            return path.parent
    return None


def described(folder: Path) -> dict[str, Any] | None:
    """The manifest of a staged folder that can be used, None of one that cannot."""
    return as_written(folder / MANIFEST, FORM) if as_written(folder / REPORT, FORM) else None


def _publish(
    home: Path,
    folder: Path,
    base: str,
    outcomes: Mapping[str, Outcome],
    own: OwnTables,
    learned: Sequence[Mapping[str, Any]],
) -> Path:
    """Write the manifest beside the tables, and rename the folder to its fingerprint."""
    future_us = min((o.future_from_us for o in outcomes.values() if o.future_from_us is not None), default=None)
    until_us = max((o.accepted_until_us for o in outcomes.values() if o.accepted_until_us is not None), default=None)
    through = [outcomes[name].accepted_until_us for name in ACTIVITY_TABLES if name in outcomes]
    fingerprint = hashlib.sha256(f"{base} {future_us}".encode()).hexdigest()
    manifest = {
        "form": FORM,
        "fingerprint": fingerprint,
        "base": base,
        "accepted_until_us": until_us,
        "future_from_us": future_us,
        "data_through_us": max((us for us in through if us is not None), default=None),
        "columns": {name: sorted(outcome.columns) for name, outcome in outcomes.items()},
        "files": dict(pair for name, outcome in outcomes.items() for pair in _files(folder, name, outcome)),
        "own": own.as_dict(),
        "sentiment": list(learned),
        "parts": {name: outcome.parts for name, outcome in outcomes.items() if outcome.parts},
    }
    report = {
        "form": FORM,
        "tables": {name: outcome.report for name, outcome in outcomes.items()},
        "warnings": [warning for outcome in outcomes.values() for warning in outcome.warnings],
    }
    for name, content in ((MANIFEST, manifest), (REPORT, report)):
        (folder / name).write_text(sealed(content), encoding="utf-8")
    flush(folder)
    target = home / fingerprint
    if target.exists() and described(target) is None:
        shutil.rmtree(target)
    try:
        folder.rename(target)
    except OSError:  # somebody else was faster: it is the same
        if not (target / MANIFEST).exists():
            raise
    return target


def _files(folder: Path, name: str, outcome: Outcome) -> Iterator[tuple[str, dict[str, Any]]]:
    """The files of one table, by their place in the folder."""
    if not outcome.parts:
        yield f"{name}.parquet", {"table": name, "digest": file_digest(folder / f"{name}.parquet")}
    for file, facts in outcome.files.items():
        yield f"{name}.parquet/{file}", {"table": name, **facts}
    if (folder / REFUSED / f"{name}.parquet").exists():
        digest = file_digest(folder / REFUSED / f"{name}.parquet")
        yield f"{REFUSED}/{name}.parquet", {"table": name, "digest": digest, "is_refused": True}


def _opened(folder: Path) -> Staged:
    manifest, report = unsealed(folder / MANIFEST), unsealed(folder / REPORT)
    return Staged(
        folder=folder,
        fingerprint=manifest["fingerprint"],
        counted=report,
        columns={name: frozenset(columns) for name, columns in manifest["columns"].items()},
        data_through_us=manifest["data_through_us"],
        own=OwnTables.of(manifest["own"]),
    )


def opened(project: Project, staged: Staged, engine: str, small_bytes: int = SMALL_BYTES) -> Tables:
    """Open staged tables as the project would have it: within its limits, on its cluster.

    `auto` takes what is quicker: Polars, in memory, below `small_bytes` on disk, else DuckDB. The same bytes come of
    either.
    """
    if engine == AUTO:
        size = sum(path.stat().st_size for path in staged.folder.rglob("*.parquet") if path.is_file())
        engine = "polars" if size <= small_bytes else "duckdb"
    return open_tables(
        staged,
        engine,
        memory_limit=project.memory_limit,
        threads=project.threads,
        spark_master=project.spark_master,
    )


def open_tables(
    staged: Staged,
    engine: str = "duckdb",
    *,
    memory_limit: str = "4GB",
    threads: int | None = None,
    spark_master: str | None = None,
) -> Tables:
    """Open staged tables as lazy frames of one engine: `duckdb`, `polars` or `spark`.

    `spark_master` is the URL of a cluster; without it Spark's own configuration decides, by default this machine.

    Each file is compared with its digest first; where one is damaged, all are staged again. Raises Damaged where that
    is of no use, MissingExtra where the engine is not installed, UsageError where it is none of ours.
    """
    paths: dict[str, list[Path]] = {}
    refused: dict[str, Path] = {}
    partitions: dict[str, list[Partition]] = {}
    for place, facts in _files_of(staged).items():
        path = staged.folder / place
        if facts.get("is_refused"):
            refused[facts["table"]] = path
            continue
        paths.setdefault(facts["table"], []).append(path)
        if "known_from_us" in facts:
            partition = Partition(path, facts["digest"], facts["known_from_us"], facts["known_until_us"])
            partitions.setdefault(facts["table"], []).append(partition)
    scan = _scanner(engine, memory_limit, threads, spark_master)
    frames = {name: scan(of) for name, of in paths.items()}
    store = staged.folder.parent.parent / ROLLUPS
    apart = {name: scan([path]) for name, path in refused.items()}
    facts_of = (staged.columns, staged.fingerprint, engine, partitions, scan, store, apart)
    use_lines(staged.own.lines, staged.own.tables)
    return Tables(frames, *facts_of, own=staged.own.tables, lines=staged.own.lines)


def _files_of(staged: Staged) -> dict[str, dict[str, Any]]:
    """The files of a staged folder, found to be as they were written, or written again."""
    try:
        return _whole_files(staged.folder)
    except Damaged as error:
        if staged.again is None:
            raise
        _log.warning("warning: %s was damaged and is staged again: see to the disk", error.path)
        shutil.rmtree(staged.folder, ignore_errors=True)
        staged.again()
        if not staged.folder.exists():  # the source has changed meanwhile
            raise
        return _whole_files(staged.folder)


def _whole_files(folder: Path) -> dict[str, dict[str, Any]]:
    files: dict[str, dict[str, Any]] = unsealed(folder / MANIFEST)["files"]
    if changed := first_changed({folder / place: facts["digest"] for place, facts in files.items()}):
        raise Damaged(changed)
    return files


def _scanner(
    engine: str, memory_limit: str, threads: int | None, spark_master: str | None
) -> Callable[[Sequence[Path]], nw.LazyFrame[Any]]:
    """What opens files of one table on an engine."""
    if engine == "duckdb":
        connection = duckdb.connect(":memory:", config={"memory_limit": memory_limit})
        if threads:
            connection.execute(f"SET threads = {threads}")
        connection.execute("SET TimeZone = 'UTC'")
        return lambda paths: nw.from_native(connection.read_parquet([*map(as_is, paths)], hive_partitioning=False))
    if engine == "polars":
        import polars as pl

        return lambda paths: nw.from_native(pl.scan_parquet(list(paths), glob=False, hive_partitioning=False))
    if engine == "spark":
        session = _spark(spark_master)
        return lambda paths: nw.from_native(session.read.parquet(*(_PATTERNS.sub(r"\\\g<0>", f"{at}") for at in paths)))
    raise UsageError(f"There is no engine {engine!r}{did_you_mean(engine, ENGINES)}: {', '.join(ENGINES)}")


def _spark(master: str | None) -> Any:
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise MissingExtra("The engine spark needs PySpark: pip install 'vouch[spark]'") from error
    if master is None or master.startswith("local"):
        suggest(PYSPARK_PYTHON=sys.executable)  # else workers run the first python3 on the path, which lacks vouch
    builder = SparkSession.builder.appName("vouch")
    return (builder.master(master) if master else builder).getOrCreate()
