"""Profiles: what filters and rules read of a customer besides scores."""

from __future__ import annotations

import pytest

from support.rows.contract_form import make_tables, raw_frame
from vouch.features.contract.tables import DAY_US
from vouch.features.instants import parse_instant
from vouch.serving.batch.profiles import profiles

T = parse_instant("2026-11-16")
BEFORE, SOON = T - 30 * DAY_US, T + 30 * DAY_US


def found(engine: str = "polars", customers: list[dict] | None = None, **rows: list[dict]) -> dict[str, dict]:
    rows["customers"] = customers or [{"customer_id": "a", "created_at": BEFORE}]
    tables = make_tables({name: raw_frame(name, of) for name, of in rows.items()}, engine)
    table = profiles(tables, T).collect("pyarrow").to_native()
    return {row["customer_id"]: row for row in table.to_pylist()}


def test_internal_customers_have_no_profile_and_a_missing_consent_is_none():
    rows = found(
        customers=[
            {"customer_id": "a", "created_at": BEFORE, "segment": "smb", "advocacy_consent": True},
            {"customer_id": "staff", "created_at": BEFORE, "is_internal": True},
            {"customer_id": "later", "created_at": SOON},
        ]
    )
    assert list(rows) == ["a"]
    assert (rows["a"]["segment"], rows["a"]["advocacy_consent"], rows["a"]["contact_consent"]) == ("smb", True, False)


@pytest.mark.parametrize("engine", ["polars", "duckdb"])
def test_revenue_is_that_of_the_running_subscriptions(engine):
    def span(name: str, mrr: float, **more) -> dict:
        return {"subscription_id": name, "customer_id": "a", "started_at": BEFORE, "mrr": mrr, **more}

    spans = [
        span("running", 0.1),
        span("too", 0.2),
        span("ended", 5.0, ended_at=T - 1),
        span("to end", 0.4, ended_at=SOON, ingested_at=BEFORE),
        span("to start", 7.0, started_at=SOON),
    ]
    assert found(engine, subscriptions=spans)["a"]["mrr"] == 0.7
    assert found(engine, subscriptions=spans[2:3])["a"]["mrr"] == 0.0
    assert found(engine)["a"]["mrr"] is None


@pytest.mark.parametrize("engine", ["polars", "duckdb"])
def test_the_next_renewal_is_the_agreed_one_else_that_of_an_annual_subscription(engine):
    def span(customer_id: str, **more) -> dict:
        named = {"subscription_id": f"of {customer_id}", "customer_id": customer_id}
        return {**named, "started_at": BEFORE, "mrr": 1.0, **more}

    spans = [
        span("annual", billing_period="year"),
        span("agreed", billing_period="year", renewal_at=SOON, currency="EUR"),
        span("past", billing_period="year", renewal_at=T - DAY_US),
        span("monthly", billing_period="month"),
        span("ends", billing_period="year", ended_at=SOON, ingested_at=BEFORE),
    ]
    people = [{"customer_id": row["customer_id"], "created_at": BEFORE, "name": "Ana"} for row in spans]
    rows = found(engine, people, subscriptions=spans)
    year_us = round(365.2425 * DAY_US)
    assert {name: row["renewal_us"] for name, row in rows.items()} == {
        "annual": BEFORE + year_us, "agreed": SOON, "past": BEFORE + year_us, "monthly": None, "ends": None,
    }  # fmt: skip
    assert (rows["agreed"]["currency"], rows["annual"]["currency"], rows["annual"]["name"]) == ("EUR", None, "Ana")
    assert found(engine)["a"]["renewal_us"] is None


@pytest.mark.parametrize("engine", ["polars", "duckdb"])
def test_the_last_ask_is_the_latest_one_with_the_outcome_known_then(engine):
    def ask(name: str, days: int, **more) -> dict:
        return {"ask_id": name, "customer_id": "a", "asked_at": T - days * DAY_US, "kind": "review", **more}

    rows = found(
        engine,
        asks=[
            ask("old", 40, outcome="declined", outcome_at=T - 39 * DAY_US),
            ask("last", 2, kind="referral", outcome="accepted", outcome_at=SOON),
            ask("next", -1),
        ],
    )
    assert (rows["a"]["last_asked_us"], rows["a"]["last_ask_kind"]) == (T - 2 * DAY_US, "referral")
    assert rows["a"]["last_ask_outcome"] is None
    assert found(engine)["a"]["last_asked_us"] is None


@pytest.mark.parametrize("engine", ["polars", "duckdb"])
def test_the_currency_is_that_of_what_runs_and_renews_next(engine):
    def span(name: str, currency: str | None, **more) -> dict:
        return {"subscription_id": f"{name}{currency}{len(more)}", "customer_id": name, "started_at": BEFORE, "mrr": 1,
                "currency": currency, **more}  # fmt: skip

    spans = [
        span("a", "USD", ended_at=T - DAY_US), span("a", "EUR"),
        span("b", "USD", mrr=5, renewal_at=SOON + DAY_US), span("b", "EUR", renewal_at=SOON), span("b", None),
        span("c", "CHF", mrr=5), span("c", "USD", mrr=7), span("d", " usd"),
    ]  # fmt: skip
    people = [{"customer_id": name, "created_at": BEFORE} for name in "abcd"]
    rows = found(engine, people, subscriptions=spans)
    assert {name: row["currency"] for name, row in rows.items()} == {"a": "EUR", "b": "EUR", "c": "USD", "d": "USD"}
