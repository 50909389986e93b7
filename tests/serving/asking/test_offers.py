"""Retention offers: advised where they are worth their cost, and told only where a holdout has shown an effect."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from vouch.features.instants import parse_instant
from vouch.models.scoring.effects import Effects, KindEffect
from vouch.serving.asking.offers import COLUMNS, Holdout, OfferFacts, offer_facts, offer_to, offer_worths
from vouch.serving.snapshots.schema import scores_schema

SHOWN = OfferFacts(12.0, is_shown=True)


def row(effect=0.04, margin=500.0, so_far=100.0, customer_id="C1"):
    known = [{"kind": "offer", "treated": 0.1, "untreated": 0.14, "effect": effect}]
    return {"customer_id": customer_id, "churn_effects": known, "clv_margin": margin, "clv_margin_so_far": so_far}


def test_an_offer_is_worth_what_it_prevents_of_what_is_still_to_come_less_its_cost():
    found = offer_to(row(), SHOWN)
    assert found["worth"] == pytest.approx(0.04 * 400 - 12)
    assert (found["advice"], found["prevents"]) == ("offer", 0.04)


@pytest.mark.parametrize("given", [row(effect=-0.01), row(effect=0.02), row(margin=100.0), row(-0.01, None, None)])
def test_whom_an_offer_would_drive_away_or_does_not_pay_for_is_left_alone(given):
    assert offer_to(given, SHOWN)["advice"] == "leave_alone"


def test_without_a_lifetime_value_an_offer_has_no_worth_in_money():
    found = offer_to(row(margin=None), SHOWN)
    assert (found["worth"], found["advice"]) == (None, "offer")


@pytest.mark.parametrize("given", [{}, {"churn_effects": None}, row(effect=None), {"churn_effects": []}])
def test_where_no_effect_is_shown_no_offer_is_told(given):
    assert offer_to(given, SHOWN) is None


def test_worths_stand_row_by_row_and_are_unknown_for_weeks_of_before():
    rows = [row(), row(effect=None), row(margin=None)]
    table = pa.Table.from_pylist(rows, pa.schema([scores_schema(0).field(name) for name in ("customer_id", *COLUMNS)]))
    worths = offer_worths(table, SHOWN)
    assert worths[0] == pytest.approx(4.0)
    assert np.isnan(worths[1:]).all()
    assert np.isnan(offer_worths(table.select(["clv_margin"]), SHOWN)).all()


def test_what_is_not_shown_is_an_estimate_and_no_advice():
    found = offer_to(row(), OfferFacts(12.0, is_shown=False))
    assert (found["advice"], found["worth"]) == ("not_shown", pytest.approx(4.0))


def advised(share, as_of_us, secret="a secret", **of_row):
    facts = OfferFacts(12.0, is_shown=True, holdout=Holdout(share, secret, as_of_us))
    return {name: offer_to(row(customer_id=name, **of_row), facts) for name in (f"C{at}" for at in range(2_000))}


def of(week: str) -> int:
    return parse_instant(f"{week}T00:00:00Z")


def test_a_share_of_those_whom_it_pays_to_keep_is_held_out_and_nobody_else():
    found = advised(0.1, of("2026-08-31"))
    held = {name for name, offer in found.items() if offer["advice"] == "hold_out"}
    assert len(held) == pytest.approx(200, abs=4 * np.sqrt(2_000 * 0.1 * 0.9))
    assert {offer["advice"] for name, offer in found.items() if name not in held} == {"offer"}
    assert {offer["propensity"] for offer in found.values()} == {0.9}
    alone = advised(0.1, of("2026-08-31"), effect=-0.01)
    assert {(offer["advice"], offer["propensity"]) for offer in alone.values()} == {("leave_alone", None)}


def test_the_arms_hold_for_a_quarter_and_are_drawn_anew_in_the_next_and_elsewhere():
    held = [
        {name for name, offer in advised(0.1, of(week), secret).items() if offer["advice"] == "hold_out"}
        for week, secret in [
            ("2026-07-06", "one"), ("2026-09-28", "one"), ("2026-10-05", "one"), ("2026-07-06", "another"),
        ]
    ]  # fmt: skip
    assert held[0] == held[1]
    assert not held[0] <= held[2]
    assert not held[0] <= held[3]


def test_a_company_that_wants_none_holds_nobody_out():
    assert {(of["advice"], of["propensity"]) for of in advised(0.0, 0).values()} == {("offer", None)}


def manifest(**more):
    kind = KindEffect("offer", 300, 300, 0.0, 1.0, 0.0, 0.0, 0.1, cost=9.5, **more)
    return {"models": {"churn": {"effects": Effects((kind,), 1.0, None, None, is_unwanted=True).summary()}}}


def test_cost_and_proof_are_those_of_the_champion_that_scored_the_week():
    assert offer_facts(manifest(average=0.02, low=0.01, high=0.03)) == OfferFacts(9.5, is_shown=True)
    assert offer_facts(manifest(average=0.02, low=-0.01, high=0.05)) == OfferFacts(9.5, is_shown=False)
    assert offer_facts({}) == offer_facts({"models": {"churn": None}}) == OfferFacts(0.0, is_shown=False)
