"""The lists behind the figures as people browse them: all with their sizes, one as a table, whatever its columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vouch.serving.api.handlers.named_lists import PUBLISHED, ListGet, ListsCatalogue, get_list, lists_catalogue
from vouch.serving.api.problems import Problem
from vouch.serving.web.queries import whole_number
from vouch.serving.web.work import with_names

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from vouch.serving.api.state import ServingState

ROWS = 50
WORDS = frozenset({"reason", "named", "sub_reason", "answer", "topic", "channel", "source", "tier"})
"""Columns that hold a company's own words for things, such as `too_expensive`; ids and quotations are left alone."""


@dataclass(frozen=True)
class NamedList:
    """A page of one list: its rows by column, and the rank after which the next page begins."""

    answer: Mapping[str, Any]
    columns: Sequence[str]
    is_first: bool
    people: Mapping[str, Mapping[str, Any]]
    """What each customer of the page is called, by id."""
    word_columns: Collection[str] = WORDS

    def is_number(self, column: str) -> bool:
        """Whether a column of the page holds numbers alone."""
        values = [row[column] for row in self.answer["rows"] if row.get(column) is not None]
        return bool(values) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def every_list(store: ServingState, as_of: str | None = None) -> Sequence[Mapping[str, Any]]:
    """Return all lists with how many rows they have, those that have some first."""
    listed: list[dict[str, Any]] = lists_catalogue(store, ListsCatalogue(as_of=as_of))["lists"]
    return sorted(listed, key=lambda row: row["total"] == 0)


def named_list(store: ServingState, name: str, after: str, as_of: str | None = None) -> NamedList:
    """Return a page of one list; raises the problem `unknown_route` where there is none of that name."""
    begin = whole_number(after or "0")
    if name not in PUBLISHED or begin is None:
        raise Problem("unknown_route")
    asked = ListGet.model_validate({"list": name, "limit": ROWS, "after": min(begin, 10_000_000), "as_of": as_of})
    answer = get_list(store, asked)
    columns = list(dict.fromkeys(column for row in answer["rows"] for column in row if column != "rank"))
    customers = [{"customer_id": row["customer_id"]} for row in answer["rows"] if row.get("customer_id")]
    people = {who["customer_id"]: who for who in with_names(store, customers, as_of)}
    return NamedList(answer, columns, asked.after == 0, people)
