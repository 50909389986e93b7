"""Handlers of the lists behind the figures, as the published week holds them: which there are, and the rows of one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, StrictInt

from vouch.features.metrics.lists.lists import LISTS
from vouch.serving.api.answer_types import Fresh
from vouch.serving.api.handlers.lists import Page
from vouch.serving.api.schemas import AsOf, Limit, Request
from vouch.serving.api.state import now_us
from vouch.serving.snapshots.schema import MOST_ROWS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.serving.api.state import ServingState

PUBLISHED = tuple(name for name, held in LISTS.items() if held.is_published)
Rows = list[dict[str, Any]]
ListName = Literal[PUBLISHED]  # type: ignore[valid-type]  # the names are data


class ListGet(Request):
    """The rows of one list after a rank."""

    list: ListName
    as_of: AsOf = None
    limit: Limit = 20
    after: Annotated[
        StrictInt, Field(ge=0, le=10_000_000, description="The rank of the last row of the page before.")
    ] = 0


class ListsCatalogue(Request):
    """Which lists there are."""

    as_of: AsOf = None


class ListPage(Fresh):
    """A page of a list; each row begins with its rank. `next_after` is null on the last page."""

    list: str
    holds: str
    total: Annotated[int, Field(description=f"All rows; a week holds the first {MOST_ROWS:,}.")]
    reason: Annotated[str | None, Field(description="Why the week has no such list, where it has none.")]
    rows: Rows
    next_after: int | None


class ListsAnswer(Fresh):
    """The lists of the week."""

    lists: Rows


def get_list(store: ServingState, request: ListGet) -> dict[str, Any]:
    """A page of one list."""
    portfolio = store.week_of(request.as_of)
    facts = _list_facts(portfolio.week.manifest, request.list)
    rows, last = [], 0
    if portfolio.named_lists is not None:
        table = portfolio.named_lists.table()
        table = table.filter(pc.equal(table["list"], request.list))
        if objecting := portfolio.lists.by_hand.objections:  # recorded since: they are in no list
            table = table.filter(pc.invert(pc.is_in(table["customer_id"], pa.array(sorted(objecting), pa.string()))))
        last = pc.max(table["rank"]).as_py() or 0
        page = table.filter(pc.greater(table["rank"], request.after)).sort_by("rank").slice(0, request.limit)
        rows = [{"rank": row["rank"], **json.loads(row["row"])} for row in page.to_pylist()]
    end = rows[-1]["rank"] if rows and rows[-1]["rank"] < last else None
    return {**portfolio.freshness(now_us()), "list": request.list, **facts, "rows": rows, "next_after": end}


def list_page(store: ServingState, request: ListGet) -> Page:
    """A page of one list as JSON, which knows how many rows it has."""
    answer = get_list(store, request)
    page = Page(json.dumps(answer).encode())
    page.rows = len(answer["rows"])
    return page


def lists_catalogue(store: ServingState, request: ListsCatalogue) -> dict[str, Any]:
    """Every list, with how many rows it has this week, or why it has none."""
    portfolio = store.week_of(request.as_of)
    listed = [{"list": name, **_list_facts(portfolio.week.manifest, name)} for name in PUBLISHED]
    return {**portfolio.freshness(now_us()), "lists": listed}


def _list_facts(manifest: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What a list holds, and how many rows, or why there is none."""
    facts = manifest["lists"].get(name) if "lists" in manifest else {"reason": "the week was published without lists"}
    facts = facts or {"reason": "the week was published by a version that did not know it"}
    return {"holds": LISTS[name].meaning, "total": facts.get("total", 0), "reason": facts.get("reason")}
