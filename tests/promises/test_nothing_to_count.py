"""A company that has little, or nothing, is scored, reported and exported all the same; the files are sound.

Ordinary companies are among them: invoices that are all renewals, orders that stopped half a year ago, a table that
came with its header alone, a week before the first customer.
"""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest

from support.rows.table_files import REQUIRED, row, write_csv

MONDAY = date(2025, 12, 1)
WEEK = MONDAY.isoformat()


def ago(days):
    return (MONDAY - timedelta(days=days)).isoformat()


def company(**tables):
    """Sixty customers who pay by the month, log in every week and are asked once whether they would recommend us."""
    people = [f"c{number:02}" for number in range(60)]
    return {
        "customers": [row("customers", customer_id=c, created_at=ago(300)) for c in people],
        "subscriptions": [row("subscriptions", subscription_id=f"s{c}", customer_id=c, started_at=ago(300))
                          for c in people],
        "usage_events": [row("usage_events", event_id=f"{c}-{week}", customer_id=c, occurred_at=ago(2 + 7 * week))
                         for c in people for week in range(20)],
        "surveys": [row("surveys", response_id=f"r{c}", customer_id=c, invited_at=ago(40)) for c in people],
        **tables,
    }  # fmt: skip


def paid(kind, *days):
    return [
        row("transactions", transaction_id=f"t{number:02}-{at}", customer_id=f"c{number:02}", occurred_at=ago(at),
            kind=kind, amount=-10 if kind == "refund" else 10)
        for number in range(60) for at in days
    ]  # fmt: skip


def header_only(folder, table):
    (folder / f"{table}.csv").write_text(",".join(REQUIRED[table]) + "\n", encoding="utf-8")


WORLDS = {
    "all invoices are renewals": company(transactions=paid("renewal", 20, 50, 80)),
    "the last order is long ago": company(transactions=paid("purchase", 200, 250)),
    "only refunds": company(transactions=paid("refund", 20)),
}


def scored_reported_and_exported(vouch, folder, tmp_path, week=WEEK):
    code, out, said = vouch("score", folder, "--as-of", week, "--now", f"{WEEK}T06:00:00Z", "--format", "json")
    assert code == 0, said
    (made,) = json.loads(out)["weeks"]
    assert made["outcome"] == "published"
    assert vouch("report", "--out", tmp_path / "report.html")[0] == 0
    for kind in ("csv", "parquet", "salesforce", "hubspot"):
        code, _, said = vouch("export", "--to", kind, "--out", tmp_path / f"out-{kind}")
        assert code == 0, said
    assert vouch("metrics", folder, "--as-of", week, "--no-bootstraps", "--format", "json")[0] == 0
    return made


@pytest.mark.parametrize("world", WORLDS)
def test_a_company_without_a_recent_purchase_has_its_week(world, vouch, tmp_path):
    folder = write_csv(tmp_path / "data", WORLDS[world])
    assert scored_reported_and_exported(vouch, folder, tmp_path)["customers"] == 60


def test_a_week_before_the_first_customer_is_an_empty_week(vouch, tmp_path):
    folder = write_csv(tmp_path / "data", company())
    assert scored_reported_and_exported(vouch, folder, tmp_path, "2020-01-06")["customers"] == 0


def test_tables_of_headers_alone_stop_nothing(vouch, tmp_path):
    folder = write_csv(tmp_path / "data", company())
    for table in REQUIRED:
        if table not in company():
            header_only(folder, table)
    assert scored_reported_and_exported(vouch, folder, tmp_path)["customers"] == 60


@pytest.mark.nightly
@pytest.mark.parametrize("table", sorted(REQUIRED))
def test_each_table_by_its_header_alone_stops_nothing(table, vouch, tmp_path):
    folder = write_csv(tmp_path / "data", company())
    header_only(folder, table)
    code, _, said = vouch("score", folder, "--as-of", WEEK, "--now", f"{WEEK}T06:00:00Z")
    assert code in {0, 4}, said  # a company that lost its customers is refused by the guards, in words
    assert "Traceback" not in said
    assert "Error:" not in said
