"""Facts about fields of answers and requests that the document tells wherever a field of that name stands.

What a field is, in which unit, which values it takes and whether it is an instant: told once by name, where its type
does not say it already. A test holds that no property is without a description.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vouch.features.contract.tables import ACT_KINDS, TABLES
from vouch.models.definition import STATUSES
from vouch.serving.asking.ranking import EXCLUSIONS
from vouch.serving.snapshots.schema import NO_MODEL, OPTED_OUT, TIERS

if TYPE_CHECKING:
    from collections.abc import Mapping

ALL_STATUSES = (*STATUSES, OPTED_OUT, NO_MODEL)
BANDS = ("low", "watch", "high")
HEALTH_BANDS = ("at_risk", "watch", "healthy", "unknown")
OUTCOMES = TABLES["asks"].columns["outcome"].values
ENUMERATED: Mapping[str, tuple[str, ...]] = {
    "churn_status": ALL_STATUSES,
    "advocacy_status": ALL_STATUSES,
    "churn_band": BANDS,
    "health_band": HEALTH_BANDS,
    "advocate_tier": tuple(TIERS),
    "exclusion": tuple(EXCLUSIONS),
}
"""Values of texts that are enumerations, by field."""
OF_ACTS, OF_OUTCOMES = ("AskFor", "AskTold", "AskVersion", "AskListed", "Done", "Draw"), ("AskTold", "AskVersion")
"""Types whose `kind` is an act, and whose `outcome` is that of an ask."""
INSTANTS = frozenset({"data_through", "resting_until", "at"})
"""Instants beside those whose name ends with `_at`."""

_PROBABILITY = "0 to 1, calibrated; null where the status says why."
_LOG_ODDS = "In log-odds."
_LABELS = "By the company's own word; null where it is not handed over."
DESCRIPTIONS: Mapping[str, str] = {
    "accepted": "Asks that were accepted since.",
    "account_id": _LABELS,
    "account_name": _LABELS,
    "accounts": "The rows of the page.",
    "act_at": "When the latest act was.",
    "action": "What was done, as it stands.",
    "action_id": "The id that whoever recorded it gave.",
    "acts": "What the customer did unasked, by kind.",
    "advocacy_consent": "Whether the customer may be asked to speak up.",
    "advocacy_score": "100 times the probability of advocacy.",
    "advocate_tier": "How much the customer speaks up already.",
    "advocates": "Who fits, the first one first.",
    "answered": "How many of them have answered.",
    "as_of": "The instant of the week: an ISO date, or an instant where it is no midnight UTC.",
    "ask": "The ask as it stands.",
    "ask_for": "What to ask for; null where there is nothing.",
    "ask_id": "The id that whoever recorded it gave.",
    "asked": "Those who were asked for this kind so far.",
    "asked_at": "When the ask was made.",
    "asked_by": "Who asked.",
    "asks": "Asks, or how many there were.",
    "asks_waiting": "Asks that are `open`: no answer yet, and the time that the policy gives is not over.",
    "at": "When it was.",
    "band": "The band of a probability or of a score.",
    "base": "The log-odds that the reasons start from.",
    "base_rate": "Share of all that it came true for, 0 to 1.",
    "before": "What it was in the week before.",
    "by": "By whom, or by which column.",
    "call_first": "Whom to call first.",
    "candidates": "The rows of the page.",
    "cause": "What moved it: a feature, the model, or a definition.",
    "cells": "Values by column.",
    "channel": "By which way it was asked.",
    "churn_band": "By thresholds of the model's definition.",
    "bound_high": "The value had all who did not answer been the best.",
    "bound_low": "The value had all who did not answer been the worst.",
    "chapter": "The chapter of the catalogue.",
    "ci_method": "How the interval was computed.",
    "company_size": "Employees; null where it is not told.",
    "country": "ISO 3166-1 code of the customer's country.",
    "coverage": "Share of the population that gave a value, 0 to 1.",
    "deal": "What the company calls the deal.",
    "definition_source": "`published` by others, or of this `project`.",
    "definition_version": "Moves when the definition does.",
    "description": "What it is, in words.",
    "example": "Figures that it is computed for by hand.",
    "example_value": "What they give.",
    "formula": "How it is computed.",
    "higher_is_better": "Null where neither is.",
    "industry": "The industry, by the company's own word; null where it is not told.",
    "inputs": "Tables of the contract that it reads.",
    "interval": "How its interval is computed; null without one.",
    "looks_back_days": "How far back it reads.",
    "metric_id": "Stable name of the metric.",
    "n_counts": "What `n` counts.",
    "n_items": "How many things were counted (posts, tickets).",
    "n_missing": "How many of the population gave no value.",
    "needs": "What it needs beside its tables.",
    "null_where": "When there is no value.",
    "persona": "Whose work it is, by the company's own word; null where it is not told.",
    "plan": "The company's own plan of the customer.",
    "population": "Who counts.",
    "reference": "The request as it stands.",
    "references": "Requests for references.",
    "request_id": "The id of a request for a reference, given by who recorded it.",
    "requested_at": "When it was recorded.",
    "requested_by": "Who needs it.",
    "sort": "What the list is ordered by.",
    "source": "Where the definition comes from.",
    "unit": "Of the value: percent is 0 to 100, probability 0 to 1.",
    "use_case": "What the product is used for, by the company's own word; null where it is not told.",
    "value_shrunk": "The value of a segment, drawn to that of all where it is few.",
    "window_days": "Days that it looks at.",
    "ci_high": "Upper end of the 95 % interval.",
    "ci_low": "Lower end of the 95 % interval.",
    "clv_margin": "Lifetime value in margin: brought so far, and expected in 1,095 days, discounted; null without one.",
    "clv_margin_high": "Upper end of its 80 % interval.",
    "clv_margin_low": "Lower end of its 80 % interval.",
    "clv_margin_so_far": "The part of it that was brought already, undiscounted.",
    "clv_revenue": "The same in revenue.",
    "clv_status": "`ok`, or `cold_start` for who bought once: the value is mostly the company's mean; else why none.",
    "clv_way": "How it was made: by `contract` (a subscription) or by `purchases`.",
    "code": "Stable name of what it is.",
    "column": "A column of the table.",
    "contact_consent": "False: nobody may contact this customer.",
    "content_hash": "Hash of the model's bundle.",
    "contribution": _LOG_ODDS,
    "currency": "Of all money told here.",
    "customer_id": "The company's own id of the customer.",
    "customers": "Customers, or how many they are.",
    "data_through": "The instant up to which the data reach.",
    "days": "Days ahead.",
    "declined": "Asks that were declined since.",
    "detail": "What is wrong, in a sentence.",
    "done_at": "When it was done.",
    "done_by": "Who did it.",
    "eligible": "Everybody who may be asked.",
    "exclusion": "Why the customer is not asked now; null for who may be.",
    "exclusion_words": "The exclusion in words.",
    "expires_at": "When it ends.",
    "family": "The family of features.",
    "feature": "The feature that leads its family.",
    "features": "Values of features by name; what is left out is null.",
    "field": "The field that it is about, of ours.",
    "first": "What is due before an ask; null where nothing is.",
    "flagged": "How many were flagged.",
    "guard": "The guard that refused.",
    "health_band": "The band of the rules; it follows the lower bound of the score.",
    "health_counts": "The health that counts now.",
    "health_score": "0 to 100, by the rules; null where too little is known.",
    "high": "How many are at high risk, or the upper end of the 95 % interval.",
    "holds": "What the list holds.",
    "id": "The id of the row.",
    "ignored": "Asks that nobody answered.",
    "include_ineligible": "Whether the excluded are listed too, each with the reason.",
    "is_by_hand": "Whether somebody set it.",
    "is_eligible": "Whether the customer may be asked now.",
    "is_new": "False where it stood so already.",
    "is_stale": "Whether the week is more than eight days old.",
    "kind": "Which kind it is.",
    "language": "BCP 47 tag of the customer's language.",
    "last_ask": "The latest ask; null for who was never asked.",
    "last_asked_at": "When the customer was asked last.",
    "last_week": "What was done in the week before, and what came of it.",
    "latest_at": "When the latest one was.",
    "left": "How many have left.",
    "limit": "The limit that was passed.",
    "list": "The name of a list.",
    "lists": "All lists.",
    "low": "Lower end of the 95 % interval.",
    "lower": "How many are at lower risk now.",
    "meaning": "What it means.",
    "metrics": "Figures of the company, or of the customer.",
    "minimum_score": "From 0 to 100; whoever scores lower is left out.",
    "model": "Name of the model.",
    "models": "Names of models, or their hashes.",
    "mrr": "Revenue per month; null where the company has none per customer.",
    "n": "How many there are.",
    "name": _LABELS,
    "new_advocates": "Who became an advocate.",
    "newly_high": "How many are at high risk and were not.",
    "next_after": "Where the next page begins; null on the last page.",
    "next_cursor": "Where the next page begins; null on the last page. It holds its week.",
    "no_longer_high": "How many were at high risk and are no more.",
    "note": "For people; never in a model, a metric or a log.",
    "nps_last": "Latest answer to how likely they are to recommend, 0 to 10.",
    "nps_mean": "Mean of the latest answers, 0 to 10; null without any.",
    "objections": "How many customers object, as it was recorded here.",
    "objects": "Whether the customer objects to being profiled.",
    "outcome": "What came of it; null while it is open.",
    "outcome_at": "When it was answered.",
    "override": "The score as it was set by hand.",
    "overrides": "Health scores set by hand.",
    "own_acts": "How often the customer did this unasked.",
    "owner": _LABELS,
    "people": "The customers of the account.",
    "precision": "Share of those flagged that it came true for, 0 to 1.",
    "previous": "The probabilities of the week before; null for who was not known then.",
    "probability": _PROBABILITY,
    "profile": "What the company says of the customer.",
    "propensity": "With which probability the place was given at random; null where it was not, or by a draw.",
    "rank": "Place in the list, from 1.",
    "reason": "Why, in words.",
    "reasons": "What raises and lowers the score, the largest first.",
    "refused_by": "Limits that were passed.",
    "region": "ISO 3166-2 code of the customer's region.",
    "renewal_at": "When the contract renews next.",
    "renewals": "Whose contract renews soon.",
    "resting_until": "When the caps of asks let the customer be asked again.",
    "revision": "Which publication of the week it is, from 1.",
    "rose": "How many rose.",
    "rows": "Rows, as the list or table has them.",
    "score": "0 to 100.",
    "scored_at": "When the week was scored.",
    "scores": "Scores, in the order of the request.",
    "segment": "The company's own segment of the customer.",
    "set_at": "When it was set.",
    "set_by": "Who set it.",
    "since": "From when on.",
    "state": "Where the ask stands.",
    "status": "The HTTP status, or why a value is or is not there.",
    "still_high": "How many are at high risk still.",
    "tenure_days": "Days as a customer.",
    "text": "The beginning of any word of what is looked for.",
    "thing": "What the guard looked at.",
    "tier": "Any of these; empty for all.",
    "title": "What kind of problem it is.",
    "to_thank": "Who is to be thanked.",
    "total": "All that meet the filters.",
    "type": "Where the problem is described.",
    "unasked": "Share of the same customers who do it unasked, 0 to 1.",
    "value": "The value, in the unit of what it belongs to.",
    "vectors": "Vectors to be scored; or rows.",
    "versions": "The versions, the first one first.",
    "weeks": "How many weeks.",
    "what": "What is due.",
    "why": "Why it is listed.",
    "withdrawn_at": "When it was withdrawn; null while it stands.",
    "withdrawn_by": "Who withdrew it.",
    "won": "How many deals were won.",
    "words": "The same in words, in English.",
}
_OF_MODELS: Mapping[str, str] = {
    "status": "Whether the model scored the customer, or why not.",
    "probability": _PROBABILITY,
    "low": "Lower end of the 95 % interval of the probability.",
    "high": "Upper end of the 95 % interval of the probability.",
    "base": "The log-odds that the reasons start from.",
    "raw": "Log-odds before calibration: the base and the reasons added up.",
    "model": "Content hash of the model that scored.",
    "reasons": "Parts of the raw score by family of features, the largest first.",
    "changes": "What moved the raw score since the week before; null where that is not known.",
}
"""Fields that stand for each model, after its name."""


def description_of(name: str) -> str | None:
    """Return what a field is, None where nobody has said."""
    model, _, part = name.partition("_")
    return DESCRIPTIONS.get(name) or (_OF_MODELS.get(part) if model in {"churn", "advocacy"} else None)


def with_facts(schemas: Mapping[str, Any]) -> dict[str, Any]:
    """Return schemas whose properties say what they are, what values they take, and whether they are instants."""
    described = {}
    for title, schema in schemas.items():
        properties = {name: _described(title, name, of) for name, of in schema.get("properties", {}).items()}
        described[title] = {**schema, **({"properties": properties} if properties else {})}
    return described


def _described(title: str, name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    more: dict[str, Any] = {}
    if (name.endswith("_at") or name in INSTANTS) and title not in {"AskRecord", "AskCorrect", "ActionRecord"}:
        more["format"] = "date-time"
    values = ENUMERATED.get(name)
    values = ACT_KINDS if name == "kind" and title in OF_ACTS else values
    values = OUTCOMES if name == "outcome" and title in OF_OUTCOMES else values
    if values is not None:
        more["enum"] = list(values)
    description = description_of(name)
    described = {"description": description} if description and "description" not in schema else {}
    return {**_narrowed(schema, more), **described}


def _narrowed(schema: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a text, or of a text or null, with what narrows it."""
    if "anyOf" in schema:
        return {**schema, "anyOf": [_narrowed(part, more) for part in schema["anyOf"]]}
    is_plain = schema.get("type") == "string" and not schema.keys() & {"enum", "const", "format"}
    return {**schema, **(more if is_plain else {})}
