"""The counts of the contract check, in one table: what each counts, in words, how to mend it, who judges it.

A row is refused, a cell is emptied, a row is repaired, or something is merely counted. `vouch check` tells each of them
with its figures and its mend; before a week is published, guards hold its share against limits (`guards.toml`).
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vouch.features.shown import shape

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from vouch.features.contract.checks import Scope
    from vouch.features.contract.tables import Table

LARGEST = "100000000000000"
"""Money and numbers are below this: they stand as DECIMAL(18,4)."""

_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ][\d:.]+)?(?: ?[A-Za-z]{1,5})?")


def _shown(example: str) -> str:
    """An example as people see it: a date or an instant as it is, of all else the shape, for it may name somebody."""
    return repr(example) if _INSTANT.fullmatch(example) else shape(example)


@dataclass(frozen=True)
class Reason:
    """Why a row was refused or a cell emptied, or what was repaired or merely counted; the mend; the guard that judges.

    The scope of an unreadable cell is `cell` where the column is optional, and `row` where it is required.
    """

    code: str
    scope: Scope
    message: str
    mend: str
    guard: str


_ROW, _CELL, _REPAIR = "quarantined_share", "broken_cells", "repaired_share"
_FORM = "Mend the export, or map the column by a query"
_TIME = "Write ISO 8601, with Z, UTC, GMT or a number such as +01:00 as offset; "
_EPOCH, _PLACE = "epoch numbers need `epoch` in the mapping", "a place such as Europe/London is read, too"
_REASONS = [
    Reason("missing", "row", "a required value, or the key, is missing", "Fill it in, or map it", _ROW),
    Reason("missing_time", "row", "no column that gives the own time holds a time", "Map one of them", _ROW),
    Reason("before_1970", "row", "the own time lies before 1970", "Leave out what stands for no date", _ROW),
    Reason("after_ingestion", "row", "the own time lies more than a day after ingested_at",
           "Mend either, or leave ingested_at out", _ROW),
    Reason("in_the_future", "row", "the own time lies more than a day after now", "See to zone and unit", _ROW),
    Reason("time_runs_backwards", "row", "a later date lies before the own time", "Mend either date", _ROW),
    Reason("scale_empty", "row", "scale_min is not below scale_max", "Map the scale as it was asked", _ROW),
    Reason("outside_scale", "row", "the value lies outside its scale", "Map the scale as it was asked", _ROW),
    Reason("answered_without_score", "row", "the status is answered, and there is no score that can be read",
           "Write the score as a number, or another status", _ROW),
    Reason("not_text", "cell", "cannot be read as text", _FORM, _CELL),
    Reason("not_a_time", "cell", "cannot be read as a time", _TIME + _EPOCH, _CELL),
    Reason("zone_in_letters", "cell", "letters for a zone mean several zones", _TIME + _PLACE, _CELL),
    Reason("not_a_number", "cell", "cannot be read as a number", "Write it with a decimal point and no unit", _CELL),
    Reason("not_a_whole_number", "cell", "is not a whole number", _FORM, _CELL),
    Reason("not_a_boolean", "cell", "is not one of true/false, t/f, yes/no, 1/0", _FORM, _CELL),
    Reason("not_finite", "cell", "is not a finite number", _FORM, _CELL),
    Reason("too_large", "cell", f"is not below {LARGEST} in size", _FORM, _CELL),
    Reason("nul_character", "cell", "holds a NUL character", _FORM, _CELL),
    Reason("unknown_value", "cell", "is not one of the values that the contract knows",
           "`vouch check --describe` lists them: map the column by a query", _CELL),
    Reason("out_of_range", "cell", "lies outside what is possible", _FORM, _CELL),
    Reason("refund_negated", "repair", "a refund above 0 is read as money that went back",
           "Write what goes back below 0", _REPAIR),
    Reason("margin_negated", "repair", "the margin of what went back is read as lost where it stands above 0",
           "Write the margin of a refund or credit note below 0", _REPAIR),
    Reason("credit_note", "repair", "a purchase below 0 is read as a refund: it is no order",
           "Write refund as its kind", _REPAIR),
    Reason("no_end", "repair", "a date in the year 2100 or later is read as none: it has not happened",
           "Leave it empty", _REPAIR),
    Reason("epoch_unit", "repair", "an epoch number of another unit than `epoch` says is read by its size",
           "Write one unit throughout", _REPAIR),
    Reason("label_read", "repair", "a number with its label is read as the number", "Export values", _REPAIR),
    Reason("null_word", "count", "cells are read as nothing, because that word means nothing in CSV",
           "To keep a word as a value hand over Parquet, or write another word", "words_for_nothing"),
    Reason("orphans", "count", "rows belong to customers that `customers` does not know",
           "They count in totals of the company, and for no customer", "orphaned_share"),
    Reason("dangling_reference", "count", "references point to nothing, and are read as empty",
           "Hand over what they point to", "dangling_share"),
    Reason("tied_versions", "count", "rows have the same key and ingested_at as another: which one counts is arbitrary",
           "Give each version the time at which it became known", "competing_share"),
    Reason("superseded", "count", "rows are replaced by another row of the same key, and no ingested_at says why",
           "Hand over one row per key (map the table by a query), or ingested_at where they are versions",
           "competing_share"),
    Reason("before_created_at", "count", "rows lie before their customer was created",
           "See that created_at is when the customer came, not when the record was made", "before_creation_share"),
    Reason("other_scale", "count", "answers to nps on another scale than 0 to 10 stay out of NPS",
           "Ask on 0 to 10, or map them to another instrument", "other_scale_share"),
    Reason("unknown_item", "count", "answers are to an item that no metric knows",
           "`vouch check --describe` lists the items: map the column by a query", "unknown_item_share"),
    Reason("one_load_stamp", "count", "rows became known within one day, long after their own time: nothing of them is "
           "known before", "A load stamp is no ingested_at: leave it out, or give the time at which the company first "
           "knew each row", "load_stamp_share"),
    Reason("failed", "count", "subscriptions ended at the instant they started: they never ran",
           "They are no stay and no churn", "failed_share"),
    Reason("last_days", "count", "ends lie one day or less before the next start of the same customer: they look like "
           "last days, inclusive", "An end is the first instant after: add the day", "last_days_share"),
    Reason("one_end", "count", "subscriptions that run now have one and the same end, years ahead",
           "Where it stands for no end, leave it empty", "one_end_share"),
]  # fmt: skip
REASONS: Mapping[str, Reason] = {reason.code: reason for reason in _REASONS}
_OPENINGS = {"row": "rows are refused: ", "cell": "cells are emptied: ", "repair": "rows are repaired: ", "count": ""}
MERGED = {_ROW: "quarantined", _CELL: "cells", _REPAIR: "repaired"}
"""Guards that judge a sum over a table, and not each of its counts; the figure that holds it."""


@dataclass(frozen=True)
class Count:
    """One count of one table: how many `of` how many, an example, and more that is to be said, with its own mend."""

    code: str
    column: str | None
    count: int
    of: int
    scope: Scope
    example: str | None = None
    more: str = ""
    mend: str = ""

    def in_words(self, table: str) -> str:
        """The count in words: figures, what it is, an example, the mend."""
        place = f"{table}.{self.column}" if self.column else table
        example = f", for example {_shown(self.example)}" if self.example is not None else ""
        meaning = f"{_OPENINGS[self.scope]}{REASONS[self.code].message}"
        return f"{place}: {self.count:,} of {self.of:,} {meaning}{example}{self.more}. {self.mend or self.usual_mend}"

    @property
    def usual_mend(self) -> str:
        """What helps wherever this is counted."""
        return REASONS[self.code].mend

    def as_dict(self, table: str) -> dict[str, Any]:
        """For the report: the figures, which guard judges them, and the words; `detail` holds no value of a row."""
        detail = f"{self.count:,} of {self.of:,}. {self.mend or self.usual_mend}"
        return {**asdict(self), "guard": REASONS[self.code].guard, "told": self.in_words(table), "detail": detail}


@dataclass(frozen=True)
class Tally:
    """How often one reason was met in one column, where a row tells it by itself; parts of a table are added up."""

    scope: Scope
    column: str
    code: str
    count: int
    example: str | None = None


def added(tallies: Iterable[Tally]) -> list[Tally]:
    """Tallies of several parts as one, each word that means nothing apart; of examples the first in the alphabet."""
    totals: dict[tuple[str, ...], Tally] = {}
    for tally in tallies:
        key = (tally.scope, tally.column, tally.code, (tally.example or "") if tally.code == "null_word" else "")
        before = totals.get(key)
        if before is not None:
            examples = [example for example in (before.example, tally.example) if example is not None]
            tally = Tally(*key[:3], before.count + tally.count, min(examples, default=None))
        totals[key] = tally
    return [totals[key] for key in sorted(totals)]


def by_code(tallies: Iterable[Tally]) -> dict[str, int]:
    """How often each reason was met, by code."""
    totals: dict[str, int] = {}
    for tally in tallies:
        totals[tally.code] = totals.get(tally.code, 0) + tally.count
    return totals


def of_tallies(table: Table, tallies: Iterable[Tally], rows: int) -> list[Count]:
    """Counts of what rows tell by themselves; words that mean nothing are told together, where they could be values."""
    counts, words = [], []
    for tally in tallies:
        column = table.columns[tally.column]
        if tally.code == "null_word":
            words += [tally] if column.kind == "text" and not column.values and column.name != table.key else []
        else:
            shown = tally.example if column.kind != "text" or column.values else None
            counts.append(Count(tally.code, tally.column, tally.count, rows, tally.scope, shown))
    if words:
        listed = ", ".join(f"{tally.column} {tally.example!r} {tally.count:,} times" for tally in words)
        total = sum(tally.count for tally in words)
        counts.append(
            Count("null_word", None, total, rows * len({t.column for t in words}), "count", more=f" ({listed})")
        )
    return counts


def warnings(table: Table, columns: Collection[str], figures: Mapping[str, Any]) -> list[str]:
    """What people should know of one table that was read: `columns` were handed over, `figures` are its counts."""
    texts = []
    if figures["rows"] == 0:
        texts.append(f"{table.name}: the table is there, and holds no rows")
    elif figures["rows"] == figures["quarantined"]:
        texts.append(f"{table.name}: every row is in quarantine")
    undated = [column for column in table.undated if column in columns]
    if undated and "ingested_at" not in columns:
        texts.append(
            f"{table.name}: without ingested_at these are today's values, at earlier instants too: {', '.join(undated)}"
        )
    texts += [count["told"] for count in figures["counts"]]
    return texts
