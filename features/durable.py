"""Atomic, durable files: there whole or not at all, flushed to disk, with digests that tell damage."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from vouch.features.errors import Damaged, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_DRAFT = ".next"


def sealed(content: Mapping[str, Any]) -> str:
    """JSON text that holds the digest of all else that it holds."""
    return json.dumps({**content, "digest": document_digest(content)}, indent=1, sort_keys=True) + "\n"


def document_digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of what a JSON document says, however it is laid out."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def unsealed(path: Path) -> dict[str, Any]:
    """What `sealed` wrote; raises Damaged where a byte is not as it was written."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        digest = content.pop("digest", None)
    except (ValueError, AttributeError, TypeError) as error:
        raise Damaged(path) from error
    if document_digest(content) != digest:
        raise Damaged(path)
    return content


def as_written(path: Path, form: int) -> dict[str, Any] | None:
    """What `sealed` wrote in this form, or None: not there, damaged, or of another version of the code.

    What stands in such a file can be made again, so that nobody has to mend it.
    """
    try:
        content = unsealed(path)
    except (Damaged, FileNotFoundError):
        return None
    return content if content.get("form") == form else None


def file_digest(path: Path) -> str:
    """SHA-256 of the bytes of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def first_changed(digests: Mapping[Path, str]) -> Path | None:
    """The first of some files that is gone, or whose bytes have another digest; None where all are as written."""
    with ThreadPoolExecutor() as readers:
        whole = readers.map(lambda path: path.exists() and file_digest(path) == digests[path], digests)
        return next((path for path, is_whole in zip(digests, whole, strict=True) if not is_whole), None)


@contextmanager
def replacing(path: Path, draft: Path | None = None) -> Iterator[Path]:
    """Give a draft beside a file, to be written; it takes the place of the file, whole and on the disk, or is gone.

    Several may write the same file at once, the last one wins. Where one draft is named they must wait for each other.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_DRAFT}") if draft is None else draft
    try:
        yield beside
        flush_file(beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    flush_file(path.parent)


def unfinished_drafts(folder: Path) -> Iterator[Path]:
    """Give the drafts below a folder that nobody has moved to their place yet; that of a killed writer stays."""
    yield from folder.rglob(f".*{_DRAFT}")


def write_whole(path: Path, content: bytes | str) -> None:
    """Put bytes, or a text as UTF-8, in the place of a file, whole or not at all, and have it on the disk."""
    with replacing(path) as draft:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def replacing_where_asked(path: Path, draft: Path | None = None) -> Iterator[Path]:
    """Give the draft of a file that a user wants somewhere, as `replacing`.

    Raises UsageError, which names the file that was asked for, where that cannot be.
    """
    ours = {None, str(path), str(path.parent), *map(str, path.parents)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, draft) as beside:
            ours.add(str(beside))
            yield beside
    except OSError as error:
        if error.filename in ours:
            raise UsageError(f"Cannot write {path}: {error.strerror or error}") from error
        raise


def write_where_asked(path: Path, text: str) -> None:
    """Write a file where a user wants it, whole or not at all; raises UsageError where that cannot be."""
    with replacing_where_asked(path) as draft:
        draft.write_bytes(text.encode())


def flush(folder: Path) -> None:
    """Have a folder and all that it holds on the disk, not in the system's memory."""
    for path in [*folder.rglob("*"), folder]:
        flush_file(path)


def flush_file(path: Path) -> None:
    """Have one file, or the entries of a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
