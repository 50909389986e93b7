"""What an export may look like, per target: names of fields, limits, spelling of cells, and a check of written files.

The rules are those that the makers of both CRMs publish (read November 2026):

- Salesforce, Bulk API 2.0, "Prepare CSV Files" (api_asynch, datafiles_prepare_csv): UTF-8; first row names the fields;
  line ends LF unless the job says otherwise; an empty cell is ignored, `#N/A` sets null; files of at most 100 MB, which
  after conversion to base64 are the 150 MB of "Limits and Allocations" (api_bulk_v2, bulk_api_2_limits), where also
  stand 32,000 characters a field, 5,000 fields and 400,000 characters a record. A text field that serves as external id
  holds 255 characters. The name of a custom field has up to 40 characters before its `__c`, starts with a letter, and
  has no underscore at its end nor two in a row.
- HubSpot, "Set up import files" (knowledge.hubspot.com): UTF-8; one header row; fewer than 1,000 columns; at most
  512 MB and 1,048,576 rows a file. An internal name of a property is lower case and starts with a letter.
- Formulas: OWASP "CSV Injection". A text that a spreadsheet would compute starts with an apostrophe here.
"""

from __future__ import annotations

import codecs
import csv
import itertools
import math
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from serving.published import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

Kind = Literal["key", "text", "number", "flag", "instant"]


class Target(StrEnum):
    """Who takes the files."""

    CSV = "csv"
    PARQUET = "parquet"
    SALESFORCE = "salesforce"
    HUBSPOT = "hubspot"


@dataclass(frozen=True)
class Field:
    """One column of an export, and what it is called where."""

    column: str
    kind: Kind
    salesforce: str
    hubspot: str

    def name(self, target: Target) -> str:
        """Name of the column in files for a target."""
        return {Target.SALESFORCE: self.salesforce, Target.HUBSPOT: self.hubspot}.get(target, self.column)


FIELDS = (
    Field("customer_id", "key", "External_Id__c", "external_id"),
    Field("as_of", "instant", "Vouch_As_Of__c", "vouch_as_of"),
    Field("contact_consent", "flag", "Vouch_Contact_Consent__c", "vouch_contact_consent"),
    Field("advocacy_consent", "flag", "Vouch_Advocacy_Consent__c", "vouch_advocacy_consent"),
    Field("churn_status", "text", "Vouch_Churn_Status__c", "vouch_churn_status"),
    Field("churn_probability", "number", "Vouch_Churn_Probability__c", "vouch_churn_probability"),
    Field("churn_band", "text", "Vouch_Churn_Band__c", "vouch_churn_band"),
    Field("churn_reason", "text", "Vouch_Churn_Reason__c", "vouch_churn_reason"),
    Field("advocacy_status", "text", "Vouch_Advocacy_Status__c", "vouch_advocacy_status"),
    Field("advocacy_probability", "number", "Vouch_Advocacy_Probability__c", "vouch_advocacy_probability"),
    Field("advocacy_score", "number", "Vouch_Advocacy_Score__c", "vouch_advocacy_score"),
    Field("advocacy_reason", "text", "Vouch_Advocacy_Reason__c", "vouch_advocacy_reason"),
    Field("advocate_tier", "text", "Vouch_Advocate_Tier__c", "vouch_advocate_tier"),
    Field("health_score", "number", "Vouch_Health_Score__c", "vouch_health_score"),
    Field("health_band", "text", "Vouch_Health_Band__c", "vouch_health_band"),
    Field("clv_margin", "number", "Vouch_Clv_Margin__c", "vouch_clv_margin"),
    Field("churn_model", "text", "Vouch_Churn_Model__c", "vouch_churn_model"),
    Field("advocacy_model", "text", "Vouch_Advocacy_Model__c", "vouch_advocacy_model"),
)


@dataclass(frozen=True)
class Rules:
    """What a target takes; a limit that is None is none. The row of titles counts as a row."""

    null: str = ""
    file_bytes: int | None = None
    file_rows: int | None = None
    columns: int | None = None
    text_characters: int = 32_000
    row_characters: int | None = None
    name: str = r"[a-z][a-z0-9_]*"
    name_characters: int = 100


MB = 1_000_000
RULES: Mapping[Target, Rules] = {
    Target.CSV: Rules(),
    Target.PARQUET: Rules(),
    Target.SALESFORCE: Rules(
        null="#N/A",
        file_bytes=100 * MB,
        columns=5_000,
        text_characters=255,
        row_characters=400_000,
        name=r"[A-Za-z](?:_?[A-Za-z0-9])*__c",
        name_characters=40 + len("__c"),
    ),
    Target.HUBSPOT: Rules(file_bytes=512 * MB, file_rows=1_048_576, columns=999),
}
_DECIMALS = 6
_FORMULA = re.compile(r"\s*[=+\-@\t\r\n\0\uff1d\uff0b\uff0d\uff20]")  # the last four: the same signs at full width
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
SHOWN_FAULTS = 20


def schema(as_of: pa.DataType) -> pa.Schema:
    """Columns of an export as Parquet; `as_of` is a date, or a timestamp where the instant is no midnight."""
    types = {"key": pa.string(), "text": pa.string(), "number": pa.float64(), "flag": pa.bool_(), "instant": as_of}
    return pa.schema([(field.column, types[field.kind]) for field in FIELDS])


def plain_text(text: str, null: str = "") -> str:
    """Return a text that no spreadsheet computes and no CRM takes for null.

    >>> plain_text("=1+1"), plain_text("\\t@x"), plain_text("a\\nb"), plain_text("#N/A", "#N/A")
    ("'=1+1", "' @x", 'a b', "'#N/A")
    """
    shown = visible(text)
    return f"'{shown}" if _FORMULA.match(text) or _FORMULA.match(shown) or (null and shown == null) else shown


def cell(field: Field, value: Any, rules: Rules) -> str:
    """Return one value as it stands in a CSV file; a text that is too long is cut, a key never."""
    if value is None:
        return rules.null
    if field.kind == "flag":
        return "true" if value else "false"
    if field.kind == "number":
        return _decimal(float(value))
    if field.kind == "instant":
        return str(value.isoformat()).replace("+00:00", "Z")
    text = plain_text(value, rules.null)
    is_long = field.kind == "text" and len(text) > rules.text_characters
    return f"{text[: rules.text_characters - 1]}…" if is_long else text


def _decimal(number: float) -> str:
    """Up to six decimals, never in scientific notation, without trailing zeros and without minus zero."""
    text = f"{number:.{_DECIMALS}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def check_file(target: Target, path: Path, rules: Rules | None = None) -> list[str]:
    """Return what breaks the rules of a target in a file, with its line; nothing where the CRM can take it."""
    held = rules or RULES[target]
    faults = _parquet_faults(path) if target is Target.PARQUET else _csv_faults(target, path, held)
    return list(itertools.islice(faults, SHOWN_FAULTS))


def _parquet_faults(path: Path) -> Iterator[str]:
    try:
        table = pq.read_table(path, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        yield f"no sound Parquet file: {error}"
        return
    if table.column_names != [field.column for field in FIELDS]:
        yield "the columns are others"
        return
    if table.schema != schema(table.schema.field("as_of").type):
        yield "a column has another type"
    keys = table["customer_id"]
    if keys.null_count or pa.compute.count_distinct(keys).as_py() != len(keys):
        yield "customer_id is not the key: null or repeated"


def _csv_faults(target: Target, path: Path, rules: Rules) -> Iterator[str]:
    yield from _byte_faults(path, rules)
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            yield from _row_faults(target, reader, rules)
        except csv.Error as error:
            yield f"line {reader.line_num}: {error}"
        except UnicodeDecodeError:
            yield f"after line {reader.line_num}: not UTF-8"


def _byte_faults(path: Path, rules: Rules) -> Iterator[str]:
    size, last, has_returns = 0, b"", False
    with path.open("rb") as file:
        while part := file.read(MB):
            if not size and part.startswith(codecs.BOM_UTF8):
                yield "starts with a byte order mark, which would become part of the first name"
            size, last, has_returns = size + len(part), part[-1:], has_returns or b"\r" in part
    if rules.file_bytes is not None and size > rules.file_bytes:
        yield f"{size:,} bytes, more than {rules.file_bytes:,}"
    if has_returns or last != b"\n":
        yield "lines do not end in LF alone"


def _row_faults(target: Target, rows: Iterator[list[str]], rules: Rules) -> Iterator[str]:
    names = next(rows, [])
    yield from _name_faults(names, rules)
    known = {field.name(target): field for field in FIELDS}
    if unknown := [name for name in names if name not in known]:
        yield f"line 1: unknown fields {unknown}"
        return
    fields, seen, line = [known[name] for name in names], set(), 1
    for line, row in enumerate(rows, 2):
        if len(row) != len(fields):
            yield f"line {line}: {len(row)} cells under {len(fields)} names"
            continue
        if rules.row_characters is not None and sum(map(len, row)) > rules.row_characters:
            yield f"line {line}: more than {rules.row_characters:,} characters"
        for field, value in zip(fields, row, strict=True):
            if fault := _cell_fault(field, value, rules):
                yield f"line {line}: {field.name(target)} {fault}"
            elif field.kind == "key":
                if value in seen:
                    yield f"line {line}: {field.name(target)} stands there twice"
                seen.add(value)
    if rules.file_rows is not None and line > rules.file_rows:
        yield f"{line:,} rows with the titles, more than {rules.file_rows:,}"


def _name_faults(names: list[str], rules: Rules) -> Iterator[str]:
    if not names or len(set(names)) < len(names):
        yield "line 1: no names of fields, or one twice"
    if rules.columns is not None and len(names) > rules.columns:
        yield f"line 1: {len(names):,} fields, more than {rules.columns:,}"
    for name in names:
        if not re.fullmatch(rules.name, name) or len(name) > rules.name_characters:
            yield f"line 1: {name!r} cannot be the name of a field"


def _cell_fault(field: Field, value: str, rules: Rules) -> str | None:
    """What is wrong with a cell; values are not repeated, for they are a customer's."""
    if value == rules.null and field.kind != "key":
        return None
    if not value or value == rules.null:
        return "is empty"
    if field.kind == "number":
        is_sound = bool(_NUMBER.fullmatch(value)) and math.isfinite(float(value))
        return None if is_sound else "is no number"
    if field.kind == "flag":
        return None if value in ("true", "false") else "is neither true nor false"
    if field.kind == "instant":
        return None if _is_instant(value) else "is no ISO date or instant"
    if _FORMULA.match(value):
        return "would be computed by a spreadsheet"
    if visible(value) != value:
        return "has control characters"
    return f"has more than {rules.text_characters:,} characters" if len(value) > rules.text_characters else None


def _is_instant(text: str) -> bool:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == len("2026-11-23") or (moment.tzinfo is not None and text.endswith("Z"))
