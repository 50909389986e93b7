"""What the contract check counts is told with figures, words and the mend, and judged before a week is published."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.rows.table_files import NOW_US, company, read, row, staged, write_csv, write_parquet
from vouch.features.asof import view
from vouch.features.contract.casts import EPOCH_FACTORS
from vouch.features.contract.tables import ITEMS, NA_IS_A_NAME, NO_END_US, TABLES
from vouch.features.ingest.counts import REASONS
from vouch.features.ingest.stage import open_tables, stage, tables_from_rows
from vouch.features.ingest.whole_table import FORMS
from vouch.features.metrics.evaluate import measure
from vouch.features.project import Project, TableMapping
from vouch.features.shown import shape
from vouch.serving.monitoring.guards import contract_figures, judge, load_guards

PEOPLE = 30


def figures_of(found, table):
    return found.counted["tables"][table]


def told(found, code):
    """What is said of one count, the table that it is of, and its figures."""
    return [
        (table, count["told"], (count["count"], count["of"]))
        for table, figures in found.counted["tables"].items()
        for count in figures["counts"]
        if count["code"] == code
    ]


def hard(found, home):
    """Guards that would keep a week of these tables from being published."""
    report = {"tables": found.counted["tables"]}
    return {(one.guard, one.thing) for one in judge(load_guards(home), contract_figures(report)) if one.level == "hard"}


def judged(table, *rows):
    tables, report = tables_from_rows(company(**{table: list(rows)}), NOW_US)
    return report["tables"][table], tables.frames[table].collect().to_native()


@pytest.mark.parametrize("reason", REASONS.values(), ids=lambda reason: reason.code)
def test_every_count_has_words_a_mend_and_a_guard(tmp_path, reason):
    assert reason.message
    assert reason.mend
    assert reason.guard in load_guards(tmp_path)


# --- times ---------------------------------------------------------------------------------------------------------

LETTERS = "BST EST EDT CST CDT MST MDT PST PDT CET CEST EET EEST WET WEST MSK IST AST ADT JST KST AEST AEDT NZST ACT "
LETTERS += "ART BET SST VST EST5EDT HST Zulu UCT Japan"


@pytest.mark.parametrize("letters", LETTERS.split())
def test_letters_for_a_zone_are_refused_by_name(letters):
    figures, frame = judged("usage_events", row("usage_events", occurred_at=f"2025-07-01 12:00:00 {letters}"))
    assert figures["reasons"] == {"zone_in_letters": 1}
    assert frame.is_empty()


@pytest.mark.parametrize(
    ("zone", "hours"),
    [("", 0), ("Z", 0), (" UTC", 0), (" GMT", 0), ("+01:00", 1), ("-0330", -3.5), ("+09", 9), (" UTC+2", 2),
     (" Europe/London", 1), (" America/New_York", -4), (" Asia/Kolkata", 5.5)],
)  # fmt: skip
def test_numbers_and_places_are_offsets(zone, hours):
    _, frame = judged("usage_events", row("usage_events", occurred_at=f"2025-07-01 12:00:00{zone}"))
    instant = datetime(2025, 7, 1, 12, tzinfo=UTC) - timedelta(hours=hours)
    assert frame["occurred_us"].to_list() == [int(instant.timestamp()) * 1_000_000]


def test_a_table_of_letters_alone_is_told_with_an_example_and_stops_nobody(tmp_path):
    rows = [row("usage_events", occurred_at=f"2025-07-0{day} 09:00 PDT") for day in range(1, 5)]
    found = staged(write_csv(tmp_path / "tables", company(usage_events=rows)))
    ((table, said, figures),) = told(found, "zone_in_letters")
    assert (table, figures) == ("usage_events", (4, 4))
    assert "'2025-07-01 09:00 PDT'" in said
    assert "+01:00" in said


@pytest.mark.parametrize("declared", ["s", "ms", "us"])
def test_an_epoch_number_is_the_same_instant_in_whatever_unit_it_stands(tmp_path, declared):
    instants = [datetime(year, 11, 5, 4, 3, 2, tzinfo=UTC) for year in (1974, 1999, 2001, 2025)]
    units = {"s": 1, "ms": 1000, "us": 1_000_000, "ns": 1_000_000_000}
    pairs = list(itertools.product(instants, units))
    rows = [
        row("usage_events", event_id=f"e{number}", occurred_at=int(instant.timestamp()) * units[unit])
        for number, (instant, unit) in enumerate(pairs)
    ]
    folder = write_csv(tmp_path / "tables", company(usage_events=rows))
    mapped = {"usage_events": TableMapping("usage_events", epoch={"occurred_at": declared})}
    found = stage(Project(home=tmp_path / "home", location=str(folder), tables=mapped), NOW_US)
    read_as = dict(read(found, "usage_events").select("event_id", "occurred_us").rows())
    meant = {f"e{number}": int(instant.timestamp()) * 1_000_000 for number, (instant, _) in enumerate(pairs)}
    assert read_as == meant
    assert set(units) == set(EPOCH_FACTORS)
    ((_, said, (count, of)),) = told(found, "epoch_unit")
    assert (count, of) == (12, 16)
    assert "one unit" in said


@pytest.mark.parametrize("declared", ["s", "ms", "us"])
@pytest.mark.parametrize("far", ["9999-12-31", "9999-12-31T23:59:59Z", "9999-01-01", "2999-12-31", "2100-01-01"])
def test_what_never_ends_is_no_end_as_an_epoch_number_either(tmp_path, declared, far):
    unit = {"s": 1, "ms": 1000, "us": 1_000_000}[declared]
    start, end = (
        int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * unit for day in ("2025-02-01", far)
    )
    folder = write_csv(
        tmp_path / "tables", company(subscriptions=[row("subscriptions", started_at=start, ended_at=end)])
    )
    mapped = {"subscriptions": TableMapping("subscriptions", epoch=dict.fromkeys(("started_at", "ended_at"), declared))}
    found = stage(Project(home=tmp_path / "home", location=str(folder), tables=mapped), NOW_US)
    assert read(found, "subscriptions")["ended_us"].to_list() == [None]
    assert figures_of(found, "subscriptions")["reasons"] == {"no_end": 1}


OPEN = [(table.name, column.name) for table in TABLES.values() for column in table.open_dates()]


BEYOND = ("9999-12-31T23:59:59-05:00", "infinity")


@pytest.mark.parametrize(("table", "column"), OPEN)
@pytest.mark.parametrize("far", ["2100-01-01", "2262-04-11", "2999-12-31T23:59:59Z", "9999-12-31", *BEYOND])
def test_a_later_date_in_the_year_2100_or_later_is_none(table, column, far):
    figures, frame = judged(table, row(table, **{column: far}))
    assert frame[TABLES[table].columns[column].staged].to_list() == [None]
    assert (figures["repaired"], figures["quarantined"], figures["cells"]) == (1, 0, 0)


@given(st.integers(NOW_US, NO_END_US - 1))
@settings(max_examples=20)
def test_an_end_before_the_year_2100_is_one(us):
    ends = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)).isoformat()
    figures, frame = judged("subscriptions", row("subscriptions", ended_at=ends))
    assert (frame["ended_us"].to_list(), figures["repaired"]) == ([us], 0)


def test_a_vector_of_an_instant_does_not_hang_on_whether_a_session_has_ended_since(tmp_path):
    begun = {"started_at": "2025-11-30T23:30:00Z", "visitor_id": "v"}
    then = row("sessions", **begun, engaged_s="100")
    del then["ended_at"]
    exports = {
        "while it runs": [{**then, "ended_at": None}],
        "afterwards": [row("sessions", **begun, ended_at="2025-12-01T00:30:00Z", engaged_s="3600")],
    }
    as_of_us = int(datetime(2025, 12, 1, tzinfo=UTC).timestamp()) * 1_000_000
    seen = {}
    for name, rows in exports.items():
        found = staged(write_csv(tmp_path / name, company(sessions=rows)), tmp_path / f"home {name}")
        assert figures_of(found, "sessions")["quarantined"] == 0
        seen[name] = view(open_tables(found, "polars"), "sessions", as_of_us).collect().to_native()
    assert len(seen["afterwards"]) == 1
    assert seen["while it runs"].equals(seen["afterwards"])
    assert seen["afterwards"].select("ended_us", "engaged_s").rows() == [(None, None)]


def test_a_stated_version_of_a_running_session_tells_how_long_it_was_so_far(tmp_path):
    rows = [row("sessions", ended_at=None, engaged_s="100", ingested_at="2025-02-02")]
    found = staged(write_csv(tmp_path / "tables", company(sessions=rows)))
    seen = view(open_tables(found, "polars"), "sessions", NOW_US).collect().to_native()
    assert seen["engaged_s"].to_list() == [100]


# --- words, labels, money --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", sorted(NA_IS_A_NAME))
@pytest.mark.parametrize("word", ["NA", "na"])
def test_na_is_a_name_where_it_can_be_one(tmp_path, column, word):
    found = staged(write_csv(tmp_path / "tables", company(customers=[row("customers", **{column: word})])))
    assert read(found, "customers")[column].to_list() == [word]
    assert not told(found, "null_word")


def test_na_stays_a_name_in_a_query_over_csv(tmp_path):
    folder = write_csv(
        tmp_path / "tables", company(crm=[{"id": "c1", "since": "2025-01-01", "Region": "NA", "note": "NA"}])
    )
    (folder / "customers.csv").unlink()
    query = "select id as customer_id, since as created_at, region, note as industry from crm"
    mapped = {"customers": TableMapping(query=query)}
    found = stage(Project(home=tmp_path / "home", location=str(folder), tables=mapped), NOW_US)
    assert read(found, "customers").select("region", "industry").rows() == [("NA", None)]


@pytest.mark.parametrize("word", ["NA", "N/A", "null", "None", "NaN"])
def test_cells_read_as_nothing_by_a_word_are_counted_and_named(tmp_path, word):
    rows = [row("customers", customer_id=f"c{n}", industry=word, use_case="x") for n in range(7)]
    found = staged(write_csv(tmp_path / "tables", company(customers=rows)))
    assert figures_of(found, "customers")["reasons"]["null_word"] == 7
    ((_, said, _),) = told(found, "null_word")
    assert f"industry {word!r} 7 times" in said
    assert "Parquet" in said


LABELLED = {
    "10 - Extremely likely": 10, "0 - Not at all likely": 0, "0 = not at all": 0, "10: very": 10, "7 (somewhat)": 7,
    "10 – Extremely likely": 10, "5. neutral": 5, "8 likely": 8, "10점 매우 추천": 10, "0 全く": 0, "9) great": 9,
    "Extremely likely (10)": 10, "Not at all likely - 0": 0, "Sehr wahrscheinlich: 10": 10, "4 ★": 4, "3 — mäßig": 3,
}  # fmt: skip


@pytest.mark.parametrize(("text", "score"), LABELLED.items())
def test_the_number_of_a_labelled_scale_is_read_and_counted(text, score):
    figures, frame = judged("surveys", row("surveys", score=text))
    assert [float(value) for value in frame["score"]] == [score]
    assert figures["repaired"] == 1


@pytest.mark.parametrize("text", ["9 - 10", "9/10", "2 or 3 times", "10 of 10", "likely", "ten", "-", "12 - beyond"])
def test_a_text_that_is_no_number_with_its_label_is_no_answer(text):
    figures, frame = judged("surveys", row("surveys", score=text))
    assert frame.is_empty()
    assert figures["quarantined"] == 1


def test_labels_are_read_in_every_answer_on_a_scale():
    assert judged("tickets", row("tickets", csat="5 - very satisfied"))[1]["csat"].to_list() == [5]
    assert judged("feedback", row("feedback", rating="4 stars", rating_max="5"))[1]["rating"].to_list() == [4]
    assert judged("transactions", row("transactions", amount="4 euros"))[0]["quarantined"] == 1


MONEY = st.decimals("-1e6", "1e6", places=2)


@given(MONEY, st.none() | MONEY, st.sampled_from(TABLES["transactions"].columns["kind"].values))
@settings(max_examples=60)
def test_no_purchase_is_below_0_and_no_refund_or_margin_of_one_above(amount, margin, kind):
    figures, frame = judged(
        "transactions", row("transactions", amount=str(amount), gross_margin=margin and str(margin), kind=kind)
    )
    is_credited = kind == "purchase" and amount < 0
    is_back = kind == "refund" or is_credited
    turned = is_credited or (is_back and (amount > 0 or (margin or 0) > 0))
    assert figures["repaired"] == turned

    def lost(value):
        return -abs(value) if is_back and value is not None else value

    kept = frame.select("kind", "amount", "gross_margin").rows()
    assert kept == [("refund" if is_back else kind, lost(amount), lost(margin) if margin else margin)]


# --- what only a whole table tells -----------------------------------------------------------------------------------


def ids(make):
    return [make(number) for number in range(1001, 1001 + PEOPLE)]


WAYS = {
    "a decimal ending": (ids(str), ids(lambda n: f"{n}.0")),
    "the case of letters": (ids(lambda n: f"Ab{n}"), ids(lambda n: f"aB{n}")),
    "invisible characters": (ids(str), ids(lambda n: f"{n}\ufeff")),
    "the last 3 of 18 characters": (ids(lambda n: f"001Ab00000X{n}AAA"), ids(lambda n: f"001Ab00000X{n}")),
    "leading zeros": (ids(lambda n: f"000{n}"), ids(str)),
    "the way of writing a number": (ids(str), ids(lambda n: f"{n / 1000}e3")),
    "signs in it or around it": (ids(lambda n: f"a{n}-b"), ids(lambda n: f"{{a{n}b}}")),
    "what stands before the last sign": (ids(str), ids(lambda n: f"shop-eu:{n}")),
    "case and signs": (ids(lambda n: f"AB-{n}"), ids(lambda n: f"ab{n}")),
    "letters before the number": (ids(str), ids(lambda n: f"cus{n}")),
    "letters and zeros before the number": (ids(str), ids(lambda n: f"CUS-{n:08}")),
    "what stands after the first sign": (ids(str), ids(lambda n: f"{n}@shop.eu")),
    "case and the last 3 of 18 characters": (ids(lambda n: f"001Ab00000X{n}AAA"), ids(lambda n: f"001AB00000X{n}")),
    "the width of signs": (
        ids(lambda n: f"k{n}"),
        ids(lambda n: f"k{n}".translate({48 + d: 65296 + d for d in range(10)})),
    ),
    "accents": (ids(lambda n: f"José {n} Núñez"), ids(lambda n: f"Jose {n} Nunez")),
    "signs written as %": (ids(lambda n: f"a/{n} b"), ids(lambda n: f"a%2F{n}%20b")),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_table_of_nobody_is_told_with_the_normalisation_that_would_join_it(tmp_path, way):
    theirs, ours = WAYS[way]
    tables = company(
        customers=[row("customers", customer_id=one) for one in theirs],
        usage_events=[row("usage_events", customer_id=one) for one in ours],
    )
    found = staged(write_parquet(tmp_path / "tables", tables))
    ((table, said, figures),) = told(found, "orphans")
    assert (table, figures) == ("usage_events", (PEOPLE, PEOPLE))
    assert f"differ by {way}: {PEOPLE} would join" in said
    assert shape(min(ours)) in said
    assert min(ours) not in said
    assert ("orphaned_share", "usage_events") in hard(found, tmp_path)
    assert set(WAYS) == {what for what, _ in FORMS}


REFERENCES = {
    "referred_by": ("customers", "customers", lambda one, other: row("customers", customer_id=one, referred_by=other)),
    "ask_id": ("advocacy_acts", "asks", lambda one, other: row("advocacy_acts", act_id=one, ask_id=other)),
}


@pytest.mark.parametrize("column", REFERENCES)
def test_references_to_nothing_are_told_by_column_with_what_would_join_them(tmp_path, column):
    table, target, make = REFERENCES[column]
    names = [str(number) for number in range(1001, 1001 + PEOPLE)]
    tables = company(asks=[row("asks", ask_id=name) for name in names])
    tables[table] = [make(name, f"{name}.0") for name in names] + [row("customers")] * (table == "customers")
    found = staged(write_csv(tmp_path / "tables", tables))
    ((_, said, (count, _)),) = [one for one in told(found, "dangling_reference") if one[0] == table]
    assert count == PEOPLE
    assert said.startswith(f"{table}.{column}: ")
    assert f"where `{target}` has" in said
    assert f"differ by a decimal ending: {PEOPLE} would join" in said


def test_ids_that_no_customer_has_are_in_no_count_of_customers(tmp_path):
    people = [row("customers", customer_id=str(number)) for number in range(PEOPLE)]
    events = [row("usage_events", customer_id=f"{number}{end}", occurred_at=at)
              for number in range(PEOPLE) for end in ("", ".0") for at in ("2025-11-01", "2025-12-30")]  # fmt: skip
    found = staged(write_csv(tmp_path / "tables", company(customers=people, usage_events=events)))
    (share,) = measure(open_tables(found, "polars"), NOW_US, ["activity_share"])
    assert (share.n, share.value) == (PEOPLE, pytest.approx(1 / 28))


def test_a_table_of_strangers_is_told_without_a_guess(tmp_path):
    tables = company(usage_events=[row("usage_events", customer_id=f"ghost {number}") for number in range(3)])
    found = staged(write_csv(tmp_path / "tables", tables))
    ((_, said, figures),) = told(found, "orphans")
    assert figures == (3, 3)
    assert "differ" not in said


def dated(number):
    return str(datetime(2025, 1, 1, tzinfo=UTC).date() + timedelta(days=number))


@pytest.mark.parametrize("spread_s", [0, 3600])
def test_one_load_stamp_as_ingested_at_is_told(tmp_path, spread_s):
    loaded = datetime(2025, 12, 20, 3, tzinfo=UTC)
    rows = [
        row("usage_events", event_id=f"e{number}", occurred_at=dated(number),
            ingested_at=(loaded + timedelta(seconds=spread_s * number / 40)).isoformat())
        for number in range(40)
    ]  # fmt: skip
    found = staged(write_csv(tmp_path / "tables", company(usage_events=rows)))
    ((table, said, _),) = told(found, "one_load_stamp")
    assert table == "usage_events"
    assert "nothing of them is known before 2025-12-20T03:00:00Z" in said


def test_rows_that_became_known_as_they_happened_are_no_load(tmp_path):
    rows = [row("usage_events", event_id=f"e{n}", occurred_at=dated(n), ingested_at=dated(n + 1)) for n in range(40)]
    found = staged(write_csv(tmp_path / "tables", company(usage_events=rows)))
    assert not told(found, "one_load_stamp")


def test_several_rows_per_key_that_collapse_are_told(tmp_path):
    rows = [row("customers", plan=plan, created_at=at) for plan in "ab" for at in ("2025-01-01", "2025-01-02")]
    found = staged(write_csv(tmp_path / "tables", company(customers=[*rows, row("customers", customer_id="c2")])))
    ((table, said, figures),) = told(found, "superseded")
    assert (table, figures) == ("customers", (3, 5))
    assert "one row per key" in said


def terms(gap, count=12):
    """Monthly terms of one customer; each ends `gap` before the next begins."""
    starts = [datetime(2024 + month // 12, month % 12 + 1, 1, tzinfo=UTC) for month in range(count + 1)]
    return [
        row(
            "subscriptions",
            subscription_id=f"s{number}",
            started_at=start.isoformat(),
            ended_at=(after - gap).isoformat(),
        )
        for number, (start, after) in enumerate(itertools.pairwise(starts))
    ]


@pytest.mark.parametrize(
    ("gap", "step"),
    [
        (timedelta(days=1), "1 day"),
        (timedelta(seconds=1), "1 second"),
        (timedelta(milliseconds=1), "1000 microseconds"),
    ],
)
def test_ends_that_are_last_days_are_told_with_a_mapping_that_mends_them(tmp_path, gap, step):
    folder = write_parquet(tmp_path / "tables", company(subscriptions=terms(gap)))
    found = staged(folder)
    ((_, said, figures),) = told(found, "last_days")
    assert figures == (11, 11)
    assert f"ended_at + interval {step}" in said
    query = said.partition('query = "')[2].rstrip('"').replace("(ended_at", "(ended_at::timestamp")
    mapped = {"subscriptions": TableMapping(query=query)}
    mended = stage(Project(home=tmp_path / "mended", location=str(folder), tables=mapped), NOW_US)
    assert not told(mended, "last_days")


def test_ends_at_the_next_start_and_ends_of_those_who_left_are_no_last_days(tmp_path):
    gone = [
        row("subscriptions", subscription_id=f"g{n}", customer_id=f"c{n}", ended_at=dated(90 + n)) for n in range(9)
    ]
    found = staged(write_csv(tmp_path / "tables", company(subscriptions=[*terms(timedelta()), *gone])))
    assert not told(found, "last_days")


def test_subscriptions_that_never_ran_are_told(tmp_path):
    rows = [
        row("subscriptions", subscription_id=f"s{n}", ended_at="2025-02-01" if n < 3 else "2025-06-01")
        for n in range(9)
    ]
    found = staged(write_csv(tmp_path / "tables", company(subscriptions=rows)))
    assert [figures for _, _, figures in told(found, "failed")] == [(3, 9)]


def test_one_end_years_ahead_that_all_share_is_told(tmp_path):
    rows = [row("subscriptions", subscription_id=f"s{n}", customer_id=f"c{n}", ended_at="2049-12-31") for n in range(9)]
    found = staged(write_csv(tmp_path / "tables", company(subscriptions=rows)))
    ((_, said, _),) = told(found, "one_end")
    assert "2049-12-31" in said


@pytest.mark.parametrize("spelled", [str.upper, str.title, lambda name: f"  {name.replace('_', ' ').capitalize()} "])
def test_items_are_known_in_any_case_and_with_blanks(tmp_path, spelled):
    named = [(instrument, item.name) for instrument, items in ITEMS.items() for item in items]
    rows = [
        row("surveys", response_id=f"r{number}", instrument=instrument, item=spelled(item))
        for number, (instrument, item) in enumerate(named)
    ]
    found = staged(write_csv(tmp_path / "tables", company(surveys=rows)))
    assert not told(found, "unknown_item")
    assert sorted(read(found, "surveys")["item"]) == sorted(item for _, item in named)


def test_items_that_no_metric_knows_are_named(tmp_path):
    rows = [
        *(row("surveys", response_id=f"a{n}", instrument="perception", item="repurchase") for n in range(3)),
        row("surveys", response_id="b", instrument="cxi", item=""),
        row("surveys", response_id="c", instrument="expectation", item="delivery"),
        row("surveys", response_id="d", instrument="perception", item="Delivery"),
        row("surveys", response_id="e", instrument="nps", item="whatever"),
    ]
    found = staged(write_csv(tmp_path / "tables", company(surveys=rows)))
    ((_, said, figures),) = told(found, "unknown_item")
    assert figures == (4, 6)
    assert "perception 'repurchase' 3 times" in said
    assert "delivery" not in said


def test_the_command_ends_loudly_where_a_table_belongs_to_nobody(tmp_path, vouch):
    events = [row("usage_events", customer_id=f"{number}.0") for number in range(40)]
    folder = write_csv(tmp_path / "tables", company(usage_events=events))
    code, out, err = vouch("check", folder)
    assert code == 4
    assert "orphaned_share of usage_events" in err
    assert "40 of 40 rows belong to customers" in out


@pytest.mark.parametrize("physical", ["DATE", "TIMESTAMP", "TIMESTAMPTZ", "VARCHAR"])
def test_an_infinite_end_of_a_database_is_none(tmp_path, physical):
    path = tmp_path / "shop.duckdb"
    with duckdb.connect(str(path)) as database:
        for name in ("customers", "usage_events", "subscriptions"):
            frame = pl.DataFrame([row(name)])  # noqa: F841  # DuckDB finds it by its name
            ends = f", 'infinity'::{physical} AS ended_at" if name == "subscriptions" else ""
            database.execute(f"CREATE TABLE {name} AS SELECT *{ends} FROM frame")
    found = staged(path, tmp_path / "home")
    assert read(found, "subscriptions")["ended_us"].to_list() == [None]
    assert [figures for _, _, figures in told(found, "no_end")] == [(1, 1)]
