"""What training refuses: to replace a champion of another question in silence, and parameters that nobody knows."""

from __future__ import annotations

from typing import Any, cast

import pytest

from vouch.features.errors import DefinitionError
from vouch.training.gate import _champion
from vouch.training.incumbent import Incumbent
from vouch.training.recipes.learners import check_parameters


def rule(incumbent: Incumbent | None):
    (found,) = _champion(cast("Any", None), cast("Any", None), incumbent, 0)
    return found


def test_a_champion_of_another_target_stays_until_somebody_promotes_by_hand():
    why = "it predicts inactivity, not inactivity_inactive180"
    found = rule(Incumbent("", why=why, is_of_another_target=True))
    assert not found.passed
    assert why in found.why
    assert "vouch promote" in found.why


def test_without_a_champion_or_with_a_damaged_one_the_rule_holds():
    assert rule(None).passed
    assert rule(Incumbent("", why="the bundle is damaged")).passed


def test_a_parameter_that_lightgbm_would_pass_over_is_refused():
    check_parameters("rebuy", ["num_leaves", "max_leaf", "cat_smooth"])
    with pytest.raises(
        DefinitionError, match=r"'rebuy': LightGBM has no parameter 'num_leafs' \(did you mean 'num_leaf"
    ):
        check_parameters("rebuy", ["num_leafs"])
