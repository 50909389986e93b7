"""A hundred questions of an account manager, each answered by one tool: the right value, its week, and no other number.

The answers were written down from the handwritten week, and not read from the service.
"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from mcp.client import Client

from support.handwritten_weeks import HOSTILE
from support.page_home import write_home
from support.searching import numbers
from support.servers.running_service import serving
from vouch.serving.agent.server import AgentDoor
from vouch.serving.agent.tools import reachable
from vouch.serving.api.state import now_us
from vouch.serving.store import keys
from vouch.serving.store.connection import Database

CUSTOMERS: dict[str, dict[str, Any]] = {
    HOSTILE: {"churn": 0.7, "advocacy": 0.95, "band": "high", "tier": "none", "health": 50.0, "may": True,
              "mrr": 100.0},
    "c1": {"churn": 0.6, "advocacy": 0.1, "band": "high", "tier": "none", "health": 20.0, "may": True, "mrr": 300.0},
    "c2": {"churn": 0.3, "advocacy": 0.8, "band": "watch", "tier": "active", "health": 50.0, "may": True, "mrr": 100.0},
    "c3": {"churn": 0.05, "advocacy": 0.9, "band": "low", "tier": "influential", "health": 90.0, "may": True,
           "mrr": 100.0},
    "c4": {"churn": 0.55, "advocacy": 0.7, "band": "high", "tier": "none", "health": 50.0, "may": False, "mrr": 100.0},
    "c5": {"churn": None, "advocacy": None, "band": None, "tier": "none", "health": None, "may": True, "mrr": 100.0},
}  # fmt: skip
OF_A_CUSTOMER = {
    "How likely is {0} to leave?": ("churn_probability", "churn"),
    "How likely is {0} to speak up for us?": ("advocacy_probability", "advocacy"),
    "In which band of risk is {0}?": ("churn_band", "band"),
    "What kind of advocate is {0}?": ("advocate_tier", "tier"),
    "How healthy is {0}?": ("health_score", "health"),
    "May we contact {0}?": ("profile.contact_consent", "may"),
    "What does {0} pay each month?": ("profile.mrr", "mrr"),
}
OTHERS: list[tuple[str, str, dict[str, Any], str, Any]] = [
    ("Which week is this?", "week", {}, "as_of", "2026-11-16"),
    ("Which week was it before?", "week", {}, "previous_as_of", "2026-11-09"),
    ("How far do the data go?", "week", {}, "data_through", "2026-11-15T21:30:00Z"),
    ("Over how many days is leaving foretold?", "week", {}, "horizon_days", 28),
    ("In which currency is the money?", "week", {}, "currency", "EUR"),
    ("How many customers are there?", "week", {}, "populations.everybody", 6),
    ("How many have left?", "week", {}, "populations.left", 1),
    ("How many object to being profiled?", "week", {}, "populations.opted_out", 0),
    ("How many are at high risk?", "week", {}, "populations.high_risk", 3),
    ("How many are watched?", "week", {}, "populations.watched", 1),
    ("How many are at risk at all?", "week", {}, "populations.at_risk", 4),
    ("How many active advocates have we?", "week", {}, "populations.active_advocates", 1),
    ("How many influential advocates have we?", "week", {}, "populations.influential_advocates", 1),
    ("Whom do I call first?", "week", {}, "call_first.customers.0.customer_id", "c1"),
    ("Why do I call them?", "week", {}, "call_first.customers.0.why", "newly_high"),
    ("How much a month is at stake there?", "week", {}, "call_first.customers.0.value", 180.0),
    ("How likely was the first one to leave a week ago?", "week", {}, "call_first.customers.0.before", 0.1),
    ("How many renew within 30 days?", "week", {}, "renewals.total", 1),
    ("When does the first of them renew?", "week", {}, "renewals.customers.0.renewal_at", "2026-11-25T00:00:00Z"),
    ("Whom do I thank?", "week", {}, "to_thank.total", 0),
    ("How many asks wait for an answer?", "week", {}, "asks_waiting.total", 0),
    ("Why is c1 more likely to leave than last week?", "customers_get", {"customer_id": "c1"},
     "churn_changes.0.words", "Used on 3 days in 4 weeks (before: 9 days)"),
    ("By how much did that move it?", "customers_get", {"customer_id": "c1"}, "churn_changes.0.contribution", 0.5),
    ("How likely is c1 to leave within a week?", "customers_get", {"customer_id": "c1"}, "churn_within.0.probability",
     0.2),
    ("How likely is c1 to leave within half a year?", "customers_get", {"customer_id": "c1"},
     "churn_within.5.probability", 0.9),
    ("What raises the risk of c2 most?", "customers_get", {"customer_id": "c2"}, "churn_reasons.0.words",
     "Used on 3 days in 4 weeks"),
    ("How was c1 a week ago?", "customers_get", {"customer_id": "c1"}, "previous.as_of", "2026-11-09"),
    ("What do I ask c1 for?", "customers_get", {"customer_id": "c1"}, "ask_for.kind", "referral"),
    ("May I ask c1?", "customers_get", {"customer_id": "c1"}, "exclusion", "low_health"),
    ("May I ask c2?", "customers_get", {"customer_id": "c2"}, "is_eligible", True),
    ("May I ask c3?", "customers_get", {"customer_id": "c3"}, "is_eligible", True),
    ("May I ask c4?", "customers_get", {"customer_id": "c4"}, "exclusion", "no_consent"),
    ("What is c5?", "customers_get", {"customer_id": "c5"}, "churn_status", "churned"),
    ("Who looks after c1?", "customers_get", {"customer_id": "c1"}, "owner", "Ines Demo"),
    ("Who is Mona?", "customers_find", {"text": "mona"}, "customers.0.customer_id", "c1"),
    ("How many are called North?", "customers_find", {"text": "north"}, "total", 1),
    ("Whom can I ask at best?", "advocates_search", {"limit": 1}, "candidates.0.customer_id", "c3"),
    ("How many can I ask?", "advocates_search", {"limit": 1}, "total", 2),
    ("What do I ask the best one for?", "advocates_search", {"limit": 1}, "candidates.0.ask_for.kind", "event_talk"),
    ("Who is most at risk by value?", "customers_at_risk", {"limit": 1}, "customers.0.customer_id", "c1"),
    ("By how much did their risk move?", "customers_at_risk", {"limit": 1}, "customers.0.change", 0.5),
    ("What is our NPS?", "metrics_query", {"metric_ids": ["nps"]}, "metrics.0.value", 41.5),
    ("Where does its interval begin?", "metrics_query", {"metric_ids": ["nps"]}, "metrics.0.ci_low", 36.5),
    ("Where does it end?", "metrics_query", {"metric_ids": ["nps"]}, "metrics.0.ci_high", 46.5),
    ("In which unit is it?", "metrics_query", {"metric_ids": ["nps"]}, "metrics.0.unit", "points"),
    ("On how many answers does it rest?", "metrics_query", {"metric_ids": ["nps"]}, "metrics.0.n", 40),
    ("Over how many days?", "metrics_query", {"metric_ids": ["nps"]}, "metrics.0.window_days", 90),
    ("How many stay?", "metrics_query", {"metric_ids": ["retention_rate"]}, "metrics.0.value", 91.25),
    ("Can I rely on that?", "metrics_query", {"metric_ids": ["retention_rate"]}, "metrics.0.status", "low_n"),
    ("What is our CSAT?", "metrics_query", {"metric_ids": ["csat"]}, "metrics.0.value", None),
    ("Why is there none?", "metrics_query", {"metric_ids": ["csat"]}, "metrics.0.reason", "fewer than five"),
    ("How many stay in EMEA?", "metrics_query", {"metric_ids": ["retention_rate"], "by": "region"}, "metrics.0.value",
     55.0),
    ("How many accounts have we?", "accounts", {}, "total", 1),
    ("How much of North Energy is at risk?", "accounts", {}, "accounts.0.at_risk", 180.0),
    ("How many customers has it?", "accounts", {}, "accounts.0.customers", 1),
    ("Whose needs are not met?", "lists_get", {"list": "care_needs"}, "rows.0.customer_id", "c2"),
    ("Which need is it?", "lists_get", {"list": "care_needs"}, "rows.0.first_unmet_need", "gratitude"),
    ("What was asked so far?", "asks_search", {"state": "done"}, "total", 0),
]  # fmt: skip
QUESTIONS = [
    *(
        (question.format(who), "customers_get", {"customer_id": who}, path, known[name])
        for who, known in CUSTOMERS.items()
        for question, (path, name) in OF_A_CUSTOMER.items()
    ),
    *OTHERS,
]


def at(document: Any, path: str) -> Any:
    for part in path.split("."):
        document = document[int(part)] if part.isdigit() else document[part]
    return document


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What a tool says to each question, and what the API says to the same."""
    home = write_home(tmp_path_factory.mktemp("golden"))
    database = Database(home)
    key = keys.create(database, "agent", "read", now_us())
    database.close()
    routes = reachable()

    async def ask(url: str):
        async with Client(AgentDoor(url, key).server) as client:
            return [await client.call_tool(tool, given) for _, tool, given, _, _ in QUESTIONS]

    with serving(home, tmp_path_factory.mktemp("log") / "log") as (_, client):
        told = asyncio.run(ask(str(client.base_url)))
        headers = {"authorization": f"Bearer {key}"}
        api = [
            httpx.post(f"{client.base_url}{routes[tool].path}", json=given, headers=headers, timeout=60).json()
            for _, tool, given, _, _ in QUESTIONS
        ]
    return list(zip(QUESTIONS, told, api, strict=True))


def test_each_of_a_hundred_questions_has_its_answer_with_its_week(answers):
    assert len(answers) == len({question for question, *_ in QUESTIONS}) == 100
    for (question, _, _, path, value), told, _ in answers:
        assert not told.is_error, question
        assert at(told.structured_content, path) == value, question
        assert told.structured_content["as_of"] == "2026-11-16", question


def test_no_answer_gives_a_number_that_the_api_does_not_give(answers):
    for (question, *_), told, api in answers:
        assert numbers(told.structured_content) == numbers(api), question
