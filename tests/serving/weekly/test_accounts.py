"""Accounts: each figure of one follows from its customers, and who has left belongs to it no more."""

from __future__ import annotations

import pytest

from support.handwritten_weeks import customer, publish
from vouch.serving.api.handlers.accounts import get_account, search_accounts
from vouch.serving.api.handlers.week_types import AccountAnswer, AccountsPage
from vouch.serving.api.problems import Problem
from vouch.serving.api.schemas import AccountGet, AccountsSearch
from vouch.serving.api.state import ServingState

PEOPLE = [
    customer("a", 0.5, mrr=100.0, account_id="A1", account_name="North", owner="Ines", silent_days=30.0),
    customer("b", 0.1, mrr=300.0, account_id="A1", account_name="North", owner="Ines", silent_days=2.0),
    customer("c", None, mrr=50.0, account_id="A1", account_name="North", owner="Ines"),
    customer("d", 0.2, mrr=10.0, account_id="A2", account_name="\u0218oim", owner="Jae"),
    customer("e", 0.9, mrr=1000.0),
    customer("f", None, account_id="A3"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    home = tmp_path_factory.mktemp("accounts")
    publish(home, people=PEOPLE)
    found = ServingState(home)
    found.refresh()
    yield found
    found.stop()


def listed(store, **asked) -> list[str]:
    answer = search_accounts(store, AccountsSearch(**asked))
    assert AccountsPage.model_validate(answer, strict=True).model_dump() == answer
    return [row["account_id"] for row in answer["accounts"]]


def test_an_account_tells_its_worst_its_mean_and_its_sum(store):
    account = get_account(store, AccountGet(account_id="A1"))
    assert AccountAnswer.model_validate(account, strict=True).model_dump() == account
    assert account["at_risk"] == pytest.approx(0.5 * 100 + 0.1 * 300)
    assert account["mean"] == pytest.approx(80 / 400)
    assert (account["most_endangered"]["customer_id"], account["customers"], account["silent"]) == ("a", 2, 1)
    assert account["concentration"] == 0.75
    assert [row["customer_id"] for row in account["people"]] == ["a", "b"]


def test_accounts_stand_by_revenue_at_risk_and_are_narrowed_by_owner_and_text(store):
    assert listed(store) == ["A1", "A2"]
    assert listed(store, owner=["Jae"]) == ["A2"]
    assert listed(store, text="so") == ["A2"]
    assert listed(store, text="orth") == []
    assert listed(store, owner=["nobody"]) == []


def test_pages_follow_each_other_and_a_cursor_goes_with_its_filters(store):
    first = search_accounts(store, AccountsSearch(limit=1))
    second = search_accounts(store, AccountsSearch(limit=1, cursor=first["next_cursor"]))
    assert [row["account_id"] for row in (*first["accounts"], *second["accounts"])] == ["A1", "A2"]
    assert second["next_cursor"] is None
    with pytest.raises(Problem) as refused:
        search_accounts(store, AccountsSearch(limit=1, owner=["Jae"], cursor=first["next_cursor"]))
    assert refused.value.code == "unknown_cursor"


def test_an_account_that_nobody_belongs_to_is_not_known(store):
    for account_id in ("A3", "none"):
        with pytest.raises(Problem) as refused:
            get_account(store, AccountGet(account_id=account_id))
        assert refused.value.code == "unknown_account"


def test_a_company_without_accounts_has_none(tmp_path):
    publish(tmp_path, people=[customer("a", 0.5)])
    store = ServingState(tmp_path)
    store.refresh()
    assert listed(store) == []
    store.stop()


def test_the_sum_over_accounts_is_that_of_their_customers(store):
    accounts = search_accounts(store, AccountsSearch())["accounts"]
    people = [row for row in PEOPLE if row.get("account_id") and row["churn_probability"] is not None]
    assert sum(row["at_risk"] for row in accounts) == pytest.approx(
        sum(row["churn_probability"] * row["mrr"] for row in people)
    )
