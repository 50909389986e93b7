"""Metrics of customer value and acquisition cost (M20 to M22).

Expected value is that of the value model, as the published snapshot of the instant has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.contract.tables import ACTIVITY_TABLES
from vouch.features.metrics.catalogue import Absent, Example, Row, items, metric
from vouch.features.metrics.estimators import (
    ANY,
    NOT_BELOW_0,
    Custom,
    Estimate,
    Figure,
    Floats,
    Mean,
    Parts,
    Quotient,
    Ratio,
)
from vouch.features.metrics.populations.customers import (
    acts_of_use,
    last_quarter,
    margins,
    prorated,
    spread_over,
    subscriptions,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.features.asof import Frame
    from vouch.features.metrics.context import MetricContext
    from vouch.features.statistics.intervals import Interval


def _sales(*of_customers: tuple[float, ...], margin: float | None = None) -> dict[str, list[dict[str, object]]]:
    rows: list[dict[str, object]] = []
    for number, amounts in enumerate(of_customers):
        for amount in amounts:
            row = {"customer_id": f"c{number}", "occurred_at": -500, "amount": amount, "kind": "purchase"}
            if amount < 0:
                row["kind"] = "refund"
            rows.append(row if margin is None else {**row, "gross_margin": amount * margin})
    return {"transactions": rows}


@items("transactions", counts="customers")
def spenders(context: MetricContext, days: int | None) -> Frame:
    """External customers who ever bought."""
    rows = context.rows("transactions")
    bought = (nw.col("kind") != "refund").cast(nw.Int64).max()
    people = rows.group_by("customer_id").agg(
        nw.col("amount").sum().cast(nw.Float64).alias("revenue"), bought.alias("has_bought")
    )
    return people.filter(nw.col("has_bought") == 1).with_columns(unit=nw.col("customer_id"))


@metric(
    "M20", "Customer lifetime value so far, revenue", items=spenders, kind=Mean(limits=ANY, bootstrap_always=True),
    unit="money", better="higher", source="Historic CLV: revenue to date, textbook",
    formula="mean over customers who ever bought of their revenue to date, returns negative, undiscounted",
    example=Example("Revenue of 100, 200, 300 - 50, 150 and 50 has mean 150",
                    _sales((100,), (200,), (300, -50), (150,), (50,)), 150.0),
)  # fmt: skip
def clv_revenue_historic(customer: Row) -> Mapping[str, nw.Expr]:
    """Revenue that a customer has brought so far, on average."""
    return {"value": customer.revenue}


@items(
    "transactions", "transactions.gross_margin", absent=(
        "`not_applicable` (`no_input`): more than 20 % of the transactions have no gross_margin",
    ), counts="customers",
)  # fmt: skip
def margin_spenders(context: MetricContext, days: int | None) -> Frame | Absent:
    """External customers who ever bought; a missing margin takes the company's ratio where at most 20 % are missing."""
    rows = margins(context)
    if isinstance(rows, Absent):
        return rows
    people = rows.group_by("customer_id").agg(
        (nw.col("margin").sum().cast(nw.Float64) / 10_000).alias("margin"),
        nw.col("has_margin").sum().alias("known"),
        nw.len().alias("rows"),
        (nw.col("kind") != "refund").cast(nw.Int64).max().alias("has_bought"),
    )
    return people.filter(nw.col("has_bought") == 1).with_columns(unit=nw.col("customer_id"))


def _mean_margin(parts: Parts) -> Estimate:
    mean = Mean(limits=ANY).estimate(parts)
    rows = float(parts["rows"].sum())
    coverage = float(parts["known"].sum()) / rows if rows else None
    return Estimate(mean.value, mean.n, variance=mean.variance, coverage=coverage)


def _mean_margin_ends(parts: Parts) -> Interval:
    return Mean(limits=ANY, bootstrap_always=True).interval_of(parts, None)


@metric(
    "M20", "Customer lifetime value so far, margin", items=margin_spenders, unit="money", better="higher",
    kind=Custom(("value", "known", "rows"), _mean_margin, _mean_margin_ends, "bootstrap", limits=ANY),
    source="Historic CLV: margin to date, textbook",
    formula="mean over customers who ever bought of their gross margin to date, undiscounted; coverage is the share "
    "of transactions with a margin of their own",
    example=Example("Margins of 40 % on 100, 200, 250, 150 and 50 have mean 60",
                    _sales((100,), (200,), (300, -50), (150,), (50,), margin=0.4), 60.0),
)  # fmt: skip
def clv_margin_historic(customer: Row) -> Mapping[str, nw.Expr]:
    """Gross margin that a customer has brought so far, on average."""
    return {"value": customer.margin, "known": customer.known, "rows": customer.rows}


_NO_MODEL = Example("No value until a model of future purchases is there", {}, None, "not_applicable")
_ABSENT = Absent("not_applicable", "no_model")


@items(
    "transactions", absent=(
        "`not_applicable` (`no_model`): no published week of the instant, or one without the model",
    ), counts="customers",
)  # fmt: skip
def valued(context: MetricContext, days: int | None) -> Frame | Absent:
    """External customers who ever bought, with a lifetime value in the published snapshot of the instant."""
    return _valued(context, "clv_margin")


@items(
    "transactions", absent=(
        "`not_applicable` (`no_model`): no published week of the instant, or one without the model",
    ), counts="customers",
)  # fmt: skip
def valued_in_revenue(context: MetricContext, days: int | None) -> Frame | Absent:
    """External customers who ever bought, with a lifetime value in revenue in the published snapshot of the instant."""
    return _valued(context, "clv_revenue")


def _valued(context: MetricContext, column: str) -> Frame | Absent:
    if context.scores is None or column not in context.scores.collect_schema().names():
        return _ABSENT
    values = context.scores.select("customer_id", column).filter(~nw.col(column).is_null()).collect("polars")
    if not len(values):
        return _ABSENT
    bought = context.rows("transactions").filter(nw.col("kind") != "refund").select("customer_id").unique()
    rows = values.lazy().join(bought.collect("polars").lazy(), on="customer_id", how="semi")
    return rows.with_columns(unit=nw.col("customer_id"), one=nw.lit(1, nw.Int64))


@metric(
    "M20", "Customer lifetime value, revenue", items=valued_in_revenue, unit="money",
    kind=Mean(limits=ANY, bootstrap_always=True), better="higher", version="2", example=_NO_MODEL,
    source="Fader, Hardie & Lee 2005, Marketing Science 24(2):275-284",
    formula="mean over customers who ever bought of historic revenue + expected discounted revenue of the next 1,095 "
    "days, as the published snapshot has it",
)  # fmt: skip
def clv_revenue(customer: Row) -> Mapping[str, nw.Expr]:
    """Revenue that a customer has brought and is expected to bring in three years."""
    return {"value": customer.clv_revenue}


@metric(
    "M20", "Customer lifetime value, margin", items=valued, unit="money",
    kind=Mean(limits=ANY, bootstrap_always=True), better="higher", example=_NO_MODEL,
    source="Fader, Hardie & Lee 2005, Marketing Science 24(2):275-284",
    formula="mean over customers who ever bought of historic margin + expected discounted margin of the next 1,095 "
    "days, as the published snapshot has it",
)  # fmt: skip
def clv_margin(customer: Row) -> Mapping[str, nw.Expr]:
    """Gross margin that a customer has brought and is expected to bring in three years."""
    return {"value": customer.clv_margin}


@items(
    "costs", "customers", absent=(
        "`insufficient_history`: costs of sales and marketing cover less than 0.8 of the window",
        "`not_applicable` (`no_input`): there are no costs of sales and marketing",
    ),
)  # fmt: skip
def winning(context: MetricContext, days: int | None) -> Frame | Absent:
    """External customers created in the window, against the spending on sales and marketing in it, pro rata."""
    assert days is not None
    spent = prorated(context, "costs", days, "sales", "marketing")
    if isinstance(spent, Absent):
        return spent
    new = context.customers().filter(nw.col("own_us") >= context.before(days)).select(nw.len().alias("new"))
    return new.with_columns(spent=nw.lit(spent.amount), coverage=nw.lit(spent.coverage), unit=nw.lit("company"))


@metric(
    "M21", "Customer acquisition cost", items=winning, kind=Quotient(limits=NOT_BELOW_0), days=90, unit="money",
    better="lower", when_zero="empty_denominator",
    source="Skok, SaaS metrics: sales and marketing cost over new customers",
    formula="spending on sales and marketing in the window, pro rata / customers created in the window",
    version="2",
    example=Example("100 a day for 180 days, half of it in the window, 18 new customers: 500",
                    {"costs": [{"started_at": -180, "ended_at": 0, "kind": "sales", "amount": 18000},
                               {"started_at": -180, "ended_at": 0, "kind": "programme", "amount": 999}],
                     "customers": [{"customer_id": str(number), "created_at": -20} for number in range(18)]}, 500.0),
)  # fmt: skip
def cac(company: Row) -> Mapping[str, nw.Expr]:
    """What a new customer costs in sales and marketing."""
    return {"top": company.spent, "bottom": company.new, "n": company.new, "coverage": company.coverage}


@items(
    "costs", "transactions", absent=(
        "`not_applicable` (`no_model`): no published week of the instant, or one without the model",
        "`insufficient_history`: costs of sales and marketing cover less than 0.8 of the window",
        "`not_applicable` (`no_input`): there are no costs of sales and marketing",
    ), counts="customers",
)  # fmt: skip
def valued_and_won(context: MetricContext, days: int | None) -> Frame | Absent:
    """External customers who ever bought, with a lifetime value, beside what a new customer costs."""
    assert days is not None
    people = valued.prepare(context, days)
    if isinstance(people, Absent):
        return people
    new = int((context.people["own_us"].to_numpy() >= context.before(days)).sum())
    spent = prorated(context, "costs", days, "sales", "marketing")
    if isinstance(spent, Absent):
        return spent
    return people.with_columns(spent=nw.lit(spent.amount), coverage=nw.lit(spent.coverage), new=nw.lit(float(new)))


def value_over_cost(means: Floats) -> Floats:
    """Mean value over what a new customer costs."""
    result: Floats = means[:, 0] * means[:, 1] / means[:, 2]
    return result


@metric(
    "M21", "Lifetime value to acquisition cost", items=valued_and_won, days=90, unit="ratio", better="higher",
    kind=Figure(("value", "new", "spent"), value_over_cost, limits=ANY), when_zero="empty_denominator",
    version="2",
    example=_NO_MODEL, source="Skok, SaaS metrics: LTV to CAC",
    formula="mean lifetime value (margin) / customer acquisition cost",
)  # fmt: skip
def clv_to_cac(customer: Row) -> Mapping[str, nw.Expr]:
    """How often a customer's value pays for winning the customer."""
    return {
        "value": customer.clv_margin, "new": customer.new, "spent": customer.spent, "n": customer.one,
        "coverage": customer.coverage,
    }  # fmt: skip


@items(
    "capex", "transactions", "usage_events|transactions|subscriptions", absent=(
        "`not_applicable` (`no_model`): no published week of the instant, or one without the model",
        "`insufficient_history`: capex cover less than 0.8 of the quarter",
        "`not_applicable` (`no_input`): there are no capex",
    ), counts="customers",
)  # fmt: skip
def valued_in_quarter(context: MetricContext, days: int | None) -> Frame | Absent:
    """External customers with a lifetime value who used, bought or were subscribed in the last full quarter."""
    people = valued.prepare(context, days)
    if isinstance(people, Absent):
        return people
    start, end = last_quarter(context.as_of_us)
    invested = spread_over(context, "capex", start, end)
    if isinstance(invested, Absent):
        return invested
    parts = []
    if any(context.has(table) for table in ACTIVITY_TABLES):
        used = acts_of_use(context).filter(nw.col("own_us") >= start, nw.col("own_us") < end)
        parts.append(used.select("customer_id").unique().collect("polars").lazy())
    if context.has("subscriptions"):
        running = context.keep(subscriptions).filter(nw.col("own_us") < end, nw.col("end_us") >= start)
        parts.append(running.select("customer_id").unique())
    present = nw.concat(parts).unique()
    rows = people.join(present, on="customer_id", how="semi")
    each = nw.lit(invested.amount) / nw.len().cast(nw.Float64)
    return rows.with_columns(invested=each, coverage=nw.lit(invested.coverage))


@metric(
    "M22", "Lifetime value per capital expenditure", items=valued_in_quarter, kind=Ratio(limits=ANY), unit="ratio",
    better="higher", when_zero="empty_denominator", version="2", example=_NO_MODEL, published=False,
    source="Our definition: no public one exists",
    formula="sum of lifetime value (margin) of customers active in the last full quarter / capital expenditure of "
    "that quarter, pro rata",
)  # fmt: skip
def clv_per_capex(customer: Row) -> Mapping[str, nw.Expr]:
    """Customer value that stands against each unit of capital expenditure."""
    return {"top": customer.clv_margin, "bottom": customer.invested, "coverage": customer.coverage}
