"""Restore of a home from a back-up: into an empty one, and only what is as it was written.

All is unpacked and checked in a folder of the home that no other command gets past, then moved to its place. Who is
killed on the way runs it again.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tarfile
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from vouch.features.documents import NAME, Count, Digest, Document, Malformed, Text, judged
from vouch.features.durable import flush, flush_file, unsealed
from vouch.features.errors import BackupError, Damaged, Refused
from vouch.features.home_format import RESTORING, check_home
from vouch.serving.lifecycle.backup import FORMAT, MANIFEST
from vouch.serving.lifecycle.inventory import HOLDINGS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PIECE = 2**20
_PART = re.compile(r"[A-Za-z0-9_=][A-Za-z0-9_=.+\-]*")
"""One part of a path in a back-up: nothing that leads upwards, and nothing hidden."""
_LINK = re.compile(rf"champions/{NAME}/bundle")
_TARGET = re.compile(r"versions/[0-9a-f]{16}")


class BackedUpFile(Document):
    """One file."""

    sha256: Digest
    bytes: Count


class BackupManifest(Document):
    """What a back-up says that it holds."""

    format: Annotated[int, Field(ge=1)]
    release: Text
    made_at: Text
    home: Text
    is_shared: bool
    files: dict[str, BackedUpFile]
    links: dict[str, str]


def restore(home: Path, source: Path, step: Callable[[str], None]) -> BackupManifest:
    """Put what a back-up holds into an empty home.

    Raises Refused where the home is not empty, BackupError where the file is not whole: the home is empty then.
    """
    _require_empty(home)
    place = home / RESTORING
    place.mkdir(parents=True)
    try:
        step("unpacking")
        digests = _unpacked(source, place)
        manifest = _checked(source, place, digests)
        for name, target in manifest.links.items():
            (place / name).symlink_to(target, target_is_directory=True)
        check_home(place)
        flush(place)
    except BaseException:
        shutil.rmtree(place)
        raise
    step("moving it to its place")
    for path in sorted(place.iterdir()):
        path.replace(home / path.name)
    flush_file(home)
    place.rmdir()
    return manifest


def _require_empty(home: Path) -> None:
    """Refuse a home that holds anything; what a restore that was killed had brought goes."""
    if (home / RESTORING).exists():
        for path in [*(home / holding.name for holding in HOLDINGS), home / RESTORING]:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    left = [path.name for path in home.iterdir() if path.name != "lost+found"] if home.exists() else []
    if left:
        raise Refused(
            f"{home} is not empty ({', '.join(sorted(left)[:3])} ...). Stop what uses it and move it away, or name "
            "another home with VOUCH_HOME."
        )


def _unpacked(source: Path, place: Path) -> dict[str, tuple[str, int]]:
    """Write the files of an archive, and return the digest and the size of each."""
    digests: dict[str, tuple[str, int]] = {}
    if not source.is_file():  # of a pipe one might wait for ever
        raise BackupError(f"There is no file {source}. Nothing was restored.")
    try:
        with tarfile.open(source, "r:") as tar:
            for entry in tar:
                file = tar.extractfile(entry) if entry.isreg() else None
                if file is None or not all(_PART.fullmatch(part) for part in entry.name.split("/")):
                    raise BackupError(f"{source} holds what no back-up does. Nothing was restored.")
                target = place / entry.name
                target.parent.mkdir(parents=True, exist_ok=True)
                digest, size = hashlib.sha256(), 0
                with target.open("xb") as written:
                    while piece := file.read(PIECE):
                        digest.update(piece)
                        size += written.write(piece)
                digests[entry.name] = digest.hexdigest(), size
    except (tarfile.TarError, EOFError, FileExistsError, NotADirectoryError) as error:
        raise BackupError(f"{source} is no back-up, or was cut off. Nothing was restored.") from error
    except OSError as error:
        raise BackupError(f"{error.filename or source}: {error.strerror}. Nothing was restored.") from error
    return digests


def _checked(source: Path, place: Path, digests: dict[str, tuple[str, int]]) -> BackupManifest:
    """The manifest; raises BackupError where the files are not those that it lists."""
    try:
        plain: dict[str, Any] = unsealed(place / MANIFEST)
        manifest = judged(BackupManifest, MANIFEST, plain)
    except (OSError, Damaged, Malformed) as error:
        raise BackupError(f"{source} is no back-up, or was cut off. Nothing was restored.") from error
    if manifest.format > FORMAT:
        raise BackupError(
            f"{source} was made by vouch {manifest.release}, which is newer than this one. Install that one."
        )
    (place / MANIFEST).unlink()
    listed = {name: (file.sha256, file.bytes) for name, file in manifest.files.items()}
    files = {name: of for name, of in digests.items() if name != MANIFEST}
    known = {holding.name for holding in HOLDINGS if holding.is_backed_up}
    if listed != files or {name.split("/")[0] for name in listed} - known:
        raise BackupError(f"{source} does not hold what it says. Nothing was restored.")
    if any(not _LINK.fullmatch(name) or not _TARGET.fullmatch(target) for name, target in manifest.links.items()):
        raise BackupError(f"{source} holds what no back-up does. Nothing was restored.")
    return manifest
