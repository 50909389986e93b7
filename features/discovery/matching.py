"""Matching: a file held against one table of the contract: which column feeds which, and how surely.

What the contract needs and the file lacks is made where it can be (a key by numbering, an amount as price by quantity,
the time of the order that a line belongs to), or stands as a constant; where it cannot, the file is no such table.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vouch.features.contract.casts import literal, quoted
from vouch.features.contract.tables import TABLES
from vouch.features.discovery.cells import SURE, Cell, TableProposal, best_column, cell, words_for_booleans
from vouch.features.discovery.links import Join, key_value
from vouch.features.discovery.made import amount, filters, is_outside, scale
from vouch.features.discovery.times import file_times, known_since
from vouch.features.naming.words import (
    EXACT,
    IN_CONTEXT,
    column_phrases,
    name_likeness,
    phrase_of_reason,
    table_likeness,
    tokens,
    value_meant,
    vocabulary,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vouch.features.contract.tables import Column, Table
    from vouch.features.discovery.columns import Holds, Source
    from vouch.features.discovery.links import Link
    from vouch.features.discovery.times import FileTime

_HOLDS: Mapping[str, tuple[Holds, ...]] = {
    "text": ("text", "integer", "boolean", "number"),
    "money": ("number", "integer"),
    "number": ("number", "integer"),
    "integer": ("integer",),
    "boolean": ("boolean",),
    "probability": ("number",),
}
_CONSTANTS: Mapping[str, Mapping[str, Any]] = {
    "transactions": {"kind": "purchase"},
    "subscriptions": {"mrr": 0},
    "feedback": {"source": "own_site"},
    "surveys": {"status": "answered"},
    "touches": {"kind": "marketing"},
    "loyalty_ledger": {"kind": "earn"},
    "recognitions": {"kind": "thanks"},
    "social_posts": {"platform": "other"},
}
TRIED = (
    "subscriptions", "tickets", "surveys", "feedback", "transactions", "sessions", "usage_events", "touches",
    "referrals", "advocacy_acts", "asks", "loyalty_ledger", "treatments", "social_posts", "recognitions", "costs",
)  # fmt: skip
NAMED_ONLY = frozenset(TRIED) - {"transactions", "subscriptions", "usage_events", "feedback", "surveys"}
"""Tables that a file is taken for only where its name says so."""


class Matcher:
    """Holds one file, with its way to the customer, against tables of the contract."""

    def __init__(self, sources: Mapping[str, Source], source: Source, link: Link | None, joins: Sequence[Join]) -> None:
        self.sources, self.source, self.link = sources, source, link
        self.joins = [join for join in joins if join.source == source.name]
        self.file_times = file_times(source)

    def match(self, name: str, *, is_chosen: bool = False) -> TableProposal | None:
        """The file as a table of the contract, None where it is none; `is_chosen` asks its name no more."""
        table, likeness = TABLES[name], table_likeness(self.source.name, name)
        if phrase_of_reason(self.source.name, "leak") and name != "subscriptions" and not is_chosen:
            return None
        if (name in NAMED_ONLY and likeness < 0.3 and not is_chosen) or (table.customer and self.link is None):
            return None
        taken: dict[str, Cell] = {}
        joins: list[Join] = list(self.link.joins) if self.link and table.customer else []
        if table.customer and self.link is not None:
            taken[table.customer] = self._customer(self.link)
        clock = self._clock(table, joins)
        if clock is None:
            return None
        taken |= clock
        constants = dict(_CONSTANTS.get(name, {}))
        self._own(table, taken, constants, likeness)
        for column in table.columns.values():
            if column.name not in taken and column.name not in {table.key, "ingested_at", "is_deleted"}:
                self._column(table, column, taken, constants)
        taken |= known_since(self.source, self.file_times)
        missing = [
            c.name for c in table.required() if c.name not in taken and c.name not in constants and c.name != table.key
        ]
        if missing or not (is_chosen or self._is_meant(name, likeness, taken)):
            return None
        values = self._values(table, taken)
        constants = {column: value for column, value in constants.items() if column not in taken}
        self._products(name, taken, joins)
        where, evidence, reads = filters(self.sources, self.source, self.link, name, taken)
        proposal = TableProposal(
            name, self.source.name, taken, constants, values, tuple(joins), where, evidence,
            self._confidence(table, taken, likeness),
            reads=(*reads, *(pair for join in joins for pair in ((join.source, join.column), (join.target, join.key)))),
            epoch=self._epochs(taken),
        )  # fmt: skip
        return self._keyed(table, proposal)

    def _customer(self, link: Link) -> Cell:
        at = self.sources[link.source]
        plain = link.column if not link.joins and not at.columns[link.column].is_padded else None
        return Cell(key_value(at, link.column, quoted(at.name)), ((at.name, link.column),), EXACT, plain)

    def _clock(self, table: Table, joins: list[Join]) -> dict[str, Cell] | None:
        """The own time: by its name, else the only one, else that of a row that the file leads to."""
        cells: dict[str, Cell] = {}
        for name in table.clock:
            instant, sure = self._time_called(self.source, self.file_times, name)
            if instant is not None and sure < SURE and self._begin_of(table, joins)[1] > sure:
                continue
            if instant is not None and instant.name not in {cell.plain for cell in cells.values()}:
                cells[name] = self._time(self.source, instant, name, sure)
        if cells:
            return cells
        if len(self.file_times) == 1 and not _is_planned(self.file_times[0].name):
            return {table.clock[-1]: self._time(self.source, self.file_times[0], table.clock[-1], 0.5)}
        for join in [*joins, *self.joins]:
            target = self.sources[join.target]
            instant, sure = self._time_called(target, file_times(target), table.clock[-1])
            if instant is None and len(file_times(target)) >= 1:
                instant, sure = self._begin(target)
            if instant is not None:
                if join not in joins:
                    joins.append(join)
                return {table.clock[-1]: self._time(target, instant, table.clock[-1], 0.9 * sure)}
        return None

    def _begin_of(self, table: Table, joins: Sequence[Join]) -> tuple[FileTime | None, float]:
        """The surest own time of the rows that the file leads to."""
        targets = (self.sources[join.target] for join in [*joins, *self.joins])
        starts = [self._time_called(target, file_times(target), table.clock[-1]) for target in targets]
        return max(starts, key=lambda pair: pair[1], default=(None, 0.0))

    def _begin(self, target: Source) -> tuple[FileTime | None, float]:
        start, sure = self._time_called(target, file_times(target), "started_at")
        if start is None and len(file_times(target)) == 1:
            return file_times(target)[0], 0.5
        return start, sure

    def _time_called(self, source: Source, candidates: Sequence[FileTime], name: str) -> tuple[FileTime | None, float]:
        scored = [
            (name_likeness(candidate.name, column_phrases(name), source.context), candidate)
            for candidate in candidates
            if not _is_planned(candidate.name)
        ]
        sure, best = max(scored, key=lambda pair: (pair[0], pair[1].filled), default=(0.0, None))
        return (best, sure) if sure >= 0.5 else (None, 0.0)

    def _time(self, source: Source, instant: FileTime, column: str, sure: float) -> Cell:
        at_end = column not in {"created_at", "started_at", "enrolled_at"}
        reads = tuple((source.name, part) for part in instant.columns)
        is_here = source.name == self.source.name and instant.is_plain
        sql = instant.sql(source, quoted(source.name), at_end=at_end)
        return Cell(sql, reads, sure, instant.columns[0] if is_here else None)

    def _column(self, table: Table, column: Column, taken: dict[str, Cell], constants: Mapping[str, Any]) -> None:
        """Take the column whose name says it best, unless it is taken by another, or it holds something else."""
        used = {cell.plain for cell in taken.values()}
        if column.kind == "time":
            free = [instant for instant in self.file_times if instant.columns[0] not in used]
            instant, sure = self._time_called(self.source, free, column.name)
            if instant is not None and sure >= SURE:
                taken[column.name] = self._time(self.source, instant, column.name, sure)
            return
        best, sure = best_column(self.source, column_phrases(column.name), _HOLDS[column.kind], used)
        if best is None or sure < (IN_CONTEXT if column.name in constants and column.values else SURE):
            return
        if column.values and not all(value_meant(value, column.values) for value in best.values):
            return
        if column.values and not best.values:
            return
        if is_outside(column, best):
            return
        taken[column.name] = cell(self.source, best.name, sure)

    def _own(self, table: Table, taken: dict[str, Cell], constants: dict[str, Any], likeness: float) -> None:
        """What a table needs beyond columns of its names: the amount of a sale, the scale of an answer."""
        if table.name == "transactions" and (total := amount(self.source)):
            taken["amount"] = total
        if table.name == "usage_events":
            event, sure = best_column(self.source, column_phrases("event"), ("text",), ())
            if event is None or sure < IN_CONTEXT or not event.values:
                constants["event"] = " ".join(tokens(self.source.name)) or "event"
        if table.name == "subscriptions" and "mrr" not in taken:
            yearly, sure = best_column(
                self.source, ("arr", "arr amount", "annual recurring revenue", "annual fee"), ("number", "integer"), ()
            )
            monthly, better = best_column(self.source, column_phrases("mrr"), ("number", "integer"), ())
            is_monthly, is_yearly = monthly is not None and better >= SURE, yearly is not None and sure >= SURE
            if yearly is not None and is_yearly and not is_monthly:
                whole = cell(self.source, yearly.name, sure)
                taken["mrr"] = replace(whole, sql=f"try_cast({whole.sql} as double) / 12", plain=None)
            elif not is_monthly and (paid := self._paid()) is not None:
                taken["mrr"] = paid
        if table.name in {"surveys", "feedback"}:
            scale(self.source, table, taken, constants)

    def _paid(self) -> Cell | None:
        """What a contract costs a month: its amount, by the period that it is paid for where a column tells it."""
        phrases = (*vocabulary()["columns"]["unit_price"], *vocabulary()["columns"]["amount"])
        price, sure = best_column(self.source, phrases, ("number", "integer"))
        if price is None or sure < IN_CONTEXT:
            return None
        whole = cell(self.source, price.name, 0.7)
        column, said = best_column(self.source, column_phrases("billing_period"), ("text",))
        if column is None or said < SURE:
            return whole
        meant = {value: value_meant(value, ("month", "year")) for value in column.values}
        if None in meant.values():  # paid for a quarter, it is no price of a month
            return None
        period, years = cell(self.source, column.name, said), [value for value, of in meant.items() if of == "year"]
        if not years:
            return whole
        listed = ", ".join(map(literal, years))
        sql = f"try_cast({whole.sql} as double) / case when {period.sql} in ({listed}) then 12 else 1 end"
        return Cell(sql, (*whole.reads, *period.reads), 0.7)

    def _is_meant(self, name: str, likeness: float, taken: Mapping[str, Cell]) -> bool:
        """Whether what was found tells of this table, and not of any table with a customer and a time."""
        if name == "subscriptions":
            return "ended_at" in taken or (("mrr" in taken and taken["mrr"].confidence >= SURE) and likeness > 0)
        if name == "usage_events":
            has_words = "feature" in taken or ("event" in taken and taken["event"].confidence >= IN_CONTEXT)
            return likeness > 0 or has_words
        if name == "feedback":
            return "text" in taken or ("rating" in taken and likeness > 0)
        if name == "surveys":
            return "score" in taken and (likeness > 0 or table_likeness(self.source.name, "feedback") > 0)
        return True

    def _values(self, table: Table, taken: Mapping[str, Cell]) -> dict[str, dict[str, str]]:
        """Words for values of the contract's lists that a company calls otherwise."""
        translated = words_for_booleans(self.source, taken)
        for name, fed in taken.items():
            allowed = table.columns[name].values
            if allowed and fed.plain:
                words = {value: value_meant(value, allowed) for value in self.source.columns[fed.plain].values}
                if any(value != meant for value, meant in words.items()):
                    translated[name] = {value: meant for value, meant in words.items() if meant}
        return translated

    def _products(self, name: str, taken: dict[str, Cell], joins: list[Join]) -> None:
        """The category of a product, from the file of products that a sale leads to."""
        if name != "transactions" or "category" in taken or "product_id" not in taken:
            return
        for join in self.joins:
            target = self.sources[join.target]
            if taken["product_id"].plain != join.column:
                continue
            column, sure = best_column(target, column_phrases("category"), ("text",))
            if column is not None and sure >= SURE:
                taken["category"] = replace(cell(target, column.name, sure), plain=None)
                joins.append(join)
                return

    def _epochs(self, taken: Mapping[str, Cell]) -> dict[str, str]:
        epochs = {}
        for name, fed in taken.items():
            forms = self.source.columns[fed.plain].forms if fed.plain and fed.plain in self.source.columns else ()
            if forms and forms[0].startswith("epoch"):
                epochs[name] = forms[0].removeprefix("epoch ")
        return epochs

    def _confidence(self, table: Table, taken: Mapping[str, Cell], likeness: float) -> float:
        """How surely the file is the table: by the file's name, and by its columns."""
        needed = [taken[c.name].confidence for c in table.required() if c.name in taken and c.name != table.customer]
        optional = [
            c.name
            for c in table.columns.values()
            if not c.is_required and c.name in taken and c.name not in table.clock
        ]
        clock = max(taken[name].confidence for name in table.clock if name in taken)
        mean = (sum(needed) + clock) / (len(needed) + 1)
        return min(0.99, 0.45 * mean + 0.4 * min(1.0, likeness * 1.6) + min(0.15, 0.05 * len(optional)))

    def _keyed(self, table: Table, proposal: TableProposal) -> TableProposal:
        """The proposal with the key of the table: a column that is unique, else columns with a number."""
        key = table.key
        if key is None or key in proposal.cells:
            return proposal
        names = [
            column
            for column in self.source.columns.values()
            if column.is_unique and column.holds in {"text", "integer"}
        ]
        if names:
            best = max(
                names, key=lambda column: (name_likeness(column.name, (key, "id"), self.source.context), -column.length)
            )
            cells = {key: cell(self.source, best.name, EXACT), **proposal.cells}
            return replace(proposal, cells=cells)
        if not table.columns[key].is_required:
            return proposal
        order, item = proposal.cells.get("order_id"), proposal.cells.get("product_id")
        clock = next(proposal.cells[name] for name in table.clock if name in proposal.cells)
        first = [cell for cell in (order, item) if cell] or [proposal.cells[table.customer or ""], clock]
        parted = {pair for cell in first for pair in cell.reads}
        read = dict.fromkeys(pair for cell in proposal.cells.values() for pair in cell.reads if pair not in parted)
        rest = [f"{quoted(at)}.{quoted(column)}" for at, column in read if at == self.source.name] or [clock.sql]
        by = ", ".join(cell.sql for cell in first)
        number = f"row_number() over (partition by {by} order by {', '.join(rest)})"
        parts = ", ".join([literal(table.name[0]), *(cell.sql for cell in first), number])
        reads = tuple(pair for cell in first for pair in cell.reads)
        cells = {key: Cell(f"concat_ws('-', {parts})", reads, 0.9), **proposal.cells}
        evidence = f"no column is unique: {key} is {' and '.join(column for _, column in reads)} with a number"
        return replace(proposal, cells=cells, evidence=(*proposal.evidence, evidence))


def _is_planned(name: str) -> bool:
    """Whether a time is one that is yet to come: it says nothing of when the row became a fact."""
    return name_likeness(name, vocabulary()["columns"]["planned"]) > 0
