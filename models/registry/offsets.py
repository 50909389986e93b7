"""Offsets of champions: shifts of the log-odds that answer a prior that has moved, until a model is trained again.

`home/champions/NAME/offsets.json` lists them, the oldest first, each with the bundle that it is for, the week that it
was found in, and what came true instead of what was expected. One holds for weeks after its own, so that a week that is
scored again is scored as it was; another bundle has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, RootModel

from vouch.features.documents import Count, Digest, Document, Number
from vouch.features.durable import write_whole
from vouch.features.errors import BundleError
from vouch.models.predictor import champion_folder
from vouch.models.quality.watch import LARGEST
from vouch.models.registry.champions import promotion
from vouch.models.scoring.bundle import as_bytes
from vouch.models.scoring.documents import read_bundle_document

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

OFFSETS = "offsets.json"


class Offset(Document):
    """One offset: for which bundle, found in which week, and the outcomes since the change that it is fitted on."""

    content_hash: Digest
    as_of_us: Count
    offset: Annotated[Number, Field(ge=-LARGEST, le=LARGEST)]
    changed_us: Count
    n: Count
    came_true: Count
    expected: Annotated[Number, Field(ge=0)]


class Offsets(RootModel[list[Offset]]):
    """`offsets.json`."""


def offsets(home: Path, name: str) -> tuple[Offset, ...]:
    """Return the offsets of a model, the oldest first; raises BundleError where the file is damaged."""
    path = champion_folder(home, name) / OFFSETS
    if not path.exists():
        return ()
    try:
        return tuple(read_bundle_document(Offsets, path.name, path.read_bytes())[0].root)
    except (OSError, BundleError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise BundleError(
            f"{path} cannot be read: {why}. Restore it from a backup, or take it away: then the champion of {name!r} "
            "is served without an offset until the watch finds one again."
        ) from error


def in_force(offsets: Sequence[Offset], content_hash: str, as_of_us: int | None = None) -> Offset | None:
    """The offset of a bundle in a week, by default today's; None where there is none."""
    for of in reversed(offsets):
        if of.content_hash == content_hash and (as_of_us is None or of.as_of_us < as_of_us):
            return of
    return None


def set_offset(home: Path, name: str, made: Offset) -> None:
    """Add an offset; one of the same week and bundle is replaced, since that week was scored again."""
    with promotion(home, name) as folder:
        others = [
            of for of in offsets(home, name) if (of.content_hash, of.as_of_us) != (made.content_hash, made.as_of_us)
        ]
        listed = sorted([*others, made], key=lambda of: of.as_of_us)
        write_whole(folder / OFFSETS, as_bytes([of.model_dump() for of in listed]))
