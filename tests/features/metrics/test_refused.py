"""What was refused for its value is missing, not gone: values stand, and what they rest on is told."""

from __future__ import annotations

from dataclasses import replace

import narwhals as nw
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.rows.metric_examples import INSTANT_US
from support.rows.table_files import DAY_US, NOW_US, company, row, write_csv
from support.rows.table_files import staged as made
from support.whole_company import whole_company
from vouch.features.contract.stand_ins import EMPTIED, can_stand_in
from vouch.features.contract.tables import TABLES
from vouch.features.ingest.stage import open_tables
from vouch.features.metrics.catalogue import METRICS, load_metrics
from vouch.features.metrics.evaluate import measure

AS_OF_US = NOW_US
RECENT = "2025-12-20"


def measured(tmp_path, ids, name="tables", by=None, engine="polars", **tables):
    found = made(write_csv(tmp_path / name, company(**tables)), tmp_path / f"home {name}")
    return {envelope.metric_id: envelope for envelope in measure(open_tables(found, engine), AS_OF_US, ids, by)}


def answer(number, score, **changes):
    named = {"response_id": f"r{number}", "customer_id": f"c{number}", "invited_at": RECENT, "responded_at": RECENT}
    return row("surveys", **{**named, "score": score, **changes})


@pytest.mark.parametrize("engine", ["polars", "duckdb"])
@pytest.mark.parametrize("broken", ["top", "11", "-1", "NaN", "", "1e15"])
def test_refused_answers_count_as_missing_and_change_no_value(tmp_path, broken, engine):
    read = [answer(number, number % 11) for number in range(40)]
    lost = [answer(number, broken) for number in range(40, 50)]
    people = [row("customers", customer_id=f"c{number}") for number in range(50)]
    whole = measured(tmp_path, ["nps"], "whole", customers=people, surveys=read, engine=engine)["nps"]
    found = measured(tmp_path, ["nps"], "short", customers=people, surveys=[*read, *lost], engine=engine)["nps"]
    assert (found.value, found.n, found.ci_low) == (whole.value, whole.n, whole.ci_low)
    assert (whole.n_missing, whole.coverage) == (0, 1.0)
    assert (found.n_missing, found.coverage) == (10, 0.8)
    assert (whole.bound_low, whole.bound_high) == (None, None)
    at_worst, at_best = (40 * whole.value + 10 * end for end in (-100, 100))
    assert (found.bound_low, found.bound_high) == pytest.approx((at_worst / 50, at_best / 50))


@given(
    st.lists(st.tuples(st.integers(0, 10) | st.just(99), st.sampled_from(["eu", "us", ""])), min_size=5, max_size=25)
)
@settings(max_examples=8)
def test_read_and_refused_answers_add_up_to_those_given_in_every_segment(tmp_path_factory, given_answers):
    people = [
        row("customers", customer_id=f"c{number}", region=region) for number, (_, region) in enumerate(given_answers)
    ]
    answers = [answer(number, score) for number, (score, _) in enumerate(given_answers)]
    folder = tmp_path_factory.mktemp("answers")
    found = made(write_csv(folder / "tables", company(customers=people, surveys=answers)))
    for envelope in measure(open_tables(found, "polars"), AS_OF_US, ["nps"], "region"):
        region = "" if envelope.segment == "unknown" else envelope.segment
        assert envelope.n + envelope.n_missing == sum(of == region for _, of in given_answers)


def test_answers_of_another_question_or_time_are_not_missed(tmp_path):
    read = [answer(number, 9) for number in range(30)]
    others = [
        answer(90, "top", instrument="csat", scale_min=1, scale_max=5),
        answer(91, "top", invited_at="2025-03-01", responded_at="2025-03-01"),
        answer(92, "top", customer_id=""),
        answer(93, "top", invited_at="soon", responded_at=""),
    ]
    assert measured(tmp_path, ["nps"], surveys=[*read, *others])["nps"].n_missing == 0


def test_a_refused_answer_that_was_mended_since_is_not_missed(tmp_path):
    read = [answer(number, 9) for number in range(30)]
    mended = [answer(29, "top", ingested_at="2025-12-21"), answer(30, "top"), answer(30, 8, ingested_at="2025-12-22")]
    found = measured(tmp_path, ["nps"], surveys=[*read, *mended])["nps"]
    assert (found.n, found.n_missing) == (31, 0)


def test_money_that_cannot_be_read_is_missed_by_what_it_would_have_fed(tmp_path):
    people = [row("customers", customer_id=f"c{number}") for number in range(40)]
    orders = [
        row("transactions", transaction_id=f"t{number}", customer_id=f"c{number}", occurred_at=RECENT,
            amount="12,50 EUR" if number < 4 else "10")
        for number in range(40)
    ]  # fmt: skip
    found = measured(tmp_path, ["order_value", "order_frequency", "nps"], customers=people, transactions=orders)
    assert (found["order_value"].value, found["order_value"].n_missing) == (10, 4)
    assert found["order_frequency"].coverage == pytest.approx(0.9)
    assert found["nps"].n_missing == 0


def test_parts_of_a_table_keep_what_was_refused_as_one_file_does(tmp_path, monkeypatch):
    rows = [answer(number, 9 if number % 4 else "top") for number in range(40)]
    small = measured(tmp_path, ["nps"], "small", surveys=rows)["nps"]
    monkeypatch.setattr("vouch.features.ingest.inputs.LARGE_BYTES", 0)
    large = measured(tmp_path, ["nps"], "large", surveys=rows)["nps"]
    assert small == large
    assert large.n_missing == 10


def test_no_value_of_the_catalogue_hangs_on_a_row_that_was_refused(staged_company):
    tables, as_of_us = staged_company
    apart = {
        name: nw.from_native(_as_if_refused(tables.frames[name].collect("polars").to_native(), column).lazy())
        for name, column in (("surveys", "score"), ("transactions", "amount"), ("loyalty_ledger", "points"))
    }
    asked = [name for name, metric in load_metrics().items() if metric.kind is not None]
    whole = measure(tables, as_of_us, asked, bootstraps=False)
    short = measure(replace(tables, refused=apart), as_of_us, asked, bootstraps=False)
    for one, other in zip(whole, short, strict=True):
        told = {name: getattr(one, name) for name in ("n_missing", "coverage", "bound_low", "bound_high")}
        assert replace(other, **told) == one
        if other.bound_low is not None and other.value is not None:
            assert other.bound_low - 1e-9 <= other.value <= other.bound_high + 1e-9, other
        assert other.n_missing >= one.n_missing
        assert one.coverage is None or other.coverage <= one.coverage
    missed = {other.metric_id for one, other in zip(whole, short, strict=True) if other.n_missing > one.n_missing}
    assert {"nps", "csat", "order_value", "repeat_purchase_rate", "redemption_rate"} <= missed
    assert not {"ces_operational", "dau_mau", "share_of_voice"} & missed


def _as_if_refused(frame, column):
    """Every twentieth row once more under another key, its value not to be read."""
    key = next(name for name in ("response_id", "transaction_id", "entry_id") if name in frame.columns)
    rows = frame.filter(pl.int_range(pl.len()) % 20 == 0)
    stand_in = pl.lit(1_000_000_007).cast(frame.schema[column])
    return rows.with_columns(pl.format("refused {}", key).alias(key), stand_in.alias(column))


@pytest.fixture(scope="module")
def staged_company(staged):
    """The simulated company on Polars, and its last instant."""
    from vouch.features.simulation.parameters import LAST_INSTANT_US

    return open_tables(staged, "polars"), LAST_INSTANT_US - 7 * DAY_US


KINDS = sorted((table.name, column.name) for table in TABLES.values() for column in table.required() if column.values)
READ_BY_NONE = {("asks", "kind"), ("advocacy_software", "role"), ("costs", "kind")}
"""Kinds of tables that no example needs; of the staff; of what has no key to be told apart by."""


@pytest.mark.parametrize(
    ("table", "column"),
    [kind if kind == ("transactions", "kind") else pytest.param(*kind, marks=pytest.mark.nightly)
     for kind in KINDS if kind not in READ_BY_NONE],
)  # fmt: skip
def test_whatever_a_row_of_an_unknown_kind_would_have_changed_misses_it(table, column):
    tables = whole_company()
    held = tables.frames[table].collect("polars").to_native()
    is_lost = pl.int_range(pl.len()) % 2 == 0
    lost, kept = held.filter(is_lost), held.filter(~is_lost)
    short = replace(tables, frames={**tables.frames, table: nw.from_native(kept.lazy())})
    nameless = lost.with_columns(pl.lit(None, held.schema[column]).alias(column))
    told = replace(short, refused={table: nw.from_native(nameless.lazy())})
    whole, without, found = (measure(of, INSTANT_US, bootstraps=False) for of in (tables, short, told))
    changed = [at for at, one in enumerate(whole) if (one.value, one.n) != (without[at].value, without[at].n)]
    assert changed
    for at, one in enumerate(found):
        of = METRICS[one.metric_id]
        if of.items is not None and at in changed:
            assert one.n_missing > without[at].n_missing or without[at].n_missing > whole[at].n_missing, one
            assert one.value == without[at].value
            if one.bound_low is not None and whole[at].value is not None:
                assert one.bound_low - 1e-9 <= whole[at].value <= one.bound_high + 1e-9, (one, whole[at])


@pytest.mark.parametrize(("since", "days"), [("2023-01-01", 28), ("2025-12-20", 28)])
def test_a_contract_that_cannot_be_read_is_missed_however_long_it_runs(tmp_path, since, days):
    people = [row("customers", customer_id=f"c{number}", created_at=since) for number in range(40)]
    terms = [row("subscriptions", subscription_id=f"s{number}", customer_id=f"c{number}", started_at=since, ended_at="",
                 mrr="10" if number % 4 else "ten") for number in range(40)]  # fmt: skip
    found = measured(tmp_path, ["retention_rate"], customers=people, subscriptions=terms)["retention_rate"]
    assert (found.n + found.n_missing == 40) == (since < "2025-12-01")
    assert found.window_days == days


def test_bounds_hold_what_the_value_would_be_could_refused_rows_be_read(tmp_path):
    people = [row("customers", customer_id=f"c{number}") for number in range(40)]
    twice = [
        row("transactions", transaction_id=f"t{number}-{at}", customer_id=f"c{number}", occurred_at=f"2025-{at}-01")
        for number in range(40) for at in (11, 12)
    ]  # fmt: skip
    spoilt = [{**order, "amount": "ten"} if number % 4 == 0 else order for number, order in enumerate(twice)]
    asked = (tmp_path, ["repeat_purchase_rate"])
    rows = {"customers": people, "usage_events": [row("usage_events", occurred_at="2024-01-01")]}
    whole = measured(*asked, "whole", transactions=twice, **rows)
    found = measured(*asked, "short", transactions=spoilt, **rows)
    short = found["repeat_purchase_rate"]
    assert (short.value, short.n_missing) == (50, 20)
    assert short.bound_low <= whole["repeat_purchase_rate"].value <= short.bound_high


def terms_of(number, ended_at, **changes):
    named = {"subscription_id": f"s{number}", "customer_id": f"c{number}", "started_at": "2024-02-01", "mrr": "10"}
    return row("subscriptions", **{**named, "ended_at": ended_at, **changes})


@pytest.mark.parametrize("engine", ["polars", "duckdb"])
def test_an_end_that_cannot_be_read_is_missed_by_what_it_would_have_changed(tmp_path, engine):
    people = [row("customers", customer_id=f"c{number}", created_at="2024-01-01") for number in range(40)]
    ends = dict.fromkeys(range(0, 40, 10), "2025-12-20")
    whole = [terms_of(number, ends.get(number, "")) for number in range(40)]
    unread = [terms_of(number, ends.get(number, "gone" if number % 10 == 1 else "")) for number in range(40)]
    asked = (tmp_path, ["retention_rate", "nps"])
    sure = measured(*asked, "whole", customers=people, subscriptions=whole, engine=engine)["retention_rate"]
    found = measured(*asked, "short", customers=people, subscriptions=unread, engine=engine)["retention_rate"]
    assert (found.value, found.n, sure.n_missing) == (sure.value, sure.n, 0) == (90, 40, 0)
    assert (found.n_missing, found.bound_low, found.bound_high) == (4, 80, 90)
    assert found.coverage == pytest.approx(40 / 44)


def test_an_end_that_was_mended_since_is_not_missed(tmp_path):
    people = [row("customers", customer_id=f"c{number}", created_at="2024-01-01") for number in range(40)]
    terms = [terms_of(number, "gone" if number < 2 else "", ingested_at="2024-02-02") for number in range(40)]
    mended = [terms_of(0, "2025-12-20", ingested_at="2025-12-21")]
    found = measured(tmp_path, ["retention_rate"], customers=people, subscriptions=[*terms, *mended])["retention_rate"]
    assert (found.value, found.n, found.n_missing) == (97.5, 40, 1)


def test_a_cell_that_is_empty_is_not_missed(tmp_path):
    people = [row("customers", customer_id=f"c{number}", created_at="2024-01-01") for number in range(40)]
    found = measured(tmp_path, ["retention_rate"], customers=people, subscriptions=[terms_of(n, "") for n in range(40)])
    assert found["retention_rate"].n_missing == 0


def with_cells(tables, table, column):
    """The company with a column that holds something, where it had nothing there: one value after another."""
    of = TABLES[table].columns[column]
    held = tables.frames[table].collect("polars").to_native()
    if held[of.staged].null_count() < len(held):
        return tables
    values = {
        "boolean": [True, False], "time": [DAY_US, 3 * DAY_US], "text": of.values, "probability": [0.2, 0.9],
    }.get(of.kind, [1, 4])  # fmt: skip
    number = pl.int_range(pl.len())
    cells = pl.lit(values[0], held.schema[of.staged])
    for place, value in enumerate(values):
        cells = (
            pl.when(number // 2 % len(values) == place)
            .then(pl.lit(value).cast(held.schema[of.staged]))
            .otherwise(cells)
        )
    filled = held.with_columns(((pl.col("own_us") + cells) if of.kind == "time" else cells).alias(of.staged))
    columns = {**tables.columns, table: tables.columns[table] | {column}}
    frames = {**tables.frames, table: nw.from_native(filled.lazy())}
    return replace(tables, frames=frames, columns=columns, partitions={}, rollups=None)


OPTIONAL = sorted(
    (table.name, column.name)
    for table in TABLES.values()
    for column in table.columns.values()
    if can_stand_in(column) and column.name not in {"ingested_at", "is_deleted"} and table.name != "asks"
)
"""All but those of asks, which no metric reads."""
ALWAYS = {("subscriptions", "ended_at"), ("referrals", "converted_at")}
REFUSED = {("surveys", "score")}
"""An answer without one is refused as a row."""


@pytest.mark.parametrize(
    ("table", "column"),
    [of if of in ALWAYS else pytest.param(*of, marks=pytest.mark.nightly) for of in OPTIONAL if of not in REFUSED],
)
def test_whatever_a_cell_that_cannot_be_read_would_have_changed_misses_it(table, column):
    tables = with_cells(whole_company(), table, column)
    name = TABLES[table].columns[column].staged
    held = tables.frames[table].collect("polars").to_native()
    assert held[name].null_count() < len(held)
    is_lost = (pl.int_range(pl.len()) % 2 == 0) & pl.col(name).is_not_null()
    lost = held.filter(is_lost).with_columns(pl.lit(None, held.schema[name]).alias(name))
    unread = pl.concat([held.filter(~is_lost), lost])
    short = replace(tables, frames={**tables.frames, table: nw.from_native(unread.lazy())}, partitions={}, rollups=None)
    apart = lost.with_columns(pl.lit(f",{column},").alias(EMPTIED))
    told = replace(short, refused={table: nw.from_native(apart.lazy())})
    whole, without, found = (measure(of, INSTANT_US, bootstraps=False) for of in (tables, short, told))
    for sure, silent, one in zip(whole, without, found, strict=True):
        assert one.value == silent.value
        if METRICS[one.metric_id].items is not None and (sure.value, sure.n) != (silent.value, silent.n):
            assert one.n_missing > sure.n_missing, one
            if one.bound_low is not None and sure.value is not None:
                assert one.bound_low - 1e-9 <= sure.value <= one.bound_high + 1e-9, (one, sure)
