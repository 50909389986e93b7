"""`vouch demo`: the whole job on a simulated company, in a folder of its own."""

from __future__ import annotations

import math
import shutil
import time
from typing import TYPE_CHECKING, Annotated

import typer

from vouch.features.instants import HOUR_US
from vouch.serving.output import print_table, progress, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from vouch.features.ingest.stage import Staged
    from vouch.features.project import Project
    from vouch.serving.snapshots.files import Snapshot

app = typer.Typer()

CUSTOMERS = 5_000
WEEKS = 78
SHOWN_CANDIDATES = 10
SHOWN_REASONS = 3
FIRST_METRICS = (
    "nps", "csat", "ces_easy", "retention_rate", "churn_rate", "repeat_purchase_rate", "referral_conversion_rate",
)  # fmt: skip


@app.command()
def demo(
    customers: Annotated[int, typer.Option(metavar="N", help="How many customers.")] = CUSTOMERS,
    seed: Annotated[int, typer.Option(metavar="S", help="The same seed gives the same company.")] = 0,
) -> None:
    """Do the whole job on a simulated company: simulate, check, train, score, measure, and show the candidates.

    Example: vouch demo --customers 5000
    """
    from vouch.features.project import Project, home
    from vouch.features.simulation.parameters import LAST_INSTANT_US

    begun = time.perf_counter()
    folder = home() / "demo"
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier demo: nothing else is kept there
    project = Project(home=folder, location=str(folder / "company"))
    now_us = LAST_INSTANT_US + 6 * HOUR_US  # the Monday morning after the last row
    with progress() as step:
        _simulated(project, customers, seed, step)
        _checked(project, now_us, step)
        _trained(project, now_us, step)
        _scored(project, now_us, step)
    say(f"\nDone in {time.perf_counter() - begun:.0f} s. Everything is in {folder}. Next:\n")
    say(f"  VOUCH_HOME={folder} vouch serve")
    say(
        "  curl -s http://127.0.0.1:3000/v1/advocates/search -H 'Content-Type: application/json' "
        """-d '{"segment": ["enterprise"], "limit": 3}'"""
    )


def _simulated(project: Project, customers: int, seed: int, step: Callable[[str], None]) -> None:
    from pathlib import Path

    from vouch.features.simulation.company import simulate

    step(f"simulating {customers:,} customers by {WEEKS} weeks")
    assert project.location is not None
    folder = simulate(Path(project.location), customers, WEEKS, seed)
    say(f"1. A simulated company: {customers:,} customers by {WEEKS} weeks in {folder}; its truth is kept apart")


def _checked(project: Project, now_us: int, step: Callable[[str], None]) -> Staged:
    from vouch.features.ingest.stage import stage

    step("reading and checking the tables")
    staged = stage(project, now_us)
    tables = staged.counted["tables"]
    counts = ("rows", "quarantined", "cells", "repaired", "duplicates", "orphans")
    say(f"\n2. What the data hold: {len(tables)} tables (`vouch check` says what each one feeds)")
    print_table(
        [
            {"table": name, **{count: of[count] for count in counts}, "why": ", ".join(of["reasons"])}
            for name, of in tables.items()
        ]
    )
    return staged


def _trained(project: Project, now_us: int, step: Callable[[str], None]) -> None:
    from vouch.training.simulated.truth import against_truth
    from vouch.training.value.named import train_named

    step("training all models")
    reports = train_named(project, "all", None, now_us)
    say("\n3. All models against the baselines, on weeks after those that they were fitted on")
    for report in reports:
        say()
        say(report.text())
    step("comparing with the truth")
    compared = against_truth(project, reports, now_us)
    say("\n   Against the truth that only the simulator knows: the share of the AUC above 0.5 that is captured")
    print_table(compared)


def _scored(project: Project, now_us: int, step: Callable[[str], None]) -> None:
    from vouch.serving.batch.run import score_weeks
    from vouch.serving.snapshots.files import read_snapshot

    (week,) = score_weeks(project, None, now_us, progress=step)
    snapshot = read_snapshot(project.home, week.as_of_us)
    outcome = week.as_dict()
    say(f"\n4. The week of {outcome['as_of']}: {week.customers:,} customers scored, in {week.folder}")
    for model, counts in outcome["statuses"].items():
        say(f"   {model}: " + ", ".join(f"{count:,} {status}" for status, count in counts.items()))
    _show_candidates(project, snapshot, now_us)
    _show_metrics(snapshot)


def _show_candidates(project: Project, snapshot: Snapshot, now_us: int) -> None:
    from vouch.features.vectors.sentences import for_a_list, sentence
    from vouch.serving.asking.candidates import askable_now

    scores = snapshot.table("scores")
    people = askable_now(project.home, project.store, snapshot, now_us)
    first = people.first(SHOWN_CANDIDATES)
    say(f"\n5. The first {len(first.places)} of {first.total:,} candidates to be asked to speak up")
    rows = []
    for rank, (_, row) in enumerate(people.candidates.iloc[first.places].iterrows(), 1):
        reasons = for_a_list(scores["advocacy_reasons"][int(row["row"])].as_py(), SHOWN_REASONS)
        signed = [f"{'+' if r['contribution'] > 0 else '-'} {sentence(r['feature'], r['value'])}" for r in reasons]
        rows.append(
            {
                "rank": rank,
                "customer": row["customer_id"],
                "advocacy": _share(row["advocacy_probability"]),
                "churn": ""
                if row["churn_probability"] != row["churn_probability"]
                else f"{row['churn_probability']:.0%}",
                "tier": row["advocate_tier"],
                "ask for": str(row["ask_for"]).replace("_", " "),
                "why": "\n".join(signed),
            }
        )
    print_table(rows)


def _share(probability: float) -> str:
    return "" if math.isnan(probability) else f"{probability:.0%}"


def _show_metrics(snapshot: Snapshot) -> None:
    envelopes = [row for row in snapshot.table("metrics").to_pylist() if row["by"] is None]
    chosen = [row for wanted in FIRST_METRICS for row in envelopes if row["metric_id"] == wanted]
    say(f"\n6. Metrics, the first of {len(envelopes)} (`vouch metrics --describe` tells all)")
    shown = ("metric_id", "value", "ci_low", "ci_high", "unit", "n", "window_days", "status", "reason")
    print_table([{name: row[name] for name in shown} for row in chosen or envelopes])
