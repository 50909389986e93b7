"""Golden vectors: figures that were published, or worked out by hand, with the place; and the bugs of others.

`test_golden_*` holds one published figure each, `test_anchor_*` one bug that other products have had, by name.
"""

from __future__ import annotations

import narwhals as nw
import numpy as np
import polars as pl
import pytest

from support.rows.metric_examples import INSTANT_US, company, one
from vouch.features.health import HealthRules, Measure, with_health
from vouch.features.metrics.context import MetricContext
from vouch.features.metrics.definitions.lifetime import survival
from vouch.features.metrics.definitions.purchases import log_split
from vouch.features.metrics.definitions.retention import scaled_rate
from vouch.features.metrics.examples import answers, repeated
from vouch.features.metrics.lists.retention_curves import pooled_and_mean, retention_curve
from vouch.features.statistics import intervals
from vouch.models.quality.figures import gain_table


def value_of(rows, metric_id, **more):
    return one(rows, metric_id, **more).value


def nps(scores, low=0, high=10, **more):
    return one({"surveys": answers("nps", scores, low, high, **more)}, "nps")


SCORES = [10] * 18 + [7] * 11 + [3] * 2


def test_golden_nps_of_18_promoters_11_passives_2_detractors():
    found = nps(SCORES)
    assert (found.value, found.ci_low, found.ci_high) == pytest.approx((51.613, 25.51, 68.61), abs=6e-3)
    p, d = 18 / 31, 2 / 31
    half = 100 * intervals.Z * np.sqrt((p + d - (p - d) ** 2) / 31)
    assert (found.value - half, found.value + half) == pytest.approx((29.95, 73.28), abs=6e-3)  # plain Wald, not ours


def test_golden_nps_of_5_promoters_is_not_certain():
    found = nps([10] * 5)
    assert (found.value, found.ci_low, found.ci_high) == pytest.approx((100, 17.49, 100), abs=6e-3)


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 5, 0, 0.4345), (5, 5, 0.5655, 1), (1, 200, 0.0009, 0.0278)],
)
def test_golden_wilson(hits, n, low, high):
    found = intervals.wilson(hits, n)
    assert (float(found.low), float(found.high)) == pytest.approx((low, high), abs=6e-5)


def test_golden_churn_of_6_percent_in_45_days_a_month_and_a_year():
    scaled = [100 * scaled_rate(0.06, 45, days) for days in (365 / 12, 365)]
    assert scaled == pytest.approx([4.0961, 39.4608], abs=5e-5)


EFFORT = [1] * 80 + [2] * 210 + [3] * 140 + [4] * 110 + [5] * 160 + [6] * 180 + [7] * 120


@pytest.mark.parametrize(("metric_id", "value"), [("ces_mean", 4.08), ("ces_easy", 46.0), ("ces_net_easy", -13.0)])
def test_golden_effort_of_a_thousand_answers(metric_id, value):
    assert value_of({"surveys": answers("ces", EFFORT, 1, 7, "support")}, metric_id) == pytest.approx(value)


def experience(**items):
    return {
        "surveys": [
            {**row, "customer_id": f"c{number}"}
            for item, scores in items.items()
            for number, row in enumerate(answers("cxi", scores, 1, 5, item=item))
        ]
    }


ITEMS = {"effectiveness": [5, 4, 4, 3, 2], "ease": [5, 5, 4, 2, 1], "emotion": [3, 3, 4, 5, 1]}


def test_golden_cxpi_of_three_items():
    assert value_of(experience(**ITEMS), "cxi_forrester3") == pytest.approx(26.667, abs=1e-3)
    each = [100 * ((np.array(s) >= 4).mean() - (np.array(s) <= 2).mean()) for s in ITEMS.values()]
    assert each == pytest.approx([40, 20, 20])


def test_golden_earned_growth_of_winning_on_purpose():
    from vouch.features.metrics.definitions.revenue import earned_growth, earned_ratio

    means = np.array([[100.0, 85.0, 25.0, 130.0]])
    assert earned_growth(means)[0] == pytest.approx(10)
    assert earned_ratio(means)[0] == pytest.approx(100 / 3)


def test_golden_klipfolio_lifetime_value_of_50_a_visit_52_visits_at_85_percent():
    sales = [{"customer_id": c, "occurred_at": -1 - 7 * week, "amount": 50, "gross_margin": 42.5, "kind": "purchase"}
             for c in "abcde" for week in range(52)]  # fmt: skip
    assert value_of({"transactions": sales}, "clv_margin_historic") == pytest.approx(2210)


@pytest.mark.parametrize(
    ("counts", "metric_id", "value"),
    [((35, 59, 6), "net_sentiment", 29.0), ((80, 100, 20), "net_sentiment", 30.0),
     ((1000, 40, 150), "net_sentiment_ratio", 73.913)],
)  # fmt: skip
def test_golden_net_sentiment(counts, metric_id, value):
    tones = [tone for tone, times in zip((100, 0, -100), counts, strict=True) for _ in range(times)]
    rows = {"feedback": [{"source": "own_site", "occurred_at": -9, "polarity": tone} for tone in tones]}
    assert value_of(rows, metric_id) == pytest.approx(value, abs=1e-3)


def points(*entries):
    return {
        "loyalty_ledger": [
            {"customer_id": c, "occurred_at": at, "kind": kind, "points": points, "lot_id": c}
            for c, at, kind, points in entries
        ]
    }


def test_golden_100_points_issued_and_20_redeemed():
    rows = points(*((c, -200, "earn", 20) for c in "abcde"), ("a", -190, "redeem", 20))
    assert value_of(rows, "redemption_rate") == pytest.approx(20)
    assert value_of(rows, "breakage") == pytest.approx(80)


def test_golden_frequency_up_and_spend_down_split_by_logs():
    parts = log_split((2, 50), (3, 30))
    assert parts == pytest.approx((38.484, -48.484), abs=5e-4)
    assert sum(parts) == pytest.approx(-10)


def health_of(rules, *values):
    columns = {m.feature: pl.Series([v], dtype=pl.Float64) for m, v in zip(rules.measures, values, strict=True)}
    frame = with_health(nw.from_native(pl.DataFrame(columns).lazy()), rules)
    return frame.collect("polars").to_native().row(0, named=True)


def points_as_given(*weights):
    steps = (0.0, 5.0, 9.1, 10.0, 21.0, 40.0, 47.0, 59.0, 60.0, 74.3, 100.0)
    tiers = tuple((step, step) for step in steps)
    measures = tuple(Measure(f"f{n}", "g", weight, tiers) for n, weight in enumerate(weights))
    return HealthRules(1, 0.6, (("at_risk", 0.0), ("watch", 50.0), ("healthy", 70.0)), measures)


def test_golden_gainsight_group_of_three_measures():
    assert health_of(points_as_given(20, 15, 22), 47, 59, 21)["health_score"] == pytest.approx(40.12, abs=5e-3)


def test_golden_totango_portfolio_of_5_green_3_amber_2_red():
    found = health_of(points_as_given(*[1] * 10), *[100] * 5, *[60] * 3, *[40] * 2)
    assert found["health_score"] == pytest.approx(76)


def test_golden_planhat_group_of_four():
    assert health_of(points_as_given(1, 1, 1, 1), 10, 5, 5, 5)["health_score"] == pytest.approx(6.25)


def test_golden_ten_visitors_of_20_minutes_on_average():
    rows = {"sessions": [{"visitor_id": f"v{n}", "started_at": -3, "ended_at": -2.9, "engaged_s": 60 * minutes}
                         for n, minutes in enumerate((5, 35, 10, 30, 15, 25, 20, 20, 2, 38))]}  # fmt: skip
    assert value_of(rows, "time_on_site") == pytest.approx(20)


def test_golden_lift_of_a_random_score_of_twelve_values_is_1():
    draw = np.random.default_rng(0)
    score, y = np.repeat(np.arange(12) / 12, 500), np.zeros(6000)
    y[::10] = 1  # the same share in every tie
    order = draw.permutation(6000)
    assert gain_table(y[order], score[order]).lift[1:] == pytest.approx(np.ones(100))


def test_golden_kaplan_meier_of_freireich_1963():
    """6-MP arm, Freireich et al. 1963, Blood 21:699, as in Kleinbaum & Klein: S(10) = 0.753, S(23) = 0.448."""
    ended = [6, 6, 6, 7, 10, 13, 16, 22, 23]
    running = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
    lasted = np.array([*ended, *running], dtype=float)
    curve = survival(lasted, np.array([1.0] * len(ended) + [0.0] * len(running)))
    assert curve.evaluate([6, 10, 23]) == pytest.approx((0.857, 0.753, 0.448), abs=5e-4)


def test_anchor_no_answers_are_no_nps_of_0():
    found = nps([])
    assert (found.value, found.status) == (None, "empty")


def test_anchor_dismissed_surveys_are_in_no_denominator():
    dismissed = [{**answers("nps", [0], 0, 10)[0], "status": "dismissed", "score": None} for _ in range(5)]
    found = one({"surveys": [*answers("nps", SCORES, 0, 10), *dismissed]}, "nps")
    assert found.value == pytest.approx(51.613, abs=1e-3)  # with them: 44.4
    assert (found.n, found.n_missing) == (31, 5)


def test_anchor_nobody_churns_is_0_and_not_null():
    rows = {"subscriptions": repeated(40, started_at=-100, mrr=10)}
    assert [value_of(rows, name) for name in ("churn_rate", "mrr_churn", "churn_rate_annual")] == [0, 0, 0]
    assert [value_of(rows, name) for name in ("gross_revenue_retention", "net_revenue_retention")] == [100, 100]


def test_anchor_cohorts_of_whom_nobody_returns_are_not_skipped():
    pooled, mean, count = pooled_and_mean(np.array([1.0] * 100 + [2.0] * 10), np.array([1.0] * 25 + [0.0] * 85))
    assert (pooled, mean, count) == (pytest.approx(22.73, abs=5e-3), 12.5, 2)  # 25 where the empty one is skipped


def test_anchor_a_curve_counts_only_those_whose_day_is_over():
    people = [{"customer_id": f"c{n}", "created_at": -40 + n} for n in range(12)]
    used = [{"customer_id": f"c{n}", "occurred_at": -40 + n + 30, "event": "open"} for n in range(3)]
    used += [{"customer_id": "old", "occurred_at": -99, "event": "open"}]  # of whom the return could not be seen
    rows = {"customers": people, "usage_events": used}
    found = {
        (p.day, p.is_from): p for p in retention_curve(MetricContext(company(rows, begun=False), INSTANT_US), (30,))
    }
    assert (found[30, False].n, found[30, False].pooled) == (10, 30)
    assert found[30, True].pooled == 30


def test_anchor_a_month_is_no_30_days():
    by_days = scaled_rate(0.06, 45, 30)
    assert 100 * by_days == pytest.approx(4.0410, abs=5e-4)
    assert 100 * scaled_rate(0.06, 45, 365 / 12) == pytest.approx(4.0961, abs=5e-5)


def test_anchor_a_row_at_the_cutoff_belongs_to_the_future():
    rows = [{**row, "invited_at": at} for at in (0, -1e-9) for row in answers("nps", [10] * 5, 0, 10)]
    assert one({"surveys": rows}, "nps").n == 5


def test_anchor_ties_do_not_inflate_a_lift():
    table = gain_table(np.array([1.0] * 10 + [0.0] * 90), np.full(100, 0.5))
    assert table.lift[1:] == pytest.approx(np.ones(100))


def test_anchor_buying_once_is_not_worth_more_than_buying_the_same_again():
    from vouch.features.metrics.definitions.value import spenders

    rows = [
        {"customer_id": "once", "occurred_at": -300, "amount": 50, "kind": "purchase"},
        *({"customer_id": "again", "occurred_at": -300 + n, "amount": 50, "kind": "purchase"} for n in range(4)),
    ]
    frame = spenders.prepare(MetricContext(company({"transactions": rows}), INSTANT_US), None)
    worth = dict(frame.select("customer_id", "revenue").collect("polars").to_native().rows())
    assert worth == {"once": 50, "again": 200}
    assert value_of({"transactions": rows}, "clv_margin") is None  # no expected value without a model that holds this


def test_anchor_a_missing_input_that_is_renormalised_improves_no_band():
    rules = points_as_given(0.75, 0.25)
    full, less = health_of(rules, 74.3, 9.1), health_of(rules, 74.3, None)
    assert (full["health_score"], less["health_score"]) == pytest.approx((58.0, 74.3), abs=1e-9)
    assert (full["health_band"], less["health_band"]) == ("watch", "watch")  # 74.3 by itself would be healthy
    assert (less["health_low"], less["health_high"]) == pytest.approx((55.725, 80.725))


def test_anchor_who_has_left_does_not_turn_green():
    people = [f"c{n}" for n in range(10)]
    rows = {
        "subscriptions": [{"customer_id": c, "started_at": -300, "mrr": 5, **({"ended_at": -3} if c < "c5" else {})}
                          for c in people],
        "usage_events": [{"customer_id": c, "occurred_at": -1 - day, "event": "open"}
                         for c in people for day in range(3, 60, 2)],
    }  # fmt: skip
    found = one(rows, "health_score")
    assert found.n + found.n_missing == 5


def invited(*pairs):
    return [{"advocate_id": a, "prospect_id": p, "invited_at": -60, "converted_at": -50} for a, p in pairs]


def test_anchor_who_refers_oneself_refers_nobody():
    assert value_of({"referrals": invited(("a", "a"), ("b", "b"), ("c", "p"))}, "referrals") == 1


def test_anchor_no_revenue_is_attributed_twice():
    sales = [{"customer_id": "p", "occurred_at": -50, "amount": 100, "kind": "purchase"},
             {"customer_id": "q", "occurred_at": -50, "amount": 900, "kind": "purchase"}]  # fmt: skip
    rows = {"referrals": invited(("a", "p"), ("b", "p"), ("a", "p")), "transactions": sales}
    assert value_of(rows, "advocacy_revenue") == 100
    matured = one({"referrals": invited(("a", "p"), ("b", "p"), ("c", "x"), ("d", "y"), ("e", "z"))},
                  "referral_conversion_rate")  # fmt: skip
    assert matured.value == pytest.approx(80)  # five invitations, four customers


@pytest.mark.parametrize(("low", "high"), [(1, 10), (1, 5), (0, 5)])
def test_anchor_answers_on_another_scale_are_no_nps(low, high):
    other = answers("nps", [5] * 20, low, high)
    found = one({"surveys": [*answers("nps", SCORES, 0, 10), *other]}, "nps")
    assert (found.value, found.n, found.n_missing) == (pytest.approx(51.613, abs=1e-3), 31, 20)


def test_anchor_satisfaction_on_two_scales_is_never_mixed():
    rows = [*answers("csat", [5] * 30, 1, 5, "support"), *answers("csat", [5] * 10, 1, 10, "support")]
    found = one({"surveys": rows}, "csat")
    assert (found.value, found.n, found.n_missing) == (100, 30, 10)


def test_anchor_a_ratio_of_period_may_exceed_all_and_a_vintage_may_not():
    rows = points(*((c, -200, "earn", 10) for c in "abcde"), *((c, -5, "earn", 1) for c in "abcde"),
                  *((c, -4, "redeem", 10) for c in "abcde"))  # fmt: skip
    assert value_of(rows, "redemption_rate_period") == pytest.approx(1000)
    assert value_of(rows, "redemption_rate") == 0
