"""Populations of customers that many metrics count over: the active, the subscribed, stays, purchases, margins.

Each takes a context and is kept by it. The definitions are those that every metric and label share: active is a running
subscription, or usage or a transaction in 90 days; a stay is a chain of subscriptions whose gaps are closed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.contract.tables import ACTIVITY_TABLES
from vouch.features.facts.activity import active as active_customers
from vouch.features.facts.activity import is_recent
from vouch.features.facts.last_days import between_terms
from vouch.features.facts.spans import NEVER_US, has_ended
from vouch.features.facts.stays import stays as chained
from vouch.features.instants import as_datetime, microseconds
from vouch.features.metrics.catalogue import Absent
from vouch.features.metrics.context import collected
from vouch.features.vectors.aggregates import ten_thousandths

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

    from vouch.features.asof import Frame
    from vouch.features.metrics.context import MetricContext

LEAST_COVERAGE = 0.8
"""Costs and the like must cover so much of a window, else there is no figure of them."""
MISSING_MARGINS = 0.2
"""Above this share of transactions without a margin, there is no figure of margins."""


def subscriptions(context: MetricContext) -> Frame:
    """Subscriptions known at the instant, `end_us` NEVER_US where they run on, or may yet where ends are last days."""
    columns = ["subscription_id", "customer_id", "own_us", "ended_us", "mrr", "plan", "cancel_reason", "is_voluntary"]
    rows = between_terms(context.rows("subscriptions").select(*columns), context.as_of_us)
    return rows.with_columns(end_us=nw.col("ended_us").fill_null(NEVER_US))


def stays(context: MetricContext) -> Frame:
    """Stays of external customers, a pause closed where the resumption is known; as `facts.stays` has them."""
    return chained(context.keep(subscriptions))


def acts_of_use(context: MetricContext, *columns: str) -> Frame:
    """Rows of usage and transactions, whichever are there: `customer_id`, `own_us`, `day`."""
    chosen = ("customer_id", "own_us", "day", *columns)
    return nw.concat([context.rows(table).select(*chosen) for table in ACTIVITY_TABLES if context.has(table)])


def activity(context: MetricContext) -> Frame:
    """First and last use or transaction of each customer: `first_us`, `last_us`, `last_28_us` (28 days before).

    `active_days` are the UTC days with either in the last 28.
    """
    rows = acts_of_use(context)
    lately = rows.filter(nw.col("own_us") >= context.before(28))
    days = lately.group_by("customer_id").agg(nw.col("day").n_unique().alias("active_days"))
    earlier = nw.when(nw.col("own_us") < context.before(28)).then(nw.col("own_us"))
    people = rows.group_by("customer_id").agg(
        nw.col("own_us").min().alias("first_us"),
        nw.col("own_us").max().alias("last_us"),
        earlier.max().alias("last_28_us"),
    )
    return people.join(days, on="customer_id", how="left").with_columns(nw.col("active_days").fill_null(0))


def active(context: MetricContext) -> Frame:
    """Customers who are active at the instant: `customer_id`, `active_days`."""
    is_used = any(context.has(table) for table in ACTIVITY_TABLES)
    spans = context.keep(stays) if context.has("subscriptions") else None
    if not is_used and spans is None:  # nothing says of anybody that they are
        return context.customers().select("customer_id").head(0).with_columns(nw.lit(0, nw.Int64).alias("active_days"))
    everybody = active_customers(context.as_of_us, context.keep(activity) if is_used else None, spans)
    if not is_used:
        return only_listed(context, everybody).with_columns(nw.lit(0, nw.Int64).alias("active_days"))
    days = context.keep(activity).select("customer_id", "active_days")
    people = only_listed(context, everybody).join(days, on="customer_id", how="left")
    return people.with_columns(nw.col("active_days").fill_null(0))


def only_listed(context: MetricContext, people: Frame) -> Frame:
    """Those whom the company lists as customers: rows of others are in no count of customers."""
    return people.join(context.customers().select("customer_id"), on="customer_id", how="semi")


def tells_ends(context: MetricContext) -> bool:
    """Whether the ends of subscriptions say who left; where the company hands over none, activity does."""
    is_used = any(context.has(table) for table in ACTIVITY_TABLES)
    return context.has("subscriptions", "ended_at") or (context.has("subscriptions") and not is_used)


def gone(context: MetricContext) -> Frame:
    """Customers of once: whose last subscription has ended, or, without ends, who have not been active in 90 days."""
    if context.has("subscriptions", "ended_at"):
        newest = context.keep(stays).group_by("customer_id").agg(nw.col("end_us").max())
        return newest.filter(has_ended(nw.col("end_us"), context.as_of_us)).select("customer_id")
    if not any(context.has(table) for table in ACTIVITY_TABLES):
        return context.customers().select("customer_id").head(0)
    return context.keep(activity).filter(~is_recent(nw.col("last_us"), context.as_of_us)).select("customer_id")


def margins(context: MetricContext) -> Frame | Absent:
    """Transactions with `margin` in whole ten-thousandths; a missing one takes the company's ratio of margin to amount.

    Absent where more than a fifth are missing. `has_margin` is 1 where it is the row's own.
    """
    has_margin = (~nw.col("gross_margin").is_null()).cast(nw.Int64)
    rows = context.rows("transactions").with_columns(has_margin=has_margin)
    known = nw.when(nw.col("has_margin") == 1)
    sums = rows.select(
        nw.col("gross_margin").sum().cast(nw.Float64).alias("margin"),
        known.then(nw.col("amount")).sum().cast(nw.Float64).alias("amount"),
        nw.col("has_margin").sum().cast(nw.Float64).alias("known"),
        nw.len().cast(nw.Float64).alias("rows"),
    )
    sum_of = {name: column[0].as_py() or 0.0 for name, column in _columns(sums)}
    if sum_of["known"] < (1 - MISSING_MARGINS) * sum_of["rows"]:
        return Absent(
            "not_applicable", "no_input: more than 20 % of the transactions have no transactions.gross_margin"
        )
    ratio = sum_of["margin"] / sum_of["amount"] if sum_of["amount"] else 0.0
    # Whole ten-thousandths, so that sums are exact whatever the order of rows.
    own = ten_thousandths(nw.col("gross_margin"))
    by_ratio = (nw.col("amount").cast(nw.Float64) * (ratio * 10_000)).round().cast(nw.Int64)
    margin = nw.when(nw.col("has_margin") == 1).then(own).otherwise(by_ratio)
    return rows.with_columns(margin=margin)


def _columns(frame: Frame) -> list[tuple[str, pa.ChunkedArray]]:
    table = collected(frame)
    return [(name, table[name]) for name in table.column_names]


@dataclass(frozen=True)
class Spread:
    """What periods hold between two instants, and the share of that time which they cover (0 to 1)."""

    amount: float
    coverage: float


def prorated(context: MetricContext, table: str, days: float, *kinds: str) -> Spread | Absent:
    """What a table of periods holds in the window, by the share of each period that lies in it; see `spread_over`."""
    return spread_over(context, table, context.before(days), context.as_of_us, *kinds)


def spread_over(context: MetricContext, table: str, since_us: int, until_us: int, *kinds: str) -> Spread | Absent:
    """What periods hold between two instants, by the share of each that lies there.

    Absent where there is no period at all (of these kinds), and where the periods leave out more than a fifth of the
    time: books that end before the window would make whatever is divided by them look good.
    """
    rows = context.rows(table)
    if kinds:
        rows = rows.filter(nw.col("kind").is_in(kinds))
    amounts = collected(rows.select("own_us", "ended_us", nw.col("amount").cast(nw.Float64)))
    what = f"{table} of {' or '.join(kinds)}" if kinds else table
    if not len(amounts):
        return Absent("not_applicable", f"no_input: there are no {what} ({table}.amount)")
    columns = (amounts[name].to_pylist() for name in ("own_us", "ended_us", "amount"))
    parts, covered = [], []
    for start, end, amount in zip(*columns, strict=True):
        inside = min(end, until_us) - max(start, since_us)
        share = inside / (end - start) if end > start else float(since_us <= start < until_us)
        parts.append(amount * min(max(share, 0.0), 1.0))
        covered.append((max(start, since_us), min(end, until_us)))
    coverage = _length(covered) / (until_us - since_us)
    if coverage < LEAST_COVERAGE:
        return Absent("insufficient_history", f"{what} cover {coverage:.0%} of the window")
    return Spread(math.fsum(parts), coverage)


def _length(spans: Iterable[tuple[int, int]]) -> int:
    """How long spans are together, what they share counted once."""
    total, reached = 0, -NEVER_US
    for start, end in sorted(spans):
        total += max(end - max(start, reached), 0)
        reached = max(reached, end)
    return total


def last_quarter(as_of_us: int) -> tuple[int, int]:
    """Start and end of the last quarter of a calendar year (UTC) that is over at an instant.

    >>> midnight_us = 20_000 * 86_400_000_000
    >>> [str(as_datetime(end).date()) for end in last_quarter(midnight_us)]
    ['2024-07-01', '2024-10-01']
    """
    now = as_datetime(as_of_us)
    end = datetime(now.year, 3 * ((now.month - 1) // 3) + 1, 1, tzinfo=UTC)
    start = datetime(end.year - (end.month == 1), (end.month - 4) % 12 + 1, 1, tzinfo=UTC)
    return microseconds(start), microseconds(end)


def percentile(column: str) -> nw.Expr:
    """Mid-rank of a column in percent: half of the equal ones count as below."""
    value = nw.col(column)
    return (value.rank("average") - 0.5) / value.count().cast(nw.Float64) * 100.0
