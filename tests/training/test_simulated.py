"""Yardsticks of the simulation: a reference is that of the company's own world, and where none fits there is none."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from vouch.features.simulation.parameters import PARAMETERS, VERSION
from vouch.features.simulation.worlds import with_prior_shift, without_signal, world
from vouch.training.simulated import truth
from vouch.training.simulated.truth import law_of, reference_shares


@pytest.fixture
def kept(tmp_path, monkeypatch):
    of = {"models": {"churn": {"share_of_truth": 0.8}}}
    other = {"models": {"churn": {"share_of_truth": 0.6}}}
    (tmp_path / "simulation").mkdir()
    (tmp_path / "simulation" / truth.REFERENCE).write_text(
        json.dumps({"version": VERSION, **of, "worlds": {"3": other}})
    )
    monkeypatch.setattr(truth.resources, "files", lambda _: tmp_path)


def test_the_reference_is_that_of_the_world(kept):
    assert reference_shares(PARAMETERS.as_json()) == {"churn": 0.8}
    assert reference_shares(world(3).as_json()) == {"churn": 0.6}
    for law in (world(4), without_signal(PARAMETERS), without_signal(world(3)), with_prior_shift(PARAMETERS, 1.3, 26)):
        assert reference_shares(law.as_json()) == {}


def test_the_law_stands_beside_the_truth_of_a_simulated_company_alone(tmp_path):
    project = SimpleNamespace(location=str(tmp_path))
    assert law_of(project) == {}
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth" / "parameters.json").write_text(json.dumps(world(3).as_json()))
    assert law_of(project)["world"] == 3
