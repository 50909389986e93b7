"""Formatting of answers for people: reasons in words, what to ask for and why, instants as text."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from vouch.features.instants import as_datetime, iso_text
from vouch.features.vectors.sentences import as_sentence, for_a_list, sentence
from vouch.serving.asking.gains import AFFINITY
from vouch.serving.snapshots.read import crm_link
from vouch.serving.snapshots.schema import REPAIR, THANK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vouch.serving.api.week import ServedWeek

FIRST: Mapping[str, str] = {
    THANK: "has spoken up and was not thanked: thank before you ask again",
    REPAIR: "was promised something that was not kept: put that right first",
}
"""What the care index asks for before an ask, in words."""


NAMED = ("name", "account_id", "account_name", "owner", "currency")
"""What a CRM calls a customer by; null in weeks of an earlier version."""
LONGEST_CACHED = 100
"""Characters of a value whose words are kept: a request may send longer ones, and others each time."""


@lru_cache(20_000)
def _cached_words(feature: str, value: str) -> str:
    return sentence(feature, value)


def _words(feature: str, value: str) -> str:
    """A reason in words; the same few values come again and again."""
    return (_cached_words if len(value) <= LONGEST_CACHED else sentence)(feature, value)


def worded_reasons(
    reasons: Sequence[Mapping[str, Any]] | None, limit: int | None = None
) -> list[dict[str, Any]] | None:
    """Reasons with their words: all, the largest first; or the first of a list, what one can act on before the rest."""
    if reasons is None:
        return None
    chosen = reasons if limit is None else for_a_list(reasons, limit)
    return [{**reason, "words": _words(reason["feature"], reason["value"])} for reason in chosen]


def worded_changes(changes: Sequence[Mapping[str, Any]] | None) -> list[dict[str, Any]] | None:
    """What moved a score, with its words where it is a feature."""
    if changes is None:
        return None
    return [
        {
            **change,
            "words": as_sentence(change) if change["feature"] and change["value"] else None,
        }
        for change in changes
    ]


def reason_to_ask(portfolio: ServedWeek, kind: str, row: Mapping[str, Any], worth: float) -> dict[str, Any]:
    """What to ask somebody for, with what that rests on."""
    own = next((act["n"] for act in row.get("acts") or () if act["kind"] == kind), 0)
    value = portfolio.asking.policy.kinds[kind].value
    why = f"has done this unasked {own} times" if own > 1 else "has done this unasked" if own else "others do it most"
    return {
        "kind": kind,
        "value": value,
        "share": float(worth) / value,
        "own_acts": own,
        "words": f"{kind.replace('_', ' ')}: {why}, of what this customer could do",
        "uplift": portfolio.uplift.get(kind),
    }


def what_is_known(ranked_by: str | None, kind: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """By what an ask is ranked, with the chances of the act with the ask and without, and what the ask adds."""
    known = next((of for of in row.get("response_effects") or () if of["kind"] == kind), None) or {}
    chances = {"if_asked": known.get("treated"), "if_not_asked": known.get("untreated"), "adds": known.get("effect")}
    return {"ranked_by": ranked_by or AFFINITY, **chances}


def called(customer_id: str, profile: Mapping[str, Any]) -> dict[str, Any]:
    """Who a customer is, as all answers tell it: id, name, account, owner, currency, and where the CRM has them."""
    named = {name: profile.get(name) for name in NAMED}
    return {"customer_id": customer_id, **named, "crm_url": crm_link(profile.get("crm_url"), customer_id)}


def iso_instant(value: Any) -> str | None:
    """A date, a timestamp, or microseconds since 1970, as ISO text."""
    if value is None:
        return None
    return iso_text(as_datetime(value) if isinstance(value, int) else value)
