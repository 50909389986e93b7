"""A past week on the page: its address shows what was seen, leads on within that week, and nothing is written there."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.testclient import TestClient

from support.handwritten_weeks import BEFORE, MONDAY, customer, metric, publish
from vouch.serving.api.front import Middleware, MountedApp
from vouch.serving.api.state import ServingState
from vouch.serving.presentation.translations import LANGUAGES, speech
from vouch.serving.site import open_site
from vouch.serving.web.past import VIEWS_OF_A_WEEK, is_of_a_week

THEN = "as_of=2026-11-09"
ASKED = {"/app/customer": "?id=c001", "/app/account": "?id=A1", "/app/find": "?text=c00"}
VIEWS = [
    *(view + ASKED.get(view, "") for view in sorted(VIEWS_OF_A_WEEK - {"/app/"}) if not view.endswith("/export")),
    "/app/metrics/nps",
    "/app/lists/care_needs",
]
EXPORTS = [view for view in sorted(VIEWS_OF_A_WEEK) if view.endswith("/export")]
NEEDS = {"care_needs": [{"customer_id": f"c{number:03}", "gratitude": 0.0} for number in range(60)]}


def people(churn: float, owner: str) -> list[dict]:
    """Sixty customers, more than a page of any list has, of one account and one owner."""
    who = {"account_id": "A1", "owner": owner, "segment": "smb"}
    return [customer(f"c{number:03}", churn + number / 1000, 0.4, **who) for number in range(60)]


class House:
    """A home with one week, its page, and a later week that can be published."""

    def __init__(self, home) -> None:
        self.home, self.store = home, ServingState(home)
        publish(home, BEFORE, people(0.2, "Ada"), [metric("nps", 38.0, unit="points")], lists=NEEDS)
        self.store.refresh()
        site = open_site(MountedApp(), self.store, is_local=True)
        self.client = TestClient(Middleware(site, site), base_url="http://localhost", follow_redirects=False)

    def go_on(self) -> None:
        publish(self.home, MONDAY, people(0.22, "Bo")[:9], [metric("nps", -7.0, unit="points")], lists={})
        self.store.refresh()

    def page(self, view: str, *more: str) -> str:
        answer = self.client.get("&".join([view if "?" in view or not more else f"{view}?", *more]).replace("?&", "?"))
        assert answer.status_code == 200, (view, answer.text[-500:])
        return answer.text


@pytest.fixture(scope="module")
def seen_and_past(tmp_path_factory) -> Iterator[dict[str, tuple[str, str, str]]]:
    """Each view of a week while it is the newest, the same after a later one, and then that of the later one."""
    house = House(tmp_path_factory.mktemp("home"))
    seen = {view: house.page(view, THEN) for view in VIEWS}
    house.go_on()
    yield {view: (seen[view], house.page(view, THEN), house.page(view)) for view in VIEWS}
    house.store.stop()


@pytest.fixture
def house(tmp_path) -> Iterator[House]:
    found = House(tmp_path)
    yield found
    found.store.stop()


def words(page: str) -> list[str]:
    """What a page says, but for what is recorded there and what is said of the week on top."""
    main = page.split("<main")[1].split("</footer>")[0]
    recorded = r'<form\b[^>]*method="post".*?</form>|<section\b[^>]*"(?:ask|work)">.*?</section>'
    main = re.sub(recorded, "", main, flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]+>", " ", main)).split()


def addresses(page: str) -> list[str]:
    return [html.unescape(found) for found in re.findall(r'(?<!data-newest )href="(/app[^"]*)"', page)]


def forms(page: str, method: str) -> dict[str, str]:
    """The forms of a page that are sent so, by their address."""
    of = re.findall(r"<form\b([^>]*)>(.*?)</form>", page, flags=re.DOTALL)
    return {re.search(r'action="([^"]*)"', head)[1]: body for head, body in of if f'method="{method}"' in head}


@pytest.mark.parametrize("view", VIEWS)
def test_a_past_week_is_told_as_such_leads_on_within_it_and_writes_nothing(seen_and_past, view):
    t = speech("en")
    told = t("list.past", date=t.date("2026-11-09"))
    seen, past, newest = (html.unescape(page) for page in seen_and_past[view])
    assert [told in page for page in (seen, past, newest)] == [False, True, False]
    assert re.search(r'data-newest href="([^"]*)"', past)[1] == view
    writes = {path for path in forms(past, "post") if path not in {"/app/logout", "/app/favourites"}}
    assert not writes
    assert 'name="who"' not in past
    for page in seen_and_past[view][:2]:
        led = [one for one in addresses(page) if is_of_a_week(urlsplit(one).path)]
        assert len(led) > 6
        assert {parse_qs(urlsplit(one).query).get("as_of", [""])[0] for one in led} == {"2026-11-09"}, led
        sought = {path: body for path, body in forms(page, "get").items() if is_of_a_week(path)}
        assert sought.keys() >= {"/app/find"}
        assert all(body.count('name="as_of" value="2026-11-09"') == 1 for body in sought.values())


@pytest.mark.parametrize("view", VIEWS)
def test_a_page_of_a_past_week_says_what_it_said_when_it_was_the_newest(seen_and_past, view):
    seen, past, newest = map(words, seen_and_past[view])
    assert past == seen
    assert newest != seen


def test_all_pages_and_the_file_of_a_list_are_of_the_week_that_it_began_with(house):
    house.go_on()
    for view in ("/app/candidates", "/app/at-risk"):
        file = house.page(f"{view}/export", THEN)
        assert len(file.splitlines()) == 1 + 60
        page, rows = house.page(view, THEN), 0
        while True:
            rows += page.count('<th role="rowheader"')
            following = re.search(r'rel="next" href="([^"]*)"', page)
            if following is None:
                break
            page = house.page(html.unescape(following[1]))
        assert rows == 60


@pytest.mark.parametrize(
    ("as_of", "code", "status"), [("2026-11-02", "week_gone", 410), ("2031-01-06", "unknown_week", 404)]
)
def test_a_week_that_is_not_there_is_told_plainly_with_a_way_back(house, as_of, code, status):
    for place, view in enumerate((*VIEWS, *EXPORTS)):
        language = [*LANGUAGES][place % len(LANGUAGES)]
        address = f"{view}{'&' if '?' in view else '?'}as_of={as_of}"
        answer = house.client.get(address, headers={"accept-language": language})
        assert answer.status_code == status, address
        assert speech(language)(f"problem.{code}.text") in html.unescape(answer.text)
        assert 'href="/app"' in answer.text, "the way back is to the newest week"
