"""The examples of answers in the OpenAPI document are what the routes answer."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from support.champions import write_champions, write_flat_champion
from support.handwritten_weeks import BEFORE, EARLIER, METRICS, customer, metric, publish
from support.page_home import PEOPLE
from vouch.features.contract.tables import DAY_US
from vouch.serving.api.answer_types import ProblemDocument
from vouch.serving.api.document.examples import ANSWERS
from vouch.serving.api.document.openapi import document
from vouch.serving.api.doors import API_ROUTES
from vouch.serving.api.handlers import actions, asks, references
from vouch.serving.api.handlers.actions import ActionRecord
from vouch.serving.api.handlers.reference_types import ReferenceRecord
from vouch.serving.api.problems import KINDS, Problem
from vouch.serving.api.schemas import AskRecord, ScoreRequest
from vouch.serving.api.speaking import worded_reasons
from vouch.serving.api.state import ServingState
from vouch.serving.metric_queries import catalogue
from vouch.serving.snapshots.schema import EXTRA
from vouch.serving.store.callers import EVERYBODY

WHO = "C000001"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A service that knows the customer of the examples, with all that they tell."""
    home = tmp_path_factory.mktemp("home")
    write_champions(home)
    write_flat_champion(home, "leavers")
    acts = [{"kind": "referral", "n": 2, "last_us": BEFORE - 60 * DAY_US}]
    changes = PEOPLE[1]["churn_changes"]
    times = {"asked_us": BEFORE - 200 * DAY_US, "outcome_us": BEFORE - 199 * DAY_US}
    asked = [{"ask_id": "a", "kind": "review", "outcome": "accepted", "is_randomised": False, **times}]
    groups = {"segment": "smb", "region": "KR-11", "language": "ko-KR"}
    groups |= {"account_id": "A0000017", "name": "Mona Samplewood", "owner": "Ines Demo", "currency": "EUR"}
    person = customer(
        WHO, 0.1, 0.8, acts=acts, asks=asked, tenure_days=410.0, nps_last=10.0, churn_changes=changes, **groups
    )
    publish(home, BEFORE, ({**EARLIER[0], "customer_id": WHO}, *EARLIER))
    by_segment = metric("nps", 20.0, by="segment", segment="smb")
    publish(
        home,
        people=[PEOPLE[0], person, {**person, "customer_id": "C000002", "asks": None}, *PEOPLE[1:]],
        metrics=[*METRICS, by_segment],
    )
    hook = '[[webhooks]]\nname = "hub"\nurl = "https://hub.example"\nsecret = "HUB"\n'
    (home / "destinations.toml").write_text(hook)
    found = ServingState(home)
    found.refresh()
    actions.record_action(
        found, ActionRecord(action_id="a", customer_id=WHO, kind="called", note="said yes"), EVERYBODY
    )
    asks.record_ask(found, AskRecord(ask_id="crm-2026-000124", customer_id="c3", kind="review"), EVERYBODY)
    references.record_reference(found, ReferenceRecord(request_id="desk-2026-000016", deal="OPP-4710"), EVERYBODY)
    yield found
    found.stop()


def shape(value: Any) -> Any:
    """The names that a value holds, at every depth; of a list, those of its first entry."""
    if isinstance(value, dict):
        further = tuple(f"{name}_" for name in EXTRA)
        return {name: shape(part) for name, part in value.items() if not name.startswith(further)}
    return [shape(value[0])] if isinstance(value, list) and value else None


def agree(example: Any, answer: Any) -> bool:
    """Whether two shapes have the same names wherever both have any."""
    if isinstance(example, dict) and isinstance(answer, dict):
        return example.keys() == answer.keys() and all(agree(example[name], answer[name]) for name in example)
    if isinstance(example, list) and isinstance(answer, list):
        return agree(example[0], answer[0])
    return example is None or answer is None


@pytest.mark.parametrize("route", API_ROUTES, ids=lambda route: route.path)
def test_an_example_has_the_type_of_the_answer_and_nothing_else(route):
    example = ANSWERS[route.path]
    assert route.gives.model_validate(example, strict=True).model_dump() == example
    shown = document(API_ROUTES)["paths"][route.path]["post"]["responses"]["200"]["content"]["application/json"]
    assert shown["example"] == example


def test_an_example_names_what_the_route_answers_to_the_example_of_a_request(store):
    for route in API_ROUTES:
        given = (store, route.takes(**route.example), *([] if route.scope == "read" else [EVERYBODY]))
        found = route.answer(*given)
        answer = json.loads(found) if isinstance(found, bytes) else json.loads(json.dumps(found))
        assert agree(shape(ANSWERS[route.path]), shape(answer)), route.path
        assert not any(isinstance(part, list) and not part for part in answer.values()), route.path


FORMS = [
    ({"vectors": [{"features": {"tenure_days": 3.0}}]}, True),
    ({"vectors": [{"features": {"tenure_days": 3.0}}], "rows": None, "as_of": None}, True),
    ({"rows": {"customers": [{"customer_id": "a"}]}, "as_of": "2026-01-01"}, True),
    ({"vectors": None, "rows": None}, False),
    ({}, False),
    ({"rows": {"customers": [{"customer_id": "a"}]}}, False),
    ({"vectors": [{"features": {"tenure_days": 3.0}}], "as_of": "2026-01-01"}, False),
    ({"vectors": [{"features": {"a": 1.0}}], "rows": {"customers": [{}]}, "as_of": "2026-01-01"}, False),
]


@pytest.mark.parametrize(("body", "is_taken"), FORMS)
def test_the_document_takes_of_a_score_what_the_route_takes(body, is_taken):
    assert jsonschema.Draft202012Validator(ScoreRequest.model_json_schema()).is_valid(body) == is_taken
    try:
        ScoreRequest.model_validate(body)
    except ValueError:
        assert not is_taken
    else:
        assert is_taken


def test_an_example_says_of_reasons_and_metrics_what_the_product_says():
    scored = ANSWERS["/v1/score"]["scores"][0]
    for model in ("churn", "advocacy"):
        reasons = scored[f"{model}_reasons"]
        assert worded_reasons([{name: row[name] for name in row if name != "words"} for row in reasons]) == reasons
        parts = sum(row["contribution"] for row in reasons)
        assert scored[f"{model}_base"] + parts == scored[f"{model}_raw"]
    assert ANSWERS["/v1/metrics/catalogue"]["metrics"][0] in catalogue()


@pytest.mark.parametrize("code", KINDS)
def test_every_problem_has_its_example(code):
    example = document(API_ROUTES)["components"]["responses"][code]["content"]["application/problem+json"]["example"]
    assert example == Problem(code).document()
    assert ProblemDocument.model_validate(example, strict=True).code == code
