"""Which revenue came by referral: the customers whom an advocate brought, and whether they can be told from the data.

The revenue of a referred customer is attributed to the first valid invitation that lies at most 30 days before the
customer's first order: all that the customer pays and gets back in 365 days from the invitation, weight 1. A company
may have it go to the last one, or in equal shares to all of them; the shares of one customer sum to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.contract.tables import DAY_US
from vouch.features.metrics.catalogue import Absent
from vouch.features.metrics.context import collected
from vouch.features.metrics.populations.advocacy import CONVERSION_DAYS, valid_referrals
from vouch.features.metrics.populations.orders import purchases

if TYPE_CHECKING:
    from collections.abc import Callable

    from vouch.features.asof import Frame
    from vouch.features.metrics.context import MetricContext

FOLLOW_DAYS = 365
PERIOD_DAYS = 90
YEAR_DAYS = 365
LEAST_MATCHED = 0.5
"""Below this share of converted prospects who are known customers, their revenue cannot be told."""


def credits(context: MetricContext) -> Frame:
    """Referred customers: `customer_id`, the advocate, `invited_us` of the invitation that has the first order.

    Of several invitations in time the first has it, or the last where the company has set that, with a `share` of 1; or
    all have equal shares, a row each. `since_us` is when the 365 days of the customer begin: one moment for all rows.
    """
    firsts = purchases(context).group_by("customer_id").agg(nw.col("own_us").min().alias("ordered_us"))
    pairs = valid_referrals(context).rename({"prospect_id": "customer_id"}).join(firsts, on="customer_id", how="inner")
    lag = nw.col("ordered_us") - nw.col("invited_us")
    pairs = pairs.filter(lag >= 0, lag <= CONVERSION_DAYS * DAY_US).with_columns(one=nw.lit(1, nw.Int64))
    if context.settings.attribution != "linear":
        is_last = context.settings.attribution == "last"
        place = nw.col("one").cum_sum(reverse=is_last).over("customer_id", order_by=["invited_us", "referral_id"])
        pairs = pairs.with_columns(place=place).filter(nw.col("place") == 1)
    pairs = pairs.with_columns(
        share=1.0 / nw.col("one").sum().over("customer_id").cast(nw.Float64),
        since_us=nw.col("invited_us").min().over("customer_id"),
    )
    columns = ("customer_id", "sender", "advocate_id", "invited_us", "since_us", "share", "counterfactual_p")
    return pairs.select(*columns, "reward_cost")


def credited(rows: Frame, context: MetricContext) -> Frame:
    """Transactions, each once, with `is_credited`: in 365 days from the invitation that has the customer's first order.

    Where several share it, the days run from the first of them, and `counterfactual_p` is the mean of theirs; null
    where one of them has none, for it is not known then.
    """
    each = credits(context).group_by("customer_id")
    lacks_p = nw.col("counterfactual_p").is_null().cast(nw.Int64).max()
    invited = each.agg(
        nw.col("since_us").min().alias("invited_us"), nw.col("counterfactual_p").mean(), lacks_p.alias("lacks_p")
    )
    invited = invited.with_columns(counterfactual_p=nw.when(nw.col("lacks_p") == 0).then(nw.col("counterfactual_p")))
    rows = rows.join(invited.drop("lacks_p"), on="customer_id", how="left")
    age = nw.col("own_us") - nw.col("invited_us")
    return rows.with_columns(is_credited=((age >= 0) & (age < FOLLOW_DAYS * DAY_US)).fill_null(False))


def periods(context: MetricContext) -> Frame:
    """Revenue of each customer in the last 90 days and in the 90 before, in all and attributed to referrals."""
    return _two_periods(context, PERIOD_DAYS)


def years(context: MetricContext) -> Frame:
    """Revenue of each customer in the last 365 days and in the 365 before."""
    return _two_periods(context, YEAR_DAYS)


def _two_periods(context: MetricContext, days: int) -> Frame:
    now = nw.col("own_us") >= context.before(days)
    before = (nw.col("own_us") >= context.before(2 * days)) & ~now
    rows = credited(context.rows("transactions"), context) if context.has("referrals") else context.rows("transactions")
    is_credited = nw.col("is_credited") if context.has("referrals") else nw.lit(False)
    sums = {
        "this_period": now,
        "before": before,
        "credited_now": now & is_credited,
        "credited_before": before & is_credited,
    }
    people = rows.group_by("customer_id").agg(
        *(nw.when(where).then(nw.col("amount")).sum().cast(nw.Float64).alias(name) for name, where in sums.items()),
        nw.col("own_us").min().alias("first_us"),
        (nw.col("counterfactual_p").max() if context.has("referrals") else nw.col("own_us").min()).alias("p"),
    )
    return people.with_columns(nw.col(*sums).fill_null(0.0), unit=nw.col("customer_id"))


def unmatched(context: MetricContext) -> Absent | None:
    """Why the revenue of referred customers cannot be told: most prospects who converted are nobody we know."""
    converted = context.keep(valid_referrals).filter(~nw.col("ever_converted_us").is_null())
    prospects = converted.select(customer_id=nw.col("prospect_id")).unique()
    known = context.customers().select("customer_id", is_known=nw.lit(1, nw.Int64))
    both = prospects.join(known, on="customer_id", how="left")
    (counts,) = collected(both.select(nw.len().alias("all"), nw.col("is_known").count().alias("known"))).to_pylist()
    if counts["known"] >= LEAST_MATCHED * counts["all"]:
        return None
    reason = (
        f"{counts['known'] or 'none'} of {counts['all']} converted prospects {'is' if counts['known'] < 2 else 'are'}"
    )
    mend = "prospect_id must be the customer_id that the prospect got"
    return Absent("not_applicable", f"unmatched: {reason} among the customers: {mend}")


@dataclass(frozen=True)
class Incremental:
    """What referrals brought that would not have come anyway: how many `cases`, of how many that is `unknown`.

    `least` and `most` are the sums with an unknown one taken for certain either way.
    """

    cases: int
    unknown: int
    least: float
    most: float

    def absent(self, bounds: Callable[[float], float]) -> Absent | None:
        """Why there is no figure, where something is unknown: its bounds are those of the least and the most."""
        if not self.unknown:
            return None
        reason = (
            f"no_input: referrals.counterfactual_p is not known of {self.unknown} of {self.cases} referred customers"
        )
        low, high = sorted((bounds(self.least), bounds(self.most)))
        return Absent("not_applicable", reason, (low, high))


def incremental(rows: Frame, gain: str, p: str) -> Incremental:
    """Add up what each row gained times (1 - p), p the probability that it had come anyway; rows without gain are none.

    It is the same in all figures: where p is not known, it may have been 0 or 1.
    """
    amount, is_case = nw.col(gain), (nw.col(gain) != 0).fill_null(False)
    lacks_p = is_case & nw.col(p).is_null()
    known = nw.when(is_case & ~lacks_p).then(amount * (1 - nw.col(p))).otherwise(0.0)
    sums = {
        "known": known.sum(),
        "lost": nw.when(lacks_p & (amount < 0)).then(amount).otherwise(0.0).sum(),
        "gained": nw.when(lacks_p & (amount > 0)).then(amount).otherwise(0.0).sum(),
        "unknown": lacks_p.cast(nw.Int64).sum(),
        "cases": is_case.cast(nw.Int64).sum(),
    }
    (totals,) = collected(rows.select(**sums)).to_pylist()
    total = {name: value or 0 for name, value in totals.items()}
    known_sum = total["known"]
    return Incremental(total["cases"], total["unknown"], known_sum + total["lost"], known_sum + total["gained"])
