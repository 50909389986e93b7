"""The search for parameters: seeded, bounded, taken up where it stopped, and kept to the training cutoffs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from support.rows.datasets import dataset
from vouch.training.evaluate import evaluate
from vouch.training.recipes import tuning
from vouch.training.recipes.tuning import NAME, Tuning, tune

FACTS = {"data_fingerprint": "d"}


@pytest.fixture(scope="module", autouse=True)
def short():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "ROUNDS", 40)
        patch.setattr("vouch.training.evaluate.RESAMPLES", 50)
        yield


@pytest.fixture(scope="module")
def data():
    return dataset(customers=500)


def without_numbers(found):
    return [{name: value for name, value in row.items() if name != "trial"} for row in found.trials]


def test_a_search_that_was_interrupted_ends_as_one_that_was_not(data, tmp_path):
    whole = tune(data, 0, Tuning(7), tmp_path / "whole", FACTS)
    tune(data, 0, Tuning(3), tmp_path / "parts", FACTS)
    parts = tune(data, 0, Tuning(7), tmp_path / "parts", FACTS)
    assert len(whole.trials) == 7
    assert without_numbers(parts) == without_numbers(whole)
    assert parts.fit(data, 0).content == whole.fit(data, 0).content
    assert whole.is_reproducible
    again = tune(data, 0, Tuning(7), tmp_path / "whole", FACTS)
    assert again.trials == whole.trials, "nothing is left to do"


def test_another_seed_or_other_data_are_another_search(data, tmp_path):
    first = tune(data, 0, Tuning(2), tmp_path, FACTS)
    assert tune(data, 1, Tuning(2), tmp_path, FACTS).trials != first.trials
    assert len(tune(data, 0, Tuning(1), tmp_path, {"data_fingerprint": "other"}).trials) == 1


def test_a_limit_in_seconds_ends_the_search_and_marks_it(data, tmp_path):
    ticks = iter(range(0, 1000, 10))
    found = tune(data, 0, Tuning(50, seconds=25), tmp_path, FACTS, clock=lambda: next(ticks))
    assert 1 <= len(found.trials) < 5
    assert not found.is_reproducible
    assert tune(data, 0, Tuning(50, seconds=-1), tmp_path / "none", FACTS) is None


def test_nothing_is_searched_by_default(data, tmp_path):
    assert tune(data, 0, Tuning(), tmp_path, FACTS) is None
    assert not list(tmp_path.iterdir())


def test_rows_that_are_judged_are_not_looked_at(data, tmp_path):
    flipped = replace(data, test=replace(data.test, label=1 - data.test.label))
    one = tune(data, 0, Tuning(2), tmp_path / "one", FACTS)
    other = tune(flipped, 0, Tuning(2), tmp_path / "other", FACTS)
    assert one.trials == other.trials


def test_a_hopeless_trial_is_cut(data, tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "UNPRUNED", 1)
    found = tune(data, 0, Tuning(8), tmp_path, FACTS)
    assert any(row["is_cut"] for row in found.trials)
    best = min(row["loss"] for row in found.trials if not row["is_cut"])
    assert best <= min(row["loss"] for row in found.trials[:1])


def test_tuned_trees_stand_beside_the_other_candidates(data, tmp_path):
    found = tune(data, 0, Tuning(3), tmp_path, FACTS)
    judged = evaluate(data, 0, more={NAME: found.fit})
    assert np.isfinite(judged.judged[NAME].figures["log_loss"])
    fitted = found.fit(data, 0)
    assert fitted.parameters["learning_rate"] == found.fit.keywords["given"]["learning_rate"]
