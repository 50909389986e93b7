"""The weekly report: the snapshot's figures, whole in one file, for every reader."""

from __future__ import annotations

import json
import re
import sys
from html.parser import HTMLParser

import pytest
from axe_playwright_python.sync_playwright import Axe
from markupsafe import escape

from support.handwritten_weeks import BEFORE, EARLIER, HOSTILE, METRICS, MONDAY, REASON, WEEK, customer, metric, publish
from vouch.features.durable import write_where_asked
from vouch.features.errors import SnapshotError, UsageError
from vouch.features.instants import DAY_US, parse_instant
from vouch.features.vectors.sentences import as_sentence
from vouch.serving import cli
from vouch.serving.api.handlers.this_week import this_week
from vouch.serving.api.schemas import WeekGet
from vouch.serving.api.state import ServingState, now_us
from vouch.serving.asking.candidates import askable_now
from vouch.serving.asking.ranking import Filters
from vouch.serving.presentation.translations import LANGUAGES, speech
from vouch.serving.reports.email_text import TEXT_WIDTH, as_text
from vouch.serving.reports.rendering import as_page
from vouch.serving.reports.report import TOP
from vouch.serving.reports.report import figures as figures_of
from vouch.serving.snapshots.files import read_snapshot
from vouch.serving.snapshots.read import week_before
from vouch.serving.store.audit import newest_entries
from vouch.serving.store.connection import Database

NOW = parse_instant("2026-11-16T06:00:00Z")
VOID = {"meta", "br", "hr", "img", "input", "link"}


def figures(snapshot, earlier=None, now_us=NOW):
    """The figures of a report that is written some time after its week."""
    return figures_of(snapshot, askable_now(snapshot.folder.parents[2], None, snapshot, now_us), earlier)


class Page(HTMLParser):
    """What a page is made of: tags with their attributes, text, and whether every tag is closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.texts, self.open, self.values = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "data":
            self.values.append(float(dict(attributes)["value"]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open and self.open[-1] != "style":
            self.texts.append(text)


@pytest.fixture(scope="module")
def weeks(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    return publish(home, BEFORE, EARLIER), publish(home), home


@pytest.fixture(scope="module")
def found(weeks):
    return figures(weeks[1], weeks[0])


@pytest.fixture(scope="module")
def page(found):
    return as_page(found)


def test_the_portfolio_is_that_of_the_snapshot(weeks, found):
    scores = weeks[1].table("scores").to_pylist()
    before = weeks[0].table("scores").to_pylist()
    assert found.populations["everybody"] == len(scores)
    for column, groups in found.portfolio.items():
        now, then = (
            [row for row in rows if column.endswith("_status") or row["churn_status"] != "churned"]
            for rows in (scores, before)
        )
        assert sum(group.count for group in groups) == len(now)
        for group in groups:
            value = None if group.value == "not scored" else group.value
            assert group.count == sum(row[column] == value for row in now)
            assert group.before == sum(row[column] == value for row in then)
            assert group.change == group.count - group.before
    assert sum(found.churn_bins) == 5


def test_who_is_listed_has_the_figures_of_the_snapshot(weeks, found):
    scores = {row["customer_id"]: row for row in weeks[1].table("scores").to_pylist()}
    before = {row["customer_id"]: row["churn_probability"] for row in weeks[0].table("scores").to_pylist()}
    assert [person.customer_id for person in found.candidates] == ["c3", "c2"], "the others are too likely to leave"
    assert [person.customer_id for person in found.at_risk] == ["c1", HOSTILE, "c4", "c2"]
    for person in found.candidates:
        assert person.probability == scores[person.customer_id]["advocacy_probability"]
    for person in found.at_risk:
        assert person.probability == scores[person.customer_id]["churn_probability"]
        assert person.value == pytest.approx(person.probability * person.mrr)
        assert as_sentence(person.reasons[0]) == "Used on 3 days in 4 weeks"
        assert person.before == before.get(person.customer_id)
    assert (found.candidates_total, found.at_risk_total) == (2, 4)


def test_the_metrics_are_those_of_the_company_as_a_whole(found):
    assert [(row["name"], row["value"]) for row in found.metrics] == [
        ("Net promoter score", 41.5),
        ("Customer retention rate", 91.25),
    ]
    assert [row["metric_id"] for row in found.withheld] == ["csat"]


def test_what_changed_is_counted_by_customer(found):
    moves = found.moves
    assert moves.as_of == "2026-11-09"
    assert (moves.arrived, moves.gone) == (1, 1)
    assert (moves.newly_high, moves.no_longer_high, moves.newly_unhealthy, moves.new_advocates) == (2, 0, 1, 0)
    assert moves.other_models == []


def test_another_model_is_named_beside_the_changes(tmp_path):
    earlier = publish(tmp_path, BEFORE, EARLIER, models={"churn": None})
    found = figures(publish(tmp_path), earlier)
    assert list(found.moves.other_models) == ["churn", "advocacy"]
    assert "part of the change is the model" in as_page(found)
    assert "the model of Churn is another one" in as_text(found)


def test_an_offset_is_no_other_model_and_is_named_where_it_changed(tmp_path):
    def facts(offset):
        return {"kind": "logistic", "content_hash": "ab" * 32, "target": "contract", **offset}

    for then, now, is_shifted in (({}, {"offset": 0.0}, False), ({"offset": 0.0}, {"offset": 0.4}, True)):
        home = tmp_path / str(is_shifted)
        earlier = publish(home, BEFORE, EARLIER, models={"churn": facts(then)})
        found = figures(publish(home, models={"churn": facts(now)}), earlier)
        assert (list(found.moves.other_models), bool(found.moves.shifted_models)) == ([], is_shifted)
        for shown in (as_page(found), as_text(found)):
            assert ("probabilities of Churn are shifted anew" in shown) is is_shifted


def test_page_and_text_hold_the_same_figures(found, page):
    values, text = Page(page).values, " ".join(as_text(found).split())
    for groups in found.portfolio.values():
        assert {float(group.count) for group in groups} <= set(values)
    for row in found.metrics:
        assert row["value"] in values
        assert f"{row['value']:.1f}" in text
    for person in found.candidates:
        assert person.score in values
    for person in found.at_risk:
        assert person.probability in values
        assert f"{person.customer_id}, 100 a month: {100 * person.probability:.1f}%" in text.replace("300", "100")


def test_the_page_needs_no_other_host_and_no_script(page):
    addresses = set(re.findall(r"https?://[^\"'\s<]+", page))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}, "names of SVG only"
    tags = Page(page).tags
    assert not {"script", "img", "iframe", "object", "embed", "link", "base", "form"} & {tag for tag, _ in tags}
    for _, attributes in tags:
        assert not any(name.startswith("on") or name in ("src", "srcset", "action") for name in attributes)
        assert attributes.get("href", "#").startswith("#")
    assert "@import" not in page
    assert all(of.startswith("#") for of in re.findall(r"url\(([^)]*)\)", page))


def test_a_hostile_customer_id_is_text(weeks, page):
    assert HOSTILE not in page
    assert "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;" in page
    assert HOSTILE in "".join(Page(page).texts)


def test_hidden_characters_move_nothing(tmp_path):
    hostile = 'c\x1b[31m\n\u202e"><b>{{ 7 * 7 }}</b>&amp;$x^2$'
    metrics = [metric("<i>$\\frac$</i>", 12.0, status="ok"), metric("gone", None, status="empty", reason="<u>none</u>")]
    people = [customer(hostile, 0.9, 0.9, segment="<s>&</s>")]
    found = figures(publish(tmp_path, people=people, metrics=metrics, warnings=["<h1>\x07"]))
    page, text = as_page(found), as_text(found)
    assert not {"b", "i", "u", "s"} & {tag for tag, _ in Page(page).tags}
    assert "49" not in text
    for shown in (page, text):
        assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", shown)


def test_a_screen_reader_finds_its_way(page):
    found = Page(page)
    names = [tag for tag, _ in found.tags]
    assert dict(found.tags)["html"] == {"lang": "en"}
    assert names.count("h1") == names.count("main") == 1
    assert all(attributes.get("scope") for tag, attributes in found.tags if tag == "th")
    assert names.count("caption") == names.count("table")
    for tag, attributes in found.tags:
        assert tag != "svg" or attributes.get("aria-hidden") == "true" or attributes["aria-label"]
    ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    named = [of[key] for _, of in found.tags for key in ("aria-labelledby",) if key in of]
    assert set(named) <= set(ids)
    assert {of["href"][1:] for tag, of in found.tags if tag == "a"} <= set(ids)


@pytest.mark.parametrize("language", LANGUAGES)
def test_page_and_text_are_whole_in_every_language_and_name_everybody(found, language):
    page, text = as_page(found, language), as_text(found, language)
    t = speech(language)
    assert dict(Page(page).tags)["html"] == {"lang": language}
    for key in ("week.call_first", "report.ask_first", "report.changes", "report.origin", "nav.metrics"):
        assert t(key) in page
    assert t("report.changes").upper() in text
    assert "None" not in page + text
    for person in (*found.calls, *found.candidates, *found.at_risk):
        assert str(escape(person.customer_id)) in page


def test_a_name_leads_to_the_service_or_into_the_crm_and_nowhere_else(tmp_path):
    people = [customer("a/b", 0.7, 0.1, name="Anna", crm_url="https://crm.example/{customer_id}"),
              customer("c", 0.6, 0.1, crm_url="javascript:alert(1)")]  # fmt: skip
    found = figures(publish(tmp_path, people=people))

    def leads(page):
        return {of["href"] for tag, of in Page(page).tags if tag == "a" and not of["href"].startswith("#")}

    assert leads(as_page(found)) == {"https://crm.example/a%2Fb"}
    ways = leads(as_page(found, page="https://vouch.example/"))
    assert ways == {f"https://vouch.example/app/customer?id={of}" for of in ("a%2Fb", "c")}


def test_whom_to_call_first_is_whom_the_page_calls_first(tmp_path):
    publish(tmp_path, BEFORE, EARLIER)
    publish(tmp_path)
    store = ServingState(tmp_path)
    store.refresh()
    calls = this_week(store, WeekGet())["call_first"]
    found = figures(read_snapshot(tmp_path, MONDAY), week_before(tmp_path, MONDAY))
    assert [one.customer_id for one in found.calls] == [row["customer_id"] for row in calls["customers"]][:5]
    assert (found.moves.newly_high, found.calls_total) == (calls["newly_high"], calls["total"])
    store.stop()


def test_nobody_stands_in_two_lists_of_movers_of_one_model(tmp_path):
    rows = [{"customer_id": f"c{n}", "model": "churn", "list": of, "rank": n, "probability_before": 0.1,
             "probability": 0.7, "raw_before": -2.0, "raw": -0.5, "state_before": "low", "state": "high",
             "changes": []} for of in ("new_high", "rose") for n in range(1, 9)]  # fmt: skip
    movers = figures(publish(tmp_path, people=[customer(f"c{n}", 0.7) for n in range(9)], movers=rows)).as_dict()[
        "movers"
    ]
    assert movers == {
        "Newly at risk of churn": [f"c{n}" for n in range(1, 6)],
        "Risk of churn rose most": [f"c{n}" for n in range(6, 9)],
    }


def test_the_same_snapshot_gives_the_same_page(weeks, page):
    assert as_page(figures(weeks[1], weeks[0])) == page


def test_the_text_fits_into_an_e_mail(found):
    text = as_text(found)
    assert max(map(len, text.splitlines())) <= TEXT_WIDTH
    assert len(text) < 8_000
    assert "- The data end early." in text
    assert "no consent to be contacted" in text


def test_a_first_week_without_champions_is_told_too(tmp_path):
    unknown = {
        "churn_status": "no_model",
        "advocacy_status": "no_model",
        "health_band": "unknown",
        "health_score": None,
    }
    bare = [customer(f"c{n}", None, None, mrr=None, **unknown) for n in range(3)]
    found = figures(publish(tmp_path, people=bare, metrics=[], models={"churn": None, "advocacy": None}))
    assert found.moves is None
    page, text = as_page(found), as_text(found)
    assert speech("en")("report.no_earlier") in page
    assert page.count("Nobody.") == 3
    assert "Churn: no champion" in text
    assert speech("en")("portfolio.no_metrics") in text
    assert as_page(figures(publish(tmp_path / "empty", people=[], metrics=[])))


def test_the_list_ends_after_twenty(tmp_path):
    people = [customer(f"c{n:03}", 0.5, n / 100) for n in range(60)]
    found = figures(publish(tmp_path, people=people))
    assert [person.customer_id for person in found.candidates] == [f"c{n:03}" for n in range(59, 39, -1)]
    assert found.candidates_total == 60


def asked(days, outcome=None, **other):
    """One ask that the data of a week know of."""
    at_us = MONDAY - days * DAY_US
    return {"ask_id": f"a{days}", "kind": "review", "asked_us": at_us, "outcome": outcome, **other}


def test_who_was_asked_lately_is_not_listed_and_comes_back_when_the_rest_is_over(tmp_path):
    people = [
        customer("c1", 0.1, 0.9, asks=[asked(3)]),
        customer("c2", 0.1, 0.8, asks=[asked(100, "declined", outcome_us=MONDAY - 90 * DAY_US)]),
        customer("c3", 0.1, 0.7, asks=[asked(31, "accepted", outcome_us=MONDAY - 29 * DAY_US)]),
        customer("c4", 0.1, 0.6),
    ]
    week = publish(tmp_path, people=people)
    listed = {
        days: [who.customer_id for who in figures(week, None, NOW + days * DAY_US).candidates] for days in (0, 28)
    }
    assert listed == {0: ["c3", "c4"], 28: ["c1", "c3", "c4"]}
    assert figures(week).candidates_total == 2
    (tmp_path / "policy.toml").write_text("[caps]\nrest_days_after_refusal = 30\n")
    assert [who.customer_id for who in figures(week).candidates] == ["c2", "c3", "c4"], "the company's own policy"
    assert speech("en")("report.asked_at", date="16 Nov 2026, 06:00 UTC") in as_page(figures(week))


def test_places_that_are_given_at_random_are_those_of_the_service(tmp_path):
    people = [
        customer(f"c{n:02}", 0.1, n / 100, asks=[asked(3, ask_id=f"a{n}")] if n % 7 == 0 else None) for n in range(40)
    ]
    week = publish(tmp_path, people=people)
    (tmp_path / "policy.toml").write_text("[exploration]\nshare = 0.5\n")
    store = ServingState(tmp_path)
    store.refresh()
    places = store.portfolio.ranked.page(Filters(), TOP, resting=(None, store.portfolio.asking.left)).places
    listed = [store.portfolio.ranked.customer_id(int(place)) for place in places]
    found = figures(week, None, now_us())
    assert [who.customer_id for who in found.candidates] == listed
    assert listed != sorted(listed, reverse=True), "somebody was drawn"
    store.stop()


def test_the_week_before_is_a_week_before_where_there_is_one(tmp_path):
    assert week_before(tmp_path, MONDAY) is None
    publish(tmp_path, MONDAY - 3 * DAY_US)
    assert week_before(tmp_path, MONDAY).as_of_us == MONDAY - 3 * DAY_US
    publish(tmp_path, BEFORE - DAY_US)
    publish(tmp_path, BEFORE)
    assert week_before(tmp_path, MONDAY).as_of_us == BEFORE


def test_what_is_not_earlier_or_is_damaged_is_refused(weeks, tmp_path):
    with pytest.raises(UsageError, match="does not lie before"):
        figures(weeks[0], weeks[1])
    snapshot = publish(tmp_path)
    (snapshot.folder / "metrics.parquet").write_bytes(b"PAR1")
    with pytest.raises(SnapshotError, match="cannot be read"):
        figures(snapshot)


def test_a_page_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "week.html"
    write_where_asked(path, "first")
    write_where_asked(path, "second")
    assert [file.name for file in path.parent.iterdir()] == ["week.html"]
    assert path.read_text() == "second"
    with pytest.raises(UsageError, match="Cannot write"):
        write_where_asked(path / "below.html", "third")
    with pytest.raises(UsageError, match="Cannot write"):
        write_where_asked(path.parent, "a folder is no file")
    assert [file.name for file in path.parent.parent.iterdir()] == ["new"]


def test_the_command_writes_both(weeks, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("VOUCH_HOME", str(weeks[2]))
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    words = ["report", "--out", str(tmp_path / "week.html"), "--text", str(tmp_path / "week.txt")]
    for more, code in (["--format", "json"], 0), ([], 0), (["--as-of", "2020-01-06"], 1):
        monkeypatch.setattr(sys, "argv", ["vouch", *words, *more])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert (ended.value.code or 0) == code
        out, err = capsys.readouterr()
        if more == ["--format", "json"]:
            told = json.loads(out)
            assert (told["customers"], told["metrics"]["nps"], told["changes"]["arrived"]) == (5, 41.5, 1)
    assert "No snapshot as of 2020-01-06" in err
    with Database(weeks[2]).reading() as connection:
        lines = [line for line in newest_entries(connection) if line["action"] == "listed"]
    assert [(line["actor"], line["route"], line["rows"]) for line in lines] == [("command line", "vouch report", 6)] * 2
    assert (tmp_path / "week.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "week.txt").read_text().startswith("Customers as of 16 Nov 2026")


@pytest.mark.parametrize(("width", "scheme"), [(1100, "light"), (375, "dark")])
def test_a_browser_shows_it_without_complaint(browser, page, tmp_path, width, scheme):
    path = tmp_path / "week.html"
    path.write_text(page, encoding="utf-8")
    shown = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    said, asked = [], []
    shown.on("console", lambda message: said.append(message.text))
    shown.on("pageerror", lambda error: said.append(str(error)))
    shown.on("request", lambda request: asked.append(request.url))
    shown.goto(path.as_uri())
    assert said == []
    assert asked == [path.as_uri()]
    assert shown.title() == "Customers as of 16 Nov 2026"
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    for name in shown.locator(".id:not(.long)").all():  # an id breaks over no line
        assert name.evaluate("e => e.getClientRects().length") <= 1
    assert shown.locator(".figures tbody tr").count() == len(METRICS) - 2
    assert shown.get_by_role("row", name=HOSTILE).count() == 1
    assert shown.locator("figure svg").count() == 1
    colours = "e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor].map(c => c.match(/\\d+/g))"
    ink, paper = shown.locator("body").evaluate(colours)
    assert contrast(ink, paper) > 7  # WCAG 2.2, level AAA
    for soft in shown.locator(".screen > .soft, .appendix p.soft").all():
        assert contrast(soft.evaluate(colours)[0], paper) > 4.5  # level AA
    shown.close()


RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.mark.parametrize("language", LANGUAGES)
def test_axe_finds_nothing_and_all_that_matters_stands_on_one_screen(browser, found, tmp_path, language):
    path = tmp_path / "week.html"
    path.write_text(as_page(found, language), encoding="utf-8")
    with browser.new_context(viewport={"width": 1440, "height": 900}, bypass_csp=True) as context:
        shown = context.new_page()
        shown.goto(path.as_uri())
        assert shown.locator(".screen").evaluate("e => e.getBoundingClientRect().bottom") <= 900
        assert [rule["id"] for rule in Axe().run(shown, options=RULES).response["violations"]] == []


def contrast(first, second):
    """WCAG 2.2, contrast ratio of two colours in sRGB."""

    def luminance(colour):
        parts = [int(part) / 255 for part in colour[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    bright, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def test_every_customer_of_the_week_has_one_state():
    assert len({row["customer_id"] for row in WEEK}) == len(WEEK)


def test_who_moved_and_what_became_of_who_was_flagged_stand_on_page_and_in_text(tmp_path):
    part = {**REASON, "cause": "feature", "before": "9", "contribution": 1.5}
    mover = {
        "customer_id": HOSTILE, "model": "churn", "list": "new_high", "rank": 1, "probability_before": 0.1,
        "probability": 0.7, "raw_before": -2.0, "raw": -0.5, "state_before": "low", "state": "high", "changes": [part],
    }  # fmt: skip
    entry = {
        "model": "churn", "weeks": 12, "as_of": "2026-08-24", "flagged": 5, "became": {"churned": 2, "low": 3},
        "reason": None, "precision": 0.4, "precision_low": 0.1, "precision_high": 0.8, "base_rate": 0.2, "lift": 2.0,
        "lead_days": 9.5,
    }  # fmt: skip
    found = figures(publish(tmp_path, movers=[mover], flagged=[entry]))
    assert found.as_dict()["movers"] == {"Newly at risk of churn": [HOSTILE]}
    assert found.as_dict()["flagged"] == [entry]
    page, text = as_page(found), as_text(found)
    assert HOSTILE not in page
    for shown in (page, " ".join(text.split())):
        assert "Newly at risk of churn" in shown
        assert "before: 9" in shown
        assert "of 5 flagged are now 2 has left, 3 low; came true for 40.0%" in shown
        assert "2.0 times that of everybody, after 9.5 days in the middle" in shown
    assert max(map(len, text.splitlines())) <= 78
