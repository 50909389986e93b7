"""Type casts: a value of any physical type read as one kind of the contract, as SQL of the staging engine.

A number that a file holds as binary floating point goes through its shortest decimal text, so that the same table
gives the same decimals from CSV, Parquet, DuckDB and PostgreSQL. A cast that fails gives null, never an error.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from vouch.features.contract.tables import DAY_US, NA_IS_A_NAME

if TYPE_CHECKING:
    from vouch.features.contract.tables import Column

Family = Literal[
    "text", "bytes", "integer", "decimal", "float", "boolean", "date", "timestamp", "zoned", "null", "other"
]

NULL_WORDS = ("na", "n/a", "null", "none", "nan")
"""What means null in a text file, besides nothing at all, in any case."""
TRUE_WORDS = ("true", "t", "yes", "1")
FALSE_WORDS = ("false", "f", "no", "0")
EPOCH_FACTORS = {"s": "1000000", "ms": "1000", "us": "1", "ns": "0.001"}
"""Microseconds in a unit of epoch numbers."""
EPOCH_RANGES = {"s": ("1e8", "1e10"), "ms": ("1e11", "1e13"), "us": ("1e14", "1e16"), "ns": ("1e17", "1e19")}
"""Numbers that stand for the years 1973 to 2286 in a unit: no number does so in two units."""
_WITHOUT_LETTERS = "[A-Za-z]{2}"
_ZONE = r"\d ?(?i:utc|gmt)([+-]\d{1,2}(:?\d{2})?)?$|\d [A-Za-z]+(/[A-Za-z0-9_+-]+)+$"
"""Letters that say what the clock shows: UTC, GMT, or a place of the zone database. Others mean several zones each."""
_LETTERS_LAST = r" ?[A-Za-z][A-Za-z0-9+:-]*$"
_ONE_NUMBER = r"^\D*\d+([.,]\d+)?\D*$"
_NUMBER_FIRST = r"^\s*([-+]?\d+(?:[.,]\d+)?)(?:[\s=:.,)(\]–—-]|[^\x00-\x7F]).*[\pL\p{So}]"
_NUMBER_LAST = r"[\pL\p{So}].*[\s=:(\[–—-](\d+(?:[.,]\d+)?)\s*[)\].]?\s*$"
LABELLED = frozenset({("surveys", "score"), ("tickets", "csat"), ("feedback", "rating")})
"""Answers on a scale, whose ends survey tools export with their label: "10 - Extremely likely"."""
YEAR_1_US, YEAR_9999_US, YEAR_10000_US = -62_135_596_800_000_000, 253_370_764_800_000_000, 253_402_300_800_000_000
"""A time beyond the calendar that everybody can write is none."""
STAGED_TYPES = {
    "text": "VARCHAR",
    "time": "BIGINT",
    "money": "DECIMAL(18,4)",
    "number": "DECIMAL(18,4)",
    "integer": "BIGINT",
    "boolean": "BOOLEAN",
    "probability": "DOUBLE",
}
WANTED = {
    "text": "text",
    "time": "a time (ISO 8601; epoch numbers need `epoch` in the mapping)",
    "money": "a number",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "probability": "a number",
}
_INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"}
_FAMILIES: dict[str, Family] = {
    **dict.fromkeys(_INTEGERS | {f"U{name}" for name in _INTEGERS}, "integer"),
    "FLOAT": "float", "DOUBLE": "float", "BOOLEAN": "boolean", "DATE": "date", "BLOB": "bytes",
    "TIMESTAMP": "timestamp", "TIMESTAMP_S": "timestamp", "TIMESTAMP_MS": "timestamp", "TIMESTAMP_NS": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "zoned", "TIMESTAMPTZ_NS": "zoned",
    "VARCHAR": "text", "UUID": "text", "JSON": "text", '"NULL"': "null",
}  # fmt: skip


def family_of(physical: str) -> Family:
    """Return the family of a physical type as the engine spells it; nested and unheard-of types are `other`."""
    if physical.endswith("]") or physical.startswith(("STRUCT", "MAP", "UNION")):
        return "other"
    if physical.startswith("DECIMAL"):
        return "decimal"
    if physical.startswith(("VARCHAR", "ENUM")):
        return "text"
    return _FAMILIES.get(physical, "other")


def quoted(name: str) -> str:
    """An identifier, quoted for SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text, quoted for SQL."""
    return "'" + text.replace("'", "''") + "'"


def place(path: object) -> str:
    """A path, quoted for SQL, as that of one file: no sign in its name, or in that of a folder, is a pattern.

    >>> place("/data/eu[1]/a*.csv")
    "'/data/eu[[]1]/a[*].csv'"
    """
    return literal(as_is(path))


def as_is(path: object) -> str:
    """A path in which the engine, that takes every path for a pattern, finds what is so called and nothing else."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))


def sql_texts(values: tuple[str, ...]) -> str:
    """A list of texts for IN (...)."""
    return ", ".join(map(literal, values))


def raw(expression: str, family: Family, *, is_csv: bool, name: str) -> str:
    """The value of a column as it was handed over, null where nothing is there: blank, and in CSV a word for null."""
    if family == "null":
        return "CAST(NULL AS VARCHAR)"
    if family not in {"text", "bytes"}:
        return expression
    text = _trimmed(expression, family)
    return f"CASE WHEN NOT coalesce({_is_word(text, name)}, true) THEN {text} END" if is_csv else text


def null_word(expression: str, family: Family, *, is_csv: bool, name: str) -> str | None:
    """SQL for the word that a cell of CSV was read as nothing by, null where it was not; None where no word is one."""
    if not is_csv or family != "text":
        return None
    text = _trimmed(expression, family)
    return f"CASE WHEN {_is_word(text, name)} THEN {text} END"


def _trimmed(expression: str, family: Family) -> str:
    if family == "bytes":
        expression = f"coalesce(TRY(decode({expression})), CAST({expression} AS VARCHAR))"
    return f"nullif(trim(CAST({expression} AS VARCHAR)), '')"


def _is_word(text: str, name: str) -> str:
    """Whether a text is a word for nothing in a column of this name."""
    meant = tuple(word for word in NULL_WORDS if word != "na" or name.strip().lower() not in NA_IS_A_NAME)
    return f"(length({text}) <= 4 AND lower({text}) IN ({sql_texts(meant)}))"


def value(column: Column, name: str, family: Family, epoch: str | None, *, is_labelled: bool = False) -> str:
    """The value of a raw column `name` in contract form, null where it cannot be read as the column's kind.

    `is_labelled` takes the number of a text that holds one number and its label.
    """
    if is_labelled and family in {"text", "bytes"}:
        name = f"coalesce(CASE WHEN TRY_CAST({name} AS DOUBLE) IS NULL THEN {labelled(name)} END, {name})"
    if family == "bytes":
        family = "text"
    if family in {"null", "other"}:
        return f"CAST(NULL AS {STAGED_TYPES[column.kind]})"
    match column.kind:
        case "text":
            return _text(name, family)
        case "time":
            return _time(name, family, epoch)
        case "boolean":
            return _boolean(name, family)
        case "probability":
            number = (
                f"TRY_CAST({_decimal_text(name, family)} AS DOUBLE)" if family in _NUMERIC else "CAST(NULL AS DOUBLE)"
            )
            return f"CASE WHEN isfinite({number}) THEN {number} END"
        case "integer":
            number = _number(name, family)
            return f"CASE WHEN {number} = trunc({number}) THEN CAST({number} AS BIGINT) END"
    return _number(name, family)


_NUMERIC = frozenset({"text", "bytes", "integer", "decimal", "float"})
_TIMES = frozenset({"text", "bytes", "date", "timestamp", "zoned"})


def readable(column: Column, epoch: str | None) -> frozenset[str]:
    """Families of physical types that a column may have; any other is a wrong type, whatever the values."""
    if column.kind == "time":
        return (_TIMES | _NUMERIC if epoch else _TIMES) | {"null"}
    if column.kind == "text":
        return _NUMERIC | _TIMES | {"boolean", "null"}
    if column.kind == "boolean":
        return _NUMERIC | {"boolean", "null"}
    return _NUMERIC | {"null"}


def _text(name: str, family: Family) -> str:
    if family == "text":
        return f"nfc_normalize({name})"
    if family == "float":
        whole = f"{name} = trunc({name}) AND abs({name}) < 9007199254740992"
        text = f"CASE WHEN {whole} THEN CAST(CAST({name} AS BIGINT) AS VARCHAR) ELSE CAST({name} AS VARCHAR) END"
        return f"CASE WHEN isfinite({name}) THEN {text} END"
    if family == "decimal":
        whole = f"CAST(CAST({name} AS HUGEINT) AS VARCHAR)"
        return f"CASE WHEN {name} = trunc({name}) THEN {whole} ELSE CAST({name} AS VARCHAR) END"
    return f"CAST({name} AS VARCHAR)"


def _time(name: str, family: Family, epoch: str | None) -> str:
    instant = _instant(name, family, epoch)
    return f"CASE WHEN {instant} BETWEEN {YEAR_1_US} AND {YEAR_10000_US} - 1 THEN {instant} END"


def labelled(name: str) -> str:
    """SQL for the number of a text that holds one number, and words before or after it; null for any other."""
    first, last = (f"nullif(regexp_extract({name}, {literal(form)}, 1), '')" for form in (_NUMBER_FIRST, _NUMBER_LAST))
    is_one = f"regexp_matches({name}, {literal(_ONE_NUMBER)})"
    return f"CASE WHEN {is_one} THEN replace(coalesce({first}, {last}), ',', '.') END"


def _instant(name: str, family: Family, epoch: str | None) -> str:
    if epoch and family in _NUMERIC:
        return _epoch_instant(name, family, epoch)
    if family == "text":
        has_zone = (
            f"NOT regexp_matches({name}, {literal(_WITHOUT_LETTERS)}) OR regexp_matches({name}, {literal(_ZONE)})"
        )
        return f"CASE WHEN {has_zone} THEN epoch_us(TRY_CAST({name} AS TIMESTAMPTZ)) END"
    if family == "zoned":
        return f"epoch_us(TRY_CAST({name} AS TIMESTAMPTZ))"
    if family in {"date", "timestamp"}:
        return f"epoch_us(TRY_CAST({name} AS TIMESTAMP))"
    return "CAST(NULL AS BIGINT)"


def endless(name: str, family: Family) -> str | None:
    """SQL that says whether a time lies beyond the calendar, as what never ends is written; None where none can."""
    if family in {"text", "bytes"}:
        is_beyond = f"epoch_us(TRY_CAST({name} AS TIMESTAMPTZ)) >= {YEAR_10000_US}"
        return f"(lower({name}) IN ('infinity', '+infinity') OR {is_beyond})"
    return f"(isinf({name}) AND {name} > TIMESTAMP '2000-01-01')" if family in {"date", "timestamp", "zoned"} else None


def _epoch_instant(name: str, family: Family, epoch: str) -> str:
    """A number in the unit that it is given in, but where only another unit makes it a year from 1973 to 2286."""
    number = f"TRY_CAST({_decimal_text(name, family)} AS DECIMAL(26,6))"
    cases = [
        f"WHEN {other_unit(name, family, epoch, unit)} THEN TRY_CAST(trunc({number} * {EPOCH_FACTORS[unit]}) AS BIGINT)"
        for unit in EPOCH_RANGES
        if unit != epoch
    ]
    return f"CASE {' '.join(cases)} ELSE TRY_CAST({number} * {EPOCH_FACTORS[epoch]} AS BIGINT) END"


def other_unit(name: str, family: Family, epoch: str, unit: str | None = None) -> str:
    """SQL that says whether an epoch number stands in another unit than `epoch`: in `unit`, or in any.

    The year 9999 of its own unit is how the end of what never ends is written, and no other year.
    """
    number = f"TRY_CAST({_decimal_text(name, family)} AS DOUBLE)"
    units = [unit] if unit else [other for other in EPOCH_RANGES if other != epoch]
    ranges = [f"({number} >= {low} AND {number} < {high})" for low, high in map(EPOCH_RANGES.__getitem__, units)]
    own = f"{number} * {EPOCH_FACTORS[epoch]}"
    is_endless = f"({own} >= {YEAR_9999_US} AND {own} < {YEAR_10000_US + DAY_US})"
    return f"(({' OR '.join(ranges)}) AND NOT {is_endless})"


def _number(name: str, family: Family) -> str:
    if family not in _NUMERIC:
        return "CAST(NULL AS DECIMAL(18,4))"
    return f"TRY_CAST({_decimal_text(name, family)} AS DECIMAL(18,4))"


def _decimal_text(name: str, family: Family) -> str:
    return f"CAST({name} AS VARCHAR)" if family == "float" else name


def _boolean(name: str, family: Family) -> str:
    if family == "boolean":
        return name
    if family not in _NUMERIC:
        return "CAST(NULL AS BOOLEAN)"
    yes, no = (sql_texts(TRUE_WORDS), sql_texts(FALSE_WORDS)) if family == "text" else ("1", "0")
    subject = f"lower({name})" if family == "text" else name
    return f"CASE WHEN {subject} IN ({yes}) THEN true WHEN {subject} IN ({no}) THEN false END"


def why_unreadable(column: Column, name: str, family: Family) -> str:
    """SQL for the reason why a raw value that is there gave none in contract form."""
    match column.kind:
        case "text":
            return "'not_text'"
        case "time":
            return _why_no_time(name) if family == "text" else "'not_a_time'"
        case "boolean":
            return "'not_a_boolean'"
    if family not in _NUMERIC:
        return "'not_a_number'"
    number = f"TRY_CAST({name} AS DOUBLE)"
    beyond = f"WHEN abs({number}) >= 1e14 THEN 'too_large' "
    fraction = "'not_a_whole_number'" if column.kind == "integer" else "'too_large'"
    return (
        f"CASE WHEN {number} IS NULL THEN 'not_a_number' WHEN NOT isfinite({number}) THEN 'not_finite' "
        f"{beyond}ELSE {fraction} END"
    )


def _why_no_time(name: str) -> str:
    clock = f"regexp_replace({name}, {literal(_LETTERS_LAST)}, '')"
    is_zoned = f"regexp_matches({name}, '[A-Za-z]{{2}}') AND TRY_CAST({clock} AS TIMESTAMP) IS NOT NULL"
    return f"CASE WHEN {is_zoned} THEN 'zone_in_letters' ELSE 'not_a_time' END"
