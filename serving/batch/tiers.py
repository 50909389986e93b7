"""The tier of each advocate at an instant (M37 of the metric catalogue): influential, active, potential, or none.

Decided here, because the catalogue leaves it open: the influence score counts every act, rewarded or not, for it is
about reach; "no act" of a potential advocate means no organic act in the same 180 days, so that somebody who spoke up
years ago and still gives a 10 is one again.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import narwhals as nw
import pyarrow as pa
import pyarrow.compute

from vouch.features.asof import view
from vouch.features.contract.tables import DAY_US
from vouch.features.facts.act_weights import default_weights
from vouch.features.facts.customers import external_customers
from vouch.features.facts.surveys import PROMOTER
from vouch.models.outcomes import organic_acts, valid_referrals

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vouch.features.asof import Frame, Tables
    from vouch.features.facts.act_weights import Weights

WINDOW_DAYS = 180
HALF_LIFE_DAYS = 90
INFLUENTIAL_SHARE = 10  # one in ten


def tiers(tables: Tables, as_of_us: int, weights: Weights | None = None) -> dict[str, str]:
    """Return the tier of every customer who has one other than `none`. Without `weights`, acts weigh as is usual."""
    weight = dict(default_weights() if weights is None else weights)
    found = dict.fromkeys(_promoters(tables, as_of_us), "potential")
    found |= dict.fromkeys(_active(tables, as_of_us), "active")
    found |= dict.fromkeys(most_influential(_influence(tables, as_of_us, weight)), "influential")
    external = _table(external_customers(tables, as_of_us).select("customer_id"))["customer_id"]
    is_external = pa.compute.is_in(pa.array(found, external.type), value_set=external).to_pylist()
    return {customer: tier for (customer, tier), keep in zip(found.items(), is_external, strict=True) if keep}


def most_influential(influence: Mapping[str, float]) -> list[str]:
    """Return the top tenth, rounded up, of those with a score above 0; ties by customer.

    >>> most_influential({"a": 1.0, "b": 2.0, "c": 2.0, "d": 0.0})
    ['b']
    """
    order = sorted((customer for customer, score in influence.items() if score > 0), key=lambda c: (-influence[c], c))
    return order[: -(-len(order) // INFLUENTIAL_SHARE)]


def _promoters(tables: Tables, as_of_us: int) -> list[str]:
    """Customers whose latest relational answer on the NPS scale, in 180 days, is 9 or 10."""
    if "surveys" not in tables:
        return []
    is_nps = (nw.col("instrument") == "nps") & (nw.col("scale_min") == 0) & (nw.col("scale_max") == 10)
    is_relational = nw.col("touchpoint").is_null() | (nw.col("touchpoint") == "relational")
    answers = view(tables, "surveys", as_of_us).filter(
        is_nps, is_relational, nw.col("status") == "answered", nw.col("own_us") >= as_of_us - WINDOW_DAYS * DAY_US
    )
    latest = answers.with_columns(nw.col("own_us").max().over("customer_id").alias("last_us"))
    scores = latest.filter(nw.col("own_us") == nw.col("last_us")).group_by("customer_id").agg(nw.col("score").max())
    return [customer for (customer,) in _rows(scores.filter(nw.col("score") >= PROMOTER), "customer_id")]


def _active(tables: Tables, as_of_us: int) -> set[str]:
    """Customers with an organic act in 180 days."""
    if "advocacy_acts" not in tables and "referrals" not in tables:
        return set()
    acts = organic_acts(tables, as_of_us)
    return set(acts.loc[acts["occurred_us"] >= as_of_us - WINDOW_DAYS * DAY_US, "customer_id"])


def _influence(tables: Tables, as_of_us: int, weight: Mapping[str, float]) -> dict[str, float]:
    """Reach of the acts by the weight of their kind, halved every 90 days, plus conversions of valid referrals.

    `fsum` makes the sum exact, so that the order in which an engine gives rows does not matter.
    """
    parts: defaultdict[str, list[float]] = defaultdict(list)
    external = external_customers(tables, as_of_us).select("customer_id")
    if "advocacy_acts" in tables:
        acts = view(tables, "advocacy_acts", as_of_us).join(external, on="customer_id", how="semi")
        for customer, own_us, kind, reach in _rows(acts, "customer_id", "own_us", "kind", "reach"):
            age_days = (as_of_us - own_us) / DAY_US
            parts[customer].append(weight[kind] * math.log1p(reach or 0) * 2.0 ** (-age_days / HALF_LIFE_DAYS))
    if "referrals" in tables:
        converted = valid_referrals(tables, as_of_us).filter(~nw.col("converted_us").is_null())
        advocates = converted.rename({"advocate_id": "customer_id"}).join(external, on="customer_id", how="semi")
        for (customer,) in _rows(advocates, "customer_id"):
            parts[customer].append(1.0)
    return {customer: math.fsum(values) for customer, values in parts.items()}


def _rows(frame: Frame, *columns: str) -> Iterator[tuple[Any, ...]]:
    table = _table(frame.select(*columns))
    return zip(*(table.column(column).to_pylist() for column in columns), strict=True)


def _table(frame: Frame) -> pa.Table:
    found: pa.Table = frame.collect("pyarrow").to_native()
    return found
