"""Effects in a bundle: read as they were written, refused where they do not fit, and told only where they are known."""

from __future__ import annotations

import json

import numpy as np
import pytest

from support.small_model import COLUMNS, EFFECTS, LOGISTIC, vectors, written
from vouch.features.errors import BundleError
from vouch.models.predictor import Predictor, encode
from vouch.models.scoring.bundle import as_bytes, read_files, write_files


def test_a_bundle_keeps_effects(tmp_path):
    made = written(tmp_path / "b", "logistic", LOGISTIC, effects=EFFECTS)
    assert Predictor.load(tmp_path / "b").effects == made.effects == EFFECTS


@pytest.mark.parametrize(
    "spoil",
    [
        lambda of: of["line"]["terms"].pop(),
        lambda of: of["kinds"].clear(),
        lambda of: of.update(slope=-1.0),
        lambda of: of["kinds"][0].update(share=2.0),
    ],
)
def test_effects_that_do_not_fit_are_refused(spoil, tmp_path):
    written(tmp_path / "b", "logistic", LOGISTIC, effects=EFFECTS)
    manifest, files, _ = read_files(tmp_path / "b")
    content = json.loads(files["effects.json"])
    spoil(content)
    write_files(tmp_path / "c", manifest, {**files, "effects.json": as_bytes(content)})
    with pytest.raises(BundleError):
        Predictor.load(tmp_path / "c")


def test_only_what_trials_have_shown_to_add_something_is_an_effect():
    rows = encode(vectors(50), COLUMNS)
    said = EFFECTS.chances(rows, np.linspace(0.05, 0.9, 50))
    assert [of.basis for of in EFFECTS.kinds] == ["uplift", "response", "response"]
    assert np.isfinite(said.effect[:, 0]).all()
    assert np.isnan(said.effect[:, 1:]).all()
    for chances in (said.treated, said.untreated):
        assert ((chances > 0) & (chances < 1)).all()


def test_effects_follow_the_predicted_difference_as_far_as_it_is_borne_out():
    rows = encode(vectors(50), COLUMNS)
    said = EFFECTS.chances(rows, np.linspace(0.05, 0.9, 50))
    predicted = said.treated[:, 0] - said.untreated[:, 0]
    assert said.effect[:, 0] == pytest.approx(0.25 + 0.5 * (predicted - 0.2))
