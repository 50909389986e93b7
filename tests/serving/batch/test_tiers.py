"""Tiers of advocates (M37), on rows written by hand."""

from __future__ import annotations

import math

import pytest

from support.rows.contract_form import make_tables, raw_frame
from vouch.features.contract.tables import DAY_US
from vouch.features.instants import parse_instant
from vouch.serving.batch.tiers import tiers

T = parse_instant("2026-11-16")


def days_ago(days: float) -> int:
    return T - round(days * DAY_US)


def answer(customer: str, score: int, days: float, **more) -> dict:
    return {
        "response_id": f"{customer}-{days}-{score}",
        "customer_id": customer,
        "instrument": "nps",
        "scale_min": 0,
        "scale_max": 10,
        "score": score,
        "status": "answered",
        "invited_at": days_ago(days),
        "responded_at": days_ago(days),
        **more,
    }


def act(customer: str, days: float, **more) -> dict:
    return {
        "act_id": f"{customer}-{days}",
        "customer_id": customer,
        "occurred_at": days_ago(days),
        "kind": "review",
        **more,
    }


def referral(customer: str, days: float, **more) -> dict:
    return {
        "referral_id": f"{customer}-{days}",
        "advocate_id": customer,
        "prospect_id": f"p-{customer}-{days}",
        "invited_at": days_ago(days),
        **more,
    }


def found(engine: str = "polars", **rows: list[dict]) -> dict[str, str]:
    names = sorted({str(row.get("customer_id") or row.get("advocate_id")) for of in rows.values() for row in of})
    rows["customers"] = [
        {"customer_id": name, "created_at": days_ago(900), "is_internal": name.startswith("staff")} for name in names
    ]
    return tiers(make_tables({name: raw_frame(name, of) for name, of in rows.items()}, engine), T)


@pytest.mark.parametrize("engine", ["polars", "duckdb"])
def test_a_promoter_is_potential_by_the_latest_relational_answer_of_180_days(engine):
    assert found(
        engine,
        surveys=[
            answer("nine", 9, 10),
            answer("eight", 8, 10),
            answer("fallen", 10, 20),
            answer("fallen", 3, 10),
            answer("risen", 3, 20),
            answer("risen", 10, 10),
            answer("long ago", 10, 181),
            answer("transactional", 10, 10, touchpoint="support"),
            answer("partial", 10, 10, status="partial"),
            answer("of five", 5, 10, scale_min=1, scale_max=5),
        ],
    ) == {"nine": "potential", "risen": "potential"}


@pytest.mark.parametrize("engine", ["polars", "duckdb"])
def test_an_organic_act_of_180_days_makes_active_and_comes_before_potential(engine):
    acts = [
        act("loud", 1, reach=10_000),
        act("active", 100, ask_id=None),
        act("rewarded", 10, is_incentivised=True),
        act("asked", 10, ask_id="k1"),
        act("long ago", 181),
        act("staff", 1, reach=10**6),
    ]
    rows = found(engine, advocacy_acts=acts, surveys=[answer("active", 10, 5), answer("long ago", 10, 5)])
    assert rows == {"loud": "influential", "active": "active", "long ago": "potential"}


def test_a_referral_counts_as_an_act_and_its_conversion_as_influence():
    rows = found(
        referrals=[
            referral("quiet", 10),
            referral("converting", 200, converted_at=days_ago(190)),
            referral("not yet", 10, converted_at=T + 1),
            referral("selfish", 10, prospect_id="selfish", converted_at=days_ago(5)),
        ]
    )
    assert rows == {"quiet": "active", "converting": "influential", "not yet": "active"}


def test_influence_halves_every_ninety_days():
    older = [act("old", 90, reach=100), act("older", 180, reach=100), act("half", 90, reach=int(math.expm1(3)))]
    assert [name for name, tier in found(advocacy_acts=older).items() if tier == "influential"] == ["old"]


def test_the_influential_are_a_tenth_rounded_up_with_ties_broken_by_customer():
    acts = [act(f"{number:02}", 10, reach=5) for number in range(11)]
    tier_of = found(advocacy_acts=[*acts, act("none", 10, reach=0)])
    assert [name for name, tier in tier_of.items() if tier == "influential"] == ["00", "01"]
    assert set(found(advocacy_acts=[act("none", 10, reach=0)]).values()) == {"active"}


def test_a_company_without_any_of_the_tables_has_no_tiers():
    assert found(transactions=[]) == {}
