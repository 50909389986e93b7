"""Times in a file: columns that hold one, and years with months that stand in columns of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vouch.features.contract.casts import quoted
from vouch.features.discovery.cells import Cell
from vouch.features.naming.words import EXACT, column_phrases, name_likeness, tokens

if TYPE_CHECKING:
    from vouch.features.discovery.columns import ColumnProfile, Source


_MICROSECONDS = {"s": 1_000_000, "ms": 1_000, "us": 1}


@dataclass(frozen=True)
class FileTime:
    """A time of a file: its name, the columns that it is made of, and whether it is known to the month only."""

    name: str
    columns: tuple[str, ...]
    filled: int
    is_month: bool = False

    def sql(self, source: Source, alias: str, *, at_end: bool = False) -> str:
        """SQL for the instant; of a month its first, or with `at_end` the first of the next: by then it is known."""
        if not self.is_month:
            name, held = f"{alias}.{quoted(self.columns[0])}", source.columns[self.columns[0]]
            if held.forms and held.forms[0].startswith("epoch "):
                factor = _MICROSECONDS[held.forms[0].removeprefix("epoch ")]
                return f"make_timestamp(cast({name} as bigint) * {factor})"
            return f"try_cast({name} as timestamp)" if source.columns[self.columns[0]].is_text else name
        year, month = (f"try_cast({alias}.{quoted(column)} as int)" for column in self.columns)
        made = f"make_date({year}, {month}, 1)"
        return f"{made} + interval 1 month" if at_end else made

    @property
    def is_plain(self) -> bool:
        """Whether it is one column as it stands."""
        return not self.is_month


def file_times(source: Source) -> list[FileTime]:
    """All times of a file, those in one column first."""
    times = [FileTime(column.name, (column.name,), column.filled) for column in source.holding("time")]
    years = [column for column in source.holding("integer") if _is_part(column, "year", 1900, 2100)]
    for year in years:
        rest = tuple(word for word in tokens(year.name) if word != "year")
        for month in source.holding("integer"):
            same = tuple(word for word in tokens(month.name) if word != "month") == rest
            if same and _is_part(month, "month", 1, 12):
                name = " ".join(rest) or "month"
                times.append(FileTime(name, (year.name, month.name), year.filled, is_month=True))
    return times


def known_since(source: Source, times: list[FileTime]) -> dict[str, Cell]:
    """When the company first knew a row, where a column says so in so many words: nothing less sure is taken for it."""
    for time in times:
        if time.is_plain and name_likeness(time.name, column_phrases("ingested_at")) == EXACT:
            column = time.columns[0]
            sql = time.sql(source, quoted(source.name))
            return {"ingested_at": Cell(sql, ((source.name, column),), EXACT, column)}
    return {}


def _is_part(column: ColumnProfile, word: str, low: float, high: float) -> bool:
    inside = (
        isinstance(column.low, float) and isinstance(column.high, float) and low <= column.low <= column.high <= high
    )
    return word in tokens(column.name) and inside
