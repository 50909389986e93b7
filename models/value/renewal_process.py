"""Draws of what subscribers bring: they stay, leave, perhaps return, and pay by the month or by the year.

Every customer is drawn with the same random numbers (a fixed table), so that what is said of one does not depend on who
else is there, nor on the order of customers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vouch.models.value.contracts import BANDS, WEEKS_OF_YEAR, cumulative_hazard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vouch.models.value.contracts import Flow, LifeTable
    from vouch.models.value.histories import CustomerHistories
    from vouch.models.value.repeat_purchases import Numbers

DRAWS = 200
CYCLES = 3
"""Stays of one customer that are drawn, the present one included."""
CHUNK = 4_096
"""Customers at once."""
SEED = 17


@dataclass(frozen=True)
class Terms:
    """Subscribers: whether one runs now, its price, how it is paid, days to renewal, tenure, days to a known end."""

    runs: Any
    mrr: Numbers
    is_annual: Any
    renewal_days: Numbers
    tenure_weeks: Numbers
    end_days: Numbers

    def take(self, rows: Any) -> Terms:
        """Some of them."""
        return Terms(*(of[rows] for of in vars(self).values()))


def terms_of(of: CustomerHistories, rows: Any) -> Terms:
    """Terms of customers by place; a stay whose end is announced has the days to it, else infinitely many."""
    assert of.stays is not None, "the caller sees to it"
    start, end = np.full(len(of.customers), np.nan), np.full(len(of.customers), -np.inf)
    order = np.argsort(of.stays.start, kind="stable")
    start[of.stays.customer[order]] = of.stays.start[order]
    end[of.stays.customer[order]] = of.stays.end[order]
    tenure = np.maximum(np.nan_to_num(-start), 0.0) / 7
    return Terms(
        (of.state == "running")[rows], of.mrr[rows], of.is_annual[rows], of.renewal_days[rows], tenure[rows], end[rows]
    )


class Paid(NamedTuple):
    """Draws (customers by draws): years of subscription, discounted, and whether it ran at the end of the horizon."""

    by_flow: Numbers
    """Discounted years of what comes week by week."""
    by_year: Numbers
    """Discounted yearly payments."""


def paid(
    terms: Terms, days: float, discount: float, table: LifeTable, within: Sequence[tuple[int, Numbers]] = ()
) -> Paid:
    """Draw the discounted years that each subscriber pays for within the horizon; `discount` is yearly."""
    parts = []
    for first in range(0, len(terms.mrr), CHUNK):
        rows = np.arange(first, min(first + CHUNK, len(terms.mrr)))
        weekly = [(week, probability[rows]) for week, probability in within]
        parts.append(_paid(terms.take(rows), days, discount, table, weekly))
    if not parts:
        return Paid(np.empty((0, DRAWS)), np.empty((0, DRAWS)))
    return Paid(*(np.concatenate(of) for of in zip(*parts, strict=True)))


def _paid(terms: Terms, days: float, discount: float, table: LifeTable, within: Sequence[tuple[int, Numbers]]) -> Paid:
    random = np.random.default_rng(SEED)
    horizon, force = days / 7, np.log1p(discount) / WEEKS_OF_YEAR
    known = table.ends or 1
    hurry = np.exp(random.normal(0, 1 / np.sqrt(known), DRAWS))
    waits = -np.log1p(-(random.permutation(DRAWS) + 0.5) / DRAWS) / hurry
    weeks = int(np.ceil(horizon))
    hazard = cumulative_hazard(weeks, terms.tenure_weeks, terms.is_annual, terms.renewal_days / 7, table, within)
    leaves = _first_passage(hazard, waits)
    announced = np.isfinite(terms.end_days) & (terms.runs > 0)
    leaves = np.where(announced[:, None], np.maximum(terms.end_days, 0.0)[:, None] / 7, leaves)
    leaves = np.where(terms.runs[:, None] > 0, leaves, 0.0)
    is_yearly = terms.is_annual & np.isfinite(terms.renewal_days) & (terms.runs > 0)
    by_flow = np.where(is_yearly[:, None], 0.0, _present(np.zeros_like(leaves), np.minimum(leaves, horizon), force))
    yearly = _yearly(terms.renewal_days / 7, leaves, horizon, force) * is_yearly[:, None]
    beside = np.where(is_yearly[:, None], _present(np.zeros_like(leaves), np.minimum(leaves, horizon), force), 0.0)
    for _ in range(CYCLES - 1):
        away = random.exponential(1 / max(table.returns, 1e-9), DRAWS)
        start = leaves + away
        leaves = start + _stay(table, terms.is_annual, random.permutation(DRAWS))
        more = _present(np.minimum(start, horizon), np.minimum(leaves, horizon), force)
        by_flow, yearly = by_flow + more, yearly + more
    # What is paid week by week stands in the flow; of yearly payers the price is paid at once, the rest week by week.
    return Paid(np.where(is_yearly[:, None], by_flow + beside, by_flow), np.where(is_yearly[:, None], yearly, by_flow))


def _first_passage(hazard: Numbers, waits: Numbers) -> Numbers:
    """Week in which a cumulative hazard passes each wait, in the middle of that week; beyond the last, infinite."""
    step = float(max(hazard.max(), waits.max())) + 1.0 if hazard.size else 1.0
    base = np.arange(len(hazard))[:, None] * step
    place = np.searchsorted((hazard + base).ravel(), (waits[None, :] + base).ravel()).reshape(len(hazard), -1)
    week = place - np.arange(len(hazard))[:, None] * hazard.shape[1]
    return np.asarray(np.where(week >= hazard.shape[1], np.inf, week + 0.5))


def _present(start: Numbers, end: Numbers, force: float) -> Numbers:
    """Years between two weeks, discounted."""
    if force == 0:
        return np.asarray((end - start) / WEEKS_OF_YEAR)
    return np.asarray((np.exp(-force * start) - np.exp(-force * end)) / force / WEEKS_OF_YEAR)


def _yearly(renewal_weeks: Numbers, leaves: Numbers, horizon: float, force: float) -> Numbers:
    """Payments of who is still there when the year is over, discounted."""
    total = np.zeros_like(leaves)
    for year in range(int(horizon / WEEKS_OF_YEAR) + 1):
        due = (renewal_weeks + year * WEEKS_OF_YEAR)[:, None]
        with np.errstate(invalid="ignore"):
            is_paid = (leaves > due + 1) & (due < horizon)
            total += is_paid * np.exp(-force * np.nan_to_num(due))
    return total


def _stay(table: LifeTable, is_annual: Any, order: Any) -> Numbers:
    """Weeks of a new stay, by the life table from its first day."""
    waits = -np.log1p(-(order + 0.5) / DRAWS)
    staying = []
    for rates in (np.array(table.monthly), np.array(table.annual)):
        reached = np.r_[0.0, np.cumsum(rates[:-1] * np.diff(BANDS))]
        row = np.searchsorted(reached, waits, side="right") - 1
        staying.append(np.array(BANDS)[row] + (waits - reached[row]) / rates[row])
    return np.asarray(np.where(is_annual[:, None], staying[1], staying[0]))


def brought(terms: Terms, years: Paid, of: tuple[Flow, Flow], ratios: Numbers) -> Numbers:
    """What each subscriber brings in each draw; `ratios` (draws) are ranks of how much more than said one brings."""
    amounts = []
    for part in of:
        spread = np.quantile(np.array(part.ratios), ratios) if len(part.ratios) > 1 else np.ones(len(ratios))
        amounts.append(
            (part.share * 12 * terms.mrr[:, None] * years.by_year + part.beside * years.by_flow) * spread[None, :]
        )
    return np.asarray(np.where(terms.is_annual[:, None], amounts[1], amounts[0]))


def ranks() -> Numbers:
    """One rank per draw, in an order of its own."""
    return (np.random.default_rng(SEED + 1).permutation(DRAWS) + 0.5) / DRAWS
