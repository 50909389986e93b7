"""An id that is named in a command or a request is looked up as staging has it: one form, whatever it came as."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.rows.table_files import company, read, row, staged, write_csv, write_parquet
from vouch.features.contract.tables import TABLES
from vouch.features.engines import as_staged, id_form
from vouch.features.errors import UsageError
from vouch.features.ingest.erased import Tombstones, columns_of_people

BLANKS = " \u00a0\u1680\u2000\u2003\u200a\u202f\u205f\u3000"
NAMES = [
    "c1",
    "Zo\u00eb",
    "Zoe\u0308 2",
    "\u1100\u1175\u11b7",
    "\u212b",
    "\u0958",
    "a\u200bb",
    "\ttab",
    "x\u0301\u0323",
]
IDS = [*NAMES, *(f"{blank}{name} {number}{blank}" for number, name in enumerate(NAMES) for blank in BLANKS)]


@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_every_id_is_staged_as_it_is_looked_up(tmp_path, write):
    people = [row("customers", customer_id=who) for who in IDS]
    found = staged(write(tmp_path / "tables", company(customers=people)))
    assert set(read(found, "customers")["customer_id"].to_list()) == set(map(as_staged, IDS))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_the_engine_and_a_look_up_have_one_form(text):
    with duckdb.connect() as connection:
        ((told,),) = connection.execute(f"SELECT {id_form('CAST(? AS VARCHAR)')}", [text]).fetchall()
    assert as_staged(text) == (told or "")
    assert as_staged(as_staged(text)) == as_staged(text)


def test_what_is_no_text_is_no_id():
    with pytest.raises(UsageError):
        as_staged("\udcff")


def test_a_tombstone_holds_for_every_spelling():
    key = b"k" * 32
    buried = Tombstones(key, frozenset([Tombstones(key).hash_of("Zo\u00eb")]))
    assert all(who in buried for who in ("Zo\u00eb", "Zoe\u0308", "\u00a0Zoe\u0308 "))
    assert "Zoe" not in buried


def test_ids_of_orders_products_and_asks_are_no_people():
    told = {name for table in TABLES.values() for name in columns_of_people(table)}
    assert {"customer_id", "advocate_id", "prospect_id", "referred_by", "author", "user_id"} <= told
    assert not told & {"product_id", "order_id", "ask_id", "lot_id"}
