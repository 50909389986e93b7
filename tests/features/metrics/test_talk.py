"""What customers talk of: words and complaints that move, and what those who left have said."""

from __future__ import annotations

import pytest

from support.rows.metric_examples import INSTANT_US, company, one
from vouch.features.contract.tables import DAY_US, TABLES
from vouch.features.metrics.context import MetricContext, Record
from vouch.features.metrics.lists.lists import list_rows


def rows_of(name, rows):
    return list_rows(MetricContext(company(rows), INSTANT_US), name)


def said(customer, day, text, **more):
    return {"customer_id": customer, "source": "own_site", "occurred_at": -day, "text": text, **more}


def test_a_word_that_many_begin_to_use_is_told_first_and_one_of_few_never():
    usual = ("reports are late", "the app is fine", "exports break", "support was kind")
    before = [said(f"c{n:02}", 40, usual[n % 4]) for n in range(40)]
    now = [said(f"c{n:02}", 5, usual[n % 4] + ", invoice wrong" * (n < 30)) for n in range(40)]
    secret = [said(f"c{n:02}", 3, "project bluebird") for n in range(4)]
    found = rows_of("words", {"feedback": before + now + secret})
    assert found[0]["word"].startswith("invoice")
    assert (found[0]["these_weeks"], found[0]["weeks_before"]) == (30, 0)
    assert found[0]["q"] < 0.05
    assert found[0]["log_odds"] > 0
    assert found[0]["has_moved"]
    assert found[0]["example"] is not None
    assert not any("bluebird" in row["word"] for row in found)


def test_one_customer_who_repeats_a_word_makes_no_movement():
    many = [said("c00", 1 + n / 50, "refund") for n in range(50)]
    others = [said(f"c{n:02}", day, "refund please") for n in range(1, 9) for day in (5, 40)]
    found = {row["word"]: row for row in rows_of("words", {"feedback": many + others})}
    assert (found["refund"]["these_weeks"], found["refund"]["weeks_before"]) == (9, 8)
    assert not found["refund"]["has_moved"]


def test_where_all_say_the_same_no_word_has_moved_and_no_figure_is_made_up():
    (word,) = rows_of("words", {"feedback": [said(f"c{n:02}", 5, "great") for n in range(40)]})
    assert (word["word"], word["log_odds"], word["has_moved"]) == ("great", None, False)


def test_a_complaint_grows_where_more_come_than_chance_brings():
    def complain(topic, before, now, tone=-80):
        days = [40] * before + [5] * now
        return [said(f"c{n:02}", day, "x", topic=topic, polarity=tone) for n, day in enumerate(days)]

    rows = complain("billing", 3, 25) + complain("speed", 10, 10) + complain("colours", 0, 30, tone=80)
    found = {row["topic"]: row for row in rows_of("complaints", {"feedback": rows})}
    assert list(found) == ["billing", "speed"]  # what is praised is no complaint
    assert (found["billing"]["these_weeks"], found["billing"]["weeks_before"]) == (25, 3)
    assert (found["billing"]["is_growing"], found["speed"]["is_growing"]) == (True, False)


LEFT = {
    "subscriptions": [
        {"customer_id": c, "started_at": -400, "ended_at": -20, "mrr": 5, "cancel_reason": reason}
        for c, reason in (("told", "price"), ("answered", None), ("asked", None), ("silent", None))
    ],
    "surveys": [
        {"customer_id": "answered", "instrument": "exit", "item": "missing_feature", "scale_min": 1, "scale_max": 5,
         "score": 2, "status": "answered", "invited_at": -15, "responded_at": -14, "verbatim": "no export",
         "polarity": -60},
        {"customer_id": "asked", "instrument": "exit", "scale_min": 1, "scale_max": 5, "status": "delivered",
         "invited_at": -15},
    ],
}  # fmt: skip


def test_leavers_are_told_with_what_they_said_and_nobody_is_asked_twice():
    found = {row["customer_id"]: row for row in rows_of("exit_answers", LEFT)}
    assert next(iter(found)) == "answered"
    assert (found["answered"]["answer"], found["answered"]["tone"]) == ("missing_feature", -0.6)
    assert (found["told"]["reason"], found["told"]["asked_at"]) == ("price", None)
    assert found["asked"]["asked_at"] is not None
    assert found["asked"]["answered_at"] is None
    assert [row["customer_id"] for row in rows_of("to_ask_why", LEFT)] == ["silent"]


def test_leavers_are_told_with_what_the_last_week_that_scored_them_had_named():
    weeks = {-25: {"told": "support"}, -32: {"told": "usage", "answered": "usage"}, -18: {"told": "late"}}
    asked = []

    def named(week_us, customers):
        asked.append(set(customers))
        return {who: of for who, of in weeks[(week_us - INSTANT_US) // DAY_US].items() if who in customers}

    record = Record(INSTANT_US - 32 * DAY_US, frozenset(INSTANT_US + days * DAY_US for days in weeks), named)
    rows = list_rows(MetricContext(company(LEFT), INSTANT_US, record=record), "exit_answers")
    found = {row["customer_id"]: row["named"] for row in rows}
    assert found == {"told": "support", "answered": "usage", "asked": None, "silent": None}
    assert asked == [set(found), set(found) - {"told"}], "no week after the end is asked, and nobody twice"


def test_the_exit_survey_is_one_that_a_company_may_hand_over():
    assert "exit" in TABLES["surveys"].columns["instrument"].values


def test_who_left_last_is_told_first():
    rows = [{"customer_id": c, "started_at": -400, "ended_at": -days, "mrr": 5, "cancel_reason": "price"}
            for c, days in (("a", 80), ("b", 3), ("c", 30))]  # fmt: skip
    assert [row["customer_id"] for row in rows_of("exit_answers", {"subscriptions": rows})] == ["b", "c", "a"]


@pytest.mark.parametrize(("metric_id", "weeks"), [("nps_forecast_28", 4), ("nps_forecast_84", 12)])
def test_the_net_promoter_score_is_forecast_and_says_where_persistence_is_served(metric_id, weeks):
    answer = {"instrument": "nps", "scale_min": 0, "scale_max": 10, "status": "answered"}
    rows = [
        {**answer, "customer_id": f"c{week}-{n}", "score": score, "invited_at": -7 * week - 2,
         "responded_at": -7 * week - 1}
        for week in range(50) for n, score in enumerate((10, 9 if week % 9 < 5 else 3, 8))
    ]  # fmt: skip
    found = one({"surveys": rows}, metric_id)
    assert found.status == "ok"
    assert found.ci_low < found.value < found.ci_high
    assert "skill" in found.reason
    assert one({"surveys": rows[: 3 * weeks]}, metric_id).status == "insufficient_history"
