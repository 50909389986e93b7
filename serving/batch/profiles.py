"""Profiles of customers for filters, rules and people's eyes: segments, consent, revenue, renewal, names, the last ask.

Names, owners and links stand in `customers.parquet` alone: no feature, model, metric or log reads them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.asof import view
from vouch.features.facts.customers import external_customers
from vouch.features.facts.last_days import between_terms
from vouch.features.facts.rows import counted
from vouch.features.facts.subscriptions import next_renewal, paid_in, revenue

if TYPE_CHECKING:
    from vouch.features.asof import Frame, Tables

PROFILE = ("segment", "region", "country", "language", "plan", "industry", "company_size", "use_case", "persona")
NAMED = ("account_id", "name", "account_name", "owner", "crm_url")
"""For people's eyes alone."""
CONSENTS = ("contact_consent", "advocacy_consent")


def profiles(tables: Tables, as_of_us: int) -> Frame:
    """Return one row per external customer known at an instant, with the columns of `customers.parquet`.

    The times of the last ask and the next renewal stand as `last_asked_us`, `renewal_us`, microseconds since 1970. A
    missing consent is none.
    """
    rows = external_customers(tables, as_of_us).select(
        "customer_id", *PROFILE, *NAMED, *(nw.col(consent).fill_null(False) for consent in CONSENTS)
    )
    rows = _with_renewal(_with_revenue(rows, tables, as_of_us), tables, as_of_us)
    return _with_last_ask(rows, tables, as_of_us)


def _with_revenue(rows: Frame, tables: Tables, as_of_us: int) -> Frame:
    """Monthly revenue of all running subscriptions; an end that is announced has not come yet."""
    if "subscriptions" not in tables:
        return rows.with_columns(nw.lit(None, nw.Float64).alias("mrr"))
    of_customers = revenue(between_terms(counted(tables, "subscriptions", as_of_us), as_of_us), as_of_us)
    return rows.join(of_customers, on="customer_id", how="left").with_columns(nw.col("mrr").fill_null(0.0))


def _with_renewal(rows: Frame, tables: Tables, as_of_us: int) -> Frame:
    """The next renewal, and the currency of what runs: of what renews next, else of what pays most; else of none."""
    if "subscriptions" not in tables:
        nothing = (nw.lit(None, nw.Int64).alias("renewal_us"), nw.lit(None, nw.String).alias("currency"))
        return rows.with_columns(*nothing)
    held = counted(tables, "subscriptions", as_of_us)
    return rows.join(next_renewal(held, as_of_us), on="customer_id", how="left").join(
        paid_in(held, as_of_us), on="customer_id", how="left"
    )


def _with_last_ask(rows: Frame, tables: Tables, as_of_us: int) -> Frame:
    """The latest ask; of several at the same instant, the kind and outcome that come last in the alphabet."""
    if "asks" not in tables:
        texts = (nw.lit(None, nw.String).alias(name) for name in ("last_ask_kind", "last_ask_outcome"))
        return rows.with_columns(nw.lit(None, nw.Int64).alias("last_asked_us"), *texts)
    asks = view(tables, "asks", as_of_us).with_columns(
        nw.col("own_us").max().over("customer_id").alias("last_asked_us")
    )
    last = asks.filter(nw.col("own_us") == nw.col("last_asked_us"))
    by_customer = last.group_by("customer_id").agg(
        nw.col("last_asked_us").max(),
        nw.col("kind").max().alias("last_ask_kind"),
        nw.col("outcome").max().alias("last_ask_outcome"),
    )
    return rows.join(by_customer, on="customer_id", how="left")
