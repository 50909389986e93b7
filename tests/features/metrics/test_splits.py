"""What metrics can be split by: every text column of customers, age, tenure, loyalty tier, a survey's touchpoint."""

from __future__ import annotations

import pytest

from support.rows.metric_examples import INSTANT_US, measured
from support.rows.metric_examples import company as tables_of
from vouch.features.contract.tables import TABLES
from vouch.features.errors import UsageError
from vouch.features.metrics import evaluate
from vouch.features.metrics.examples import answers
from vouch.features.metrics.splits import BUYER_SEGMENTS, COLUMNS, OF_PERSONS, SEGMENTS, buyer_segment

PEOPLE = [f"c{number:02}" for number in range(60)]


def company(**columns):
    """Sixty promoters; each column takes its values in turn."""
    people = [
        {"customer_id": c, "created_at": -900, **{name: of[n % len(of)] for name, of in columns.items()}}
        for n, c in enumerate(PEOPLE)
    ]
    asked = [{**row, "customer_id": c} for c, row in zip(PEOPLE, answers("nps", [10] * 60, 0, 10), strict=True)]
    return {"customers": people, "surveys": asked}


@pytest.mark.parametrize("column", COLUMNS)
def test_every_text_column_of_customers_splits(column):
    found = measured(company(**{column: ["one", "two"]}), "nps", by=column)
    assert [(e.segment, e.n) for e in found] == [("one", 30), ("two", 30)]


def test_nothing_that_names_a_person_splits():
    texts = {name for name, column in TABLES["customers"].columns.items() if column.kind == "text"}
    assert texts <= {*COLUMNS, *OF_PERSONS}
    with pytest.raises(UsageError, match="cannot be split by 'referred_by'"):
        measured(company(referred_by=["c01"]), "nps", by="referred_by")


def test_age_is_told_in_bands():
    found = measured(company(birth_year=[1950, 2000, None]), "nps", by="age_band")
    assert {e.segment: e.n for e in found} == {"65 and over": 20, "under 25": 20, "unknown": 20}
    with pytest.raises(UsageError, match=r"customers\.birth_year"):
        measured(company(), "nps", by="age_band")


def test_members_are_told_by_their_tier():
    members = [{"customer_id": c, "enrolled_at": -200, **more} for c, more in zip(
        PEOPLE[:40], [{"tier": "gold"}] * 20 + [{"tier": None}] * 10 + [{"tier": "gold", "left_at": -5}] * 10,
        strict=True)]  # fmt: skip
    found = measured({**company(), "loyalty_members": members}, "nps", by="loyalty_tier")
    assert {e.segment: e.n for e in found} == {"gold": 20, "no tier": 10, "not a member": 30}


def test_buyers_are_told_by_how_lately_often_and_dear_they_buy_and_who_bought_nothing_apart():
    """Thirty buy: the first ten lately and often, the last ten long ago and once."""
    sales = [
        {"customer_id": c, "occurred_at": -1 - 10 * n - at, "amount": 100 - n, "kind": "purchase"}
        for n, c in enumerate(PEOPLE[:30]) for at in range(30 - n)
    ]  # fmt: skip
    found = {e.segment: e.n for e in measured({**company(), "transactions": sales}, "nps", by="buyer_segment")}
    assert found == {"champions": 10, "regular": 10, "dormant": 10, "no purchase in a year": 30}
    with pytest.raises(UsageError, match=r"transactions\.amount"):
        measured(company(), "nps", by="buyer_segment")


def test_users_are_told_by_their_days_of_use_in_four_weeks():
    days = dict(zip(PEOPLE, [0, 2, 6, 20] * 15, strict=True))
    used = [{"customer_id": c, "occurred_at": -0.5 - at, "event": "open"} for c, of in days.items() for at in range(of)]
    used += [{"customer_id": c, "occurred_at": -40, "event": "open"} for c in PEOPLE]
    found = {e.segment: e.n for e in measured({**company(), "usage_events": used}, "nps", by="use_band")}
    assert found == {"no use in 4 weeks": 15, "used on 1 to 3 days": 15, "used weekly": 15, "used on most workdays": 15}


def test_every_third_of_a_buyer_has_a_name_and_a_better_buyer_never_that_of_a_worse_one():
    names = [name for row in BUYER_SEGMENTS for name in row]
    assert len(set(names)) == len(names)
    steps = range(1, 4)
    assert {buyer_segment(r, f, s) for r in steps for f in steps for s in steps} == set(names)
    for recency, row in enumerate(BUYER_SEGMENTS, 1):
        places = [row.index(buyer_segment(recency, f, s)) for f in steps for s in steps if f == s]
        assert places == sorted(places)


def test_answers_are_told_by_their_touchpoint_and_what_is_no_answer_is_not():
    rows = [*answers("csat", [5] * 30, 1, 5, "support"), *answers("csat", [1] * 20, 1, 5, "onboarding"),
            *answers("ces", [7] * 30, 1, 7, "support"), *answers("ces", [7] * 10, 1, 7)]  # fmt: skip
    found = measured({"surveys": rows}, "csat", "ces_easy", "nps", by="touchpoint")
    told = {(e.metric_id, e.segment): (e.n, e.value) for e in found}
    assert told == {
        ("csat", "support"): (30, 100), ("csat", "onboarding"): (20, 0),
        ("ces_easy", "support"): (30, 100), ("ces_easy", "relational"): (10, 100), ("nps", None): (0, None),
    }  # fmt: skip


@pytest.mark.parametrize(("by", "shows"), [("gender", False), ("industry", True)])
def test_of_a_sensitive_split_no_cell_of_a_few_people_is_told_not_even_as_a_count(by, shows):
    values = ["x"] * 3 + ["y"] * 57
    rows = company(**{by: values})
    rows["subscriptions"] = [{"customer_id": c, "started_at": -300, "mrr": 1} for c in PEOPLE]
    rows["advocacy_acts"] = [{"customer_id": c, "occurred_at": -20, "kind": "review"} for c in PEOPLE]
    found = {e.segment: e for e in measured(rows, "advocates_active", by=by)}
    assert (found["x"].value is not None) == shows
    assert found["x"].status == ("ok" if shows else "suppressed")
    assert found["y"].value is not None


def test_a_published_week_has_all_splits_but_those_into_very_many(monkeypatch):
    monkeypatch.setattr(evaluate, "MOST_SEGMENTS", 50)
    tables = tables_of(company(region=["north", "south"], industry=[f"i{number}" for number in range(60)]))
    found = evaluate.measure_by(tables, INSTANT_US, [None, *SEGMENTS], ["nps"])
    assert {e.by for e in found} == {None, "region", "tenure_band", "touchpoint"}
    assert len(evaluate.measure(tables, INSTANT_US, ["nps"], by="industry")) == 60
    assert "account_id" not in SEGMENTS
