"""Histories of customers for the candidate policy: asks and their outcomes, acts by kind, open tickets, needs."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import narwhals as nw
import pyarrow as pa

from vouch.features.asof import view
from vouch.features.facts.acts import ORGANIC
from vouch.features.facts.tickets import is_open, priority
from vouch.features.metrics.context import MetricContext, collected
from vouch.features.metrics.definitions.care import WINDOW_DAYS, cared_for
from vouch.features.metrics.populations.advocacy import acts
from vouch.serving.snapshots import schema
from vouch.serving.snapshots.schema import ASK_DAYS, REPAIR, THANK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vouch.features.asof import Frame, Tables

REPAIRED = ("respect", "listening")
"""Needs of the care index that are a promise not kept: own tickets not resolved in time, feedback not acted on."""
NO_PRIORITY = "none given"


class Histories:
    """The past of all customers at an instant, read once, given batch by batch."""

    def __init__(self, tables: Tables, as_of_us: int) -> None:
        context = MetricContext(tables, as_of_us)
        self._columns = {
            "asks": _asks(context),
            "acts": _acts(context),
            "open_tickets": _open_tickets(context),
            "care_first": _care_first(context),
        }

    def of(self, customers: Sequence[str]) -> dict[str, pa.Array]:
        """Return the columns for some customers, in their order; null where nothing is known."""
        return {
            name: pa.array([held.get(customer) for customer in customers], schema.CUSTOMERS.field(name).type)
            for name, held in self._columns.items()
        }


def _asks(context: MetricContext) -> Mapping[str, Any]:
    """Asks by customer, the latest last."""
    if not context.has("asks"):
        return {}
    names = ("ask_id", "kind", "outcome", "outcome_us", "propensity", "is_randomised")
    rows = view(context.tables, "asks", context.as_of_us).filter(nw.col("own_us") >= context.before(ASK_DAYS))
    rows_of = defaultdict(list)
    for row in _ordered(rows.select("customer_id", nw.col("own_us").alias("asked_us"), *names), "asked_us", "ask_id"):
        rows_of[row.pop("customer_id")].append(row)
    return rows_of


def _acts(context: MetricContext) -> Mapping[str, Any]:
    """Organic acts by customer: of each kind how many, and when the latest was."""
    if not context.has("advocacy_acts") and not context.has("referrals"):
        return {}
    organic = context.keep(acts).filter(nw.col("sort") == ORGANIC, ~nw.col("customer_id").is_null())
    counted = organic.group_by("customer_id", "kind").agg(nw.len().alias("n"), nw.col("own_us").max().alias("last_us"))
    rows_of = defaultdict(list)
    for row in _ordered(counted, "kind"):
        rows_of[row.pop("customer_id")].append(row)
    return rows_of


def _open_tickets(context: MetricContext) -> Mapping[str, Any]:
    """Priorities of the open tickets by customer, in small letters."""
    if not context.has("tickets"):
        return {}
    rows = context.rows("tickets").filter(is_open(nw.col("resolved_us"), context.as_of_us))
    called = priority(nw.col("priority")).fill_null(NO_PRIORITY)
    priorities = defaultdict(list)
    for row in _ordered(rows.select("customer_id", priority=called), "priority"):
        priorities[row["customer_id"]].append(row["priority"])
    return priorities


def _care_first(context: MetricContext) -> Mapping[str, Any]:
    """What an advocate is owed before being asked again, by the needs of the care index."""
    if not any(context.has(*need.split(".")) for need in ("advocacy_acts", "referrals")):
        return {}
    if not any(context.has(table) for table in ("tickets", "recognitions", "feedback", "social_posts")):
        return {}
    rows = cared_for.prepare(context, WINDOW_DAYS)
    assert isinstance(rows, nw.LazyFrame)
    names = ("customer_id", "gratitude", *REPAIRED)
    care = {}
    for row in _ordered(rows.select(*names)):
        if any(row[need] is not None and row[need] < 1 for need in REPAIRED):
            care[row["customer_id"]] = REPAIR
        elif row["gratitude"] is not None and row["gratitude"] < 1:
            care[row["customer_id"]] = THANK
    return care


def _ordered(frame: Frame, *by: str) -> list[dict[str, Any]]:
    """Rows of a frame, ordered by customer and what else is named."""
    rows: list[dict[str, Any]] = collected(frame.filter(~nw.col("customer_id").is_null())).to_pylist()
    return sorted(rows, key=lambda row: [str(row["customer_id"]), *(row[name] for name in by)])
