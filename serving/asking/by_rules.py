"""Lists without a champion: who speaks up or may leave by rules, where no model has passed the gate.

A young company has too few outcomes for a model, and customers all the same. Who may be asked stands in the order of
tier, latest answer to how likely they are to recommend, and health; who may leave in that of health and revenue, and
behind them, where too little is known for a band of health, those who have been silent, the longest first. These are no
probabilities, and every list says so: `value` and the scores stay null, and the order is a place alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vouch.models.definition import SCORED
from vouch.serving.snapshots.schema import NO_MODEL, TIERS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

UNHEALTHY = ("watch", "at_risk")
"""Bands of health that are told where no model tells who may leave, from below."""
UNKNOWN = "unknown"
"""The band of whose health too little is known."""
SILENT_DAYS = 28
"""Who was not active for so long is silent."""
RULES, MODEL = "rules", "model"
"""What a list may be ranked by."""
Mask = np.ndarray[Any, np.dtype[np.bool_]]
Numbers = np.ndarray[Any, np.dtype[np.float64]]


def optional(customers: pd.DataFrame, name: str) -> pd.Series[Any]:
    """A column that weeks of an earlier version do not have; null there."""
    return customers[name] if name in customers else pd.Series(None, index=customers.index, dtype=object)


def is_by_rules(statuses: Collection[str], *, has_model: bool = True) -> bool:
    """Whether a list is ranked by rules, from all statuses of its model in a week: nobody is scored for want of one.

    Where no model scored the week and nobody could be scored either, it is, too: no model found nobody in danger.

    >>> is_by_rules({"no_model", "churned"}), is_by_rules({"no_model", "ok"}), is_by_rules({"churned"})
    (True, False, False)
    >>> is_by_rules({"churned"}, has_model=False), is_by_rules({"ok"}, has_model=False)
    (True, False)
    """
    return (NO_MODEL in statuses or not has_model) and not {*SCORED} & {*statuses}


def speaks_by_rules(customers: pd.DataFrame) -> Mask:
    """Who could be asked by the rules: no model scores them, and an answer or an act of theirs speaks for it."""
    tier = optional(customers, "advocate_tier").isin(TIERS[1:])
    return ((customers["advocacy_status"] == NO_MODEL) & tier).to_numpy(dtype=bool)


def is_endangered(status: str, band: str | None, silent_days: float | None = None) -> bool:
    """Whether one customer is listed among those who may leave: by a model, else by health, else by silence.

    >>> is_endangered("no_model", "watch"), is_endangered("no_model", "unknown", 30.0)
    (True, True)
    >>> is_endangered("no_model", "unknown", 3.0), is_endangered("no_model", "healthy", 30.0)
    (False, False)
    """
    is_silent = band == UNKNOWN and silent_days is not None and silent_days >= SILENT_DAYS
    return status in SCORED or (status == NO_MODEL and (band in UNHEALTHY or is_silent))


def are_endangered(customers: pd.DataFrame) -> Mask:
    """Who is listed among those who may leave, by the rule of `is_endangered`."""
    status, band = customers["churn_status"], optional(customers, "health_band")
    is_silent = (band == UNKNOWN) & (_silent_days(customers) >= SILENT_DAYS)
    return (status.isin(SCORED) | ((status == NO_MODEL) & (band.isin(UNHEALTHY) | is_silent))).to_numpy(dtype=bool)


def _silent_days(customers: pd.DataFrame) -> pd.Series[Any]:
    return optional(customers, "silent_days").astype("float64")


def order_of_candidates(customers: pd.DataFrame) -> Numbers:
    """What the candidates are ordered by, falling: the value, and behind all who have one the places by rules."""
    tier = optional(customers, "advocate_tier").map({name: place for place, name in enumerate(TIERS)})
    keys = (tier, optional(customers, "nps_last"), optional(customers, "health_score"))
    return _behind(customers, customers["advocacy_status"], keys)


def order_of_endangered(customers: pd.DataFrame) -> Numbers:
    """What those who may leave are ordered by, falling: the value, behind it the probability, then places by rules."""
    band = optional(customers, "health_band").map({name: place for place, name in enumerate(UNHEALTHY)})
    mrr, health = customers["mrr"].astype("float64"), -optional(customers, "health_score").astype("float64")
    keys = (band, mrr.where(band.notna(), _silent_days(customers)), health.where(band.notna(), mrr))
    probability = customers["churn_probability"].astype("float64")
    by_money = customers["value"].astype("float64")
    return _behind(customers.assign(value=by_money.fillna(probability - 1.0)), customers["churn_status"], keys)


def _behind(customers: pd.DataFrame, status: pd.Series[Any], keys: Sequence[pd.Series[Any]]) -> Numbers:
    order = customers["value"].to_numpy(dtype=np.float64).copy()
    rows = np.flatnonzero((status == NO_MODEL).to_numpy())
    if not len(rows):
        return order
    falling = [-np.nan_to_num(key.astype("float64").to_numpy()[rows], nan=-np.inf) for key in keys]
    ids = customers["customer_id"].to_numpy(dtype=object)[rows].astype(str)
    places = np.lexsort((ids, *reversed(falling)))
    order[rows[places]] = -1.0 - np.arange(len(rows))
    return order
