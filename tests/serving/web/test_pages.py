"""The page under /app, called without a browser: what it shows is what the API answers, whatever came in."""

from __future__ import annotations

import html
import json
import math
import re
from collections import Counter
from urllib.parse import unquote_plus

import pytest
from starlette.testclient import TestClient

from support.handwritten_weeks import HOSTILE, MONDAY, customer, publish
from support.page_home import PEOPLE, write_home
from support.servers.answering import OURS
from vouch.features.charts.series import WeekValue
from vouch.features.vectors.numerals import MINUS
from vouch.serving.api.front import Middleware, MountedApp
from vouch.serving.api.state import ServingState
from vouch.serving.presentation.metric_series import Series
from vouch.serving.presentation.translations import LANGUAGES, preferred, speech
from vouch.serving.site import open_site
from vouch.serving.web.render import ASSETS, HEADERS, VIEWS, customer_url

PLANTED = "planted.person@example.com"


def store_of(home) -> ServingState:
    store = ServingState(home)
    store.refresh()
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> ServingState:
    return store_of(write_home(tmp_path_factory.mktemp("page")))


def client_of(store: ServingState) -> TestClient:
    site = open_site(MountedApp(), store, is_local=True)
    return TestClient(Middleware(site, site), base_url="http://127.0.0.1", follow_redirects=False)


@pytest.fixture(scope="module")
def client(store) -> TestClient:
    return client_of(store)


PATHS = [
    *VIEWS.values(),
    customer_url("c1"),
    "/app/metrics/nps",
    "/app/models/churn/card",
    "/app/docs",
    "/app/docs/keeping",
    "/app/docs/metric-catalogue",
    "/app/candidates?include_ineligible=1",
]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("path", PATHS)
def test_every_view_answers_in_every_language_under_a_policy_that_lets_nothing_else_in(client, path, language):
    answer = client.get(path, headers={"accept-language": language})
    assert answer.status_code == 200
    assert f'<html lang="{language}">' in answer.text
    assert answer.headers["content-language"] == language
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert not re.search(
        r"<style|\sstyle=|\son[a-z]+=|<script(?! src=)|https?://(?!www\.w3\.org|crm\.example)|javascript:", answer.text
    )
    ids = re.findall(r'\sid="([^"]+)"', answer.text)
    assert not [name for name, times in Counter(ids).items() if times > 1]


def cells(text: str, name: str) -> list[str]:
    """The texts of the cells of one column of a list."""
    found = re.findall(rf'data-name="{name}"[^>]*>(.*?)</td>', text, re.DOTALL)
    return [html.unescape(re.sub(r"<[^>]+>", "", cell)).strip() for cell in found]


def listed(text: str) -> list[str]:
    found = re.findall(r'<th role="rowheader".*?href="/app/customer\?id=(.*?)"', text)
    return [unquote_plus(html.unescape(name)) for name in found]


def test_candidates_are_those_of_the_api_in_their_order(client):
    answer = client.post("/v1/advocates/search", json={"limit": 25}).json()["candidates"]
    page = client.get("/app/candidates").text
    assert listed(page) == [row["customer_id"] for row in answer] != []
    assert cells(page, "Score") == [speech("en").number(row["advocacy_score"], 1) for row in answer]
    assert cells(page, "Stays") == [speech("en").percent(1 - row["churn_probability"]) for row in answer]


def test_those_at_risk_are_those_of_the_api_in_their_order(client):
    answer = client.post("/v1/customers/at_risk", json={"limit": 25}).json()["customers"]
    page = client.get("/app/at-risk").text
    assert listed(page) == [row["customer_id"] for row in answer] != []
    assert cells(page, "At risk") == [speech("en").money(row["value"], row["currency"]) for row in answer]
    assert cells(page, "Churn") == [speech("en").percent(row["churn_probability"]) for row in answer]
    assert cells(page, "Since last week") == [
        speech("en").change(100 * row["change"] if row["change"] is not None else None, 1) for row in answer
    ]


def test_those_at_risk_are_high_or_to_be_watched_unless_others_are_asked_for(client):
    assert {row["churn_band"] for row in asked_for(client)} == {"high", "watch"}
    assert {row["churn_band"] for row in asked_for(client, band=[])} == {"high", "watch", "low"}
    everybody = client.get("/app/at-risk?band=all").text
    assert len(listed(everybody)) == len(asked_for(client, band=[])) > len(listed(client.get("/app/at-risk").text))


@pytest.mark.parametrize(
    ("sort", "key"),
    [
        ("value", lambda row: -row["value"]),
        ("probability", lambda row: -row["churn_probability"]),
        ("change", lambda row: -row["change"] if row["change"] is not None else math.inf),
        ("renewal", lambda row: row["renewal_at"] or "9999"),
        ("mrr", lambda row: -row["mrr"]),
    ],
)
def test_those_at_risk_stand_in_the_order_asked_for_page_by_page(client, sort, key):
    whole = asked_for(client, band=[], sort=sort)
    assert whole == sorted(whole, key=lambda row: (key(row), row["customer_id"]))
    paged, cursor = [], None
    while True:
        answer = client.post("/v1/customers/at_risk", json={"band": [], "sort": sort, "limit": 1, "cursor": cursor})
        paged += answer.json()["customers"]
        if (cursor := answer.json()["next_cursor"]) is None:
            break
    assert [row["customer_id"] for row in paged] == [row["customer_id"] for row in whole]
    assert [row["rank"] for row in paged] == list(range(1, len(whole) + 1))
    shown = client.get(f"/app/at-risk?band=all&sort={sort}").text
    assert listed(shown) == [row["customer_id"] for row in whole]


def test_those_who_pay_little_are_left_out_where_a_minimum_is_asked_for(client):
    assert {row["mrr"] for row in asked_for(client, minimum_mrr=200)} == {300.0}
    assert listed(client.get("/app/at-risk?minimum_mrr=200").text) == ["c1"]
    assert client.get("/app/at-risk?minimum_mrr=x").status_code == 422


def test_the_top_by_revenue_are_two_clicks_away_whatever_their_risk(client):
    page = client.get("/app/at-risk").text
    link = html.unescape(re.search(r'href="(/app/at-risk\?[^"]*top=20)"', page)[1])
    found = listed(client.get(link).text)
    assert found == [row["customer_id"] for row in asked_for(client, band=[], sort="mrr", limit=20)]


def asked_for(client, **asked) -> list[dict]:
    return client.post("/v1/customers/at_risk", json=asked).json()["customers"]


def test_filters_narrow_a_list_and_stay_chosen(client):
    page = client.get("/app/candidates?segment=smb&minimum_score=50&tier=influential").text
    wanted = client.post(
        "/v1/advocates/search", json={"segment": ["smb"], "minimum_score": 50, "tier": ["influential"]}
    )
    assert listed(page) == [row["customer_id"] for row in wanted.json()["candidates"]] == ["c3"]
    for chosen in ('value="smb" selected', 'value="influential" selected', 'value="50"'):
        assert chosen in page
    nobody = client.get("/app/at-risk?band=low&segment=nowhere").text
    assert speech("en")("at_risk.nobody") in nobody
    assert 'value="nowhere" selected' in nobody


def test_the_excluded_stand_there_with_their_reason(client):
    assert "c4" not in listed(client.get("/app/candidates").text)
    page = client.get("/app/candidates?include_ineligible=1").text
    assert {"c4", "c5"} <= set(listed(page))
    assert speech("en")("exclusion.no_consent") in page


def test_pages_follow_each_other_to_the_end(tmp_path):
    people = [customer(f"p{place:03}", 0.01, 0.9 - place / 100) for place in range(60)]
    publish(tmp_path, MONDAY, people)
    client = client_of(store_of(tmp_path))
    found, path = [], "/app/candidates?minimum_score=1"
    while path:
        page = client.get(path).text
        found += listed(page)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        path = html.unescape(following[1]) if following else None
    assert found == [row["customer_id"] for row in people]


def test_a_customer_is_shown_as_the_api_tells_it(client):
    t, answer = speech("en"), client.post("/v1/customers/get", json={"customer_id": "c1"}).json()
    page = html.unescape(client.get(customer_url("c1")).text)
    for shown in (
        t.percent(answer["churn_probability"]),
        t.percent(answer["advocacy_probability"]),
        t.number(answer["health_score"], 0),
        t("customer.at_risk", value=t.money(300 * answer["churn_probability"])),
        t("customer.moved", change="+50.0", date="9 Nov 2026"),
        *(reason["words"] for reason in answer["churn_reasons"]),
        *(t.change(reason["contribution"], 2) for reason in answer["churn_reasons"]),
    ):
        assert shown in page


def test_what_moved_a_score_is_told_in_parts_that_add_up(client):
    page = html.unescape(client.get(customer_url("c1")).text)
    table = page[page.index(speech("en")("customer.moved_churn")) :]
    table = table[: table.index("</table>")]
    assert "Used on 3 days in 4 weeks (before: 9 days)" in table
    assert "a new version of the model" in table
    assert table.index("+0.50") < table.index(f"{MINUS}0.10")
    assert speech("en")("customer.moved_advocacy") not in page


def test_who_has_no_score_is_told_why(client):
    page = client.get(customer_url("c5")).text
    assert speech("en")("state.churned") in page
    assert page.count('<p class="big soft">–</p>') == 2


def test_reasons_are_told_in_the_language_of_the_page(client):
    english, korean = (client.get(customer_url("c1"), headers={"accept-language": code}).text for code in ("en", "ko"))
    assert "Used on 3 days in 4 weeks" in english
    assert "Used on" not in korean
    assert "최근 4주간" in korean


def test_what_a_company_wrote_is_text_and_nothing_else(client):
    for path in ("/app/candidates?include_ineligible=1", "/app/at-risk", customer_url(HOSTILE)):
        page = client.get(path).text
        assert HOSTILE not in page
        assert html.escape(HOSTILE, quote=False).replace('"', "&#34;") in page
    assert HOSTILE in listed(client.get("/app/candidates?include_ineligible=1").text)


def test_a_person_is_found_by_name_and_goes_straight_to_by_id(client):
    page = client.get("/app/find?text=SAMPLE").text
    assert "North Energy Example" in page
    assert "Mona Samplewood" in page
    answer = client.get("/app/find?text=c1", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, customer_url("c1"))
    assert speech("en")("find.nobody") in client.get("/app/find?text=nobody").text


def test_the_page_remembers_whose_customers_it_shows(client):
    assert "Mona Samplewood" in client.get("/app?owner=Ines+Demo").text
    assert client.get("/app/at-risk").text.count('role="rowheader"') == 1
    assert client.get("/app/at-risk?owner=").text.count('role="rowheader"') > 1
    assert client.get("/app/at-risk").text.count('role="rowheader"') > 1
    assert client.get("/app?owner=nobody").status_code == 200


def test_the_week_names_who_to_call_with_money_reasons_and_renewal(client):
    page = client.get("/app").text
    for shown in (
        "North Energy Example",
        "\u20ac300",
        "60%",
        "before: 9 days",
        speech("en")("week.why_newly_high"),
        "25 Nov",
    ):
        assert shown in page, shown


def test_the_portfolio_counts_who_is_there_and_what_changed(client):
    page = client.get("/app/portfolio").text
    there = [row for row in PEOPLE if row["churn_status"] != "churned"]
    tile = re.search(r'<p class="big">(\d+)</p>\s*<p class="soft">(.*?)</p>', page, re.DOTALL)
    assert int(tile[1]) == len(there)
    assert speech("en")("portfolio.left", count=1) in tile[2]
    bands = Counter(row["health_band"] for row in there)
    for band, count in bands.items():
        row = rf'{re.escape(speech("en")(f"health_band.{band}"))}</th>\s*<td class="n">{count}</td>'
        assert re.search(row, page), band


def test_a_metric_is_shown_with_interval_trend_segments_and_meaning(client):
    page = client.get("/app/metrics/nps?by=segment").text
    for shown in ("41.5", "36.5", "46.5", "38.0", "20.0", "30.0", "Reichheld", "M00"):
        assert shown in page
    assert page.count('class="dot') >= 2


def test_a_change_says_whether_it_is_more_than_noise(client):
    page = client.get("/app/metrics").text
    row = re.search(r'/app/metrics/nps".*?</tr>', page, re.DOTALL)[0]
    assert "+3.5" in row
    assert speech("en")("metrics.noise") in row, "38.0 and 41.5, each with 5 on either side"


@pytest.mark.parametrize(
    ("values", "better", "wanted"),
    [
        ((10.0, 12.0), True, (False, True)), ((10.0, 20.0), True, (True, True)), ((10.0, 20.0), False, (True, False)),
        ((20.0, 10.0), None, (True, None)), ((10.0, 10.0), True, (False, None)), ((None, 10.0), True, (None, None)),
    ],
)  # fmt: skip
def test_a_change_is_real_outside_the_interval_of_a_difference(values, better, wanted):
    points = [WeekValue(str(n), one, one and one - 5, one and one + 5) for n, one in enumerate(values)]
    series = Series("nps", {"higher_is_better": better, "value": values[-1]}, tuple(points), None, None)
    assert (series.is_real, series.is_better) == wanted


def test_metrics_are_searched_by_name_id_and_code_in_the_language_of_the_page(client):
    for text in ("promoter", "NPS", "m01"):
        page = client.get(f"/app/metrics?text={text}").text
        assert "/app/metrics/nps" in page
        assert "/app/metrics/retention_rate" not in page
    assert speech("en")("metrics.not_found") in client.get("/app/metrics?text=zzz").text


def test_a_metric_is_marked_as_a_favourite_and_stands_first(client):
    sent = {"metric_id": "retention_rate", "back": "/app/metrics"}
    assert client.post("/app/favourites", data=sent, headers=OURS).headers["location"] == "/app/metrics"
    page = client.get("/app/metrics").text
    assert speech("en")("chapter.favourites") in page
    assert page.index("/app/metrics/retention_rate") < page.index("/app/metrics/nps")
    client.post("/app/favourites", data=sent, headers=OURS)
    assert speech("en")("chapter.favourites") not in client.get("/app/metrics").text


def test_a_metric_without_a_value_says_why(client):
    page = client.get("/app/metrics").text
    assert speech("en")("status.suppressed") in page
    assert "fewer than five" in page
    assert client.get("/app/metrics/none_such").status_code == 404


def test_the_models_show_figures_calibration_and_what_the_gate_has_decided(client):
    page = client.get("/app/models").text
    for shown in (
        "0.840",
        "6.10",
        "one feature tells too much",
        speech("en")("gate.refuse"),
        speech("en")("gate.pass"),
    ):
        assert shown in page
    assert page.count('<th scope="row">logistic') >= 4, "among the figures and the gains, of two models at least"
    assert '<svg class="chart square"' in page
    for name in ("calibration", "decision_curve", "gains", "risks", "strongest"):
        assert speech("en")(f"drawn.{name}") in page
    assert "pays from here: 10.0%" in page
    assert "<table>" in client.get("/app/models/churn/card").text
    for name in ("none", "..", "%2e%2e%2fcard"):
        assert client.get(f"/app/models/{name}/card").status_code == 404


def test_the_models_show_how_far_the_week_has_drifted_where_it_tells(client):
    page = client.get("/app/models").text
    told = speech("en")("models.drift_told", index="0.123", moderate=3, major=1, all=40)
    assert page.count(told) == page.count(f">{speech('en')('models.drift')}</h3>") == 1
    assert 'tenure_days</code></th><td class="n">0.270</td><td>strong' in page


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_models_show_whether_probabilities_hold_and_what_answers_those_that_do_not(client, language):
    page, t = html.unescape(client.get("/app/models", headers={"accept-language": language}).text), speech(language)
    figures = {"n": "240", "came": "31", "expected": "18"}
    assert page.count(t("models.watch_told", weeks=6, wealth=t.number(42.5, 2), **figures)) == 1
    assert page.count(f'of-high">{t("models.watch_alarm")}<') == 1
    assert ">" + t("models.watch_quiet") + "<" not in page
    assert page.count(t("models.offset_told", shift=t.change(0.62, 2), **figures)) == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_says_of_a_model_whether_the_data_support_it_and_why(client, language):
    page, t = client.get("/app/models", headers={"accept-language": language}).text, speech(language)
    for state, why in (("ready", "it came true for 9 of 400"), ("not_ready", "advocacy_acts or referrals is absent")):
        assert t(f"readiness.{state}") in page
        assert why in page


def test_an_empty_list_says_what_the_data_lack(tmp_path):
    publish(tmp_path, people=(customer("c1", None, None, contact_consent=False),))
    store = ServingState(tmp_path)
    store.refresh()
    site = open_site(MountedApp(), store, is_local=True)
    client = TestClient(Middleware(site, site), base_url="http://127.0.0.1")
    for language in LANGUAGES:
        page = client.get("/app/candidates", headers={"accept-language": language}).text
        assert speech(language)("readiness.why_no_consent", total="400") in page
    assert "it came true for 9 of 400" in client.get("/app/at-risk").text


def test_nothing_but_our_files_is_given_away(client):
    for name, kind in ASSETS.items():
        answer = client.get(f"/app/static/{name}")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(kind)
        assert "immutable" in answer.headers["cache-control"]
    for name in ("base.html.jinja", "..%2freport.html.jinja", "nothing.css"):
        assert client.get(f"/app/static/{name}").status_code == 404


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (customer_url(PLANTED), 404, "unknown_customer"),
        ("/app/customer", 404, "unknown_customer"),
        ("/app/customer?id=" + "x" * 300, 404, "unknown_customer"),
        ("/app/customer?id=%00", 404, "unknown_customer"),
        (f"/app/candidates?minimum_score={PLANTED}", 422, "invalid_value"),
        ("/app/candidates?minimum_score=nan", 422, "invalid_value"),
        (f"/app/candidates?tier={PLANTED}", 422, "invalid_value"),
        (f"/app/candidates?cursor={PLANTED}", 404, "invalid_value"),
        ("/app/at-risk?cursor=e30=", 404, "invalid_value"),
    ],
)
def test_what_cannot_be_answered_is_told_as_a_page_without_what_was_sent(client, path, status, code, caplog):
    answer = client.get(path)
    assert answer.status_code == status
    assert speech("en")(f"problem.{code}.title") in answer.text
    main = answer.text[answer.text.index("<main") : answer.text.index("</main>")]
    assert PLANTED not in main
    assert PLANTED not in caplog.text


def test_without_a_snapshot_every_view_says_so(tmp_path):
    client = client_of(store_of(tmp_path))
    for path in ("/app", "/app/candidates", "/app/at-risk", "/app/metrics", customer_url("c1")):
        answer = client.get(path)
        assert answer.status_code == 503
        assert speech("en")("problem.no_snapshot.title") in answer.text
    assert client.get("/app/models").status_code == 200
    assert client.get("/app/served").json() == {"served": None}


UNKNOWN_OF_ALL = {"churn_status": "no_model", "health_band": "unknown", "health_score": None}


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_known_of_nobody_is_not_none(tmp_path, language):
    publish(tmp_path, people=[customer(f"c{n}", None, None, **UNKNOWN_OF_ALL) for n in range(9)])
    page = client_of(store_of(tmp_path)).get("/app", headers={"accept-language": language}).text
    say = speech(language)
    for key in ("week.unknown_health", "week.unknown_renewals"):
        assert html.escape(say(key), quote=False) in page
    for key in ("week.nobody_unhealthy", "week.no_renewals"):
        assert say(key) not in page
    unhealthy, renewing = re.findall(r'class="big">([^<]*)<', page)[:2]
    assert (unhealthy, renewing) == (say.number(None), say.number(None))


def test_a_portfolio_without_customers_says_so_in_each_part(tmp_path):
    publish(tmp_path, people=[])
    page = client_of(store_of(tmp_path)).get("/app/portfolio").text
    assert page.count(speech("en")("portfolio.nobody")) == 3
    assert "<tbody>\n</tbody>" not in page


def test_an_error_that_nobody_foresaw_is_a_page_without_its_text(tmp_path, caplog, monkeypatch):
    store = store_of(write_home(tmp_path))
    monkeypatch.setattr("vouch.serving.web.routes.week_page", lambda *_: (_ for _ in ()).throw(KeyError(PLANTED)))
    answer = client_of(store).get("/app")
    assert answer.status_code == 500
    assert PLANTED not in answer.text + caplog.text
    assert "KeyError" in caplog.text


def test_the_language_is_that_of_the_address_then_of_the_cookie_then_of_the_browser(client):
    chosen = client.get("/app/metrics/nps?by=plan&language=ro", headers={"accept-language": "ko"})
    assert '<html lang="ro">' in chosen.text
    assert "samesite=strict" in chosen.headers["set-cookie"].lower()
    assert "by=plan&amp;language=ko" in chosen.text
    assert '<html lang="ro">' in client.get("/app", headers={"accept-language": "ko"}).text
    client.cookies.clear()
    assert '<html lang="ko">' in client.get("/app?language=xx", headers={"accept-language": "ko-KR, en;q=0.8"}).text
    assert [preferred(header) for header in ("fr", "fr, ro;q=x, ko;q=0.1", ";;,,", "*")] == ["en", "ko", "en", "en"]


def test_a_page_that_is_open_can_ask_which_week_is_served(client):
    answer = client.get("/app/served")
    assert json.loads(answer.content) == {"served": "2026-11-16/1"}
    assert 'data-served="2026-11-16/1"' in client.get("/app").text
