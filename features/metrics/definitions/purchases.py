"""Metrics of purchases: frequency, order value, mix of kinds, trading down (M66 to M68)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import narwhals as nw
import numpy as np
from scipy.stats import binom

from vouch.features.contract.tables import DAY_US
from vouch.features.metrics.catalogue import Example, Row, items, metric
from vouch.features.metrics.context import collected, runs_of
from vouch.features.metrics.estimators import NOT_BELOW_0, Floats, Mean, Median, Proportion, Ratio
from vouch.features.metrics.examples import repeated
from vouch.features.metrics.populations.orders import orders
from vouch.features.statistics.false_discovery import discoveries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.features.asof import Frame
    from vouch.features.metrics.context import MetricContext

PERIOD_DAYS = 90
LEAST_ORDERS = 3
OFTENER, SMALLER = 1.2, 0.9
"""Orders in the second window over the first from which, and spend per order up to which, somebody trades down."""
LEVEL = 0.1
SHUFFLES = 999


@items("transactions", counts="customers")
def buyers(context: MetricContext, days: int | None) -> Frame:
    """External customers who ordered in the window."""
    assert days is not None
    rows = context.keep(orders).filter(nw.col("own_us") >= context.before(days))
    people = rows.group_by("customer_id").agg(nw.len().alias("orders"), nw.col("cents").sum())
    return people.with_columns(unit=nw.col("customer_id"), spent=nw.col("cents").cast(nw.Float64) / 10_000)


def _bought(**days: tuple[float, ...]) -> dict[str, list[dict[str, object]]]:
    return {
        "transactions": [
            {"customer_id": c, "occurred_at": -at, "amount": 10, "kind": "purchase"} for c, ats in days.items()
            for at in ats
        ]
    }  # fmt: skip


_FIVE = _bought(a=(10, 20, 30), b=(10,), c=(10, 40), d=(10,), e=(20, 60, 80, 100))


@metric(
    "M66", "Order frequency", items=buyers, kind=Mean(limits=NOT_BELOW_0), days=PERIOD_DAYS, unit="orders per buyer",
    better="higher", source="Orders per buyer, textbook",
    formula="orders above 0 that were not wholly given back / customers with one, in the window",
    counts="orders",
    version="2",
    example=Example("10 orders of 5 buyers: 2", _FIVE, 2.0),
)  # fmt: skip
def order_frequency(customer: Row) -> Mapping[str, nw.Expr]:
    """Orders of a buyer in 90 days."""
    return {"value": customer.orders, "items": customer.orders}


@metric(
    "M66", "Order value", items=buyers, kind=Ratio(limits=NOT_BELOW_0), days=PERIOD_DAYS, unit="money per order",
    better="higher", source="Average order value, textbook",
    formula="spend / orders above 0 that were not wholly given back, by customer; a part given back is left in",
    counts="orders",
    version="2",
    example=Example("100 for 10 orders: 10", _FIVE, 10.0),
)  # fmt: skip
def order_value(customer: Row) -> Mapping[str, nw.Expr]:
    """What an order is worth."""
    return {"top": customer.spent, "bottom": customer.orders, "items": customer.orders}


@items("transactions", counts="customers")
def gaps(context: MetricContext, days: int | None) -> Frame:
    """Pauses between an order of an external customer and the order before, that ended in the window."""
    assert days is not None
    rows = context.keep(orders)
    before = nw.col("own_us").shift(1).over("customer_id", order_by=["own_us", "order"])
    rows = rows.with_columns(gap=(nw.col("own_us") - before).cast(nw.Float64) / DAY_US)
    return rows.filter(nw.col("own_us") >= context.before(days), ~nw.col("gap").is_null())


@metric(
    "M66", "Days between orders", items=gaps, kind=Median(limits=NOT_BELOW_0), days=PERIOD_DAYS, unit="days",
    better="lower", source="Inter-purchase time, textbook",
    formula="median of the days between successive orders that end in 90 days",
    version="2",
    example=Example("Pauses of 10, 10, 30, 40, 20 and 20 days: 20", _FIVE, 20.0),
)  # fmt: skip
def order_gap(pause: Row) -> Mapping[str, nw.Expr]:
    """How long a customer waits before ordering again."""
    return {"value": pause.gap}


@items("transactions", counts="revenue")
def revenue_by_kind(context: MetricContext, days: int | None) -> Frame:
    """External customers with a purchase, renewal or upgrade in the window."""
    rows = context.rows("transactions", days)
    again = nw.when(nw.col("kind").is_in(("renewal", "upgrade"))).then(nw.col("amount"))
    paid = nw.when(nw.col("kind").is_in(("purchase", "renewal", "upgrade"))).then(nw.col("amount"))
    sums = [part.sum().cast(nw.Float64).fill_null(0.0).alias(name) for name, part in (("again", again), ("paid", paid))]
    return rows.group_by("customer_id").agg(*sums).with_columns(unit=nw.col("customer_id"))


@metric(
    "M67", "Revenue from renewals and upgrades", items=revenue_by_kind, days=PERIOD_DAYS,
    kind=Ratio(100.0, limits=(0, 100)), unit="percent", better="neither", published=False,
    when_zero="empty_denominator",
    source="Our definition: one number for the mix of transactions; no claim about causes",
    formula="100 revenue of renewals and upgrades / revenue of purchases, renewals and upgrades",
    example=Example("50 of 200 by renewal and upgrade: 25",
                    {"transactions": [*repeated(5, occurred_at=-9, amount=30, kind="purchase"),
                                      {"occurred_at": -9, "amount": 40, "kind": "renewal"},
                                      {"occurred_at": -9, "amount": 10, "kind": "upgrade"},
                                      {"occurred_at": -9, "amount": -10, "kind": "refund"}]}, 25.0),
)  # fmt: skip
def transaction_mix(customer: Row) -> Mapping[str, nw.Expr]:
    """Share of the revenue that comes from what customers have already."""
    return {"top": customer.again, "bottom": customer.paid}


def log_split(first: tuple[float, float], second: tuple[float, float]) -> tuple[float, float]:
    """What frequency and spend per order add to the change of spend: LMDI, exact. Each period is (orders, per order).

    Source: Ang 2005, Energy Policy 33:867-871.

    >>> tuple(round(part, 3) for part in log_split((2, 50), (3, 30)))
    (38.484, -48.484)
    """
    (f1, a1), (f2, a2) = first, second
    before, after = f1 * a1, f2 * a2
    weight = before if after == before else (after - before) / float(np.log(after / before))
    return weight * float(np.log(f2 / f1)), weight * float(np.log(a2 / a1))


def p_smaller(first: Floats, second: Floats, customer: str) -> float:
    """One-sided p that orders became no smaller, by 999 shuffles seeded by the customer."""
    seed = int.from_bytes(hashlib.sha256(customer.encode()).digest()[:8], "big")
    generator, both = np.random.default_rng(seed), np.concatenate([first, second])
    shuffled = generator.permuted(np.broadcast_to(both, (SHUFFLES, len(both))), axis=1)[:, len(first) :].sum(axis=1)
    return float((1 + np.count_nonzero(shuffled <= second.sum())) / (SHUFFLES + 1))


def p_oftener(first: int, second: int) -> float:
    """One-sided p that orders became no more frequent in a window of the same length: conditional binomial test."""
    return float(binom.sf(second - 1, first + second, 0.5))


@items("transactions", counts="customers")
def regulars(context: MetricContext, days: int | None) -> Frame:
    """External customers with 3 orders or more in each of the last two windows of 90 days."""
    assert days is not None
    lately = context.keep(orders).filter(nw.col("own_us") >= context.before(2 * days))
    is_late = (nw.col("own_us") >= context.before(days)).cast(nw.Int64)
    table = collected(lately.select("customer_id", "unit", "cents", is_late=is_late))
    table = table.sort_by([("customer_id", "ascending"), ("unit", "ascending")])
    late, cents = table["is_late"].to_numpy().astype(bool), table["cents"].to_numpy()
    likely: dict[str, list[object]] = {"customer_id": [], "p": []}
    for customer, rows in runs_of(table["customer_id"].to_pylist()):
        first, second = (cents[rows][late[rows] == side].astype(np.float64) for side in (False, True))
        if min(len(first), len(second)) >= LEAST_ORDERS:
            likely["customer_id"].append(customer)
            likely["p"].append(p_trading_down(first, second, customer))
    p = np.array(likely["p"], dtype=np.float64)
    stands = np.sort(p)[: discoveries(p, LEVEL)]
    limit = float(stands[-1]) if len(stands) else -1.0
    flags = (p <= limit).astype(np.int64)
    made = nw.from_dict({"customer_id": likely["customer_id"], "flag": flags.tolist()},
                        schema={"customer_id": nw.String(), "flag": nw.Int64()}, backend="polars")  # fmt: skip
    return made.lazy().with_columns(unit=nw.col("customer_id"))


def p_trading_down(first: Floats, second: Floats, customer: str) -> float:
    """The larger p of the two tests, 1 where orders are not oftener and smaller enough."""
    oftener = len(second) >= OFTENER * len(first)
    if not oftener or second.mean() > SMALLER * first.mean():
        return 1.0
    return max(p_oftener(len(first), len(second)), p_smaller(first, second, customer))


@metric(
    "M68", "Trading down", items=regulars, kind=Proportion(), days=PERIOD_DAYS, reaches=2 * PERIOD_DAYS,
    unit="percent", better="lower",
    when_zero="empty_denominator", published=False,
    source="Our definition; conditional binomial and permutation test, Benjamini & Hochberg 1995 over customers",
    formula="100 customers who order at least 1.2 times as often and spend at most 0.9 times as much per order as in "
    "the 90 days before, both beyond chance (false discovery rate 10 %) / customers with 3 orders in both",
    version="2",
    example=Example(
        "Of 5 regulars one orders 12 times for 10 instead of 4 times for 50: 20",
        {"transactions": [*({"customer_id": c, "occurred_at": -at, "amount": 20, "kind": "purchase"}
                            for c in "abcd" for at in (10, 20, 30, 100, 110, 120)),
                          *({"customer_id": "e", "occurred_at": -95 - n, "amount": 50, "kind": "purchase"}
                            for n in range(4)),
                          *({"customer_id": "e", "occurred_at": -5 - n, "amount": 10, "kind": "purchase"}
                            for n in range(16))]}, 20.0),
)  # fmt: skip
def trading_down(customer: Row) -> Mapping[str, nw.Expr]:
    """Share of the regular customers who order oftener and spend less."""
    return {"hit": customer.flag}
