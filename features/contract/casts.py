"""How a value of any physical type is read as one kind of the contract, as SQL of the staging engine.

A number that a file holds as binary floating point goes through its shortest decimal text, so that the same table
gives the same decimals from CSV, Parquet, DuckDB and PostgreSQL. A cast that fails gives null, never an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from vouch.features.contract.tables import Column

Family = Literal[
    "text", "bytes", "integer", "decimal", "float", "boolean", "date", "timestamp", "zoned", "null", "other"
]

NULL_WORDS = ("na", "n/a", "null", "none", "nan")
"""What means null in a text file, besides nothing at all, in any case."""
TRUE_WORDS = ("true", "t", "yes", "1")
FALSE_WORDS = ("false", "f", "no", "0")
EPOCH_FACTORS = {"s": 1_000_000, "ms": 1_000, "us": 1}
"""Microseconds in a unit of epoch numbers."""
YEAR_1_US, YEAR_10000_US = -62_135_596_800_000_000, 253_402_300_800_000_000
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


def words(values: tuple[str, ...]) -> str:
    """A list of texts for IN (...)."""
    return ", ".join(map(literal, values))


def raw(expression: str, family: Family, *, is_csv: bool) -> str:
    """The value as it was handed over, null where nothing is there: blank text, and in CSV the words for null."""
    if family == "null":
        return "CAST(NULL AS VARCHAR)"
    if family == "bytes":
        expression = f"coalesce(TRY(decode({expression})), CAST({expression} AS VARCHAR))"
    elif family != "text":
        return expression
    text = f"nullif(trim(CAST({expression} AS VARCHAR)), '')"
    if not is_csv:
        return text
    return f"CASE WHEN length({text}) > 4 OR lower({text}) NOT IN ({words(NULL_WORDS)}) THEN {text} END"


def value(column: Column, name: str, family: Family, epoch: str | None) -> str:
    """The value of a raw column `name` in contract form, null where it cannot be read as the column's kind."""
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
    moment = _moment(name, family, epoch)
    return f"CASE WHEN {moment} BETWEEN {YEAR_1_US} AND {YEAR_10000_US} - 1 THEN {moment} END"


def _moment(name: str, family: Family, epoch: str | None) -> str:
    if epoch and family in _NUMERIC:
        return f"TRY_CAST(TRY_CAST({_decimal_text(name, family)} AS DECIMAL(24,6)) * {EPOCH_FACTORS[epoch]} AS BIGINT)"
    if family in {"text", "zoned"}:
        return f"epoch_us(TRY_CAST({name} AS TIMESTAMPTZ))"
    if family in {"date", "timestamp"}:
        return f"epoch_us(TRY_CAST({name} AS TIMESTAMP))"
    return "CAST(NULL AS BIGINT)"


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
    yes, no = (words(TRUE_WORDS), words(FALSE_WORDS)) if family == "text" else ("1", "0")
    subject = f"lower({name})" if family == "text" else name
    return f"CASE WHEN {subject} IN ({yes}) THEN true WHEN {subject} IN ({no}) THEN false END"


def why_unreadable(column: Column, name: str, family: Family) -> str:
    """SQL for the reason why a raw value that is there gave none in contract form."""
    match column.kind:
        case "text":
            return "'not_text'"
        case "time":
            return "'not_a_time'"
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
