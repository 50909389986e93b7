"""The record of a run: which command it was, how it ended, how long it took, and what it told.

Every job that a scheduler starts leaves one file under the home, however it ends, so that `vouch runs`, the page and
Prometheus can say when the last one went well. A record holds figures and messages, never a customer.
"""

from __future__ import annotations

import contextlib
import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from vouch.features.durable import write_whole
from vouch.features.errors import Refused, VouchError
from vouch.features.instants import file_stamp, from_file_stamp, instant_text
from vouch.serving.output import as_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

FOLDER = "runs"
"""Under the home: one file per run; its name begins with the command and the instant."""
ENDS = ("done", "refused", "failed")


@dataclass
class RunRecord:
    """A run that is at work: what it tells is added to `figures`."""

    command: str
    now_us: int
    figures: dict[str, Any] = field(default_factory=dict)
    is_recorded: bool = True
    """Set to False by one that only looks, as a plan does."""
    document: dict[str, Any] = field(default_factory=dict)
    """All that is recorded, once it has ended."""

    def end(self, error: BaseException | None, seconds: float) -> dict[str, Any]:
        """Make the document of the run."""
        ended = "done" if error is None else "refused" if isinstance(error, Refused) else "failed"
        reason = {"code": error.code, "message": str(error)} if isinstance(error, VouchError) else None
        if error is not None and reason is None:
            reason = {"code": "unforeseen", "message": type(error).__name__}  # what it says may quote a row
        self.document = {
            "command": self.command,
            "now": instant_text(self.now_us),
            "outcome": ended,
            "exit_code": 0 if error is None else error.exit_code if isinstance(error, VouchError) else 1,
            "seconds": round(seconds, 3),
            "error": reason,
            **self.figures,
        }
        return self.document


@contextmanager
def recording(home: Path, command: str, now_us: int) -> Iterator[RunRecord]:
    """Record a run however it ends; whatever ended it is raised again."""
    run, started, error = RunRecord(command, now_us), time.monotonic(), None
    try:
        yield run
    except BaseException as raised:
        error = raised
        raise
    finally:
        run.end(error, time.monotonic() - started)
        if run.is_recorded:
            _leave(home, run)


def _leave(home: Path, run: RunRecord) -> None:
    """Leave the record for whoever looks later; a home that takes no writes was told of already."""
    with contextlib.suppress(OSError):
        folder = home / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{run.command}-{file_stamp(run.now_us)}.json"
        write_whole(folder / name, f"{as_json(run.document)}\n")


def recorded_runs(home: Path, command: str | None = None) -> Iterator[dict[str, Any]]:
    """Give the records of runs, the newest first; what is half a file, or of a form that is not known, is left out."""
    paths = [(at, path) for path in (home / FOLDER).glob("*.json") if (at := run_instant(path.stem)) is not None]
    for _, path in sorted(paths, reverse=True):
        if command is None or path.stem.startswith(f"{command}-"):
            with contextlib.suppress(OSError):
                stat = path.stat()
                document = _document(path, stat.st_ino, stat.st_mtime_ns, stat.st_size)
                if document is not None:
                    yield dict(document)


@lru_cache(maxsize=4096)
def _document(path: Path, *_: int) -> Mapping[str, Any] | None:
    """The record in a file, None for what is none; read again once the file was touched."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
    return document if _is_record(document) else None


def _is_record(document: Any) -> bool:
    """Whether a document says what every record says, and is not that of a plan."""
    if not isinstance(document, dict) or "plan" in document or document.get("outcome") not in ENDS:
        return False
    return all(isinstance(document.get(name), of) for name, of in (("command", str), ("now", str), ("exit_code", int)))


def run_instant(name: str) -> int | None:
    """When a run was, by the name of its record; None where the name says none."""
    return from_file_stamp(name.partition("-")[2])


def last_of_each(home: Path) -> dict[str, tuple[Mapping[str, Any], Mapping[str, Any] | None]]:
    """Return of each command its last run, and the last one that went well."""
    last: dict[str, tuple[Mapping[str, Any], Mapping[str, Any] | None]] = {}
    for document in recorded_runs(home):
        name = str(document["command"])
        newest, well = last.get(name, (document, None))
        last[name] = newest, well or (document if document["outcome"] == "done" else None)
    return last
