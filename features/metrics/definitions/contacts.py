"""Observed customer effort, from the records of the help desk (M05), beside the effort that customers report (M04)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from vouch.features.facts.tickets import is_open
from vouch.features.metrics.catalogue import Example, Row, items, metric
from vouch.features.metrics.estimators import Custom, Estimate, Floats, Parts
from vouch.features.statistics.intervals import TAIL, Interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vouch.features.asof import Frame
    from vouch.features.metrics.context import MetricContext

AT_ONCE = ("phone", "store", "chat")
"""Channels on which a customer waits for the answer."""
GOOD_S, BAD_S = (3_600.0, 60.0), (172_800.0, 1_800.0)
"""Waits that count as best and as worst, by whether the channel answers at once (second) or not (first)."""
SETTLED_DAYS = 14
B = 2000
CELLS_AT_ONCE = 8_000_000
MANY = 5_000
"""Of more customers, so many drawn at random say how the index varies, and the root of their share how much less."""


@items("tickets", counts="customers")
def contacts(context: MetricContext, days: int | None) -> Frame:
    """External customers with tickets opened in the window."""
    rows = context.rows("tickets", days)
    waited = nw.coalesce(
        nw.col("wait_s").cast(nw.Float64), (nw.col("first_response_us") - nw.col("own_us")).cast(nw.Float64) / 1e6
    )
    channel = nw.col("first_channel").fill_null("").str.to_lowercase()
    same_channel = (nw.col("first_channel") == nw.col("final_channel")).cast(nw.Int64)
    is_settled = nw.col("own_us") < context.before(SETTLED_DAYS)
    solved = ~is_open(nw.col("resolved_us"), context.as_of_us) & ~nw.col("is_reopened").fill_null(False)
    rows = rows.select(
        "customer_id",
        unit=nw.col("ticket_id"),
        one=nw.lit(1, nw.Int64),
        channel=channel,
        at_once=channel.is_in(AT_ONCE).cast(nw.Int64),
        waited=waited,
        kept=same_channel,
        content=(nw.col("csat").cast(nw.Float64) - 1) / 4,
        settled=nw.when(is_settled).then(solved.cast(nw.Int64)),
    )
    ranked = rows.collect("polars").lazy()
    return ranked.with_columns(
        customer=nw.col("customer_id").rank("dense").cast(nw.Int64), way=nw.col("channel").rank("dense").cast(nw.Int64)
    )


def ease_of_wait(seconds: Floats, at_once: Floats) -> Floats:
    """A median wait as a share from worst (0) to best (1), by kind of channel."""
    which = at_once.astype(int)
    good, bad = np.array(GOOD_S)[which], np.array(BAD_S)[which]
    result: Floats = np.clip((bad - seconds) / (bad - good), 0, 1)
    return result


def ticket_ease() -> nw.Expr:
    """Ease of one ticket, 0 to 1: the mean of what is known of its channel, its wait and its end."""
    good, bad = (
        nw.when(nw.col("at_once") == 1).then(nw.lit(ends[1])).otherwise(nw.lit(ends[0])) for ends in (GOOD_S, BAD_S)
    )
    wait = ((bad - nw.col("waited")) / (bad - good)).clip(0.0, 1.0)
    known = (nw.col("kept").cast(nw.Float64), wait, nw.col("content"))
    return nw.mean_horizontal(*known)


def _weighted_median(values: Floats, weights: Floats) -> Floats:
    """Median of ascending values under each row of weights (b, n), halfway between two in the middle."""
    reached = weights.cumsum(axis=1)
    half = reached[:, -1:] / 2
    low, high = (reached >= half).argmax(axis=1), (reached > half).argmax(axis=1)
    middle: Floats = np.where(reached[:, -1] > 0, (values[low] + values[high]) / 2, np.nan)
    return middle


def _weighted_mean(values: Floats, weights: Floats) -> Floats:
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        total = np.einsum("bn,n->b", weights[:, known], values[known])  # not by BLAS, whose sums depend on its threads
        mean: Floats = total / weights[:, known].sum(axis=1)
    return mean


def _wait(parts: Parts, weights: Floats) -> Floats:
    """Ease of waiting: by channel from the median wait, then by tickets over channels."""
    total, whole = np.zeros(len(weights)), np.zeros(len(weights))
    known = ~np.isnan(parts["waited"])
    for way in np.unique(parts["way"][known]):
        rows = np.flatnonzero(known & (parts["way"] == way))
        rows = rows[np.argsort(parts["waited"][rows], kind="stable")]
        size = weights[:, rows].sum(axis=1)
        ease = ease_of_wait(_weighted_median(parts["waited"][rows], weights[:, rows]), parts["at_once"][rows[:1]])
        total += np.where(size > 0, np.nan_to_num(ease) * size, 0)
        whole += size
    with np.errstate(invalid="ignore"):
        share: Floats = total / whole
    return share


def _factors(parts: Parts, weights: Floats) -> list[Floats]:
    """One channel, wait and resolution, each 0 to 1 under each row of weights; NaN where nothing says it."""
    resolution = "settled" if np.isnan(parts["content"]).all() else "content"
    return [_weighted_mean(parts["kept"], weights), _wait(parts, weights), _weighted_mean(parts[resolution], weights)]


def _index(factors: Sequence[Floats]) -> Floats:
    stacked = np.column_stack(factors)
    known = ~np.isnan(stacked)
    enough = known.sum(axis=1) >= 2
    mean = np.where(known, stacked, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    result: Floats = np.where(enough, 100 * mean, np.nan)
    return result


def operational_effort(parts: Parts) -> Estimate:
    """Mean of the factors that are there, in 0 to 100, if there are two; bounds take a missing one for 0 and 1."""
    n = int(_codes(parts).max()) + 1
    factors = _factors(parts, np.ones((1, len(parts["kept"]))))
    missing = sum(bool(np.isnan(factor[0])) for factor in factors)
    low = 100 * sum(float(np.nan_to_num(factor[0])) for factor in factors) / len(factors)
    value = float(_index(factors)[0])
    if np.isnan(value):
        return Estimate(None, n, status="empty", reason="fewer than two of the three factors are known")
    by_reopening = np.isnan(parts["content"]).all() and not np.isnan(factors[2][0])
    reason = "resolution taken from tickets that were not reopened" if by_reopening else None
    return Estimate(value, n, bounds=(low, low + 100 * missing / len(factors)), reason=reason)


def operational_effort_ends(parts: Parts) -> Interval:
    """Percentile bootstrap over customers of the whole index, medians included.

    The bootstrap of many customers is that of some of them, scaled: the bag of little bootstraps with one large bag.
    Source: Kleiner, Talwalkar, Sarkar & Jordan 2014, Journal of the Royal Statistical Society B 76(4):795-816.
    """
    customers = _codes(parts)
    many, some = int(customers.max()) + 1, parts
    generator = np.random.default_rng(0)
    if many > MANY:
        chosen = np.isin(customers, generator.choice(many, MANY, replace=False))
        some = {name: values[chosen] for name, values in parts.items()}
    figures = _resampled(some, generator)
    known = figures[np.isfinite(figures)]
    if many < 2 or not len(known):
        return Interval(np.asarray(np.nan), np.asarray(np.nan), "bootstrap")
    ends = np.quantile(known, [TAIL, 1 - TAIL])
    if many > MANY:
        ends = _whole(parts) + np.sqrt(MANY / many) * (ends - _whole(some))
    return Interval(np.asarray(ends[0]), np.asarray(ends[1]), "bootstrap")


def _codes(parts: Parts) -> np.ndarray[Any, np.dtype[np.intp]]:
    """The customer of each ticket as a number from 0 on."""
    return np.unique(parts["customer"], return_inverse=True)[1]


def _whole(parts: Parts) -> float:
    """The index of all tickets as they are; NaN where fewer than two factors are known."""
    return float(_index(_factors(parts, np.ones((1, len(parts["kept"])))))[0])


def _resampled(parts: Parts, generator: np.random.Generator) -> Floats:
    """The index of `B` resamples of the customers, each with all tickets."""
    codes = _codes(parts)
    customers = int(codes.max()) + 1
    figures: list[Floats] = []
    left = B
    while left:
        times = min(left, max(1, CELLS_AT_ONCE // len(codes)))
        drawn = generator.multinomial(customers, np.full(customers, 1 / customers), size=times)
        figures.append(_index(_factors(parts, drawn[:, codes].astype(np.float32))))
        left -= times
    return np.concatenate(figures)


def _ticket(wait_s: float, csat: float, final: str = "phone") -> dict[str, object]:
    return {
        "opened_at": -20, "first_response_at": -20, "resolved_at": -19, "wait_s": wait_s, "csat": csat,
        "first_channel": "phone", "final_channel": final,
    }  # fmt: skip


@metric(
    "M05", "Customer effort, as recorded", items=contacts, days=90, unit="percent", better="higher", published=False,
    version="2",
    kind=Custom(("kept", "waited", "at_once", "way", "content", "settled", "customer"), operational_effort,
                operational_effort_ends, "bootstrap", limits=(0, 100), why_nothing="no tickets in the window"),
    source="Our definition; the three factors of customer effort: contact channel, wait, resolution",
    formula="100 mean(share of tickets that stayed in one channel, ease of the median wait by channel, mean "
    "satisfaction with the resolution); ease is 1 at 60 s and 0 at 30 min by phone, store and chat, 1 at 1 h and 0 at "
    "48 h elsewhere; without satisfaction, the share of tickets older than 14 days resolved and not reopened",
    counts="tickets",
    absent=("`not_applicable`: there are no tickets in the window",
            "`empty`: fewer than two of the three factors are known"),
    example=Example("4 of 5 stay by phone (0.8), median wait 930 s (0.5), satisfaction 3 of 1 to 5 (0.5): 60",
                    {"tickets": [_ticket(60, 5), _ticket(300, 4), _ticket(930, 3), _ticket(1800, 2),
                                 _ticket(9000, 1, "email")]}, 60.0),
)  # fmt: skip
def ces_operational(ticket: Row) -> Mapping[str, nw.Expr]:
    """How little effort it takes to be helped: one channel, a short wait, a good end."""
    return {
        "kept": ticket.kept,
        "waited": ticket.waited,
        "at_once": ticket.at_once,
        "way": ticket.way,
        "content": ticket.content,
        "settled": ticket.settled,
        "customer": ticket.customer,
        "items": ticket.one,
    }
