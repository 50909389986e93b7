"""Retention offers: advised where they are worth their cost, and told only where a holdout has shown an effect."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from vouch.models.scoring.effects import Effects, KindEffect
from vouch.serving.asking.offers import COLUMNS, offer_cost, offer_to, offer_worths
from vouch.serving.snapshots.schema import scores_schema


def row(effect=0.04, margin=500.0, so_far=100.0):
    known = [{"kind": "offer", "treated": 0.1, "untreated": 0.14, "effect": effect}]
    return {"churn_effects": known, "clv_margin": margin, "clv_margin_so_far": so_far}


def test_an_offer_is_worth_what_it_prevents_of_what_is_still_to_come_less_its_cost():
    found = offer_to(row(), 12.0)
    assert found["worth"] == pytest.approx(0.04 * 400 - 12)
    assert (found["advice"], found["prevents"]) == ("offer", 0.04)


@pytest.mark.parametrize("given", [row(effect=-0.01), row(effect=0.02), row(margin=100.0), row(-0.01, None, None)])
def test_whom_an_offer_would_drive_away_or_does_not_pay_for_is_left_alone(given):
    assert offer_to(given, 12.0)["advice"] == "leave_alone"


def test_without_a_lifetime_value_an_offer_has_no_worth_in_money():
    found = offer_to(row(margin=None), 12.0)
    assert (found["worth"], found["advice"]) == (None, "offer")


@pytest.mark.parametrize("given", [{}, {"churn_effects": None}, row(effect=None), {"churn_effects": []}])
def test_where_no_effect_is_shown_no_offer_is_told(given):
    assert offer_to(given, 12.0) is None


def test_worths_stand_row_by_row_and_are_unknown_for_weeks_of_before():
    rows = [row(), row(effect=None), row(margin=None)]
    table = pa.Table.from_pylist(rows, pa.schema([scores_schema(0).field(name) for name in COLUMNS]))
    worths = offer_worths(table, 12.0)
    assert worths[0] == pytest.approx(4.0)
    assert np.isnan(worths[1:]).all()
    assert np.isnan(offer_worths(table.select(["clv_margin"]), 12.0)).all()


def test_the_cost_is_that_of_the_offers_that_the_champion_learned_from():
    kind = KindEffect("offer", 300, 300, 0.0, 1.0, 0.0, 0.0, 0.1, cost=9.5)
    manifest = {"models": {"churn": {"effects": Effects((kind,), 1.0, None, None, is_unwanted=True).summary()}}}
    assert offer_cost(manifest) == 9.5
    assert offer_cost({}) == offer_cost({"models": {"churn": None}}) == 0.0
