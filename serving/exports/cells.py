"""Spelling of values in export files, and a check of written files by the rules that the target publishes."""

from __future__ import annotations

import codecs
import csv
import itertools
import math
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from vouch.features.instants import iso_text
from vouch.features.shown import decimal_text, is_computed, plain_text, visible_text
from vouch.serving.exports.targets import FIELDS, MB, RULES, Field, Target, TargetRules

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

_NUMBER = re.compile(r"-?\d+(\.\d+)?")
SHOWN_FAULTS = 20


def schema(as_of: pa.DataType) -> pa.Schema:
    """Columns of an export as Parquet; `as_of` is a date, or a timestamp where the instant is no midnight."""
    types = {
        "key": pa.string(),
        "text": pa.string(),
        "number": pa.float64(),
        "whole": pa.int64(),
        "flag": pa.bool_(),
        "as_of": as_of,
        "instant": pa.timestamp("us", tz="UTC"),
    }
    return pa.schema([(field.column, types[field.kind]) for field in FIELDS])


def cell(field: Field, value: Any, rules: TargetRules) -> str:
    """Return one value as it stands in a CSV file; a text that is too long is cut, a key never."""
    if value is None:
        return rules.null
    if field.kind == "flag":
        return "true" if value else "false"
    if field.kind == "number":
        return decimal_text(float(value), field.decimals)
    if field.kind == "whole":
        return str(int(value))
    if field.kind in ("as_of", "instant"):
        return iso_text(value)
    text = plain_text(value, rules.null)
    is_long = field.kind == "text" and len(text) > rules.text_characters
    return f"{text[: rules.text_characters - 1]}…" if is_long else text


def key_fault(key: str, written: Collection[str], rules: TargetRules) -> str | None:
    """Why a target cannot take an id as it would be written, beside those that were; None where it can."""
    if key in written:
        return "is that of another one, once it is written without control characters"
    return _cell_fault(FIELDS[0], key, rules)


def check_file(target: Target, path: Path, rules: TargetRules | None = None) -> list[str]:
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


def _csv_faults(target: Target, path: Path, rules: TargetRules) -> Iterator[str]:
    yield from _byte_faults(path, rules)
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            yield from _row_faults(target, reader, rules)
        except csv.Error as error:
            yield f"line {reader.line_num}: {error}"
        except UnicodeDecodeError:
            yield f"after line {reader.line_num}: not UTF-8"


def _byte_faults(path: Path, rules: TargetRules) -> Iterator[str]:
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


def _row_faults(target: Target, rows: Iterator[list[str]], rules: TargetRules) -> Iterator[str]:
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


def _name_faults(names: list[str], rules: TargetRules) -> Iterator[str]:
    if not names or len(set(names)) < len(names):
        yield "line 1: no names of fields, or one twice"
    if rules.columns is not None and len(names) > rules.columns:
        yield f"line 1: {len(names):,} fields, more than {rules.columns:,}"
    if rules.title_characters is not None and len(",".join(names)) > rules.title_characters:
        yield f"line 1: more than {rules.title_characters:,} characters"
    for name in names:
        if not re.fullmatch(rules.name, name) or len(name) > rules.name_characters:
            yield f"line 1: {name!r} cannot be the name of a field"


def _cell_fault(field: Field, value: str, rules: TargetRules) -> str | None:
    """What is wrong with a cell; values are not repeated, for they are a customer's."""
    if value == rules.null and field.kind != "key":
        return None
    if not value or value == rules.null:
        return "is empty"
    if field.kind in ("number", "whole"):
        is_sound = bool(_NUMBER.fullmatch(value)) and math.isfinite(float(value))
        return None if is_sound else "is no number"
    if field.kind == "flag":
        return None if value in ("true", "false") else "is neither true nor false"
    if field.kind in ("as_of", "instant"):
        return None if _is_instant(value) else "is no ISO date or instant"
    if is_computed(value):
        return "would be computed by a spreadsheet"
    if visible_text(value) != value:
        return "has control characters"
    return f"has more than {rules.text_characters:,} characters" if len(value) > rules.text_characters else None


def _is_instant(text: str) -> bool:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == len("2026-11-23") or (instant.tzinfo is not None and text.endswith("Z"))
