"""Own health rules before they hold: audited beside those that hold against what came true, adopted or refused."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from vouch.features.errors import ConfigurationError, DataError, UsageError
from vouch.features.health import health_rules
from vouch.features.health.adopted import FILE, adopted_rules, held_rules
from vouch.features.health.rules import read_rules
from vouch.features.project import Project
from vouch.features.simulation.parameters import LAST_INSTANT_US
from vouch.models.quality import health_audit
from vouch.models.quality.health_audit import audited, compared
from vouch.serving.monitoring.health_check import check_rules

MEASURE = '[[measures]]\nfeature = "{}"\ngroup = "use"\nweight = 1\ntiers = [{}]\n'
OWN = "version = 2\n[segments.enterprise]\nweights = { nps_last = 0.3, tickets_open = 0 }\n"
UPSIDE_DOWN = "version = 2\ncoverage_floor = 0.1\n" + MEASURE.format(
    "active_days_28d", "{ from = 0, points = 100 }, { from = 1, points = 60 }, { from = 4, points = 0 }"
)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Few draws: the ends of intervals are not what is tested here."""
    monkeypatch.setattr(health_audit, "DRAWS", 20)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """A panel of 400 customers at three instants: who is active less leaves more, and tickets tell nothing."""
    draw, n = np.random.default_rng(3), 1200
    active = draw.choice([0.0, 2.0, 6.0, 20.0], n)
    given = {name: np.full(n, np.nan) for name in health_rules().reads}
    given |= {"active_days_28d": active, "nps_last": draw.choice([2.0, 9.0], n), "tickets_open": np.ones(n)}
    left = (draw.random(n) < np.where(active < 4, 0.3, 0.05)).astype(float)
    segments = np.where(np.arange(n) % 400 < 100, "enterprise", "consumer")
    customers = [f"c{number % 400:03}" for number in range(n)]
    return pd.DataFrame({"customer_id": customers, "segment": segments, "label": left, **given})


def test_rules_beside_themselves_differ_by_nothing(rows):
    found = compared(rows, health_rules(), health_rules())
    assert (found.difference, found.difference_low, found.difference_high) == (0, 0, 0)
    assert found.auc == pytest.approx(audited(rows, health_rules())[0].auc)
    assert found.auc > 0.55
    assert found.objection() is None


def test_rules_that_are_upside_down_or_tell_less_than_those_that_hold_are_objected_to(rows):
    upside = compared(rows, read_rules(UPSIDE_DOWN, FILE), health_rules())
    assert upside.difference_high < 0
    assert "no better than chance" in upside.objection()
    blunt = "version = 2\n" + MEASURE.format("active_days_28d", "{ points = 50 }, { from = 20, points = 60 }")
    less = compared(rows, read_rules(blunt, FILE), health_rules())
    assert less.auc > 0.5
    assert "less well than the rules that hold" in less.objection()


def test_too_few_who_left_are_no_comparison(rows):
    few = rows.assign(label=(np.arange(len(rows)) < 19).astype(float))
    with pytest.raises(DataError, match="at least 20"):
        compared(few, health_rules(), health_rules())


def test_a_measure_is_audited_by_the_points_of_each_segment(rows):
    own = "version = 2\n[segments.enterprise]\ntiers.tickets_open = [{ points = 7 }]\n"
    (found,) = (one for one in audited(rows, read_rules(own, FILE)) if one.measure == "tickets_open")
    assert {tier.points: tier.n for tier in found.tiers} == {7: 300, 60: 900}


@pytest.fixture(scope="module")
def home(company, tmp_path_factory):
    """A home for commands to share: tables are read once."""
    return Project(home=tmp_path_factory.mktemp("checked"), location=str(company))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (OWN.replace("2", "1", 1), "'version' must be above 1, the version of the rules that hold"),
        (OWN.replace("enterprise", "entreprise"), "no customer is of this segment (did you mean 'enterprise'?)"),
        ("version = 2\n" + MEASURE.format("nps_lst", "{ points = 100 }"), "did you mean 'nps_last'?"),
    ],
)
def test_rules_that_cannot_be_meant_are_refused_before_they_are_audited(home, tmp_path, text, said):
    path = tmp_path / "draft.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as told:
        check_rules(home, path, LAST_INSTANT_US, lambda _: None)
    assert said in f"{told.value}"
    assert f"{path}" in f"{told.value}"


def test_without_rules_of_ones_own_there_is_nothing_to_check(home):
    with pytest.raises(UsageError, match="write the rules there, or name their file with --rules"):
        check_rules(home, None, LAST_INSTANT_US, lambda _: None)


def test_rules_are_shown_checked_adopted_and_given_up(vouch, company, tmp_path):
    home, draft, upside = tmp_path / "home", tmp_path / "draft.toml", tmp_path / "upside.toml"
    draft.write_text(OWN)
    upside.write_text(UPSIDE_DOWN.replace("version = 2", "version = 3"))
    code, out, err = vouch("health", "adopt", company, "--rules", draft, "--format", "json")
    assert code == 0, err
    told = json.loads(out)
    assert told["objection"] is None
    assert told["comparison"]["n"] > 1000
    assert adopted_rules(home).version == 2
    assert (home / FILE).read_text() == OWN

    code, out, err = vouch("health", "adopt", company, "--rules", upside)
    assert (code, "not adopted" in err, adopted_rules(home).version) == (4, True, 2)
    assert vouch("health", "adopt", company, "--rules", upside, "--despite", "a trial")[0] == 0
    assert adopted_rules(home).version == 3

    code, out, err = vouch("health", "show", "--format", "json")
    shown = json.loads(out)
    assert (code, shown["version"], shown["adoptions"][-1]["despite"]) == (0, 3, "a trial")
    assert shown["rules"]["measures"][0]["feature"] == "active_days_28d"
    assert vouch("health", "adopt", "--shipped")[0] == 0
    assert held_rules(home) == health_rules()
    assert "version 1" in vouch("health", "show")[1]
