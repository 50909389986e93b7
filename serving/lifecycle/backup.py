"""Back-up and restore of a home: one file, there whole or not at all, taken while the service serves and records.

A back-up holds what cannot be made again from the company's tables. Databases are copied as of one moment each, by
SQLite itself; weeks and champions do not change once they are there, and go as they lie. Every file has its digest in
a manifest at the end, which has one of itself: what was cut off or has changed restores nothing. The file is a plain
tar, so that it can be read without vouch.
"""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import sqlite3
import tarfile
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

from vouch.features.documents import NAME
from vouch.features.durable import flush_file, sealed
from vouch.features.errors import BackupError, SnapshotError
from vouch.features.instants import instant_text
from vouch.models.registry.champions import promotion
from vouch.serving.lifecycle.inventory import HOLDINGS
from vouch.serving.snapshots.files import open_revision, revisions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FORMAT = 1
MANIFEST = "backup.json"
DATABASES = ("serving/store.sqlite", "mlflow/mlflow.db")
ELSEWHERE = "the store is a PostgreSQL database, and not in this file: back it up as its administrator does"


@dataclass
class BackedUp:
    """What a back-up holds."""

    path: Path
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def parts(self) -> list[dict[str, Any]]:
        """How much there is of each part of the home."""
        parts: dict[str, dict[str, Any]] = {}
        for name, file in self.files.items():
            part = parts.setdefault(name.split("/")[0], {"part": name.split("/")[0], "files": 0, "bytes": 0})
            part["files"] += 1
            part["bytes"] += file["bytes"]
        return list(parts.values())

    def as_dict(self) -> dict[str, Any]:
        """For a scheduler to read."""
        return {"path": str(self.path), "parts": self.parts, "warnings": self.warnings}


def back_up(
    home: Path, out: Path, now_us: int, release: str, *, is_shared: bool, step: Callable[[str], None]
) -> BackedUp:
    """Write everything that cannot be made again into one file; call it with the lock of scoring.

    `is_shared` says that the store is not in the home. Raises BackupError where something cannot be read or written;
    what stood at `out` stays then.
    """
    out = out.resolve()
    if home in out.parents or not home.is_dir():
        raise BackupError(f"{out} lies in the home, or {home} is none. Name a file elsewhere.")
    done = BackedUp(out, warnings=[ELSEWHERE] if is_shared else [])
    try:
        with _workshop(out) as place:
            with (
                (place / "tar").open("wb") as file,
                tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar,
            ):
                _Writer(home, place, tar, done, step).write(is_shared)
                about = {"format": FORMAT, "release": release, "made_at": instant_text(now_us), "home": str(home)}
                manifest = sealed({**about, "is_shared": is_shared, "files": done.files, "links": done.links}).encode()
                tar.addfile(_entry(MANIFEST, len(manifest)), io.BytesIO(manifest))
            flush_file(place / "tar")
            (place / "tar").replace(out)
            flush_file(out.parent)
    except (OSError, sqlite3.Error, UnicodeDecodeError, tarfile.TarError) as error:
        message = f"{getattr(error, 'filename', None) or out}: {getattr(error, 'strerror', None) or error}"
        raise BackupError(f"Nothing was backed up ({message}). See that there is room, and run it again.") from error
    return done


@contextmanager
def _workshop(out: Path) -> Iterator[Path]:
    """A folder beside the file, for its owner alone, gone afterwards; that of a run that was killed is swept."""
    place = out.with_name(f".{out.name}.partial")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(mode=0o700)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


class _Writer:
    """Writes the parts of a home into an archive."""

    def __init__(
        self, home: Path, place: Path, tar: tarfile.TarFile, done: BackedUp, step: Callable[[str], None]
    ) -> None:
        self._home, self._place, self._tar, self._done, self._step = home, place, tar, done, step

    def write(self, is_shared: bool) -> None:
        """Databases first: whatever was recorded before this began is among them."""
        for name in DATABASES[is_shared:]:
            if (self._home / name).exists():
                self._step(f"copying {name}")
                self._add(name, _copy_of_database(self._home / name, self._place / "database"))
        for holding in HOLDINGS:
            if holding.is_backed_up and (self._home / holding.name).exists():
                self._step(f"copying {holding.meaning}")
                self._part(self._home / holding.name)

    def _part(self, path: Path) -> None:
        if path.name == "snapshots":
            for instant in sorted(path.glob("as_of=*")):
                self._week(instant)
        elif path.name == "champions":
            for champion in sorted(path.iterdir()):
                if re.fullmatch(NAME, champion.name):
                    with promotion(self._home, champion.name):
                        self._files(champion)
        elif path.name != "serving":  # all else there is made again from the store
            self._files(path)

    def _week(self, instant: Path) -> None:
        """The whole revisions of one instant, and which of them is published."""
        for _, revision in sorted(revisions(instant).items()):
            try:
                open_revision(revision)
            except SnapshotError as error:
                self._done.warnings.append(f"it is backed up as it is: {error}")
            self._files(revision)
        if (instant / "CURRENT").exists():
            self._files(instant / "CURRENT")

    def _files(self, path: Path) -> None:
        """A file, or all below a folder, but for what is hidden or a lock."""
        if path.name.startswith(".") or path.suffix == ".lock":
            return
        name = path.relative_to(self._home).as_posix()
        if path.is_symlink():
            self._done.links[name] = str(path.readlink())
        elif path.is_dir():
            for below in sorted(path.iterdir()):
                self._files(below)
        elif name not in DATABASES and not name.endswith(("-wal", "-shm", "-journal")):
            self._add(name, path)

    def _add(self, name: str, path: Path) -> None:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            digested = _Digested(file)
            self._tar.addfile(_entry(name, size), digested)  # type: ignore[arg-type]  # it reads, and that is enough
        self._done.files[name] = {"sha256": digested.digest.hexdigest(), "bytes": size}


class _Digested:
    """A file that is digested as it is read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.digest = file, hashlib.sha256()

    def read(self, size: int) -> bytes:
        """The next bytes."""
        content = self._file.read(size)
        self.digest.update(content)
        return content


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    return entry


def _copy_of_database(source: Path, target: Path) -> Path:
    """A copy as of one moment, whoever writes meanwhile, found to be sound."""
    target.unlink(missing_ok=True)
    with closing(sqlite3.connect(source, timeout=60)) as held, closing(sqlite3.connect(target)) as copy:
        held.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
        verdict = copy.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if verdict != "ok":
        raise BackupError(f"{source} is damaged, and was not backed up. Keep the back-ups that there are.")
    return target
