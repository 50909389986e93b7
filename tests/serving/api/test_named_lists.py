"""The lists behind the figures as the service gives them: all that the week holds, page by page, to who may read."""

from __future__ import annotations

import pyarrow.compute as pc
import pytest
from pydantic import ValidationError

from support.handwritten_weeks import HOSTILE, NEEDS, publish
from support.rows.metric_examples import INSTANT_US, company
from support.servers.answering import Served
from vouch.features.metrics.context import MetricContext
from vouch.features.metrics.lists.lists import LISTS as EVERY
from vouch.serving.api.handlers.named_lists import ListGet, ListsCatalogue, get_list, lists_catalogue
from vouch.serving.api.state import ServingState
from vouch.serving.asking.by_hand import ByHand
from vouch.serving.batch.named_lists import list_table
from vouch.serving.store import audit, weeks

LONG = tuple({"feedback_id": f"f{number:03}", "customer_id": None, "days_open": number} for number in range(45))


def served(home, **week) -> ServingState:
    publish(home, **week)
    found = ServingState(home)
    found.refresh()
    return found


def page(store, name, **more):
    return get_list(store, ListGet.model_validate({"list": name, **more}))


def test_a_list_is_given_as_the_week_holds_it_with_its_rank(tmp_path):
    found = page(served(tmp_path), "care_needs")
    assert found["rows"] == [{"rank": rank, **row} for rank, row in enumerate(NEEDS, 1)]
    assert (found["total"], found["next_after"], found["reason"]) == (2, None, None)
    assert found["holds"] == EVERY["care_needs"].meaning


@pytest.mark.parametrize("limit", [1, 20, 44, 45, 46])
def test_pages_follow_each_other_to_the_end(tmp_path, limit):
    store, rows, after = served(tmp_path, lists={"open_feedback": LONG}), [], 0
    while after is not None:
        found = page(store, "open_feedback", limit=limit, after=after)
        assert found["total"] == len(LONG)
        rows += found["rows"]
        after = found["next_after"]
    assert [row["feedback_id"] for row in rows] == [row["feedback_id"] for row in LONG]


def test_the_catalogue_tells_of_every_list_how_many_rows_it_has_or_why_there_is_none(tmp_path):
    found = {row["list"]: row for row in lists_catalogue(served(tmp_path), ListsCatalogue())["lists"]}
    assert set(found) == {name for name, held in EVERY.items() if held.is_published}
    assert {name: row["total"] for name, row in found.items() if row["total"]} == {"care_needs": 2, "open_feedback": 1}
    assert found["topics"]["reason"] == "the week was published by a version that did not know it"


def test_a_week_of_a_version_without_lists_says_so(tmp_path):
    found = page(served(tmp_path, lists={}), "care_needs")
    assert (found["rows"], found["total"]) == ([], 0)
    assert found["reason"] == "the week was published without lists"


@pytest.mark.parametrize(
    "asked", [{"list": "nothing"}, {"list": "topics", "after": -1}, {"list": "topics", "limit": 0}]
)
def test_what_is_no_list_or_no_page_is_refused(asked):
    with pytest.raises(ValidationError):
        ListGet.model_validate(asked)


def test_a_customer_who_is_erased_from_the_store_is_in_no_list_and_rows_of_nobody_stay(tmp_path):
    store = served(tmp_path)
    with store.database.writing("snapshots") as connection:
        weeks.without_customer(connection, HOSTILE)
    store.refresh()
    assert [row["customer_id"] for row in page(store, "care_needs")["rows"]] == ["c2"]
    assert len(page(store, "open_feedback")["rows"]) == 1


def test_who_objects_to_being_profiled_is_in_no_list_at_once_and_in_none_of_the_next_week(tmp_path):
    store = served(tmp_path)
    store.portfolio.take_by_hand(ByHand(objections=frozenset({"c2"})))
    assert [row["customer_id"] for row in page(store, "care_needs")["rows"]] == [HOSTILE]
    assert len(page(store, "open_feedback")["rows"]) == 1, "a row of nobody stays"
    spoke = {"advocacy_acts": [{"customer_id": c, "occurred_at": -20, "kind": "review"} for c in ("a", "b")]}
    people = [{"customer_id": c, "created_at": -99, "is_opted_out": c == "b"} for c in ("a", "b")]
    table = list_table(MetricContext(company({"customers": people, **spoke}), INSTANT_US))
    assert set(table.filter(pc.equal(table["list"], "hidden_advocates"))["customer_id"].to_pylist()) == {"a"}


def test_who_may_read_is_given_lists_and_the_log_says_how_many_rows(tmp_path):
    found = Served(tmp_path)
    try:
        assert found.call("POST", "/v1/lists/get", json={"list": "care_needs"}).status_code == 401
        answer = found.call("POST", "/v1/lists/get", "read", json={"list": "care_needs"})
        assert [row["customer_id"] for row in answer.json()["rows"]] == ["c2", HOSTILE]
        found.store.journal.flush()
        with found.database.reading() as connection:
            line = audit.newest_entries(connection)[0]
        assert (line["action"], line["rows"]) == ("listed", 2)
    finally:
        found.close()
