"""A number only where there is one: books that end too early, strangers, nothing that says who was earned, few rules.

Each figure here once looked good for want of data. What cannot be told is null, with the reason and, where they are
known, with bounds.
"""

from __future__ import annotations

import narwhals as nw
import numpy as np
import pytest

from support.rows.metric_examples import one
from support.whole_company import scores_of
from vouch.features.metrics.catalogue import load_metrics
from vouch.features.metrics.examples import answers

PEOPLE = [f"c{number:02}" for number in range(40)]


def costs(kind, since, until, amount=9000):
    return {"kind": kind, "started_at": since, "ended_at": until, "amount": amount}


def won(**more):
    return {"customers": [{"customer_id": c, "created_at": -20} for c in PEOPLE], **more}


@pytest.mark.parametrize(("until", "coverage"), [(0, 1.0), (-18, 0.8)])
def test_costs_that_cover_the_window_make_a_figure_and_say_how_much_they_cover(until, coverage):
    found = one(won(costs=[costs("sales", -90, until)]), "cac")
    assert (found.value, found.coverage) == (pytest.approx(9000 / 40), pytest.approx(coverage))


def test_costs_that_end_before_the_window_does_make_none():
    found = one(won(costs=[costs("sales", -200, -40)]), "cac")
    assert (found.value, found.status) == (None, "insufficient_history")
    assert found.reason == "costs of sales or marketing cover 56% of the window"


def test_periods_that_overlap_cover_what_they_share_once():
    halves = [costs("sales", -90, -45), costs("marketing", -90, -45), costs("sales", -90, -40)]
    assert one(won(costs=halves), "cac").status == "insufficient_history"


@pytest.mark.parametrize("rows", [[], [costs("programme", -90, 0)]])
def test_a_table_of_costs_that_holds_none_is_no_input(rows):
    found = one(won(costs=rows), "cac")
    assert (found.value, found.status) == (None, "not_applicable")
    assert found.reason.startswith("no_input")


def referred(known=40, p=0.25, **more):
    """Forty referred prospects who converted; of so many the id is that of a customer, who then bought."""
    return {
        "customers": [{"customer_id": c, "created_at": -50} for c in PEOPLE],
        "referrals": [{"advocate_id": "a", "prospect_id": c if number < known else f"{c}@example.org",
                       "invited_at": -60, "converted_at": -50, "counterfactual_p": p}
                      for number, c in enumerate(PEOPLE)],
        "transactions": [{"customer_id": c, "occurred_at": -50, "amount": 10, "gross_margin": 5, "kind": "purchase"}
                         for c in PEOPLE],
        "costs": [costs("programme", -400, 0, 400), costs("sales", -400, 0, 400)], **more,
    }  # fmt: skip


REVENUE = ("advocacy_revenue", "advocacy_revenue_share", "advocacy_revenue_share_incremental",
           "advocacy_growth_contribution", "referral_value", "programme_roi")  # fmt: skip


@pytest.mark.parametrize("metric_id", REVENUE)
def test_revenue_of_prospects_who_are_nobody_is_unmatched_and_not_0(metric_id):
    found = one(referred(known=0), metric_id)
    assert (found.value, found.status) == (None, "not_applicable")
    assert found.reason.startswith("unmatched: none of 40 converted prospects is among the customers")
    assert one(referred(known=19), metric_id).reason.startswith("unmatched: 19 of 40")


def test_from_half_of_them_on_it_is_told():
    assert one(referred(known=20), "advocacy_revenue").value == 200
    nobody = {**referred(), "referrals": [{"advocate_id": "a", "prospect_id": "x", "invited_at": -60}]}
    assert one(nobody, "advocacy_revenue").value == 0  # nobody converted: that is a 0


@pytest.mark.parametrize(
    ("metric_id", "bounds"),
    [("advocacy_revenue_share_incremental", (0, 100)), ("programme_roi", (-100, 100 * (200 - 90) / 90)),
     ("referral_value", (40 * 365 / 40, 200 + 40 * 365 / 40))],
)  # fmt: skip
def test_where_nobody_said_whether_they_had_come_anyway_there_are_bounds_and_no_value(metric_id, bounds):
    found = one(referred(p=None), metric_id)
    assert (found.value, found.status) == (None, "not_applicable")
    assert found.reason == "no_input: referrals.counterfactual_p is not known of 40 of 40 referred customers"
    if metric_id != "referral_value":
        assert (found.bound_low, found.bound_high) == pytest.approx(bounds)
    else:  # the discount of ten days stands between
        assert found.bound_low == pytest.approx(bounds[0])
        assert found.bound_high == pytest.approx(bounds[1], rel=0.01)


def growing(factor, **of_customers):
    return {
        "customers": [{"customer_id": c, "created_at": -900, **of_customers} for c in PEOPLE],
        "transactions": [{"customer_id": c, "occurred_at": at, "amount": amount + number % 3, "kind": "purchase"}
                         for number, c in enumerate(PEOPLE) for at, amount in ((-500, 100), (-100, 100 * factor))],
    }  # fmt: skip


@pytest.mark.parametrize("metric_id", ["earned_growth_rate", "earned_growth_ratio"])
def test_earned_growth_needs_something_that_says_who_was_earned(metric_id):
    found = one(growing(2), metric_id)
    assert (found.value, found.status) == (None, "not_applicable")
    assert found.reason.startswith("no_input: nothing says which customers were earned")
    assert one(growing(2, acquisition_source="ads"), metric_id).value is not None


@pytest.mark.parametrize("factor", [0.6, 0.99, 1.0])
def test_there_is_no_share_of_a_growth_that_is_not_there(factor):
    found = one(growing(factor, acquisition_source="ads"), "earned_growth_ratio")
    assert (found.value, found.status) == (None, "not_applicable")
    assert found.reason.startswith("growth is not surely above 0")
    assert one(growing(factor, acquisition_source="ads"), "earned_growth_rate").value is not None


def test_earned_growth_compares_years_so_that_who_pays_by_the_year_has_not_left():
    paid = {**growing(1, acquisition_source="ads")}
    paid["transactions"] = [{"customer_id": c, "occurred_at": at, "amount": 100, "kind": "renewal"}
                            for c in PEOPLE for at in (-550, -185)]  # fmt: skip
    assert one(paid, "earned_growth_rate").value == pytest.approx(0)


SUBSCRIBED = {"subscriptions": [{"customer_id": c, "started_at": -300, "mrr": 10} for c in PEOPLE],
              "touches": [{"customer_id": "c00", "occurred_at": -9, "kind": "service"}]}  # fmt: skip
ON_SCORES = ("churn_probability", "revenue_at_risk", "at_risk_coverage", "churn_drivers", "advocacy_potential")


@pytest.mark.parametrize("metric_id", ON_SCORES)
def test_what_rests_on_a_model_has_no_value_without_one(metric_id):
    without = one(SUBSCRIBED, metric_id, scores=scores_of(PEOPLE, has_model=False))
    assert (without.value, without.status, without.reason) == (None, "not_applicable", "no_model")
    assert one(SUBSCRIBED, metric_id).reason == "no_model: no week is published as of this instant"
    assert one(SUBSCRIBED, metric_id, scores=scores_of(PEOPLE)).value is not None


def test_where_there_is_a_model_and_nobody_to_score_it_is_not_the_model_that_is_missing():
    gone = scores_of(PEOPLE).with_columns(
        churn_status=nw.lit("churned"), churn_probability=nw.lit(None, nw.Float64)
    )  # fmt: skip
    found = one(SUBSCRIBED, "churn_probability", scores=gone)
    assert (found.value, found.status, found.reason) == (None, "empty", "nobody_scored: there is nobody to score")


def test_revenue_at_risk_is_at_most_all_that_is_there_to_lose():
    found = one(SUBSCRIBED, "revenue_at_risk", scores=scores_of(PEOPLE))
    assert 0 <= found.ci_low <= found.value <= found.ci_high <= 400


def used_by(*more):
    rows = {"usage_events": [{"customer_id": c, "occurred_at": -1 - day, "event": "open"}
                             for c in PEOPLE for day in range(0, 56, 2)]}  # fmt: skip
    for known in more:
        rows["surveys"] = [{**row, "customer_id": c, "invited_at": -9}
                           for c, row in zip(known, answers("nps", [10] * len(known), 0, 10), strict=True)]  # fmt: skip
        rows["tickets"] = [{"customer_id": c, "opened_at": -40, "resolved_at": -39} for c in PEOPLE]
    return rows


def test_a_health_of_a_twentieth_of_the_rules_is_none():
    found = one(used_by(), "health_score")
    assert (found.value, found.n, found.n_missing, found.coverage) == (None, 0, 40, 0.0)
    assert found.reason.startswith("too little is known")
    assert found.bound_low < found.bound_high


def test_health_is_that_of_whom_enough_is_known_and_says_how_many_these_are():
    found = one(used_by(PEOPLE[:30]), "health_score")
    assert (found.value, found.n, found.n_missing, found.coverage) == (pytest.approx(100), 30, 10, 0.75)


@pytest.mark.parametrize(("days", "is_known"), [(55, True), (48, False), (10, False)])
def test_there_is_no_health_before_two_spans_of_use_can_be_compared(days, is_known):
    rows = used_by(PEOPLE)
    rows["usage_events"] = [event for event in rows["usage_events"] if event["occurred_at"] >= 1 - days]
    rows["usage_events"].append({"customer_id": "c00", "occurred_at": -days, "event": "open"})
    for metric_id in ("health_score", "success_rate"):
        assert (one(rows, metric_id, begun=False).status == "insufficient_history") != is_known


def test_a_sum_of_which_nothing_is_known_is_no_0():
    posts = [{"author": c, "platform": "x", "occurred_at": -9, "is_brand_mention": True, "likes": None} for c in PEOPLE]
    assert one({"social_posts": posts}, "likes").value is None
    assert one({"social_posts": [*posts, {**posts[0], "likes": 3}]}, "likes").value == 3
    assert one({"social_posts": [{**posts[0], "is_brand_mention": False, "likes": 3}]}, "likes").value == 0


def test_a_session_that_has_not_ended_takes_no_time_off_the_others():
    running = [{"visitor_id": f"r{n}", "started_at": -1} for n in range(6)]
    ended = [{"visitor_id": f"v{n}", "started_at": -2, "ended_at": -1.99, "engaged_s": 600} for n in range(6)]
    found = one({"sessions": [*running, *ended]}, "time_on_site")
    assert (found.value, found.n, found.n_missing) == (10, 6, 6)


@pytest.mark.parametrize("metric_id", ["referral_conversion_rate", "advocacy_conversion_rate", "k_factor"])
def test_without_the_column_of_conversions_nobody_is_said_not_to_have_converted(metric_id):
    rows = {"referrals": [{"advocate_id": c, "prospect_id": f"p{c}", "invited_at": -60} for c in PEOPLE],
            "usage_events": [{"customer_id": c, "occurred_at": -3, "event": "open"} for c in PEOPLE]}  # fmt: skip
    assert one(rows, metric_id).reason == "no_column: referrals.converted_at"


def test_a_campaign_whose_costs_are_mostly_unknown_saved_nobody_for_nothing():
    rows = load_metrics()["cost_per_save"].example.tables
    assert one(rows, "cost_per_save").coverage == 1
    half = {**rows, "treatments": [{**row, "cost": 4 if number % 2 else None}
                                   for number, row in enumerate(rows["treatments"])]}  # fmt: skip
    found = one(half, "cost_per_save")
    assert (found.value, found.reason) == (None, "no_input: the cost is known of 50% of the treated (treatments.cost)")


def seen_lately(**more):
    used = [{"customer_id": c, "occurred_at": -3, "event": "open"} for c in PEOPLE]
    return {"usage_events": used, **more}


def asked_since(days):
    scores = answers("nps", [9] * len(PEOPLE), 0, 10)
    times = np.linspace(-days, -1, len(PEOPLE))
    return {
        "surveys": [
            {**row, "customer_id": c, "invited_at": float(at)} for row, c, at in zip(scores, PEOPLE, times, strict=True)
        ]
    }


def test_what_reads_no_use_has_its_own_beginning_where_that_is_earlier():
    young = one(seen_lately(**asked_since(60)), "nps", begun=False)
    assert (young.value, young.status) == (None, "insufficient_history")
    old = seen_lately(**asked_since(200))
    assert one(old, "nps", begun=False).value == 100
    for metric_id in ("dau_mau", "activity_share", "interaction_frequency", "retention_day_30"):
        assert one(old, metric_id, begun=False).status == "insufficient_history"


@pytest.mark.parametrize("people", [6, 30, 90])
@pytest.mark.parametrize("metric_id", ["net_revenue_retention", "act_depth", "order_value", "time_on_site"])
def test_where_all_are_alike_no_interval_says_that_they_are_for_certain(metric_id, people):
    everybody = [f"c{number:02}" for number in range(people)]
    rows = {
        "subscriptions": [{"customer_id": c, "started_at": -300, "ended_at": None, "mrr": 10} for c in everybody],
        "advocacy_acts": [{"customer_id": c, "occurred_at": -20, "kind": "review"} for c in everybody],
        "transactions": [{"customer_id": c, "occurred_at": -9, "amount": 20, "kind": "purchase"} for c in everybody],
        "sessions": [{"customer_id": c, "started_at": -9, "ended_at": -8.99, "engaged_s": 60} for c in everybody],
    }
    found = one(rows, metric_id)
    assert found.value is not None
    assert (found.ci_low, found.ci_high, found.ci_method) == (None, None, None)


@pytest.mark.parametrize("metric_id", ["retention_rate", "churn_rate", "median_lifetime"])
def test_where_no_subscription_tells_its_end_activity_says_who_left(metric_id):
    gone, here = PEOPLE[:10], PEOPLE[10:]
    spans = [{"customer_id": c, "started_at": -300, "mrr": 10} for c in PEOPLE]
    used = [{"customer_id": c, "occurred_at": -at, "event": "open"} for c in PEOPLE for at in (299, 110)]
    used += [{"customer_id": c, "occurred_at": -3, "event": "open"} for c in here]
    found = one({"subscriptions": spans, "usage_events": used}, metric_id)
    contractual = one(
        {"subscriptions": [{**span, "ended_at": None} for span in spans], "usage_events": used}, metric_id
    )
    assert (found.n, contractual.n) == (len(PEOPLE), len(PEOPLE))
    of_activity = one({"usage_events": used}, metric_id)
    assert (found.value, found.status) == (of_activity.value, of_activity.status)
    if metric_id != "median_lifetime":
        assert found.value == pytest.approx(100 * len(gone) / len(PEOPLE) if metric_id == "churn_rate" else 75)
        assert contractual.value == (0 if metric_id == "churn_rate" else 100)


def without(row, column):
    return {name: value for name, value in row.items() if name != column}


def whole_company_of_subscribers():
    """A quarter left twenty days ago, for months unseen; half had an offer before, the other half were kept from it."""
    gone = set(PEOPLE[::4])
    spans = [{"customer_id": c, "started_at": -300, "mrr": 10, "ended_at": -20 if c in gone else None} for c in PEOPLE]
    used = [{"customer_id": c, "occurred_at": -at, "event": "open"} for c in PEOPLE for at in (299, 110)]
    used += [{"customer_id": c, "occurred_at": -3, "event": "open"} for c in PEOPLE if c not in gone]
    offers = [
        {"customer_id": c, "occurred_at": -40, "campaign": "save", "arm": arm, "cost": 4}
        for c, arm in zip(PEOPLE, ["treated", "treated", "control", "control", "treated"] * 8, strict=True)
    ]
    return {"subscriptions": spans, "usage_events": used, "treatments": offers}


def test_ends_that_are_not_told_make_nobody_one_who_has_surely_stayed():
    rows = whole_company_of_subscribers()
    silent = {**rows, "subscriptions": [without(row, "ended_at") for row in rows["subscriptions"]]}
    judged = []
    for name, metric in load_metrics().items():
        if metric.unit != "percent" or not any("subscriptions" in need for need in metric.inputs):
            continue
        whole, silenced = one(rows, name), one(silent, name)
        if whole.value in {None, 0, 100} or silenced.value is None:
            continue
        assert silenced.value not in {0, 100}, name
        judged.append(name)
    assert {"churn_rate", "mrr_churn", "gross_revenue_retention", "net_revenue_retention"} <= set(judged)


@pytest.mark.parametrize("metric_id", ["save_rate", "incremental_saves", "cost_per_save"])
def test_whom_an_offer_kept_is_not_told_where_no_end_is(metric_id):
    rows = whole_company_of_subscribers()
    silent = {**rows, "subscriptions": [without(row, "ended_at") for row in rows["subscriptions"]]}
    assert one(rows, "save_rate").value == pytest.approx(75, abs=5)
    found = one(silent, metric_id)
    assert (found.value, found.status) == (None, "not_applicable")
    assert "subscriptions.ended_at" in found.reason
