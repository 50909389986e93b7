"""A week in bulk: the rows of the week in each form, in parts, once per change, for admins, in bounded memory."""

from __future__ import annotations

import contextlib
import csv
import gc
import io
import json
import operator
import re
import subprocess
import sys
import tracemalloc
import weakref
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.handwritten_weeks import BEFORE, EARLIER, HOSTILE, MONDAY, WEEK, customer, publish
from support.published_weeks import write_company
from support.servers.answering import NOW, Served
from support.servers.on_loopback import on_loopback
from support.servers.running_service import wait_for
from vouch.features.instants import WEEK_US
from vouch.features.project import environment
from vouch.serving.api.bulk.answers import part_of
from vouch.serving.api.bulk.files import BulkFiles, BulkGet
from vouch.serving.api.bulk.rows import changes
from vouch.serving.api.problems import Problem
from vouch.serving.api.state import ServingState
from vouch.serving.asking.by_hand import SCORES_OF_OBJECTORS
from vouch.serving.snapshots.files import read_snapshot
from vouch.serving.store.actions import set_objection
from vouch.serving.store.callers import EVERYBODY

LATER = sorted(EARLIER, key=operator.itemgetter("customer_id"))
ROUTE = "/v1/week/scores"
PAGE = Path(__file__).parents[4] / "serving" / "docs" / "reach.md"


@pytest.fixture
def served(tmp_path):
    publish(tmp_path, BEFORE, people=LATER)
    found = Served(tmp_path)
    yield found
    found.close()


def get(served, *, headers=None, **query):
    return served.call("GET", ROUTE, "admin", params=query, headers=headers or {})


def rows_of(answer, form):
    if form == "parquet":
        return pq.read_table(pa.BufferReader(answer.content)).to_pylist()
    if form == "ndjson":
        return [json.loads(line) for line in answer.content.splitlines()]
    return list(csv.DictReader(io.StringIO(answer.content.decode())))


@pytest.mark.parametrize("form", ["parquet", "ndjson", "csv"])
def test_a_week_has_the_same_customers_and_figures_in_each_form(served, form):
    answer = get(served, format=form)
    assert (answer.status_code, answer.headers["vouch-rows"]) == (200, str(len(WEEK)))
    rows = {row["customer_id"].lstrip("'"): row for row in rows_of(answer, form)}
    told = {row["customer_id"]: row for row in read_snapshot(served.store.home).table("scores").to_pylist()}
    assert rows.keys() == told.keys()
    for name, row in told.items():
        assert (rows[name]["churn_status"], str(rows[name]["as_of"])) == (row["churn_status"], "2026-11-16")
        given = rows[name]["churn_probability"]
        assert (None if given in (None, "") else float(given)) == row["churn_probability"]
        reasons = rows[name]["churn_reasons"]
        assert (json.loads(reasons) if form == "csv" and reasons else reasons or None) == row["churn_reasons"]


def test_csv_holds_no_cell_that_a_spreadsheet_computes(tmp_path):
    publish(tmp_path, people=[customer("=1+1"), customer("c1")])
    store = ServingState(tmp_path)
    store.refresh()
    file = BulkFiles().get(store, BulkGet(format="csv"))
    cells = [cell for row in csv.reader(io.StringIO(file.read(0, file.size).decode())) for cell in row]
    assert "'=1+1" in cells
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@"))]
    store.stop()


def test_a_file_is_let_go_of_where_somebody_objects_or_a_week_moves(tmp_path):
    served = Served(tmp_path)

    def made():
        get(served, format="csv")
        return weakref.ref(next(reversed(served.store.counted[BulkFiles]._held.values())))

    first = made()
    assert first() is made()(), "it is made once"
    set_objection(served.database, "c1", True, EVERYBODY, NOW)
    second = made()
    publish(tmp_path)
    served.store.refresh()
    third = made()
    gc.collect()
    assert (first(), second(), third() is None) == (None, None, False)
    served.close()


def test_parts_put_together_are_the_file_and_go_on_only_while_it_is_the_same(served):
    whole = get(served)
    tag, size = whole.headers["etag"], len(whole.content)
    assert not tag.startswith("W/")
    parts = [get(served, headers={"range": f"bytes={at}-{at + 999}", "if-range": tag}) for at in range(0, size, 1000)]
    assert {part.status_code for part in parts} == {206}
    assert b"".join(part.content for part in parts) == whole.content
    assert parts[0].headers["content-range"] == f"bytes 0-999/{size}"
    other = get(served, headers={"range": "bytes=0-9", "if-range": '"another"'})
    assert (other.status_code, other.content) == (200, whole.content)
    beyond = get(served, headers={"range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.json()["code"]) == (416, "range_not_satisfiable")
    assert beyond.headers["content-range"] == f"bytes */{size}"
    same = get(served, headers={"if-none-match": tag})
    assert (same.status_code, same.content) == (304, b"")
    head = served.call("HEAD", ROUTE, "admin")
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(size), b"")


@given(st.binary(max_size=40), st.text("0123456789-=bytes,", max_size=14), st.integers(0, 50), st.integers(0, 50))
@settings(max_examples=200, deadline=None)
def test_whatever_a_range_says_a_part_lies_in_the_file(content, odd, first, last):
    for header in (odd, f"bytes={odd}", f"bytes={first}-{last}", f"bytes=-{last}", f"bytes={first}-"):
        with contextlib.suppress(Problem):
            part = part_of(header, len(content))
            assert part is None or 0 <= part[0] < part[1] <= len(content)


def test_what_has_changed_since_is_told_with_what_happened(served):
    rows = {
        row["customer_id"]: row for row in rows_of(get(served, format="ndjson", changed_since="2026-11-10"), "ndjson")
    }
    assert {name: row["change"] for name, row in rows.items()} == {
        HOSTILE: "added", "c0": "gone", "c1": "changed", "c5": "changed",
    }  # fmt: skip
    assert {name for name, value in rows["c0"].items() if value is not None} == {"customer_id", "as_of", "change"}
    assert rows["c0"]["as_of"] == "2026-11-16"
    none = get(served, format="parquet", changed_since="2026-11-16")
    assert (none.headers["vouch-rows"], rows_of(none, "parquet")) == ("0", [])
    assert get(served, changed_since="2020-01-06").json()["code"] == "week_gone"
    assert get(served, changed_since="soon").json()["field"] == "changed_since"
    assert get(served, as_of="2020-01-06").status_code == 410
    assert get(served, format="xlsx").status_code == 422


def ordered(scores):
    ids = sorted(scores)
    columns = {"customer_id": ids, "as_of": ["now"] * len(ids), "churn_probability": [scores[one] for one in ids]}
    types = {"customer_id": pa.string(), "as_of": pa.string(), "churn_probability": pa.float64()}
    return pa.table(columns, pa.schema(types.items()))


def in_parts(table, size):
    return [table.slice(start, size) for start in range(0, max(len(table), 1), size)]


WEEKS = st.dictionaries(st.text("abé\U0001f600", min_size=1, max_size=3), st.sampled_from([None, 0.1, 0.104, 0.5]))


@given(WEEKS, WEEKS, st.integers(1, 4), st.integers(1, 4))
@settings(max_examples=150, deadline=None)
def test_changes_are_the_difference_of_two_weeks_however_they_are_cut(now, before, size, earlier_size):
    parts = list(changes(in_parts(ordered(now), size), in_parts(ordered(before), earlier_size)))
    told = {row["customer_id"]: row["change"] for part in parts for row in part.to_pylist()}
    rounded = [{name: None if one is None else round(one, 2) for name, one in week.items()} for week in (now, before)]
    after, then = rounded
    wanted = dict.fromkeys(after.keys() - then.keys(), "added") | dict.fromkeys(then.keys() - after.keys(), "gone")
    wanted |= {name: "changed" for name in after.keys() & then.keys() if after[name] != then[name]}
    assert told == wanted
    assert sum(map(len, parts)) == len(wanted)


def test_who_objects_is_told_without_scores_from_that_moment_on(served):
    before = get(served)
    set_objection(served.database, "c1", True, EVERYBODY, NOW)
    after = get(served)
    assert after.headers["etag"] != before.headers["etag"]
    (row,) = [row for row in rows_of(after, "parquet") if row["customer_id"] == "c1"]
    told = {name: value for name, value in row.items() if value is not None and name not in ("customer_id", "as_of")}
    assert told.keys() == SCORES_OF_OBJECTORS.keys()
    assert row["churn_status"] == "opted_out"


def test_a_week_that_only_the_store_holds_is_the_same(served):
    from_disk = rows_of(get(served), "parquet")
    for path in sorted((served.store.home / "snapshots").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert rows_of(get(served), "parquet") == from_disk


def test_memory_does_not_grow_with_the_week(tmp_path):
    write_company(tmp_path, 40_000)
    store = ServingState(tmp_path)
    store.refresh()
    request = BulkGet()
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    file = BulkFiles().get(store, request)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    table = read_snapshot(tmp_path).table("scores")
    assert file.rows == 40_000
    assert peak < 30_000_000
    wait_for(lambda: pa.total_allocated_bytes() - before - table.nbytes < 1_000_000, 5)  # its threads give back later
    assert not list((tmp_path / "serving").glob("tmp*")), "the file has no name"
    store.stop()


def test_the_loader_of_the_documentation_keeps_a_warehouse_as_the_weeks_are(tmp_path):
    loader = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
    assert len(loader.splitlines()) <= 16
    served = Served(tmp_path / "home")
    with on_loopback(served.app) as url:
        told = environment(VOUCH_URL=url, VOUCH_KEY=served.keys["admin"])
        for as_of_us, people in ((MONDAY, WEEK), (MONDAY + WEEK_US, LATER), (MONDAY + WEEK_US, LATER)):
            if people is LATER:
                publish(tmp_path / "home", as_of_us, people=people)
                served.store.refresh()
            subprocess.run([sys.executable, "-c", loader], cwd=tmp_path, env=told, check=True, timeout=120)
            with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as warehouse:
                kept = warehouse.execute("select customer_id, churn_probability from scores").fetchall()
            assert sorted(kept) == sorted((row["customer_id"], row["churn_probability"]) for row in people)
    served.close()
