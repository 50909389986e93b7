"""Uplift of asking as the champion that scored a week has it, and the exploration that would tell it more closely.

What asks at random have shown stands in the week's manifest. How many of them are still missing is told with it, and
the share of places to be drawn for that (`[exploration]` of the policy), which is off until somebody switches it on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.features.contract.tables import DAY_US
from vouch.models.scoring.effects import full_count

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from vouch.serving.asking.rules.policy import Policy

MODEL = "response"
RECENT_DAYS = 91
WEEKS = 26
"""Weeks in which the asks that are missing should come together."""
MOST_SHARE = 0.5


def uplift_by_kind(manifest: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return by kind of act what asking at random has added, with its interval, by the manifest of a week.

    A kind that was hardly tried is not there.
    """
    return {
        of["kind"]: {
            "value": of["average"],
            "ci_low": of["low"],
            "ci_high": of["high"],
            "n": of["at_random"],
            "unasked": of["untreated"],
        }
        for of in _kinds(manifest)
        if of["average"] is not None
    }


def exploration_plan(manifest: Mapping[str, Any], asks: pd.DataFrame, policy: Policy, now_us: int) -> dict[str, Any]:
    """Return how many asks at random are missing until each ranked kind is known closely, and what would bring them.

    `asks` are those of the week's data (`asked_us`): it is taken that as many a week go on. The share is null where
    nobody asks, or nothing is missing.
    """
    known = {of["kind"]: of["still_needed"] for of in _kinds(manifest)}
    needed = sum(known.get(kind, full_count()) for kind in policy.ranked_kinds)
    asked_us = asks["asked_us"].to_numpy(dtype=np.int64) if len(asks) else np.empty(0, dtype=np.int64)
    a_week = float((asked_us > now_us - RECENT_DAYS * DAY_US).sum()) * 7 / RECENT_DAYS
    share = None if not needed or not a_week else min(MOST_SHARE, max(0.01, round(needed / (a_week * WEEKS), 2)))
    return {
        "share": policy.exploration.share,
        "asks_needed": needed,
        "asks_a_week": round(a_week, 1),
        "proposed_share": share,
        "weeks": None if share is None else int(np.ceil(needed / (a_week * share))),
    }


def _kinds(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    effects = ((manifest.get("models") or {}).get(MODEL) or {}).get("effects") or {}
    kinds: list[Mapping[str, Any]] = effects.get("kinds", [])
    return kinds
