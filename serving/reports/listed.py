"""People in the lists of a report: who they are, what is said of them, and why, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from vouch.features.shown import visible_text
from vouch.features.vectors.sentences import for_a_list
from vouch.serving.snapshots.movers import FELL, LONGEST, NEW_ADVOCATE, NEW_HIGH, ROSE, movers_of
from vouch.serving.snapshots.read import band_reasons_of, crm_link, reasons_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import pandas as pd

    from vouch.features.health import BandReason
    from vouch.serving.asking.ranked_list import Places
    from vouch.serving.snapshots.files import Snapshot

REASONS = 3
TOP_MOVERS = 5
MOVERS: Mapping[str, tuple[str, str]] = {
    "Newly at risk of churn": ("churn", NEW_HIGH),
    "Risk of churn rose most": ("churn", ROSE),
    "Risk of churn fell most": ("churn", FELL),
    "New advocates": ("advocacy", NEW_ADVOCATE),
    "More likely to speak up": ("advocacy", ROSE),
}
"""Lists of movers that a report shows, by their titles; nobody stands in two of one model."""
_NAMES = ("name", "account_name", "currency")


@dataclass(frozen=True)
class KnownCustomer:
    """Who a customer is, as far as the company's data say."""

    customer_id: str
    name: str | None = None
    account_name: str | None = None
    currency: str | None = None
    mrr: float | None = None
    crm_url: str | None = None


@dataclass(frozen=True)
class Listed:
    """One customer in a list."""

    rank: int
    person: KnownCustomer
    probability: float | None
    before: float | None
    """The same in the snapshot before."""
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
    reasons: Sequence[Mapping[str, Any]]
    rules: Mapping[str, float]
    """What the rules go by where there are no reasons: the latest `answer`, and `health`."""
    band_reason: BandReason | None
    """Why the band of health is another one than the score alone would give."""

    @property
    def customer_id(self) -> str:
        """Whose row it is."""
        return self.person.customer_id


@dataclass(frozen=True)
class ListedMove:
    """One customer in a list of movers: before and now, and what moved the score most."""

    person: KnownCustomer
    before: float | None
    after: float | None
    state_before: str | None
    state: str | None
    reasons: Sequence[Mapping[str, Any]]
    """What moved it most, by which way."""
    rules: Mapping[str, float] = field(default_factory=dict)
    band_reason: BandReason | None = None

    @property
    def customer_id(self) -> str:
        """Who moved."""
        return self.person.customer_id


def moved_people(snapshot: Snapshot, objecting: frozenset[str]) -> dict[str, list[ListedMove]]:
    """The first of each list of movers that is not empty, by its title; none where the week was compared with none."""
    if "movers.parquet" not in snapshot.manifest["files"]:
        return {}
    table = snapshot.table("movers")
    table = table.filter(pc.invert(pc.is_in(table["customer_id"], pa.array(sorted(objecting), pa.string()))))
    rows: dict[str, list[dict[str, Any]]] = {}
    listed: set[tuple[str, str]] = set()
    for title, (model, name) in MOVERS.items():
        others = [row for row in movers_of(table, model, name, LONGEST) if (model, row["customer_id"]) not in listed]
        rows[title] = others[:TOP_MOVERS]
        listed.update((model, row["customer_id"]) for row in rows[title])
    who = _people(snapshot, {row["customer_id"] for of in rows.values() for row in of})
    return {title: [_moved(row, who[row["customer_id"]]) for row in of] for title, of in rows.items() if of}


def _people(snapshot: Snapshot, wanted: Collection[str]) -> dict[str, KnownCustomer]:
    """Who some customers are, by id."""
    table = snapshot.table("customers")
    table = table.filter(pc.is_in(table["customer_id"], pa.array(sorted(wanted), pa.string())))
    profiles = {row["customer_id"]: row for row in table.to_pylist()}
    return {name: _person(name, profiles.get(name, {})) for name in wanted}


def _person(customer_id: str, row: Mapping[str, Any]) -> KnownCustomer:
    """One customer with names that can be shown; weeks of older versions do not hold them."""
    texts = {name: visible_text(value) for name in _NAMES if (value := row.get(name)) is not None}
    url = crm_link(row.get("crm_url"), customer_id)
    return KnownCustomer(visible_text(customer_id), **texts, mrr=row.get("mrr"), crm_url=url)


def _moved(row: Mapping[str, Any], who: KnownCustomer) -> ListedMove:
    return ListedMove(
        person=who,
        before=row["probability_before"],
        after=row["probability"],
        state_before=row["state_before"],
        state=row["state"],
        reasons=for_a_list(row["changes"] or (), REASONS),
    )


def listed_people(
    snapshot: Snapshot, model: str, ranked: pd.DataFrame, places: Places, earlier: pd.DataFrame | None
) -> list[Listed]:
    """The first of a ranked list with their reasons, and with their probability before."""
    chosen = [_plain(row) for row in ranked.iloc[places].to_dict("records")]
    rows = [row["row"] for row in chosen]
    reasons, bands = reasons_of(snapshot, model, rows), band_reasons_of(snapshot, rows)
    who = _people(snapshot, {row["customer_id"] for row in chosen})
    known = [] if earlier is None else earlier[["customer_id", f"{model}_probability"]].to_dict("records")
    before = {row["customer_id"]: _plain(row)[f"{model}_probability"] for row in known}
    return [
        Listed(
            rank=rank,
            person=who[row["customer_id"]],
            before=before.get(row["customer_id"]),
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
            reasons=for_a_list(reasons[row["row"]], REASONS),
            rules=_by_rules(row),
            band_reason=bands[row["row"]],
        )
        for rank, row in enumerate(chosen, 1)
    ]


def _by_rules(row: Mapping[str, Any]) -> dict[str, float]:
    """What the rules go by, of one customer."""
    known = {"answer": row.get("nps_last"), "health": row["health_score"]}
    return {name: value for name, value in known.items() if value is not None}


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): None if value is None or value != value else value for name, value in row.items()}
