"""Changes between two weeks as rows of a bulk file: who was added, whose row differs, and who has gone.

Both weeks stand in the order of their customers, so that they are compared batch by batch and never held whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from vouch.serving.exports.targets import FIELDS
from vouch.serving.snapshots.schema import EXTRA

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ADDED, CHANGED, GONE = "added", "changed", "gone"
JUDGED = {
    **{field.column: field.decimals for field in FIELDS if field.is_judged and field.kind != "key"},
    **{f"{model}_{part}": 2 for model in EXTRA for part in ("status", "probability", "band")},
}
"""Columns by which a row has changed, as an export judges them; numbers at so many decimals."""


def changes(now: Iterable[pa.Table], earlier: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Give the rows that differ, each with what happened; who has gone has a row that says only that."""
    before = (table for table in earlier if len(table))
    waiting = next(before, None)
    schema, as_of = None, None
    for table in now:
        schema, as_of = table.schema, table["as_of"][0] if len(table) else as_of
        if not len(table):
            continue
        last, older = table["customer_id"][-1].as_py(), []
        while waiting is not None:
            is_here = pc.less_equal(waiting["customer_id"], last)
            older.append(waiting.filter(is_here))
            rest = waiting.filter(pc.invert(is_here))
            waiting = rest if len(rest) else next(before, None)
            if len(rest):
                break
        yield _difference(table, pa.concat_tables(older) if older else table.slice(0, 0), as_of)
    while waiting is not None and schema is not None:
        yield _difference(schema.empty_table(), waiting, as_of)
        waiting = next(before, None)
    if schema is not None:
        yield _difference(schema.empty_table(), schema.empty_table(), as_of)


def _difference(table: pa.Table, older: pa.Table, as_of: Any) -> pa.Table:
    """Rows of the same customers in two weeks, against one another."""
    place = pc.index_in(table["customer_id"], older["customer_id"].combine_chunks())
    is_new = pc.is_null(place)
    differs = is_new
    for name in (name for name in JUDGED if name in table.column_names):
        left = _judged(name, table[name])
        right = _judged(name, older[name].take(place)) if name in older.column_names else pa.nulls(len(table))
        same = pc.fill_null(pc.equal(left, right.cast(left.type)), False)
        is_same = pc.or_(same, pc.and_(pc.is_null(left), pc.is_null(right)))
        differs = pc.or_(differs, pc.invert(is_same))
    what = pc.if_else(is_new, ADDED, CHANGED)
    changed = table.append_column("change", what).filter(differs)
    gone = older.filter(pc.invert(pc.is_in(older["customer_id"], table["customer_id"].combine_chunks())))
    cells = {
        "customer_id": gone["customer_id"],
        "as_of": pa.repeat(as_of, len(gone)) if len(gone) else pa.nulls(0, table.schema.field("as_of").type),
        "change": pa.repeat(pa.scalar(GONE), len(gone)),
    }
    left = pa.table({field.name: cells.get(field.name, pa.nulls(len(gone), field.type)) for field in changed.schema})
    return pa.concat_tables([changed, left.cast(changed.schema)]).sort_by("customer_id")


def _judged(name: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.round(values, JUDGED[name]) if pa.types.is_floating(values.type) else values
