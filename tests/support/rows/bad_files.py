"""Damaged input files and columns, kind by kind: for tests of reading and of the weekly batch."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq

GOOD_EVENT = b"c1,2025-02-01,login\n"
HEADER = b"customer_id,occurred_at,event\n"
MANY = HEADER + GOOD_EVENT * 5_000


def parquet_bytes(frame):
    sink = pa.BufferOutputStream()
    pq.write_table(frame, sink)
    return sink.getvalue().to_pybytes()


EVENTS = pa.table({"customer_id": ["c1"] * 3000, "occurred_at": ["2025-02-01"] * 3000, "event": ["login"] * 3000})
PARQUET = parquet_bytes(EVENTS)


def damaged(at, by):
    return PARQUET[:at] + bytes(byte ^ 255 for byte in PARQUET[at : at + by]) + PARQUET[at + by :]


UNREADABLE = {
    "csv: no bytes": ("csv", b"", "the file is empty"),
    "csv: a blank line": ("csv", b"\n", "no header"),
    "csv: latin-1": ("csv", MANY + b"caf\xe9,2025-02-01,login\n", f"not UTF-8 at byte {len(MANY) + 3}"),
    "csv: latin-1 in the header": ("csv", b"caf\xe9," + HEADER + GOOD_EVENT, "not UTF-8 at byte 3"),
    "csv: cut inside of a character": ("csv", HEADER + "é".encode()[:1], f"not UTF-8 at byte {len(HEADER)}"),
    "csv: UTF-16": ("csv", HEADER.decode().encode("utf-16"), "UTF-16"),
    "csv: a field too many": ("csv", HEADER + GOOD_EVENT + b"c1,2025-02-01,login,x\n", "line 3"),
    "csv: a field too few": ("csv", HEADER + GOOD_EVENT + b"c1,2025-02-01\n", "line 3"),
    "csv: ragged far below": ("csv", MANY + b"c1,2025-02-01\n", "line 5002"),
    "csv: a quote that never ends": ("csv", HEADER + GOOD_EVENT + b'c1,2025-02-01,"login\n' + GOOD_EVENT, "line 3"),
    "csv: two columns of one name": ("csv", b"customer_id,event,Event\nc1,a,b\n", "two columns are called"),
    "csv: is Parquet": ("csv", PARQUET, "not UTF-8"),
    "csv: is a zip": ("csv", b"PK\x03\x04\x14\x00\x08\x08\xff\xfe" + b"\x00" * 50, "not UTF-8"),
    "parquet: no bytes": ("parquet", b"", "the file is empty"),
    "parquet: is CSV": ("parquet", MANY, "not a Parquet file"),
    "parquet: four bytes": ("parquet", b"PAR1", "cut short at byte 4"),
    "parquet: cut short": ("parquet", PARQUET[:-100], "cut short"),
    "parquet: cut in half": ("parquet", PARQUET[: len(PARQUET) // 2], "cut short"),
    "parquet: end without a beginning": ("parquet", PARQUET[100:], "not a Parquet file"),
    "parquet: footer damaged": ("parquet", damaged(len(PARQUET) - 60, 40), "cannot be read"),
    "parquet: length of the footer damaged": ("parquet", damaged(len(PARQUET) - 8, 4), "cannot be read"),
    "parquet: pages damaged": ("parquet", damaged(4, 60), "cannot be read"),
}


TYPES = {
    "a required time that is a number": ("usage_events", {"occurred_at": [1_700_000_000, 1]}, "occurred_at", "epoch"),
    "a required time that is true": ("usage_events", {"occurred_at": [True, False]}, "occurred_at", "BOOLEAN"),
    "a required number that is a date": ("transactions", {"amount": [date(2025, 1, 1)] * 2}, "amount", "DATE"),
    "a required number that is a list": ("transactions", {"amount": [[1.0], [2.0]]}, "amount", "DOUBLE[]"),
    "a required text that is a struct": ("usage_events", {"event": [{"a": 1}, {"a": 2}]}, "event", "STRUCT"),
    "a required time of words": (
        "usage_events",
        {"occurred_at": ["soon", "later"]},
        "occurred_at",
        "row 0: 4 characters like aaaa",
    ),
    "a required number of words": (
        "transactions",
        {"amount": ["ten", "two"]},
        "amount",
        "row 0: 3 characters like aaa",
    ),
    "a required kind that nobody knows": ("transactions", {"kind": ["sale", "sold"]}, "kind", "purchase"),
}
