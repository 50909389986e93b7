"""The report, the demo's list and the service tell the same: figure by figure, of one week, through real calls."""

from __future__ import annotations

import httpx
import pytest
from faults import BEFORE, MONDAY, with_champions
from running_service import serving

from serving.advocates import EXCLUSIONS
from serving.askable import askable_now
from serving.published import week_before
from serving.report import REASONS, SCALES, TOP, figures
from serving.snapshot import read_snapshot
from serving.store import now_us


@pytest.fixture(scope="module")
def home(company, tmp_path_factory):
    """The simulated company with two published weeks, and a policy of its own."""
    made = tmp_path_factory.mktemp("home")
    with_champions(made, company, BEFORE, MONDAY)
    (made / "policy.toml").write_text("[eligibility]\nmaximum_churn = 0.1\n[exploration]\nshare = 0.2\n")
    return made


@pytest.fixture(scope="module")
def client(home, tmp_path_factory):
    with serving(home, tmp_path_factory.mktemp("log") / "server.log") as (_, client):
        yield client


def ask(client: httpx.Client, path: str, **body) -> dict:
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def reported(home):
    """The figures of a report that is written now."""
    snapshot = read_snapshot(home)
    return figures(snapshot, askable_now(home, None, snapshot, now_us()), week_before(home, snapshot.as_of_us))


def assert_same_people(found, listed, total, rows):
    assert (total, len(listed)) == (found["total"], len(rows))
    assert rows, "a test of nothing"
    for person, row in zip(listed, rows, strict=True):
        assert (person.rank, person.customer_id) == (row["rank"], row["customer_id"])
        assert (person.value, person.segment) == (row["value"], row["segment"])
        for told, reason in zip(person.reasons, row["reasons"][:REASONS], strict=True):
            assert told == f"{'raises' if reason['contribution'] > 0 else 'lowers'} it: {reason['words']}"


def test_candidates_of_the_report_are_those_of_the_service(home, client):
    """Consents, health, churn, tickets, caps, quotas, places given at random, and asks of this minute."""
    seen = []
    for _ in range(3):
        told, found = reported(home), ask(client, "/v1/advocates/search", limit=TOP)
        assert_same_people(found, told.candidates, told.candidates_total, found["candidates"])
        for person, row in zip(told.candidates, found["candidates"], strict=True):
            assert person.probability == row["advocacy_probability"]
            assert person.score == row["advocacy_score"]
            assert person.staying == (None if (p := row["churn_probability"]) is None else 1 - p)
            assert (person.tier, person.ask_for) == (row["advocate_tier"], row["ask_for"]["kind"])
        first = found["candidates"][0]
        seen.append((found["total"], first["customer_id"]))
        asked = {"ask_id": f"ask-{first['customer_id']}", "kind": first["ask_for"]["kind"]}
        ask(client, "/v1/asks/record", customer_id=first["customer_id"], **asked)
        assert first["customer_id"] not in [person.customer_id for person in reported(home).candidates]
    assert len(dict(seen)) == len(seen), "each ask took somebody off the list"
    hidden = ask(client, "/v1/advocates/search", limit=200, include_ineligible=True)["candidates"]
    why = {row["exclusion"] for row in hidden} - {None}
    assert {"high_churn", "open_ask"} <= why <= EXCLUSIONS.keys()


def test_those_at_risk_are_those_of_the_service(home, client):
    told, found = reported(home), ask(client, "/v1/customers/at_risk", limit=TOP)
    assert_same_people(found, told.at_risk, told.at_risk_total, found["customers"])
    for person, row in zip(told.at_risk, found["customers"], strict=True):
        assert (person.probability, person.band, person.mrr) == (
            row["churn_probability"],
            row["churn_band"],
            row["mrr"],
        )


def test_every_metric_is_that_of_the_service(home, client):
    told = reported(home)
    rows = {row["metric_id"]: row for row in ask(client, "/v1/metrics/query")["metrics"]}
    assert {row["metric_id"] for row in (*told.metrics, *told.withheld)} == rows.keys()
    for row in (*told.metrics, *told.withheld):
        wanted = rows[row["metric_id"]]
        assert {name: value for name, value in row.items() if name not in ("as_of", "name")} == {
            name: value for name, value in wanted.items() if name != "as_of"
        }


def test_counts_and_movers_are_those_of_the_service(home, client):
    told = reported(home)
    whole = ask(client, "/v1/advocates/search", limit=1, include_ineligible=True)
    assert (told.customers, told.as_of, told.revision) == (whole["total"], whole["as_of"], whole["revision"])
    for group in told.portfolio["advocate_tier"]:
        of_tier = ask(client, "/v1/advocates/search", limit=1, include_ineligible=True, tier=[group.value])
        assert of_tier["total"] == group.count
    bands = {group.value: group.count for group in told.portfolio["churn_band"]}
    for band in SCALES["churn_band"][1]:
        assert ask(client, "/v1/customers/at_risk", limit=1, band=[band])["total"] == bands.get(band, 0)
    people = [person for of in told.movers.values() for person in of]
    assert people, "a test of nothing"
    for title, of in told.movers.items():
        model = "advocacy" if title in ("New advocates", "More likely to speak up") else "churn"
        for person in of:
            found = ask(client, "/v1/customers/get", customer_id=person.customer_id)
            assert person.after == found[f"{model}_probability"], title
            assert person.before == found["previous"][f"{model}_probability"], title
