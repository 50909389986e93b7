"""The manifest of a snapshot: what the week was made from, the digest of each file, and a digest of itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field

from vouch.features.documents import Count, Digest, Document, FileName, Malformed, Name, Number, Text, read_document
from vouch.features.durable import document_digest
from vouch.features.errors import SnapshotError, UsageError
from vouch.features.instants import parse_instant

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAME = "manifest.json"


def _instant(text: str) -> str:
    try:
        parse_instant(text)
    except UsageError as error:
        raise ValueError("it is no instant") from error
    return text


Instant = Annotated[str, Field(max_length=40), AfterValidator(_instant)]


class Shifted(Document):
    """How far the scores of a model have moved."""

    index: Number


class Drift(Document):
    """How far a model's week has moved."""

    score: Shifted | None = None
    moderate: Count | None = None
    major: Count | None = None


class WatchedBatch(Document):
    """The bets on one week's outcomes."""

    as_of_us: Count
    model: Digest
    n: Count
    came_true: Count
    expected: Number
    gains: list[Number]


class Watched(Document):
    """What the watch of a model's probabilities has seen."""

    weeks: Count
    wealth: Annotated[Number, Field(ge=0)]
    limit: Number
    starts_us: Count
    alarm_us: Count | None = None
    changed: Instant | None = None
    answer: dict[str, Any] | None = None
    batches: list[WatchedBatch]


class ListSize(Document):
    """How many rows a list has, or why there is none."""

    total: Count
    reason: str | None = None


class Supported(Document):
    """Whether the week's data support an output, and why."""

    output: Text
    ready: bool
    why: Text
    code: Name | None = None
    figures: dict[Name, Count | Text] | None = None


class RulesOfHealth(Document):
    """The rules of health of a week; `rules` are judged where they are read."""

    version: Count
    digest: Digest
    rules: dict[str, Any]


class SnapshotManifest(Document):
    """What is read again of a manifest; the rest is for people."""

    as_of: Instant
    revision: Annotated[int, Field(ge=1, lt=2**31)]
    files: dict[FileName, Digest]
    now: Instant
    data_through: Instant | None = None
    inputs: Text | None = None
    columns: dict[Name, list[Text]] | None = None
    health: RulesOfHealth | None = None
    models: dict[Name, dict[str, Any] | None] | None = None
    rows_out: dict[Name, Count] | None = None
    statuses: dict[Name, dict[str, Count]] | None = None
    lists: dict[Name, ListSize] | None = None
    warnings: list[str] | None = None
    readiness: list[Supported] | None = None
    drift: dict[Name, Drift] | None = None
    watch: dict[Name, Watched] | None = None
    flagged: list[dict[str, Any]] | None = None
    seen: dict[str, Any] | None = None


def manifest_of(path: Path) -> dict[str, Any]:
    """Return the manifest in a file; raises SnapshotError where it is not as it was sealed, or has another form."""
    mend = "Score the week again with --revision."
    try:
        body: dict[str, Any] = read_document(SnapshotManifest, str(path), path.read_bytes())[1]
    except (OSError, Malformed) as error:
        raise SnapshotError(f"{path} cannot be read ({error}). {mend}") from error
    if body.pop("digest", None) != document_digest(body):
        raise SnapshotError(f"{path} is damaged. {mend}")
    return body


def sealed(body: Mapping[str, Any]) -> str:
    """Return the text of a manifest with its digest."""
    return json.dumps({**body, "digest": document_digest(body)}, indent=2, ensure_ascii=False) + "\n"
