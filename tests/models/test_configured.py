"""What a company decides about a model: another question is another target, and bands and costs are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vouch.features.errors import ConfigurationError, DefinitionError
from vouch.features.model_settings import ModelSettings, OutcomeRows
from vouch.features.project import load_project
from vouch.models import check_named, load
from vouch.models.eligibility import ELIGIBLE
from vouch.models.targets import Variant


def settings(folder, text: str):
    path = folder / "vouch.toml"
    path.write_text(text, encoding="utf-8")
    return load_project(str(path)).models


def test_a_section_of_the_project_file_is_what_a_company_decides(tmp_path):
    found = settings(
        tmp_path, "[churn]\nhorizon = 28\ninactive_after = 180\n[churn.bands]\nhigh = 0.6\n[churn.costs]\ngain = 90\n"
    )
    assert found == {"churn": ModelSettings(horizon_days=28, inactive_days=180, bands={"high": 0.6}, gain=90.0)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[churn]\nhorizon = 0", "'horizon' must be from 1 to 3650 days"),
        ("[churn]\nhorizon = 28.5", "'horizon' must be a whole number"),
        ("[churn]\nhorizn = 28", "[churn]: unknown key 'horizn' (did you mean 'horizon'?)"),
        ("[metric]\nhorizon = 28", "unknown key 'metric' (did you mean 'metrics'?)"),
        ("[churn.bands]\nhigh = 1.2", "'high' must lie between 0 and 1"),
        ("[churn.costs]\nwin = 3", "unknown key 'win'"),
    ],
)
def test_what_cannot_be_meant_is_told_with_its_place(tmp_path, text, message):
    with pytest.raises(ConfigurationError) as told:
        settings(tmp_path, text)
    assert message in str(told.value)


@pytest.mark.parametrize(("name", "costs"), [("churn", {"gain": 0.0}), ("advocacy", {"action": 5.0})])
def test_costs_that_say_too_little_are_refused_before_anything_is_fitted(name, costs):
    with pytest.raises(ConfigurationError, match=rf"\[{name}.costs\] needs an action and a gain above 0"):
        load(name).configured(ModelSettings(**costs))


def test_settings_of_a_model_that_there_is_not_are_refused():
    check_named(["churn", "advocacy"])
    with pytest.raises(ConfigurationError, match=r"\[chrun\] is no section and no model \(did you mean 'churn'\?\)"):
        check_named(["chrun"])


def test_another_question_is_another_target_and_is_found_by_its_name():
    model = load("churn").configured(ModelSettings(horizon_days=56, inactive_days=180, lead_days=7, gap_days=30))
    contract, inactivity = model.targets
    assert contract.name == "contract_lead7_horizon56_gap30"
    assert inactivity.name == "inactivity_lead7_horizon56_inactive180"
    assert (inactivity.lead_days, inactivity.horizon_days, inactivity.gap_days) == (7, 56, 0)
    for target in model.targets:
        found = load("churn").target_named(target.name)
        assert found == target
    vectors = {"days_since_activity": np.array([100.0, 181.0, np.nan]), "tenure_days": np.array([400.0, 400.0, 5.0])}
    assert list(inactivity.status(vectors)) == ["ok", "churned", "not_eligible"]
    assert list(load("churn").targets[1].status(vectors)) == ["churned", "churned", "not_eligible"]


DAYS = st.none() | st.integers(0, 4000)
ROWS = st.none() | st.builds(OutcomeRows, st.just("calls"), st.just("reason"), st.none() | st.text(min_size=1))


@given(st.builds(Variant, ROWS, DAYS, DAYS, DAYS, DAYS, st.none() | st.sampled_from([*ELIGIBLE])))
def test_what_a_company_has_otherwise_is_read_from_the_name_of_its_target(variant):
    assert Variant.of(variant.named("contract")) == ("contract", variant)


def test_what_is_as_usual_changes_nothing():
    model = load("churn")
    assert model.configured(None) == model
    assert model.configured(ModelSettings(gap_days=14)).targets == model.targets
    assert model.configured(ModelSettings(inactive_days=90)).targets == model.targets


@pytest.mark.parametrize("name", ["contract_horizon", "inactivity_horizon28_lead3", "nothing_horizon28", "contract_"])
def test_a_name_that_no_target_has_is_refused(name):
    with pytest.raises(DefinitionError, match="has no target"):
        load("churn").target_named(name)


def test_bands_and_costs_are_no_other_question():
    model = load("churn").configured(ModelSettings(bands={"high": 0.8}, gain=500.0))
    assert [target.name for target in model.targets] == ["contract", "inactivity"]
    assert model.targets[1].bands_of([0.3, 0.5, 0.79, 0.81]) == ["low", "watch", "watch", "high"]
    assert model.costs.gain == 500.0
    assert model.costs.action == load("churn").costs.action
    kept = load("churn").target_of({"target": "inactivity", "bands": {"watch": 0.4, "high": 0.8}})
    assert kept == model.targets[1]
    for bands in ({"hihg": 0.8}, {"high": 0.01}):
        with pytest.raises(ConfigurationError, match="bands"):
            load("churn").configured(ModelSettings(bands=bands))


def test_who_was_active_lately_may_speak_up_where_nothing_is_bought():
    status = load("advocacy").targets[0].status
    nothing = np.full(3, np.nan)
    vectors = {
        "is_subscribed": nothing, "has_ever_bought": nothing, "has_ever_subscribed": nothing,
        "days_since_activity": np.array([3.0, 91.0, np.nan]), "tenure_days": np.full(3, 300.0),
    }  # fmt: skip
    assert list(status(vectors)) == ["ok", "not_eligible", "not_eligible"]
    there = {**vectors, "has_ever_bought": np.zeros(3)}
    assert list(status(there)) == ["not_eligible"] * 3


def test_whom_a_model_is_asked_of_is_another_question_and_is_found_by_its_name():
    model = load("advocacy").configured(ModelSettings(eligible="active", inactive_days=30))
    target = model.targets[0]
    assert target.name == "organic_inactive30_of_those_active"
    assert load("advocacy").target_named(target.name) == target
    vectors = {
        "is_subscribed": np.array([1.0, 1.0, 0.0, np.nan]), "is_leaving": np.array([0.0, 1.0, 0.0, np.nan]),
        "has_ever_subscribed": np.array([1.0, 1.0, 1.0, np.nan]), "has_ever_bought": np.array([0.0, 0.0, 1.0, np.nan]),
        "days_since_activity": np.array([31.0, 3.0, 2.0, np.nan]), "tenure_days": np.array([400.0, 400.0, 9.0, 100.0]),
    }  # fmt: skip
    assert list(target.status(vectors)) == ["churned", "ok", "cold_start", "not_eligible"]
    statuses = {
        who: list(load("advocacy").configured(ModelSettings(eligible=who)).targets[0].status(vectors))
        for who in ("subscribed", "bought", "everybody")
    }
    assert statuses == {
        "subscribed": ["ok", "leaving", "churned", "not_eligible"],
        "bought": ["not_eligible", "not_eligible", "cold_start", "not_eligible"],
        "everybody": ["ok", "ok", "cold_start", "ok"],
    }


def test_how_long_a_user_of_a_company_that_sells_nothing_may_be_silent_is_a_setting():
    target = load("advocacy").configured(ModelSettings(inactive_days=30)).targets[1]
    assert target.name == "organic_of_users_inactive30"
    vectors = {"days_since_activity": np.array([30.0, 31.0, np.nan]), "tenure_days": np.array([400.0, 400.0, 400.0])}
    assert list(target.status(vectors)) == ["ok", "not_eligible", "not_eligible"]


def test_who_is_eligible_anyhow_is_no_other_question():
    model = load("churn")
    contract, inactivity = model.configured(ModelSettings(eligible="active")).targets
    assert [contract, inactivity] == list(model.targets)
    contract, inactivity = model.configured(ModelSettings(eligible="subscribed")).targets
    assert (contract.name, inactivity.name) == ("contract", "inactivity_of_those_subscribed")


@pytest.mark.parametrize(
    ("name", "who", "message"),
    [
        ("advocacy", "activ", r"it is one of subscribed, bought, active, everybody \(did you mean 'active'\?\)"),
        ("upgrade", "active", "says itself whom it can come true for"),
    ],
)
def test_who_cannot_be_eligible_is_told(name, who, message):
    with pytest.raises(ConfigurationError, match=message):
        load(name).configured(ModelSettings(eligible=who))
