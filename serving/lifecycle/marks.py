"""Marks of erased customers: a keyed hash that keeps them out, and receipts that hold the hash."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from vouch.features.ingest import erased as tombstones
from vouch.serving.lifecycle.subject import Held

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vouch.serving.lifecycle.subject import Subject

RECEIPTS = "receipts"


def read_marks(subject: Subject, name: str) -> Iterator[Held]:
    """Give the hashes of those who were erased, with the receipts that tell of it."""
    known = tombstones.load(subject.home)
    for customer in sorted(subject.customer_ids) if known else ():
        assert known is not None
        if customer in known:
            row = {"hash": known.hash_of(customer), "receipts": receipts_of(subject, known.hash_of(customer))}
            yield Held(customer, name, row, "stays, so that they do not come back", is_sure=False, stays=True)


def receipts_of(subject: Subject, hashed: str) -> list[str]:
    """The receipts that tell of a customer, the oldest first."""
    receipts = sorted((subject.home / tombstones.FOLDER / RECEIPTS).glob("*.json"))
    return [str(path) for path in receipts if hashed in json.loads(path.read_text(encoding="utf-8"))["hashes"]]
