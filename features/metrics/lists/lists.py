"""Lists behind the figures: which customers, which topics, which reasons.

Each is read at one instant, like a metric. A list is a function of a context that gives plain rows in a fixed order;
`LISTS` names them. Where the tables are not there, `UsageError` says which are missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from vouch.features.contract.tables import DAY_US
from vouch.features.errors import UsageError, did_you_mean
from vouch.features.facts.acts import ORGANIC
from vouch.features.facts.spans import is_on
from vouch.features.facts.subscriptions import revenue
from vouch.features.instants import instant_text
from vouch.features.metrics.catalogue import Absent
from vouch.features.metrics.context import collected
from vouch.features.metrics.definitions.advocacy import promises
from vouch.features.metrics.definitions.care import NEEDS, cared_for
from vouch.features.metrics.definitions.feedback import PROMISED_DAYS, topic_changes, topics
from vouch.features.metrics.definitions.health import health
from vouch.features.metrics.definitions.lifetime import leavers
from vouch.features.metrics.envelopes import plain
from vouch.features.metrics.lists.cultural_relevance import by_culture
from vouch.features.metrics.lists.customer_forecasts import customer_forecasts
from vouch.features.metrics.lists.health_history import frozen, overrides
from vouch.features.metrics.lists.people import (
    open_feedback,
    quadrant_members,
    questionnaire,
    segment_members,
    segments_by_value,
    to_be_asked_why,
)
from vouch.features.metrics.lists.referral_trees import referral_trees
from vouch.features.metrics.lists.retention_curves import retention_curve, survival_curve
from vouch.features.metrics.lists.saves import offers_by_month, saves_by_week
from vouch.features.metrics.lists.talk import exit_answers, growing_complaints, words_on_the_move
from vouch.features.metrics.lists.trading_down import trading_states
from vouch.features.metrics.populations.advocacy import TIER_DAYS, TIERS, acts, tiers
from vouch.features.metrics.populations.customers import only_listed, subscriptions
from vouch.features.metrics.populations.orders import outcomes
from vouch.features.metrics.populations.published_reasons import drivers
from vouch.features.statistics.false_discovery import adjusted
from vouch.features.statistics.few import FEWEST

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vouch.features.asof import Frame
    from vouch.features.metrics.context import MetricContext

Rows = list[dict[str, Any]]
DANGER = ("high", "watch")
MOST_LIKELY = 10
"""One in so many of those scored is among the likeliest to speak up."""


@dataclass(frozen=True)
class ListWords:
    """A column of a list that holds words of the company, and the column of a table where they come from."""

    name: str
    table: str
    column: str
    days: int | None = None


@dataclass(frozen=True)
class List:
    """What a list holds, the tables it needs (alternatives parted by `|`), and how it is made."""

    meaning: str
    needs: tuple[str, ...]
    rows: Callable[[MetricContext], Rows | Absent]
    is_published: bool = True
    """Whether every week holds it; one that costs a pass over vectors is made where it is asked for."""
    words: ListWords | None = None
    """The company's own words that its rows are named by, where no customer is."""
    counted: str | None = None
    """The column that counts the customers of a row which is named by what they have in common."""


def list_rows(context: MetricContext, name: str) -> Rows:
    """The rows of one list, without ids that no customer has, and without who objects to being profiled.

    Raises UsageError where there is no such list, or what it needs is not there.
    """
    if name not in LISTS:
        raise UsageError(f"There is no list {name!r}{did_you_mean(name, LISTS)}: {', '.join(LISTS)}")
    listed = LISTS[name]
    missing = [need for need in listed.needs if not any(context.has(table) for table in need.split("|"))]
    if missing:
        raise UsageError(f"The list {name!r} needs {', '.join(need.replace('|', ' or ') for need in missing)}")
    rows = listed.rows(context)
    if isinstance(rows, Absent):
        raise UsageError(f"The list {name!r} cannot be made: {rows.reason}")
    known = {None, *context.people["customer_id"].to_pylist()} - context.objecting
    return [plain(row) for row in rows if row.get("customer_id") in known]


def words_of_few(context: MetricContext, name: str) -> frozenset[str]:
    """Return the words in a list that only a few customers have in common: what is published names nobody by them."""
    words = LISTS[name].words
    if words is None or not context.has(words.table):
        return frozenset()
    rows = context.rows(words.table) if words.days is None else context.rows(words.table, words.days)
    counted = collected(rows.group_by(words.column).agg(nw.col("customer_id").n_unique().alias("customers")))
    return frozenset(row[words.column] for row in counted.to_pylist() if 0 < row["customers"] < FEWEST)


def _plain(frame: Frame, *order: tuple[str, str]) -> Rows:
    rows: Rows = collected(frame).sort_by(list(order)).to_pylist()
    return rows


def say_do_gap(context: MetricContext) -> Rows:
    """Promoters whose 90 days are over, those who have not spoken up first."""
    frame = promises.prepare(context, 90)
    assert not isinstance(frame, Absent)
    people = frame.select("customer_id", has_acted=nw.col("in_time") == 1)
    return _plain(people, ("has_acted", "ascending"), ("customer_id", "ascending"))


def hidden_advocates(context: MetricContext) -> Rows:
    """Customers who speak up unasked, or are among the tenth most likely to, and whom nobody asked or thanked."""
    since = context.before(TIER_DAYS)
    organic = context.keep(acts).filter(nw.col("sort") == ORGANIC, nw.col("own_us") >= since)
    counted = organic.group_by("customer_id").agg(nw.len().alias("acts"))
    people = context.customers().select("customer_id").join(counted, on="customer_id", how="left")
    people = people.with_columns(nw.col("acts").fill_null(0), likely=nw.lit(None, nw.Float64))
    if context.scores is not None:
        scored = context.scores.select("customer_id", "advocacy_score").collect("polars").lazy()
        place = nw.col("advocacy_score").rank("average", descending=True)
        is_high = place <= nw.col("advocacy_score").count().cast(nw.Float64) / MOST_LIKELY
        scored = scored.with_columns(likely=nw.when(is_high).then(nw.col("advocacy_score")))
        people = people.drop("likely").join(scored.select("customer_id", "likely"), on="customer_id", how="left")
    people = people.filter((nw.col("acts") > 0) | ~nw.col("likely").is_null())
    for table in ("asks", "recognitions"):
        if context.has(table):
            known = context.rows(table).select("customer_id").unique().collect("polars").lazy()
            people = people.join(known, on="customer_id", how="anti")
    people = people.select("customer_id", organic_acts=nw.col("acts"), advocacy_score=nw.col("likely"))
    return _plain(
        people, ("organic_acts", "descending"), ("advocacy_score", "descending"), ("customer_id", "ascending")
    )


def advocates_at_risk(context: MetricContext) -> Rows:
    """Advocates who may leave: by the churn score of a published snapshot, without one by the health rules."""
    if context.scores is not None:
        endangered = context.scores.select("customer_id", "churn_band", "churn_probability").collect("polars").lazy()
        endangered = endangered.filter(nw.col("churn_band").is_in(DANGER))
    else:
        endangered = context.keep(health).filter(nw.col("health_band") == "at_risk").select("customer_id")
        nothing = {"churn_band": nw.lit(None, nw.String), "churn_probability": nw.lit(None, nw.Float64)}
        endangered = endangered.with_columns(**nothing)
    ranked = context.keep(tiers).filter(nw.col("rank") < TIERS.index("potential"))
    people = ranked.join(endangered, on="customer_id", how="inner")
    if context.has("subscriptions"):
        people = people.join(revenue(context.keep(subscriptions), context.as_of_us), on="customer_id", how="left")
    else:
        people = people.with_columns(mrr=nw.lit(None, nw.Float64))
    order = [("churn_probability", "descending"), ("rank", "ascending"), ("customer_id", "ascending")]
    rows = _plain(people.select("customer_id", "rank", "churn_band", "churn_probability", "mrr"), *order)
    return [{"customer_id": row["customer_id"], "tier": TIERS[row.pop("rank")], **row} for row in rows]


def care_needs(context: MetricContext) -> Rows:
    """What each advocate needs, 0 to 1, null where nothing is known of it, and the first need that is not met."""
    frame = cared_for.prepare(context, 90)
    assert not isinstance(frame, Absent)
    people = frame.select("customer_id", *NEEDS, care=nw.col("index") * 100, first_unmet_need=nw.col("first_unmet"))
    return _plain(people, ("care", "ascending"), ("customer_id", "ascending"))


def topics_on_the_move(context: MetricContext) -> Rows:
    """Topics of feedback this week against the week before, the surest changes first."""
    frame = topics.prepare(context, 14)
    assert not isinstance(frame, Absent)
    table = collected(frame.select("topic", "code", "is_new"))
    codes, is_new = (table[name].to_numpy().astype(np.float64) for name in ("code", "is_new"))
    if not len(codes):
        return []
    names = dict(zip(codes.astype(int).tolist(), table["topic"].to_pylist(), strict=True))
    change, p = topic_changes(codes, is_new)
    q = adjusted(p)
    rows = [
        {
            "topic": name, "this_week": int(((codes == code) & (is_new == 1)).sum()),
            "week_before": int(((codes == code) & (is_new == 0)).sum()), "log_odds": float(change[code - 1]),
            "p": float(p[code - 1]), "q": float(q[code - 1]),
        }
        for code, name in names.items()
    ]  # fmt: skip
    return sorted(rows, key=lambda row: (row["p"], row["topic"]))


def churn_reasons(context: MetricContext) -> Rows:
    """Why customers left in 90 days, as recorded: reasons by number, with how many of them did not leave by choice."""
    frame = leavers.prepare(context, 90)
    assert not isinstance(frame, Absent)
    ended = frame.select("customer_id", "end_us")
    rows = context.keep(subscriptions).join(ended, on=["customer_id", "end_us"], how="inner")
    rows = only_listed(context, rows).with_columns(
        is_known=(~nw.col("cancel_reason").is_null()).cast(nw.Int64),
        reason=nw.col("cancel_reason").fill_null("not recorded"),
        involuntary=(~nw.col("is_voluntary").fill_null(True)).cast(nw.Int64),
    )
    order = [("customer_id", "ascending"), *((name, "descending") for name in ("is_known", "mrr", "subscription_id"))]
    reasons: dict[str, dict[str, Any]] = {}
    for row in _plain(rows.select(*(name for name, _ in order), "reason", "involuntary"), *order):
        reasons.setdefault(row["customer_id"], row)  # of several subscriptions that ended together, one speaks
    counted: dict[str, dict[str, Any]] = {}
    for row in reasons.values():
        of_reason = counted.setdefault(row["reason"], {"reason": row["reason"], "customers": 0, "involuntary": 0})
        of_reason["customers"] += 1
        of_reason["involuntary"] += row["involuntary"]
    return sorted(counted.values(), key=lambda row: (-row["customers"], row["reason"]))


def orders_by_outcome(context: MetricContext) -> Rows:
    """Orders of a year by what became of them: paid, given back in part or wholly, free; and of how many customers."""
    table = collected(outcomes(context, context.before(365)))
    known = set(context.people["customer_id"].to_pylist())
    counts = []
    for column, name in OUTCOMES.items():
        rows = table.filter(table[column].to_numpy() > 0) if len(table) else table
        customers = len(set(rows["customer_id"].to_pylist()) & known)
        counts.append({"outcome": name, "orders": len(rows), "customers": customers})
    return counts


def feedback_sources(context: MetricContext) -> Rows:
    """Sources of feedback, registered or seen in 30 days: how much, how fresh, in time or not, with a topic."""
    in_time = (nw.col("ingested_us") - nw.col("own_us") <= PROMISED_DAYS * DAY_US).cast(nw.Int64)
    rows = context.rows("feedback", 30).with_columns(in_time=in_time, newest_us=nw.col("own_us"))
    counted = rows.group_by("source").agg(
        nw.len().alias("texts"), nw.col("in_time").sum(), nw.col("topic").count().alias("topics"),
        nw.col("newest_us").max(),
    )  # fmt: skip
    seen = {row["source"]: row for row in collected(counted).to_pylist()}
    sources = []
    for source in sorted({*seen, *context.settings.feedback_sources}):
        row = seen.get(source)
        sources.append(
            {
                "source": source,
                "is_registered": source in context.settings.feedback_sources,
                "texts": row["texts"] if row else 0,
                "newest_at": instant_text(row["newest_us"]) if row else None,
                "in_time": row["in_time"] / row["texts"] if row else None,
                "with_topic": row["topics"] / row["texts"] if row else None,
            }
        )
    return sources


def loyalty_tiers(context: MetricContext) -> Rows:
    """Members by tier: how many, how many took part in 90 days, and how many earned once and never again."""
    people = context.rows("loyalty_members").filter(is_on(nw.col("left_us"), context.as_of_us))
    people = only_listed(context, people.collect("polars").lazy()).with_columns(tier=nw.col("tier").fill_null("none"))
    rows = context.rows("loyalty_ledger").filter(nw.col("kind").is_in(("earn", "redeem")))
    recent = (nw.col("own_us") >= context.before(90)).cast(nw.Int64)
    each = rows.group_by("customer_id").agg(nw.len().cast(nw.Int64).alias("entries"), recent.max().alias("is_active"))
    both = people.select("customer_id", "tier").join(each.collect("polars").lazy(), on="customer_id", how="left")
    both = both.with_columns(nw.col("is_active").fill_null(0), once=(nw.col("entries") == 1).fill_null(False))
    counted = both.group_by("tier").agg(
        nw.len().cast(nw.Int64).alias("members"),
        nw.col("is_active").sum().cast(nw.Int64).alias("active"),
        nw.col("once").cast(nw.Int64).sum().cast(nw.Int64).alias("one_and_done"),
    )
    return _plain(counted, ("members", "descending"), ("tier", "ascending"))


def channel_shares(context: MetricContext) -> Rows:
    """Usage events of 90 days by channel, and the share of each among those whose channel is known."""
    rows = context.rows("usage_events", 90).filter(~nw.col("channel").is_null())
    pairs = rows.group_by("channel", "customer_id").agg(nw.len().cast(nw.Int64).alias("events"))
    pairs = pairs.collect("polars").lazy()
    users = only_listed(context, pairs).group_by("channel").agg(nw.len().cast(nw.Int64).alias("customers"))
    counted = pairs.group_by("channel").agg(nw.col("events").sum()).join(users, on="channel", how="left")
    shares = _plain(
        counted.with_columns(nw.col("customers").fill_null(0)), ("events", "descending"), ("channel", "ascending")
    )
    whole = sum(row["events"] for row in shares)
    return [{**row, "share": row["events"] / whole} for row in shares]


def drivers_of_churn(context: MetricContext) -> Rows | Absent:
    """What moves the churn scores of the published snapshot; absent where nobody was scored."""
    return drivers(context.scores) or Absent("not_applicable", "no_model")


def _curve(context: MetricContext) -> Rows:
    return [point.as_dict() for point in retention_curve(context)]


def _survival(context: MetricContext) -> Rows:
    return list(survival_curve(context))


def _overrides(context: MetricContext) -> Rows:
    rows = _plain(overrides(context.tables, context.as_of_us, context.settings.health), ("customer_id", "ascending"))
    return [
        {"set_at": instant_text(row.pop("set_us")), "expires_at": instant_text(row.pop("expires_us")), **row}
        for row in rows
    ]


def _frozen(context: MetricContext) -> Rows:
    rows = frozen(context)
    return [
        {"left_at": instant_text(row.pop("left_us")), "scored_at": instant_text(row.pop("scored_us")), **row}
        for row in rows
    ]


OUTCOMES = {"is_paid": "paid", "is_part_back": "given back in part", "is_back": "given back", "is_free": "free"}
"""What may become of an order."""
LISTS: dict[str, List] = {
    "say_do_gap": List("promoters, and whether they spoke up within 90 days",
                       ("surveys", "advocacy_acts|referrals"), say_do_gap),
    "hidden_advocates": List("who speaks up, or is likely to, and was never asked or thanked",
                             ("advocacy_acts|referrals",), hidden_advocates),
    "advocates_at_risk": List("advocates who may leave", ("advocacy_acts|referrals",), advocates_at_risk),
    "care_needs": List("needs of advocates, and the first that is not met",
                       ("advocacy_acts|referrals", "tickets|recognitions|feedback|social_posts"), care_needs),
    "topics": List("topics of feedback, this week against the week before", ("feedback",), topics_on_the_move,
                   words=ListWords("topic", "feedback", "topic", 14)),
    "words": List("words of feedback used more or less than four weeks before", ("feedback",), words_on_the_move),
    "complaints": List("topics of complaints, four weeks against the four before, and which grow", ("feedback",),
                       growing_complaints, words=ListWords("topic", "feedback", "topic", 56)),
    "forecasts": List("tone and willingness to recommend that are expected of each customer in 28 and in 84 days, with "
                      "intervals of 80 %: the 5,000 of whom the worst tone is expected",
                      ("surveys|feedback|social_posts",), customer_forecasts),
    "exit_answers": List("who left in 90 days: the recorded reason, and the answer to the exit survey",
                         ("subscriptions",), exit_answers),
    "churn_reasons": List("why customers left in 90 days", ("subscriptions",), churn_reasons,
                   words=ListWords("reason", "subscriptions", "cancel_reason")),
    "orders": List("orders of a year: paid, given back, free", ("transactions",), orders_by_outcome),
    "channels": List("usage by channel, and the share of each", ("usage_events",), channel_shares,
                   words=ListWords("channel", "usage_events", "channel", 90)),
    "feedback_sources": List("sources of feedback: registered, fresh, in time, with a topic", ("feedback",),
                             feedback_sources,
                   words=ListWords("source", "feedback", "source", 30)),
    "loyalty_tiers": List("members of the loyalty programme by tier", ("loyalty_members", "loyalty_ledger"),
                          loyalty_tiers,
                   words=ListWords("tier", "loyalty_members", "tier")),
    "cultures": List("cultural relevance by region and language, with its parts", ("surveys",), by_culture,
                     counted="asked"),
    "maturity": List("the questionnaire of advocacy maturity, with answers and evidence", (), questionnaire),
    "open_feedback": List("feedback that nobody has acted on, the longest open first", ("feedback",), open_feedback),
    "to_ask_why": List("who left without a recorded reason, those who may be contacted first", ("subscriptions",),
                       to_be_asked_why),
    "offers_by_month": List("money that retention offers have saved until now, by month, against who was held out",
                            ("treatments", "subscriptions"), offers_by_month),
    "saves_by_week": List("how soon after an offer customers are kept by it, and the lead that this proposes",
                          ("treatments", "subscriptions"), saves_by_week),
    "segments": List("segments of buyers by recency, frequency and spend, and how many are in each",
                     ("transactions",), segments_by_value),
    "segment_members": List("buyers by their segment, the best first", ("transactions",), segment_members),
    "value_quadrants": List("customers by lifetime value and referral value: champions, affluents, advocates, misers",
                            ("referrals", "transactions"), quadrant_members),
    "referral_trees": List("whom each advocate brought, whom those brought, and what they bring, counted once",
                           ("referrals",), referral_trees),
    "churn_drivers": List("what moves the churn scores of the published snapshot, by family", (),
                          drivers_of_churn),
    "trading": List("how orders and spend per order of regular customers changed, and why",
                    ("transactions",), trading_states),
    "retention_curve": List("share of new customers who come back on day k, and from it on",
                            ("usage_events|transactions",), _curve),
    "survival": List("share of stays that last longer than k days",
                     ("subscriptions|usage_events|transactions",), _survival),
    "health_overrides": List("health scores set by hand that have not expired", ("health_overrides",), _overrides),
    "health_frozen": List("the last health score of who left in 28 days", ("subscriptions",), _frozen,
                          is_published=False),
}  # fmt: skip


def list_meanings() -> Sequence[dict[str, str]]:
    """Names and meanings of all lists."""
    return [{"list": name, "holds": listed.meaning, "needs": ", ".join(listed.needs)} for name, listed in LISTS.items()]
