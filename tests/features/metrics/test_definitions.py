"""Definitions where products and people have gone wrong, each held by the smallest company that shows it."""

from __future__ import annotations

import pytest

from support.rows.metric_examples import INSTANT_US, company, measured, one
from vouch.features.contract.tables import DAY_US
from vouch.features.metrics.context import MetricContext, Record
from vouch.features.metrics.evaluate import measure
from vouch.features.metrics.examples import answers
from vouch.features.metrics.lists.lists import list_rows

PEOPLE = [f"c{number:02}" for number in range(40)]


def question(customer, item, status, at=-20, **more):
    score = {"score": 5} if status == "answered" else {}
    return {"customer_id": customer, "instrument": "cxi", "item": item, "scale_min": 1, "scale_max": 5,
            "status": status, "invited_at": at, **score, **more}  # fmt: skip


def both_rates(*rows):
    found = measured({"surveys": list(rows)}, "response_rate", "dismissed_rate")
    return tuple(envelope.value for envelope in found)


def test_a_survey_of_which_one_item_of_five_is_answered_is_neither_answered_nor_dismissed():
    rows = [question(c, f"item{n}", "answered" if n == 0 else "dismissed") for c in PEOPLE for n in range(5)]
    assert both_rates(*rows) == (0, 0)


def test_a_survey_is_answered_where_each_item_is_and_dismissed_where_none_is_and_one_was_waved_away():
    whole = [question(c, item, "answered") for c in PEOPLE[:20] for item in "ab"]
    away = [question(c, item, "dismissed" if item == "a" else "delivered") for c in PEOPLE[20:30] for item in "ab"]
    still = [question(c, item, "delivered") for c in PEOPLE[30:] for item in "ab"]
    assert both_rates(*whole, *away, *still) == (50, 25)


def test_a_reminder_is_the_same_invitation_and_one_after_an_answer_is_another():
    reminded = [question(c, "a", status, at) for c in PEOPLE for at, status in ((-30, "delivered"), (-20, "answered"))]
    assert both_rates(*reminded) == (100, 0)
    asked_again = [question(c, "a", status, at, responded_at=at + 1) for c in PEOPLE
                   for at, status in ((-30, "answered"), (-20, "delivered"))]  # fmt: skip
    assert both_rates(*asked_again) == (50, 0)
    late = [question(c, "a", status, at, **more) for c in PEOPLE
            for at, status, more in ((-30, "answered", {"responded_at": -15}), (-20, "delivered", {}))]  # fmt: skip
    assert both_rates(*late) == (100, 0)


def test_nps_is_of_whole_numbers_and_the_others_are_missing():
    found = one({"surveys": answers("nps", [9.5, 6.4, *[10] * 6], 0, 10)}, "nps")
    assert (found.value, found.n, found.n_missing) == (100, 6, 2)


@pytest.mark.parametrize(
    ("low", "high", "least"),
    [(1, 3, 3), (1, 4, 4), (1, 5, 4), (1, 6, 5), (1, 7, 6), (0, 10, 8), (1, 10, 8)],
)  # fmt: skip
def test_satisfaction_has_its_top_by_scale(low, high, least):
    scores = list(range(low, high + 1)) * 5
    found = one({"surveys": answers("csat", scores, low, high, "support")}, "csat")
    assert found.value == pytest.approx(100 * sum(score >= least for score in scores) / len(scores))


def test_a_scale_without_a_top_is_said_with_how_many_answered_on_it():
    found = one({"surveys": answers("csat", [50] * 40, 0, 100, "support")}, "csat")
    assert (found.value, found.status, found.reason) == (None, "not_applicable", "unsupported_scale: 40 on 0 to 100")
    mixed = [*answers("csat", [50] * 40, 0, 100, "support"), *answers("csat", [5] * 30, 1, 5, "support")]
    found = one({"surveys": mixed}, "csat")
    assert (found.value, found.n, found.n_missing) == (100, 30, 40)


def renewed():
    """Customers who came once, and whose subscription has renewed itself on day 30 since."""
    return {
        "customers": [{"customer_id": c, "created_at": -60} for c in PEOPLE],
        "usage_events": [{"customer_id": "c00", "occurred_at": -30, "event": "open"}],
        "transactions": [{"customer_id": c, "occurred_at": at, "amount": 10, "kind": kind}
                         for c in PEOPLE for at, kind in ((-60, "purchase"), (-30, "renewal"))],
    }  # fmt: skip


def test_who_pays_on_by_himself_has_not_come_back():
    found = {e.metric_id: e.value for e in measured(renewed(), "retention_day_30", "immediate_churn_30")}
    assert found == {"retention_day_30": 2.5, "immediate_churn_30": 97.5}
    rows = list_rows(MetricContext(company(renewed()), INSTANT_US), "retention_curve")
    curve = {row["day"]: row["pooled"] for row in rows if not row["is_from"]}
    assert curve[30] == 2.5


@pytest.mark.parametrize(("at", "n"), [(-1, 0), (0, 40)])
def test_a_customer_counts_from_the_first_instant_at_which_day_30_is_over(at, n):
    rows = {"customers": [{"customer_id": c, "created_at": -31} for c in PEOPLE],
            "usage_events": [{"customer_id": "c00", "occurred_at": -31, "event": "open"}]}  # fmt: skip
    (found,) = measure(company(rows), INSTANT_US + at * DAY_US, ["retention_day_30"])
    assert found.n == n


def sale(customer, at, amount, order, kind="purchase"):
    return {"customer_id": customer, "occurred_at": at, "amount": amount, "order_id": order, "kind": kind}


@pytest.mark.parametrize("kind", ["refund", "purchase"])
def test_an_order_that_was_wholly_given_back_is_none_and_a_credit_note_is_no_order(kind):
    bought = [sale(c, -60, 100, f"1{c}") for c in PEOPLE] + [sale(c, -50, 60, f"2{c}") for c in PEOPLE[:30]]
    back = [sale(c, -40, -60, f"2{c}", kind) for c in PEOPLE[:30]]
    found = {e.metric_id: e.value for e in measured({"transactions": [*bought, *back]}, "repeat_purchase_rate",
             "order_frequency", "order_value")}  # fmt: skip
    assert found == {"repeat_purchase_rate": 0, "order_frequency": 1, "order_value": 100}


def test_an_order_that_was_given_back_in_part_is_one():
    rows = [*(sale(c, -60, 100, f"1{c}") for c in PEOPLE), *(sale(c, -40, -30, f"1{c}", "refund") for c in PEOPLE)]
    assert one({"transactions": rows}, "order_frequency").value == 1


def test_orders_of_nothing_are_told_apart():
    bought = [sale("a", -60, 100, "1"), sale("a", -50, 0, "2"), sale("b", -50, 80, "3"), sale("c", -50, 80, "4")]
    rows = [*bought, sale("b", -40, -80, "3", "refund"), sale("c", -40, -8, "4", "refund")]
    assert one({"transactions": rows}, "order_frequency").n == 2
    assert list_rows(MetricContext(company({"transactions": rows}), INSTANT_US), "orders") == [
        {"outcome": outcome, "orders": 1, "customers": 1}
        for outcome in ("paid", "given back in part", "given back", "free")
    ]


def advocates():
    return {
        "subscriptions": [{"customer_id": c, "started_at": -300, "mrr": 1, **({"ended_at": -9} if c < "c10" else {})}
                          for c in PEOPLE],
        "advocacy_acts": [{"customer_id": c, "occurred_at": -20, "kind": "review"} for c in PEOPLE],
    }  # fmt: skip


def test_advocates_are_those_who_are_customers_now():
    assert one(advocates(), "advocates_active").value == 30
    gone = {name: [{**row, "ended_at": -9} if name == "subscriptions" else row for row in rows]
            for name, rows in advocates().items()}  # fmt: skip
    assert one(gone, "advocates_active").value == 0


@pytest.mark.parametrize(("kind", "is_thanked"), [("thanks", 1), ("public", 1), ("gift", 1), ("tier", 0)])
def test_a_gift_and_praise_in_public_say_thank_you(kind, is_thanked):
    rows = {"advocacy_acts": [{"customer_id": "a", "occurred_at": -30, "kind": "review"}],
            "recognitions": [{"customer_id": "a", "occurred_at": -20, "kind": kind}]}  # fmt: skip
    (found,) = list_rows(MetricContext(company(rows), INSTANT_US), "care_needs")
    assert found["gratitude"] == is_thanked


def test_words_count_at_the_moment_of_the_answer():
    def said(invited, answered):
        rows = [{**row, "customer_id": c, "verbatim": "so", "polarity": tone, "invited_at": invited,
                 "responded_at": answered}
                for c in PEOPLE for row, tone in ((answers("nps", [9], 0, 10)[0], 100),)]  # fmt: skip
        other = [{"customer_id": c, "source": "own_site", "occurred_at": -1, "polarity": -100} for c in PEOPLE]
        return one({"surveys": rows, "feedback": other}, "customer_sentiment").value

    assert said(-120, -1) == pytest.approx(0, abs=1e-6)
    assert said(-400, -1) == pytest.approx(0, abs=1e-6)  # asked before the window, answered inside it
    assert said(-120, -119) < -0.2


@pytest.mark.parametrize(
    ("own", "posted", "value"), [("fil-PH", "fi", 0), ("fi", "fi-FI", 100), ("zh_Hans", "zh", 100)]
)
def test_languages_are_compared_by_their_first_subtag(own, posted, value):
    rows = {"customers": [{"customer_id": c, "created_at": -99, "language": own} for c in PEOPLE],
            "social_posts": [{"author": c, "customer_id": c, "platform": "x", "occurred_at": -9,
                              "is_brand_mention": True, "language": posted} for c in PEOPLE]}  # fmt: skip
    assert one(rows, "language_reach").value == value


def test_reasons_to_leave_count_customers_and_not_subscriptions():
    both = ({"mrr": 10, "cancel_reason": "price"}, {"mrr": 1, "cancel_reason": None})
    rows = {"subscriptions": [{"customer_id": c, "started_at": -300, "ended_at": -9, **one_of_them}
                              for c in PEOPLE for one_of_them in both]}  # fmt: skip
    assert list_rows(MetricContext(company(rows), INSTANT_US), "churn_reasons") == [
        {"reason": "price", "customers": 40, "involuntary": 0}
    ]
    assert one(rows, "churn_reason_coverage").value == 100


def test_consistency_counts_the_mondays_that_were_measured_since_the_first_run():
    weeks = [INSTANT_US - back * DAY_US for back in range(1, 92) if (INSTANT_US // DAY_US - back - 4) % 7 == 0]
    made = Record(min(weeks), frozenset(weeks[::2]))
    (found,) = measure(company({"surveys": []}), INSTANT_US, ["measurement_consistency"], record=made)
    assert (found.n, found.value) == (13, pytest.approx(100 * 7 / 13))
    late = Record(weeks[5], frozenset(weeks))
    (found,) = measure(company({"surveys": []}), INSTANT_US, ["measurement_consistency"], record=late)
    assert (found.n, found.value) == (6, 100)
    assert one({"surveys": []}, "measurement_consistency").reason.startswith("no_input")
