"""The record of a push: which week of which revision went where, how far it has come, and what was not taken.

It is written anew, whole, after each step, so that a push that was killed goes on where it was; what it repeats then is
the one step that nobody knows the end of, and a CRM takes the same rows twice as once. What was sent is deleted in the
end; the record stays, and says that this week has been sent.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from vouch.features.durable import file_digest, flush_file, sealed, unsealed, write_whole
from vouch.features.errors import Damaged
from vouch.features.instants import folder_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from vouch.serving.snapshots.files import Snapshot

FOLDER = "pushed"
RECORD, FAILED = "record.json", "failed.jsonl"
_FORM = 2
_CODE = re.compile(r"[A-Z][A-Z0-9_]{2,60}")
OTHER = "OTHER"
UNKNOWN_RECORD = "UNKNOWN_RECORD"
"""Why a row was not taken where the CRM holds no such customer, and is not to make one."""


@dataclass
class SentFile:
    """One file of a push, and how far it has come."""

    name: str
    sha256: str
    rows: int
    job: str | None = None
    """The job of the CRM that takes it, where it has jobs."""
    sent: int = 0
    """Rows that were answered, taken or not."""
    failed: int = 0
    is_done: bool = False


@dataclass
class PushRecord:
    """One push: a week, where it goes, and its files."""

    target: str
    place: str
    """The host of the CRM, and what a customer is there."""
    as_of: str
    revision: int
    objections: str = ""
    """The mark of who objected when the files were written."""
    files: list[SentFile] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)
    """How many rows were not taken, by the code that the CRM gives."""

    def goes_with(self, other: PushRecord) -> bool:
        """Whether both are of the same rows, to the same place."""
        names = ("target", "place", "as_of", "revision", "objections")
        return all(getattr(self, name) == getattr(other, name) for name in names)

    @property
    def is_done(self) -> bool:
        """Whether all files have ended."""
        return all(file.is_done for file in self.files)

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return sum(file.rows for file in self.files)

    @property
    def failed(self) -> int:
        """Rows that the CRM did not take."""
        return sum(file.failed for file in self.files)


class PushFolder:
    """The folder of one push under the home."""

    def __init__(self, home: Path, target: str, snapshot: Snapshot) -> None:
        week = folder_name(snapshot.as_of_us).removeprefix("as_of=")
        self.path = home / FOLDER / target / f"{week}-revision-{snapshot.revision}"

    def read(self) -> PushRecord | None:
        """Return the record; None where nothing was begun, or what was to be sent is no longer as it was."""
        try:
            content = unsealed(self.path / RECORD)
        except (Damaged, FileNotFoundError):
            return None
        if content.pop("form", None) != _FORM:
            return None
        record = PushRecord(**{**content, "files": [SentFile(**file) for file in content["files"]]})
        whole = all(file.is_done or self._is_as_it_was(file) for file in record.files)
        return record if whole else None

    def _is_as_it_was(self, file: SentFile) -> bool:
        path = self.path / file.name
        return path.exists() and file_digest(path) == file.sha256

    def write(self, record: PushRecord) -> None:
        """Write the record, whole and on the disk."""
        write_whole(self.path / RECORD, sealed({"form": _FORM, **asdict(record)}))

    def clear(self) -> None:
        """Make the folder, empty."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir(parents=True)

    def rows_of(self, file: SentFile) -> Iterator[dict[str, str]]:
        """Give the rows of a file, by the names of its columns."""
        with (self.path / file.name).open(encoding="utf-8", newline="") as text:
            yield from csv.DictReader(text)

    def forget_failures(self, file: SentFile) -> None:
        """Take out what a push that was killed has written of rows that it did not come to count."""
        if (self.path / FAILED).exists():
            of_before = [row for row in self.failures() if row["file"] != file.name or row["row"] <= file.sent]
            write_whole(self.path / FAILED, "".join(map(_line, of_before)))

    def note_failures(self, record: PushRecord, file: SentFile, failures: Mapping[str, str]) -> None:
        """Write down which customers of the rows after those that were sent were not taken, and why."""
        if not failures:
            return
        with (self.path / FAILED).open("a", encoding="utf-8") as text:
            for who, why in failures.items():
                text.write(_line({"file": file.name, "row": file.sent + 1, "customer_id": who, "why": why}))
                record.reasons[why] = record.reasons.get(why, 0) + 1
        flush_file(self.path / FAILED)
        file.failed += len(failures)

    def failures(self) -> list[dict[str, Any]]:
        """Return the rows that were not taken."""
        path = self.path / FAILED
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []

    def end(self) -> None:
        """Delete what was sent, and what an earlier week has left; the records stay."""
        for path in self.path.parent.glob("*/*.csv"):
            path.unlink(missing_ok=True)


def _line(row: Mapping[str, Any]) -> str:
    return f"{json.dumps(row, ensure_ascii=False)}\n"


def code_of(message: object) -> str:
    """Return the code that an error of a CRM begins with; its words may hold what was sent, and are not kept.

    >>> code_of("REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --"), code_of("of c1"), code_of(None)
    ('REQUIRED_FIELD_MISSING', 'OTHER', 'OTHER')
    """
    match = _CODE.match(message) if isinstance(message, str) else None
    return match[0] if match else OTHER
