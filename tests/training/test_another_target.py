"""A champion that answers another question is not replaced in silence."""

from __future__ import annotations

from typing import Any, cast

from vouch.training.gate import Incumbent, _champion


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
