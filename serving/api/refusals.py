"""Writes that were refused, as the audit log tells them: who tried what, and which problem it was answered with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vouch.serving.api.state import now_us
from vouch.serving.store.audit import entry

if TYPE_CHECKING:
    from vouch.serving.api.problems import Problem
    from vouch.serving.api.state import ServingState
    from vouch.serving.store.callers import Caller


def refused(store: ServingState, caller: Caller, route: str, problem: Problem, customer_id: str | None = None) -> None:
    """Tell the audit log of a write that was refused; a customer is named where the week knows of them."""
    is_known = customer_id is not None and store.is_ready and store.portfolio.ids.row_of(customer_id) is not None
    who = {"key_id": caller.key_id, "customer_id": customer_id if is_known else None}
    store.journal.note(entry(now_us(), caller.name, "refused", **who, route=route, rows=0, status=problem.status))
