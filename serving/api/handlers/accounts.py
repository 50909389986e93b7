"""Handlers of `/v1/accounts`: accounts by revenue at risk, and one of them with its customers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from vouch.serving.api.handlers.find import person_row
from vouch.serving.api.handlers.lists import cursor_of, named_week, opened_week, seal_of
from vouch.serving.api.problems import Problem
from vouch.serving.api.state import now_us
from vouch.serving.weekly.people import folded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.serving.api.schemas import AccountGet, AccountsSearch
    from vouch.serving.api.state import ServingState
    from vouch.serving.api.week import ServedWeek

SHOWN = ("account_id", "account_name", "owner", "currency")
COUNTS = ("customers", "silent", "high")
FIGURES = ("mrr", "at_risk", "mean", "concentration")


def search_accounts(store: ServingState, request: AccountsSearch) -> dict[str, Any]:
    """Accounts, the most revenue at risk first."""
    text = folded(pa.array([request.text or ""]))[0].as_py()
    seal = seal_of(text, sorted(request.owner))
    week, after = opened_week(store, seal, request.as_of, request.cursor)
    matching = week.accounts.matching(text, tuple(request.owner))
    start = 0 if after is None else max(0, int(after.value or 0))
    end = start + request.limit
    rows = matching.iloc[start:end].to_dict("records")
    return {
        **week.freshness(now_us()),
        "total": len(matching),
        "next_cursor": cursor_of(seal, float(end), "", *named_week(week)) if end < len(matching) else None,
        "accounts": [_account(week, row) for row in rows],
    }


def get_account(store: ServingState, request: AccountGet) -> dict[str, Any]:
    """One account with its customers, the most endangered first."""
    week = store.week_of(request.as_of)
    frame = week.accounts.frame
    rows = frame.loc[frame["account_id"] == request.account_id].to_dict("records")
    if not rows:
        raise Problem("unknown_account", "The snapshot holds no such account", "account_id")
    people = [int(row) for row in week.accounts.rows[request.account_id]]
    people.sort(key=lambda row: (-_known(float(week.standing.probability[row]), -1.0), row))
    silent = (week.customers.value(row, "silent_days") for row in people)
    return {
        **week.freshness(now_us()),
        **_account(week, rows[0]),
        "people": [{**person_row(week, row), "silent_days": days} for row, days in zip(people, silent, strict=True)],
    }


def _account(week: ServedWeek, row: Mapping[Any, Any]) -> dict[str, Any]:
    worst = int(row["most_endangered_row"])
    return {
        **{name: row[name] if isinstance(row[name], str) else None for name in SHOWN},
        **{name: int(row[name]) for name in COUNTS},
        **{name: _known(row[name]) for name in FIGURES},
        "most_endangered": person_row(week, worst) if row["most_endangered"] == row["most_endangered"] else None,
    }


def _known(number: float, otherwise: Any = None) -> Any:
    """A number; NaN is none."""
    return otherwise if number != number else float(number)
