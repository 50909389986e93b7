"""A very small company as files, for tests of reading and checking, in the forms that companies choose."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import polars as pl

from vouch.features.ingest.stage import Staged, stage
from vouch.features.project import Project

NOW_US = 1_767_225_600_000_000  # 2026-01-01
DAY_US = 86_400_000_000

_GOOD = """
customers: customer_id=c1 created_at=2025-01-01
subscriptions: subscription_id=s1 customer_id=c1 started_at=2025-02-01 mrr=10.5
transactions: transaction_id=t1 customer_id=c1 occurred_at=2025-02-01 amount=10.5 kind=purchase
usage_events: customer_id=c1 occurred_at=2025-02-01 event=login
sessions: session_id=v1 started_at=2025-02-01 ended_at=2025-02-02
surveys: response_id=r1 customer_id=c1 instrument=nps scale_min=0 scale_max=10 \
score=9 status=answered invited_at=2025-02-01
feedback: feedback_id=f1 source=google occurred_at=2025-02-01
tickets: ticket_id=k1 customer_id=c1 opened_at=2025-02-01
social_posts: post_id=p1 author=ann platform=x occurred_at=2025-02-01
referrals: referral_id=f1 advocate_id=c1 prospect_id=q1 invited_at=2025-02-01
advocacy_acts: act_id=a1 customer_id=c1 occurred_at=2025-02-01 kind=review
asks: ask_id=k1 customer_id=c1 asked_at=2025-02-01 kind=review
loyalty_members: customer_id=c1 enrolled_at=2025-02-01
loyalty_ledger: entry_id=e1 customer_id=c1 occurred_at=2025-02-01 kind=earn points=5
advocacy_software: event_id=e1 user_id=u1 role=admin occurred_at=2025-02-01 feature=invite
licences: product=pro started_at=2025-02-01 seats=5
touches: touch_id=h1 customer_id=c1 occurred_at=2025-02-01 kind=sales
treatments: treatment_id=m1 customer_id=c1 occurred_at=2025-02-01 campaign=spring arm=treated
costs: started_at=2025-02-01 ended_at=2025-03-01 kind=sales amount=10
capex: started_at=2025-02-01 ended_at=2025-03-01 category=store amount=10
health_overrides: customer_id=c1 score=50 reason=call set_by=ann set_at=2025-02-01 expires_at=2025-03-01
recognitions: customer_id=c1 occurred_at=2025-02-01 kind=thanks
maturity_answers: criterion=sponsor level=2 is_met=true answered_at=2025-02-01
competitor_metrics: competitor=acme metric=nps value=30 observed_at=2025-02-01
"""
REQUIRED: dict[str, dict[str, Any]] = {
    name: dict(part.split("=") for part in rest.split())
    for name, _, rest in (line.partition(": ") for line in _GOOD.strip().splitlines())
}
"""One good row of every table, as texts; optional columns only where a rule asks for them."""


def row(table: str, **changes: Any) -> dict[str, Any]:
    """The good row of a table with some columns changed or added."""
    return {**REQUIRED[table], **changes}


def company(**tables: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The smallest company, with tables replaced or added."""
    return {"customers": [row("customers")], "usage_events": [row("usage_events")], **tables}


def write_csv(folder: Path, tables: dict[str, list[dict[str, Any]]], separator: str = ",") -> Path:
    """Write tables as CSV, as Excel would."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        columns = list(dict.fromkeys(column for one in rows for column in one))
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, delimiter=separator)
            writer.writeheader()
            writer.writerows(rows)
    return folder


def write_parquet(folder: Path, tables: dict[str, list[dict[str, Any]]]) -> Path:
    """Write tables as Parquet, each column of the type that its Python values have."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        pl.DataFrame(rows, infer_schema_length=None).write_parquet(folder / f"{name}.parquet")
    return folder


def staged(folder: Path, home: Path | None = None, now_us: int = NOW_US) -> Staged:
    """Stage a folder, with the home beside it unless another is named."""
    return stage(Project(home=home or folder.parent / "home", location=str(folder)), now_us)


def read(found: Staged, table: str) -> pl.DataFrame:
    """One staged table as a frame."""
    return pl.read_parquet(found.folder / f"{table}.parquet")
