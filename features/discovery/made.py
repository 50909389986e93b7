"""Cells made of several columns or of values: the amount of a sale, the scale of an answer, rows that are none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vouch.features.contract.casts import literal, quoted
from vouch.features.contract.tables import TABLES
from vouch.features.discovery.cells import SURE, Cell, best_column, cell
from vouch.features.discovery.times import file_times
from vouch.features.naming.words import IN_CONTEXT, column_phrases, is_cancelled, table_likeness, tokens, vocabulary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.features.contract.tables import Column, Table
    from vouch.features.discovery.columns import ColumnProfile, Holds, Source
    from vouch.features.discovery.links import Link


def amount(source: Source) -> Cell | None:
    """The amount of a sale: a total, else price by quantity, else a price."""
    numbers: tuple[Holds, ...] = ("number", "integer")
    known = vocabulary()["columns"]
    total, sure = best_column(source, column_phrases("amount"), numbers)
    if total is not None and sure >= IN_CONTEXT:
        return cell(source, total.name, sure)
    price, of_price = best_column(source, known["unit_price"], numbers)
    count, of_count = best_column(source, known["quantity"], ("integer", "number"))
    if price is not None and of_price >= IN_CONTEXT:
        priced = cell(source, price.name, of_price)
        if count is None or of_count < IN_CONTEXT:
            return priced
        other = cell(source, count.name, of_count)
        parts = [
            f"try_cast({one.sql} as double)" if source.columns[one.plain or ""].is_text else one.sql
            for one in (other, priced)
        ]
        return Cell(" * ".join(parts), (*other.reads, *priced.reads), min(of_price, of_count))
    return cell(source, total.name, sure) if total is not None and sure >= 0.5 else None


def scale(source: Source, table: Table, taken: dict[str, Cell], constants: dict[str, Any]) -> None:
    """Take an answer with the scale that its values are on, and the instrument that its name tells."""
    name = "score" if table.name == "surveys" else "rating"
    column, sure = best_column(source, column_phrases(name), ("integer", "number"))
    if (column is None or sure < SURE) and table.name == "surveys" and table_likeness(source.name, "surveys"):
        answers = [one for one in source.holding("integer") if _is_answer(one)]
        column, sure = (answers[0], SURE) if len(answers) == 1 else (None, 0.0)
    if column is None or sure < SURE or not isinstance(column.high, float) or not isinstance(column.low, float):
        return
    ends = _scale_of(column.low, column.high)
    if ends is None:
        return
    taken[name] = cell(source, column.name, sure)
    if table.name == "feedback":
        constants["rating_max"] = ends[1]
        return
    constants |= {"scale_min": ends[0], "scale_max": ends[1]}
    words = {*tokens(column.name), *source.context}
    instrument = next((one for one in ("nps", "ces", "csat") if one in words), None)
    constants["instrument"] = instrument or ("nps" if ends == (0, 10) else "csat")


def filters(
    sources: Mapping[str, Source], source: Source, link: Link | None, name: str, taken: Mapping[str, Cell]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Rows that are none: without a customer, cancelled, empty months; each with how many, for people."""
    where, evidence, reads = [], [], []
    if link is not None and TABLES[name].customer:
        key = link.joins[0].column if link.joins else link.column
        missing = source.rows - source.columns[key].filled
        if missing:
            where.append(f"{taken[TABLES[name].customer or ''].sql} is not null")
            evidence.append(f"{missing:,} of {source.rows:,} rows name no {key} and are left out")
    if name == "transactions":
        for at in [source, *(sources[join.target] for join in (link.joins if link else ()))]:
            status, sure = best_column(at, column_phrases("status"), ("text",))
            void = [value for value in status.values if is_cancelled(value)] if status and sure >= SURE else []
            if status and void:
                named = f"{quoted(at.name)}.{quoted(status.name)}"
                where.append(f"coalesce({named}, '') not in ({', '.join(map(literal, void))})")
                evidence.append(f"rows whose {status.name} is {' or '.join(void)} are left out")
                reads.append((at.name, status.name))
    if name == "surveys" and source.columns[taken["score"].plain or ""].filled < source.rows:
        where.append(f"{taken['score'].sql} is not null")
        evidence.append("rows without a score are left out")
    if name == "usage_events" and any(instant.is_month for instant in file_times(source)) and "value" in taken:
        where.append(f"try_cast({taken['value'].sql} as double) > 0")
        evidence.append(f"months in which {taken['value'].plain} is 0 are no use and left out")
    return tuple(where), tuple(evidence), tuple(reads)


def _is_answer(column: ColumnProfile) -> bool:
    """Whether whole numbers are answers on a scale: nearly every step of it is there."""
    if column.is_unique or not isinstance(column.low, float) or not isinstance(column.high, float):
        return False
    ends = _scale_of(column.low, column.high)
    return ends is not None and ends[1] <= 10 and column.distinct >= ends[1] - ends[0]


def _scale_of(low: float, high: float) -> tuple[int, int] | None:
    """The scale that answers between two ends are on, the usual ones first.

    >>> _scale_of(1, 5), _scale_of(0, 10), _scale_of(2, 10), _scale_of(0, 97)
    ((1, 5), (0, 10), (1, 10), (0, 100))
    """
    for ends in ((1, 5), (1, 7), (1, 10), (0, 10), (0, 100)):
        if ends[0] <= low and high <= ends[1] and high > ends[1] / 2:
            return ends
    return None


def is_outside(column: Column, profile: ColumnProfile) -> bool:
    """Whether values lie outside what the contract allows for a column."""
    if not isinstance(profile.low, float) or not isinstance(profile.high, float):
        return False
    low, high = column.minimum, column.maximum
    return (low is not None and profile.low < low) or (high is not None and profile.high > high)
