"""Columns of a stranger's files: what each holds, told from its values: kind, form of dates, decimal sign, keys.

Counts are of the whole file; forms are told from a sample of the distinct values, and what two forms explain alike is
counted in the whole column.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from vouch.features.contract.casts import FALSE_WORDS, TRUE_WORDS, family_of, literal, quoted, raw
from vouch.features.discovery.files import is_date
from vouch.features.ingest.files import as_instant, inspected, named_sources, numeral
from vouch.features.ingest.inputs import file_relation
from vouch.features.ingest.rewritten import rewritten
from vouch.features.naming.words import name_likeness, tokens, truth_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from vouch.features.discovery.files import FoundFile
    from vouch.features.engines import Connection
    from vouch.features.readers import Reader

Holds = Literal["time", "number", "integer", "boolean", "text", "nothing"]
SAMPLE = 20_000
DISTINCT = 600
MOST_VALUES = 40
"""A column with at most so many distinct values is a list of values."""
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
_DAYS = (
    "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y.%m.%d", "%d.%m.%y", "%d/%m/%y", "%m/%d/%y",
    "%y.%m.%d", "%d-%m-%y", "%d %b %Y", "%d %B %Y", "%b %d %Y", "%B %d, %Y", "%b %d, %Y", "%d-%b-%Y", "%d-%b-%y",
    "%Y%m%d",
)  # fmt: skip
FORMS = tuple(f"{day}{clock}" for day in _DAYS for clock in _CLOCKS)
_ISO = re.compile(r"\d{4}[-/]\d{1,2}[-/]\d{1,2}([ T]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?)?(Z|[+-]\d{2}:?\d{2})?$")
_INTEGER = re.compile(r"[-+]?(0|[1-9]\d*)$")
_POINT = re.compile(r"[-+]?(\d+|\d{1,3}(,\d{3})+)?(\.\d+)?([eE][-+]?\d+)?$")
_COMMA = re.compile(r"[-+]?(\d+|\d{1,3}([. ]\d{3})+)?(,\d+)?$")
_MONEY = re.compile(r"[\s€$£¥₩]|EUR|USD|RON|CHF|GBP|lei", re.IGNORECASE)
TIME_WORDS = ("date", "time", "timestamp", "at", "day", "datum", "fecha", "data", "when", "ts", "zeit", "일", "날짜")


@dataclass(frozen=True)
class ColumnProfile:
    """What one column holds. `forms` are formats of its dates, `values` its distinct values where they are few."""

    name: str
    physical: str
    rows: int
    filled: int
    distinct: int
    holds: Holds
    forms: tuple[str, ...] = ()
    decimal: str = "."
    low: float | str | None = None
    high: float | str | None = None
    values: tuple[str, ...] = ()
    length: float = 0.0
    is_padded: bool = False
    """Whether whole numbers are written with a fraction (`1.0`), as a float that was an id."""
    doubt: str = ""
    """What the values leave open."""

    @property
    def is_unique(self) -> bool:
        """Whether every row has a value of its own."""
        return self.filled == self.rows > 0 and self.distinct == self.rows

    @property
    def is_text(self) -> bool:
        """Whether the engine sees a text, whatever it says."""
        return family_of(self.physical) in {"text", "bytes"}


@dataclass(frozen=True)
class Source:
    """A file as a relation, with what its columns hold."""

    name: str
    path: Path
    reader: Reader
    sql: str
    rows: int
    columns: Mapping[str, ColumnProfile]
    notes: tuple[str, ...] = ()
    is_csv: bool = False
    context: tuple[str, ...] = field(default=())

    def holding(self, *holds: Holds) -> list[ColumnProfile]:
        """Columns that hold one of some kinds."""
        return [column for column in self.columns.values() if column.holds in holds]


def profiled(connection: Connection, file: FoundFile, folder: Path) -> Source:
    """Read a file and say what its columns hold. Raises the errors of who cannot be read."""
    (plain,) = named_sources({file.name: str(file.path)}, {file.name: file.reader}).values()
    source, _ = inspected(rewritten(plain, folder))
    relation = file_relation(connection, source)
    sample = quoted(f"sample {file.name}")
    drawn = f"FROM {relation.sql} USING SAMPLE reservoir({SAMPLE} ROWS) REPEATABLE (7)"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {sample} AS {drawn}")
    columns = _profiles(connection, relation.columns, relation.sql, sample, is_csv=relation.is_csv)
    reader = _with_forms(file.reader, columns, is_csv=relation.is_csv)
    if reader != file.reader:  # what is read from now on is read by what was found
        source = replace(
            source, reader=replace(source.reader, decimal=reader.decimal, numbers=reader.numbers, dates=reader.dates)
        )
        relation = file_relation(connection, source)
    view = quoted(file.name)
    connection.execute(f'CREATE OR REPLACE TEMP VIEW {view} AS SELECT * EXCLUDE ("vouch row") FROM {relation.sql}')
    notes = [*file.notes, *(f"{name}: dates as {' or '.join(forms)}" for name, forms in reader.dates.items())]
    notes += [f"decimal sign {reader.decimal} in {', '.join(reader.numbers)}"] if reader.numbers else []
    rows = next(iter(columns.values())).rows if columns else 0
    return Source(
        file.name, file.path, reader, view, rows, columns, tuple(notes), relation.is_csv,
        tuple(word for word in tokens(file.name)),
    )  # fmt: skip


def _profiles(
    connection: Connection, columns: Mapping[str, str], sql: str, sample: str, *, is_csv: bool
) -> dict[str, ColumnProfile]:
    cells = {name: raw(quoted(name), family_of(kind), is_csv=is_csv, name=name) for name, kind in columns.items()}
    asked = ", ".join(f"count({cell}), approx_count_distinct({cell})" for cell in cells.values())
    counted = connection.execute(f"SELECT count(*), {asked} FROM {sql}").fetchall()[0]
    rows, profiles = counted[0], {}
    for at, (name, physical) in enumerate(columns.items()):
        filled, distinct = counted[1 + 2 * at], counted[2 + 2 * at]
        if filled and (distinct > 0.9 * filled or distinct <= 2 * MOST_VALUES):
            (distinct,) = connection.execute(f"SELECT count(DISTINCT {cells[name]}) FROM {sql}").fetchall()[0]
        plain = ColumnProfile(name, physical, rows, filled, distinct, "nothing")
        profiles[name] = _with_values(connection, plain, cells[name], sql, sample) if filled else plain
    return profiles


def _with_values(connection: Connection, column: ColumnProfile, cell: str, sql: str, sample: str) -> ColumnProfile:
    """A profile with what the values say."""
    family = family_of(column.physical)
    listed: tuple[str, ...] = ()
    if column.distinct <= MOST_VALUES:
        counts = connection.execute(
            f"SELECT CAST({cell} AS VARCHAR) AS said, count(*) FROM {sql} GROUP BY said HAVING said IS NOT NULL "
            "ORDER BY count(*) DESC, said"
        ).fetchall()
        listed = tuple(value for value, _ in counts)
    if family in {"integer", "decimal", "float"}:
        low, high = connection.execute(f"SELECT min({cell})::DOUBLE, max({cell})::DOUBLE FROM {sql}").fetchall()[0]
        is_whole = family == "integer" or _is_whole(connection, cell, sample)
        number = replace(column, holds="integer" if is_whole else "number", low=low, high=high, values=listed)
        return _number_as_time(number)
    if family in {"date", "timestamp", "zoned"}:
        low, high = connection.execute(
            f"SELECT CAST(min({cell}) AS VARCHAR), CAST(max({cell}) AS VARCHAR) FROM {sql}"
        ).fetchall()[0]
        return replace(column, holds="time", low=low, high=high)
    if family == "boolean":
        return replace(column, holds="boolean", values=listed)
    if family not in {"text", "bytes"}:
        return replace(column, holds="text")
    distinct = connection.execute(
        f"SELECT said FROM (SELECT DISTINCT CAST({cell} AS VARCHAR) AS said FROM {sample}) WHERE said IS NOT NULL "
        f"ORDER BY hash(said) LIMIT {DISTINCT}"
    ).fetchall()
    number = _of_texts(connection, replace(column, values=listed), [text for (text,) in distinct], cell, sql)
    return _number_as_time(number)


def _is_whole(connection: Connection, cell: str, sample: str) -> bool:
    answer = connection.execute(
        f"SELECT bool_and({cell} = trunc({cell})) FROM {sample} WHERE {cell} IS NOT NULL AND isfinite({cell}::DOUBLE)"
    ).fetchall()
    return bool(answer[0][0])


def _number_as_time(column: ColumnProfile) -> ColumnProfile:
    """A number that its name calls a time, and its range a date or an epoch."""
    if column.holds != "integer" or not name_likeness(column.name, TIME_WORDS) or not isinstance(column.low, float):
        return column
    low, high = column.low, column.high if isinstance(column.high, float) else column.low
    if low >= 19000101 and high <= 21001231 and is_date(str(int(low)), "%Y%m%d") and is_date(str(int(high)), "%Y%m%d"):
        return replace(column, holds="time", forms=("%Y%m%d",))
    for unit, least, most in (("s", 1e8, 1e10), ("ms", 1e11, 1e13), ("us", 1e14, 1e16)):
        if least <= low and high < most:
            return replace(column, holds="time", forms=(f"epoch {unit}",))
    return column


def _of_texts(
    connection: Connection, column: ColumnProfile, texts: Sequence[str], cell: str, sql: str
) -> ColumnProfile:
    length = sum(map(len, texts)) / max(len(texts), 1)
    column = replace(column, length=length)
    lower = {text.lower() for text in texts}
    is_read = lower <= {*TRUE_WORDS, *FALSE_WORDS} and lower != {"0", "1"}
    if len(lower) == 2 and (is_read or truth_words(lower)):
        return replace(column, holds="boolean")
    if forms := _date_forms(texts):
        return _dated(connection, column, forms, cell, sql)
    if _mostly(texts, _ISO):
        return replace(column, holds="time", **_range(connection, f"TRY_CAST({cell} AS TIMESTAMP)", sql))
    bare = [_MONEY.sub("", text).strip("%") for text in texts]
    has_digits = [text for text in bare if any(sign.isdigit() for sign in text)]
    if len(has_digits) < len(bare) * 0.98 or any(len(text) > 1 and text[0] == "0" and text.isdigit() for text in texts):
        return replace(column, holds="text")
    if _mostly(texts, _INTEGER):
        return replace(column, holds="integer", **_range(connection, f"TRY_CAST({cell} AS DOUBLE)", sql))
    if _mostly(texts, re.compile(r"[-+]?\d+\.0$")):
        return replace(
            column, holds="integer", is_padded=True, **_range(connection, f"TRY_CAST({cell} AS DOUBLE)", sql)
        )
    for decimal, form in ((".", _POINT), (",", _COMMA)):
        if _mostly(bare, form):
            is_plain = decimal == "." and _mostly(texts, re.compile(r"[-+]?\d*\.?\d+([eE][-+]?\d+)?$"))
            parsed = cell if is_plain else numeral(cell, decimal)
            number = replace(column, holds="number", decimal="" if is_plain else decimal)
            return replace(number, **_range(connection, f"TRY_CAST({parsed} AS DOUBLE)", sql))
    return replace(column, holds="text")


def _range(connection: Connection, expression: str, sql: str) -> dict[str, Any]:
    low, high = connection.execute(f"SELECT min({expression}), max({expression}) FROM {sql}").fetchall()[0]
    return {"low": low, "high": high} if isinstance(low, float) else {"low": str(low), "high": str(high)}


def _mostly(texts: Sequence[str], form: re.Pattern[str]) -> bool:
    """Whether all but a few texts have a form; a broken cell is no other form."""
    return sum(bool(form.match(text)) for text in texts) >= 0.98 * len(texts)


def _date_forms(texts: Sequence[str]) -> list[str]:
    """Formats that all but a few texts have."""
    if not texts or not _mostly(texts, re.compile(r"[^\n]{6,26}$")) or not any(sign.isdigit() for sign in texts[0]):
        return []
    few = texts[:12]
    likely = [form for form in FORMS if sum(is_date(text, form) for text in few) >= len(few) - 1]
    if likely and all(text.isdigit() for text in few):
        years = [int(text[:4]) for text in few]
        likely = likely if min(years) >= 1900 and max(years) <= 2100 else []
    return [form for form in likely if sum(is_date(text, form) for text in texts) >= 0.98 * len(texts)]


def _dated(connection: Connection, column: ColumnProfile, forms: Sequence[str], cell: str, sql: str) -> ColumnProfile:
    """Which of several formats explains most of the whole column; doubt where two explain it alike."""
    counts = ", ".join(f"count(try_strptime(trim({cell}), {literal(form)}))" for form in forms)
    counted = connection.execute(f"SELECT {counts} FROM {sql}").fetchall()[0]
    best = max(range(len(forms)), key=lambda at: (counted[at], -at))
    rivals = [
        form
        for at, form in enumerate(forms)
        if at != best and counted[at] >= counted[best] and _differ(form, forms[best])
    ]
    doubt = f"{' and '.join([forms[best], *rivals])} both explain every value" if rivals else ""
    held = f"TRY_CAST({as_instant(cell, [forms[best]])} AS TIMESTAMP)"
    return replace(column, holds="time", forms=(forms[best],), doubt=doubt, **_range(connection, held, sql))


def _differ(form: str, other: str) -> bool:
    """Whether two formats read one text as two days."""
    order = [[sign for sign in re.findall(r"%(\w)", each) if sign in "dmyYbB"] for each in (form, other)]
    return order[0] != order[1]


def _with_forms(reader: Reader, columns: Mapping[str, ColumnProfile], *, is_csv: bool) -> Reader:
    """The reader with the formats of dates and numbers that the engine does not know by itself."""
    dates = dict(reader.dates) | {
        c.name: c.forms for c in columns.values() if c.forms and not c.forms[0].startswith("epoch")
    }
    signs = [c.decimal for c in columns.values() if c.is_text and c.holds == "number" and c.decimal]
    if not signs:
        return replace(reader, dates=dates)
    decimal = "," if "," in signs else "."
    numbers = tuple(c.name for c in columns.values() if c.is_text and c.holds == "number" and c.decimal == decimal)
    return replace(reader, dates=dates, decimal=decimal, numbers=numbers)
