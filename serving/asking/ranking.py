"""Eligibility and ranking of candidates: who may be asked, for what, in which order, and why.

Frames in, frames out, no I/O. The order is by expected value: what an ask is expected to bring, times the probability
of staying, times the worth of the act that is worth asking for, the greatest of those that the customer could do. What
an ask brings is what it adds, where asks at random have shown that; else the probability that the customer accepts;
where nothing is known of asking, the probability to speak up unasked times the kind's share of the customer's acts,
counted from their own, and from all others' where there are few (see `gains`). Who searches for a kind of act gets
everybody who may be asked for it, in the order of what that ask is worth; for a public kind everybody in an order that
is drawn. Where staying is not known (no champion, or nobody to lose) it counts as certain: a month's churn moves the
product by a few per cent at most, and an unknown must not push anybody out of the list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from vouch.models.definition import SCORED
from vouch.serving.asking.by_rules import (
    are_endangered,
    optional,
    order_of_candidates,
    order_of_endangered,
    speaks_by_rules,
)
from vouch.serving.asking.gains import flattened
from vouch.serving.asking.rules.caps import ASKED, CODES, OPEN, QUOTA, REFUSED
from vouch.serving.asking.rules.policy import load_policy
from vouch.serving.asking.what_to_ask import what_to_ask
from vouch.serving.snapshots.schema import NO_MODEL, OPTED_OUT, REPAIR

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vouch.serving.asking.rules.policy import Policy
    from vouch.serving.asking.what_to_ask import Chosen

EXCLUSIONS: Mapping[str, str] = {
    "opted_out": "objects to being profiled",
    "churned": "has left",
    "leaving": "has announced an end",
    "no_model": "no model of advocacy has passed the gate yet, and no act or answer speaks for it",
    "not_eligible": "is not among those whom the model of advocacy is about",
    "no_consent": "has not given every consent that an ask needs",
    "open_ticket": "has an open ticket of high priority",
    "repair_first": "was promised something that was not kept: put that right first",
    "low_health": "has a health score below the floor",
    "high_churn": "is too likely to leave",
    "kind_off": "would be asked for what the policy asks nobody for",
    "kind_unmet": "does not meet what the policy asks of this kind of act",
    "kind_rests": "has done this so lately that it rests",
    "no_kind": "could do none of the acts that are asked for",
    OPEN: "has not answered the latest ask yet",
    REFUSED: "has declined lately",
    ASKED: "was asked as often as may be",
    QUOTA: "belongs to a group that was asked enough lately",
}
"""Why somebody is not asked, the first that holds; and how that reads."""
STANDING = tuple(code for code in EXCLUSIONS if code not in (*CODES, QUOTA))
"""Those that follow from the week alone; the others move with every ask."""
CATEGORIES = (
    "segment",
    "region",
    "language",
    "owner",
    "advocate_tier",
    "churn_band",
    "exclusion",
    "ask_for",
    "ranked_by",
)
LISTS = ("open_tickets", "acts", "response_effects")
"""Columns of lists, which are read before the order is made and not kept."""
AT_RISK_BANDS: tuple[Literal["high", "watch"], ...] = ("high", "watch")
"""Who is at risk: the bands that a list shows where no other are asked for."""


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
    owners: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    """These choose the list itself: `KindLists` makes it."""
    minimum_score: float = 0.0
    minimum_mrr: float = 0.0
    sort: str = "value"
    """What the list of those at risk is ordered by: it chooses the list itself, too."""
    include_ineligible: bool = False


@dataclass(frozen=True)
class Place:
    """Where a page ended: the value and the customer of its last row."""

    value: float | None
    customer_id: str


def exclusions(
    customers: pd.DataFrame, policy: Policy, chosen: Chosen, kinds: Sequence[str] | None = None
) -> pd.Series[Any]:
    """Return why each customer is not asked (one of STANDING), or null where the customer may be.

    For a public kind nobody stays out for health, score, answers or an open matter: who is asked for a review is
    everybody, or it would be gating.
    """
    advocacy, churn = customers["advocacy_status"], customers["churn_status"]
    rule, is_drawn = policy.eligibility, kinds is not None and any(map(policy.is_drawn, kinds))
    rules = {
        "opted_out": advocacy == OPTED_OUT,
        "churned": (advocacy == "churned") | (churn == "churned"),
        "no_consent": ~np.logical_and.reduce([_is_given(optional(customers, name)) for name in rule.consents]),
        **({} if is_drawn else _of_models(customers, policy)),
        "kind_off": np.full(len(customers), kinds is not None and not any(policy.kinds[k].value for k in kinds)),
        "kind_unmet": chosen.is_unmet if kinds else False,
        "kind_rests": chosen.rests if kinds else False,
        "no_kind": chosen.kind.isna(),
    }
    nobody = np.zeros(len(customers), dtype=bool)
    held = [nobody | np.asarray(rules.get(code, False), dtype=bool) for code in STANDING]
    codes = np.select(held, range(len(STANDING)), default=-1).astype(np.int8)
    return pd.Series(pd.Categorical.from_codes(codes, categories=pd.Index(list(STANDING))), index=customers.index)


def _of_models(customers: pd.DataFrame, policy: Policy) -> dict[str, Any]:
    """Who stays out of a ranked list by health, scores and open matters."""
    rule, advocacy = policy.eligibility, customers["advocacy_status"]
    by_rules = speaks_by_rules(customers)
    return {
        "leaving": customers["churn_status"] == "leaving",
        "no_model": (advocacy == NO_MODEL) & ~by_rules,
        "not_eligible": ~advocacy.isin(SCORED) & ~by_rules,
        "open_ticket": _holds_any(customers, "open_tickets", rule.ticket_priorities),
        "repair_first": (optional(customers, "care_first") == REPAIR) & rule.repair_first,
        "low_health": optional(customers, "health_score").astype("float64") < rule.minimum_health,
        "high_churn": customers["churn_probability"] > rule.maximum_churn,
    }


def _is_given(consent: pd.Series[Any]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return consent.eq(True).fillna(False).to_numpy(dtype=bool)


def _holds_any(customers: pd.DataFrame, name: str, wanted: Sequence[str]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Whether a column of lists holds one of the values."""
    rows, values = flattened(optional(customers, name))
    holds = np.zeros(len(customers), dtype=bool)
    holds[rows[np.isin(np.asarray(values.to_pylist(), dtype=object), list(wanted))]] = True
    return holds


def rank_candidates(
    customers: pd.DataFrame,
    policy: Policy | None = None,
    as_of_us: int | None = None,
    kinds: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return the customers ranked by expected value, with what to ask each for and why each is not asked.

    Needs `customer_id`, both statuses and probabilities, `advocate_tier`, `churn_band`, the consents and the profile
    columns that Filters name. Adds `ask_for`, `ranked_by`, `value`, `score` (0 to 100) and `exclusion`; the columns of
    CATEGORIES come back as categories, which makes filters cheap. `as_of_us` is the instant that the acts are seen
    from; `kinds` are the acts that are wanted, by default all that are ranked.
    """
    declared = policy or load_policy()
    staying = (1.0 - customers["churn_probability"]).fillna(1.0)
    chosen = what_to_ask(customers, declared, as_of_us, kinds)
    frame = customers.assign(
        ask_for=chosen.kind,
        worth=chosen.worth,
        score=100.0 * customers["advocacy_probability"],
        value=staying * chosen.gain,
        ranked_by=chosen.basis,
    )
    frame = frame.assign(order=order_of_candidates(frame))
    lists = [name for name in LISTS if name in frame]
    return _ranked(frame.assign(exclusion=exclusions(frame, declared, chosen, kinds)).drop(columns=lists))


def rank_at_risk(customers: pd.DataFrame) -> pd.DataFrame:
    """Return the customers ranked by revenue at risk: probability of churn times monthly revenue.

    Whose revenue is not known has no `value` (a probability is no money), and stands behind all who have one, by the
    probability; so does everybody where nobody pays by the month (`mrr` is null or 0). Whose churn is not predicted is
    excluded with that status as the reason; where no model predicts it, health ranks. Columns as for `rank_candidates`.
    """
    probability = customers["churn_probability"]
    frame = customers.assign(
        exclusion=customers["churn_status"].where(~are_endangered(customers), None),
        score=100.0 * probability,
        value=probability * customers["mrr"].astype("float64") if has_revenue(customers) else np.nan,
    )
    return _ranked(frame.assign(order=order_of_endangered(frame)))


def has_revenue(customers: pd.DataFrame) -> bool:
    """Whether any customer pays by the month: contracts without a price put nothing at risk, and would rank nobody."""
    return bool((customers["mrr"] > 0).any())


def _ranked(customers: pd.DataFrame) -> pd.DataFrame:
    order = ["order", "customer_id"]
    frame = customers.sort_values(order, ascending=[False, True], na_position="last", ignore_index=True)
    return frame.astype({name: "category" for name in CATEGORIES if name in frame})


def is_variant(tag: str, wanted: tuple[str, ...]) -> bool:
    """Whether a language is one of those wanted, or a variant of one."""
    return any(f"{tag}-".lower().startswith(f"{language}-".lower()) for language in wanted)
