"""Gains of an ask: the strongest that is known ranks, every row says which, and nothing is called an effect without."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from vouch.features.contract.tables import DAY_US
from vouch.features.instants import parse_instant
from vouch.models.scoring.effects import Effects, KindEffect
from vouch.serving.api.speaking import what_is_known
from vouch.serving.asking.ranked_list import RankedList
from vouch.serving.asking.ranking import rank_candidates
from vouch.serving.asking.rules.policy import load_policy
from vouch.serving.asking.uplift import exploration_plan, uplift_by_kind

POLICY = load_policy()
NOW_US = parse_instant("2026-11-16")


def known(**kinds):
    """What a week holds of each kind: with the ask, without, and what it adds (or None)."""
    names = ("treated", "untreated", "effect")
    return [{"kind": kind, **dict(zip(names, of, strict=True))} for kind, of in kinds.items()]


def customers(*rows):
    usual = {
        "advocacy_status": "ok", "advocacy_probability": 0.5, "churn_status": "ok", "churn_probability": 0.0,
        "churn_band": "low", "mrr": 10.0, "advocate_tier": "none", "advocacy_consent": True, "contact_consent": True,
        "segment": "smb", "region": "KR", "language": "ko", "response_effects": None,
    }  # fmt: skip
    return pd.DataFrame([{"customer_id": f"c{number}", **usual, **row} for number, row in enumerate(rows)])


def ranked(*rows, kinds=None):
    return rank_candidates(customers(*rows), POLICY, NOW_US, kinds)


def test_what_asking_adds_outranks_who_would_do_it_anyway():
    found = ranked(
        {"advocacy_probability": 0.9, "response_effects": known(testimonial=(0.6, 0.5, 0.1))},
        {"advocacy_probability": 0.1, "response_effects": known(testimonial=(0.4, 0.05, 0.35))},
        kinds=["testimonial"],
    )
    assert found["customer_id"].tolist() == ["c1", "c0"]
    assert found["value"].tolist() == pytest.approx([0.35 * 4, 0.1 * 4])
    assert set(found["ranked_by"]) == {"uplift"}


def test_without_asks_at_random_who_accepts_ranks_and_is_called_a_response():
    found = ranked(
        {"advocacy_probability": 0.9, "response_effects": known(testimonial=(0.2, 0.5, None))},
        {"advocacy_probability": 0.1, "response_effects": known(testimonial=(0.4, 0.05, None))},
        kinds=["testimonial"],
    )
    assert found["customer_id"].tolist() == ["c1", "c0"]
    assert RankedList(found).ranked_by == "response"
    row = {"response_effects": known(testimonial=(0.2, 0.5, None))}
    assert what_is_known("response", "testimonial", row)["adds"] is None


def test_where_nothing_is_known_of_asking_the_list_is_as_before():
    rows = [{"advocacy_probability": 0.2}, {"advocacy_probability": 0.4, "churn_probability": 0.1}]
    found = ranked(*rows)
    without = rank_candidates(customers(*rows).drop(columns="response_effects"), POLICY, NOW_US)
    assert found["value"].tolist() == without["value"].tolist()
    assert found["ask_for"].tolist() == without["ask_for"].tolist()
    assert RankedList(found).ranked_by == "affinity"
    assert what_is_known("affinity", "referral", {})["if_asked"] is None


def test_of_the_kinds_that_somebody_could_do_the_one_that_most_is_known_of_is_asked_for():
    effects = known(testimonial=(0.3, 0.01, 0.02), referral=(0.9, 0.1, None))
    found = ranked({"response_effects": effects, "nps_last": 10.0, "tenure_days": 900.0}, {})
    by_customer = found.set_index("customer_id")
    assert by_customer.loc["c0", "ask_for"] == "testimonial"
    assert by_customer["ranked_by"].to_dict() == {"c0": "uplift", "c1": "affinity"}
    assert RankedList(found).ranked_by == "uplift"


def test_whom_an_ask_would_put_off_stands_behind_all_to_whom_it_adds():
    found = ranked(
        {"response_effects": known(beta=(0.1, 0.2, -0.1))}, {"response_effects": known(beta=(0.1, 0.05, 0.05))},
        kinds=["beta"],
    )  # fmt: skip
    assert found["customer_id"].tolist() == ["c1", "c0"]


def manifest(*kinds):
    effects = Effects(kinds, 1.0, {"base": 0.0, "terms": []})
    return {"models": {"response": {"effects": effects.summary()}}}


def test_the_uplift_of_a_kind_is_that_of_the_champion_that_scored_the_week():
    tried = KindEffect("beta", 300, 90, 0.0, 0.1, 0.0, 0.2, 0.3, 0.02, 0.25, 0.15, 0.35)
    untried = KindEffect("referral", 300, 0, 0.0, 0.1, 0.0, 0.0, 0.3)
    found = uplift_by_kind(manifest(tried, untried))
    assert found == {"beta": {"value": 0.25, "ci_low": 0.15, "ci_high": 0.35, "n": 90, "unasked": 0.02}}
    assert uplift_by_kind({}) == uplift_by_kind({"models": {"response": None}}) == {}


def test_the_share_to_explore_is_proposed_from_what_is_missing_and_never_switched_on():
    asks = pd.DataFrame({"asked_us": [NOW_US - DAY_US * day for day in range(1, 91)] * 4})
    found = exploration_plan({}, asks, POLICY, NOW_US)
    assert found["share"] == 0.0 == POLICY.exploration.share
    assert found["asks_a_week"] == pytest.approx(4 * 7, abs=1)
    assert 0 < found["proposed_share"] <= 0.5
    assert found["weeks"] * found["asks_a_week"] * found["proposed_share"] >= found["asks_needed"]
    enough = [KindEffect(kind, 900, 900, 0.0, 0.1, 0.0, 0.2, 0.3, 0.02, 0.25, 0.2, 0.3) for kind in POLICY.ranked_kinds]
    done = exploration_plan(manifest(*enough), asks, POLICY, NOW_US)
    assert (done["asks_needed"], done["proposed_share"], done["weeks"]) == (0, None, None)
    nobody = exploration_plan({}, asks.head(0), POLICY, NOW_US)
    assert nobody["proposed_share"] is None
    assert not np.isnan(nobody["asks_a_week"])
