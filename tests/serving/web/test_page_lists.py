"""The page of the lists behind the figures: which there are, and the rows of one, in words that people read."""

from __future__ import annotations

import html
import json
import re

import pytest
from starlette.testclient import TestClient

from support.handwritten_weeks import HOSTILE, LISTS, customer, publish
from vouch.features.ingest.stage import open_tables
from vouch.features.metrics.context import MetricContext
from vouch.features.metrics.lists.lists import LISTS as EVERY
from vouch.features.simulation.parameters import LAST_INSTANT_US
from vouch.serving.api.front import Middleware, MountedApp
from vouch.serving.api.state import ServingState
from vouch.serving.batch.named_lists import list_table
from vouch.serving.presentation.translations import LANGUAGES, speech, texts
from vouch.serving.site import open_site

LONG = tuple({"feedback_id": f"f{number:03}", "customer_id": None, "days_open": number} for number in range(120))


def client(home, **week) -> TestClient:
    publish(home, **week)
    store = ServingState(home)
    store.refresh()
    site = open_site(MountedApp(), store, is_local=True)
    return TestClient(Middleware(site, site), base_url="http://127.0.0.1", follow_redirects=False)


def cells(text: str) -> list[list[str]]:
    """The texts of the cells of a table, row by row."""
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", re.split("<tbody[^>]*>", text)[1].split("</tbody>")[0], re.DOTALL)
    parts = (re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL) for row in rows)
    return [[html.unescape(re.sub(r"<[^>]+>", "", part)).strip() for part in row] for row in parts]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_list_of_the_week_is_named_and_its_size_told(tmp_path, language):
    answer = client(tmp_path).get("/app/lists", headers={"accept-language": language})
    found = cells(answer.text)
    t = speech(language)
    assert {row[0] for row in found} == {t(f"list_name.{name}") for name, held in EVERY.items() if held.is_published}
    assert [row[2] for row in found] == ["2", "1", *["–"] * (len(found) - 2)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_list_is_told_in_words_with_a_way_to_the_customer(tmp_path, language):
    answer = client(tmp_path).get("/app/lists/care_needs", headers={"accept-language": language})
    t = speech(language)
    ours, hostile = cells(answer.text)
    assert (ours[1], hostile[1]) == ("c2", HOSTILE)
    assert ours[-1] == t("list_value.gratitude")
    assert HOSTILE not in answer.text
    heads = [html.unescape(part) for part in re.findall(r"<th [^>]*>(.*?)</th>", answer.text.split("<tbody")[0])]
    assert heads[1] == t("list_column.customer_id")
    assert "/app/customer?" in answer.text
    told = answer.text.split("<tbody")[1].split("</tr>")[0]
    names = [html.unescape(name) for name in re.findall(r'<td[^>]* data-name="([^"]*)"', told)]
    assert names == heads, "where there is no room for a head, each value is told with its name"
    opened = client(tmp_path).get("/app/lists/open_feedback", headers={"accept-language": language})
    assert t.date("2026-11-01T10:00:00Z") in cells(opened.text)[0]
    assert t("named_lists.yes") in cells(opened.text)[0]


def test_the_pages_of_a_list_follow_each_other_to_the_end(tmp_path):
    app, path, found = client(tmp_path, lists={"open_feedback": LONG}), "/app/lists/open_feedback", []
    while path:
        text = app.get(path).text
        found += [row[1] for row in cells(text)]
        following = re.search(r'rel="next" href="([^"]+)"', text)
        path = html.unescape(following[1]) if following else None
    assert found == [row["feedback_id"] for row in LONG]


def test_a_list_without_rows_says_so_and_one_that_the_week_has_not_says_why(tmp_path):
    app = client(tmp_path, lists={**LISTS, "topics": ()})
    assert speech("en")("named_lists.none") in app.get("/app/lists/topics").text
    assert "the week was published by a version that did not know it" in app.get("/app/lists/channels").text


@pytest.mark.parametrize("path", ["/app/lists/nothing", "/app/lists/topics?after=x", "/app/lists/topics?after=-1"])
def test_what_is_no_list_is_told_as_a_page(tmp_path, path):
    answer = client(tmp_path).get(path)
    assert answer.status_code == 404
    assert "<html" in answer.text


def test_a_companys_own_words_are_told_as_people_write_them_and_ids_to_the_letter(tmp_path):
    gone = {"customer_id": "c_2", "reason": "too_expensive", "response_id": "r_1", "answered_at": None}
    app = client(tmp_path, lists={**LISTS, "exit_answers": (gone,)})
    assert cells(app.get("/app/lists/exit_answers").text)[0][1:4] == ["c_2", "too expensive", "r_1"]


def test_a_customer_of_a_list_is_told_by_name_where_the_week_has_one(tmp_path):
    needs = tuple({**LISTS["care_needs"][0], "customer_id": name} for name in ("c1", "c2", "gone"))
    app = client(tmp_path, lists={"care_needs": needs}, people=(customer("c1", name="Mona"), customer("c2")))
    assert [row[1] for row in cells(app.get("/app/lists/care_needs").text)] == ["Mona c1", "c2", "gone"]


def test_every_list_of_a_whole_company_has_words_for_its_columns_and_names_one_customer_a_row(staged):
    context = MetricContext(open_tables(staged, "polars"), staged.default_as_of_us(LAST_INSTANT_US))
    rows = [(row["list"], row["customer_id"], json.loads(row["row"])) for row in list_table(context).to_pylist()]
    columns = {column: name for name, _, row in rows for column in row}
    assert len(columns) > 80
    people = set(context.people["customer_id"].to_pylist())
    for name, who, row in rows:
        others = {value for value in row.values() if isinstance(value, str)} & people
        assert others <= {who}, f"a row of {name} names somebody else, and would outlive an erasure"
    assert not {column: name for column, name in columns.items() if f"list_column.{column}" not in texts("en")}


@pytest.mark.parametrize("language", sorted(set(LANGUAGES) - {"en"}))
def test_other_languages_name_every_list_and_column_that_english_does(language):
    ours, theirs = texts("en"), texts(language)
    of_lists = [key for key in ours if key.startswith(("list_name.", "list_column.", "list_value.", "named_lists."))]
    assert not [key for key in of_lists if key not in theirs]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_retention_curve_is_drawn_above_its_figures(tmp_path, language):
    rows = tuple({"day": day, "is_from": is_from, "n": 40, "cohorts": 2, "pooled": share, "ci_low": share - 5,
                  "ci_high": share + 5, "mean_of_cohorts": share}
                 for day, share in ((1, 40.0), (7, 30.0), (30, 20.0)) for is_from in (False, True))  # fmt: skip
    app, t = client(tmp_path, lists={"retention_curve": rows}), speech(language)
    text = app.get("/app/lists/retention_curve", headers={"accept-language": language}).text
    assert text.count('class="band l') == 2
    for key in ("curve_from", "curve_on", "curve_days", "curve_share"):
        assert t(f"named_lists.{key}") in html.unescape(text)
    assert "<figure" not in app.get("/app/lists/care_needs").text
