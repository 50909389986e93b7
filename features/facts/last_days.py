"""Last days: ends that name the last day of a term, where the contract's end is the first instant after it.

Terms of such a company end on the 31st and go on on the 1st, so that for a day nobody is a customer. No row shows it;
the habit does: of the terms that went on within the gap, most ended a day, or some seconds, before the next began.
Until they are mapped, a term that ended less than the gap ago is not known to be churn there, for it may yet go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.contract.tables import DAY_US
from vouch.features.facts.spans import NEVER_US
from vouch.features.facts.stays import GAP_DAYS
from vouch.features.instants import HOUR_US, MINUTE_US

if TYPE_CHECKING:
    from vouch.features.asof import Frame

FEWEST = 5
"""So many ends of a kind tell of a habit; fewer may be chance."""
STEPS_US = (23 * HOUR_US, DAY_US, 25 * HOUR_US)
"""A day as clocks have it, also where they are put forward or back."""


@dataclass(frozen=True)
class LastDays:
    """How many of the terms that went on ended on a last day, of how many, and by which step most did."""

    count: int
    of: int
    step_us: int

    @property
    def is_habit(self) -> bool:
        """Whether most ends of the company are last days."""
        return self.count >= FEWEST and 2 * self.count > self.of


def last_days(rows: Frame) -> LastDays:
    """What the ends of all subscriptions (`customer_id`, `subscription_id`, `own_us`, `ended_us`) look like."""
    order = ["own_us", "ended_us", "subscription_id"]
    after = nw.col("own_us").shift(-1).over("customer_id", order_by=order)
    pauses = rows.select(*order, "customer_id").with_columns(pause_us=after - nw.col("ended_us"))
    pauses = pauses.filter(nw.col("pause_us") >= 0, nw.col("pause_us") <= GAP_DAYS * DAY_US)
    counted = pauses.group_by("pause_us").agg(terms=nw.len().cast(nw.Int64)).collect("pyarrow")
    terms = {int(row["pause_us"]): int(row["terms"]) for row in counted.iter_rows(named=True)}
    last = {pause: count for pause, count in terms.items() if 0 < pause <= MINUTE_US or pause in STEPS_US}
    usual = max(last, key=lambda pause: (last[pause], pause), default=0)
    return LastDays(sum(last.values()), sum(terms.values()), usual)


def between_terms(rows: Frame, as_of_us: int) -> Frame:
    """The same subscriptions; in a company of last days, those between two terms run on, without an end.

    These are the terms that ended less than the gap before the instant and were their customer's last; and of the past
    those after which the next began by the usual step: they end as it begins.
    """
    habit = last_days(rows)
    if not habit.is_habit:
        return rows
    begun = rows.select("customer_id", next_us=nw.col("own_us")).unique()
    rows = rows.with_columns(next_us=nw.col("ended_us") + habit.step_us)
    begun = begun.with_columns(goes_on=nw.lit(True))
    rows = rows.join(begun, on=["customer_id", "next_us"], how="left")
    last_us = nw.col("ended_us").fill_null(NEVER_US).max().over("customer_id")
    is_open = (nw.col("ended_us") == last_us) & (nw.col("ended_us") > as_of_us - GAP_DAYS * DAY_US)
    is_open = is_open & (nw.col("ended_us") < as_of_us)
    ended = nw.when(nw.col("goes_on").fill_null(False)).then(nw.col("next_us")).otherwise(nw.col("ended_us"))
    ended = nw.when(~is_open.fill_null(False)).then(ended)
    return rows.with_columns(ended_us=ended).drop("next_us", "goes_on")
