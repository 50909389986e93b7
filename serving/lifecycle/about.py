"""The right of access: all that is held on one person, entry by entry of the home, and what is not held.

It is read by the same list as erasing, so that what one finds the other takes out. The file is known as one that was
written, and goes when the person is erased.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.features.durable import write_where_asked
from vouch.features.errors import UnknownCustomer, UsageError
from vouch.features.instants import instant_text, iso_text
from vouch.serving.exports import written_files
from vouch.serving.lifecycle.erasure import spelt
from vouch.serving.lifecycle.inventory import HOLDINGS, unlisted
from vouch.serving.lifecycle.outputs import ANSWER
from vouch.serving.lifecycle.receipts import BEYOND_REACH
from vouch.serving.lifecycle.subject import Subject
from vouch.serving.store.audit import COMMAND_LINE, noted
from vouch.serving.store.connection import Database

if TYPE_CHECKING:
    from pathlib import Path

    from vouch.features.project import Project
    from vouch.serving.lifecycle.inventory import Holding

MEND = "See how it is spelt. Nothing was written."
NOTHING = "nothing is held there on this customer"


@dataclass(frozen=True)
class SubjectAnswer:
    """What was written: how many rows of each entry of the home."""

    path: Path
    document: dict[str, Any]

    def rows(self) -> list[dict[str, Any]]:
        """One row per entry, for people."""
        held = [{"place": of["place"], "rows": len(of["rows"]), "what": of["what"]} for of in self.document["held"]]
        return [*held, *({"place": of["place"], "rows": 0, "what": of["why"]} for of in self.document["not_held"])]

    def as_dict(self) -> dict[str, Any]:
        """For a scheduler to read: figures, without what is held."""
        return {"path": str(self.path), "places": self.rows(), "left": self.document["left"]}


def about(project: Project, customer_id: str, now_us: int, out: Path) -> SubjectAnswer:
    """Write all that is held on one person into a file.

    Raises UnknownCustomer where nothing is, UsageError where the file cannot be written, and StoreError where the
    store does not answer.
    """
    (known,) = spelt([customer_id])
    subject = Subject(project, frozenset([known]), now_us)
    entries = [_entry(subject, holding) for holding in HOLDINGS]
    held, missing = [of for of in entries if of.get("rows")], [of for of in entries if not of.get("rows")]
    if not any(of.pop("is_sure", False) for of in entries):
        raise UnknownCustomer(1, [1], MEND)
    document = {
        "customer_id": known,
        "at": instant_text(now_us),
        "held": held,
        "not_held": [{"place": of["place"], "what": of["what"], "why": of.get("why", NOTHING)} for of in missing],
        "left": [*subject.left, *(f"{name}: no part of vouch, look through it by hand" for name in unlisted(subject))],
        "beyond_reach": BEYOND_REACH,
    }
    write_where_asked(out, json.dumps(document, indent=1, ensure_ascii=False, default=_plain) + "\n")
    written_files.note(project.home, ANSWER, instant_text(now_us), [out])
    database = Database(project.home, project.store)
    with database.writing() as connection:
        noted(connection, now_us, COMMAND_LINE, "told", route="vouch about", customer_id=known, rows=1)
    database.close()
    return SubjectAnswer(out, document)


def _entry(subject: Subject, holding: Holding) -> dict[str, Any]:
    """What one entry of the home holds, or why it holds nobody."""
    entry = {"place": holding.name, "what": holding.meaning, "kept": holding.retention}
    if holding.nobody is not None:
        return {**entry, "why": holding.nobody}
    rows_held = [held for held in holding.read(subject, holding.name) if held.customer_id is not None]
    rows = [{"where": held.place, "held": held.row, "when_erased": held.how} for held in rows_held]
    return {**entry, "rows": rows, "is_sure": any(held.is_sure or held.stays for held in rows_held)}


def _plain(value: Any) -> Any:
    """A value of a table as JSON has it."""
    if isinstance(value, datetime | date):
        return iso_text(value)
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, bytes):
        return value.hex()
    raise UsageError(f"A value of the type {type(value).__name__} cannot be written")
