"""Handler of `/v1/week`: the lists that a Monday begins with, names and money first, with what moved."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.features.contract.tables import DAY_US
from vouch.features.instants import WEEK_US, instant_text
from vouch.features.vectors.sentences import as_sentence, for_a_list
from vouch.serving.api.handlers.lists import horizon_days, no_value
from vouch.serving.api.speaking import called, iso_instant
from vouch.serving.api.state import now_us
from vouch.serving.asking.by_rules import MODEL, RULES, UNHEALTHY
from vouch.serving.weekly.asks import asks_between, open_asks
from vouch.serving.weekly.last_run import last_run, messages_given_up
from vouch.serving.weekly.standing import RENEWAL_DAYS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vouch.serving.api.schemas import WeekGet
    from vouch.serving.api.state import ServingState
    from vouch.serving.api.week import ServedWeek
    from vouch.serving.asking.rules.caps import Ask
    from vouch.serving.weekly.standing import Mask, Places, Standing

WHY = 3
"""Reasons told per row."""
PERSON = ("segment", "mrr")
FIGURES = ("health_score", "churn_probability", "churn_low", "churn_high", "churn_band")
OUTCOMES = ("accepted", "declined", "ignored")


def this_week(store: ServingState, request: WeekGet) -> dict[str, Any]:
    """Whom to call this week and why; of a past week, what was open and done by the end of it."""
    week, now = store.week_of(request.as_of), now_us()
    is_newest = week is store.portfolio
    until = now if is_newest else min(now, week.week.as_of_us + WEEK_US)
    standing, most = week.standing, request.limit
    mine = of_owners(week, request.owner)
    renewing = standing.by_probability(standing.renewing(week.week.as_of_us) & mine)
    waiting = [ask for ask in open_asks(week.asking, until) if _is_mine(week, ask, mine)]
    in_danger = standing.is_high[renewing] | standing.is_watch[renewing]
    return {
        **week.freshness(now),
        "previous_as_of": week.before.week.manifest["as_of"] if week.before else None,
        "horizon_days": horizon_days(week, "churn"),
        "currency": week.currency,
        "populations": week.populations,
        "call_first": _calls(week, standing, mine, most),
        "renewals": {
            "days": RENEWAL_DAYS,
            "total": len(renewing),
            "in_danger": int(in_danger.sum()),
            "customers": [_renewal(week, row) for row in _first(renewing, most)],
        },
        "new_advocates": _advocates(week, standing.by_money(standing.became_advocate & mine), most),
        "to_thank": _advocates(week, standing.by_money(standing.is_owed_thanks & mine), most),
        "asks_waiting": {"total": len(waiting), "asks": [_waiting(week, ask) for ask in waiting[:most]]},
        "last_week": _last_week(store, week, standing, until),
        "run": last_run(store.home) if is_newest else None,
        "messages_given_up": messages_given_up(store.home) if is_newest else 0,
    }


def _first(rows: Places, most: int) -> list[int]:
    return [int(row) for row in rows[:most]]


def of_owners(week: ServedWeek, owners: Sequence[str]) -> Mask:
    """Which customers of a week these people look after; all where nobody is named."""
    ranked = week.at_risk
    if not owners:
        return np.ones(len(ranked), dtype=bool)
    known = ranked.categories.get("owner", [])
    wanted = [place for place, name in enumerate(known) if name in set(owners)]
    mine: Mask = np.isin(ranked.codes("owner")[ranked.place_of], wanted) if known else np.zeros(len(ranked), dtype=bool)
    return mine


def _is_mine(week: ServedWeek, ask: Ask, mine: Mask) -> bool:
    row = week.ids.row_of(ask.customer_id)
    return bool(mine.all()) if row is None else bool(mine[row])


def _calls(week: ServedWeek, standing: Standing, mine: Mask, most: int) -> dict[str, Any]:
    if week.ranked_by("churn") == RULES:
        return _calls_by_rules(week, standing, mine, most)
    rows = standing.by_money(standing.to_call & mine)
    counted = (standing.is_high if standing.fate is None else standing.newly_high) & mine
    money = standing.mrr[counted]
    return {
        "ranked_by": MODEL,
        "total": len(rows),
        "newly_high": int((standing.newly_high & mine).sum()),
        "rose": int((standing.rose & mine).sum()),
        "high": int((standing.is_high & mine).sum()),
        "no_longer_high": int((standing.no_longer_high & mine).sum()),
        "mrr": week.total(money),
        "customers": [_to_call(week, standing, row) for row in _first(rows, most)],
    }


def _calls_by_rules(week: ServedWeek, standing: Standing, mine: Mask, most: int) -> dict[str, Any]:
    """Who is unhealthy, as the list of those at risk has them where there is no champion."""
    listed, band = week.at_risk.listed_rows(), week.scores.column("health_band")
    rows = [row for row in listed.tolist() if mine[row] and band[row].as_py() == UNHEALTHY[-1]]
    money = standing.mrr[rows]
    return {
        "ranked_by": RULES,
        "total": len(rows),
        **dict.fromkeys(("newly_high", "rose", "no_longer_high"), 0),
        "high": len(rows),
        "mrr": week.total(money),
        "customers": [{**_to_call(week, standing, row), "why": "unhealthy"} for row in rows[:most]],
    }


def _person(week: ServedWeek, row: int, profile: Mapping[str, Any]) -> dict[str, Any]:
    """Who stands at a row of the week, as all lists tell it."""
    return {
        **called(week.scores.value(row, "customer_id"), profile),
        **{name: profile[name] for name in PERSON},
        "contact_consent": bool(profile["contact_consent"]),
    }


def _to_call(week: ServedWeek, standing: Standing, row: int) -> dict[str, Any]:
    scores, profile = week.scores_at(row), week.profile_at(row)
    changes = week.changes.at(row).get("churn_changes") if week.changes else None
    moved = _raising(changes or ()) if standing.fate is not None else []
    levels = [{**reason, "cause": "feature", "before": None} for reason in scores["churn_reasons"] or ()]
    before = float(standing.before[row])
    return {
        **_person(week, row, profile),
        "why": "newly_high" if standing.newly_high[row] else "rose" if standing.rose[row] else "high",
        "value": None if np.isnan(standing.at_risk[row]) else float(standing.at_risk[row]),
        "value_reason": no_value(scores) if np.isnan(standing.at_risk[row]) else None,
        **{name: scores[name] for name in FIGURES},
        "before": None if before != before else before,
        "renewal_at": iso_instant(profile.get("renewal_at")),
        "has_moved": bool(moved),
        "reasons": moved or _raising(levels),
    }


def _raising(reasons: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The first reasons that raise the score and name a feature, with their words."""
    raising = [one for one in reasons if one["feature"] and one["value"] and (one["contribution"] or 0) > 0]
    largest = sorted(raising, key=lambda one: -one["contribution"])
    return [{**one, "words": as_sentence(one)} for one in for_a_list(largest, WHY)]


def _renewal(week: ServedWeek, row: int) -> dict[str, Any]:
    scores, profile = week.scores_at(row), week.profile_at(row)
    return {
        **_person(week, row, profile),
        "renewal_at": iso_instant(profile["renewal_at"]),
        **{name: scores[name] for name in ("churn_probability", "churn_low", "churn_high", "churn_band")},
    }


def _advocates(week: ServedWeek, rows: Places, most: int) -> dict[str, Any]:
    return {"total": len(rows), "customers": [_advocate(week, row) for row in _first(rows, most)]}


def _advocate(week: ServedWeek, row: int) -> dict[str, Any]:
    profile = week.profile_at(row)
    latest = max(profile.get("acts") or (), key=lambda act: act["last_us"], default=None)
    return {
        **_person(week, row, profile),
        "advocate_tier": week.scores.value(row, "advocate_tier"),
        "act": latest["kind"] if latest else None,
        "act_at": iso_instant(latest["last_us"]) if latest else None,
    }


def _waiting(week: ServedWeek, ask: Ask) -> dict[str, Any]:
    row = week.ids.row_of(ask.customer_id)
    nothing = {**called(ask.customer_id, {}), **dict.fromkeys(PERSON), "contact_consent": False}
    return {
        **(nothing if row is None else _person(week, row, week.profile_at(row))),
        "ask_id": ask.ask_id,
        "kind": ask.kind,
        "asked_at": iso_instant(ask.asked_us),
    }


def _last_week(store: ServingState, week: ServedWeek, standing: Standing, until: int) -> dict[str, Any]:
    since_us = week.week.as_of_us - WEEK_US
    made, answered = asks_between(week.asking, since_us, until)
    came = Counter(ask.outcome for ask in answered)
    return {
        "since": instant_text(since_us - since_us % DAY_US),
        "asks": len(made),
        **{outcome: came[outcome] for outcome in OUTCOMES},
        "overrides": store.overrides_between(since_us, until),
        "became": None if standing.fate is None else vars(standing.fate),
        "judged": _judged(week.week.manifest.get("flagged") or ()),
    }


def _judged(flagged: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What came true of those flagged by the model of churn, where that is known."""
    names = ("as_of", "weeks", "flagged", "precision", "base_rate")
    known = [entry for entry in flagged if entry["model"] == "churn" and entry.get("precision") is not None]
    return [{name: entry[name] for name in names} for entry in known]
