"""Retention offers: whom an offer keeps, what that is worth after its cost, and whom it is better to leave alone.

Known from campaigns with a holdout; without one nothing is told. Where the interval of what they prevent does not lie
above 0, each row says that it is not shown: what stands there is an estimate, and no advice. Worth is what the offer
prevents of leaving, times what the customer is still expected to bring, less what an offer has cost. A share of those
whom it would pay to keep is held out by chance, unless the policy has it otherwise: advice that everybody follows shows
nothing, and what was shown once goes stale. Who is held out follows from a secret of the store, the quarter and the
customer, so that a campaign has the same arms from its first week to its last.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vouch.features.instants import as_datetime
from vouch.models.scoring.effects import UPLIFT

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

MODEL, KIND = "churn", "offer"
EFFECTS = f"{MODEL}_effects"
COLUMNS = (EFFECTS, "clv_margin", "clv_margin_so_far")
"""What of the scores of a week says it."""
Numbers = np.ndarray[Any, np.dtype[np.float64]]


class Holdout(NamedTuple):
    """Which share of those whom it pays to keep gets no offer, drawn anew each quarter."""

    share: float
    secret: str
    as_of_us: int

    def holds(self, customer_id: str) -> bool:
        """Whether a customer is held out in the quarter of the week."""
        at = as_datetime(self.as_of_us)
        drawn = f"{self.secret} offers {at.year} {(at.month - 1) // 3} {customer_id}".encode()
        return int.from_bytes(hashlib.blake2b(drawn, digest_size=8).digest()) / 2**64 < self.share


NO_HOLDOUT = Holdout(0.0, "", 0)


class OfferFacts(NamedTuple):
    """Mean cost of an offer, 0 where nobody noted any, and whether trials have shown that offers keep customers."""

    cost: float
    is_shown: bool
    holdout: Holdout = NO_HOLDOUT


def offer_facts(manifest: Mapping[str, Any], holdout: Holdout = NO_HOLDOUT) -> OfferFacts:
    """What the champion that scored a week knows of offers as such."""
    kinds = (((manifest.get("models") or {}).get(MODEL) or {}).get("effects") or {}).get("kinds", [])
    known = next((of for of in kinds if of["kind"] == KIND), None) or {}
    return OfferFacts(float(known.get("cost") or 0.0), known.get("basis") == UPLIFT, holdout)


def offer_to(row: Mapping[str, Any], facts: OfferFacts) -> dict[str, Any] | None:
    """What an offer would do for one customer, from a row of scores; None where no effect is known.

    `propensity` is the probability that the draw leaves to the offer, null where nothing is drawn.
    """
    known = next((of for of in row.get(EFFECTS) or () if of["kind"] == KIND), None)
    if known is None or known["effect"] is None:
        return None
    ahead = _ahead(row.get("clv_margin"), row.get("clv_margin_so_far"))
    worth = None if ahead is None else known["effect"] * ahead - facts.cost
    is_worth = facts.is_shown and (known["effect"] > 0 if worth is None else worth > 0)
    is_held = is_worth and facts.holdout.holds(row["customer_id"])
    return {
        "prevents": known["effect"],
        "churn_if_offered": known["treated"],
        "cost": facts.cost,
        "worth": worth,
        "advice": _advice(facts, is_worth, is_held),
        "propensity": 1.0 - facts.holdout.share if is_worth and facts.holdout.share else None,
    }


def _advice(facts: OfferFacts, is_worth: bool, is_held: bool) -> str:
    if not facts.is_shown:
        return "not_shown"
    return "hold_out" if is_held else "offer" if is_worth else "leave_alone"


def offer_worths(scores: pa.Table, facts: OfferFacts) -> Numbers:
    """What an offer to each customer is worth, NaN where that is not known; rows as those of `scores`."""
    if EFFECTS not in scores.column_names:
        return np.full(len(scores), np.nan)
    offers = (offer_to(row, facts) for row in scores.select(["customer_id", *COLUMNS]).to_pylist())
    return np.array([np.nan if of is None or of["worth"] is None else of["worth"] for of in offers], dtype=np.float64)


def _ahead(margin: float | None, so_far: float | None) -> float | None:
    """What a customer is still expected to bring."""
    return None if margin is None or margin != margin else max(0.0, margin - (so_far or 0.0))
