"""Value by contract: how long subscriptions run, whether who left returns, and what a running one brings.

The weeks that the churn model's hazard reaches (`vouch.models.scoring.hazard`) are its own; beyond, the rate lies
halfway (in logarithms) between that of the customer's last stretch and that of the company's own life table, for what
is known of one customer today fades. Who is paid by the year can leave when the year is over. Who left returns at the
company's own rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import nnls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from vouch.models.value.histories import CustomerHistories, Stays
    from vouch.models.value.repeat_purchases import Numbers

    Flags = NDArray[np.bool_]

BANDS = (0.0, 13.0, 26.0, 52.0)
"""Weeks of tenure at which each row of the life table begins."""
PRIOR_ENDS = 4.0
"""A row of the life table is drawn to the company's mean as if so many ends more had been seen at it."""
WINDOW_DAYS = 364.0
LEAST = 20
"""Customers who ran all the time from which what a subscription brings is told, else the company's mean is."""
RATIOS = 41
WEEKS_OF_YEAR = 365.2425 / 7
SHORT_WEEKS = 4
"""A churn model that reaches no further says nothing of the time beyond."""


@dataclass(frozen=True)
class LifeTable:
    """Ends per week by tenure (`BANDS`), of subscriptions paid by the month and by the year, and returns per week."""

    monthly: tuple[float, ...]
    annual: tuple[float, ...]
    returns: float
    ends: int
    """Ends that were seen: how far the rates are known."""

    def rates(self, tenure_weeks: Numbers, is_annual: Flags) -> Numbers:
        """Rate of each customer at a tenure."""
        place = np.searchsorted(BANDS, tenure_weeks, side="right") - 1
        return np.where(is_annual, np.array(self.annual)[place], np.array(self.monthly)[place])


def life_table(stays: Stays, is_annual: Flags, days: float) -> LifeTable:
    """Count ends and time at risk of the last `days` by tenure; rows with few ends are drawn to the mean."""
    since = -min(days, WINDOW_DAYS)
    ended = (stays.end < 0) & (stays.end >= since)
    tables = []
    for chosen in (~is_annual[stays.customer], is_annual[stays.customer]):
        ends, weeks = np.zeros(len(BANDS)), np.zeros(len(BANDS))
        for number, low in enumerate(BANDS):
            high = BANDS[number + 1] if number + 1 < len(BANDS) else np.inf
            begin = np.maximum(stays.start + 7 * low, since)
            until = np.minimum(np.minimum(stays.start + 7 * high, stays.end), 0.0)
            weeks[number] = np.maximum(until - begin, 0.0)[chosen].sum() / 7
            tenure = (stays.end - stays.start) / 7
            ends[number] = (ended & (tenure >= low) & (tenure < high))[chosen].sum()
        mean = (ends.sum() + 0.5) / max(weeks.sum(), 1.0)
        tables.append(tuple(float(rate) for rate in (ends + PRIOR_ENDS) / (weeks + PRIOR_ENDS / mean)))
    back, away = _returns(stays, since)
    return LifeTable(tables[0], tables[1], back / max(away, 1.0), int(ended.sum()))


def _returns(stays: Stays, since: float) -> tuple[float, float]:
    """How many came back since then, and weeks in which somebody could."""
    order = np.lexsort((stays.start, stays.customer))
    who, start, end = stays.customer[order], stays.start[order], stays.end[order]
    goes_on = np.r_[who[1:] == who[:-1], False]
    next_start = np.where(goes_on, np.r_[start[1:], np.inf], np.inf)
    away = np.maximum(np.minimum(next_start, 0.0) - np.maximum(end, since), 0.0)
    return float(((next_start < 0) & (next_start >= since)).sum()), float(away[end < 0].sum() / 7)


@dataclass(frozen=True)
class Flow:
    """What a year of a running subscription brings: `share` of its price, and `beside` it; `ratios` about that."""

    share: float
    beside: float
    ratios: tuple[float, ...] = (1.0,)
    """Quantiles, evenly spread, of what customers who ran for the whole window brought, over what is said of them."""


def flow(mrr: Numbers, brought: Numbers, days: float) -> Flow:
    """Fit what running customers brought in so many days on their monthly price, both parts at least 0."""
    known = (mrr > 0) & np.isfinite(brought)
    if not known.any():
        return Flow(1.0, 0.0)
    price, yearly = 12 * mrr[known], brought[known] * 365 / days
    if known.sum() < LEAST:
        return Flow(max(float(yearly.sum() / price.sum()), 0.0), 0.0)
    design = np.column_stack([np.ones(len(price)), 1 / price])
    share, beside = nnls(design, yearly / price)[0]
    ratio = yearly / np.maximum(share * price + beside, 1e-9)
    ends = np.quantile(ratio, (np.arange(RATIOS) + 0.5) / RATIOS)
    middle = float(ends.mean()) or 1.0
    return Flow(float(share), float(beside), tuple(float(f"{value / middle:.6g}") for value in ends))


def flows(of: CustomerHistories, brought: Numbers) -> tuple[Flow, Flow]:
    """What subscriptions bring that are paid by the month, and by the year, of customers who ran all the time."""
    assert of.stays is not None, "the caller sees to it"
    covered = (of.stays.start <= -of.recent_days) & (of.stays.end >= 0)
    ran = np.zeros(len(of.customers), dtype=bool)
    ran[of.stays.customer[covered]] = True
    return flow(*_of(of, brought, ran & ~of.is_annual)), flow(*_of(of, brought, ran & of.is_annual))


def _of(of: CustomerHistories, brought: Numbers, rows: Flags) -> tuple[Numbers, Numbers, float]:
    return of.recent_mrr[rows], brought[rows], of.recent_days


def cumulative_hazard(
    weeks: int, tenure_weeks: Numbers, is_annual: Flags, renewal_weeks: Numbers, table: LifeTable,
    within: Sequence[tuple[int, Numbers]] = (),
) -> Numbers:  # fmt: skip
    """Cumulative hazard at the end of each week ahead: customers by weeks.

    `within` holds the probability to have left within so many weeks, as the churn model says (NaN where it does not).
    """
    ahead = np.arange(weeks)
    rates = table.rates(tenure_weeks[:, None] + ahead, is_annual[:, None])
    if within:
        rates = _with_scores(rates, within, is_annual)
    is_due = _is_due(ahead, renewal_weeks)
    reached = within[-1][0] if within else 0
    beyond = is_annual[:, None] & (ahead >= reached)
    lump = np.where(is_due, rates * WEEKS_OF_YEAR, 0.0)
    return np.asarray(np.cumsum(np.where(beyond & np.isfinite(renewal_weeks)[:, None], lump, rates), axis=1))


def _is_due(ahead: Any, renewal_weeks: Numbers) -> Flags:
    """Whether something renews in each week, year after year."""
    since = ahead[None, :] - np.floor(renewal_weeks)[:, None]
    with np.errstate(invalid="ignore"):
        year = np.round(since / WEEKS_OF_YEAR)
        return np.asarray((year >= 0) & (since == np.floor(year * WEEKS_OF_YEAR)))


def _with_scores(rates: Numbers, within: Sequence[tuple[int, Numbers]], is_annual: Flags) -> Numbers:
    """Put the model's own rates in the weeks that it reaches; beyond, the middle of its last and the life table's."""
    own, start, before = rates.copy(), 0, np.zeros(len(rates))
    last = np.full(len(rates), np.nan)
    for week, probability in within:
        total = -np.log1p(-np.clip(probability, 0.0, 1 - 1e-9))
        last = np.maximum(total - before, 0.0) / (week - start)
        known = np.isfinite(last)
        own[known, start:week] = last[known, None]
        start, before = week, total
    goes_on = np.isfinite(last) & ~is_annual & (start > SHORT_WEEKS)
    own[goes_on, start:] = np.sqrt(np.maximum(last[goes_on, None], 1e-6) * rates[goes_on, start:])
    return own
