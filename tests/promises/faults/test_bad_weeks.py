"""Input that cannot be what it should be, kind by kind, through the weekly batch: message, exit code, last week."""

from __future__ import annotations

import json

import pytest

from support.handwritten_weeks import BEFORE, publish
from support.rows.bad_files import TYPES, UNREADABLE
from support.rows.table_files import company, row, write_csv, write_parquet
from vouch.serving.snapshots import files

NOW = "2026-01-05T06:00:00Z"


def unreadable(name, folder):
    kind, content, _ = UNREADABLE[name]
    write_csv(folder, {"customers": [row("customers")]})
    (folder / f"usage_events.{kind}").write_bytes(content)


def mistyped(name, folder):
    import polars

    table, changes, *_ = TYPES[name]
    count = len(next(iter(changes.values())))
    columns = {key: [value] * count for key, value in row(table).items()} | changes
    write_parquet(folder, company())
    polars.DataFrame(columns).write_parquet(folder / f"{table}.parquet")


KINDS = {**dict.fromkeys(UNREADABLE, unreadable), **dict.fromkeys(TYPES, mistyped)}


def test_there_are_thirty_kinds():
    assert len(KINDS) >= 30


@pytest.mark.parametrize("name", KINDS)
def test_broken_input_stops_the_batch_in_one_line_and_last_week_stays(tmp_path, vouch, name):
    home, folder = tmp_path / "home", tmp_path / "tables"
    before = publish(home, BEFORE)
    KINDS[name](name, folder)
    code, out, err = vouch("score", folder, "--as-of", "2026-01-05", "--now", NOW, "--format", "json")
    assert code == 1
    assert err.startswith("vouch: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    document = json.loads(out)
    assert (document["outcome"], document["exit_code"]) == ("failed", 1)
    assert files.read_snapshot(home) == before
    assert files.published(home) == [BEFORE]
