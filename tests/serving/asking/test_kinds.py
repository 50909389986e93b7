"""Whom to ask for a chosen kind of act: everybody whom the policy allows, ranked, or drawn where others publish it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.handwritten_weeks import MONDAY, customer, publish
from vouch.features.contract.tables import ACT_KINDS, DAY_US
from vouch.serving.api.handlers import asks as routes_asks
from vouch.serving.api.handlers import read
from vouch.serving.api.problems import Problem
from vouch.serving.api.schemas import AdvocatesSearch, AskRecord
from vouch.serving.api.state import ServingState
from vouch.serving.asking.candidate_lists import draws, in_order
from vouch.serving.asking.rules.policy import load_policy
from vouch.serving.store.callers import EVERYBODY

POLICY = load_policy()
RANKED = sorted(POLICY.ranked_kinds)


def people(random: np.random.Generator, number: int) -> list[dict]:
    """Customers of every sort: some meet what a kind asks for, some have just done it, some consent to nothing."""
    found = []
    for n in range(number):
        done = random.choice(ACT_KINDS)
        act = {"kind": str(done), "n": 1, "last_us": int(MONDAY - random.integers(1, 500) * DAY_US)}
        found.append(
            customer(
                f"c{n:05d}",
                float(random.uniform(0, 0.8)),
                float(random.uniform(0, 1)),
                tenure_days=float(random.choice([3, 45, 120, 359.2, 400])),
                nps_last=random.choice([None, 0.0, 3.0, 7.0, 9.0, 10.0]),
                advocate_tier=str(random.choice(["none", "active", "influential"])),
                health_score=float(random.uniform(0, 100)),
                contact_consent=bool(random.random() < 0.8),
                advocacy_consent=bool(random.random() < 0.7),
                acts=[act] if random.random() < 0.5 else None,
                segment="smb",
                region="RO-B",
            )
        )
    return found


def is_met(row: dict, kind: str) -> bool:
    """What the policy asks of a kind, in plain words, not those of the code."""
    of = POLICY.kinds[kind]
    if of.minimum_tenure_days and row["tenure_days"] < of.minimum_tenure_days:
        return False
    if of.minimum_nps and (row["nps_last"] is None or row["nps_last"] < of.minimum_nps):
        return False
    if of.tiers and row["advocate_tier"] not in of.tiers:
        return False
    lately = [act for act in row.get("acts") or () if act["kind"] == kind]
    return not any(act["last_us"] > MONDAY - of.rest_days * DAY_US for act in lately)


def may_be_asked(row: dict, kind: str) -> bool:
    consents = row["contact_consent"] and row["advocacy_consent"]
    fit = kind == "review" or (row["churn_probability"] <= 0.5 and row["health_score"] >= 25)
    return consents and fit and is_met(row, kind)


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    home = tmp_path_factory.mktemp("kinds")
    rows = people(np.random.default_rng(7), 300)
    publish(home, people=rows)
    store = ServingState(home)
    store.refresh()
    yield store, rows
    store.stop()


def listed(store: ServingState, **request) -> list[dict]:
    found, cursor = [], None
    while True:
        page = read.search_advocates(store, AdvocatesSearch(**request, limit=200, cursor=cursor))
        found += page["candidates"]
        if (cursor := page["next_cursor"]) is None:
            return found


@pytest.mark.parametrize("kind", ACT_KINDS)
def test_a_chosen_kind_finds_everybody_who_may_be_asked_for_it(company, kind):
    store, rows = company
    found = listed(store, kind=[kind])
    allowed = {row["customer_id"] for row in rows if may_be_asked(row, kind)}
    assert {row["customer_id"] for row in found} == allowed
    assert {row["ask_for"]["kind"] for row in found} == ({kind} if found else set())
    if kind in RANKED:
        assert [row["value"] for row in found] == sorted((row["value"] for row in found), reverse=True)


@pytest.mark.parametrize("kind", ACT_KINDS)
def test_who_is_listed_for_a_kind_and_who_may_be_recorded_for_it_are_the_same(company, kind):
    store, rows = company
    for row in rows[:60]:
        why = store.portfolio.lists.why_not(store.portfolio.ids.row_of(row["customer_id"]), (kind,))
        assert (why is None) == may_be_asked(row, kind)


def test_an_ask_for_what_a_customer_does_not_qualify_for_is_refused_in_words(tmp_path):
    publish(tmp_path, people=[customer("a", tenure_days=359.2, nps_last=10.0)])
    store = ServingState(tmp_path)
    store.refresh()
    with pytest.raises(Problem) as problem:
        routes_asks.record_ask(store, AskRecord(ask_id="1", customer_id="a", kind="case_study"), EVERYBODY)
    assert (problem.value.code, problem.value.exclusion) == ("not_to_be_asked", "kind_unmet")
    assert routes_asks.record_ask(store, AskRecord(ask_id="2", customer_id="a", kind="referral"), EVERYBODY)["is_new"]
    store.stop()


def test_several_kinds_give_each_the_one_that_is_worth_most(company):
    store, rows = company
    both = listed(store, kind=["referral", "case_study"])
    assert {row["customer_id"] for row in both} == {
        row["customer_id"] for row in rows if may_be_asked(row, "referral") or may_be_asked(row, "case_study")
    }
    assert {row["ask_for"]["kind"] for row in both} == {"referral", "case_study"}


def test_nobody_is_proposed_by_rank_for_what_is_drawn(company):
    store, _ = company
    assert "review" not in {row["ask_for"]["kind"] for row in listed(store)}


@pytest.mark.parametrize(
    ("request_", "field"),
    [({"kind": ["review", "referral"]}, "kind"), ({"kind": ["review"], "minimum_score": 1.0}, "minimum_score"),
     ({"kind": ["review"], "tier": ["active"]}, "tier")],
)  # fmt: skip
def test_no_score_chooses_among_those_who_are_drawn(company, request_, field):
    store, _ = company
    with pytest.raises(Problem) as problem:
        listed(store, **request_)
    assert (problem.value.code, problem.value.field) == ("invalid_value", field)


def test_a_drawn_list_says_what_goes_along_and_whom_it_compares(company):
    store, rows = company
    page = read.search_advocates(store, AdvocatesSearch(kind=["review"]))
    answers = [row["nps_last"] for row in rows if may_be_asked(row, "review") and row["nps_last"] is not None]
    assert page["draw"]["eligible"]["nps_mean"] == pytest.approx(np.mean(answers))
    assert page["draw"]["eligible"]["customers"] == page["total"]
    assert set(page["draw"]["disclosure"]) == {"en", "ko", "ro"}
    assert read.search_advocates(store, AdvocatesSearch(kind=["referral"]))["draw"] is None


def test_those_drawn_are_like_everybody_who_may_be_asked():
    rows = pd.DataFrame(people(np.random.default_rng(1), 2_000))
    may = in_order(rows, POLICY, "", MONDAY, ["review"])
    eligible = may.loc[may["exclusion"].isna()]
    drawn = []
    for number in range(200):
        order = draws(eligible["customer_id"], f"secret {number}", MONDAY, "review")
        drawn += list(eligible["nps_last"].to_numpy(dtype=float)[np.argsort(-order)[:25]])
    assert abs(np.nanmean(drawn) - eligible["nps_last"].astype(float).mean()) < 0.2
    for column in ("churn_probability", "health_score"):
        assert abs(eligible[column].iloc[:100].mean() - eligible[column].mean()) < 3 * eligible[column].std() / 10


@given(st.permutations(range(30)))
def test_a_draw_is_the_same_whatever_the_order_of_rows(order):
    rows = pd.DataFrame(people(np.random.default_rng(2), 30))
    shuffled = rows.iloc[list(order)].reset_index(drop=True)
    first, second = (in_order(of, POLICY, "s", MONDAY, ["review"])["customer_id"].tolist() for of in (rows, shuffled))
    assert first == second


def test_a_company_may_rank_a_public_kind_and_says_so(tmp_path):
    (tmp_path / "policy.toml").write_text("[kinds.review]\npublic = false\n")
    policy = load_policy(tmp_path)
    assert "review" in policy.ranked_kinds
    assert not policy.is_drawn("review")
