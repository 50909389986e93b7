"""Sensitivity to the definition: where sources disagree, both readings of a metric side by side.

So nobody has to take ours on trust. The primary reading of each topic is the metric that everything else shows; the
others are metrics of their own, or stand here only (`metric_id` is null): a detractor as below 6, and NPS weighted for
who did not answer. Last come the figures that say whether an index hangs together, and whether it says something of its
own.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from vouch.features.metrics.catalogue import METRICS, Absent, chosen_metrics
from vouch.features.metrics.comparisons.nonresponse import weighted_nps
from vouch.features.metrics.context import NO_SETTINGS, MetricContext, collected
from vouch.features.metrics.definitions.contacts import contacts, ticket_ease
from vouch.features.metrics.definitions.indices import advocacy_parts, emotional_facets
from vouch.features.metrics.definitions.satisfaction import contact_csat, effort, relational_nps
from vouch.features.metrics.envelopes import plain
from vouch.features.metrics.estimators import FEW, Estimate, Trinomial, finite
from vouch.features.metrics.evaluate import envelopes_of
from vouch.features.statistics.reliability import correlation, cronbach_alpha

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vouch.features.asof import Frame, Tables
    from vouch.features.metrics.catalogue import Items
    from vouch.features.metrics.context import Settings
    from vouch.features.metrics.envelopes import Envelope
    from vouch.features.statistics.intervals import Interval

TOPICS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "detractors": ("0 to 6 on 0 to 10, or below 6; as answered, or weighted for who did not answer", ("nps",)),
    "lifetime value": (
        "margin, or revenue; so far, or with what is expected",
        ("clv_margin_historic", "clv_revenue_historic", "clv_margin", "clv_revenue"),
    ),
    "retention": (
        "who is still there, or how often active customers are there, which some call retention",
        ("retention_rate", "activity_share"),
    ),
    "return of new customers": ("on day 30, or from day 30 on", ("retention_from_day_30", "retention_day_30")),
    "effort": ("as customers say it, or as the help desk's records show it", ("ces_easy", "ces_operational")),
    "customer experience": (
        "four components, or Forrester's three; effort is part of both, and of effort itself",
        ("cxi_four_component", "cxi_forrester3"),
    ),
    "net sentiment": ("with the neutral in the denominator, or without", ("net_sentiment", "net_sentiment_ratio")),
    "engagement": (
        "what customers do, or satisfaction, loyalty and advocacy together",
        ("engagement_index", "engagement_benchmark"),
    ),
    "conversion": (
        "advocates who bring a customer, or referrals that become one",
        ("advocacy_conversion_rate", "referral_conversion_rate"),
    ),
    "time on site": ("per visitor, or per session", ("time_on_site", "time_per_session")),
    "redemption": ("of lots issued half a year ago, or of the period", ("redemption_rate", "redemption_rate_period")),
    "advocacy index": ("what customers say, or what they do", ("cai", "cai_behavioural")),
}
"""What the sources disagree about: in words, and the metrics that are readings of it, the primary one first."""
STRICT = "detractors below 6"
WEIGHTED = "weighted for non-response by tenure, plan, region and use"
HANGS_TOGETHER = "whether indices hang together"


@dataclass(frozen=True)
class Reading:
    """One reading of one topic. `difference` is its value less that of the primary reading, where units are alike."""

    topic: str
    question: str
    reading: str
    metric_id: str | None
    is_primary: bool
    value: float | None
    unit: str
    n: int
    ci_low: float | None
    ci_high: float | None
    ci_method: str | None
    difference: float | None
    status: str
    reason: str | None

    def as_dict(self) -> dict[str, Any]:
        """The columns by name, numbers to ten significant digits."""
        return plain(asdict(self))


def sensitivity(
    tables: Tables,
    as_of_us: int,
    *,
    scores: Frame | None = None,
    bootstraps: bool = True,
    settings: Settings = NO_SETTINGS,
) -> list[Reading]:
    """Both readings of everything that the sources disagree about, at an instant."""
    ids = [metric_id for _, members in TOPICS.values() for metric_id in members]
    context = MetricContext(tables, as_of_us, scores, settings)
    computed = envelopes_of(context, chosen_metrics(ids), [None], everything=False, bootstraps=bootstraps)
    envelopes = {envelope.metric_id: envelope for envelope in computed}
    readings = []
    for topic, (question, members) in TOPICS.items():
        rows = [_of_envelope(topic, question, envelopes[metric_id], metric_id == members[0]) for metric_id in members]
        if topic == "detractors":
            rows += _other_promoters(context, question)
        readings += [_set_off(row, rows[0]) for row in rows]
    return [*readings, *_coherence(context)]


def _of_envelope(topic: str, question: str, envelope: Envelope, is_primary: bool) -> Reading:
    return Reading(
        topic=topic,
        question=question,
        reading=METRICS[envelope.metric_id].formula,
        metric_id=envelope.metric_id,
        is_primary=is_primary,
        value=envelope.value,
        unit=envelope.unit,
        n=envelope.n,
        ci_low=envelope.ci_low,
        ci_high=envelope.ci_high,
        ci_method=envelope.ci_method,
        difference=None,
        status=envelope.status,
        reason=envelope.reason,
    )


def _set_off(row: Reading, primary: Reading) -> Reading:
    if row.is_primary or row.value is None or primary.value is None or row.unit != primary.unit:
        return row
    return replace(row, difference=row.value - primary.value)


def _other_promoters(context: MetricContext, question: str) -> list[Reading]:
    """NPS with detractors below 6, and NPS weighted for non-response."""
    made: list[tuple[str, Estimate, Interval | None]] = []
    if context.has("surveys"):
        days = METRICS["nps"].window_days
        answers = relational_nps.prepare(context, days)
        assert not isinstance(answers, Absent)
        score = collected(answers.select(score=nw.col("score").cast(nw.Float64)))["score"].to_numpy()
        score = score.astype(np.float64)
        unknown = np.where(np.isnan(score), np.nan, 0.0)
        parts = {"up": (score >= 9) + unknown, "down": (score < 6) + unknown}
        made.append((STRICT, Trinomial().estimate(parts), Trinomial().ends(parts)))
        made.append((WEIGHTED, *weighted_nps(context, answers)))
    else:
        absent = Estimate(None, 0, status="not_applicable", reason="no_table: surveys")
        made = [(STRICT, absent, None), (WEIGHTED, absent, None)]
    return [_made("detractors", question, name, "points", estimate, ends) for name, estimate, ends in made]


def _made(
    topic: str, question: str, reading: str, unit: str, estimate: Estimate, ends: Interval | None, *, least: int = 5
) -> Reading:
    """A reading that is no metric of its own, with the status that an envelope would have."""
    status, reason = estimate.status or "ok", estimate.reason
    if estimate.status is None and estimate.value is None:
        status, reason = "empty", reason or "nothing_to_measure"
    elif estimate.status is None and estimate.n < FEW:
        status = "low_n" if estimate.n >= least else "suppressed"
        reason = f"n is below {FEW if estimate.n >= least else least}"
    shown = status in {"ok", "low_n"}
    low, high = (None, None) if ends is None or not shown else (finite(ends.low), finite(ends.high))
    return Reading(
        topic=topic, question=question, reading=reading, metric_id=None, is_primary=False,
        value=estimate.value if shown else None, unit=unit, n=estimate.n, ci_low=low, ci_high=high,
        ci_method=ends.method if ends is not None and low is not None else None, difference=None,
        status=status, reason=reason,
    )  # fmt: skip


def _coherence(context: MetricContext) -> Iterator[Reading]:
    """Cronbach's alpha of the advocacy index; correlations of emotional loyalty and recorded effort with answers."""
    question = "an index of parts that do not go together, or that only repeats another, says little"
    if context.has("surveys"):
        parts = _by_customer(context, advocacy_parts, 180, "trust", "csat", "nps")
        given = [parts[name] for name in ("trust", "csat", "nps") if not np.isnan(parts[name]).all()]
        values = np.column_stack(given) if given else np.empty((0, 0))
        n = int(np.count_nonzero(~np.isnan(values).any(axis=1)))
        alpha = Estimate(cronbach_alpha(values), n)
        yield _made(HANGS_TOGETHER, question, "Cronbach's alpha of the customer advocacy index", "ratio", alpha, None)
    if context.has("surveys", "item") and context.has("surveys", "touchpoint"):
        felt = _by_customer(context, emotional_facets, 180, "index")
        content = _by_customer(context, contact_csat, 365, "score")
        yield _together(question, "correlation of emotional loyalty with satisfaction", felt, content)
    if context.has("surveys", "touchpoint") and context.has("tickets"):
        satisfied = _by_customer(context, contact_csat, 90, "score")
        claimed, eased = _by_customer(context, effort, 90, "score"), _mean_ease(context)
        yield _together(question, "correlation of effort as said with effort as recorded", claimed, eased)
        yield _together(question, "correlation of effort as said with satisfaction after a contact", claimed, satisfied)


Columns = dict[str, Any]


def _together(question: str, reading: str, one: Columns, other: Columns) -> Reading:
    """Correlation of the first figures of two frames, over customers who have both."""
    (first, *_), (second, *_) = ([name for name in columns if name != "customer_id"] for columns in (one, other))
    place = {customer: row for row, customer in enumerate(other["customer_id"])}
    rows = [(row, place[customer]) for row, customer in enumerate(one["customer_id"]) if customer in place]
    one_rows, other_rows = [row for row, _ in rows], [row for _, row in rows]
    r, n, ends = correlation(one[first][one_rows], other[second][other_rows])
    return _made(HANGS_TOGETHER, question, reading, "ratio", Estimate(r, n), ends)


def _by_customer(context: MetricContext, items: Items, days: int, *names: str) -> Columns:
    """Means of columns by customer."""
    frame = items.prepare(context, days)
    assert not isinstance(frame, Absent)
    rows = frame.filter(~nw.col("customer_id").is_null()).group_by("customer_id")
    table = collected(rows.agg(nw.col(name).cast(nw.Float64).mean() for name in names)).sort_by("customer_id")
    columns = {name: table[name].to_numpy().astype(np.float64) for name in names}
    return {"customer_id": table["customer_id"].to_pylist(), **columns}


def _mean_ease(context: MetricContext) -> Columns:
    """Mean ease of each customer's tickets: one channel, wait and end, of what is known."""
    frame = contacts.prepare(context, 90)
    assert not isinstance(frame, Absent)
    rows = frame.with_columns(ease=ticket_ease()).filter(~nw.col("customer_id").is_null()).group_by("customer_id")
    table = collected(rows.agg(nw.col("ease").mean())).sort_by("customer_id")
    return {"customer_id": table["customer_id"].to_pylist(), "ease": table["ease"].to_numpy().astype(np.float64)}
