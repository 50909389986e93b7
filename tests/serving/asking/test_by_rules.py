"""Without a champion people are still listed, by rules that the lists name: on the page, by the API, in the report."""

from __future__ import annotations

import html

import pytest
from starlette.testclient import TestClient

from support.handwritten_weeks import MONDAY, customer, publish
from vouch.serving.api.answer_types import Candidates
from vouch.serving.api.front import Middleware, MountedApp
from vouch.serving.api.handlers.read import search_advocates, search_at_risk
from vouch.serving.api.handlers.this_week import this_week
from vouch.serving.api.handlers.week_types import AtRiskPage
from vouch.serving.api.schemas import AdvocatesSearch, AtRiskSearch, WeekGet
from vouch.serving.api.state import ServingState
from vouch.serving.asking.by_hand import ByHand
from vouch.serving.asking.candidates import askable_now
from vouch.serving.presentation.translations import LANGUAGES, speech
from vouch.serving.reports.email_text import as_text
from vouch.serving.reports.rendering import as_page
from vouch.serving.reports.report import figures
from vouch.serving.site import open_site
from vouch.serving.snapshots.files import read_snapshot

NOBODY = {"churn_reasons": None, "advocacy_reasons": None, "churn_model": None, "advocacy_model": None}


def unscored(name, tier="none", nps=None, health=80.0, mrr=100.0, **more):
    """A customer of a week without champions."""
    band = "at_risk" if health < 50 else "watch" if health < 75 else "healthy"
    return customer(name, None, None, **{
        "churn_status": "no_model", "advocacy_status": "no_model", "advocate_tier": tier, "nps_last": nps, "mrr": mrr,
        "health_score": health, "health_band": band, "churn_band": None, **NOBODY, **more,
    })  # fmt: skip


PEOPLE = sorted(
    [
        unscored("promoter", "potential", 9.0, 90.0),
        unscored("fan", "active", 8.0, 80.0),
        unscored("star", "influential", 7.0, 60.0),
        unscored("second fan", "active", 10.0, 60.0),
        unscored("shy", "none", 10.0, 95.0),
        unscored("unwilling", "active", 10.0, 95.0, advocacy_consent=False),
        unscored("ill and rich", health=40.0, mrr=900.0),
        unscored("ill and poor", health=20.0, mrr=9.0),
        unscored("worse, as poor", health=10.0, mrr=9.0),
        unscored("gone", churn_status="churned", advocacy_status="churned", health=10.0, mrr=999.0),
    ],
    key=lambda row: row["customer_id"],
)
ASKED = ["star", "second fan", "fan", "promoter"]
CALLED = ["ill and rich", "worse, as poor", "ill and poor"]
WATCHED = ["second fan", "star"]
WITHOUT = {"models": {"churn": None, "advocacy": None}}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    home = tmp_path_factory.mktemp("rules")
    publish(home, MONDAY, PEOPLE, **WITHOUT)
    found = ServingState(home)
    found.refresh()
    yield found
    found.stop()


def names(rows):
    return [row["customer_id"] for row in rows]


def test_candidates_stand_in_the_order_of_tier_answer_and_health_without_a_score(store):
    found = search_advocates(store, AdvocatesSearch())
    Candidates.model_validate(found, strict=True)
    assert (found["ranked_by"], names(found["candidates"])) == ("rules", ASKED)
    assert {(row["value"], row["advocacy_score"]) for row in found["candidates"]} == {(None, None)}
    shown = search_advocates(store, AdvocatesSearch(include_ineligible=True))["candidates"]
    why = {row["customer_id"]: row["exclusion"] for row in shown}
    assert (why["shy"], why["unwilling"], why["gone"]) == ("no_model", "no_consent", "churned")


def test_those_at_risk_are_the_unhealthy_and_those_to_be_watched_by_what_they_pay(store):
    found = search_at_risk(store, AtRiskSearch())
    AtRiskPage.model_validate(found, strict=True)
    assert (found["ranked_by"], names(found["customers"])) == ("rules", [*CALLED, *WATCHED])
    assert {(row["value"], row["churn_probability"]) for row in found["customers"]} == {(None, None)}
    assert [row["health_band"] for row in found["customers"]] == [*["at_risk"] * 3, *["watch"] * 2]


@pytest.mark.parametrize(("search", "request_type", "of"), [
    (search_advocates, AdvocatesSearch, "candidates"), (search_at_risk, AtRiskSearch, "customers"),
])  # fmt: skip
def test_pages_by_rules_follow_each_other_to_the_end(store, search, request_type, of):
    whole, rows, cursor = names(search(store, request_type())[of]), [], None
    while not rows or cursor:
        page = search(store, request_type(limit=2, cursor=cursor))
        rows += names(page[of])
        cursor = page["next_cursor"]
    assert rows == whole


def test_the_week_begins_with_the_unhealthy_and_says_that_these_are_rules(store):
    calls = this_week(store, WeekGet())["call_first"]
    assert (calls["ranked_by"], names(calls["customers"]), calls["high"]) == ("rules", CALLED, 3)
    assert {row["why"] for row in calls["customers"]} == {"unhealthy"}
    assert calls["mrr"] == 918


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("path", "key", "who"), [
    ("/app", "week.call_rules", CALLED[0]), ("/app/candidates", "candidates.by_rules", ASKED[0]),
    ("/app/at-risk", "at_risk.by_rules", CALLED[0]),
])  # fmt: skip
def test_the_page_says_that_these_are_rules(store, language, path, key, who):
    site = open_site(MountedApp(), store, is_local=True)
    client = TestClient(Middleware(site, site), base_url="http://127.0.0.1")
    text = client.get(path, headers={"accept-language": language}).text
    assert speech(language)(key) in text
    assert who in text


def test_the_report_lists_the_same_people_and_says_so(store):
    week = read_snapshot(store.home)
    found = figures(week, askable_now(store.home, None, week, MONDAY))
    assert set(found.by_rules) == {"churn", "advocacy"}
    assert [row.customer_id for row in found.candidates] == ASKED
    assert [row.customer_id for row in found.at_risk] == [*CALLED, *WATCHED]
    assert [row.customer_id for row in found.calls] == CALLED
    for form in (as_page, as_text):
        shown = " ".join(form(found).split())
        assert all(speech("en")(key) in shown for key in ("at_risk.by_rules", "candidates.by_rules"))
        assert "None" not in shown


def test_where_there_is_a_champion_no_rule_lists_anybody(tmp_path):
    publish(tmp_path)
    found = ServingState(tmp_path)
    found.refresh()
    assert search_advocates(found, AdvocatesSearch())["ranked_by"] == "affinity"
    at_risk = search_at_risk(found, AtRiskSearch())
    assert at_risk["ranked_by"] == "model"
    assert all(row["churn_probability"] is not None for row in at_risk["customers"])


def test_who_objects_is_in_no_list_by_rules_and_who_withdraws_it_is_back(tmp_path):
    publish(tmp_path, MONDAY, PEOPLE, **WITHOUT)
    found = ServingState(tmp_path)
    found.refresh()
    found.portfolio.take_by_hand(ByHand(objections=frozenset({CALLED[0], ASKED[0]})))
    assert names(search_at_risk(found, AtRiskSearch())["customers"]) == [*CALLED[1:], WATCHED[0]]
    assert names(search_advocates(found, AdvocatesSearch())["candidates"]) == ASKED[1:]
    found.portfolio.take_by_hand(ByHand())
    assert names(search_at_risk(found, AtRiskSearch())["customers"]) == [*CALLED, *WATCHED]


def test_the_report_counts_tiers_and_bands_of_those_who_are_still_here(tmp_path):
    gone = [customer("left", None, None, advocate_tier="active", health_band="unknown", health_score=None)]
    week = publish(tmp_path, MONDAY, sorted([*gone, *PEOPLE], key=lambda row: row["customer_id"]), **WITHOUT)
    found = figures(week, askable_now(tmp_path, None, week, MONDAY))
    counted = {name: {group.value: group.count for group in of} for name, of in found.portfolio.items()}
    assert counted["churn_status"] == {"churned": 2, "no_model": 9}
    assert counted["advocate_tier"] == {"influential": 1, "active": 3, "potential": 1, "none": 4}
    assert counted["health_band"] == {"at_risk": 3, "watch": 2, "healthy": 4}
    assert all("unhealthy" in form(found) for form in (as_page, as_text))


def test_a_week_in_which_nobody_can_be_scored_and_no_model_could_says_that_there_is_none(tmp_path):
    publish(tmp_path, MONDAY, [customer("a", None, None), customer("b", None, None)], models={"churn": None})
    store = ServingState(tmp_path)
    store.refresh()
    assert store.portfolio.ranked_by("churn") == "rules"
    store.stop()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_band_that_is_not_that_of_its_score_says_why_wherever_it_is_listed(tmp_path, language):
    doubtful = unscored("doubtful", "active", 9.0, 92.0, health_band="watch", health_coverage=0.7, health_low=64.0,
                        health_high=94.0)  # fmt: skip
    unknown = unscored("hardly known", "active", 9.0, health_score=None, health_band="unknown", health_coverage=0.3,
                       health_low=25.0, health_high=95.0)  # fmt: skip
    week = publish(tmp_path, MONDAY, [doubtful, unknown], **WITHOUT)
    found = figures(week, askable_now(tmp_path, None, week, MONDAY))
    t = speech(language)
    said = [
        t("health.lower_bound", lowest="64", band=t("health_band.healthy")),
        t("health.too_little_known", coverage=t.percent(0.3, 0), floor=t.percent(0.6, 0)),
    ]
    store = ServingState(tmp_path)
    store.refresh()
    site = open_site(MountedApp(), store, is_local=True)
    client = TestClient(Middleware(site, site), base_url="http://127.0.0.1")
    listed = client.get("/app/candidates?include_ineligible=1", headers={"accept-language": language}).text
    store.stop()
    for shown in (as_page(found, language), as_text(found, language), listed):
        words = " ".join(html.unescape(shown).split())
        assert all(" ".join(sentence.split()) in words for sentence in said), shown
        assert t("rules.health", score="92") in words
        assert t("rules.health", score=t.number(None, 0)) not in words


def test_where_too_little_is_known_of_health_the_silent_are_listed_the_longest_silent_first(tmp_path):
    def unknown(name, silent, **more):
        return unscored(name, health_band="unknown", health_score=None, silent_days=silent, **more)

    people = [unknown("a", 40.0), unknown("b", 3.0), unknown("c", 90.0), unknown("d", 40.0, mrr=900.0)]
    week = publish(tmp_path, MONDAY, [*people, *PEOPLE], **WITHOUT)
    found = ServingState(tmp_path)
    found.refresh()
    listed = search_at_risk(found, AtRiskSearch())
    assert (listed["ranked_by"], names(listed["customers"])) == ("rules", [*CALLED, *WATCHED, "c", "d", "a"])
    found.portfolio.take_by_hand(ByHand(objections=frozenset({"c"})))
    assert names(search_at_risk(found, AtRiskSearch())["customers"])[-2:] == ["d", "a"]
    found.portfolio.take_by_hand(ByHand())
    assert names(search_at_risk(found, AtRiskSearch())["customers"])[-3:] == ["c", "d", "a"]
    told = figures(week, askable_now(tmp_path, None, week, MONDAY))
    assert [row.customer_id for row in told.at_risk][-3:] == ["c", "d", "a"]
    assert "silent for four weeks" in as_page(told)


def test_a_report_of_a_company_of_whose_health_nothing_is_known_says_so_and_lists_all_the_same(tmp_path):
    people = [unscored(name, health_band="unknown", health_score=None, silent_days=50.0) for name in "ab"]
    week = publish(tmp_path, MONDAY, people, **WITHOUT)
    told = figures(week, askable_now(tmp_path, None, week, MONDAY))
    assert [row.customer_id for row in told.at_risk] == ["a", "b"]
    page = as_page(told)
    assert speech("en")("week.unknown_health") in page
    assert speech("en")("week.nobody_unhealthy") not in page
