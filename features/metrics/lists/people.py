"""Lists of people and of what they are owed: open feedback, whom to ask why they left, segments, the questionnaire."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import TYPE_CHECKING, Any

import narwhals as nw

from vouch.features.contract.tables import DAY_US
from vouch.features.instants import instant_text
from vouch.features.metrics.catalogue import Absent
from vouch.features.metrics.context import collected
from vouch.features.metrics.definitions.feedback import PROMISED_DAYS
from vouch.features.metrics.definitions.lifetime import leavers
from vouch.features.metrics.definitions.revenue import placed
from vouch.features.metrics.populations.customers import subscriptions
from vouch.features.metrics.populations.named_segments import thirds, value_segments
from vouch.features.metrics.splits import buyer_segment
from vouch.features.statistics.quadrants import NAMES

if TYPE_CHECKING:
    from vouch.features.metrics.context import MetricContext

Rows = list[dict[str, Any]]
OPEN_DAYS = 365
"""How far back feedback is told that nobody has acted on."""
WHY_DAYS = 90
"""For so long after the end, and before it, a customer can be asked why."""


def open_feedback(context: MetricContext) -> Rows:
    """Feedback of a year that nobody has acted on, the longest open first; the words stay where they are."""
    rows = context.rows("feedback", OPEN_DAYS).filter(nw.col("acted_on_us").is_null(), nw.col("closed_us").is_null())
    known = set(context.people["customer_id"].to_pylist())
    columns = ("feedback_id", "customer_id", "source", "topic", "own_us", "polarity")
    table = collected(rows.select(*columns)).sort_by([("own_us", "ascending"), ("feedback_id", "ascending")])
    listed = []
    for row in table.to_pylist():
        days = (context.as_of_us - row["own_us"]) // DAY_US
        who = row["customer_id"]
        tone = None if row["polarity"] is None else row["polarity"] / 100
        listed.append(
            {"feedback_id": row["feedback_id"], "customer_id": who if who in known else None, "source": row["source"],
             "topic": row["topic"], "said_at": instant_text(row["own_us"]), "days_open": int(days), "tone": tone,
             "is_overdue": days >= PROMISED_DAYS}
        )  # fmt: skip
    return listed


def to_be_asked_why(context: MetricContext) -> Rows:
    """Who left in 90 days without a recorded reason, those who may be contacted first, then by what they paid.

    Who has had an exit survey since 90 days before the end was asked already, and is left out.
    """
    frame = leavers.prepare(context, WHY_DAYS)
    assert not isinstance(frame, Absent)
    silent = frame.filter(nw.col("has_reason") == 0).select("customer_id", "end_us")
    paid = context.keep(subscriptions).join(silent, on=["customer_id", "end_us"], how="inner")
    paid = paid.group_by("customer_id").agg(nw.col("mrr").sum().cast(nw.Float64), nw.col("end_us").max())
    consent = context.customers().select("customer_id", may_contact=nw.col("contact_consent").fill_null(False))
    both = paid.join(consent, on="customer_id", how="left").with_columns(nw.col("may_contact").fill_null(False))
    if context.has("surveys"):
        exits = context.rows("surveys", 2 * WHY_DAYS).filter(nw.col("instrument") == "exit")
        asked = exits.group_by("customer_id").agg(nw.col("own_us").max().alias("asked_us")).collect("polars").lazy()
        both = both.join(asked, on="customer_id", how="left")
        was_asked = nw.col("asked_us") >= nw.col("end_us") - WHY_DAYS * DAY_US
        both = both.filter(~was_asked.fill_null(False))
    table = collected(both.select("customer_id", "may_contact", "mrr", "end_us"))
    order = [("may_contact", "descending"), ("mrr", "descending"), ("customer_id", "ascending")]
    rows = table.sort_by(order).to_pylist()
    return [{"customer_id": row["customer_id"], "left_at": instant_text(row.pop("end_us")), **row} for row in rows]


def _named(code: int) -> dict[str, Any]:
    """The name of a segment of buyers, and its thirds."""
    places = thirds(code)
    return {"buyers": buyer_segment(**places), **places}


def segment_members(context: MetricContext) -> Rows:
    """Buyers of a year by their third in recency, frequency and spend (3 is the best), the best first."""
    table = collected(context.keep(value_segments)).sort_by([("rfm", "descending"), ("customer_id", "ascending")])
    return [{"customer_id": row["customer_id"], **_named(row["rfm"])} for row in table.to_pylist()]


def segments_by_value(context: MetricContext) -> Rows:
    """The segments of buyers by recency, frequency and spend, with how many are in each."""
    counted = context.keep(value_segments).group_by("rfm").agg(nw.len().cast(nw.Int64).alias("customers"))
    table = collected(counted).sort_by([("rfm", "descending")])
    return [{**_named(row["rfm"]), "customers": row["customers"]} for row in table.to_pylist()]


def quadrant_members(context: MetricContext) -> Rows | Absent:
    """Customers by their quadrant of lifetime value and referral value."""
    frame = placed.prepare(context, 365)
    if isinstance(frame, Absent):
        return frame
    table = collected(frame.select("customer_id", "code"))
    rows = table.sort_by([("code", "descending"), ("customer_id", "ascending")]).to_pylist()
    return [{"customer_id": row["customer_id"], "quadrant": NAMES[row["code"]]} for row in rows]


def questionnaire(context: MetricContext) -> Rows:
    """Every question of advocacy maturity, level by level, with the latest answer and its evidence, null where none is.

    Criteria of the company's own stand beside those of ours.
    """
    raw = tomllib.loads(resources.files("vouch.features.metrics.lists").joinpath("maturity.toml").read_text("utf-8"))
    asked = {row["criterion"]: row for row in raw["questions"]}
    answers: dict[str, dict[str, Any]] = {}
    if context.has("maturity_answers"):
        rows = context.rows("maturity_answers").select("criterion", "level", "is_met", "evidence", "own_us")
        order = [(name, "ascending") for name in ("criterion", "own_us", "is_met", "evidence")]
        answers = {row["criterion"]: row for row in collected(rows).sort_by(order).to_pylist()}
    listed = []
    for criterion in {**asked, **answers}:
        answer, question = answers.get(criterion, {}), asked.get(criterion, {})
        answered_us = answer.get("own_us")
        listed.append(
            {"level": answer.get("level", question.get("level")), "criterion": criterion, "asks": question.get("asks"),
             "is_met": answer.get("is_met"), "evidence": answer.get("evidence"),
             "answered_at": None if answered_us is None else instant_text(answered_us)}
        )  # fmt: skip
    return sorted(listed, key=lambda row: (row["level"], row["criterion"]))
