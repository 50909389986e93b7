"""Lists of what offers save: money against who was held out, by month, and how soon; nothing is shown by chance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from support.rows.metric_examples import INSTANT_US, company
from vouch.features.contract.tables import DAY_US
from vouch.features.facts.subscriptions import MONTH_US
from vouch.features.metrics.context import MetricContext
from vouch.features.metrics.lists.lists import list_rows
from vouch.features.metrics.lists.saves import Saved, saved_of


def rows_of(name, rows):
    return list_rows(MetricContext(company(rows), INSTANT_US), name)


def campaign(leave, *, at=-100, after=10, arms=200, mrr=10, cost=4, **more):
    """A campaign with both arms; of each so many leave, so many days after it."""
    treatments, spans = [], []
    for arm, left in leave.items():
        for number in range(arms):
            customer = f"{arm}{at}{number:04}"
            ends = {"ended_at": at + after} if number < left else {}
            spans.append({"customer_id": customer, "started_at": -300, "mrr": mrr, **ends})
            treatments.append(
                {"customer_id": customer, "occurred_at": at, "campaign": "save", "arm": arm, "cost": cost, **more}
            )
    return {"subscriptions": spans, "treatments": treatments}


def both(one, other):
    return {name: one[name] + other[name] for name in one}


def test_money_saved_is_what_the_held_out_lost_more_until_now_less_the_cost_of_the_offers():
    found = rows_of("offers_by_month", campaign({"treated": 10, "control": 40}))
    assert [row["month"] for row in found][-1] == "all_months"
    row = found[0]
    months = 90 * DAY_US / MONTH_US
    assert (row["treated"], row["held_out"], row["left_treated"], row["left_held_out"]) == (200, 200, 10, 40)
    assert row["saved"] == pytest.approx(30)
    assert row["kept"] == pytest.approx(30 * 10 * months)
    assert (row["cost"], row["money_saved"]) == (800, pytest.approx(30 * 10 * months - 800))
    assert row["money_low"] < row["money_saved"] < row["money_high"]
    assert row["saved_low"] > 0
    assert not row["is_shown"], "the interval of the money reaches below 0, whatever that of the customers"


def test_money_is_shown_where_its_interval_lies_above_nothing():
    (row, _) = rows_of("offers_by_month", campaign({"treated": 10, "control": 40}, cost=1))
    assert row["money_low"] > 0
    assert row["is_shown"]


def test_offers_that_keep_nobody_cost_money_and_are_not_shown():
    (row, _) = rows_of("offers_by_month", campaign({"treated": 30, "control": 30}))
    assert row["saved"] == pytest.approx(0)
    assert row["money_saved"] == pytest.approx(-800)
    assert not row["is_shown"]


def test_months_stand_apart_and_add_up():
    rows = both(
        campaign({"treated": 10, "control": 40}, cost=1), campaign({"treated": 20, "control": 20}, at=-200, cost=1)
    )
    *months, every = rows_of("offers_by_month", rows)
    assert [row["month"] for row in months] == sorted((row["month"] for row in months), reverse=True)
    assert len(months) == 2
    for name in ("treated", "held_out", "saved", "kept", "cost", "money_saved"):
        assert every[name] == pytest.approx(sum(row[name] for row in months)), name


@pytest.mark.parametrize(
    ("rows", "missing"),
    [
        (campaign({"treated": 10, "control": 40}, cost=None), {"cost", "money_saved", "money_low", "money_high"}),
        (campaign({"treated": 10, "control": 40}, mrr=None), {"kept", "money_saved", "money_low", "money_high"}),
        (campaign({"treated": 2, "control": 3}), {"saved_low", "saved_high", "money_low", "money_high"}),
    ],
)
def test_what_is_not_known_is_null_and_not_shown(rows, missing):
    (row, _) = rows_of("offers_by_month", rows)
    assert {name for name, value in row.items() if value is None} == missing
    assert not row["is_shown"]


def test_a_campaign_without_a_holdout_tells_nothing():
    rows = campaign({"treated": 10})
    assert rows_of("offers_by_month", rows) == rows_of("saves_by_week", rows) == []


def test_the_lead_is_the_time_in_which_offers_keep_nobody_yet():
    soon = campaign({"treated": 20, "control": 20}, after=5)
    later = campaign({"treated": 5, "control": 60}, after=17)
    later = {name: [{**row, "customer_id": "l" + row["customer_id"]} for row in of] for name, of in later.items()}
    found = rows_of("saves_by_week", both(soon, later))
    assert [row["weeks"] for row in found] == list(range(1, 9))
    assert [round(row["saved"]) for row in found] == [0, 0, *[55] * 6]
    assert {row["lead_days"] for row in found} == {14}
    at_once = rows_of("saves_by_week", campaign({"treated": 5, "control": 60}, after=2))
    assert {row["lead_days"] for row in at_once} == {0}


def test_no_lead_is_proposed_where_offers_are_not_shown_to_keep_anybody():
    found = rows_of("saves_by_week", campaign({"treated": 30, "control": 32}))
    assert {row["lead_days"] for row in found} == {None}
    assert not any(row["is_shown"] for row in found)


def test_who_is_more_likely_to_be_given_an_offer_counts_for_less():
    random = np.random.default_rng(0)
    saves = []
    for _ in range(60):
        is_risky = random.random(2_000) < 0.3
        chance = np.where(is_risky, 0.8, 0.3)
        is_treated = random.random(2_000) < chance
        gone = (random.random(2_000) < np.where(is_risky, 0.4, 0.05)) * 1.0
        weight = 1 / np.where(is_treated, chance, 1 - chance)
        frame = pd.DataFrame({"is_treated": is_treated * 1, "weight": weight, "gone": gone})
        saves.append(saved_of([frame], "gone").total)
    assert abs(np.mean(saves)) < 15, "offers that do nothing save nobody, although the risky get more of them"


def test_the_interval_holds_what_is_true_as_often_as_it_says():
    random = np.random.default_rng(1)
    inside = 0
    for _ in range(400):
        is_treated = np.arange(600) < 300
        gone = (random.random(600) < np.where(is_treated, 0.1, 0.2)) * 1.0
        low, high = saved_of(
            [pd.DataFrame({"is_treated": is_treated * 1, "weight": 1.0, "gone": gone})], "gone"
        ).ends(gone.sum())  # fmt: skip
        inside += low < 30 < high
    assert 0.92 < inside / 400 < 0.98
    assert Saved(1.0, 1.0, 0.1).ends(9) == (None, None), "too few have left"
