"""Who may be asked to speak up, in which order, and why: frames in, frames out, no I/O.

The order is by expected value for now: the probability that a customer speaks up unasked, times the probability of
staying. Where staying is not known (no champion, or nobody to lose) it counts as certain: a month's churn moves the
product by a few per cent at most, and an unknown must not push anybody out of the list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Mapping

EXCLUSIONS: Mapping[str, str] = {
    "churned": "has left",
    "leaving": "has announced an end",
    "no_model": "no model of advocacy has passed the gate yet",
    "not_eligible": "is not among those whom the model of advocacy is about",
    "no_consent": "has not consented to be asked",
}
"""Why somebody is not asked, the first that holds; and how that reads."""
CATEGORIES = ("segment", "region", "language", "advocate_tier", "churn_band", "exclusion")
SCORED = ("ok", "cold_start")


@dataclass(frozen=True)
class Filters:
    """What to narrow a ranked list to. Empty means all.

    A language also takes its variants (`ko` finds `ko-KR`), as RFC 4647 section 3.3.1 has it.
    """

    segments: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    bands: tuple[str, ...] = ()
    minimum_score: float = 0.0
    include_ineligible: bool = False


@dataclass(frozen=True)
class Place:
    """Where a page ended: the value and the customer of its last row."""

    value: float | None
    customer_id: str


@dataclass(frozen=True)
class Page:
    """Rows of the ranked frame (positions), their places in the filtered list from 1, and how long that list is."""

    rows: np.ndarray[Any, np.dtype[np.intp]]
    first_place: int
    total: int
    is_last: bool


def exclusions(customers: pd.DataFrame) -> pd.Series[Any]:
    """Return why each customer is not asked (a key of EXCLUSIONS), or null where the customer may be."""
    advocacy, churn = customers["advocacy_status"], customers["churn_status"]
    rules = {
        "churned": (advocacy == "churned") | (churn == "churned"),
        "leaving": churn == "leaving",
        "no_model": advocacy == "no_model",
        "not_eligible": ~advocacy.isin(SCORED),
        "no_consent": ~customers["advocacy_consent"].eq(True).fillna(False).astype(bool),
    }
    held = [np.asarray(rules[code], dtype=bool) for code in EXCLUSIONS]
    codes = np.select(held, range(len(EXCLUSIONS)), default=-1).astype(np.int8)
    return pd.Series(pd.Categorical.from_codes(codes, categories=pd.Index(list(EXCLUSIONS))), index=customers.index)


def candidates(customers: pd.DataFrame) -> pd.DataFrame:
    """Return the customers ranked by advocacy times staying, with why each is not asked.

    Needs `customer_id`, both statuses and probabilities, `advocate_tier`, `churn_band`, `advocacy_consent` and the
    profile columns that Filters name. Adds `value`, `score` (0 to 100) and `exclusion`; the columns of CATEGORIES come
    back as categories, which makes filters cheap.
    """
    staying = (1.0 - customers["churn_probability"]).fillna(1.0)
    return _ranked(
        customers.assign(
            exclusion=exclusions(customers),
            score=100.0 * customers["advocacy_probability"],
            value=customers["advocacy_probability"] * staying,
        )
    )


def at_risk(customers: pd.DataFrame) -> pd.DataFrame:
    """Return the customers ranked by revenue at risk: probability of churn times monthly revenue.

    Where the company has no revenue per customer (`mrr` is null) the probability alone ranks. Whose churn is not
    predicted is excluded with that status as the reason. Columns as for `candidates`.
    """
    probability = customers["churn_probability"]
    status = customers["churn_status"]
    return _ranked(
        customers.assign(
            exclusion=status.where(~status.isin(SCORED), None),
            score=100.0 * probability,
            value=probability * customers["mrr"].fillna(1.0) if customers["mrr"].notna().any() else probability,
        )
    )


def _ranked(customers: pd.DataFrame) -> pd.DataFrame:
    order = ["value", "customer_id"]
    frame = customers.sort_values(order, ascending=[False, True], na_position="last", ignore_index=True)
    return frame.astype(dict.fromkeys(CATEGORIES, "category"))


def page(frame: pd.DataFrame, filters: Filters, limit: int, after: Place | None = None) -> Page:
    """Return up to `limit` rows of a ranked frame that meet the filters and come after a place."""
    matching = np.flatnonzero(_matches(frame, filters))
    start = 0 if after is None else int(np.searchsorted(matching, _position_after(frame, after)))
    rows = matching[start : start + limit]
    return Page(rows, start + 1, len(matching), start + len(rows) >= len(matching))


def _matches(frame: pd.DataFrame, filters: Filters) -> np.ndarray[Any, np.dtype[np.bool_]]:
    keep = np.ones(len(frame), dtype=bool)
    if not filters.include_ineligible:
        keep &= frame["exclusion"].isna().to_numpy()
    if filters.minimum_score > 0:
        keep &= (frame["score"] >= filters.minimum_score).to_numpy()
    exact = {
        "segment": filters.segments,
        "region": filters.regions,
        "advocate_tier": filters.tiers,
        "churn_band": filters.bands,
    }
    for column, wanted in exact.items():
        if wanted:
            keep &= frame[column].isin(list(wanted)).to_numpy()
    if filters.languages:
        spoken = [str(tag) for tag in frame["language"].cat.categories if _is_variant(str(tag), filters.languages)]
        keep &= frame["language"].isin(spoken).to_numpy()
    return keep


def _is_variant(tag: str, wanted: tuple[str, ...]) -> bool:
    return any(f"{tag}-".lower().startswith(f"{language}-".lower()) for language in wanted)


def _position_after(frame: pd.DataFrame, after: Place) -> int:
    """The first row that ranks behind a place, whether that customer still stands there or not."""
    values = -frame["value"].to_numpy()
    known = int(np.count_nonzero(~np.isnan(values)))
    if after.value is None:
        low, high = known, len(values)
    else:
        low, high = (int(np.searchsorted(values[:known], -after.value, side)) for side in ("left", "right"))
    ties = frame["customer_id"].iloc[low:high].to_numpy()
    return low + int(np.searchsorted(ties, after.customer_id, side="right"))
