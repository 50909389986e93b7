"""The figures of a weekly report: one published snapshot, beside the one before it, as plain data.

Page and text are made from the same figures (`reports.rendering`). These are read from the snapshot, and who may be
asked from what the service lists too (`asking.candidates`), so that they equal what it answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vouch.features.errors import UsageError
from vouch.features.instants import SECOND_US, instant_text
from vouch.models.definition import STATUSES
from vouch.serving.asking.by_hand import without_scores
from vouch.serving.asking.by_rules import UNHEALTHY, is_by_rules
from vouch.serving.asking.candidates import Askable, searchable_rows
from vouch.serving.asking.ranked_list import RankedList
from vouch.serving.asking.ranking import AT_RISK_BANDS, Filters, has_revenue, rank_at_risk
from vouch.serving.presentation.metric_series import metric_series
from vouch.serving.presentation.names import catalogue_by_id
from vouch.serving.reports.listed import listed_people, moved_people
from vouch.serving.snapshots.schema import MODELS, NAMED, NO_MODEL
from vouch.serving.store.mapped import in_memory
from vouch.serving.weekly.populations import populations
from vouch.serving.weekly.standing import week_standing, without

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import pandas as pd

    from vouch.serving.presentation.metric_series import Series
    from vouch.serving.reports.listed import Listed, ListedMove
    from vouch.serving.snapshots.files import Snapshot
    from vouch.serving.weekly.standing import Places, Standing

TOP = 20
"""Customers in each list of the page."""
CALLS = 5
"""Customers to call first."""
TREND_WEEKS = 13
"""Weeks that a trend looks back: a quarter."""
AT_RISK = Filters(bands=AT_RISK_BANDS)
BINS = 20
SHOWN_STATUSES = ("ok", "low_n")
NOT_SCORED = "not scored"
SCALES: Mapping[str, tuple[str, Sequence[str]]] = {
    "churn_status": ("Status for churn", (*STATUSES, NO_MODEL)),
    "churn_band": ("Churn band", ("high", "watch", "low")),
    "health_band": ("Health band", ("at_risk", "watch", "healthy", "unknown")),
    "advocacy_status": ("Status for advocacy", (*STATUSES, NO_MODEL)),
    "advocate_tier": ("Advocate tier", ("influential", "active", "potential", "none")),
}
"""What a portfolio is counted by, and its values in the order in which people read them."""
_STATES = ["customer_id", *SCALES]
_PROBABILITIES = [f"{model}_probability" for model in MODELS]
_SCORES = [*_STATES, *_PROBABILITIES, "health_score"]


@dataclass(frozen=True)
class Group:
    """How many customers stand at one value, now and in the snapshot before."""

    value: str
    count: int
    share: float | None
    before: int | None

    @property
    def change(self) -> int | None:
        """Customers more than before."""
        return None if self.before is None else self.count - self.before


@dataclass(frozen=True)
class Moves:
    """What changed against the snapshot before: how many customers."""

    as_of: str
    arrived: int
    gone: int
    newly_high: int
    no_longer_high: int
    newly_unhealthy: int
    new_advocates: int
    other_models: Sequence[str]
    shifted_models: Sequence[str]
    """The same models, with another offset of their log-odds (`vouch.models.registry.offsets`)."""


@dataclass(frozen=True)
class Figures:
    """All that a report tells."""

    as_of: str
    revision: int
    asked_as_of: str
    """When those who are listed could be asked: rests end, and others ask."""
    manifest: Mapping[str, Any]
    populations: Mapping[str, int]
    """How many customers each named population has, as the page, the API and Prometheus tell them."""
    portfolio: Mapping[str, Sequence[Group]]
    churn_bins: Sequence[int]
    series: Mapping[str, Series]
    """Every metric of the company as a whole, with its weeks."""
    metrics: Sequence[Mapping[str, Any]]
    withheld: Sequence[Mapping[str, Any]]
    by_rules: Collection[str]
    """Models whose lists are ranked by rules, for the week was scored without a champion."""
    calls: Sequence[Listed]
    """Whom to call first, as the first screen of the page has them: who moved, the most revenue at risk first."""
    calls_total: int
    candidates: Sequence[Listed]
    candidates_total: int
    ranked_by: str
    """By what the candidates are ranked where a model ranks them."""
    at_risk: Sequence[Listed]
    at_risk_total: int
    has_revenue: bool
    moves: Moves | None
    movers: Mapping[str, Sequence[ListedMove]]
    flagged: Sequence[Mapping[str, Any]]

    @property
    def customers(self) -> int:
        """Customers who have not left."""
        return self.populations["customers"]

    def as_dict(self) -> dict[str, Any]:
        """In brief, for a scheduler to read."""
        return {
            "as_of": self.as_of,
            "revision": self.revision,
            "asked_as_of": self.asked_as_of,
            "customers": self.customers,
            "populations": dict(self.populations),
            "portfolio": {name: {group.value: group.count for group in of} for name, of in self.portfolio.items()},
            "candidates": self.candidates_total,
            "at_risk": self.at_risk_total,
            "metrics": {row["metric_id"]: row["value"] for row in self.metrics},
            "changes": None if self.moves is None else {**self.moves.__dict__},
            "movers": {title: [person.customer_id for person in of] for title, of in self.movers.items()},
            "flagged": list(self.flagged),
            "warnings": list(self.manifest["warnings"]),
        }


def figures(
    snapshot: Snapshot, askable: Askable, earlier: Snapshot | None = None, weeks: Sequence[Snapshot] = ()
) -> Figures:
    """Return the figures of a snapshot, compared with an earlier one where there is one.

    `askable` tells who of it may be asked; `weeks` are those whose metrics make the trends, the earlier one by default.

    Raises UsageError where the other is not earlier, SnapshotError where a table is damaged.
    """
    if earlier is not None and earlier.as_of_us >= snapshot.as_of_us:
        raise UsageError(f"{instant_text(earlier.as_of_us)} does not lie before {instant_text(snapshot.as_of_us)}")
    columns = list(dict.fromkeys([*_SCORES, *(f"{model}_status" for model in MODELS)]))
    objecting = askable.lists.by_hand.objections
    scores, customers = without_scores(snapshot.table("scores", columns), objecting), snapshot.table("customers")
    states = scores.to_pandas()
    before = None if earlier is None else earlier.table("scores", [*_STATES, *_PROBABILITIES]).to_pandas()
    people = searchable_rows(scores, customers)
    series = _series([*(weeks or ([] if earlier is None else [earlier])), snapshot])
    envelopes = [{**of.newest, "name": metric_title(name)} for name, of in series.items()]
    endangered = rank_at_risk(people)
    ranked = RankedList(endangered)
    models = snapshot.manifest.get("models") or {}
    by_rules = [
        name for name in NAMED
        if is_by_rules(set(states[f"{name}_status"]), has_model=models.get(name, True) is not None)
    ]  # fmt: skip
    at_risk = Filters() if "churn" in by_rules else AT_RISK
    first, highest = askable.first(TOP), ranked.page(at_risk, TOP)
    standing = _standing(scores, customers, earlier, ranked, objecting)
    called = _to_call(standing, ranked, states["health_band"] if "churn" in by_rules else None)
    listed = partial(listed_people, snapshot, earlier=before)
    return Figures(
        as_of=instant_text(snapshot.as_of_us),
        revision=snapshot.revision,
        asked_as_of=instant_text(askable.asking.now_us // SECOND_US * SECOND_US),
        manifest=snapshot.manifest,
        populations=populations(scores, objecting),
        portfolio={column: _groups(states, before, column) for column in SCALES},
        churn_bins=_bins(states["churn_probability"].dropna()),
        series=series,
        metrics=[row for row in envelopes if row["value"] is not None and row["status"] in SHOWN_STATUSES],
        withheld=[row for row in envelopes if row["value"] is None or row["status"] not in SHOWN_STATUSES],
        by_rules=by_rules,
        calls=listed("churn", endangered, ranked.place_of[called[:CALLS]]),
        calls_total=len(called),
        candidates=listed("advocacy", askable.candidates, first.places),
        candidates_total=first.total,
        ranked_by=askable.ranked.ranked_by,
        at_risk=listed("churn", endangered, highest.places),
        at_risk_total=highest.total,
        has_revenue=has_revenue(people),
        moves=None if earlier is None or before is None else _moves(states, before, standing, snapshot, earlier),
        movers=moved_people(snapshot, objecting),
        flagged=snapshot.manifest.get("flagged", []),
    )


def _groups(states: pd.DataFrame, before: pd.DataFrame | None, column: str) -> list[Group]:
    """Counts by value, the known values first and in their order; null reads as not scored.

    Statuses are of all; bands and tiers of those who are still here, as the page and the metrics have them.
    """
    if not column.endswith("_status"):
        states, before = _here(states), None if before is None else _here(before)
    counts = states[column].fillna(NOT_SCORED).value_counts()
    earlier = None if before is None else before[column].fillna(NOT_SCORED).value_counts()
    names = {*counts.index, *(() if earlier is None else earlier.index)}
    known = [value for value in SCALES[column][1] if value in names]
    return [
        Group(
            value=str(value),
            count=int(counts.get(value, 0)),
            share=int(counts.get(value, 0)) / len(states) if len(states) else None,
            before=None if earlier is None else int(earlier.get(value, 0)),
        )
        for value in (*known, *sorted(names.difference(known)))
    ]


def _here(states: pd.DataFrame) -> pd.DataFrame:
    return states[states["churn_status"] != "churned"]


def _bins(probabilities: pd.Series[float]) -> list[int]:
    """How many customers have a probability in each of BINS equal parts of 0 to 1, the last one closed."""
    places = (probabilities * BINS).astype(int).clip(upper=BINS - 1).value_counts()
    return [int(places.get(place, 0)) for place in range(BINS)]


def _series(weeks: Sequence[Snapshot]) -> dict[str, Series]:
    """Metrics of the company as a whole that the newest week has, week by week."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for week in {week.as_of_us: week for week in weeks}.values():
        table = week.table("metrics")
        for row in table.filter(pc.is_null(table["by"])).to_pylist():
            rows.setdefault(row["metric_id"], []).append({**row, "as_of": instant_text(week.as_of_us)})
    newest = instant_text(weeks[-1].as_of_us)
    return {name: metric_series(name, of) for name, of in rows.items() if of[-1]["as_of"] == newest}


def metric_title(metric_id: str) -> str:
    """The name of a metric in the catalogue, or its id where the catalogue has it no more."""
    known = catalogue_by_id().get(metric_id)
    return metric_id if known is None else str(known["name"])


def _standing(
    scores: pa.Table, customers: pa.Table, earlier: Snapshot | None, ranked: RankedList, objecting: frozenset[str]
) -> Standing:
    """Where everybody stands, as the first screen of the page has it."""
    before = None if earlier is None else in_memory(earlier.table("scores", [*_STATES, *_PROBABILITIES]))
    figures = ranked.values[ranked.place_of], ranked.order[ranked.place_of]
    is_out = pc.is_in(scores["customer_id"], pa.array(sorted(objecting), pa.string())).to_numpy()
    standing = week_standing(in_memory(scores), in_memory(customers), before, *figures)
    return without(standing, is_out.nonzero()[0].tolist(), [])


def _to_call(standing: Standing, ranked: RankedList, health_band: pd.Series[str] | None) -> Places:
    """Rows of those to call first: who moved; where rules rank, whose band of health is given, the unhealthy."""
    if health_band is None:
        return standing.by_money(standing.to_call)
    return np.array([row for row in ranked.listed_rows() if health_band[row] == UNHEALTHY[-1]], np.intp)


def _moves(
    states: pd.DataFrame, before: pd.DataFrame, standing: Standing, snapshot: Snapshot, earlier: Snapshot
) -> Moves:
    """Count who crossed a line."""
    both = states.merge(before, on="customer_id", suffixes=("", "_before"))
    is_unhealthy, was_unhealthy = both["health_band"] == "at_risk", both["health_band_before"] == "at_risk"
    now, then = snapshot.manifest["models"], earlier.manifest["models"]
    pairs = {name: (facts or {}, then.get(name) or {}) for name, facts in now.items()}
    other = [name for name, (a, b) in pairs.items() if a.get("content_hash") != b.get("content_hash")]
    return Moves(
        as_of=instant_text(earlier.as_of_us),
        arrived=len(states) - len(both),
        gone=len(before) - len(both),
        newly_high=int(standing.newly_high.sum()),
        no_longer_high=int(standing.no_longer_high.sum()),
        newly_unhealthy=int((is_unhealthy & ~was_unhealthy).sum()),
        new_advocates=int(standing.became_advocate.sum()),
        other_models=other,
        shifted_models=[
            name
            for name, (a, b) in pairs.items()
            if name not in other and (a.get("offset") or 0.0) != (b.get("offset") or 0.0)
        ],
    )
