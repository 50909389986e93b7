"""One truth per figure: a named population has the same number of customers, whoever tells it."""

from __future__ import annotations

import re

import pytest

from support.champions import write_champions
from support.handwritten_weeks import MONDAY, customer, publish
from support.servers.answering import Served
from vouch.features.instants import parse_instant
from vouch.features.project import Project
from vouch.serving.api.state import now_us
from vouch.serving.asking.candidates import askable_now
from vouch.serving.batch.run import score_weeks
from vouch.serving.reports.email_text import as_text
from vouch.serving.reports.rendering import as_page
from vouch.serving.reports.report import figures
from vouch.serving.snapshots import files
from vouch.serving.snapshots.schema import TIERS
from vouch.serving.store.actions import set_objection
from vouch.serving.store.callers import EVERYBODY
from vouch.serving.store.recorded import with_recorded
from vouch.serving.web.overview import overview
from vouch.serving.weekly.populations import BANDS, MEANINGS, populations


@pytest.fixture(scope="module")
def served(company, tmp_path_factory):
    """The service over a week of a whole company, scored as ever: its metrics come from its tables."""
    home = tmp_path_factory.mktemp("home")
    write_champions(home)
    score_weeks(with_recorded(Project(home=home, location=str(company))), None, parse_instant("2026-11-16T06:00:00Z"))
    found = Served(home, has_week=True)
    yield found
    found.close()


def by_prometheus(served: Served) -> dict[str, int]:
    text = served.call("GET", "/metrics", "read").text
    told = {
        name: int(float(value)) for name, value in re.findall(r'vouch_population\{population="(\w+)"\} (\S+)', text)
    }
    for gauge, name in (("customers", "everybody"), ("customers_left", "left"), ("customers_opted_out", "opted_out")):
        assert int(float(re.search(rf"^vouch_{gauge} (\S+)$", text, re.MULTILINE)[1])) == told[name]
    return told


def by_report(served: Served) -> dict[str, int]:
    """What the report tells, once its page, its text for an e-mail and its figures are found to agree."""
    week = files.read_snapshot(served.store.home)
    shown = figures(week, askable_now(served.store.home, None, week, now_us()))
    told, page = shown.populations, as_page(shown)
    assert shown.as_dict()["populations"] == told
    assert f"{told['customers']:,} customers" in as_text(shown).replace("\n", " ")
    assert f'<data value="{told["customers"]}">{told["customers"]:,} customers</data>' in page
    groups = {name: {group.value: group.count for group in of} for name, of in shown.portfolio.items()}
    check_groups(told, groups)
    assert shown.at_risk_total == told["at_risk"]
    may_be_asked = served.call("POST", "/v1/advocates/search", "read", json={"limit": 1}).json()["total"]
    assert shown.candidates_total == may_be_asked
    return dict(told)


def check_groups(told: dict[str, int], groups: dict[str, dict[str, int]]) -> None:
    for name, bands in BANDS.items():
        assert told[name] == sum(groups["churn_band"].get(band, 0) for band in bands)
    assert told["unhealthy"] == groups["health_band"].get("at_risk", 0)
    for tier in TIERS[1:]:
        assert told[f"{tier}_advocates"] == groups["advocate_tier"].get(tier, 0)
    for column in ("churn_band", "health_band", "advocate_tier"):
        assert told["customers"] == sum(groups[column].values())


def by_page(served: Served) -> dict[str, int]:
    """What the page of the portfolio is made from, once it is found there."""
    newest, told = overview(served.store).newest, served.store.portfolio.populations
    check_groups(told, newest.counts)
    html = served.call("GET", "/app/portfolio", "read").text
    assert f'<p class="big">{newest.customers:,}</p>' in html
    return {"customers": newest.customers, "left": newest.left}


def check_all(served: Served) -> dict[str, int]:
    week = served.call("POST", "/v1/week", "read", json={}).json()
    told = week["populations"]
    assert set(told) == set(MEANINGS)
    assert told == by_report(served) == by_prometheus(served) == told | by_page(served)
    listed = served.call("POST", "/v1/customers/at_risk", "read", json={"limit": 1}).json()
    high = served.call("POST", "/v1/customers/at_risk", "read", json={"limit": 1, "band": ["high"]}).json()
    assert (listed["total"], high["total"]) == (told["at_risk"], told["high_risk"])
    assert week["call_first"]["high"] == told["high_risk"]
    return told


def test_every_door_tells_the_same_number_of_a_population(served):
    told = check_all(served)
    assert min(told[name] for name in ("customers", "left", "at_risk", "unhealthy", "active_advocates")) > 0
    metrics = {
        row["metric_id"]: row["value"] for row in served.store.portfolio.metrics.to_pylist() if row["by"] is None
    }
    for tier in TIERS[1:]:
        assert told[f"{tier}_advocates"] == metrics[f"advocates_{tier}"], tier


def test_who_comes_to_object_leaves_all_of_them_at_once(served):
    before = served.store.portfolio.populations
    (first,) = served.call("POST", "/v1/customers/at_risk", "read", json={"limit": 1}).json()["customers"]
    set_objection(served.database, first["customer_id"], True, EVERYBODY, now_us())
    served.store.follow()
    after = check_all(served)
    assert (after["at_risk"], after["opted_out"]) == (before["at_risk"] - 1, before["opted_out"] + 1)
    assert after["customers"] == before["customers"]


def test_who_has_left_is_in_no_population_but_those_of_everybody_and_of_the_left(tmp_path):
    gone = [customer(f"g{n}", None, None, churn_band="high", health_band="at_risk", advocate_tier="active")
            for n in range(3)]  # fmt: skip
    week = publish(tmp_path, MONDAY, gone)
    told = populations(week.table("scores"), ())
    assert {name for name, number in told.items() if number} == {"everybody", "left"}
