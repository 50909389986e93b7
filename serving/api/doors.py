"""The routes of the API as data: what each takes, gives and needs, and who makes its answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vouch.serving.api import answer_types, metric_types, schemas
from vouch.serving.api.handlers import (
    accounts,
    actions,
    asks,
    find,
    lists,
    named_lists,
    overrides,
    read,
    reference_types,
    references,
    score,
    tables,
    this_week,
    webhooks,
    week_types,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel

    from vouch.serving.api.state import ServingState


NO_WEEK = "no_snapshot"


@dataclass(frozen=True)
class ApiRoute:
    """One route: what it takes, what it answers, and who makes the answer.

    Heavy requests run on a thread, so that others are answered meanwhile: `is_heavy` says it of all, or of each. Those
    of a route that `computes`, all or each, run in turn, on the few threads that are there for it.
    `example` is a request that it takes. `scope` is what a key needs; `action` is what the audit log calls it, where it
    is about customers. `methods` says how it is asked: by GET what it takes stands in the address.
    """

    path: str
    summary: str
    takes: type[BaseModel]
    gives: type[BaseModel]
    answer: Callable[..., Mapping[str, Any] | bytes]
    problems: tuple[str, ...]
    example: Mapping[str, Any]
    scope: str
    action: str | None = None
    is_heavy: bool | Callable[[ServingState, Any], bool] = False
    computes: bool | Callable[[ServingState, Any], bool] = False
    methods: tuple[str, ...] = ("POST",)
    deprecated: int | None = None
    """Since when the route is to go, in seconds since 1970; the document and each of its answers say so."""

    @property
    def needs_week(self) -> bool:
        """Whether it answers from a week: without one nothing is begun, so that nothing is written and not told."""
        return NO_WEEK in self.problems


DOCUMENT, CLIENT, FIGURES = "/openapi.json", "/schema.json", "/metrics"
LIVE, READY = ("/livez", "/healthz"), "/readyz"
SNAPSHOT = (NO_WEEK,)
OF_A_WEEK = ("week_gone", "unknown_week", *SNAPSHOT)
PAGED = ("unknown_cursor", *OF_A_WEEK)
BOTH = ("GET", "POST")
"""What only reads can be linked to and kept: its address says all of it. A long request is sent as a body."""
API_ROUTES = (
    ApiRoute(
        "/v1/week", "Whom to call this week and why, what waits for an answer, and what came of last week's work",
        schemas.WeekGet, week_types.WeekAnswer, this_week.this_week, OF_A_WEEK,
        {"limit": 5},
        scope="read", action="listed", is_heavy=True, computes=lists.of_past, methods=BOTH,
    ),
    ApiRoute(
        "/v1/advocates/search", "Ranked candidates to be asked to speak up, with reasons and exclusions",
        schemas.AdvocatesSearch, answer_types.Candidates, lists.candidates_page, PAGED,
        {"segment": ["smb"], "minimum_score": 20, "limit": 10},
        scope="read", action="listed", is_heavy=lists.is_first_search, computes=True, methods=BOTH,
    ),
    ApiRoute(
        "/v1/customers/get", "Everything on one customer",
        schemas.CustomerGet, answer_types.CustomerAnswer, read.get_customer, ("unknown_customer", *OF_A_WEEK),
        {"customer_id": "C000001"},
        scope="read", action="looked", is_heavy=True, computes=lists.of_past, methods=BOTH,
    ),
    ApiRoute(
        "/v1/customers/find", "Customers by name, account or id",
        schemas.CustomersFind, week_types.FoundPeople, find.find_customers, OF_A_WEEK,
        {"text": "samplewood"},
        scope="read", action="listed", is_heavy=True, computes=lists.of_past, methods=("GET", "POST"),
    ),
    ApiRoute(
        "/v1/customers/at_risk", "Customers ranked by revenue at risk",
        schemas.AtRiskSearch, week_types.AtRiskPage, lists.at_risk_page, PAGED,
        {"band": ["high"], "limit": 10},
        scope="read", action="listed", is_heavy=lists.is_first_order, computes=True, methods=BOTH,
    ),
    ApiRoute(
        "/v1/accounts", "Accounts ranked by revenue at risk, each with its most endangered customer",
        schemas.AccountsSearch, week_types.AccountsPage, accounts.search_accounts, PAGED,
        {"limit": 10},
        scope="read", action="listed", is_heavy=True, computes=lists.of_past, methods=("GET", "POST"),
    ),
    ApiRoute(
        "/v1/accounts/get", "One account with its customers",
        schemas.AccountGet, week_types.AccountAnswer, accounts.get_account, ("unknown_account", *OF_A_WEEK),
        {"account_id": "A0000017"},
        scope="read", action="listed", is_heavy=True, computes=lists.of_past, methods=("GET", "POST"),
    ),
    ApiRoute(
        "/v1/asks/record", "Record an ask that is made now, if the policy lets it be made; idempotent by `ask_id`",
        schemas.AskRecord, answer_types.AskAnswer, asks.record_ask,
        ("unknown_customer", "not_to_be_asked", "conflict", *SNAPSHOT),
        {"ask_id": "crm-2026-000123", "customer_id": "C000001", "kind": "referral"},
        scope="write", is_heavy=True,
    ),
    ApiRoute(
        "/v1/asks/outcome", "Record what came of an ask; idempotent by `ask_id`",
        schemas.AskOutcome, answer_types.AskAnswer, asks.record_outcome, ("unknown_ask", "conflict"),
        {"ask_id": "crm-2026-000123", "outcome": "accepted"},
        scope="write", is_heavy=True,
    ),
    ApiRoute(
        "/v1/asks/correct", "Put right what was recorded of an ask; every version stays, with who made it",
        schemas.AskCorrect, answer_types.AskAnswer, asks.correct, ("unknown_ask", "not_to_be_asked", "conflict"),
        {"ask_id": "crm-2026-000123", "outcome": "declined", "reason": "clicked on the wrong button"},
        scope="write", is_heavy=True,
    ),
    ApiRoute(
        "/v1/asks/versions", "How an ask stood from when on, and who made it so",
        schemas.AskGet, answer_types.AskVersions, asks.ask_versions, ("unknown_ask",),
        {"ask_id": "crm-2026-000123"},
        scope="read", action="looked at an ask", is_heavy=True, methods=BOTH,
    ),
    ApiRoute(
        "/v1/asks/search", "Asks by where they stand: open, waiting for an answer, resting until when, done",
        schemas.AsksSearch, answer_types.AsksPage, asks.search_asks, SNAPSHOT,
        {"state": "done", "limit": 10},
        scope="read", action="listed", is_heavy=True, methods=BOTH,
    ),
    ApiRoute(
        "/v1/asks/withdraw", "Take back an ask that was never made; it counts nowhere any more",
        schemas.AskWithdraw, answer_types.AskAnswer, asks.take_back, ("unknown_ask", "conflict"),
        {"ask_id": "crm-2026-000124", "reason": "was meant for another customer"},
        scope="write", is_heavy=True,
    ),
    ApiRoute(
        "/v1/actions/record", "Record a call, thanks, or something put right; idempotent by `action_id`",
        actions.ActionRecord, answer_types.ActionAnswer, actions.record_action,
        ("unknown_customer", "conflict", *SNAPSHOT),
        {"action_id": "crm-2026-000031", "customer_id": "C000001", "kind": "called", "note": "will renew"},
        scope="write", is_heavy=True,
    ),
    ApiRoute(
        "/v1/actions/withdraw", "Take back an action that was recorded by mistake",
        actions.ActionWithdraw, answer_types.ActionAnswer, actions.withdraw_recorded, ("unknown_action",),
        {"action_id": "crm-2026-000031"},
        scope="write", is_heavy=True,
    ),
    ApiRoute(
        "/v1/objections/record", "A customer objects to being profiled: in no list and without scores from now on",
        actions.Objection, answer_types.ObjectionAnswer, actions.record_objection, ("unknown_customer", *SNAPSHOT),
        {"customer_id": "C000001"},
        scope="write", is_heavy=True,
    ),
    ApiRoute(
        "/v1/objections/withdraw", "A customer objects no longer",
        actions.Objection, answer_types.ObjectionAnswer, actions.withdraw_objection, ("unknown_customer", *SNAPSHOT),
        {"customer_id": "C000001"},
        scope="write", is_heavy=True,
    ),
    ApiRoute(
        "/v1/overrides/record", "Record a health score that was set by hand; idempotent by `override_id`",
        overrides.OverrideRecord, overrides.OverrideAnswer, overrides.record_override,
        ("unknown_customer", "conflict", *SNAPSHOT),
        {"override_id": "crm-2026-000007", "customer_id": "C000001", "score": 35, "reason": "their sponsor left"},
        scope="write", is_heavy=True,
    ),
    ApiRoute(
        "/v1/overrides/search", "Health scores set by hand that stand now, those that end first",
        overrides.OverridesSearch, overrides.OverridesPage, overrides.search_overrides, SNAPSHOT,
        {"limit": 10},
        scope="read", action="listed", is_heavy=True, methods=BOTH,
    ),
    ApiRoute(
        "/v1/overrides/withdraw", "Withdraw a health score that was set by hand: one's own, or any with `admin`",
        overrides.OverrideWithdraw, overrides.OverrideAnswer, overrides.withdraw_override, ("unknown_override",),
        {"override_id": "crm-2026-000007"},
        scope="write", is_heavy=True,
    ),
    ApiRoute(
        "/v1/references/record", "Record what a deal needs a reference for; idempotent by `request_id`",
        reference_types.ReferenceRecord, reference_types.ReferenceAnswer, references.record_reference,
        ("conflict", *SNAPSHOT),
        {"request_id": "desk-2026-000017", "deal": "OPP-4711", "industry": "retail", "company_size": 300},
        scope="write", is_heavy=True,
    ),
    ApiRoute(
        "/v1/references/match", "Advocates who fit a request, are willing and rested: the first, and alternates",
        reference_types.ReferenceMatch, reference_types.AdvocatesMatched, references.match_reference,
        ("unknown_reference", *SNAPSHOT),
        {"request_id": "desk-2026-000017"},
        scope="read", action="listed", is_heavy=True, methods=BOTH,
    ),
    ApiRoute(
        "/v1/references/ask", "Ask an advocate for a request, if the policy lets the ask be made; one at a time",
        reference_types.ReferenceAsk, reference_types.ReferenceAnswer, references.ask_reference,
        ("unknown_reference", "unknown_customer", "not_to_be_asked", "conflict", *SNAPSHOT),
        {"request_id": "desk-2026-000017", "ask_id": "crm-2026-000125", "customer_id": "C000002"},
        scope="write", is_heavy=True,
    ),
    ApiRoute(
        "/v1/references/close", "Close a request: `done` once it was held, `withdrawn` where it is not needed any more",
        reference_types.ReferenceClose, reference_types.ReferenceAnswer, references.close_reference,
        ("unknown_reference", "conflict", *SNAPSHOT),
        {"request_id": "desk-2026-000017", "state": "withdrawn"},
        scope="write", is_heavy=True,
    ),
    ApiRoute(
        "/v1/references/deal", "Record whether the deal of a request was won or lost",
        reference_types.ReferenceDeal, reference_types.ReferenceAnswer, references.tell_deal,
        ("unknown_reference", *SNAPSHOT),
        {"request_id": "desk-2026-000017", "outcome": "won"},
        scope="write", is_heavy=True,
    ),
    ApiRoute(
        "/v1/references/search", "Requests by where they stand, and how often deals were won with and without one",
        reference_types.ReferencesSearch, reference_types.ReferencesPage, references.search_references, SNAPSHOT,
        {"state": ["requested"], "limit": 10},
        scope="read", action="listed", is_heavy=True, methods=BOTH,
    ),
    ApiRoute(
        "/v1/score", "Scores for vectors or raw rows given in the request",
        schemas.ScoreRequest, answer_types.ScoreAnswer, score.score_request, (),
        {"vectors": [{"customer_id": "what-if", "features": {"is_subscribed": 1, "tenure_days": 400}}]},
        scope="read", is_heavy=score.is_heavy, computes=True,
    ),
    ApiRoute(
        "/v1/tables/score", "Scores for rows of a flat table that a model was trained on, one row per customer",
        tables.TableScore, tables.TableScores, tables.score_table_rows, (),
        {"model": "leavers", "rows": [{"id": "C000001", "cells": {"Contract": "One year", "tenure": 12}}]},
        scope="read", is_heavy=True, computes=True,
    ),
    ApiRoute(
        "/v1/metrics/query", "Metrics with their intervals, by segment and over time",
        schemas.MetricsQuery, metric_types.MetricsAnswer, read.query_metrics, ("unknown_metric", *OF_A_WEEK),
        {"metric_ids": ["nps"], "by": "segment"},
        scope="read", is_heavy=True, computes=lists.of_past, methods=BOTH,
    ),
    ApiRoute(
        "/v1/metrics/catalogue", "What each metric means",
        schemas.MetricsCatalogue, metric_types.CatalogueAnswer, read.metrics_catalogue, ("unknown_metric",),
        {},
        scope="read", methods=BOTH,
    ),
    ApiRoute(
        "/v1/lists/get", "A list behind the figures: care needs, topics, whom to ask why they left, open feedback ...",
        named_lists.ListGet, named_lists.ListPage, named_lists.list_page, OF_A_WEEK,
        {"list": "care_needs", "limit": 10},
        scope="read", action="listed", is_heavy=True, computes=lists.of_past, methods=BOTH,
    ),
    ApiRoute(
        "/v1/lists/catalogue", "Which lists there are, and how many rows each has this week",
        named_lists.ListsCatalogue, named_lists.ListsAnswer, named_lists.lists_catalogue, OF_A_WEEK,
        {},
        scope="read", is_heavy=True, computes=lists.of_past, methods=BOTH,
    ),
    ApiRoute(
        "/v1/webhooks", "Receivers of messages: how many wait, arrived and were given up, and which rest",
        webhooks.WebhooksList, webhooks.WebhooksAnswer, webhooks.list_webhooks, ("unavailable",),
        {},
        scope="admin", is_heavy=True, methods=BOTH,
    ),
    ApiRoute(
        "/v1/webhooks/pause", "Let a receiver rest; what it is to be told waits",
        webhooks.WebhookName, webhooks.WebhookAnswer, webhooks.pause_webhook, ("unknown_webhook", "unavailable"),
        {"name": "hub"},
        scope="admin", is_heavy=True,
    ),
    ApiRoute(
        "/v1/webhooks/resume", "Send to a receiver again, what has waited included",
        webhooks.WebhookName, webhooks.WebhookAnswer, webhooks.resume_webhook, ("unknown_webhook", "unavailable"),
        {"name": "hub"},
        scope="admin", is_heavy=True,
    ),
)  # fmt: skip
