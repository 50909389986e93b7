"""The format of the home, told by a file in it: an older release must not read what a newer one has written there.

Formats: 1 is a home without the file, as release 0.1.0 left it; 2 has the file, and digests of mapped files in the
store. A release reads all formats up to its own, brings to its own what it writes, and counts one up where something
that is kept for good can no longer be read by the release before. Bundles have a format of their own, since they
travel by the registry, and the store has the revision of its schema, since several homes may share one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from vouch.features.documents import Document, Malformed, Text, read_document
from vouch.features.durable import write_whole
from vouch.features.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 2
FILE = "format.json"
RESTORING = ".restoring"
"""What a restore has not put in its place yet; nothing else uses the home while it is there."""


class Written(Document):
    """Who has written to a home: its format, and the newest release."""

    format: Annotated[int, Field(ge=1, lt=2**31)]
    release: Text


def check_home(home: Path) -> None:
    """Raise ConfigurationError where the home is of a newer release, or only half restored."""
    if (home / RESTORING).exists():
        raise ConfigurationError(f"{home} was not restored to its end. Run `vouch restore FILE` again.")
    written = _written(home)
    if written is not None and written.format > FORMAT:
        raise ConfigurationError(
            f"{home} was written by vouch {written.release}, which is newer than this one. Install that one, or name "
            "another home with VOUCH_HOME."
        )


def mark_home(home: Path, release: str) -> None:
    """Note that a release of this format writes to a home; call it before anything is written."""
    check_home(home)
    written = _written(home)
    if written is None or written.format < FORMAT:
        home.mkdir(parents=True, exist_ok=True)
        content = Written(format=FORMAT, release=release).model_dump_json().encode() + b"\n"
        write_whole(home / FILE, content)


def _written(home: Path) -> Written | None:
    try:
        return read_document(Written, str(home / FILE), (home / FILE).read_bytes())[0]
    except FileNotFoundError:
        return None
    except (OSError, Malformed) as error:
        raise ConfigurationError(
            f"{home / FILE} cannot be read: which release wrote the home is not known. Put back a copy of it."
        ) from error
