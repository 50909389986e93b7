"""Forecasts by customer: the tone, and whether a customer would recommend, in 28 and in 84 days.

The tone is the score of customer sentiment (M55). What was said fades, so that it is known how the tone of who says
nothing more will stand, and what became of all customers tells how those move who say more. Of recommending, the class
of the latest answer about the company as a whole is held against the class of an answer in the four weeks up to then.
Persistence, which is the tone and the class of now, is told where it is not beaten out of time (M57).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
import pyarrow.compute as pc

from vouch.features.facts.surveys import DETRACTOR, PROMOTER
from vouch.features.metrics.context import MetricContext, collected
from vouch.features.metrics.definitions.feedback import HALF_LIFE_DAYS, PRIOR_TEXTS, writers
from vouch.features.metrics.populations.surveys import answers_nps, surveys
from vouch.features.statistics.pooled_forecast import Origin, pooled_classes, pooled_forecast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from vouch.features.statistics.pooled_forecast import PooledForecast

    Floats = NDArray[np.float64]
    Names = NDArray[np.object_]

STEP_DAYS, STEPS = 28, 26
"""Customers are looked at every four weeks of two years."""
AHEAD_STEPS = (1, 3)
TONE_DAYS = 365
MOST_CUSTOMERS = 5_000
"""So many customers are told, those of whom the worst is expected."""
CLASSES = ("detractor", "passive", "promoter")
MODEL, PERSISTENCE = "model", "persistence"


@dataclass(frozen=True)
class Voices:
    """What customers, in order of ids, were known to have said: the weighted sum of their tones, and the weight."""

    customers: Names
    summed: Floats
    weight: Floats

    def tone(self, days: int = 0) -> Floats:
        """The tone so many days on, if nobody says anything more."""
        faded = 0.5 ** (days / HALF_LIFE_DAYS)
        return np.asarray((self.summed * faded + PRIOR_TEXTS * self.centre) / (self.weight * faded + PRIOR_TEXTS))

    @property
    def centre(self) -> float:
        """The tone of all that was said."""
        return float(self.summed.sum() / self.weight.sum()) if len(self.weight) else 0.0


def customer_forecasts(context: MetricContext) -> list[dict[str, Any]]:
    """Customers who wrote or answered within a year, twice each, those of whom the worst tone is expected first.

    No more than `MOST_CUSTOMERS` are told. `tone` is from -1 to 1, `nps_class` one of three; each with what is
    expected, an interval of 80 %, whether a model or persistence says so, and the skill of the model: by how much its
    mean error is below that of persistence.
    """
    then = [context, *(MetricContext(context.tables, context.before(STEP_DAYS * step)) for step in range(1, STEPS))]
    voices, answers = [_voices(at) for at in then], [_answers(at) for at in then]
    tones = {steps: _tones(voices, steps) for steps in AHEAD_STEPS}
    classes = {steps: _classes(answers, steps) for steps in AHEAD_STEPS}
    wrote, answered = voices[0].customers, answers[0][0]
    everybody = np.array(sorted({*wrote, *answered}), dtype=object)
    worst = _matched(everybody, wrote, tones[AHEAD_STEPS[0]].expected)
    chosen = everybody[np.argsort(worst, kind="stable")[:MOST_CUSTOMERS]]
    rows = [
        {"customer_id": customer, "days": steps * STEP_DAYS, **tone, **nps_class}
        for steps in AHEAD_STEPS
        for customer, tone, nps_class in zip(
            chosen,
            _cells("tone", chosen, wrote, voices[0].tone(), tones[steps], lambda value: float(np.clip(value, -1, 1))),
            _cells("nps_class", chosen, answered, answers[0][1], classes[steps], lambda value: CLASSES[int(value) + 1]),
            strict=True,
        )
    ]
    place = {customer: number for number, customer in enumerate(chosen)}
    return sorted(rows, key=lambda row: (place[row["customer_id"]], row["days"]))


def _cells(
    what: str, chosen: Names, customers: Names, now: Floats, foreseen: PooledForecast, as_cell: Callable[[float], Any]
) -> list[dict[str, Any]]:
    """What is told of each chosen customer; null where nobody can tell it."""
    by = PERSISTENCE if foreseen.is_persistence else MODEL
    columns = [_matched(chosen, customers, values) for values in (now, foreseen.expected, foreseen.low, foreseen.high)]
    names = (what, f"expected_{what}", f"{what}_low", f"{what}_high", f"{what}_by", f"{what}_skill")
    cells = []
    for values in zip(*columns, strict=True):
        is_known = not np.isnan(values[0])
        said = (None if np.isnan(value) else as_cell(value) for value in values)
        cells.append(
            dict(zip(names, (*said, by if is_known else None, foreseen.skill if is_known else None), strict=True))
        )
    return cells


def _voices(context: MetricContext) -> Voices:
    """What was said in a year, by customers who are known."""
    empty = np.empty(0)
    if not any(context.has(table) for table in ("surveys", "feedback", "social_posts")):
        return Voices(empty.astype(object), empty, empty)
    frame = writers.prepare(context, TONE_DAYS)
    assert isinstance(frame, nw.LazyFrame), "whoever wrote is counted"
    table = collected(frame.select("customer_id", "moved", "weight")).sort_by("customer_id")
    table = table.filter(pc.is_in(table["customer_id"], value_set=context.people["customer_id"]))
    moved, weight = (table[name].to_numpy().astype(np.float64) for name in ("moved", "weight"))
    return Voices(table["customer_id"].to_numpy(), moved / 1e8, weight / 1e6)


def _tones(voices: Sequence[Voices], steps: int) -> PooledForecast:
    tones = [of.tone() for of in voices]
    origins = []
    for place, of in enumerate(voices):
        fades, now = of.tone(STEP_DAYS * steps), tones[place]
        older = voices[place + 1].customers if place + 1 < len(voices) else np.empty(0, dtype=object)
        before = _matched(of.customers, older, tones[place + 1] if len(older) else np.empty(0))
        moved = np.where(np.isfinite(before), now - before, 0.0)
        truth = np.full(len(now), np.nan)
        if place >= steps:
            truth = _matched(of.customers, voices[place - steps].customers, tones[place - steps])
        origins.append(Origin(np.column_stack([fades - now, of.centre - now, moved]), now, of.weight, truth))
    return pooled_forecast(origins, steps)


def _answers(context: MetricContext) -> tuple[Names, Floats, Floats]:
    """The latest answer of each customer who is known: whose, class (-1, 0, 1), and days since."""
    if not context.has("surveys"):
        return np.empty(0, dtype=object), np.empty(0), np.empty(0)
    is_counted = (nw.col("instrument") == "nps") & nw.col("is_relational") & answers_nps()
    rows = context.keep(surveys).filter(is_counted, ~nw.col("customer_id").is_null())
    table = collected(rows.select("customer_id", "score", "answered_us", "response_id"))
    table = table.filter(pc.is_in(table["customer_id"], value_set=context.people["customer_id"]))
    order: list[tuple[str, Any]] = [(name, "ascending") for name in ("customer_id", "answered_us", "response_id")]
    table = table.sort_by(order)
    who = table["customer_id"].to_numpy()
    is_latest = np.append(who[1:] != who[:-1], True) if len(who) else np.empty(0, bool)
    score, when_us = (table[name].to_numpy()[is_latest] for name in ("score", "answered_us"))
    vote = np.where(score >= PROMOTER, 1.0, np.where(score <= DETRACTOR, -1.0, 0.0))
    return who[is_latest], vote, (context.as_of_us - when_us) / 86_400e6


def _classes(answers: Sequence[tuple[Names, Floats, Floats]], steps: int) -> PooledForecast:
    origins = []
    for place, (customers, vote, days) in enumerate(answers):
        truth = np.full(len(customers), np.nan)
        if place >= steps:
            later, then, age = answers[place - steps]
            is_new = age <= STEP_DAYS
            truth = _matched(customers, later[is_new], then[is_new])
        origins.append(Origin(np.empty((len(customers), 0)), vote, days, truth))
    return pooled_classes(origins, steps, (-1.0, 0.0, 1.0))


def _matched(customers: Names, others: Names, values: Floats) -> Floats:
    """The values of others for customers, both in order of their ids; NaN for who is not among them."""
    matched = np.full(len(customers), np.nan)
    if len(others):
        place = np.minimum(np.searchsorted(others, customers), len(others) - 1)
        is_there = others[place] == customers
        matched[is_there] = values[place[is_there]]
    return matched
