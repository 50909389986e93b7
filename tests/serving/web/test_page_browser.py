"""The page in Chromium: every view in light and dark and narrow, free of errors, and clean by axe-core."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe

from support.handwritten_weeks import MONDAY, publish
from support.page_home import write_home
from support.servers.on_loopback import on_loopback
from vouch.serving.api.front import Middleware, MountedApp
from vouch.serving.api.handlers.overrides import OverrideRecord, record_override
from vouch.serving.api.handlers.reference_types import ReferenceRecord
from vouch.serving.api.handlers.references import record_reference
from vouch.serving.api.state import ServingState, now_us
from vouch.serving.presentation.translations import LANGUAGES, speech
from vouch.serving.site import open_site
from vouch.serving.store import keys
from vouch.serving.store.callers import EVERYBODY
from vouch.serving.web.render import VIEWS, customer_url

pytestmark = pytest.mark.browser

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
CONTRAST = {"runOnly": ["color-contrast", "link-in-text-block"]}
VIEW = {
    **VIEWS,
    "customer": customer_url("c1"),
    "without scores": customer_url("c5"),
    "metric": "/app/metrics/nps",
    "card": "/app/models/churn/card",
    "docs": "/app/docs",
    "page of docs": "/app/docs/serving",
    "excluded": "/app/candidates?include_ineligible=1",
    "nobody": "/app/at-risk?segment=nowhere",
    "found": "/app/find?text=sample",
    "account": "/app/account?id=A0000017",
    "list": "/app/lists/care_needs",
    "done": "/app/asks?state=done",
    "reference": "/app/reference?id=r1",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> ServingState:
    found = ServingState(write_home(tmp_path_factory.mktemp("browsed")))
    found.refresh()
    why = "their sponsor left, and nobody has answered a call since"
    by_hand = {"override_id": "1", "customer_id": "c1", "score": 35.0, "reason": why}
    record_override(found, OverrideRecord(**by_hand), EVERYBODY)
    record_reference(found, ReferenceRecord(request_id="r1", deal="OPP-1", industry="retail"), EVERYBODY)
    return found


@pytest.fixture(scope="module")
def address(store):
    site = open_site(MountedApp(), store, is_local=True)
    with on_loopback(Middleware(site, site)) as address:
        yield address


def is_left(request) -> bool:
    """Whether a request failed because the page was left before it was answered."""
    return "ERR_ABORTED" in (request.failure or "")


@pytest.fixture
def open_page(browser, address):
    """A function that opens a page; at the end the console must have stayed silent."""
    contexts, said = [], []

    def open_(path: str, *, language: str = "en-US", theme: str = "light", width: int = 1280, **options):
        context = browser.new_context(
            base_url=address,
            locale=language,
            color_scheme=theme,
            reduced_motion="reduce",
            viewport={"width": width, "height": 900},
            **options,
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("requestfailed", lambda request: said.append(request.url) if not is_left(request) else None)
        page.goto(path)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert said == []


def violations(page, options=RULES) -> list[str]:
    found = Axe().run(page, options=options).response["violations"]
    return [f"{rule['id']}: {[node['html'][:200] for node in rule['nodes'][:3]]}" for rule in found]


@pytest.mark.parametrize("view", VIEW)
def test_axe_finds_nothing_in_a_view_and_enough_contrast_in_the_dark(open_page, view):
    page = open_page(VIEW[view], bypass_csp=True)  # axe is brought in from outside
    assert violations(page) == []
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(16, 21, 20)"
    assert violations(page, CONTRAST) == []


@pytest.mark.parametrize("view", VIEW)
def test_a_narrow_view_stays_within_its_window_and_is_clean(open_page, view):
    page = open_page(VIEW[view], width=360, bypass_csp=True)
    too_wide = "[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > 361"
    scrolls = "!e.closest('.scroll, nav')).map(e => e.outerHTML.slice(0, 120))"
    assert page.evaluate(f"{too_wide} && {scrolls}") == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert violations(page) == []


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_other_languages_are_clean_too_and_fit(open_page, language):
    for view in ("week", "portfolio", "candidates", "customer", "models", "references", "reference", "list"):
        page = open_page(VIEW[view], language=language, width=800, bypass_csp=True)
        assert page.evaluate("document.documentElement.lang") == language
        assert page.evaluate("document.documentElement.scrollWidth") <= 800
        assert violations(page) == []
        page.set_viewport_size({"width": 360, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_policy_lets_style_and_script_of_ours_work_and_no_other(browser, address):
    with browser.new_context(base_url=address) as context:
        page = context.new_page()
        page.goto("/app")
        assert page.evaluate("getComputedStyle(document.querySelector('.tile')).borderRadius") == "10px"
        assert page.locator("#newer").is_hidden()
        page.evaluate(
            """() => {
                const script = document.createElement("script");
                script.text = "window.leaked = true";
                document.body.append(script);
            }"""
        )
        assert page.evaluate("window.leaked") is None


def test_a_list_is_filtered_by_hand_and_cleared_again(open_page):
    t = speech("en")
    page = open_page("/app/candidates")
    everybody = page.locator("tbody tr").count()
    page.get_by_label(t("profile.segment")).select_option("smb")
    page.get_by_label(t("candidates.minimum")).fill("75")
    page.get_by_role("button", name=t("list.show")).click()
    assert "segment=smb" in page.url
    assert 0 < page.locator("tbody tr").count() < everybody
    page.get_by_role("link", name=t("list.clear")).click()
    assert page.locator("tbody tr").count() == everybody
    page.get_by_label(t("candidates.include")).check()
    page.get_by_role("button", name=t("list.show")).click()
    assert page.locator("tbody tr").count() > everybody


def test_a_customer_is_found_by_id_and_by_clicking_through(open_page):
    page = open_page("/app")
    page.get_by_role("searchbox").fill("c2")
    page.get_by_role("searchbox").press("Enter")
    assert page.locator("h1").inner_text() == "c2"
    page.get_by_role("link", name=speech("en")("nav.at_risk")).click()
    page.locator("main").get_by_role("link", name="North Energy Example").first.click()
    assert page.locator("h1").inner_text() == "North Energy Example"


def test_an_ask_is_recorded_and_answered_by_hand(open_page):
    t = speech("en")
    page = open_page("/app/candidates")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="c3", exact=True))
    row.get_by_role("button", name=t("ask.record")).click()
    assert page.get_by_text(t("ask.done_recorded")).is_visible()
    assert row.count() == 0
    page.goto(customer_url("c3"))
    assert page.get_by_text(t("exclusion.open_ask")).is_visible()
    page.get_by_role("button", name=t("outcome.declined")).click()
    assert page.get_by_text(t("ask.done_outcome")).is_visible()
    page.goto(customer_url("c2"))
    page.get_by_label(t("ask.kind")).select_option("review")
    page.get_by_role("button", name=t("ask.record")).click()
    assert page.get_by_text(t("ask.done_recorded")).is_visible()
    assert page.get_by_role("cell", name=t("act.review")).is_visible()


def test_the_whole_page_can_be_walked_by_keyboard(open_page):
    page = open_page("/app/portfolio")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.outerHTML.slice(0, 400)"))
    assert len(seen) > 20
    assert any('aria-labelledby="friends"' in element for element in seen)


def test_the_language_is_switched_and_stays(open_page):
    page = open_page("/app/models")
    page.get_by_role("link", name="한국어").click()
    assert page.locator("h1").inner_text() == speech("ko")("nav.models")
    page.get_by_role("link", name=speech("ko")("nav.portfolio"), exact=True).click()
    assert page.evaluate("document.documentElement.lang") == "ko"


def test_figures_behind_a_chart_open_as_a_table(open_page):
    page = open_page("/app/metrics/nps")
    table = page.locator("details table").first
    assert table.is_hidden()
    page.get_by_text(speech("en")("chart.table")).first.click()
    assert table.is_visible()


def test_a_page_that_stays_open_says_when_a_newer_week_is_served(open_page, store):
    page = open_page("/app")
    publish(store.home, MONDAY)
    store.refresh()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.locator("#newer").wait_for(state="visible")
    page.get_by_role("link", name=speech("en")("page.reload")).click()
    assert page.evaluate("document.body.dataset.served") == "2026-11-16/2"


def test_without_script_every_view_reads_the_same(open_page):
    for path in (path for name, path in VIEW.items() if name != "account"):  # a newer week, published here, lacks it
        page = open_page(path, java_script_enabled=False)
        assert page.locator("h1").count() + page.locator("article").count() >= 1


def test_a_person_signs_in_with_a_key_and_out_again(browser, tmp_path):
    t, found = speech("en"), ServingState(write_home(tmp_path))
    key = keys.create(found.database, "anna", "write", now_us())
    found.refresh()
    site = open_site(MountedApp(), found, is_local=True)
    with (
        on_loopback(Middleware(site, site)) as address,
        browser.new_context(base_url=address, bypass_csp=True) as context,
    ):
        page = context.new_page()
        page.goto(customer_url("c1"))
        assert page.locator("h1").inner_text() == t("login.title")
        assert page.evaluate("document.activeElement.id") == "key"
        page.keyboard.type("not a key")
        page.keyboard.press("Enter")
        assert page.get_by_role("alert").inner_text() == t("login.wrong")
        assert violations(page) == []
        page.get_by_label(t("login.key")).fill(key)
        page.get_by_role("button", name=t("login.enter")).click()
        assert page.locator("h1").inner_text() == "North Energy Example"
        assert page.evaluate("document.cookie") == ""
        page.get_by_role("button", name=t("page.sign_out")).click()
        assert page.locator("h1").inner_text() == t("login.title")
        page.goto("/app")
        assert page.locator("h1").inner_text() == t("login.title")
    found.stop()
