"""The register of written files: reports, exports and vectors outside the home that hold customers.

They are listed as they are written, so that erasing a customer reaches them too, and changed only where they still
are what was written.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from filelock import FileLock

from vouch.features.durable import file_digest, write_whole
from vouch.features.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

LIST = "outputs.json"


@dataclass(frozen=True)
class Output:
    """One file that was written: what it is (`page`, `text`, `files`, `listing`, `vectors`), where, of which week,
    and what its bytes were; a report also in which language, and where its names lead. A table of a lake (`delta`,
    `iceberg`) is a folder that grows, without a digest."""

    kind: str
    path: str
    as_of: str
    sha256: str
    language: str = "en"
    page: str | None = None


def load_outputs(home: Path) -> list[Output]:
    """Return what was written, the oldest first; raises ConfigurationError where the list is damaged."""
    path = home / LIST
    if not path.exists():
        return []
    try:
        return [Output(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))]
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"{path} is damaged. Restore it from a copy, or delete it.") from error


def note(
    home: Path, kind: str, as_of: str, paths: Iterable[Path], language: str = "en", page: str | None = None
) -> None:
    """Add files to the list; one that was written before stands there once, as it is now."""
    digests = {path: "" if path.is_dir() else file_digest(path) for path in paths}
    made = [Output(kind, str(path.resolve()), as_of, digest, language, page) for path, digest in digests.items()]
    with _locked(home):
        replaced = {output.path for output in made}
        save_outputs(home, [*(output for output in load_outputs(home) if output.path not in replaced), *made])


def save_outputs(home: Path, outputs: Iterable[Output]) -> None:
    """Replace the list."""
    write_whole(home / LIST, json.dumps([asdict(output) for output in outputs], indent=1) + "\n")


def _locked(home: Path) -> FileLock:
    folder = home / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / "outputs.lock")
