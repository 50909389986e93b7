"""Forecasts by customer: of whom they tell, what they never read, and how near they come out of time."""

from __future__ import annotations

import numpy as np
import pytest

from support.rows.metric_examples import INSTANT_US, company
from vouch.features.contract.tables import DAY_US
from vouch.features.ingest.stage import opened, stage
from vouch.features.metrics.context import MetricContext
from vouch.features.metrics.definitions.feedback import writers
from vouch.features.metrics.lists import customer_forecasts
from vouch.features.metrics.lists.lists import list_rows
from vouch.features.project import Project
from vouch.features.simulation.company import simulate
from vouch.features.simulation.parameters import LAST_INSTANT_US

NOW_US = LAST_INSTANT_US + 6 * 3_600_000_000
ANSWER = {"instrument": "nps", "scale_min": 0, "scale_max": 10, "status": "answered"}


@pytest.fixture(scope="module")
def voices():
    """Two years of texts and answers: everybody has a tone of his own, and says a little else each time."""
    random = np.random.default_rng(2)
    feedback, surveys = [], []
    for number in range(60):
        tone = random.normal(0, 40)
        for at in np.sort(random.uniform(-720, -1, 18)):
            said = int(np.clip(tone + random.normal(0, 50), -100, 100))
            feedback.append({"customer_id": f"c{number:02}", "source": "own_site", "occurred_at": float(at),
                             "polarity": said})  # fmt: skip
        for at in (-400, -200, -100, -20):
            score = int(np.clip(7 + tone / 15 + random.normal(0, 1), 0, 10))
            surveys.append({**ANSWER, "customer_id": f"c{number:02}", "score": score, "invited_at": at - 1,
                            "responded_at": at + 0.5})  # fmt: skip
    people = [{"customer_id": f"c{number:02}", "created_at": -800} for number in range(60)]
    return {"customers": people, "feedback": feedback, "surveys": surveys}


def told(rows, at_us=INSTANT_US):
    return list_rows(MetricContext(company(rows), at_us), "forecasts")


def test_everybody_who_said_something_is_told_twice_the_worst_expected_first(voices):
    found = told(voices)
    assert sorted(row["customer_id"] for row in found) == sorted(2 * [f"c{number:02}" for number in range(60)])
    soon = [row["expected_tone"] for row in found if row["days"] == 28]
    assert soon == sorted(soon)
    for row in found:
        assert row["tone_low"] <= row["expected_tone"] <= row["tone_high"]
        assert row["tone_by"] == ("model" if row["tone_skill"] > 0 else "persistence")
        assert row["nps_class"] in customer_forecasts.CLASSES
        assert row["nps_class_by"] in ("model", "persistence")


def test_the_tone_of_now_is_that_of_the_metric(voices):
    context = MetricContext(company(voices), INSTANT_US)
    frame = writers.prepare(context, 365).select("customer_id", "tone").collect("polars").to_native()
    of_metric = dict(frame.iter_rows())
    for row in told(voices):
        assert row["tone"] == pytest.approx(of_metric[row["customer_id"]], abs=1e-9)


def test_what_is_said_later_or_known_later_changes_no_forecast(voices):
    at_us = INSTANT_US - 100 * DAY_US
    late = [{"customer_id": "c07", "source": "own_site", "occurred_at": at, "polarity": -100,
             "ingested_at": -50} for at in (-90, -110, -300)]  # fmt: skip
    assert told({**voices, "feedback": [*voices["feedback"], *late]}, at_us) == told(voices, at_us)


def test_who_only_answers_has_no_tone_and_who_only_writes_no_class(voices):
    wrote, answered = {"customer_id": "w", "created_at": -90}, {"customer_id": "a", "created_at": -90}
    rows = {
        "customers": [*voices["customers"], wrote, answered],
        "feedback": [*voices["feedback"],
                     {"customer_id": "w", "source": "own_site", "occurred_at": -5, "polarity": 50}],
        "surveys": [*voices["surveys"], {**ANSWER, "customer_id": "a", "score": 9, "invited_at": -9,
                                         "responded_at": -8}],
    }  # fmt: skip
    found = {row["customer_id"]: row for row in told(rows) if row["days"] == 28}
    assert found["w"]["nps_class"] is found["w"]["expected_nps_class"] is found["w"]["nps_class_by"] is None
    assert found["w"]["expected_tone"] is not None
    assert found["a"]["tone"] is found["a"]["expected_tone"] is found["a"]["tone_by"] is None
    assert found["a"]["nps_class"] == "promoter"
    assert told(rows)[-1]["customer_id"] == "a", "without a tone comes last"


def test_too_little_to_judge_by_is_persistence_without_an_interval():
    rows = {"feedback": [{"customer_id": "c", "source": "own_site", "occurred_at": -5, "polarity": 50}]}
    for row in told(rows):
        assert (row["tone_by"], row["tone_low"], row["tone_high"], row["tone_skill"]) == (
            "persistence", None, None, None)  # fmt: skip
        assert row["expected_tone"] == row["tone"]


def test_no_more_are_told_than_a_week_holds(voices, monkeypatch):
    worst = [row["customer_id"] for row in told(voices)][:10]
    monkeypatch.setattr(customer_forecasts, "MOST_CUSTOMERS", 5)
    assert [row["customer_id"] for row in told(voices)] == worst


@pytest.mark.nightly
def test_of_the_simulated_company_tone_is_told_better_than_by_persistence_and_intervals_hold(tmp_path):
    """At eight instants of its last year, each with what it knew alone."""
    where = Project(home=tmp_path / "home", location=str(simulate(tmp_path / "company", 2_000, 156, seed=3)))
    tables = opened(where, stage(where, NOW_US), "polars")
    held, errors = [], []
    for back in range(84, 84 + 8 * 28, 28):
        at_us = LAST_INSTANT_US - back * DAY_US
        rows = list_rows(MetricContext(tables, at_us), "forecasts")
        for days in (28, 84):
            later = customer_forecasts._voices(MetricContext(tables, at_us + days * DAY_US))
            tone = dict(zip(later.customers, later.tone(), strict=True))
            of = [row for row in rows if row["days"] == days and row["tone"] is not None and row["customer_id"] in tone]
            came = np.array([tone[row["customer_id"]] for row in of])
            low, high, expected, now = (np.array([row[name] for row in of])
                                        for name in ("tone_low", "tone_high", "expected_tone", "tone"))  # fmt: skip
            held.append(((low <= came) & (came <= high)).mean())
            errors.append((np.abs(expected - came).mean(), np.abs(now - came).mean()))
    ours, plain = np.mean(errors, axis=0)
    print(f"forecasts: error {ours:.4f} against {plain:.4f} of persistence; held {np.mean(held):.3f}")
    assert ours < 0.9 * plain
    assert 0.75 <= np.mean(held) <= 0.85
