"""Effects in a bundle: read as they were written, refused where they do not fit, and told only where they are known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.small_model import COLUMNS, EFFECTS, LOGISTIC, vectors, written
from vouch.features.errors import BundleError
from vouch.models.predictor import Predictor, encode
from vouch.models.scoring.bundle import as_bytes, read_files, write_files
from vouch.models.scoring.effects import Effects, KindEffect


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


def offer(average=0.05, half=0.02, untreated=0.2):
    """Effects of an offer whose trials have shown an average, with the half width of its interval."""
    kind = KindEffect(
        "offer", 500, 500, 0.0, 1.0, 0.0, 0.0, 0.1, untreated, average, average - half, average + half
    )  # fmt: skip
    return Effects((kind,), 1.0, None, None, is_unwanted=True)


@given(
    average=st.floats(-1, 1), half=st.floats(0.001, 0.5), untreated=st.floats(0.001, 1), risk=st.floats(0.0001, 0.9999)
)
def test_no_treatment_prevents_more_than_would_come(average, half, untreated, risk):
    said = offer(average, half, untreated).chances(np.zeros((1, 0)), np.array([risk]))
    assert said.effect[0, 0] <= said.untreated[0, 0] + 1e-12
    assert -1e-12 <= said.treated[0, 0] <= 1 + 1e-12
    assert said.treated[0, 0] == pytest.approx(said.untreated[0, 0] - said.effect[0, 0])


def test_an_offer_prevents_most_where_most_is_to_be_prevented_and_nothing_where_nothing_is():
    said = offer().chances(np.zeros((3, 0)), np.array([0.0001, 0.2, 0.6]))
    assert said.effect[:, 0] / said.untreated[:, 0] == pytest.approx(said.effect[1, 0] / 0.2)
    assert said.effect[0, 0] < 0.0001


def test_what_is_noisy_is_drawn_to_nothing_and_what_is_sure_is_taken_at_its_word():
    noisy, sure = offer(half=0.049), offer(half=0.001)
    assert sure.kinds[0].prevents == pytest.approx(0.05 / 0.2, abs=0.001)
    assert 0 < noisy.kinds[0].prevents < 0.8 * sure.kinds[0].prevents
    assert noisy.kinds[0].average == 0.05, "what the trials have shown is told as it is"
