"""Snapshots on disk: one folder per instant and revision, there whole or not at all, and read only where it is sound.

Files are written into a folder of their own, flushed, digested, renamed to `revision-N`; then the pointer `CURRENT` is
replaced. Rewriting files in place loses the good ones when the process is killed, and Parquet as it
comes does not notice a flipped bit: hence page checksums, and a digest of every file in the manifest.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import Locked, SnapshotError
from serving.instants import folder_name, from_folder_name, spoken

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

FOLDER = "snapshots"
POINTER = "CURRENT"
MANIFEST = "manifest.json"
_REVISION = re.compile(r"revision-([1-9]\d*)$")
_DRAFT = "draft-"


@dataclass(frozen=True)
class Snapshot:
    """One published revision, its manifest read and its files found to be what the manifest says."""

    folder: Path
    as_of_us: int
    revision: int
    manifest: Mapping[str, Any]

    def table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """Return one of the tables (`scores`, `metrics`, `customers`), its page checksums verified."""
        return _read_table(self.folder / f"{name}.parquet", columns)


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

    def publish(self, manifest: Mapping[str, Any]) -> Snapshot:
        """Flush, digest, rename to the next revision, and point to it. From here on readers see it."""
        parent = self.folder.parent
        revision = max(revisions(parent), default=0) + 1
        for path in self.folder.iterdir():
            _flush(path)
        files = {path.name: file_digest(path) for path in sorted(self.folder.iterdir())}
        body = {**manifest, "as_of": spoken(self.as_of_us), "revision": revision, "files": files}
        (self.folder / MANIFEST).write_text(_sealed(body), encoding="utf-8")
        _flush(self.folder / MANIFEST)
        _flush(self.folder)
        final = parent / f"revision-{revision}"
        self.folder.rename(final)
        _flush(parent)
        point_to(final)
        return open_revision(final)


@contextmanager
def lock(home: Path, name: str) -> Iterator[None]:
    """Hold the lock of one kind of run; the system lets go of it when the process dies. Raises Locked."""
    from filelock import FileLock, Timeout

    path = home / "locks" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(path, timeout=0)
    try:
        held.acquire()
    except Timeout as error:
        raise Locked(f"Another `vouch {name}` is at work in {home}. Wait for it to end, then run again.") from error
    try:
        yield
    finally:
        held.release()


@contextmanager
def drafting(home: Path, as_of_us: int) -> Iterator[Draft]:
    """Give a draft of a snapshot; it is gone afterwards unless it was published. Call it under the lock."""
    parent = home / FOLDER / folder_name(as_of_us)
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.glob(f"{_DRAFT}*"):  # of a run that was killed: the lock is ours, so nobody writes there
        shutil.rmtree(left)
    folder = parent / tempfile.mkdtemp(prefix=_DRAFT, dir=parent)
    folder.chmod(0o755)
    try:
        yield Draft(folder, as_of_us)
    finally:
        if folder.exists():
            shutil.rmtree(folder)


def point_to(folder: Path) -> None:
    """Make a revision the published one of its instant, at once and durably."""
    beside = folder.parent / f"{POINTER}.next"
    beside.write_text(folder.name + "\n", encoding="utf-8")
    _flush(beside)
    beside.replace(folder.parent / POINTER)
    _flush(folder.parent)


def revisions(parent: Path) -> dict[int, Path]:
    """Return the whole revisions in the folder of one instant, published or not."""
    found = {}
    for path in parent.glob("revision-*"):
        if match := _REVISION.match(path.name):
            found[int(match[1])] = path
    return found


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
        raise SnapshotError(f"No snapshot as of {spoken(as_of_us)} is published. Run `vouch score` for it first.")
    return open_revision(folder, tables)


def open_revision(folder: Path, tables: Collection[str] | None = None) -> Snapshot:
    """Return one revision, the digests of its tables verified; raises SnapshotError where it is not sound."""
    manifest = _manifest(folder / MANIFEST)
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
        or (spoken(as_of_us), int(match[1]))
        != (
            manifest["as_of"],
            manifest["revision"],
        )
    ):
        raise SnapshotError(
            f"{folder} holds another snapshot than its name says. Score the week again with --revision."
        )
    return Snapshot(folder, as_of_us, int(match[1]), manifest)


def _manifest(path: Path) -> dict[str, Any]:
    try:
        body = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SnapshotError(f"{path} cannot be read. Score the week again with --revision.") from error
    if not isinstance(body, dict) or body.pop("digest", None) != _digest_of(body):
        raise SnapshotError(f"{path} is damaged. Score the week again with --revision.")
    return body


def _digest_of(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _sealed(body: Mapping[str, Any]) -> str:
    return json.dumps({**body, "digest": _digest_of(body)}, indent=2, ensure_ascii=False) + "\n"


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_table(path: Path, columns: list[str] | None) -> pa.Table:
    try:
        return pq.read_table(path, columns=columns, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        raise SnapshotError(f"{path} cannot be read. Score the week again with --revision.") from error


def _flush(path: Path) -> None:
    """Bring a file, or the entries of a folder, down to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
