"""Receipts of erasures, without a name: there once all is done, and a list of work until then.

The list of work holds the ids, for without them an erasure that was interrupted could not be finished; it is written
before anything is touched, with all that was found, so that one receipt tells the truth however often it took.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from vouch.features.ingest import erased as tombstones
from vouch.features.instants import file_stamp, instant_text
from vouch.serving.lifecycle.marks import RECEIPTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

UNFINISHED = "unfinished.json"
BEYOND_REACH = (
    "the company's own tables",
    "what a CRM, a mailbox or anybody else took over from exports and reports",
    "copies and backups of the home",
)


@dataclass
class Receipt:
    """What was erased where; customers stand as hashes alone."""

    at: str
    hashes: list[str]
    places: list[dict[str, Any]] = field(default_factory=list)
    models: list[dict[str, Any]] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    in_advance: int = 0
    """How many were found nowhere, and are kept out should they come."""
    unknown: list[int] = field(default_factory=list)
    """Which of the ids, counted from 1 as they were given, were found nowhere and are not kept out."""
    beyond_reach: tuple[str, ...] = BEYOND_REACH
    path: str = ""

    @property
    def rows(self) -> int:
        """How many rows and names went."""
        return sum(place["rows"] for place in self.places)

    def as_dict(self) -> dict[str, Any]:
        """For people and schedulers to read, and to be kept."""
        return asdict(self)


@dataclass
class Work:
    """An erasure that has begun: whom, since when, and what was found of them."""

    at: str
    moment: str
    customer_ids: list[str] = field(default_factory=list)
    in_advance: int = 0
    places: dict[str, dict[str, Any]] = field(default_factory=dict)
    models: list[dict[str, Any]] = field(default_factory=list)
    name: str = ""

    def add(self, rows_by_place: Mapping[tuple[str, str], int]) -> None:
        """Note what was found where; what a run before this one had found, and has not reached, counts once."""
        for (place, how), rows in rows_by_place.items():
            if rows > self.places.get(place, {"rows": 0})["rows"]:
                self.places[place] = {"place": place, "rows": rows, "how": how}


def begin_erasure(now_us: int) -> Work:
    """An empty list of work."""
    return Work(instant_text(now_us), file_stamp(now_us))


def unfinished(home: Path) -> Work | None:
    """The erasure that was interrupted, if any."""
    path = home / tombstones.FOLDER / UNFINISHED
    return Work(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def keep(home: Path, work: Work, first_hash: str) -> None:
    """Write the list of work, from before anything is touched."""
    folder = home / tombstones.FOLDER
    work.name = work.name or f"{work.moment}-{first_hash[:12]}.json"
    tombstones.write_durably(folder / UNFINISHED, json.dumps(asdict(work), indent=1) + "\n")


def finish(home: Path, work: Work, hashes: list[str], left: list[str]) -> Receipt:
    """Write the receipt, and let the list of work go."""
    folder = home / tombstones.FOLDER / RECEIPTS
    folder.mkdir(parents=True, exist_ok=True)
    receipt = Receipt(work.at, hashes, list(work.places.values()), work.models, left, work.in_advance)
    receipt.path = str(folder / work.name)
    tombstones.write_durably(folder / work.name, json.dumps(receipt.as_dict(), indent=1) + "\n")
    (home / tombstones.FOLDER / UNFINISHED).unlink(missing_ok=True)
    return receipt


def earlier(home: Path, hashes: Iterable[str]) -> Receipt:
    """The newest receipt that tells of customers who were erased before; one that tells nothing where it is lost."""
    wanted = sorted(hashes)
    for path in sorted((home / tombstones.FOLDER / RECEIPTS).glob("*.json"), reverse=True):
        receipt = json.loads(path.read_text(encoding="utf-8"))
        if set(wanted) & set(receipt["hashes"]):
            return Receipt(**{**receipt, "beyond_reach": tuple(receipt["beyond_reach"])})
    return Receipt("before", wanted, left=["The receipt of then is no longer there"])
