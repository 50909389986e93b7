"""Incremental staging of a table in several files, or a large one: each is read and checked once.

It is kept by week of ingestion. What a part gives hangs on its bytes and on how it is read, so that an export that
grows by a file a week costs a week. Across parts only keys are compared: a row that gets a further version has its week
of its part written anew. Figures are added up from those of the parts. Kept under `$VOUCH_HOME/parts`, whole or not at
all, compared with its digests before it is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from dataclasses import astuple, dataclass, replace
from typing import TYPE_CHECKING, Any

from vouch.features.contract.casts import literal, place, quoted
from vouch.features.contract.checks import staged_columns
from vouch.features.contract.tables import CONTRACT_VERSION, DAY_US
from vouch.features.durable import as_written, file_digest, flush, sealed
from vouch.features.engines import OWN, OWN_APART
from vouch.features.errors import Damaged
from vouch.features.ingest.counts import Tally, added, warnings
from vouch.features.ingest.duplicate_keys import find_repeated, rows_of
from vouch.features.ingest.figures import ADDED, FIGURES, figures, full_figures, row_tallies
from vouch.features.ingest.inputs import FORM
from vouch.features.ingest.refused import FILE as REFUSED
from vouch.features.ingest.refused import file_of as refused_of
from vouch.features.ingest.refused import join_refused, refused_sql
from vouch.features.ingest.stage_table import (
    REFERRED,
    TEXTS,
    Outcome,
    accepted,
    broken_columns,
    contract_form,
    left_out,
    parse,
    parsed,
    row_order,
    tie_order,
    unusable_columns,
    write_quarantine,
)
from vouch.features.instants import FIRST_MONDAY_US, WEEK_US

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from vouch.features.contract.tables import Table
    from vouch.features.ingest.files import SourceFile
    from vouch.features.ingest.mapping import TablePlan
    from vouch.features.ingest.staging_context import StagingContext

FORMAT = 4
"""Moves when what is kept of a part changes."""
FACTS, PEOPLE, BROKEN = "facts.json", "people.parquet", "quarantine.parquet"


@dataclass(frozen=True)
class StagedFile:
    """One part as it was read: its folder, and what is known of it."""

    name: str
    folder: Path
    facts: Mapping[str, Any]

    @property
    def weeks(self) -> list[str]:
        """Names of the files that hold its rows, one per week of ingestion."""
        return sorted(self.facts["weeks"])


def is_by_part(plan: TablePlan) -> bool:
    """Whether a table can be read part by part: what a row gives must not hang on the rows of other tables.

    So texts are read whole: how one sounds hangs on those that were rated before it.
    """
    is_apart = not plan.table.references and plan.table.name not in {*REFERRED, *TEXTS} and plan.recorded is None
    return is_apart and bool(plan.relation.parts)


def stage_parts(staging: StagingContext, plan: TablePlan) -> Outcome:
    """Write one table as a folder of files by week, reading only parts that were not read before."""
    staged = staging.side_by_side(
        lambda apart, part: _reused(apart, plan, part) or _read(apart, plan, part), plan.relation.parts
    )
    table = plan.table
    versions = _Versions(staging, table, staged)
    files = versions.write()
    broken, readable = _summed(staged, "broken"), _summed(staged, "readable")
    examples = {column: example for part in reversed(staged) for column, example in part.facts["examples"].items()}
    mistyped = [(column, examples[column], times) for column, times in sorted(broken.items())]
    empty = unusable_columns(table, mistyped, readable)
    _join_quarantine(staging, table.name, staged)
    rows = rows_of(versions.out / name for name in files)
    refused = [refused_of(part.folder) for part in staged if f"{REFUSED}.parquet" in part.facts["files"]]
    join_refused(staging, table, refused, rows, staging.folder / REFUSED / f"{table.name}.parquet")
    (written,) = staging.row(f"SELECT count(*) FROM {rows}")
    figures = {**dict.fromkeys(FIGURES, 0), **_summed(staged, "figures"), "written": written}
    tallies = added(Tally(*one) for part in staged for one in part.facts["tallies"])
    across = _across(staging, table, staged) | {"tied_versions": versions.tied}
    named = f"SELECT sum(rows)::BIGINT FROM {rows_of(part.folder / PEOPLE for part in staged)}"
    report = full_figures(staging, plan, figures, tallies, across, rows, rows, named, targets={})
    columns = tuple(column for column in plan.inputs if column not in empty)
    warned = (*plan.warnings, *(left_out(table, column) for column in empty), *warnings(table, columns, report))
    ends = [part.facts["accepted_until_us"] for part in staged if part.facts["accepted_until_us"] is not None]
    futures = [part.facts["future_from_us"] for part in staged if part.facts["future_from_us"] is not None]
    return Outcome(
        report,
        max(ends, default=None),
        min(futures, default=None),
        columns,
        warned,
        files,
        tuple(p.name for p in staged),
    )


def _name(staging: StagingContext, plan: TablePlan, part: SourceFile) -> str:
    """What decides how a part reads, as a digest."""
    inputs = {name: repr(given) for name, given in plan.inputs.items()}
    content = [FORMAT, CONTRACT_VERSION, repr(plan.table), inputs, dict(plan.relation.columns)]
    content += [staging.erased] if staging.erased else []
    return hashlib.sha256(json.dumps([*content, part.digest]).encode()).hexdigest()


def _reused(staging: StagingContext, plan: TablePlan, part: SourceFile) -> StagedFile | None:
    """A part that was read before, from a now that saw the same rows as the future."""
    name = _name(staging, plan, part)
    for path in sorted((staging.shelf / plan.table.name).glob(f"{name}-*/{FACTS}")):
        facts = as_written(path, FORMAT)
        if facts is None:
            continue
        until_us, future_us = facts["accepted_until_us"], facts["future_from_us"]
        is_past = until_us is None or until_us - DAY_US <= staging.now_us
        is_future = future_us is None or future_us - DAY_US > staging.now_us
        if is_past and is_future and _is_whole(path.parent, facts):
            return StagedFile(path.parent.name, path.parent, facts)
    return None


def _is_whole(folder: Path, facts: Mapping[str, Any]) -> bool:
    """Whether the figures are as they were written; rows are compared where they are used."""
    apart = [name for name in facts["files"] if name in {PEOPLE, BROKEN, f"{REFUSED}.parquet"}]
    is_complete = all((folder / name).exists() for name in facts["files"])
    return is_complete and all(file_digest(folder / name) == facts["files"][name] for name in apart)


def _read(staging: StagingContext, plan: TablePlan, part: SourceFile) -> StagedFile:
    """Read and check one part, and keep it."""
    table, home = plan.table, staging.shelf / plan.table.name
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".building-{os.getpid()}-", dir=staging.shelf) as building:
        folder = staging.shelf / building / "part"
        folder.mkdir()
        erased = parse(staging, replace(plan, relation=replace(plan.relation, sql=part.sql)))
        rows, formed = f"(SELECT * FROM {accepted(table.name)})", f"{OWN_APART}_formed"
        form = contract_form(table, rows, repeated=None, targets={}, has_polarity=False)
        staging.rows(f"CREATE TEMP VIEW {formed} AS {form}")
        facts = _facts(staging, plan) | {
            "form": FORMAT,
            "erased": erased,
            "weeks": write_weeks(staging, formed, plan, folder),
        }
        if table.customer:
            person = quoted(table.customer)
            people = f"SELECT {person} AS key, count(*) AS rows, min(own_us) AS first_us FROM {formed}"
            _copy(staging, f"{people} WHERE {person} IS NOT NULL GROUP BY ALL ORDER BY ALL", folder / PEOPLE)
        if facts["figures"]["quarantined"] or facts["figures"]["cells"]:
            write_quarantine(staging, table.name, folder / BROKEN)
            of_part = f"({refused_sql(table, parsed(table.name), has_polarity=False)})"
            join_refused(staging, table, [of_part], formed, folder / f"{REFUSED}.parquet")
        facts["files"] = {path.name: file_digest(path) for path in sorted(folder.iterdir())}
        (folder / FACTS).write_text(sealed(facts), encoding="utf-8")
        flush(folder)
        target = home / f"{_name(staging, plan, part)}-{facts['future_from_us']}"
        if target.exists():  # damaged, or made by somebody else at the same time: the same bytes
            shutil.rmtree(target)
        folder.rename(target)
    return StagedFile(target.name, target, facts)


def write_weeks(staging: StagingContext, relation: str, plan: TablePlan, folder: Path) -> dict[str, int]:
    """Write rows as one file per week of ingestion; return when the last row of each was known and past, by name."""
    week = f"(ingested_us - {FIRST_MONDAY_US}) // {WEEK_US}"
    known = staging.rows(
        f"SELECT {week}, max(greatest(own_us, ingested_us)) FROM {relation} GROUP BY ALL ORDER BY ALL"
    ) or [(0, 0)]
    weeks = {}
    for number, until_us in known:
        name = f"{number:05}.parquet"
        ordered = f"SELECT * FROM {relation} formed WHERE {week} = {number} ORDER BY {row_order(plan.table, 'formed')}"
        _copy(staging, ordered, folder / name)
        weeks[name] = until_us
    return weeks


def _copy(staging: StagingContext, query: str, path: Path) -> None:
    staging.rows(f"COPY ({query}) TO {literal(str(path))} (FORMAT parquet)")


def _facts(staging: StagingContext, plan: TablePlan) -> dict[str, Any]:
    """What the report needs of one part."""
    name = plan.table.name
    until_us, future_us = staging.row(
        f"SELECT max(own_us) FILTER (NOT is_refused), min(own_us) FILTER (own_us - {DAY_US} > {staging.now_us}) "
        f"FROM {parsed(name)}"
    )
    broken = broken_columns(staging, name)
    columns = list(plan.inputs)
    counts = ", ".join(f"count({quoted(plan.table.columns[column].staged)})" for column in columns)
    readable = staging.row(f"SELECT {counts} FROM {parsed(name)}")
    return {
        "accepted_until_us": until_us,
        "future_from_us": future_us,
        "figures": figures(staging, parsed(name)),
        "tallies": [astuple(tally) for tally in row_tallies(staging, plan.table, parsed(name))],
        "broken": {column: times for column, _, times in broken},
        "examples": {column: example for column, example, _ in broken},
        "readable": dict(zip(columns, readable, strict=True)),
    }


def _summed(files: Sequence[StagedFile], fact: str) -> dict[str, int]:
    total: Counter[str] = Counter()
    for part in files:
        total.update(part.facts[fact])
    return dict(total)


def _across(staging: StagingContext, table: Table, files: Sequence[StagedFile]) -> dict[str, int]:
    """Counts of what takes the customers to tell, by code."""
    if not table.customer:
        return {}
    people, known = rows_of(part.folder / PEOPLE for part in files), f"{OWN}.known"
    (orphans,) = staging.row(
        f"SELECT coalesce(sum(rows), 0)::BIGINT FROM {people} WHERE key NOT IN (SELECT key FROM {known})"
    )
    early = staging.rows(
        f"SELECT DISTINCT filename FROM {people} people JOIN {known} known USING (key) WHERE first_us < created_us"
    )
    of, before = (
        [part.folder / week for part in files for week in part.weeks if (str(part.folder / PEOPLE),) in early],
        0,
    )
    if of:
        (before,) = staging.row(
            f"SELECT count(*) FROM {rows_of(of)} JOIN {known} ON key = {quoted(table.customer)} "
            "WHERE own_us < created_us"
        )
    return {"orphans": orphans, "before_created_at": before}


def _join_quarantine(staging: StagingContext, name: str, files: Sequence[StagedFile]) -> None:
    """Write the quarantine of all parts as one, rows numbered as if the parts were one file."""
    selects, start = [], 0
    for part in files:
        if (part.folder / BROKEN).exists():
            rows = f"read_parquet({place(part.folder / BROKEN)}, hive_partitioning = false)"
            selects.append(f"SELECT * REPLACE (row + {start} AS row) FROM {rows}")
        start += part.facts["figures"]["rows"] + part.facts["erased"]
    if selects:
        ordered = f'{" UNION ALL ".join(selects)} ORDER BY row, scope DESC, "column", reason'
        _copy(staging, ordered, staging.folder / "quarantine" / f"{name}.parquet")


class _Versions:
    """Keys that occur more than once in the parts of a table, and the files that hold their rows.

    What a staged folder before held of the same parts stands: only keys of new parts are looked up in it.
    """

    def __init__(self, staging: StagingContext, table: Table, files: Sequence[StagedFile]) -> None:
        self.staging, self.table, self.parts = staging, table, files
        self.out = staging.folder / f"{table.name}.parquet"
        self.content = [*staged_columns(table), *ADDED]
        self.derived = ["day"]
        self.before, self.held, self.tied, self.digests_before = self._predecessor()
        self.seen: dict[tuple[int, int], str] = {}
        """Digests of files that were looked at; most stand in several folders, and are one on disk."""

    def _predecessor(self) -> tuple[Path | None, int, int, Mapping[str, Any]]:
        """The staged folder that holds most of these parts, in their order, and no others.

        Also how many, its ties, and what its manifest says of its files.
        """
        names = [part.name for part in self.parts]
        best: tuple[Path | None, int, int, Mapping[str, Any]] = (None, 0, 0, {})
        for path in sorted(self.staging.published.glob("[!.]*/manifest.json")):
            manifest, report = as_written(path, FORM), as_written(path.with_name("report.json"), FORM)
            if manifest is None or report is None:
                continue
            held = manifest["parts"].get(self.table.name, [])
            is_longer = len(held) > best[1] and names[: len(held)] == held
            if is_longer and all((path.parent / self.out.name / name).exists() for name, *_ in self._files(len(held))):
                reasons = report["tables"][self.table.name]["reasons"]
                best = (path.parent, len(held), reasons.get("tied_versions", 0), manifest["files"])
        return best

    def _files(self, end: int | None = None, start: int = 0) -> Iterator[tuple[str, int, str, Path]]:
        """Name, number of the part, week, and rows as they were read, of the files of a range of parts."""
        for number, part in list(enumerate(self.parts))[start:end]:
            for week in part.weeks:
                yield f"{week.removesuffix('.parquet')}-{number:05}.parquet", number, week, part.folder / week

    def write(self) -> dict[str, dict[str, Any]]:
        """Write or link every file; return its digest, and when all its rows were known and past, by name."""
        self.out.mkdir()
        sources = {name: self._source(name, number, week, read) for name, number, week, read in self._files()}
        touched = self._ordered() if self.table.key else set()
        rewritten = dict(self.staging.side_by_side(self._rewritten, [(name, sources[name][0]) for name in touched]))
        files = {}
        for name, number, week, _ in self._files():
            source, digest = sources[name]
            if name not in touched:
                _link(source, self.out / name)
            digest = rewritten.get(name, digest)
            from_us = int(week.removesuffix(".parquet")) * WEEK_US + FIRST_MONDAY_US
            until_us = self.parts[number].facts["weeks"][week]
            files[name] = {"digest": digest, "known_from_us": from_us, "known_until_us": until_us}
        return files

    def _source(self, name: str, number: int, week: str, read: Path) -> tuple[Path, str]:
        """What a file is made from, and its digest; raises Damaged where that, or what was read, is not as it was."""
        wanted = self.parts[number].facts["files"][week]
        self._compare(read, wanted)
        if self.before is None or number >= self.held:
            return read, wanted
        source, wanted = self.before / self.out.name / name, self.digests_before[f"{self.out.name}/{name}"]["digest"]
        self._compare(source, wanted)
        return source, wanted

    def _compare(self, path: Path, wanted: str) -> None:
        status = path.stat()
        identity = (status.st_dev, status.st_ino)
        if identity not in self.seen:
            self.seen[identity] = file_digest(path)
        if self.seen[identity] != wanted:
            raise Damaged(path)

    def _ordered(self) -> set[str]:
        """Put the versions of keys that are repeated by new parts in order; return the files that hold any of them."""
        staging, key = self.staging, quoted(self.table.key or "")
        names = {str(read): name for name, _, _, read in self._files()}
        old, new = [[str(read) for *_, read in self._files(*of)] for of in ((self.held,), (None, self.held))]
        find_repeated(staging, key, old, new)
        hit = staging.rows(f"SELECT DISTINCT filename FROM {OWN}.hits ORDER BY ALL")
        among = [*new, *(path for (path,) in hit)]
        rows = f"{rows_of(among)} WHERE {key} IN (FROM {OWN}.repeated)" if among else f"{rows_of(old[:1])} WHERE false"
        staging.rows(f"CREATE OR REPLACE TABLE {OWN}.candidates AS SELECT * FROM {rows}")
        content = ", ".join(map(quoted, [*self.content, *self.derived]))
        order = f"PARTITION BY {key} ORDER BY ingested_us, {tie_order(self.table)}"
        places = ", ".join(
            f"({literal(path)}, {literal(name)}, {number})" for number, (path, name) in enumerate(names.items())
        )
        staging.rows(
            f"CREATE OR REPLACE TABLE {OWN}.versions AS SELECT *, lead(ingested_us) OVER ({order}) AS superseded_us "
            f"FROM (SELECT {content}, min_by(place.name, place.number) AS file FROM {OWN}.candidates "
            f"JOIN (VALUES {places}) place (filename, name, number) USING (filename) GROUP BY ALL)"
        )
        self.tied += self._ties(names) - self._ties(old)
        return {names[path] for (path,) in staging.rows(f"SELECT DISTINCT filename FROM {OWN}.candidates")}

    def _ties(self, among: Iterable[str]) -> int:
        """Versions of repeated keys that became known at one moment, in some files."""
        content, key = ", ".join(map(quoted, self.content)), quoted(self.table.key or "")
        paths = ", ".join(map(literal, among)) or "NULL"
        rows = f"SELECT DISTINCT {content} FROM {OWN}.candidates WHERE filename IN ({paths})"
        (ties,) = self.staging.row(
            "SELECT coalesce(sum(n - 1), 0)::BIGINT "
            f"FROM (SELECT count(*) AS n FROM ({rows}) GROUP BY {key}, ingested_us)"
        )
        return int(ties)

    def _rewritten(self, staging: StagingContext, file: tuple[str, Path]) -> tuple[str, str]:
        """Write a file anew: what other keys held before, and the versions that belong here; its name and digest."""
        name, before = file
        key = quoted(self.table.key or "")
        content = ", ".join(map(quoted, [*self.content, "superseded_us", *self.derived]))
        others = f"SELECT {content} FROM {rows_of([before])} WHERE {key} IS NULL OR {key} NOT IN (FROM {OWN}.repeated)"
        versions = f"SELECT {content} FROM {OWN}.versions WHERE file = {literal(name)}"
        rows = f"SELECT * FROM ({others} UNION ALL {versions}) formed ORDER BY {row_order(self.table, 'formed')}"
        _copy(staging, rows, self.out / name)
        return name, file_digest(self.out / name)


def _link(source: Path, here: Path) -> None:
    try:
        os.link(source, here)
    except OSError:  # not every file system can
        shutil.copyfile(source, here)
