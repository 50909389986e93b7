"""Columns and tables that the contract does not know become features by themselves, as known at each instant."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pandas as pd
import polars as pl
import pytest

from vouch.features.contract.tables import DAY_US
from vouch.features.errors import ConfigurationError
from vouch.features.ingest.own.own_features import register_own_features
from vouch.features.ingest.stage import open_tables, stage
from vouch.features.instants import microseconds, parse_instant
from vouch.features.project import load_project
from vouch.features.vectors.build import collect, panel, vectors, vectors_at
from vouch.features.vectors.declare import load_families
from vouch.features.vectors.fingerprints import feature_fingerprints
from vouch.features.vectors.lines import use_lines
from vouch.features.vectors.words import meaning
from vouch.serving.library.company import open_company

T = datetime(2025, 6, 2, tzinfo=UTC)
T_US = microseconds(T)
NOW_US = parse_instant("2025-09-01")
VISITS = """
[tables.visits]
from = "page_visits"
columns = { customer_id = "who", occurred_at = "ts" }
parents = { pageId = "pages.pageId", "pages.siteId" = "sites.siteId" }
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("VOUCH_HOME", str(tmp_path / "home"))
    yield tmp_path / "home"
    use_lines((), {})


def ago(days: float) -> datetime:
    return T - timedelta(days=days)


def visit(who: str, days: float, page: int, minutes: float, ended: float | None = None, stars: int | None = None):
    row = {"who": who, "ts": ago(days), "pageId": page, "minutes": minutes, "ended_at": None, "stars": stars}
    return row | ({"ended_at": ago(ended)} if ended is not None else {})


ROWS = [
    visit("a", 200, 1, 8.0, 199.5, 4),
    visit("a", 60, 2, 1.5, 59.5, 2),
    visit("a", 10, 1, 2.5, 9.5, 5),
    visit("a", 5, 3, 4.0, -20, 1),  # ends, and is rated, after T
    visit("b", 3, 2, 6.0, None, None),
    visit("b", -4, 3, 99.0, -5, 3),
]


def write(folder, settings: str = VISITS, rows=ROWS, customers: dict[str, list] | None = None):
    """A company of three customers and a table of its own, two steps long; the place of its project file."""
    folder.mkdir(exist_ok=True)
    people = {"customer_id": ["a", "b", "c"], "created_at": [ago(300)] * 3, **(customers or {})}
    pl.DataFrame(people).write_parquet(folder / "customers.parquet")
    event = {"customer_id": ["a", "b", "c"], "occurred_at": [ago(day) for day in (1, 2, 3)], "event": ["login"] * 3}
    pl.DataFrame(event).write_parquet(folder / "usage_events.parquet")
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(folder / "page_visits.parquet")
    pages = {"pageId": [1, 2, 3], "siteId": [7, 7, 8], "depth": [1, 3, 5]}
    pl.DataFrame(pages).write_parquet(folder / "pages.parquet")
    pl.DataFrame({"siteId": [7, 8], "zone": ["north", "south"]}).write_parquet(folder / "sites.parquet")
    (folder / "vouch.toml").write_text(f'data = "."\n{settings}')
    return str(folder / "vouch.toml")


def read(place: str, engine: str = "polars"):
    return open_tables(stage(load_project(place), NOW_US), engine)


def at(place: str, engine: str = "polars") -> pd.DataFrame:
    return collect(vectors(read(place, engine), T_US)).set_index("customer_id")


def test_a_further_table_is_counted_averaged_and_dated_as_a_hand_would(tmp_path):
    found = at(write(tmp_path / "shop"))
    a, b, c = found.loc["a"], found.loc["b"], found.loc["c"]
    assert (a["visits_rows_28d"], a["visits_rows_90d"], a["visits_rows"]) == (2, 3, 4)
    assert (b["visits_rows"], c["visits_rows"]) == (1, 0)
    assert a["visits_minutes_mean_28d"] == 3.25
    assert a["visits_minutes_mean_90d"] == pytest.approx(8 / 3)
    assert a["visits_minutes_last"] == 4.0
    assert a["visits_minutes_sum_90d"] == 8.0
    assert pd.isna(a["visits_minutes_trend_90d"])  # nothing in the 90 days before
    assert (a["visits_days_since"], b["visits_days_since"]) == (5, 3)
    assert pd.isna(c["visits_minutes_mean"])
    assert pd.isna(c["visits_days_since"])


def test_a_trend_is_the_mean_less_that_of_the_span_before(tmp_path):
    found = at(write(tmp_path / "shop", rows=[*ROWS, visit("a", 100, 1, 5.0), visit("a", 170, 1, 6.0)]))
    assert found.loc["a", "visits_minutes_trend_90d"] == pytest.approx(8 / 3 - 5.5)


def test_columns_of_parents_and_grandparents_feed(tmp_path):
    found = at(write(tmp_path / "shop"))
    assert found.loc["a", "visits_pages_depth_last"] == 5
    assert found.loc["a", "visits_pages_depth_mean_90d"] == 3
    assert list(found["visits_sites_zone_last"].fillna("")) == ["south", "north", ""]
    assert found.loc["a", "visits_page_id_distinct_90d"] == 3


def test_what_came_with_a_later_date_is_unknown_before_it(tmp_path):
    """The rating of the visit that ended after T came with its end: nobody knew it at T."""
    found = at(write(tmp_path / "shop"))
    assert found.loc["a", "visits_stars_last"] == 5
    assert found.loc["a", "visits_ended_at_given_90d"] == pytest.approx(2 / 3)
    assert pd.isna(found.loc["b", "visits_stars_last"])


def test_what_happens_after_an_instant_changes_no_cell_of_it(tmp_path):
    """All that is dated after T is replaced: own times, later dates, and what came with them."""
    before = at(write(tmp_path / "shop"))
    after = [dict(row) for row in ROWS]
    after[3] |= {"ended_at": ago(-60), "stars": 5}
    after[5] |= {"ts": ago(-9), "pageId": 1, "minutes": 0.5, "ended_at": None, "stars": None}
    after += [visit("c", -1, 1, 1.0, -2, 1), visit("a", -30, 2, 1000.0)]
    pd.testing.assert_frame_equal(before, at(write(tmp_path / "other", rows=after)), check_exact=True)


def test_a_correction_counts_from_when_it_was_known(tmp_path):
    settings = VISITS.replace('"ts" }', '"ts", ingested_at = "loaded" }\nkey = "nr"')
    rows = [{**row, "nr": f"v{at}", "loaded": row["ts"]} for at, row in enumerate(ROWS)]
    late = {**rows[2], "minutes": 50.0, "loaded": ago(-1)}
    known = {**rows[1], "minutes": 7.5, "loaded": ago(20)}
    found = at(write(tmp_path / "shop", settings, [*rows, late, known]))
    assert found.loc["a", "visits_rows"] == 4
    assert found.loc["a", "visits_minutes_sum_90d"] == 7.5 + 2.5 + 4.0


def test_many_instants_equal_one_at_a_time(tmp_path):
    tables = read(write(tmp_path / "shop"))
    instants = [T_US - 40 * DAY_US, T_US - 7 * DAY_US, T_US]
    alone = pd.concat([collect(vectors(tables, instant)) for instant in instants], ignore_index=True)
    pd.testing.assert_frame_equal(panel(tables, instants), alone, check_exact=True)


def test_duckdb_gives_the_same_vectors(tmp_path):
    place = write(tmp_path / "shop")
    pd.testing.assert_frame_equal(at(place), at(place, "duckdb"), check_exact=True)


@pytest.mark.nightly  # Spark starts
def test_spark_gives_the_same_vectors(tmp_path, spark):
    place = write(tmp_path / "shop")
    pd.testing.assert_frame_equal(at(place), at(place, "spark"), check_exact=True)


LINES = """
[features]
own = false
[features.long_visit]
table = "visits"
value = "minutes"
how = "max"
days = [28, 90]
words = "minutes on a page"
[features.home_pages]
table = "visits"
value = "page_id"
how = "share"
equals = "1"
[features.logins_seen]
table = "usage_events"
days = [28]
"""


def test_a_feature_is_one_line(tmp_path):
    found = at(write(tmp_path / "shop", VISITS + LINES))
    own = [name for name, of in load_families().items() if of.family in {"own", "visits"}]
    assert own == ["long_visit_28d", "long_visit_90d", "home_pages", "logins_seen_28d"]
    assert (found.loc["a", "long_visit_28d"], found.loc["a", "home_pages"]) == (4.0, 0.5)
    assert list(found["logins_seen_28d"]) == [1, 1, 1]
    assert meaning("long_visit_90d").key == "Largest minutes on a page {span}"


@pytest.mark.parametrize(("value", "equals", "times"), [("minutes", "2.5", 1), ("stars", "4", 1), ("page_id", "1", 2)])
def test_rows_of_one_value_are_counted_whatever_its_kind(tmp_path, value, equals, times):
    line = f'[features.seen]\ntable = "visits"\nvalue = "{value}"\nhow = "count"\nequals = "{equals}"\n'
    assert at(write(tmp_path / "shop", VISITS + line)).loc["a", "seen"] == times


def test_the_growth_of_a_sum_below_nothing_is_unknown(tmp_path):
    line = '[features.grown]\ntable = "visits"\nvalue = "minutes"\nhow = "growth"\ndays = [28]\n'
    rows = [visit("a", 40, 1, 3.0), visit("a", 5, 1, 7.0), visit("b", 5, 1, -1.0), visit("c", 5, 1, -3.0)]
    grown = at(write(tmp_path / "shop", VISITS + line, rows))["grown_28d"]
    assert grown["a"] == pytest.approx(math.log(8 / 4))
    assert grown[["b", "c"]].isna().all()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('table = "visit"', "did you mean 'visits'"),
        ('table = "visits"\nvalue = "minute"', "did you mean 'minutes'"),
        ('table = "visits"\nhow = "mean"', "needs `value"),
        ('table = "visits"\nvalue = "minutes"\nhow = "average"', "none of count"),
        ('table = "visits"\nvalue = "sites_zone"\nhow = "mean"', "is text"),
        ('table = "visits"\nvalue = "minutes"\nhow = "trend"', "needs `days"),
        ('table = "visits"\ndays = [0]', "whole numbers from 1"),
        ('table = "visits"\nvalu = "x"', "did you mean 'value'"),
        ('table = "visits"\nvalue = "minutes"\nhow = "count"\nequals = "many"', "holds numbers"),
        ('table = "visits"\nvalue = "minutes"\nhow = "count"\nequals = "inf"', "holds numbers"),
        ('table = "visits"\nvalue = "stars"\nhow = "count"\nequals = "1.5"', "holds whole numbers"),
        ('table = "visits"\nvalue = "ended_at"\nhow = "count"\nequals = "x"', "of which no value is counted"),
    ],
)
def test_a_line_that_cannot_be_meant_is_refused_with_its_place(tmp_path, line, said):
    place = write(tmp_path / "shop", f"{VISITS}\n[features.x]\n{line}\n")
    with pytest.raises(ConfigurationError, match=said) as raised:
        read(place)
    assert "features.x" in str(raised.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ('[tables.visits]\nfrom = "page_visits"', "says whose a row is and when it happened"),
        (VISITS.replace("pages.pageId", "page.pageId"), "there is no source 'page'"),
        (VISITS.replace('"ts"', '"tss"'), "did you mean 'ts'"),
        (f'{VISITS}[features]\ntake = ["visits.x"]', "there is no 'visits.x'"),
        (VISITS.replace("[tables.visits]", "[tables.usage_event]"), "did you mean 'usage_events'"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_with_the_mend(tmp_path, settings, said):
    with pytest.raises(ConfigurationError, match=said):
        read(write(tmp_path / "shop", settings))


LEAKS = (
    "churn_flag", "is_churned", "cancel_date", "exit_reason", "lost_at", "attrition", "Kündigung", "date_left",
    "exit_satisfaction", "satisfaction_score", "termination_date", "deactivated_on", "account_status", "last_login",
    "leave_date", "csat_today",
)  # fmt: skip
HONEST = {"favourite_colour": ["red", "blue", "red"], "seats": [1, 2, 3], "has_app": [True, False, True]}


def verdicts(place: str):
    return {one.column: one for one in stage(load_project(place), NOW_US).own.verdicts if one.table == "customers"}


def test_a_column_that_says_what_became_of_a_customer_is_left_out_and_named(tmp_path):
    found = verdicts(write(tmp_path / "shop", customers={**{leak: ["1", "0", "1"] for leak in LEAKS}, **HONEST}))
    assert {name for name, one in found.items() if one.is_taken} == set(HONEST)
    assert {one.told.partition(":")[0] for one in found.values() if not one.is_taken} == {"a leak"}
    assert len(found) == len(LEAKS) + len(HONEST)


def test_honest_columns_of_customers_feed_as_they_are(tmp_path):
    found = at(write(tmp_path / "shop", customers=HONEST))
    assert list(found["customer_seats"]) == [1, 2, 3]
    assert list(found["customer_favourite_colour"]) == ["red", "blue", "red"]
    assert list(found["customer_has_app"]) == [1, 0, 1]


LEFT = {
    "marital_status": (["x", "y", "x"], "sensitive"),
    "phone": (["1", "2", "3"], "personal"),
    "handle": (["a@b.c", "d@e.f", "g@h.i"], "personal"),
    "badge_printed_on": ([ago(1), ago(2), ago(3)], "written over"),
    "currency_used": (["EUR"] * 3, "one value"),
    "nothing": (pl.Series([None] * 3, dtype=pl.String), "empty"),
}


def test_what_is_left_out_is_told_with_the_reason_and_may_be_taken_by_name(tmp_path):
    customers = {column: values for column, (values, _) in LEFT.items()}
    found = verdicts(write(tmp_path / "a", "", customers=customers))
    assert not [column for column, (_, why) in LEFT.items() if found[column].is_taken or why not in found[column].told]
    settings = f"[features]\ntake = {[f'customers.{column}' for column in LEFT]}"
    place = write(tmp_path / "b", settings, customers=customers)
    assert all(one.is_taken and one.features == 1 for one in verdicts(place).values())
    assert list(at(place)["customer_badge_printed_on"]) == [1, 2, 3]


def test_nothing_is_made_where_the_company_does_not_want_it(tmp_path):
    place = write(tmp_path / "shop", f"{VISITS}[features]\nown = false", customers=HONEST)
    tables = read(place)
    assert "visits" in tables
    assert not [name for name in load_families() if name.startswith(("visits_", "customer_"))]


def test_who_serves_knows_the_features_without_reading_tables(tmp_path, home):
    read(write(tmp_path / "shop"))
    made = feature_fingerprints()
    use_lines((), {})
    assert "visits_rows" not in load_families()
    register_own_features(home)
    assert feature_fingerprints() == made


def test_two_companies_side_by_side_each_have_their_own_features(tmp_path):
    """Another company is opened between the vectors of one, and asked: neither sees the other's columns."""
    instants = [T_US - 7 * DAY_US, T_US - DAY_US, T_US]
    one, other = (write(tmp_path / name, settings, customers=HONEST if settings else {"hat": ["s", "m", "l"]})
                  for name, settings in (("one", VISITS), ("other", "")))  # fmt: skip
    alone = [[*map(collect, vectors_at(read(place), instants))] for place in (one, other)]
    assert "visits_rows" in alone[0][0]
    assert "customer_hat" in alone[1][0]
    mixed = zip(*(vectors_at(read(place), instants) for place in (one, other)), strict=True)
    for found, wanted in zip([(collect(a), collect(b)) for a, b in mixed], zip(*alone, strict=True), strict=True):
        for mine, theirs in zip(found, wanted, strict=True):
            pd.testing.assert_frame_equal(mine, theirs, check_exact=True)


def test_a_notebook_may_open_two_companies(tmp_path):
    one = open_company(write(tmp_path / "one"), now="2025-09-01")
    names = list(one.features()["name"])
    vector = one.vectors("2025-06-02")
    other = open_company(write(tmp_path / "other", "", customers={"hat": ["s", "m", "l"]}), now="2025-09-01")
    assert "customer_hat" in list(other.features()["name"])
    assert list(one.features()["name"]) == names
    assert "visits_rows" in names
    pd.testing.assert_frame_equal(one.vectors("2025-06-02"), vector, check_exact=True)


def people(number: int) -> list[str]:
    return [f"p{at}" for at in range(number)]


def undeclared(folder, ids: list[str] | list[int], called: str = "shopper"):
    """A company with two files of its own, of which nobody has said what they are; a folder."""
    folder.mkdir()
    days = [1 + at % 50 for at in range(len(ids))]
    text = list(map(str, ids))
    pl.DataFrame({"customer_id": text, "created_at": [ago(300)] * len(ids)}).write_parquet(folder / "customers.parquet")
    pl.DataFrame(
        {"customer_id": text, "occurred_at": [ago(day) for day in days], "event": ["login"] * len(ids)}
    ).write_parquet(folder / "usage_events.parquet")
    calls = {"call_id": [f"k{at}" for at in range(len(ids))], called: ids, "rung": [ago(day) for day in days]}
    pl.DataFrame(calls).write_parquet(folder / "calls.parquet")
    parts = {"call_id": calls["call_id"] * 2, "seconds": [10, 20] * len(ids), "line_no": range(2 * len(ids))}
    pl.DataFrame(parts).write_csv(folder / "call_parts.csv")
    (folder / "broken.csv").write_bytes(b"a,b\n\xff\xfe")
    (folder / "prices.csv").write_text("product,price\nx,1\ny,2\n")
    return str(folder)


def test_tables_that_nobody_declared_are_found_with_their_way_to_a_customer(tmp_path):
    found = stage(load_project(undeclared(tmp_path / "shop", people(60))), NOW_US)
    assert {"calls", "call_parts"} <= found.own.tables.keys()
    assert found.own.sources == ("call_parts", "calls")
    assert [line for line in found.unread if "broken" in line or "prices" in line]
    assert not [line for line in found.unread if "calls" in line or "call_parts" in line]
    vector = collect(vectors(open_tables(found, "polars"), T_US)).set_index("customer_id").loc["p3"]
    assert (vector["calls_rows_28d"], vector["call_parts_rows_28d"], vector["calls_days_since"]) == (1, 2, 4)
    assert vector["call_parts_seconds_mean_90d"] == 20


def test_a_file_of_people_with_dates_of_birth_is_no_history(tmp_path):
    place = undeclared(tmp_path / "shop", people(60))
    pl.DataFrame({"shopper": people(60), "dob": [ago(9000 + at) for at in range(60)]}).write_parquet(
        tmp_path / "shop" / "persons.parquet"
    )
    assert "persons" not in stage(load_project(place), NOW_US).own.tables


def test_a_source_that_is_called_like_something_sensitive_is_not_so_for_its_name(tmp_path):
    settings = VISITS.replace("sites.siteId", "race.siteId")
    place = write(tmp_path / "shop", settings)
    (tmp_path / "shop" / "sites.parquet").rename(tmp_path / "shop" / "race.parquet")
    assert list(at(place)["visits_race_zone_last"].fillna("")) == ["south", "north", ""]


def test_numbers_are_customers_only_where_their_name_says_so(tmp_path):
    numbers = list(range(60))
    named = stage(load_project(undeclared(tmp_path / "named", numbers, "customer_no")), NOW_US)
    other = stage(load_project(undeclared(tmp_path / "other", numbers, "shelf")), NOW_US)
    assert "calls" in named.own.tables
    assert "calls" not in other.own.tables


def test_undeclared_tables_stay_unread_where_the_company_wants_it(tmp_path):
    place = undeclared(tmp_path / "shop", people(60))
    (tmp_path / "shop" / "vouch.toml").write_text('data = "."\n[features]\nown = false\n')
    found = stage(load_project(place), NOW_US)
    assert not found.own.tables
    assert [line for line in found.unread if "calls" in line]


def company(folder, settings: str = "", *, subscribes: bool = True, **columns: list):
    """A company of 100 of whom 40 have left, with further columns of its customers; its project file."""
    folder.mkdir()
    names, text = people(100), [str(at) for at in range(100)]
    pl.DataFrame({"customer_id": names, "created_at": [ago(300)] * 100, **columns}).write_parquet(
        folder / "customers.parquet"
    )
    seen = [ago(120 if at < 40 else 1) for at in range(100)]
    pl.DataFrame({"customer_id": names, "occurred_at": seen, "event": ["login"] * 100}).write_parquet(
        folder / "usage_events.parquet"
    )
    if subscribes:
        ends = [ago(100) if at < 40 else None for at in range(100)]
        told = {"subscription_id": text, "customer_id": names, "started_at": [ago(290)] * 100, "ended_at": ends}
        more = {"mrr": [10.0] * 100, "phase": [PHASE[at < 40] for at in range(100)], "colour": ["red", "blue"] * 50}
        pl.DataFrame({**told, **more, "word": ["bored" if at < 40 else None for at in range(100)]}).write_parquet(
            folder / "subscriptions.parquet"
        )
    (folder / "vouch.toml").write_text(f'data = "."\n{settings}')
    return str(folder / "vouch.toml")


PHASE = {True: "B", False: "A"}
HINDSIGHT = {
    "letter": [PHASE[at < 40] for at in range(100)],
    "parting_words": [["dear", "far", "late"][at % 3] if at < 30 else None for at in range(100)],
    "next_invoice": [None if at < 40 else float(at) for at in range(100)],
}
ALWAYS_SO = {
    "shoe_size": [36 + at % 9 for at in range(100)],
    "nickname": ["x" if at % 5 else None for at in range(100)],
}


@pytest.mark.parametrize("subscribes", [True, False])
def test_a_column_whose_figures_say_who_has_left_is_left_out_whatever_it_is_called(tmp_path, subscribes):
    found = verdicts(company(tmp_path / "shop", subscribes=subscribes, **HINDSIGHT, **ALWAYS_SO))
    assert {name for name, one in found.items() if one.is_taken} == set(ALWAYS_SO)
    assert {one.told.partition(":")[0] for one in found.values() if not one.is_taken} == {"a leak"}


def test_what_figures_call_a_leak_may_be_taken_in_by_name(tmp_path):
    settings = '[features]\ntake = ["customers.letter"]'
    assert verdicts(company(tmp_path / "shop", settings, **HINDSIGHT))["letter"].is_taken


def test_few_who_left_by_chance_make_no_leak(tmp_path):
    """Of a value that 19 hold nobody can tell, and what nearly all hold says nothing."""
    rare = [{"few": "x" if at < 19 else None, "most": None if at == 99 else at % 7} for at in range(100)]
    columns = {name: [row[name] for row in rare] for name in ("few", "most")}
    assert {one.is_taken for one in verdicts(company(tmp_path / "shop", **columns)).values()} == {True}


def test_a_state_that_goes_with_a_later_date_of_its_row_is_left_out_and_what_comes_with_the_date_waits(tmp_path):
    place = company(tmp_path / "shop")
    found = {one.column: one for one in stage(load_project(place), NOW_US).own.verdicts if one.table == "subscriptions"}
    assert {name for name, one in found.items() if not one.is_taken} == {"phase"}
    assert "ended_at" in found["phase"].told
    before, after = (collect(vectors(read(place), T_US - day * DAY_US)) for day in (150, 50))
    assert before["subscriptions_word_last"].isna().all()
    assert after["subscriptions_word_last"].notna().sum() == 40


@pytest.mark.parametrize(("is_written_over", "taken"), [(True, False), (False, True)])
def test_a_state_that_earlier_versions_of_a_row_have_too_was_written_over(tmp_path, is_written_over, taken):
    place = company(tmp_path / "shop")
    rows = pl.read_parquet(tmp_path / "shop" / "subscriptions.parquet").with_columns(ingested_at=pl.lit(ago(99)))
    first = rows.with_columns(ended_at=pl.lit(None, rows["ended_at"].dtype), ingested_at=pl.lit(ago(289)))
    first = first.with_columns(word=pl.lit(None, pl.String))
    first = first if is_written_over else first.with_columns(phase=pl.lit("A"))
    pl.concat([first, rows]).write_parquet(tmp_path / "shop" / "subscriptions.parquet")
    found = {one.column: one for one in stage(load_project(place), NOW_US).own.verdicts if one.table == "subscriptions"}
    assert found["phase"].is_taken == taken
    assert found["word"].is_taken


def test_rows_with_a_time_that_part_leavers_are_left_out_and_those_filled_for_them_alone_are_warned_of(tmp_path):
    """What stands in all rows of a leaver, the first too, was written down afterwards, in the last it may be known."""
    place = company(tmp_path / "shop", VISITS.partition("parents")[0])
    rows = [
        visit(f"p{at}", days, 1, 2.0) | {"letter": PHASE[at < 40], "said": "bye" if at < 40 and days == 101 else None}
        for at in range(100) for days in (200, 101)
    ]  # fmt: skip
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(tmp_path / "shop" / "page_visits.parquet")
    found = stage(load_project(place), NOW_US)
    assert {one.column for one in found.own.verdicts if one.table == "visits" and "a leak" in one.told} == {"letter"}
    warned = [line for line in found.counted["warnings"] if "customers who left" in line]
    assert len(warned) == 1
    assert 'leave_out = ["visits.said"]' in warned[0]


def test_a_further_column_of_the_members_of_a_programme_feeds_like_one_of_customers(tmp_path):
    place = write(tmp_path / "shop", "")
    members = {"customer_id": ["a", "b"], "enrolled_at": [ago(50), ago(40)], "card": ["gold", "blue"]}
    pl.DataFrame(members).write_parquet(tmp_path / "shop" / "loyalty_members.parquet")
    assert list(at(place)["loyalty_members_card"].fillna("")) == ["gold", "blue", ""]


def test_what_a_parent_is_today_is_no_fact_of_its_rows(tmp_path):
    place = write(tmp_path / "shop")
    pages = {"pageId": [1, 2, 3], "siteId": [7, 7, 8], "depth": [1, 3, 5], "status": list("xyx"), "churned": [0, 1, 0]}
    pl.DataFrame(pages).write_parquet(tmp_path / "shop" / "pages.parquet")
    found = {one.column: one.is_taken for one in stage(load_project(place), NOW_US).own.verdicts}
    assert (found["pages_depth"], found["pages_status"], found["pages_churned"]) == (True, False, False)
