"""The figures of a weekly report: one published snapshot, beside the one before it, as plain data.

Page and text are made from the same figures (`reports.rendering`). These are read from the snapshot, and who may be
asked from what the service lists too (`asking.candidates`), so that they equal what it answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from vouch.features.errors import UsageError
from vouch.features.instants import SECOND_US, instant_text
from vouch.features.metrics.catalogue import catalogue_rows
from vouch.features.shown import visible_text
from vouch.features.vectors.sentences import for_a_list
from vouch.serving.asking.by_hand import without_scores
from vouch.serving.asking.by_rules import is_by_rules
from vouch.serving.asking.candidates import Askable, searchable_rows
from vouch.serving.asking.ranked_list import RankedList
from vouch.serving.asking.ranking import AT_RISK_BANDS, Filters, has_revenue, rank_at_risk
from vouch.serving.snapshots.movers import FELL, NEW_ADVOCATE, NEW_HIGH, ROSE, movers_of
from vouch.serving.snapshots.read import in_words, reasons_of
from vouch.serving.snapshots.schema import MODELS, NAMED
from vouch.serving.weekly.populations import populations

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import pandas as pd

    from vouch.serving.asking.ranked_list import FoundPlaces
    from vouch.serving.snapshots.files import Snapshot

TOP = 20
"""Customers in each list of the page."""
AT_RISK = Filters(bands=AT_RISK_BANDS)
REASONS = 3
TOP_MOVERS = 5
MOVERS: Mapping[str, tuple[str, str]] = {
    "Newly at risk of churn": ("churn", NEW_HIGH),
    "Risk of churn rose most": ("churn", ROSE),
    "Risk of churn fell most": ("churn", FELL),
    "New advocates": ("advocacy", NEW_ADVOCATE),
    "More likely to speak up": ("advocacy", ROSE),
}
"""Lists of movers that a report shows, by their titles."""
BINS = 20
SHOWN_STATUSES = ("ok", "low_n")
NOT_SCORED = "not scored"
STATUSES = ("ok", "cold_start", "leaving", "churned", "between_terms", "not_eligible", "no_model")
SCALES: Mapping[str, tuple[str, Sequence[str]]] = {
    "churn_status": ("Status for churn", STATUSES),
    "churn_band": ("Churn band", ("high", "watch", "low")),
    "health_band": ("Health band", ("at_risk", "watch", "healthy", "unknown")),
    "advocacy_status": ("Status for advocacy", STATUSES),
    "advocate_tier": ("Advocate tier", ("influential", "active", "potential", "none")),
}
"""What a portfolio is counted by, and its values in the order in which people read them."""
_STATES = ["customer_id", *SCALES]
_SCORES = [*_STATES, *(f"{model}_probability" for model in MODELS), "health_score"]


@dataclass(frozen=True)
class Group:
    """How many customers stand at one value, now and in the snapshot before."""

    value: str
    count: int
    share: float | None
    before: int | None
    words: str
    """The value as people read it; a health band has names of its own, for at risk is who may leave."""

    @property
    def change(self) -> int | None:
        """Customers more than before."""
        return None if self.before is None else self.count - self.before


@dataclass(frozen=True)
class Listed:
    """One customer in a list."""

    rank: int
    customer_id: str
    probability: float | None
    score: float | None
    value: float | None
    """None where the list is ranked by rules."""
    staying: float | None
    tier: str
    band: str | None
    segment: str | None
    mrr: float | None
    may_contact: bool
    ask_for: str | None
    reasons: Sequence[str]


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
class ListedMove:
    """One customer in a list of movers: before and now, and what moved the score most."""

    customer_id: str
    before: float | None
    after: float | None
    state_before: str | None
    state: str | None
    parts: Sequence[str]


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
    metrics: Sequence[Mapping[str, Any]]
    withheld: Sequence[Mapping[str, Any]]
    by_rules: Collection[str]
    """Models whose lists are ranked by rules, for the week was scored without a champion."""
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


def figures(snapshot: Snapshot, askable: Askable, earlier: Snapshot | None = None) -> Figures:
    """Return the figures of a snapshot, compared with an earlier one where there is one.

    `askable` tells who of it may be asked.

    Raises UsageError where the other is not earlier, SnapshotError where a table is damaged.
    """
    if earlier is not None and earlier.as_of_us >= snapshot.as_of_us:
        raise UsageError(f"{instant_text(earlier.as_of_us)} does not lie before {instant_text(snapshot.as_of_us)}")
    columns = list(dict.fromkeys([*_SCORES, *(f"{model}_status" for model in MODELS)]))
    objecting = askable.lists.by_hand.objections
    scores, customers = without_scores(snapshot.table("scores", columns), objecting), snapshot.table("customers")
    states = scores.to_pandas()
    before = None if earlier is None else earlier.table("scores", _STATES).to_pandas()
    people = searchable_rows(scores, customers)
    envelopes = _metrics(snapshot)
    endangered = rank_at_risk(people)
    models = snapshot.manifest.get("models") or {}
    by_rules = [
        name for name in NAMED
        if is_by_rules(set(states[f"{name}_status"]), has_model=models.get(name, True) is not None)
    ]  # fmt: skip
    at_risk = Filters() if "churn" in by_rules else AT_RISK
    asked = _listed(snapshot, "advocacy", askable.candidates, first := askable.first(TOP))
    leaving = _listed(snapshot, "churn", endangered, highest := RankedList(endangered).page(at_risk, TOP))
    return Figures(
        as_of=instant_text(snapshot.as_of_us),
        revision=snapshot.revision,
        asked_as_of=instant_text(askable.asking.now_us // SECOND_US * SECOND_US),
        manifest=snapshot.manifest,
        populations=populations(scores, objecting),
        portfolio={column: _groups(states, before, column) for column in SCALES},
        churn_bins=_bins(states["churn_probability"].dropna()),
        metrics=[row for row in envelopes if row["value"] is not None and row["status"] in SHOWN_STATUSES],
        withheld=[row for row in envelopes if row["value"] is None or row["status"] not in SHOWN_STATUSES],
        by_rules=by_rules,
        candidates=asked,
        candidates_total=first.total,
        ranked_by=askable.ranked.ranked_by,
        at_risk=leaving,
        at_risk_total=highest.total,
        has_revenue=has_revenue(people),
        moves=None if earlier is None or before is None else _moves(states, before, snapshot, earlier),
        movers=_movers(snapshot, objecting),
        flagged=snapshot.manifest.get("flagged", []),
    )


def _movers(snapshot: Snapshot, objecting: frozenset[str]) -> dict[str, list[ListedMove]]:
    """The first of each list of movers that is not empty, by its title; none where the week was compared with none."""
    if "movers.parquet" not in snapshot.manifest["files"]:
        return {}
    table = snapshot.table("movers")
    table = table.filter(pc.invert(pc.is_in(table["customer_id"], pa.array(sorted(objecting), pa.string()))))
    movers = {title: [_moved(row) for row in movers_of(table, *of, TOP_MOVERS)] for title, of in MOVERS.items()}
    return {title: people for title, people in movers.items() if people}


def _moved(row: Mapping[str, Any]) -> ListedMove:
    return ListedMove(
        customer_id=visible_text(row["customer_id"]),
        before=row["probability_before"],
        after=row["probability"],
        state_before=row["state_before"],
        state=row["state"],
        parts=[in_words(part) for part in for_a_list(row["changes"] or (), REASONS)],
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
            words="unhealthy" if (column, value) == ("health_band", "at_risk") else str(value),
        )
        for value in (*known, *sorted(names.difference(known)))
    ]


def _here(states: pd.DataFrame) -> pd.DataFrame:
    return states[states["churn_status"] != "churned"]


def _bins(probabilities: pd.Series[float]) -> list[int]:
    """How many customers have a probability in each of BINS equal parts of 0 to 1, the last one closed."""
    places = (probabilities * BINS).astype(int).clip(upper=BINS - 1).value_counts()
    return [int(places.get(place, 0)) for place in range(BINS)]


def _metrics(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Envelopes of the company as a whole, each with its name."""
    names = {row["id"]: row["name"] for row in catalogue_rows()}
    rows: list[dict[str, Any]] = snapshot.table("metrics").to_pylist()
    return [{**row, "name": names.get(row["metric_id"], row["metric_id"])} for row in rows if row["by"] is None]


def _listed(snapshot: Snapshot, model: str, ranked: pd.DataFrame, first: FoundPlaces) -> list[Listed]:
    """The first of a ranked list with their reasons."""
    chosen = [_plain(row) for row in ranked.iloc[first.places].to_dict("records")]
    reasons = reasons_of(snapshot, model, [row["row"] for row in chosen])
    return [
        Listed(
            rank=rank,
            customer_id=visible_text(row["customer_id"]),
            probability=row[f"{model}_probability"],
            score=row["score"],
            value=row["value"],
            staying=None if row["churn_probability"] is None else 1.0 - row["churn_probability"],
            tier=row["advocate_tier"],
            band=row["churn_band"],
            segment=None if row["segment"] is None else visible_text(row["segment"]),
            mrr=row["mrr"],
            may_contact=bool(row["contact_consent"]),
            ask_for=row.get("ask_for"),
            reasons=[in_words(reason) for reason in for_a_list(reasons[row["row"]], REASONS)] or _by_rules(row),
        )
        for rank, row in enumerate(chosen, 1)
    ]


def _by_rules(row: Mapping[str, Any]) -> list[str]:
    """What the rules go by, of one customer."""
    answer, health = row.get("nps_last"), row["health_score"]
    reasons = [] if answer is None else [f"latest answer to how likely they are to recommend: {answer:g}"]
    return reasons if health is None else [*reasons, f"health {health:.0f}"]


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): None if value is None or value != value else value for name, value in row.items()}


def _moves(states: pd.DataFrame, before: pd.DataFrame, snapshot: Snapshot, earlier: Snapshot) -> Moves:
    """Count who crossed a line; a customer who is new counts as arrived and nowhere else."""
    both = states.merge(before, on="customer_id", suffixes=("", "_before"))

    def crossed(column: str, values: Sequence[str]) -> tuple[int, int]:
        now, then = both[column].isin(list(values)), both[f"{column}_before"].isin(list(values))
        return int((now & ~then).sum()), int((then & ~now).sum())

    newly_high, no_longer_high = crossed("churn_band", ["high"])
    now, then = snapshot.manifest["models"], earlier.manifest["models"]
    pairs = {name: (facts or {}, then.get(name) or {}) for name, facts in now.items()}
    other = [name for name, (a, b) in pairs.items() if a.get("content_hash") != b.get("content_hash")]
    return Moves(
        as_of=instant_text(earlier.as_of_us),
        arrived=len(states) - len(both),
        gone=len(before) - len(both),
        newly_high=newly_high,
        no_longer_high=no_longer_high,
        newly_unhealthy=crossed("health_band", ["at_risk"])[0],
        new_advocates=crossed("advocate_tier", ["active", "influential"])[0],
        other_models=other,
        shifted_models=[
            name
            for name, (a, b) in pairs.items()
            if name not in other and (a.get("offset") or 0.0) != (b.get("offset") or 0.0)
        ],
    )
