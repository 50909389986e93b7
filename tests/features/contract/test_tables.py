"""The contract as data says what the document says, and is sound in itself."""

from __future__ import annotations

import pytest

from support.rows.table_files import REQUIRED
from vouch.features.contract.described import contract_rows
from vouch.features.contract.tables import ACTIVITY_TABLES, ITEMS, KINDS, TABLES, _column
from vouch.features.errors import DefinitionError
from vouch.features.metrics.catalogue import load_metrics

TABLE = pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)


def test_there_are_the_twenty_four_tables_of_the_contract():
    assert list(TABLES) == list(REQUIRED)
    assert [name for name, table in TABLES.items() if table.is_required] == ["customers"]
    assert set(ACTIVITY_TABLES) <= TABLES.keys()


@TABLE
def test_what_a_table_names_is_one_of_its_columns(table):
    named = [*table.clock, *table.later, *table.undated, *table.references, *([table.key] if table.key else [])]
    named += [fact for facts in table.later.values() for fact in facts]
    assert set(named) <= table.columns.keys()
    assert all(column.kind in KINDS for column in table.columns.values())


@TABLE
def test_own_times_and_later_dates_are_times(table):
    assert all(table.columns[name].kind == "time" for name in [*table.clock, *table.later])
    assert all(column.staged.endswith("_us") for column in table.columns.values() if column.kind == "time")


@TABLE
def test_an_own_time_is_required_unless_another_column_can_stand_in(table):
    assert len(table.clock) > 1 or table.columns[table.clock[0]].is_required


@TABLE
def test_a_key_is_required_except_that_of_usage_events(table):
    assert table.key is None or table.columns[table.key].is_required != (table.name == "usage_events")


@TABLE
def test_every_table_may_say_when_a_row_was_known_and_whether_it_is_withdrawn(table):
    assert {"ingested_at", "is_deleted"} <= table.columns.keys()


@TABLE
def test_references_point_into_the_contract(table):
    assert all(column in TABLES[target].columns for target, column in table.references.values())


@TABLE
def test_the_documentation_names_every_table_and_column(table):
    rows = {row["column"]: row for row in contract_rows() if row["table"] == table.name}
    assert list(rows) == list(table.columns)
    for column in table.columns.values():
        assert rows[column.name]["required"] == column.is_required
        assert all(value in rows[column.name]["kind"] for value in column.values)
    assert "own time" in rows[table.clock[0]]["role"]
    assert table.key is None or "key" in rows[table.key]["role"]


@pytest.mark.parametrize("line", ["name", "name: text", "name colour", "score? number 0-5", "a b c"])
def test_a_column_line_that_says_nothing_known_is_refused(line):
    with pytest.raises(DefinitionError):
        _column(line)


def test_a_column_line_says_kind_need_and_limits():
    column = _column("counterfactual? number -1.5..2")
    assert (column.kind, column.is_required, column.minimum, column.maximum) == ("number", False, -1.5, 2.0)
    assert _column("opened_at time").staged == "opened_us"


def test_the_documentation_names_every_item_with_what_it_feeds():
    (told,) = [row["role"] for row in contract_rows() if (row["table"], row["column"]) == ("surveys", "item")]
    known = set(load_metrics())
    for instrument, items in ITEMS.items():
        assert f"{instrument}: " in told
        for item in items:
            assert f"{item.name}{'...' * item.is_prefix} ({', '.join(item.feeds)})" in told
            assert set(item.feeds) <= known
