"""What customers are worth, and what it costs to win them (M20 to M22). Expected value needs a model of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw

from features.catalogue import Absent, Example, Row, items, metric
from features.kinds import Custom, Estimate, Mean, Parts, Quotient
from features.populations import margins, prorated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from features.asof import Frame
    from features.intervals import Interval
    from features.moment import Moment


def _sales(*of_customers: tuple[float, ...], margin: float | None = None) -> dict[str, list[dict[str, object]]]:
    rows: list[dict[str, object]] = []
    for number, amounts in enumerate(of_customers):
        for amount in amounts:
            row = {"customer_id": f"c{number}", "occurred_at": -500, "amount": amount, "kind": "purchase"}
            if amount < 0:
                row["kind"] = "refund"
            rows.append(row if margin is None else {**row, "gross_margin": amount * margin})
    return {"transactions": rows}


@items("transactions")
def spenders(moment: Moment, days: int | None) -> Frame:
    """External customers who ever bought."""
    rows = moment.rows("transactions")
    bought = (nw.col("kind") != "refund").cast(nw.Int64).max()
    found = rows.group_by("customer_id").agg(
        nw.col("amount").sum().cast(nw.Float64).alias("revenue"), bought.alias("has_bought")
    )
    return found.filter(nw.col("has_bought") == 1).with_columns(unit=nw.col("customer_id"))


@metric(
    "M20", "Customer lifetime value so far, revenue", items=spenders, kind=Mean(bootstrap_always=True), unit="money",
    better="higher", source="Historic CLV: revenue to date, textbook",
    formula="mean over customers who ever bought of their revenue to date, returns negative, undiscounted",
    example=Example("Revenue of 100, 200, 300 - 50, 150 and 50 has mean 150",
                    _sales((100,), (200,), (300, -50), (150,), (50,)), 150.0),
)  # fmt: skip
def clv_revenue_historic(customer: Row) -> Mapping[str, nw.Expr]:
    """Revenue that a customer has brought so far, on average."""
    return {"value": customer.revenue}


@items("transactions", "transactions.gross_margin")
def margin_spenders(moment: Moment, days: int | None) -> Frame | Absent:
    """External customers who ever bought; a missing margin takes the company's ratio where at most 20 % are missing."""
    rows = margins(moment)
    if isinstance(rows, Absent):
        return rows
    found = rows.group_by("customer_id").agg(
        (nw.col("margin").sum().cast(nw.Float64) / 10_000).alias("margin"),
        nw.col("has_margin").sum().alias("known"),
        nw.len().alias("rows"),
        (nw.col("kind") != "refund").cast(nw.Int64).max().alias("has_bought"),
    )
    return found.filter(nw.col("has_bought") == 1).with_columns(unit=nw.col("customer_id"))


def _mean_margin(parts: Parts) -> Estimate:
    found = Mean().estimate(parts)
    rows = float(parts["rows"].sum())
    coverage = float(parts["known"].sum()) / rows if rows else None
    return Estimate(found.value, found.n, variance=found.variance, coverage=coverage)


def _mean_margin_ends(parts: Parts) -> Interval:
    return Mean(bootstrap_always=True).ends(parts)


@metric(
    "M20", "Customer lifetime value so far, margin", items=margin_spenders, unit="money", better="higher",
    kind=Custom(("value", "known", "rows"), _mean_margin, _mean_margin_ends, "bootstrap"),
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


@metric(
    "M20", "Customer lifetime value, revenue", unit="money", better="higher", unavailable="no_model",
    needs=("transactions",), example=_NO_MODEL,
    source="Fader, Hardie & Lee 2005, Marketing Science 24(2):275-284",
    formula="mean of historic revenue + expected discounted revenue of the next 1,095 days",
)  # fmt: skip
def clv_revenue(customer: Row) -> Mapping[str, nw.Expr]:
    """Revenue that a customer has brought and is expected to bring in three years."""
    return {}


@metric(
    "M20", "Customer lifetime value, margin", unit="money", better="higher", unavailable="no_model",
    needs=("transactions",), example=_NO_MODEL,
    source="Fader, Hardie & Lee 2005, Marketing Science 24(2):275-284",
    formula="mean of historic margin + expected discounted margin of the next 1,095 days",
)  # fmt: skip
def clv_margin(customer: Row) -> Mapping[str, nw.Expr]:
    """Gross margin that a customer has brought and is expected to bring in three years."""
    return {}


@items("costs", "customers")
def winning(moment: Moment, days: int | None) -> Frame:
    """Spending on sales and marketing in the window, pro rata, and external customers created in it."""
    assert days is not None
    spent = prorated(moment, "costs", days, "sales", "marketing")
    new = moment.customers().filter(nw.col("own_us") >= moment.before(days)).select(nw.len().alias("new"))
    return new.with_columns(spent=nw.lit(spent), unit=nw.lit("company"))


@metric(
    "M21", "Customer acquisition cost", items=winning, kind=Quotient(), days=90, unit="money", better="lower",
    when_zero="empty_denominator", source="Skok, SaaS metrics: sales and marketing cost over new customers",
    formula="spending on sales and marketing in the window, pro rata / customers created in the window",
    example=Example("100 a day for 180 days, half of it in the window, 18 new customers: 500",
                    {"costs": [{"started_at": -180, "ended_at": 0, "kind": "sales", "amount": 18000},
                               {"started_at": -180, "ended_at": 0, "kind": "programme", "amount": 999}],
                     "customers": [{"customer_id": str(number), "created_at": -20} for number in range(18)]}, 500.0),
)  # fmt: skip
def cac(company: Row) -> Mapping[str, nw.Expr]:
    """What a new customer costs in sales and marketing."""
    return {"top": company.spent, "bottom": company.new, "n": company.new}


@metric(
    "M21", "Lifetime value to acquisition cost", unit="ratio", better="higher", unavailable="no_model",
    needs=("costs", "transactions"), example=_NO_MODEL, source="Skok, SaaS metrics: LTV to CAC",
    formula="lifetime value (margin) / customer acquisition cost",
)  # fmt: skip
def clv_to_cac(company: Row) -> Mapping[str, nw.Expr]:
    """How often a customer's value pays for winning the customer."""
    return {}


@metric(
    "M22", "Lifetime value per capital expenditure", unit="ratio", better="higher", unavailable="no_model",
    needs=("capex", "transactions"), example=_NO_MODEL, published=False, source="Our definition: no public one exists",
    formula="sum of lifetime value (margin) of customers active in the last full quarter / capital expenditure of "
    "that quarter, pro rata",
)  # fmt: skip
def clv_per_capex(company: Row) -> Mapping[str, nw.Expr]:
    """Customer value that stands against each unit of capital expenditure."""
    return {}
