"""Lists of what retention offers save: money month by month, and how soon after an offer customers are kept by it.

Both rest on campaigns with a holdout and compare within a campaign and month, each arm weighed by the inverse of the
chance to be in it. Nothing is estimated beyond what has passed: a customer who left has lost the company what they paid
from then until now. Where an interval does not lie above 0, or nearly nobody left, the row says that it is not shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
import pandas as pd
from scipy.stats import t as student

from vouch.features.contract.tables import DAY_US
from vouch.features.facts.spans import ran
from vouch.features.facts.subscriptions import MONTH_US
from vouch.features.instants import instant_text
from vouch.features.metrics.catalogue import Absent
from vouch.features.metrics.context import collected
from vouch.features.metrics.definitions.prevention import FOLLOW_DAYS, treated
from vouch.features.metrics.populations.customers import LEAST_COVERAGE, only_listed, subscriptions
from vouch.features.statistics.intervals import TAIL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vouch.features.metrics.context import MetricContext

Rows = list[dict[str, Any]]
YEAR_DAYS = 365
"""Assignments of so many days are told, and each is followed for as long at most."""
WEEKS_AFTER = 8
LEAST_LEAVERS = 10
"""Where fewer have left of both arms together there is no interval: no spread can be told from so few."""


@dataclass(frozen=True)
class Saved:
    """What the treated of some strata lost less than the held out would have lost in their place, with its spread."""

    total: float
    variance: float
    freedom: float
    """Sum of variance squared by degrees of freedom, after Satterthwaite."""

    def ends(self, leavers: float) -> tuple[float | None, float | None]:
        """The 95 % interval (Welch 1947, Biometrika 34:28-35); nothing where too few have left."""
        if leavers < LEAST_LEAVERS or self.freedom <= 0:
            return None, None
        half = float(student.ppf(1 - TAIL, self.variance**2 / self.freedom)) * self.variance**0.5
        return self.total - half, self.total + half


def saved_of(strata: Sequence[pd.DataFrame], name: str) -> Saved:
    """Sum over strata of what a column has more of in the held out than in the treated, times the treated."""
    total = variance = freedom = 0.0
    for rows in strata:
        arms = [rows.loc[rows["is_treated"] == arm] for arm in (1, 0)]
        many = len(arms[0])
        difference = 0.0
        spreads = []
        for sign, arm in zip((-1, 1), arms, strict=True):
            value, weight = arm[name].to_numpy(np.float64), arm["weight"].to_numpy(np.float64)
            mean = float(np.average(value, weights=weight))
            n, squares = len(arm), float((weight**2 * (value - mean) ** 2).sum()) / float(weight.sum()) ** 2
            difference += sign * mean
            spreads.append((many**2 * squares * n / (n - 1), n - 1))
        total += many * difference
        variance += sum(spread for spread, _ in spreads)
        freedom += sum(spread**2 / count for spread, count in spreads)
    return Saved(total, variance, freedom)


def offers_by_month(context: MetricContext) -> Rows | Absent:
    """What the offers of each month of a year have saved until now, after their cost, the newest first; then all.

    `saved` is customers within 28 days; `kept` and `money_saved` are money from the offer until now, the second after
    the cost of the offers; null where too little is known of prices or of costs.
    """
    rows = _assigned(context, FOLLOW_DAYS)
    if isinstance(rows, Absent):
        return rows
    strata = _strata(rows)
    months = sorted({str(of["month"].iloc[0]) for of in strata}, reverse=True)
    told = [_month(month, [of for of in strata if of["month"].iloc[0] == month]) for month in months]
    return [*told, _month("all_months", strata)] if told else []


def saves_by_week(context: MetricContext) -> Rows | Absent:
    """How many customers offers have kept by so many weeks after them, with the lead that this proposes for churn.

    `lead_days` is the time in which offers keep nobody yet: who leaves within it cannot be kept by one, so labels had
    better begin after it. It is null where it is not shown that offers have kept anybody after four weeks.
    """
    rows = _assigned(context, 7 * WEEKS_AFTER)
    if isinstance(rows, Absent):
        return rows
    strata = _strata(rows)
    weeks: Rows = []
    for week in range(1, WEEKS_AFTER + 1) if strata else ():
        by_then = [of.assign(gone=(of["end_us"] <= of["own_us"] + 7 * week * DAY_US) * 1.0) for of in strata]
        left = {name: sum(int(of.loc[of["is_treated"] == arm, "gone"].sum()) for of in by_then) for name, arm in ARMS}
        saved = saved_of(by_then, "gone")
        low, high = saved.ends(sum(left.values()))
        weeks.append(
            {"weeks": week, **_sizes(strata), **left, "saved": saved.total, "saved_low": low, "saved_high": high,
             "is_shown": low is not None and low > 0}
        )  # fmt: skip
    within = weeks[: FOLLOW_DAYS // 7]
    is_shown = bool(within) and within[-1]["is_shown"]
    nobody_yet = max((place for place, row in enumerate(within, 1) if row["saved"] <= 0), default=0)
    return [{**row, "lead_days": 7 * nobody_yet if is_shown else None} for row in weeks]


ARMS = (("left_treated", 1), ("left_held_out", 0))


def _assigned(context: MetricContext, followed_days: int) -> pd.DataFrame | Absent:
    """The first assignment of each customer, followed for so many days: arm, weight, ends, price a month and cost."""
    frame = treated.prepare(context, YEAR_DAYS)
    if isinstance(frame, Absent):
        return frame
    frame = only_listed(context, frame.filter(nw.col("own_us") < context.before(followed_days)))
    more = context.rows("treatments").select("treatment_id", "campaign", nw.col("propensity").cast(nw.Float64))
    first = frame.join(more.collect("polars").lazy(), on="treatment_id", how="left")
    columns = ("treatment_id", "customer_id", "own_us", "end_us", "is_treated", "is_churned", "cost", "campaign")
    rows = pd.DataFrame(
        collected(first.select(*columns, "propensity")).sort_by("treatment_id").to_pylist(),
        columns=[*columns, "propensity"],
    )
    rows = rows.loc[rows["customer_id"].isin(context.people["customer_id"].to_pylist())].reset_index(drop=True)
    rows["mrr"] = rows["treatment_id"].map(_prices(context)).astype("float64")
    rows["cost"] = rows["cost"].astype("float64")
    rows["month"] = [instant_text(int(at))[:7] for at in rows["own_us"]]
    chance = rows["propensity"].astype("float64").where(lambda of: (of > 0) & (of < 1), 0.5)
    rows["weight"] = 1.0 / chance.where(rows["is_treated"] == 1, 1.0 - chance)
    until_us = np.minimum(rows["own_us"] + YEAR_DAYS * DAY_US, context.as_of_us)
    rows["lost"] = rows["mrr"] * np.maximum(0, until_us - rows["end_us"]) / MONTH_US
    return rows


def _prices(context: MetricContext) -> dict[str, float]:
    """What each customer paid a month when assigned, by treatment; without those of whom it is not known."""
    spans = context.keep(subscriptions).select("customer_id", "mrr", "end_us", started_us=nw.col("own_us"))
    made = context.rows("treatments").select("treatment_id", "customer_id", "own_us").collect("polars").lazy()
    ran_then = ran(nw.col("started_us"), nw.col("end_us"), nw.col("own_us"))
    paid = made.join(spans, on="customer_id", how="inner").filter(ran_then & ~nw.col("mrr").is_null())
    summed = paid.group_by("treatment_id").agg(nw.col("mrr").cast(nw.Float64).sum())
    return {row["treatment_id"]: row["mrr"] for row in collected(summed).to_pylist()}


def _strata(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """Campaigns by month that have at least two customers in both arms."""
    groups = (of for _, of in rows.groupby(["month", "campaign"], dropna=False, sort=True))
    return [of for of in groups if min((of["is_treated"] == 1).sum(), (of["is_treated"] == 0).sum()) > 1]


def _sizes(strata: Sequence[pd.DataFrame]) -> dict[str, int]:
    return {name: sum(int((of["is_treated"] == arm).sum()) for of in strata)
            for name, arm in (("treated", 1), ("held_out", 0))}  # fmt: skip


def _month(month: str, strata: Sequence[pd.DataFrame]) -> dict[str, Any]:
    rows = pd.concat(strata)
    left = {name: int(rows.loc[rows["is_treated"] == arm, "is_churned"].sum()) for name, arm in ARMS}
    saved = saved_of(strata, "is_churned")
    low, high = saved.ends(sum(left.values()))
    costs = rows.loc[rows["is_treated"] == 1, "cost"]
    cost = None if costs.notna().mean() < LEAST_COVERAGE else float(costs.mean()) * len(costs)
    priced = [of.loc[of["lost"].notna()] for of in strata]
    kept = None
    if rows["mrr"].notna().mean() >= LEAST_COVERAGE and all(of["is_treated"].value_counts().min() > 1 for of in priced):
        kept = saved_of([of.assign(lost=of["lost"].fillna(of["lost"].mean())) for of in strata], "lost")
    gone = float((rows["lost"] > 0).sum())
    ends = (None, None) if kept is None or cost is None else kept.ends(gone)
    money_low, money_high = (None if end is None else end - (cost or 0.0) for end in ends)
    return {
        "month": month, **_sizes(strata), **left, "saved": saved.total, "saved_low": low, "saved_high": high,
        "kept": None if kept is None else kept.total, "cost": cost,
        "money_saved": None if kept is None or cost is None else kept.total - cost,
        "money_low": money_low, "money_high": money_high, "is_shown": money_low is not None and money_low > 0,
    }  # fmt: skip
