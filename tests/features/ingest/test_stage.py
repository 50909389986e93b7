"""Wherever a company's tables are, they come out the same: CSV, Parquet, DuckDB, PostgreSQL, and by a mapping."""

from __future__ import annotations

import gzip
import json
import shutil
from datetime import UTC, date, datetime
from decimal import Decimal

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.rows.table_files import DAY_US, NOW_US, company, read, row, staged, write_csv, write_parquet
from vouch.features.asof import view
from vouch.features.contract.tables import TABLES
from vouch.features.errors import ConfigurationError, Damaged, DataError, MissingExtra, SourceUnreadable, UsageError
from vouch.features.ingest.databases import Schema
from vouch.features.ingest.inputs import FORM
from vouch.features.ingest.stage import AUTO, SMALL_BYTES, open_tables, opened, stage, tables_from_rows
from vouch.features.metrics.feeds import contract_report
from vouch.features.project import Project, load_project

SIMULATED_NOW_US = 1_800_000_000_000_000


def digests(found):
    return json.loads((found.folder / "manifest.json").read_text())["files"]


def staged_from(location, home, now_us=SIMULATED_NOW_US, **settings):
    return stage(Project(home=home, location=str(location), **settings), now_us)


@pytest.fixture(scope="module")
def simulated(company, tmp_path_factory):
    """The simulated company staged from its Parquet files."""
    return staged_from(company, tmp_path_factory.mktemp("from-parquet"))


@pytest.fixture(scope="module")
def tables_of(company):
    return {path.stem: path for path in sorted(company.glob("*.parquet"))}


def same(found, simulated):
    assert digests(found) == digests(simulated)
    assert found.columns == simulated.columns
    assert found.counted["tables"] == simulated.counted["tables"]


def test_a_company_as_csv_gives_the_same_bytes(simulated, tables_of, tmp_path):
    (tmp_path / "csv").mkdir()
    for name, path in tables_of.items():
        duckdb.execute(
            f"SET TimeZone = 'Asia/Kathmandu'; COPY (FROM '{path}') TO '{tmp_path}/csv/{name}.csv' (DELIM ';')"
        )
    same(staged_from(tmp_path / "csv", tmp_path / "home"), simulated)


def test_a_company_as_a_duckdb_file_gives_the_same_bytes(simulated, tables_of, tmp_path):
    with duckdb.connect(str(tmp_path / "company.duckdb")) as connection:
        for name, path in tables_of.items():
            connection.execute(f"CREATE TABLE {name} AS FROM '{path}' ORDER BY random()")
    found = staged_from(tmp_path / "company.duckdb", tmp_path / "home")
    same(found, simulated)


def test_a_company_in_postgresql_gives_the_same_bytes(simulated, tables_of, tmp_path, make_database):
    from adbc_driver_postgresql import dbapi

    url = make_database()
    with dbapi.connect(url) as connection, connection.cursor() as cursor:
        for name, path in tables_of.items():
            cursor.adbc_ingest(name, pq.read_table(path))
        connection.commit()
    same(staged_from(url, tmp_path / "home"), simulated)


def test_the_order_of_rows_and_the_number_of_threads_change_no_byte(simulated, tables_of, tmp_path):
    (tmp_path / "shuffled").mkdir()
    for name, path in tables_of.items():
        duckdb.execute(f"COPY (FROM '{path}' ORDER BY random()) TO '{tmp_path}/shuffled/{name}.parquet'")
    for threads in (1, 3):
        same(staged_from(tmp_path / "shuffled", tmp_path / f"home{threads}", threads=threads), simulated)


@pytest.mark.parametrize("engine", ["duckdb", "polars"])
def test_staged_tables_open_on_every_engine(simulated, engine):
    tables = open_tables(simulated, engine)
    for name, frame in tables.frames.items():
        opened = frame.collect("polars").to_native()
        expected = read(simulated, name)
        assert opened.select(expected.columns).sort(expected.columns).equals(expected.sort(expected.columns))
    assert (tables.engine, tables.fingerprint) == (engine, simulated.fingerprint)


def test_staged_tables_open_on_spark(tmp_path, spark):
    tables = company(transactions=[row("transactions")], surveys=[row("surveys", verbatim="great")])
    found = staged(write_csv(tmp_path / "tables", tables))
    opened = open_tables(found, "spark")
    for name in found.columns:
        frame = pl.DataFrame(opened.frames[name].collect("pyarrow").to_native())
        assert frame.equals(read(found, name).select(frame.columns))


def test_contract_form_holds_every_column_typed(simulated):
    types = {
        **dict.fromkeys(["own_us", "ingested_us", "superseded_us", "day", "polarity"], pl.Int64),
        **dict.fromkeys(["is_stated", "is_deleted"], pl.Boolean),
    }
    kinds = {"text": pl.String, "time": pl.Int64, "integer": pl.Int64, "boolean": pl.Boolean, "probability": pl.Float64}
    for name in simulated.columns:
        schema = read(simulated, name).schema
        for column in TABLES[name].columns.values():
            if column.name not in {"ingested_at", "is_deleted"}:
                assert schema[column.staged] == kinds.get(column.kind, pl.Decimal(18, 4))
        added = schema.keys() & types.keys()
        assert added == types.keys() - ({"polarity"} if name not in {"surveys", "feedback", "social_posts"} else set())
        assert all(schema[column] == types[column] for column in added)


# --- CSV -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
def test_separators_byte_order_marks_and_line_ends_of_csv(tmp_path, separator, mark, ends):
    folder = write_csv(tmp_path / "tables", company(), separator)
    for path in folder.iterdir():
        path.write_bytes(mark + path.read_bytes().replace(b"\r\n", ends))
    found = staged(folder)
    assert found.counted["tables"]["customers"]["quarantined"] == 0
    assert read(found, "usage_events")["event"].to_list() == ["login"]


def test_texts_of_csv_may_hold_separators_quotes_and_line_breaks(tmp_path):
    text = 'She said "great; really, great"\nand left'
    found = staged(write_csv(tmp_path / "tables", company(feedback=[row("feedback", text=text)])))
    assert read(found, "feedback")["text"].to_list() == [text]


@pytest.mark.parametrize("word", ["", "NA", "n/a", "NULL", "None", "nan", "NaN", " null "])
def test_words_for_null_in_csv(tmp_path, word):
    rows = [
        row("customers", industry=word),
        row("customers", customer_id=word),
        row("customers", customer_id="c2", industry="b"),
    ]
    found = staged(write_csv(tmp_path / "tables", company(customers=rows)))
    assert dict(read(found, "customers").select("customer_id", "industry").rows()) == {"c1": None, "c2": "b"}
    assert found.counted["tables"]["customers"]["reasons"] == {"missing": 1, **({"null_word": 2} if word else {})}
    assert found.counted["tables"]["customers"]["cells"] == 0


def test_words_that_only_csv_reads_as_null_are_text_in_parquet(tmp_path):
    found = staged(write_parquet(tmp_path / "tables", company(customers=[row("customers", region="NA")])))
    assert read(found, "customers")["region"].to_list() == ["NA"]


def test_names_of_columns_in_other_letters_are_found(tmp_path):
    rows = {name: [{k.upper(): v for k, v in one.items()} for one in rows] for name, rows in company().items()}
    assert staged(write_csv(tmp_path / "tables", rows)).columns["customers"] == {"customer_id", "created_at"}


def test_rows_are_numbered_from_0_as_they_stand_in_the_file(tmp_path):
    events = [
        row("usage_events", event_id=n, occurred_at="bad" if n % 1000 == 7 else "2025-02-01") for n in range(5000)
    ]
    for write in (write_csv, write_parquet):
        found = staged(write(tmp_path / write.__name__, company(usage_events=events)))
        quarantine = pl.read_parquet(tmp_path / "home" / "quarantine" / "usage_events.parquet")
        assert quarantine["row"].to_list() == [7, 1007, 2007, 3007, 4007]
        assert found.counted["tables"]["usage_events"]["quarantined"] == 5


# --- Parquet ---------------------------------------------------------------------------------------------------------

INSTANT = datetime(2025, 2, 1, 10, 30, tzinfo=UTC)
NAIVE = INSTANT.replace(tzinfo=None)
ODD_TIMES = [
    pa.array([NAIVE], pa.timestamp("ns")),
    pa.array([NAIVE], pa.timestamp("ms")),
    pa.array([NAIVE], pa.timestamp("us")),
    pa.array([INSTANT], pa.timestamp("ns", tz="UTC")),
    pa.array([INSTANT], pa.timestamp("ms", tz="Asia/Tokyo")),
    pa.array(["2025-02-01T10:30:00Z"]).dictionary_encode(),
    pa.array([b"2025-02-01 10:30:00"], pa.binary()),
]


@pytest.mark.parametrize("times", ODD_TIMES, ids=lambda array: str(array.type))
def test_times_of_every_physical_type_are_the_same_instant(tmp_path, times):
    folder = write_parquet(tmp_path / "tables", company())
    pq.write_table(
        pa.table({"customer_id": ["c1"], "occurred_at": times, "event": ["x"]}), folder / "usage_events.parquet"
    )
    assert read(staged(folder), "usage_events")["occurred_us"].to_list() == [int(INSTANT.timestamp() * 1e6)]


@pytest.mark.parametrize(
    "ids",
    [
        pa.array([7, 8], pa.int64()),
        pa.array([7, 8], pa.uint8()),
        pa.array([7.0, 8.0]),
        pa.array([Decimal(7), Decimal(8)], pa.decimal128(10, 0)),
        pa.array([Decimal(7), Decimal(8)], pa.decimal128(10, 2)),
        pa.array(["7", "8"]).dictionary_encode(),
        pa.array([b"7", b"8"]),
    ],
    ids=lambda array: str(array.type),
)
def test_ids_of_every_physical_type_are_the_same_text(tmp_path, ids):
    folder = write_parquet(tmp_path / "tables", company(usage_events=[row("usage_events", customer_id="7")]))
    dates = pa.array([date(2025, 1, 1)] * 2)
    pq.write_table(pa.table({"customer_id": ids, "created_at": dates}), folder / "customers.parquet")
    found = staged(folder)
    assert read(found, "customers")["customer_id"].to_list() == ["7", "8"]
    assert found.counted["tables"]["usage_events"]["orphans"] == 0


@pytest.mark.parametrize(
    "amounts",
    [
        pa.array([10.25, -3.0, 0.1]),
        pa.array([10.25, -3.0, 0.1], pa.float32()),
        pa.array([Decimal("10.25"), Decimal(-3), Decimal("0.1")], pa.decimal128(38, 10)),
        pa.array(["10.25", "-3", "1e-1"]),
    ],
    ids=lambda array: str(array.type),
)
def test_money_of_every_physical_type_is_the_same_decimal(tmp_path, amounts):
    folder = write_parquet(tmp_path / "tables", company())
    columns = {key: [value] * 3 for key, value in row("transactions").items()}
    columns |= {"transaction_id": [1, 2, 3], "amount": amounts}
    pq.write_table(pa.table(columns), folder / "transactions.parquet")
    staged_amounts = read(staged(folder), "transactions").sort("transaction_id")["amount"].to_list()
    assert staged_amounts == [Decimal("10.25"), Decimal(-3), Decimal("0.1")]


def test_broken_numbers_of_typed_files_are_told_as_json(tmp_path):
    folder = write_parquet(tmp_path / "tables", company())
    values = pa.array([1.5, float("nan"), float("inf"), 1e300])
    columns = {key: [value] * 4 for key, value in row("usage_events").items()} | {"value": values}
    pq.write_table(pa.table(columns), folder / "usage_events.parquet")
    found = staged(folder)
    assert found.counted["tables"]["usage_events"]["reasons"] == {"not_finite": 2, "too_large": 1}
    quarantine = pl.read_parquet(found.folder / "quarantine" / "usage_events.parquet")
    assert [json.loads(raw)["value"] for raw in quarantine["raw"]] == ["nan", "inf", 1e300]


def test_a_folder_of_parts_as_spark_writes_it_is_one_table(tmp_path):
    folder = write_parquet(tmp_path / "tables", company())
    parts = folder / "tickets"
    for number in range(3):
        write_parquet(parts, {f"part-{number}": [row("tickets", ticket_id=f"k{number}", csat="9")]})
    (parts / "_SUCCESS").touch()
    found = staged(folder)
    assert found.counted["tables"]["tickets"]["rows"] == 3
    assert pl.read_parquet(found.folder / "quarantine" / "tickets.parquet")["row"].to_list() == [0, 1, 2]


# --- a company's own names -------------------------------------------------------------------------------------------

ORDERS = [
    {"id": "o1", "who": "c1", "order_ts": "1738368000", "total": "10", "note": "x"},
    {"id": "o2", "who": "c2", "order_ts": "1738454400", "total": "20", "note": "NA"},
]
MAPPING = """
[source]
orders = "orders.csv"
[tables.transactions]
from = "orders"
columns = { transaction_id = "id", customer_id = "who", occurred_at = "order_ts", amount = "total" }
constants = { kind = "purchase" }
epoch = { occurred_at = "s" }
[tables.customers]
query = "select who as customer_id, to_timestamp(min(cast(order_ts as bigint))) as created_at from orders group by who"
"""


def mapped(folder, text, monkeypatch, now_us=NOW_US):
    monkeypatch.setenv("VOUCH_HOME", str(folder / "home"))
    (folder / "vouch.toml").write_text(text)
    return stage(load_project(str(folder / "vouch.toml")), now_us)


def test_renames_constants_epochs_and_queries(tmp_path, monkeypatch):
    write_csv(tmp_path, {"orders": ORDERS})
    found = mapped(tmp_path, MAPPING, monkeypatch)
    transactions = read(found, "transactions").select("transaction_id", "customer_id", "occurred_us", "amount", "kind")
    assert transactions.rows() == [
        ("o1", "c1", 1_738_368_000_000_000, Decimal(10), "purchase"),
        ("o2", "c2", 1_738_454_400_000_000, Decimal(20), "purchase"),
    ]
    assert found.columns["transactions"] == {"transaction_id", "customer_id", "occurred_at", "amount", "kind", "note"}
    assert read(found, "customers")["customer_id"].to_list() == ["c1", "c2"]
    assert [(one.column, one.is_taken) for one in found.own.verdicts] == [("note", True)]


@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 1_000), ("us", 1_000_000)])
@pytest.mark.parametrize("kind", [str, int, float])
def test_epoch_numbers_are_read_where_the_mapping_says_so(tmp_path, monkeypatch, unit, factor, kind):
    write_parquet(tmp_path, {"orders": [{**ORDERS[0], "order_ts": kind(1_738_368_000 * factor)}]})
    text = MAPPING.replace("orders.csv", "orders.parquet").replace('"s"', f'"{unit}"')
    found = mapped(tmp_path, text.replace("min(cast(order_ts as bigint))", "0"), monkeypatch)
    assert read(found, "transactions")["occurred_us"].to_list() == [1_738_368_000_000_000]


def test_words_for_null_are_null_in_queries_over_csv(tmp_path, monkeypatch):
    write_csv(tmp_path, {"orders": ORDERS})
    text = MAPPING.replace("group by who", "where note is not null group by who")
    assert read(mapped(tmp_path, text, monkeypatch), "customers")["customer_id"].to_list() == ["c1"]


def test_relations_of_a_duckdb_file_are_mapped_with_their_schema(tmp_path, monkeypatch):
    write_csv(tmp_path, {"orders": ORDERS})
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as connection:
        connection.execute(f"CREATE SCHEMA raw; CREATE TABLE raw.orders AS FROM '{tmp_path}/orders.csv'")
        connection.execute("CREATE TABLE unrelated AS SELECT 1 AS x")
    text = 'data = "shop.duckdb"\n' + MAPPING.replace('[source]\norders = "orders.csv"\n', "")
    text = text.replace('from = "orders"', 'from = "raw.orders"').replace("from orders", "from raw.orders")
    first = mapped(tmp_path, text, monkeypatch)
    assert first.counted["tables"]["transactions"]["rows"] == 2
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as connection:
        connection.execute("INSERT INTO unrelated VALUES (2)")
    assert mapped(tmp_path, text, monkeypatch).fingerprint == first.fingerprint
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as connection:
        connection.execute("INSERT INTO raw.orders FROM raw.orders LIMIT 1")
    assert mapped(tmp_path, text, monkeypatch).fingerprint != first.fingerprint


def test_a_postgresql_schema_is_named_and_odd_types_are_read(tmp_path, make_database):
    import psycopg

    url = make_database()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE SCHEMA crm")
        connection.execute("CREATE TYPE crm.plan AS ENUM ('basic', 'pro')")
        connection.execute(
            "CREATE TABLE crm.customers (customer_id uuid, created_at date, plan crm.plan, region char(5), "
            "is_internal bool, birth_year smallint, extra jsonb)"
        )
        one = "'12345678-1234-1234-1234-123456789abc'"
        connection.execute(
            f"INSERT INTO crm.customers VALUES ({one}, '2025-01-01', 'pro', 'north', true, 1980, '{{}}')"
        )
        connection.execute("CREATE TABLE crm.orders (id serial, who uuid, at timestamp, total numeric(12, 2))")
        for total in ("10.25", "'NaN'", "3"):
            connection.execute(f"INSERT INTO crm.orders (who, at, total) VALUES ({one}, '2025-02-01 10:30', {total})")
        connection.execute("INSERT INTO crm.orders (who, at, total) VALUES (NULL, 'infinity', 1)")
        connection.execute(
            "CREATE VIEW crm.transactions AS SELECT id AS transaction_id, who AS customer_id, at AS occurred_at, "
            "total AS amount, 'purchase'::text AS kind FROM crm.orders"
        )
    found = staged_from(f"{url}?schema=crm", tmp_path / "home")
    customer = read(found, "customers").select("customer_id", "plan", "region", "is_internal", "birth_year").row(0)
    assert customer == ("12345678-1234-1234-1234-123456789abc", "pro", "north", True, 1980)
    assert read(found, "transactions")["amount"].sort().to_list() == [Decimal(3), Decimal("10.25")]
    assert found.counted["tables"]["transactions"]["reasons"] == {"missing": 1, "not_a_time": 1, "not_finite": 1}
    by_path = staged_from(f"{url}?options=-csearch_path%3Dcrm", tmp_path / "home")
    assert by_path.fingerprint == found.fingerprint
    with pytest.raises(SourceUnreadable, match="'nowhere' is not there"):
        staged_from(f"{url}?schema=nowhere", tmp_path / "home")


def test_a_server_that_cannot_be_reached_is_told_without_the_password(tmp_path):
    with pytest.raises(SourceUnreadable) as told:
        staged_from("postgresql://ann:secret@127.0.0.1:1/shop?connect_timeout=2", tmp_path / "home")
    assert "ann:***@127.0.0.1:1/shop" in str(told.value)
    assert "secret" not in str(told.value)
    assert "secret" not in repr(Schema.parse("postgresql://ann:secret@db/shop?schema=crm"))


def test_without_the_driver_the_command_that_mends_it_is_told(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql", None)
    with pytest.raises(MissingExtra, match=r"pip install 'vouch\[postgres\]'"):
        staged_from("postgresql://db/shop", tmp_path / "home")


QUERY = "select who as customer_id, '2025-01-01' as created_at from orders"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("select * from nowhere", "nowhere"),
        ("selct 1", "syntax error"),
        ("select 1; select 2", "one SELECT"),
        ("drop table orders", "one SELECT"),
        ("copy (select 1) to 'x.csv'", "one SELECT"),
        ("attach '{outside}' as x", "one SELECT"),
        ("set threads = 1", "one SELECT"),
        ("", "one SELECT"),
        ("select * from read_text('{outside}')", "disabled by configuration"),
        ("select * from read_csv('{outside}')", "disabled by configuration"),
        ("select * from '{outside}'", "disabled by configuration"),
        ("select * from read_text('{home}/../outside.csv')", "disabled by configuration"),
        ("select * from glob('/etc/*')", "disabled by configuration"),
        ("select * from parquet_metadata('{outside}')", "disabled by configuration"),
        ("select content as customer_id, '2025-01-01' as created_at from read_text('{outside}')", "disabled"),
        ("select * from told", "told"),
    ],
)
def test_a_query_reads_its_sources_and_nothing_else(tmp_path, monkeypatch, query, said):
    write_csv(tmp_path, {"orders": ORDERS, "outside": [{"customer_id": "stolen"}]})
    told = pl.DataFrame({"customer_id": ["from this very function"]})
    assert len(told) == 1
    query = query.format(outside=tmp_path / "outside.csv", home=tmp_path / "home")
    text = MAPPING[: MAPPING.index("[tables.customers]")] + f'[tables.customers]\nquery = "{query}"'
    with pytest.raises(ConfigurationError) as error:
        mapped(tmp_path, text, monkeypatch)
    assert "[tables.customers] query" in str(error.value)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_query_that_fails_on_a_row_is_told_with_its_table(tmp_path, monkeypatch):
    write_csv(tmp_path, {"orders": ORDERS})
    text = MAPPING.replace("cast(order_ts as bigint)", "cast(id as bigint)")
    with pytest.raises(DataError, match=r"\[tables\.customers\] query.*Could not convert string 'a9'"):
        mapped(tmp_path, text, monkeypatch)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('from = "orders"', 'from = "ordres"', "no such source (did you mean 'orders'?)"),
        ('amount = "total"', 'amount = "totl"', "has no column 'totl' (did you mean 'total'?)"),
    ],
)
def test_a_mapping_of_what_is_not_there_is_told(tmp_path, monkeypatch, old, new, said):
    write_csv(tmp_path, {"orders": ORDERS})
    with pytest.raises(ConfigurationError) as told:
        mapped(tmp_path, MAPPING.replace(old, new), monkeypatch)
    assert said in str(told.value)


# --- versions --------------------------------------------------------------------------------------------------------

T0 = NOW_US - 100 * DAY_US
VERSIONS = st.lists(
    st.fixed_dictionaries(
        {
            "ticket_id": st.sampled_from(["k1", "k2"]),
            "opened_at": st.integers(0, 4),
            "ingested_at": st.none() | st.integers(3, 8),
            "priority": st.sampled_from([None, "low", "high"]),
            "is_deleted": st.sampled_from([None, True]),
        }
    ),
    max_size=7,
)


def written(version):
    moments = {
        name: None
        if version[name] is None
        else datetime.fromtimestamp((T0 + version[name] * DAY_US) / 1e6, UTC).isoformat()
        for name in ("opened_at", "ingested_at")
    }
    return {"customer_id": "c1", **version, **moments}


def content(version):
    """How versions tie-break: by content, in the order of the contract, nothing before something."""
    own, ingested = version["opened_at"], version["ingested_at"]
    order = [own, version["priority"], own, own if ingested is None else ingested, ingested is not None]
    return [(value is not None, value) for value in [*order, bool(version["is_deleted"])]]


def facts(versions, instant):
    """The contract's rule, written another way: of the versions known before an instant the latest wins."""
    found = set()
    for key in {version["ticket_id"] for version in versions}:
        known = [v for v in versions if v["ticket_id"] == key]
        known = [v for v in known if (v["opened_at"] if v["ingested_at"] is None else v["ingested_at"]) < instant]
        times = [v["opened_at"] if v["ingested_at"] is None else v["ingested_at"] for v in known]
        latest = [v for v, time in zip(known, times, strict=True) if time == max(times)]
        if latest and len({tuple(content(v)) for v in latest}) == 1:
            (winner, *_) = latest
            if winner["opened_at"] < instant and not winner["is_deleted"]:
                found.add((key, winner["opened_at"], winner["priority"]))
        elif latest:
            found.add((key, "tie"))
    return found


@settings(max_examples=50)
@given(VERSIONS, st.randoms(use_true_random=False))
def test_of_the_versions_of_a_key_the_latest_known_wins_whatever_their_order(versions, random):
    shuffled = random.sample(versions, len(versions))
    frames = []
    for rows in (versions, shuffled):
        given = {"customers": [row("customers")], "tickets": [written(version) for version in rows]}
        tables, report = tables_from_rows(given, NOW_US)
        frame = tables.frames["tickets"].collect().to_native()
        frames.append(frame.sort(frame.columns))
        distinct = {(v["ticket_id"], *content(v)) for v in versions}
        assert len(frame) == len(distinct)
        assert report["tables"]["tickets"]["duplicates"] == len(versions) - len(distinct)
    assert frames[0].equals(frames[1])
    for instant in range(10):
        seen = (
            view(tables, "tickets", T0 + instant * DAY_US)
            .select("ticket_id", "opened_us", "priority")
            .collect("polars")
        )
        rows = {(key, (opened - T0) // DAY_US, priority) for key, opened, priority in seen.to_native().rows()}
        assert len({key for key, *_ in rows}) == len(seen)
        expected = facts(versions, instant)
        tied = {key for key, *rest in expected if rest == ["tie"]}
        assert {one for one in rows if one[0] not in tied} == {one for one in expected if one[0] not in tied}


def test_versions_that_tie_are_counted_and_duplicates_collapse(tmp_path):
    rows = [
        row("tickets", priority="low"),
        row("tickets", priority="low"),
        row("tickets", priority="high"),
        row("tickets", priority="high", ingested_at="2025-03-01"),
    ]
    found = staged(write_csv(tmp_path / "tables", company(tickets=rows)))
    figures = found.counted["tables"]["tickets"]
    assert (figures["rows"], figures["duplicates"], figures["reasons"]) == (4, 1, {"tied_versions": 1})
    ends = read(found, "tickets").sort("superseded_us", nulls_last=True)["superseded_us"].to_list()
    assert ends == [1_738_368_000_000_000, 1_740_787_200_000_000, None]


@pytest.mark.parametrize("table", ["usage_events", "costs", "recognitions"])
def test_equal_rows_of_a_table_without_key_are_true_repeats(tmp_path, table):
    found = staged(write_csv(tmp_path / "tables", company(**{table: [row(table)] * 3})))
    assert found.counted["tables"][table]["duplicates"] == 0
    assert len(read(found, table)) == 3
    assert read(found, table)["superseded_us"].null_count() == 3


def test_only_events_with_an_id_can_be_corrected(tmp_path):
    events = [row("usage_events", event_id=key) for key in ("e1", "e1", "", "")]
    found = staged(write_csv(tmp_path / "tables", company(usage_events=events)))
    assert found.counted["tables"]["usage_events"]["duplicates"] == 1
    assert len(read(found, "usage_events")) == 3


def test_references_to_nothing_are_nulled_and_counted(tmp_path):
    tables = company(
        customers=[row("customers", referred_by="ghost"), row("customers", customer_id="c2", referred_by="c1")],
        referrals=[row("referrals"), row("referrals", referral_id="f2", advocate_id="ghost")],
        asks=[row("asks")],
        advocacy_acts=[row("advocacy_acts", ask_id="k1"), row("advocacy_acts", act_id="a2", ask_id="ghost")],
        loyalty_ledger=[
            row("loyalty_ledger", lot_id="lot"),
            row("loyalty_ledger", entry_id="e2", kind="redeem", lot_id="lot"),
            row("loyalty_ledger", entry_id="e3", kind="redeem", lot_id="e1"),
            row("loyalty_ledger", entry_id="e4", kind="redeem", lot_id="e2"),
        ],
    )
    found = staged(write_csv(tmp_path / "tables", tables))
    expected = {
        "customers": ("customer_id", "referred_by", {"c1": None, "c2": "c1"}),
        "referrals": ("referral_id", "advocate_id", {"f1": "c1", "f2": None}),
        "advocacy_acts": ("act_id", "ask_id", {"a1": "k1", "a2": None}),
        "loyalty_ledger": ("entry_id", "lot_id", {"e1": "lot", "e2": "lot", "e3": "e1", "e4": None}),
    }
    for table, (key, column, values) in expected.items():
        assert dict(read(found, table).select(key, column).rows()) == values
        assert found.counted["tables"][table]["reasons"] == {"dangling_reference": 1}
    assert found.counted["tables"]["referrals"]["orphans"] == 1


def test_a_reference_into_a_table_that_is_absent_is_left_alone(tmp_path):
    found = staged(write_csv(tmp_path / "tables", company(advocacy_acts=[row("advocacy_acts", ask_id="k9")])))
    assert read(found, "advocacy_acts")["ask_id"].to_list() == ["k9"]


def test_what_stays_and_is_odd_is_counted(tmp_path):
    tables = company(
        usage_events=[row("usage_events", occurred_at="2024-12-31"), row("usage_events", customer_id="ghost")],
        surveys=[
            row("surveys", scale_min="1"),
            row("surveys", response_id="r2", instrument="csat", scale_max="5", score="4"),
        ],
    )
    found = staged(write_csv(tmp_path / "tables", tables))
    assert found.counted["tables"]["usage_events"]["reasons"] == {"before_created_at": 1}
    assert found.counted["tables"]["usage_events"]["orphans"] == 1
    assert found.counted["tables"]["surveys"]["reasons"] == {"other_scale": 1}
    told = "surveys.scale_max: 1 of 2 answers to nps on another scale than 0 to 10 stay out of NPS"
    assert any(warning.startswith(told) for warning in found.counted["warnings"])


def test_polarity_is_that_of_the_rating_where_there_is_one(tmp_path):
    tables = company(
        feedback=[
            row("feedback", text="I love it", rating="1", rating_max="5"),
            row("feedback", feedback_id="f2", text="I love it"),
            row("feedback", feedback_id="f3", text="I love it", rating="3"),
            row("feedback", feedback_id="f4"),
        ],
        surveys=[row("surveys", verbatim="I love it"), row("surveys", response_id="r2")],
    )
    found = staged(write_csv(tmp_path / "tables", tables))
    polarity = dict(read(found, "feedback").select("feedback_id", "polarity").rows())
    assert polarity["f1"] == -100
    assert polarity["f2"] == polarity["f3"] > 20
    assert polarity["f4"] is None
    assert dict(read(found, "surveys").select("response_id", "polarity").rows()) == {"r1": polarity["f2"], "r2": None}


# --- staging ---------------------------------------------------------------------------------------------------------


def test_what_is_staged_is_used_again_while_the_input_is_the_same(tmp_path):
    folder = write_csv(tmp_path / "tables", company())
    first = staged(folder)
    written_at = (first.folder / "manifest.json").stat().st_mtime_ns
    again = staged(folder, now_us=NOW_US + 3 * DAY_US)
    assert again == first
    assert (again.folder / "manifest.json").stat().st_mtime_ns == written_at
    with (folder / "customers.csv").open("a") as file:
        file.write("c2,2025-01-01\r\n")
    changed = staged(folder)
    assert changed.fingerprint != first.fingerprint
    assert sorted(path.name for path in (tmp_path / "home" / "staged").iterdir()) == sorted(
        [first.fingerprint, changed.fingerprint]
    )


def test_now_counts_only_where_a_row_lies_in_its_future(tmp_path):
    events = [row("usage_events"), row("usage_events", occurred_at="2026-01-10")]
    folder = write_csv(tmp_path / "tables", company(usage_events=events))
    counts = {}
    for days in (0, 5, 8, 9, 30):
        found = staged(folder, now_us=NOW_US + days * DAY_US)
        counts[days] = (found.fingerprint, found.counted["tables"]["usage_events"]["quarantined"])
    assert counts[0] == counts[5]
    assert counts[8] == counts[9] == counts[30] != counts[0]
    assert (counts[0][1], counts[8][1]) == (1, 0)
    assert staged(folder).fingerprint == counts[0][0]


def test_the_quarantine_shown_is_that_of_the_latest_input(tmp_path):
    bad = write_csv(tmp_path / "bad", company(tickets=[row("tickets", opened_at="soon"), row("tickets")]))
    good = write_csv(tmp_path / "good", company(tickets=[row("tickets")]))
    shown = tmp_path / "home" / "quarantine"
    for folder, names in ((bad, ["tickets.parquet"]), (good, []), (bad, ["tickets.parquet"])):
        staged(folder)
        assert [path.name for path in shown.iterdir()] == names
    quarantine = pl.read_parquet(shown / "tickets.parquet")
    raw = {"ticket_id": "k1", "customer_id": "c1", "opened_at": "soon"}
    assert quarantine.select("row", "scope", "column", "reason").rows() == [(0, "row", "opened_at", "not_a_time")]
    assert json.loads(quarantine["raw"][0]) == raw


@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_a_staged_file_that_is_damaged_is_staged_again_where_its_source_is_as_it_was(tmp_path, caplog, damage):
    folder = write_csv(tmp_path / "tables", company())
    found = staged(folder)
    path = found.folder / "customers.parquet"
    whole = path.read_bytes()

    def spoil():
        content = bytearray(whole)
        content[len(content) // 2] ^= 1
        path.unlink()
        if damage != "gone":
            path.write_bytes(bytes(content) if damage == "flip" else bytes(content[:-1]))

    spoil()
    assert len(open_tables(found, "polars").frames["customers"].collect()) == 1
    assert path.read_bytes() == whole
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"{path} was damaged and is staged again" in caplog.text
    spoil()
    write_csv(tmp_path / "tables", company(customers=[row("customers", customer_id="other")]))
    with pytest.raises(Damaged, match=r"customers\.parquet is damaged"):
        open_tables(found, "polars")


@pytest.mark.parametrize("name", ["manifest.json", "report.json"])
def test_what_is_staged_with_a_damaged_description_is_staged_again(tmp_path, name):
    folder = write_csv(tmp_path / "tables", company())
    first = staged(folder)
    path = first.folder / name
    whole = path.read_text()
    for damaged in (whole[:-20], "", "[]", whole.replace("customers", "customerz"), whole.replace("0", "1")):
        path.write_text(damaged)
        assert staged(folder) == first
        assert path.read_text() == whole
    assert [path.name for path in first.folder.parent.iterdir()] == [first.fingerprint]


@pytest.mark.parametrize("is_by_file", [False, True])
def test_what_another_version_staged_is_staged_again_without_a_word(tmp_path, monkeypatch, caplog, is_by_file):
    """Whatever it looked like: other facts in other words, sealed in another way, or rows in another layout."""
    folder, events = write_csv(tmp_path / "tables", company()), company()["usage_events"]
    if is_by_file:
        (folder / "usage_events.csv").unlink()
        write_csv(folder / "usage_events", {f"part-{number}": events for number in range(2)})
    monkeypatch.setattr("vouch.features.ingest.stage.FORM", FORM - 1)
    monkeypatch.setattr("vouch.features.ingest.stage_files.FORM", FORM - 1)
    monkeypatch.setattr("vouch.features.ingest.inputs.FORM", FORM - 1)
    old = staged(folder)
    monkeypatch.undo()
    for path in old.folder.rglob("*.parquet"):
        if path.is_file():
            pl.read_parquet(path).select(pl.first().alias("renamed")).write_parquet(path.with_suffix(".next"))
            path.with_suffix(".next").replace(path)
    for content in (None, '{"tables": {}, "digest": "of another kind"}', '{"digest": null}'):
        if content is not None:
            (old.folder / "manifest.json").write_text(content)
        found = staged(folder)
        assert found.fingerprint != old.fingerprint
        assert open_tables(found, "polars").frames["usage_events"].collect().to_native().height == 1 + is_by_file
        shutil.rmtree(found.folder)
    assert caplog.records == []


def test_a_home_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "home").write_text("a file in the way")
    with pytest.raises(DataError, match=r"cannot be staged in .*home/staged"):
        staged(write_csv(tmp_path / "tables", company()))


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path):
    import resource

    events = [row("usage_events", event_id=number) for number in range(30_000)]
    folder = write_parquet(tmp_path / "tables", company(usage_events=events))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(DataError, match="cannot be staged"):
            staged(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((tmp_path / "home" / "staged").iterdir()) == []


def test_a_run_that_fails_leaves_nothing_half_made(tmp_path):
    folder = write_csv(tmp_path / "tables", company())
    (folder / "tickets.csv").write_text("ticket_id,customer_id,opened_at\na,b\n")
    with pytest.raises(SourceUnreadable):
        staged(folder)
    assert list((tmp_path / "home" / "staged").iterdir()) == []


def test_a_run_out_of_memory_says_so(simulated, company, tmp_path):
    with pytest.raises(DataError, match="raise memory_limit"):
        staged_from(company, tmp_path / "home", memory_limit="1MB")


def test_an_unknown_engine_is_told(tmp_path):
    found = staged(write_csv(tmp_path / "tables", company()))
    with pytest.raises(UsageError, match="did you mean 'polars'"):
        open_tables(found, "polar")


def test_without_spark_the_command_that_mends_it_is_told(tmp_path, monkeypatch):
    import sys

    found = staged(write_csv(tmp_path / "tables", company()))
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(MissingExtra, match=r"pip install 'vouch\[spark\]'"):
        open_tables(found, "spark")


def monday(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("newest", "now", "expected"),
    [
        ("2025-02-09T23:59:59", "2025-03-01", "2025-02-10"),  # a Sunday: Monday is less than 24 hours away
        ("2025-02-09T00:00:00", "2025-03-01", "2025-02-10"),  # exactly 24 hours
        ("2025-02-08T23:59:59", "2025-03-01", "2025-02-03"),  # more than 24 hours
        ("2025-02-10T00:00:00", "2025-03-01", "2025-02-10"),
        ("2025-02-09T23:59:59", "2025-02-09", "2025-02-03"),  # not after now
        ("2025-02-10T08:00:00", "2025-02-10", "2025-02-10"),
    ],
)
def test_the_default_instant_is_a_monday_that_the_data_reach(tmp_path, newest, now, expected):
    events = [row("usage_events"), row("usage_events", occurred_at=newest)]
    found = staged(write_csv(tmp_path / "tables", company(usage_events=events)), now_us=monday(now))
    assert found.data_through_us == monday(newest)
    assert found.default_as_of_us(monday(now)) == monday(expected)


def test_without_any_activity_there_is_no_default_instant(tmp_path):
    folder = write_csv(tmp_path / "tables", company())
    (folder / "usage_events.csv").write_text("customer_id,occurred_at,event\n")
    found = staged(folder)
    assert "usage_events: the table is there, and holds no rows" in found.counted["warnings"]
    with pytest.raises(DataError, match="--as-of"):
        found.default_as_of_us(NOW_US)


def test_the_report_says_what_is_fed_and_what_is_absent(tmp_path):
    found = staged(write_csv(tmp_path / "tables", company(customers=[row("customers", plan="pro", shoe_size="42")])))
    report = contract_report(found)
    assert set(report) == {"tables", "absent", "own", "warnings"}
    assert set(report["tables"]) == {"customers", "usage_events"}
    assert set(report["absent"]) == set(TABLES) - {"customers", "usage_events"}
    assert any(fed.startswith("usage: ") for fed in report["tables"]["usage_events"]["feeds"])
    assert any(fed.startswith("support: ") for fed in report["absent"]["tickets"])
    assert any(fed.startswith("metrics: nps,") for fed in report["absent"]["surveys"])
    assert report["warnings"] == [
        "customers: columns that the contract does not know are not read: shoe_size",
        "customers: without ingested_at these are today's values, at earlier instants too: plan",
    ]
    json.dumps(report, allow_nan=False)


# --- what files are called -------------------------------------------------------------------------------------------

FOLDERS = ("a[1]*?b", "region=EMEA", "50%", "feature%2Flogin", "p#q", "two words", "o'clock", "{x,y}", "back\\slash")
"""Names of folders that an engine could take for a pattern, an address, or a column."""


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("engine", ["duckdb", "polars"])
def test_the_name_of_a_folder_is_never_a_pattern_nor_a_column(tmp_path, name, engine):
    other = tmp_path / "a1xyb"  # what the first name means, read as a pattern
    for folder, customer in ((tmp_path / name, "c1"), (other, "another")):
        people = [row("customers", customer_id=customer)]
        events = [row("usage_events", customer_id=customer)]
        write_parquet(folder / "tables", {"customers": people})
        write_csv(folder / "tables", {"usage_events": events})
    homes = [tmp_path / folder / "home" for folder in (name, other.name)]
    found, _ = (staged(home.parent / "tables", home) for home in homes)
    tables = open_tables(found, engine)
    assert found.columns["customers"] == {"customer_id", "created_at"}
    for table in ("customers", "usage_events"):
        rows = view(tables, table, NOW_US).collect("polars").to_native()
        assert rows["customer_id"].to_list() == ["c1"]


@pytest.mark.parametrize("name", FOLDERS)
def test_a_large_file_in_a_folder_of_any_name_is_read_by_part(tmp_path, name, monkeypatch):
    monkeypatch.setattr("vouch.features.ingest.inputs.LARGE_BYTES", 0)
    rows = [row("usage_events", event_id="e1"), row("usage_events", event_id="e1", event="mended"), row("usage_events")]
    folder = write_csv(tmp_path / name / "tables", company(usage_events=rows))
    found = staged(folder, tmp_path / name / "home")
    kept = view(open_tables(found, "polars"), "usage_events", NOW_US).collect().to_native()
    assert sorted(kept["event"].to_list()) == ["login", "mended"]


NAMES = ["Usage_Events.csv", "USAGE_EVENTS.CSV", "usage_events.tsv", "usage_events.txt", "usage_events.csv.gz"]
NAMES += ["usage_events.TSV.GZ", "usage_events.Txt.gz", " usage_events .csv", "usage_events.2026-01.csv"]


@pytest.mark.parametrize("name", NAMES)
def test_a_table_is_found_whatever_its_file_is_called(tmp_path, name):
    folder = write_csv(tmp_path / "tables", company(), separator="\t")
    text = (folder / "usage_events.csv").read_bytes()
    (folder / "usage_events.csv").unlink()
    (folder / name).write_bytes(gzip.compress(text) if name.lower().endswith(".gz") else text)
    found = staged(folder)
    assert read(found, "usage_events")["event"].to_list() == ["login"]
    assert contract_report(found)["tables"]["usage_events"]["from"] == name
    assert found.unread == ()


def test_the_parts_of_a_table_may_be_compressed(tmp_path):
    folder = write_csv(tmp_path / "tables", company())
    (folder / "usage_events.csv").unlink()
    (folder / "Usage_Events").mkdir()
    for number in range(2):
        text = f"customer_id,occurred_at,event\nc1,2025-02-0{number + 1},e{number}\n"
        (folder / "Usage_Events" / f"part-{number}.csv.gz").write_bytes(gzip.compress(text.encode()))
    found = staged(folder)
    kept = view(open_tables(found, "polars"), "usage_events", NOW_US).collect().to_native()
    assert sorted(kept["event"].to_list()) == ["e0", "e1"]


@pytest.mark.parametrize("cut", [lambda packed: packed[:-9], lambda _: b"no gzip at all", lambda packed: packed[:5]])
def test_a_compressed_file_that_is_not_whole_is_named(tmp_path, cut):
    folder = write_csv(tmp_path / "tables", company())
    text = (folder / "usage_events.csv").read_bytes()
    (folder / "usage_events.csv").unlink()
    (folder / "usage_events.csv.gz").write_bytes(cut(gzip.compress(text)))
    with pytest.raises(SourceUnreadable, match=r"usage_events\.csv\.gz: not a whole gzip file"):
        staged(folder)


@pytest.mark.parametrize(
    "name", ["surveys.csv.zst", "surveys.sav", "surveys.xml", "survey.csv", "notes", "surveys (1).csv"]
)
def test_what_lies_there_and_is_not_read_is_named(tmp_path, name):
    folder = write_csv(tmp_path / "tables", company())
    (folder / name).write_text("a,b\n1,2\n")
    found = staged(folder)
    assert "surveys" not in found.columns
    (said,) = found.unread
    assert f"{name} is not read" in said
    assert said in contract_report(found)["warnings"]
    assert "surveys" in said or not name.startswith("survey.")


def test_what_is_not_read_of_a_folder_of_parts_is_named(tmp_path):
    folder = write_csv(tmp_path / "tables", company())
    (folder / "usage_events.csv").rename(folder / "part.csv")
    (folder / "usage_events" / "2025").mkdir(parents=True)
    (folder / "part.csv").rename(folder / "usage_events" / "part.csv")
    (folder / "usage_events" / "more.xml").write_text("<a/>")
    found = staged(folder)
    assert sorted(said.split(" is not read")[0].rpartition("/")[2] for said in found.unread) == ["2025", "more.xml"]


def test_two_files_of_one_table_are_refused_whatever_the_case_of_their_names(tmp_path):
    folder = write_csv(tmp_path / "tables", company())
    (folder / "Customers.tsv").write_text("customer_id\tcreated_at\nc9\t2025-01-01\n")
    with pytest.raises(SourceUnreadable, match="keep one"):
        staged(folder)


def test_tables_of_a_duckdb_file_are_found_in_any_case_and_the_others_named(tmp_path):
    path = tmp_path / "shop#1?.duckdb"
    with duckdb.connect(str(tmp_path / "made.duckdb")) as database:
        database.execute("CREATE TABLE \"Customers\" AS SELECT 'c1' AS customer_id, DATE '2025-01-01' AS created_at")
        database.execute("CREATE TABLE USAGE_EVENTS AS SELECT 'c1' AS customer_id, now() AS occurred_at, 'a' AS event")
        database.execute("CREATE TABLE invoices AS SELECT 1 AS a")
    (tmp_path / "made.duckdb").rename(path)
    found = staged(path, tmp_path / "home", now_us=SIMULATED_NOW_US)
    assert set(found.columns) == {"customers", "usage_events"}
    assert any("invoices" in said for said in found.unread)


@pytest.mark.parametrize(("small_bytes", "engine"), [(SMALL_BYTES, "polars"), (0, "duckdb")])
def test_a_small_company_is_computed_in_memory_and_a_large_one_within_limits(tmp_path, small_bytes, engine):
    project = Project(tmp_path, str(write_csv(tmp_path / "tables", company())))
    assert opened(project, stage(project, NOW_US), AUTO, small_bytes).engine == engine
    assert opened(project, stage(project, NOW_US), "duckdb", small_bytes).engine == "duckdb"
