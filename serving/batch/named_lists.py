"""The lists behind the figures as a week holds them: one row of JSON per row of a list, whatever its columns."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from vouch.features.errors import UsageError
from vouch.features.metrics.lists.lists import LISTS, list_rows, words_of_few
from vouch.features.statistics.few import FEWEST
from vouch.serving.snapshots.schema import LISTS as COLUMNS
from vouch.serving.snapshots.schema import MOST_ROWS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.features.metrics.context import MetricContext

SIZES_KEY = "told"
OF_OTHERS = frozenset({"brought_by"})
"""Columns that name a customer beside the row's own: a week holds none, for who is erased, or comes to object, is found
by the row's own id alone."""


def list_table(context: MetricContext) -> pa.Table:
    """Return the lists behind the figures as `lists.parquet` holds them, each with its first rows.

    How many rows each has in all, or why there are none, stands in the metadata of the schema. No row is named by what
    only a few customers have in common.
    """
    rows: list[dict[str, Any]] = []
    sizes: dict[str, dict[str, Any]] = {}
    for name in (name for name, held in LISTS.items() if held.is_published):
        try:
            content = list_rows(context, name)
        except UsageError as error:
            sizes[name] = {"total": 0, "reason": str(error)}
            continue
        listed = _without_few(context, name, content)
        sizes[name] = {"total": len(listed), "reason": None}
        for rank, row in enumerate(listed[:MOST_ROWS], 1):
            text = json.dumps({key: value for key, value in row.items() if key not in OF_OTHERS}, ensure_ascii=False)
            rows.append({"list": name, "rank": rank, "customer_id": row.get("customer_id"), "row": text})
    return pa.Table.from_pylist(rows, COLUMNS.with_metadata({SIZES_KEY: json.dumps(sizes)}))


def _without_few(context: MetricContext, name: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a list that name nobody by a word or a place that hardly anybody else has."""
    held, few = LISTS[name], words_of_few(context, name)
    if held.words is not None:
        rows = [row for row in rows if row[held.words.name] not in few]
    return rows if held.counted is None else [row for row in rows if row[held.counted] >= FEWEST]


def lists_of_metadata(metadata: Mapping[bytes, bytes] | None) -> dict[str, Any]:
    """Return what the metadata of a table of lists says of each."""
    lists: dict[str, Any] = json.loads((metadata or {}).get(SIZES_KEY.encode(), b"{}"))
    return lists
