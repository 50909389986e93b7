"""Lists of what customers talk of: words on the move, complaints that grow, and what those who left said.

Words are taken as they are written, singly and in pairs, in any language that parts them by spaces; one is listed only
where several customers use it, so that nobody is told by it. The texts stay where they are: a row names an example, of
nobody who objects to being profiled.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
from scipy.stats import binom

from vouch.features.contract.tables import DAY_US
from vouch.features.instants import instant_text
from vouch.features.metrics.catalogue import Absent
from vouch.features.metrics.context import collected
from vouch.features.metrics.definitions.feedback import FALSE_SHARE, topic_changes
from vouch.features.metrics.definitions.lifetime import leavers
from vouch.features.metrics.populations.customers import subscriptions
from vouch.features.sentiment.polarity import NEGATIVE_FROM
from vouch.features.statistics.false_discovery import adjusted
from vouch.features.statistics.few import FEWEST

if TYPE_CHECKING:
    from vouch.features.metrics.context import MetricContext

Rows = list[dict[str, Any]]
SPAN_DAYS = 28
"""What was said in so many days is held against as many before."""
MOST_WORDS = 50
LEFT_DAYS = 90
_WORD = re.compile(r"[^\W\d_]{2,}")


def words_of(text: str) -> set[str]:
    """Return the words of a text, and its pairs of neighbours, in small letters.

    >>> sorted(words_of("Billing is slow. 정말 느려요"))
    ['billing', 'billing is', 'is', 'is slow', 'slow', 'slow 정말', '느려요', '정말', '정말 느려요']
    """
    words = _WORD.findall(text.lower())
    return {*words, *(f"{first} {second}" for first, second in pairwise(words))}


def words_on_the_move(context: MetricContext) -> Rows:
    """Words of feedback that are used more, or less, than four weeks before, the surest changes first.

    A word counts once per customer and span. Words that always come together are told once, by the longest. `has_moved`
    where a word's share of all that is said has changed, at the rate of false discoveries of all words.
    """
    rows = context.rows("feedback", 2 * SPAN_DAYS).filter(~nw.col("text").is_null())
    order: list[tuple[str, Any]] = [("own_us", "descending"), ("feedback_id", "ascending")]
    table = collected(rows.select("feedback_id", "customer_id", "own_us", "text", "polarity")).sort_by(order)
    since_us, known = context.before(SPAN_DAYS), set(context.people["customer_id"].to_pylist())
    users: dict[str, set[tuple[bool, str]]] = {}
    example: dict[str, str] = {}
    tones: dict[str, list[int]] = {}
    for row in table.to_pylist():
        if row["customer_id"] not in known:
            continue
        for word in words_of(row["text"]):
            users.setdefault(word, set()).add((row["own_us"] >= since_us, row["customer_id"]))
            if row["customer_id"] not in context.objecting:
                example.setdefault(word, row["feedback_id"])
            tones.setdefault(word, []).extend([] if row["polarity"] is None else [row["polarity"]])
    names = sorted(word for word, by in users.items() if len({who for _, who in by}) >= FEWEST)
    if not names:
        return []
    names = _one_of_each({name: frozenset(users[name]) for name in names})
    pairs = [(code, is_new) for code, name in enumerate(names, start=1) for is_new, _ in sorted(users[name])]
    codes, is_new = (np.array(column, dtype=np.float64) for column in zip(*pairs, strict=True))
    change, p = topic_changes(codes, is_new)
    q = adjusted(p)
    changed = [
        {
            "word": name, "these_weeks": int(is_new[codes == place + 1].sum()),
            "weeks_before": int((1 - is_new[codes == place + 1]).sum()), "log_odds": float(change[place]),
            "p": float(p[place]), "q": float(q[place]), "has_moved": bool(q[place] <= FALSE_SHARE),
            "tone": float(np.mean(tones[name])) / 100 if tones[name] else None, "example": example.get(name),
        }
        for place, name in enumerate(names)
    ]  # fmt: skip
    return sorted(changed, key=lambda row: (row["p"], row["word"]))[:MOST_WORDS]


def _one_of_each(users: dict[str, frozenset[tuple[bool, str]]]) -> list[str]:
    """Of words that the same customers used in the same spans, the longest."""
    longest: dict[frozenset[tuple[bool, str]], str] = {}
    for name, by in users.items():
        held = longest.get(by)
        longest[by] = name if held is None else max(held, name, key=lambda word: (len(word), word))
    return sorted(longest.values())


def growing_complaints(context: MetricContext) -> Rows:
    """Topics of negative feedback, four weeks against the four before, those that grow most surely first.

    `p` is one-sided: of all complaints on the topic, how likely so many would be new ones if as many came in each span
    (Przyborowski & Wilenski 1940, Biometrika 31:313-323); `q` at the false discovery rate of all topics.
    """
    rows = context.rows("feedback", 2 * SPAN_DAYS).filter(
        ~nw.col("topic").is_null(), nw.col("polarity") <= NEGATIVE_FROM
    )
    order: list[tuple[str, Any]] = [("own_us", "descending"), ("feedback_id", "ascending")]
    table = collected(rows.select("feedback_id", "customer_id", "own_us", "topic")).sort_by(order)
    since_us, known = context.before(SPAN_DAYS), {None, *context.people["customer_id"].to_pylist()}
    counted: dict[str, dict[str, Any]] = {}
    for row in table.to_pylist():
        if row["customer_id"] not in known:
            continue
        of = counted.setdefault(row["topic"], {"topic": row["topic"], "these_weeks": 0, "weeks_before": 0})
        of["these_weeks" if row["own_us"] >= since_us else "weeks_before"] += 1
        if of.get("example") is None:
            of["example"] = None if row["customer_id"] in context.objecting else row["feedback_id"]
    complaints = sorted(counted.values(), key=lambda row: row["topic"])
    if not complaints:
        return []
    new, old = (np.array([row[name] for row in complaints]) for name in ("these_weeks", "weeks_before"))
    p = np.asarray(binom.sf(new - 1, new + old, 0.5))
    q = adjusted(p)
    for row, of_p, of_q in zip(complaints, p.tolist(), q.tolist(), strict=True):
        row |= {"p": of_p, "q": of_q, "is_growing": of_q <= FALSE_SHARE}
    return sorted(complaints, key=lambda row: (row["p"], row["topic"]))


def exit_answers(context: MetricContext) -> Rows:
    """Who left in 90 days, why as far as it is known, and what they answered to the exit survey; the latest first.

    `asked_at` and `answered_at` are of the latest exit survey from 90 days before the end on; `answer` is its item,
    `tone` how its words sound; the words stay where they are. `named` is the strongest reason that the last published
    week before the end named of those that scored the customer: what was foreseen, beside what was said.
    """
    frame = leavers.prepare(context, LEFT_DAYS)
    assert not isinstance(frame, Absent)
    left = collected(frame.select("customer_id", "end_us")).sort_by("customer_id").to_pylist()
    ends = {row["customer_id"]: row["end_us"] for row in left}
    reasons, exits, named = _recorded_reasons(context, ends), _exit_surveys(context, ends), _named(context, ends)
    rows = []
    for customer, end_us in sorted(ends.items(), key=lambda end: (-end[1], end[0])):
        of = exits.get(customer, {})
        rows.append(
            {
                "customer_id": customer, "left_at": instant_text(end_us), "reason": reasons.get(customer),
                "named": named.get(customer),
                "asked_at": instant_text(of["asked_us"]) if of else None,
                "answered_at": instant_text(of["answered_us"]) if of.get("answered_us") is not None else None,
                "answer": of.get("answer"), "tone": of.get("tone"), "response_id": of.get("response_id"),
            }
        )  # fmt: skip
    return sorted(rows, key=lambda row: (row["answered_at"] is None, row["reason"] is None))


def _named(context: MetricContext, ends: dict[str, int]) -> dict[str, str]:
    """What the published weeks of 90 days before each end named, the latest that named anything."""
    named: dict[str, str] = {}
    if context.record is None:
        return named
    for week_us in sorted(context.record.published_us, reverse=True):
        within = (week_us, week_us + LEFT_DAYS * DAY_US)
        asked = {who for who, end_us in ends.items() if within[0] < end_us <= within[1]} - named.keys()
        if asked:
            named |= context.record.named(week_us, asked)
    return named


def _recorded_reasons(context: MetricContext, ends: dict[str, int]) -> dict[str, str]:
    rows = context.keep(subscriptions).filter(~nw.col("cancel_reason").is_null())
    order: list[tuple[str, Any]] = [("mrr", "descending"), ("subscription_id", "ascending")]
    columns = ("customer_id", "end_us", "mrr", "subscription_id", "cancel_reason")
    reasons: dict[str, str] = {}
    for row in collected(rows.select(*columns)).sort_by(order).to_pylist():
        if ends.get(row["customer_id"]) == row["end_us"]:
            reasons.setdefault(row["customer_id"], row["cancel_reason"])
    return reasons


def _exit_surveys(context: MetricContext, ends: dict[str, int]) -> dict[str, dict[str, Any]]:
    """The latest exit survey of each customer who left, an answered one before one that is not."""
    if not context.has("surveys"):
        return {}
    rows = context.rows("surveys", 2 * LEFT_DAYS).filter(nw.col("instrument") == "exit")
    columns = ("response_id", "customer_id", "own_us", "responded_us", "status", "item", "polarity")
    surveys: dict[str, dict[str, Any]] = {}
    order: list[tuple[str, Any]] = [("own_us", "ascending"), ("response_id", "ascending")]
    for row in collected(rows.select(*columns)).sort_by(order).to_pylist():
        customer = row["customer_id"]
        if customer not in ends or row["own_us"] < ends[customer] - LEFT_DAYS * DAY_US:
            continue
        is_answered = row["status"] in {"answered", "partial"}
        if not is_answered and surveys.get(customer, {}).get("answered_us") is not None:
            continue
        answered_us = (row["responded_us"] or row["own_us"]) if is_answered else None
        surveys[customer] = {
            "asked_us": row["own_us"], "answered_us": answered_us, "answer": row["item"] if is_answered else None,
            "tone": row["polarity"] / 100 if is_answered and row["polarity"] is not None else None,
            "response_id": row["response_id"],
        }  # fmt: skip
    return surveys
