"""Snapshot files, atomic: a folder per instant and revision, whole or not at all, read only where it is sound.

Files are written into a folder of their own, flushed, digested, renamed to `revision-N`; then the pointer `CURRENT` is
replaced. What a killed run had made whole is taken up by the next one from the same inputs. Rewriting files in place
loses the good ones when the process is killed, and Parquet as it comes does not notice a flipped bit: hence page
checksums, and a digest of every file in the manifest.
"""

from __future__ import annotations

import json
import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from vouch.features.durable import file_digest, flush_file, write_whole
from vouch.features.errors import Locked, SnapshotError
from vouch.features.home_format import mark_home
from vouch.features.instants import folder_name, from_folder_name, instant_text
from vouch.features.project import version
from vouch.serving.snapshots.manifest import NAME as MANIFEST
from vouch.serving.snapshots.manifest import manifest_of, sealed
from vouch.serving.snapshots.schema import nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

FOLDER = "snapshots"
POINTER = "CURRENT"
_REVISION = re.compile(r"revision-([1-9]\d*)$")
_DRAFT = "draft-"
_WORK = "kept"


@dataclass(frozen=True)
class Snapshot:
    """One published revision, its manifest read and its files found to be what the manifest says."""

    folder: Path
    as_of_us: int
    revision: int
    manifest: Mapping[str, Any]

    @property
    def name(self) -> dict[str, Any]:
        """Which one it is, as manifests say it."""
        return {"as_of": instant_text(self.as_of_us), "revision": self.revision}

    def table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """Return one of the tables that `vouch.serving.snapshots.schema` tells of, its page checksums verified."""
        return _read_table(self.path(name), columns)

    def path(self, name: str) -> Path:
        """Return the file of a table; raises SnapshotError for one that the manifest holds no digest of."""
        file = self.folder / f"{name}.parquet"
        if file.name not in self.manifest["files"]:
            raise SnapshotError(f"{file} is not listed in its manifest. Score the week again with --revision.")
        return file


@dataclass(frozen=True)
class Draft:
    """A revision that is being written, in a folder that nobody reads."""

    folder: Path
    as_of_us: int

    @contextmanager
    def table(self, name: str, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
        """Open a table for writing; what is written in the same batches has the same bytes."""
        options = {"compression": "zstd", "write_page_checksum": True, "version": "2.6"}
        with pq.ParquetWriter(self.folder / f"{name}.parquet", schema, **options) as writer:
            yield writer

    def read(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """Return a table that was written."""
        return _read_table(self.folder / f"{name}.parquet", columns)

    def rows(self, name: str) -> int:
        """How many rows a table that was written has."""
        return int(pq.read_metadata(self.folder / f"{name}.parquet").num_rows)

    @property
    def work(self) -> Path:
        """Where steps leave what only later steps read; it is gone once the draft is published."""
        return self.folder / _WORK

    def once(self, step: str, paths: Sequence[Path], make: Callable[[], None]) -> bool:
        """Make files of the draft, unless a killed run had made them whole; return whether they were made now."""
        mark = self.work / f"{step}.json"
        if mark.exists() and _stands(mark, paths):
            return False
        for path in paths:  # half of what a killed run was writing
            _remove(path)
        make()
        write_whole(mark, json.dumps([_digests(path) for path in paths]))
        return True

    def publish(self, manifest: Mapping[str, Any]) -> Snapshot:
        """Flush, digest, rename to the next revision, and point to it. From here on readers see it."""
        revision = max(revisions(self.folder.parent), default=0) + 1
        final = self.folder.with_name(f"revision-{revision}")
        self._move(final, revision, manifest)
        point_to(final)
        return open_revision(final)

    def replace(self, folder: Path, manifest: Mapping[str, Any]) -> None:
        """Take the place of a revision that nobody is pointed to."""
        shutil.rmtree(folder)
        self._move(folder, revision_of(folder) or 1, manifest)

    def _move(self, final: Path, revision: int, manifest: Mapping[str, Any]) -> None:
        """Seal the draft and give it its name."""
        shutil.rmtree(self.work)
        for path in self.folder.iterdir():
            flush_file(path)
        files = {path.name: file_digest(path) for path in sorted(self.folder.iterdir())}
        body = {**manifest, "as_of": instant_text(self.as_of_us), "revision": revision, "files": files}
        (self.folder / MANIFEST).write_text(sealed(body), encoding="utf-8")
        manifest_of(self.folder / MANIFEST)  # nobody is ever pointed to a week that cannot be read
        flush_file(self.folder / MANIFEST)
        flush_file(self.folder)
        self.folder.rename(final)
        flush_file(final.parent)


@contextmanager
def lock(home: Path, name: str, wait_s: float = 0) -> Iterator[None]:
    """Hold the lock of one kind of run, waited for so long; the system lets go of it when the process dies.

    Raises Locked, and SnapshotError where the home cannot be written to.
    """
    from filelock import FileLock, Timeout

    path = home / "locks" / f"{name}.lock"
    held = FileLock(path, timeout=wait_s)
    try:
        mark_home(home, version())
        path.parent.mkdir(parents=True, exist_ok=True)
        held.acquire()
    except Timeout as error:
        waited = f" It was waited for {wait_s:g} s." if wait_s else ""
        raise Locked(
            f"Another `vouch {name}` is at work in {home}.{waited} Wait for it to end, then run again."
        ) from error
    except OSError as error:
        message = f"{error.filename or path}: {error.strerror}"
        raise SnapshotError(f"{message}. Free disk space, or mind the rights of {home}; then run again.") from error
    try:
        yield
    finally:
        held.release()


@contextmanager
def drafting(home: Path, as_of_us: int, inputs: str = "") -> Iterator[Draft]:
    """Give a draft of a snapshot; it is gone afterwards unless it was published. Call it under the lock.

    The draft that a killed run left is taken up where it was made from the same `inputs`, else swept.
    """
    parent = home / FOLDER / folder_name(as_of_us)
    folder = parent / f"{_DRAFT}{inputs[:16] or 'of-unknown-inputs'}"
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.glob(f"{_DRAFT}*"):  # of a run that was killed: the lock is ours, so nobody writes there
        if left != folder or not inputs:
            shutil.rmtree(left)
    (folder / _WORK).mkdir(parents=True, exist_ok=True)
    try:
        yield Draft(folder, as_of_us)
    finally:
        if folder.exists():
            shutil.rmtree(folder)


def point_to(folder: Path) -> None:
    """Make a revision the published one of its instant, at once and durably."""
    write_whole(folder.parent / POINTER, folder.name + "\n")


def revisions(parent: Path) -> dict[int, Path]:
    """Return the whole revisions in the folder of one instant, published or not."""
    folders = {}
    for path in parent.glob("revision-*"):
        if match := _REVISION.match(path.name):
            folders[int(match[1])] = path
    return folders


def revision_of(folder: Path) -> int | None:
    """Return the number of a revision's folder, or None where its name is none."""
    match = _REVISION.match(folder.name)
    return int(match[1]) if match else None


def pointer(home: Path, as_of_us: int) -> Path:
    """Return the path of the pointer of one instant, whether it is there or not."""
    return home / FOLDER / folder_name(as_of_us) / POINTER


def published(home: Path) -> list[int]:
    """Return the instants that have a published snapshot, the earliest first, in microseconds."""
    folders = (home / FOLDER).glob("as_of=*")
    instants = [from_folder_name(path.name) for path in folders if (path / POINTER).exists()]
    return sorted(instant for instant in instants if instant is not None)


def current_folder(home: Path, as_of_us: int) -> Path | None:
    """Return the folder that the pointer of one instant names, or None where nothing is published."""
    path = pointer(home, as_of_us)
    if not path.exists():
        return None
    name = path.read_text(encoding="utf-8", errors="replace").strip()
    if not _REVISION.match(name):
        raise SnapshotError(f"{path} names no revision. Write the name of a good one into it, or score again.")
    return path.parent / name


def read_snapshot(home: Path, as_of_us: int | None = None, tables: Collection[str] | None = None) -> Snapshot:
    """Return the published snapshot of an instant, by default of the greatest one, verified.

    `tables` names those that will be read, where that is not all: the others are not verified. Raises SnapshotError
    where there is none, or where a file is not what its manifest says.
    """
    if as_of_us is None:
        if not (instants := published(home)):
            raise SnapshotError(f"Nothing is published under {home / FOLDER} yet. Run `vouch score` first.")
        as_of_us = instants[-1]
    folder = current_folder(home, as_of_us)
    if folder is None:
        raise SnapshotError(f"No snapshot as of {instant_text(as_of_us)} is published. Run `vouch score` for it first.")
    return open_revision(folder, tables)


def open_revision(folder: Path, tables: Collection[str] | None = None) -> Snapshot:
    """Return one revision, the digests of its tables verified; raises SnapshotError where it is not sound."""
    manifest = manifest_of(folder / MANIFEST)
    for name, wanted in manifest["files"].items():
        path = folder / name
        if tables is not None and path.stem not in tables:
            continue
        if not path.exists() or file_digest(path) != wanted:
            raise SnapshotError(f"{path} is missing or damaged. Score the week again with --revision.")
    as_of_us, match = from_folder_name(folder.parent.name), _REVISION.match(folder.name)
    if (
        as_of_us is None
        or match is None
        or (instant_text(as_of_us), int(match[1]))
        != (
            manifest["as_of"],
            manifest["revision"],
        )
    ):
        raise SnapshotError(
            f"{folder} holds another snapshot than its name says. Score the week again with --revision."
        )
    return Snapshot(folder, as_of_us, int(match[1]), manifest)


def _stands(mark: Path, paths: Sequence[Path]) -> bool:
    """Whether files are what the mark of their step says."""
    try:
        return bool(json.loads(mark.read_bytes()) == [_digests(path) for path in paths])
    except (OSError, ValueError):
        return False


def _digests(path: Path) -> dict[str, str]:
    """Digest of a file, or of each file in a folder."""
    parts = [path] if path.is_file() else sorted(part for part in path.rglob("*") if part.is_file())
    return {part.relative_to(path.parent).as_posix(): file_digest(part) for part in parts}


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _read_table(path: Path, columns: list[str] | None) -> pa.Table:
    try:
        present = pq.read_schema(path).names
        wanted = None if columns is None else [name for name in columns if name in present]
        table = pq.read_table(path, columns=wanted, page_checksum_verification=True)
        for name in columns or ():
            if name not in present:
                table = table.append_column(name, nothing(name, len(table)))
        return table if columns is None else table.select(columns)
    except (OSError, KeyError, pa.ArrowException) as error:
        raise SnapshotError(f"{path} cannot be read. Score the week again with --revision.") from error
