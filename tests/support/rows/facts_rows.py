"""Small companies for tests of business concepts: rows at microseconds around one instant, and what is made of them."""

from __future__ import annotations

import pandas as pd
import pytest

from support.rows.contract_form import make_tables, raw_frame
from vouch.features.contract.tables import DAY_US
from vouch.features.facts.stays import GAP_DAYS
from vouch.features.vectors.build import collect, narrow_vectors

T = 20_000 * DAY_US
DAYS = 28
GAP_US = GAP_DAYS * DAY_US
OF_SUBSCRIPTIONS = (
    "tenure_days", "is_subscribed", "has_ever_subscribed", "is_leaving", "mrr", "subscriptions_ended", "plan_upgrades",
    "plan_downgrades",
)  # fmt: skip
OF_REFERRALS = ("referrals_lifetime", "organic_referrals_365d", "referrals_invalid")
on_each_engine = pytest.mark.parametrize("engine", ["polars", "duckdb"])


def before(days):
    return T - round(days * DAY_US)


def company(engine="polars", **rows):
    """Tables of rows whose times are microseconds; customers that rows name are added, long known, and are external."""
    listed = rows.setdefault("customers", [])
    named = {row.get("customer_id") or row.get("advocate_id") for of in rows.values() for row in of}
    known = {row["customer_id"] for row in listed}
    listed += [{"customer_id": name, "created_at": before(900)} for name in sorted(named - known - {None})]
    rows.setdefault("usage_events", [])
    return make_tables({name: raw_frame(name, of) for name, of in rows.items()}, engine)


def span(start, end=None, customer="a", **more):
    return {
        "subscription_id": f"{customer}-{start}", "customer_id": customer, "started_at": start, "ended_at": end,
        "mrr": 1, **more,
    }  # fmt: skip


def act(customer, at, **more):
    return {"act_id": f"{customer}-{at}", "customer_id": customer, "occurred_at": at, "kind": "referral", **more}


def referral(advocate, prospect, at=None, **more):
    at = before(2) if at is None else at
    name = f"{advocate}-{prospect}-{at}"
    return {"referral_id": name, "advocate_id": advocate, "prospect_id": prospect, "invited_at": at, **more}


def ticket(at, **more):
    name = f"{at}-{more.get('resolved_at')}"
    return {"ticket_id": name, "customer_id": "a", "opened_at": at, **more}


def might_be_asked(**more):
    usual = {
        "advocacy_status": "ok", "churn_status": "ok", "churn_probability": 0.1, "advocacy_consent": True,
        "ask_for": "review", "advocacy_probability": 0.2,
    }  # fmt: skip
    return pd.DataFrame({name: [value] for name, value in usual.items()} | more)


def kept(found, *columns):
    """The rows of a frame, in order."""
    table = found.select(*columns).collect("pyarrow").to_native()
    return sorted(tuple(row.values()) for row in table.to_pylist())


def vectors_of(tables, *names, as_of_us=T):
    """Some features by customer."""
    return collect(narrow_vectors(tables, as_of_us, names)).set_index("customer_id")[[*names]]
