"""Envelopes say what a value rests on, nothing is 0 for want of data, and only what was known counts."""

from __future__ import annotations

import math

import pytest

from support.rows.metric_examples import INSTANT_US, company, measured, one
from vouch.features.contract.tables import DAY_US
from vouch.features.errors import UsageError
from vouch.features.metrics.catalogue import METRICS, load_metrics
from vouch.features.metrics.comparisons.history import series
from vouch.features.metrics.evaluate import measure, measure_by
from vouch.features.metrics.examples import answers, repeated

load_metrics()


def nps(scores, **more):
    return one({"surveys": answers("nps", scores, 0, 10)}, "nps", **more)


def test_a_value_comes_with_its_interval_and_what_it_rests_on():
    found = nps([10] * 18 + [7] * 11 + [3] * 2)
    assert found.value == pytest.approx(51.613, abs=1e-3)
    assert (found.ci_low, found.ci_high) == pytest.approx((25.51, 68.61), abs=6e-3)
    assert (found.ci_method, found.n, found.n_missing, found.coverage) == ("adjusted_wald", 31, 0, 1.0)
    assert (found.status, found.reason, found.unit, found.window_days) == ("ok", None, "points", 90)
    assert (found.as_of, found.higher_is_better, found.code) == ("2024-10-04", True, "M01")


def test_nothing_is_null_with_a_reason_and_never_zero():
    found = nps([])
    assert (found.value, found.ci_low, found.n, found.coverage) == (None, None, 0, None)
    assert (found.status, found.reason) == ("empty", "nothing_to_measure")


@pytest.mark.parametrize(("known", "reason"), [(1, "nothing of surveys is known before"), (-2, None)])
def test_an_empty_metric_says_where_its_table_was_not_known_yet(known, reason):
    rows = [{**answer, "ingested_at": known} for answer in answers("nps", [9] * 30, 0, 10)]
    found = one({"surveys": rows}, "nps")
    assert (found.reason or "").startswith(reason or "")
    assert found.status == ("empty" if reason else "ok")


def test_below_five_the_value_is_hidden_and_the_counts_stay():
    found = nps([10, 10, 10, 0])
    assert (found.value, found.ci_low, found.ci_high, found.n) == (None, None, None, 4)
    assert found.status == "suppressed"


@pytest.mark.parametrize(("n", "status"), [(4, "suppressed"), (5, "low_n"), (29, "low_n"), (30, "ok")])
def test_the_status_follows_the_number_of_observations(n, status):
    assert nps([10] * n).status == status


def test_all_promoters_do_not_mean_certainty():
    found = nps([10] * 5)
    assert (found.value, found.ci_low, found.ci_high) == pytest.approx((100, 17.49, 100), abs=6e-3)


def test_a_missing_table_is_said_and_no_error():
    found = one({"usage_events": [{"customer_id": "a", "occurred_at": -1, "event": "open"}]}, "nps")
    assert (found.value, found.status, found.reason) == (None, "not_applicable", "no_table: surveys")


def test_a_missing_column_is_said():
    found = one({"surveys": [{**answers("nps", [9], 0, 10)[0]}]}, "verbatim_rate")
    assert (found.status, found.reason) == ("not_applicable", "no_column: surveys.verbatim")


def test_an_unknown_metric_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError, match="did you mean 'nps'"):
        measured({"surveys": []}, "npss")


def test_a_split_by_what_customers_do_not_have_is_refused():
    with pytest.raises(UsageError, match=r"customers\.region"):
        measured({"surveys": answers("nps", [9], 0, 10)}, "nps", by="region")
    with pytest.raises(UsageError, match="did you mean 'region'"):
        measured({"surveys": answers("nps", [9], 0, 10)}, "nps", by="regio")


def by_region():
    people = [{"customer_id": f"c{i}", "created_at": -900, "region": "north" if i < 40 else "south"} for i in range(60)]
    rows = [
        {**row, "customer_id": f"c{i}"} for i, row in enumerate(answers("nps", [10] * 30 + [0] * 10 + [0] * 20, 0, 10))
    ]
    return {"customers": people, "surveys": [*rows, *answers("nps", [10] * 6, 0, 10)]}


def test_segments_add_up_and_strangers_are_named():
    found = measured(by_region(), "nps", by="region", customers=False)
    assert [(e.by, e.segment, e.n, e.value) for e in found] == [
        ("region", "north", 40, 50.0),
        ("region", "south", 20, -100.0),
        ("region", "unknown", 6, 100.0),
    ]


def test_small_segments_are_drawn_to_the_middle():
    north, south, unknown = measured(by_region(), "nps", by="region", customers=False)
    assert -100 < south.value_shrunk < -80
    assert unknown.value_shrunk < 100
    assert abs(north.value_shrunk - 50) < abs(unknown.value_shrunk - 100)


def test_a_segment_without_rows_is_there_and_empty():
    people = [{"customer_id": "x", "created_at": -10, "region": "west"}]
    found = measured({"customers": people, "surveys": answers("nps", [10] * 6, 0, 10)}, "nps", by="region")
    assert [(e.segment, e.status) for e in found if e.segment == "west"] == [("west", "empty")]


def test_tenure_bands_begin_with_their_lower_end():
    people = [{"customer_id": str(i), "created_at": -days} for i, days in enumerate([89, 90, 364, 365, 1095])]
    rows = [{**row, "customer_id": str(i)} for i, row in enumerate(answers("nps", [9] * 5, 0, 10))]
    found = measured({"customers": people, "surveys": rows}, "nps", by="tenure_band")
    assert {e.segment: e.n for e in found} == {
        "under 90 days": 1, "90 to 364 days": 2, "1 to 2 years": 1, "3 years and more": 1,
    }  # fmt: skip


def test_internal_customers_are_in_nothing():
    people = [{"customer_id": "staff", "created_at": -900, "is_internal": True}]
    rows = [{**answers("nps", [0], 0, 10)[0], "customer_id": "staff"}, *answers("nps", [10] * 5, 0, 10)]
    assert one({"customers": people, "surveys": rows}, "nps").value == 100


def test_a_row_at_the_instant_is_not_known_yet_and_one_at_the_start_of_the_window_is():
    def asked(at):
        return [{**row, "invited_at": at} for row in answers("nps", [0] * 5, 0, 10)]

    assert one({"surveys": asked(0)}, "nps").n == 0
    assert one({"surveys": asked(-1e-9)}, "nps").n == 5
    assert one({"surveys": asked(-90)}, "nps").n == 5
    assert one({"surveys": asked(-90.001)}, "nps").n == 0


def test_what_became_known_later_changes_no_earlier_metric():
    late = [{**row, "ingested_at": 1} for row in answers("nps", [0] * 50, 0, 10)]
    assert one({"surveys": [*answers("nps", [10] * 6, 0, 10), *late]}, "nps").value == 100


def test_many_instants_equal_one_at_a_time():
    tables = company(by_region())
    instants = [INSTANT_US - 7 * DAY_US, INSTANT_US]
    found = series(tables, instants, ["nps", "csat"])
    assert found == [e for instant in instants for e in measure(tables, instant, ["nps", "csat"], bootstraps=False)]


def test_several_splits_at_once_equal_one_at_a_time():
    tables = company(by_region())
    together = measure_by(tables, INSTANT_US, [None, "region", "tenure_band"])
    assert together == [e for by in (None, "region", "tenure_band") for e in measure(tables, INSTANT_US, by=by)]


def test_a_split_of_everything_leaves_out_what_cannot_be_had():
    found = measured(by_region(), by="region", customers=False)
    assert found
    assert all(e.segment is not None for e in found)
    assert {e.metric_id for e in found if e.status == "not_applicable"} == set()


def test_numbers_are_numbers_or_null():
    rows = {**by_region(), "subscriptions": repeated(6, started_at=-100, mrr=0)}
    for envelope in measured(rows, customers=False):
        numbers = [v for v in envelope.as_dict().values() if isinstance(v, float)]
        assert all(map(math.isfinite, numbers)), envelope


def test_the_order_of_rows_does_not_matter():
    rows = by_region()
    turned = {name: rows[name][::-1] for name in rows}
    assert measured(rows, customers=False) == measured(turned, customers=False)


def test_both_engines_agree():
    assert measured(by_region(), by="region", engine="duckdb") == measured(by_region(), by="region")


@pytest.mark.parametrize(
    ("metric_id", "n", "n_items"),
    [("share_of_voice", 6, 6), ("order_frequency", 5, 10), ("referrals_per_advocate", 5, 6), ("ces_operational", 5, 5),
     ("interaction_frequency", 5, 12), ("k_factor", 10, 10), ("personalisation", 5, 5), ("session_depth", 5, 6),
     ("nps", 31, 31)],
)  # fmt: skip
def test_n_counts_the_units_and_n_items_what_was_counted_of_them(metric_id, n, n_items):
    found = one(METRICS[metric_id].example.tables, metric_id)
    assert (found.n, found.n_items) == (n, n_items)


def test_several_tickets_of_one_customer_are_one_unit():
    tickets = METRICS["ces_operational"].example.tables["tickets"]
    rows = [{**row, "customer_id": c} for c in "abcde" for row in tickets]
    found = one({"tickets": rows}, "ces_operational")
    assert (found.n, found.n_items) == (5, 25)
    assert one({"tickets": rows[:15]}, "ces_operational").status == "suppressed"  # three customers
