"""Trading down, customer by customer (behind M68): who orders oftener and spends less, and what may be behind it.

Two adjacent windows of 90 days. Frequency and spend per order each rise, stay flat or fall: nine states. The change of
spend is split exactly between the two. `trading_down` is beyond chance (false discovery rate 10 % over the regular
customers), `watch` meets the same thresholds without that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from vouch.features.metrics.context import collected
from vouch.features.metrics.definitions.purchases import (
    LEAST_ORDERS,
    LEVEL,
    OFTENER,
    PERIOD_DAYS,
    SMALLER,
    log_split,
    p_trading_down,
)
from vouch.features.metrics.populations.orders import orders, purchases
from vouch.features.statistics.false_discovery import adjusted

if TYPE_CHECKING:
    from vouch.features.metrics.context import MetricContext
    from vouch.features.metrics.estimators import Floats

FLAT = {"frequency": (1 / OFTENER, OFTENER), "spend": (SMALLER, 1 / SMALLER)}
"""A ratio strictly between these is flat."""
SAME_TOTAL = 0.05
"""A total within this share of the one before is the same money in more baskets."""


def state(ratio: float, axis: str) -> str:
    """Name of what became of frequency or spend.

    >>> state(1.2, "frequency"), state(1.1, "frequency"), state(0.9, "spend"), state(1.0, "spend")
    ('up', 'flat', 'down', 'flat')
    """
    low, high = FLAT[axis]
    return "up" if ratio >= high else "down" if ratio <= low else "flat"


def sub_reason(total: float, categories: tuple[float, float], discounts: tuple[float, float]) -> str:
    """What trading down looks like: the same money in more baskets, more bought at a discount, or fewer kinds of thing.

    >>> sub_reason(1.02, (4, 4), (0, 0)), sub_reason(0.8, (4, 4), (0.1, 0.3)), sub_reason(0.8, (4, 2), (0.1, 0.1))
    ('basket_splitting', 'cheaper_alternative', 'boredom')
    """
    if abs(total - 1) <= SAME_TOTAL:
        return "basket_splitting"
    if discounts[1] > discounts[0]:
        return "cheaper_alternative"
    return "boredom" if categories[1] < categories[0] else "unclear"


def trading_states(context: MetricContext) -> list[dict[str, Any]]:
    """One row per customer with an order in both windows, those who trade down first."""
    made = [_row(customer, *windows) for customer, windows in _two_windows(context).items()]
    rows = [row for row in made if row is not None]
    q = adjusted([np.nan if row["p"] is None else row["p"] for row in rows])
    signs = _signs(context)
    for row, rate in zip(rows, q, strict=True):
        falls = row["frequency"] == "up" and row["spend"] == "down" and row["p"] is not None
        row["q"] = None if np.isnan(rate) else float(rate)
        row["flag"] = None if not falls else "trading_down" if rate <= LEVEL else "watch"
        categories, discounts = signs.get(row["customer_id"], ((0.0, 0.0), (0.0, 0.0)))
        total = row.pop("total")
        row["sub_reason"] = sub_reason(total, categories, discounts) if falls else None
    rank = {"trading_down": 0, "watch": 1, None: 2}
    return sorted(rows, key=lambda row: (rank[row["flag"]], row["customer_id"]))


def _two_windows(context: MetricContext) -> dict[str, tuple[Floats, Floats]]:
    """Amounts of the orders of each customer in the window before and in the last one."""
    rows = context.keep(orders).filter(nw.col("own_us") >= context.before(2 * PERIOD_DAYS))
    is_late = nw.col("own_us") >= context.before(PERIOD_DAYS)
    table = collected(rows.select("customer_id", "unit", "cents", is_late=is_late))
    table = table.sort_by([("customer_id", "ascending"), ("unit", "ascending")])
    windows: dict[str, tuple[list[float], list[float]]] = {}
    columns = (table[name].to_pylist() for name in ("customer_id", "cents", "is_late"))
    for customer, cents, late in zip(*columns, strict=True):
        windows.setdefault(customer, ([], []))[late].append(cents / 10_000)
    return {customer: (np.array(first), np.array(second)) for customer, (first, second) in windows.items()}


def _row(customer: str, first: Floats, second: Floats) -> dict[str, Any] | None:
    """The state of one customer; None where a window is empty, or money is not positive, so that nothing compares."""
    if not len(first) or not len(second) or first.sum() <= 0 or second.sum() <= 0:
        return None
    frequency, spend = len(second) / len(first), float(second.mean() / first.mean())
    by_frequency, by_spend = log_split((len(first), float(first.mean())), (len(second), float(second.mean())))
    is_regular = min(len(first), len(second)) >= LEAST_ORDERS
    return {
        "customer_id": customer,
        "frequency": state(frequency, "frequency"),
        "spend": state(spend, "spend"),
        "orders_before": len(first),
        "orders": len(second),
        "per_order_before": float(first.mean()),
        "per_order": float(second.mean()),
        "change": float(second.sum() - first.sum()),
        "by_frequency": by_frequency,
        "by_spend": by_spend,
        "p": p_trading_down(first, second, customer) if is_regular else None,
        "total": float(second.sum() / first.sum()),
    }


Pair = tuple[float, float]


def _signs(context: MetricContext) -> dict[str, tuple[Pair, Pair]]:
    """Kinds of thing bought, and the share of discount, in the window before and in the last one, by customer."""
    rows = purchases(context).filter(nw.col("own_us") >= context.before(2 * PERIOD_DAYS))
    late = nw.col("own_us") >= context.before(PERIOD_DAYS)
    columns = {}
    for name, where in (("before", ~late), ("now", late)):
        columns[f"kinds_{name}"] = nw.when(where).then(nw.col("category"))
        columns[f"discount_{name}"] = nw.when(where).then(nw.col("discount").cast(nw.Float64))
        columns[f"amount_{name}"] = nw.when(where).then(nw.col("amount").cast(nw.Float64))
    made = rows.select("customer_id", **columns)
    sums = [nw.col(name).n_unique() if name.startswith("kinds") else nw.col(name).sum() for name in columns]
    table = collected(made.group_by("customer_id").agg(*sums))
    signs = {}
    for row in table.to_pylist():
        shares = [(row[f"discount_{name}"] or 0.0) / (row[f"amount_{name}"] or 1.0) for name in ("before", "now")]
        # A null counts as one kind on both sides.
        signs[row["customer_id"]] = (
            (float(row["kinds_before"]), float(row["kinds_now"])), (float(shares[0]), float(shares[1]))
        )  # fmt: skip
    return signs
