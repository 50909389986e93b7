"""The nine tasks of a Monday, done on the page in Chromium by clicking alone, over a simulated company's weeks.

What the page shows is held against the tables of the week as they lie on the disk.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pandas as pd
import pytest

from support.champions import write_champions
from support.servers.on_loopback import on_loopback
from vouch.features.instants import parse_instant
from vouch.features.project import Project
from vouch.features.simulation.company import simulate
from vouch.serving.api.front import Middleware, MountedApp
from vouch.serving.api.state import ServingState
from vouch.serving.batch.run import score_weeks
from vouch.serving.presentation.translations import speech
from vouch.serving.site import open_site
from vouch.serving.snapshots.files import Snapshot, read_snapshot

pytestmark = [pytest.mark.browser, pytest.mark.nightly]

WEEKS = tuple(map(parse_instant, ("2025-11-24", "2026-02-23", "2026-05-25", "2026-08-24", "2026-11-09", "2026-11-16")))
NOW = parse_instant("2026-11-16T06:00:00Z")
T = speech("en")


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """Six weeks of a simulated company over a year, with handwritten champions."""
    folder = tmp_path_factory.mktemp("tasks")
    simulate(folder / "company", customers=300, weeks=60, seed=7)
    write_champions(folder / "home")
    score_weeks(Project(folder / "home", str(folder / "company")), WEEKS, NOW, despite="these weeks lie months apart")
    return folder / "home"


@pytest.fixture(scope="module")
def week(home) -> Snapshot:
    return read_snapshot(home)


@pytest.fixture(scope="module")
def people(week) -> pd.DataFrame:
    """Scores and profile of each customer of the week, by id."""
    scores, profiles = (week.table(name).to_pandas().set_index("customer_id") for name in ("scores", "customers"))
    return scores.join(profiles[[name for name in profiles if name not in scores]])


@pytest.fixture(scope="module")
def page(browser, home):
    """One page in one browser, whose console must stay silent over all tasks."""
    store = ServingState(home)
    store.refresh()
    site, errors = open_site(MountedApp(), store, is_local=True), []
    with on_loopback(Middleware(site, site)) as address:
        context = browser.new_context(base_url=address, locale="en-US", viewport={"width": 1440, "height": 900})
        opened = context.new_page()
        opened.on("console", lambda message: errors.append(message.text))
        opened.on("pageerror", lambda error: errors.append(str(error)))
        yield opened
        context.close()
    store.stop()
    assert errors == []


@pytest.fixture(autouse=True)
def monday(page):
    """Every task begins on the first screen."""
    page.goto("/app")


def view(page, name: str) -> None:
    page.get_by_role("navigation").get_by_role("link", name=T(f"nav.{name}"), exact=True).first.click()


def ids(page) -> list[str]:
    """The customers of the list on the page, in its order."""
    return [re.search(r"C\d{7}", text)[0] for text in page.locator("main tbody th[scope=row]").all_inner_texts()]


def choose(page, **filters: str) -> None:
    """Set filters of a list, and show it."""
    for name, value in filters.items():
        page.locator(f"#filter-{name}").select_option(value)
    page.get_by_role("button", name=T("list.show")).click()


def find(page, text: str) -> None:
    page.get_by_role("searchbox").fill(text)
    page.get_by_role("searchbox").press("Enter")


def done(page, name: str) -> bool:
    return page.get_by_role("status").filter(has_text=T(f"ask.done_{name}")).is_visible()


def test_whom_to_ask_for_a_review_in_one_region(page, people):
    region = people.loc[people["advocacy_consent"] & people["contact_consent"], "region"].value_counts().index[0]
    view(page, "candidates")
    choose(page, kind="review", region=region)
    listed = ids(page)
    assert listed
    assert set(people.loc[listed, "region"]) == {region}
    assert people.loc[listed, ["advocacy_consent", "contact_consent"]].to_numpy().all()
    assert set(page.locator("p.suggest strong").all_inner_texts()) == {T("act.review")}
    assert page.get_by_role("heading", name=T("candidates.disclosure")).is_visible(), "reviews are drawn, and say so"


def test_why_the_risk_of_a_customer_rose(page, week, people):
    moved = week.table("changes").to_pandas().set_index("customer_id")["churn_changes"].dropna()
    page.locator("ol.calls li.call a.button").first.click()
    customer_id = re.search(r"C\d{7}", page.url)[0]
    shown = page.locator("section[aria-labelledby=changed]")
    parts = [float(text.replace("+", "").replace("\N{MINUS SIGN}", "-")) for text in
             shown.locator("table.reasons").first.locator("td.n").all_inner_texts()]  # fmt: skip
    held = sorted((abs(part["contribution"]) for part in moved[customer_id]), reverse=True)
    assert parts[0] > 0, "who is to be called has risen, and the page says first by what"
    assert [abs(part) for part in parts] == pytest.approx(held[: len(parts)], abs=0.0051)


def test_who_of_the_twenty_with_most_revenue_is_at_risk(page, people):
    view(page, "at_risk")
    page.get_by_role("link", name=T("at_risk.top")).click()
    listed = ids(page)
    scored = people.loc[people["churn_probability"].notna() & people["mrr"].notna()]
    assert sorted(people.loc[listed, "mrr"]) == sorted(scored["mrr"].nlargest(20))
    bands = dict(zip(listed, page.locator("main tbody tr td:nth-child(5)").all_inner_texts(), strict=True))
    endangered = {who for who in listed if people.loc[who, "churn_band"] in ("high", "watch")}
    low = T("churn_band.low")
    assert {who for who, band in bands.items() if band.strip().lower() != low.lower()} == endangered


def test_an_ask_is_recorded_its_outcome_corrected_and_the_rest_has_an_end(page):
    view(page, "candidates")
    row = page.locator("main tbody tr").filter(has=page.get_by_role("button")).first
    customer_id = re.search(r"C\d{7}", row.inner_text())[0]
    row.locator("form button").click()
    assert done(page, "recorded")
    find(page, customer_id)
    page.get_by_role("button", name=T("outcome.declined")).click()
    assert done(page, "outcome")
    resting = page.locator("section[aria-labelledby=ask] p.exclusion").inner_text()
    assert T("exclusion.refused_lately") in resting
    latest = page.locator("section[aria-labelledby=ask] tbody tr").first
    latest.locator("summary").click()
    latest.get_by_role("button", name=T("outcome.accepted")).click()
    assert done(page, "corrected")
    rests = page.locator("section[aria-labelledby=ask] p.exclusion").inner_text()
    assert rests != resting, "a refusal that was none locks nobody for half a year"
    view(page, "asks_work")
    page.get_by_role("link", name=re.compile(f"^{T('work.state_resting')}")).click()
    until = page.locator("main tbody tr").filter(has_text=customer_id).first.inner_text()
    assert rests[rests.index("(") + 1 : rests.index(")")] in until


def test_a_health_score_is_set_by_hand_counts_at_once_and_is_withdrawn(page, people):
    view(page, "candidates")
    who = ids(page)[0]
    before = people.loc[who, "health_score"]
    find(page, who)
    page.get_by_label(T("work.score")).fill("5")
    page.get_by_role("textbox", name=T("work.why"), exact=True).fill("sponsor left")
    page.get_by_role("button", name=T("work.set"), exact=True).click()
    assert done(page, "overridden")
    badge = page.locator("ul.badges").inner_text()
    assert "5, by hand until" in badge
    assert "sponsor left" in badge
    view(page, "candidates")
    assert who not in ids(page)
    view(page, "asks_work")
    listed = page.locator("section[aria-labelledby=by-hand] li").filter(has_text=who)
    listed.get_by_role("button", name=T("work.withdraw")).click()
    assert done(page, "withdrawn")
    view(page, "candidates")
    assert who in ids(page)
    find(page, who)
    assert T("work.by_rules", score=T.number(before, 0)) not in page.locator("main").inner_text()


def test_nps_by_plan_over_a_year(page, home):
    view(page, "metrics")
    page.get_by_role("link", name="Net promoter score", exact=True).first.click()
    page.get_by_role("link", name=T("profile.plan"), exact=True).click()
    page.locator("summary", has_text=T("metrics.segments_over_a_year")).click()
    table = page.locator("#over-a-year")
    plans = table.locator("thead th").all_inner_texts()[1:]
    rows = table.locator("tbody tr").all()
    tables = [read_snapshot(home, as_of_us).table("metrics").to_pandas() for as_of_us in reversed(WEEKS)]
    weeks = [of.loc[(of["metric_id"] == "nps") & (of["by"] == "plan")].set_index("segment") for of in tables]
    weeks = [nps for nps in weeks if len(nps)]
    assert len(weeks) > 4, "over a year, but for weeks without answers"
    for row, nps in zip(rows, weeks, strict=True):
        for plan, cell in zip(plans, row.locator("td").all_inner_texts(), strict=True):
            value = nps["value"].get(plan)
            shown = (
                "\N{EN DASH}"
                if pd.isna(value)
                else f"{T.measure(value, nps['unit'][plan])} ({T.number(nps['n'][plan])})"
            )
            assert cell == shown


def test_a_customer_is_thanked_and_no_longer_waits_for_thanks(page):
    due = page.locator("section[aria-labelledby=speak]").get_by_role("heading", name=T("week.to_thank"))
    many = int(re.search(r"\d+", due.inner_text())[0])
    page.locator("section[aria-labelledby=speak] ul.brief").first.get_by_role("link", name=T("week.see")).first.click()
    assert page.get_by_text(T("ask.first_thank")).is_visible()
    page.get_by_role("button", name=T("work.thanked"), exact=True).click()
    assert done(page, "thanked")
    assert not page.get_by_text(T("ask.first_thank")).is_visible()
    page.goto("/app")
    left = due.inner_text() if due.count() else "0"
    assert int(re.search(r"\d+", left)[0]) == many - 1


def test_a_person_is_found_by_a_part_of_the_name_in_any_case(page, people):
    who = people.loc[people["name"].notna()].iloc[0]
    find(page, who["name"].upper())
    shown = page.locator("main").inner_text()
    assert who.name in shown, "the one customer, or a list of those who are called so"
    assert who["name"] in shown


def test_a_filtered_list_is_exported_as_it_is_seen(page, people, tmp_path):
    view(page, "at_risk")
    choose(page, segment=people.loc[people["churn_band"].isin(["high", "watch"]), "segment"].value_counts().index[0])
    listed, total = ids(page), int(re.search(r"[\d,]+", page.locator("p.count").inner_text())[0].replace(",", ""))
    with page.expect_download() as waiting:
        page.get_by_role("link", name=T("work.export")).click()
    waiting.value.save_as(tmp_path / "list.csv")
    rows = list(csv.DictReader((tmp_path / "list.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert len(rows) == total
    assert [row["customer_id"] for row in rows][: len(listed)] == listed
