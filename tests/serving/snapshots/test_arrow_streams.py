"""Streams: the same rows in batches of one size, whatever the engine made of them."""

from __future__ import annotations

import narwhals as nw
import polars as pl
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from vouch.serving.snapshots.arrow_streams import ordered_batches, rebatched, scratch_folder, sweep

SCHEMA = pa.schema([("number", pa.int64())])


@given(st.lists(st.integers(0, 9), max_size=8), st.integers(1, 7))
def test_batches_are_full_but_the_last_and_hold_every_row_once_in_order(sizes, size):
    numbers = list(range(sum(sizes)))
    starts = [sum(sizes[:place]) for place in range(len(sizes))]
    given_batches = [
        pa.record_batch([pa.array(numbers[start : start + many], pa.int64())], schema=SCHEMA)
        for start, many in zip(starts, sizes, strict=True)
    ]
    tables = list(rebatched(given_batches, SCHEMA, size))
    assert [number for table in tables for number in table["number"].to_pylist()] == numbers
    assert all(len(table) == size for table in tables[:-1])
    assert len(tables) == max(1, -(-len(numbers) // size))


def test_rows_come_in_the_order_of_customers_and_the_scratch_file_goes(tmp_path):
    frame = nw.from_native(pl.LazyFrame({"customer_id": ["c", "B", "é", "a"], "x": [1, 2, 3, 4]}))
    tables = list(ordered_batches(frame, tmp_path / "scratch", size=3))
    assert [table["customer_id"].to_pylist() for table in tables] == [["B", "a", "c"], ["é"]]
    assert tables[0].schema.field("customer_id").type == pa.string()
    assert list(tmp_path.iterdir()) == []


def test_no_rows_are_one_empty_table_whose_columns_are_known(tmp_path):
    frame = nw.from_native(pl.LazyFrame(schema={"customer_id": pl.String, "x": pl.Float64}))
    (table,) = ordered_batches(frame, tmp_path / "scratch")
    assert (len(table), table.column_names) == (0, ["customer_id", "x"])


def test_scratch_folders_are_apart_gone_afterwards_and_swept_after_a_kill(tmp_path):
    with scratch_folder(tmp_path, "score") as one, scratch_folder(tmp_path, "score") as other:
        assert one != other
    assert list((tmp_path / "scratch").iterdir()) == []
    (tmp_path / "scratch" / "score-killed").mkdir()
    (tmp_path / "scratch" / "features-at-work").mkdir()
    sweep(tmp_path, "score")
    assert [path.name for path in (tmp_path / "scratch").iterdir()] == ["features-at-work"]
