"""Definitions of models: found by themselves, checked when they are loaded, and what each says about a customer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from support.rows.contract_rows import day, make_tables
from vouch import models
from vouch.features.errors import DefinitionError, MissingTable, UsageError
from vouch.features.vectors.declare import Feature
from vouch.models import definition
from vouch.models.definition import SCORED, STATUSES, Cutoffs, Gate
from vouch.models.targets import Band, Target

CHURN = models.load("churn")
ADVOCACY = models.load("advocacy")


def vectors(**columns):
    base = {
        "is_subscribed": 0.0, "has_ever_subscribed": 0.0, "is_leaving": 0.0,
        "days_since_activity": np.nan, "has_ever_bought": 0.0, "tenure_days": 400.0,
    }  # fmt: skip
    rows = max(len(values) for values in columns.values())
    return pd.DataFrame({name: columns.get(name, [value] * rows) for name, value in base.items()}, dtype="float64")


def test_models_are_found_by_their_files():
    assert {"advocacy", "churn"} <= set(models.names())
    assert [models.load(name).name for name in models.names()] == models.names()


def test_an_unknown_model_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match=r"did you mean 'churn'.*Models: advocacy"):
        models.load("chrun")


def test_a_new_model_is_one_new_file(tmp_path, monkeypatch):
    (tmp_path / "renewal.py").write_text('MODEL = "not one"\n')
    (tmp_path / "helper.py").write_text("def MODEL_of(): ...\n")
    monkeypatch.setattr(definition, "FOLDER", tmp_path)
    monkeypatch.setattr(models, "__path__", [str(tmp_path)])
    assert models.names() == ["renewal"]
    with pytest.raises(DefinitionError, match="MODEL is no Model"):
        models.load("renewal")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "Churn!"}, "lower-case"),
        ({"question": "Leaves."}, "question"),
        ({"targets": ()}, "at least one target"),
        ({"targets": (CHURN.targets[0], CHURN.targets[0])}, "name of its own"),
        ({"learners": ("oracle",)}, "learners are"),
        ({"learners": ()}, "learners are"),
        ({"cutoffs": Cutoffs(train=0)}, "counted from 1"),
        ({"cutoffs": Cutoffs(grid_days=14, spacing_days=20)}, "multiple"),
        ({"gate": Gate(suspicious_auc=0.4)}, "suspicious_auc"),
        ({"targets": (replace(CHURN.targets[0], horizon_days=0),)}, "horizon"),
        ({"targets": (replace(CHURN.targets[0], bands=(Band("low", 0.1),)),)}, "bands begin at 0"),
        ({"targets": (replace(CHURN.targets[0], bands=(Band("a", 0.0), Band("b", 0.0))),)}, "bands begin at 0"),
    ],
)
def test_an_unsound_definition_is_refused(change, message):
    with pytest.raises(DefinitionError, match=message):
        replace(CHURN, **change)


def test_the_fingerprint_moves_with_the_definition_and_with_nothing_else():
    assert replace(CHURN).fingerprint == CHURN.fingerprint
    assert replace(CHURN, gate=Gate(minimum_positives=51)).fingerprint != CHURN.fingerprint
    assert (
        replace(CHURN, left_out=frozenset({"b", "a"})).fingerprint
        == replace(CHURN, left_out=frozenset({"a", "b"})).fingerprint
    )
    longer = replace(CHURN.targets[0], horizon_days=56)
    assert replace(CHURN, targets=(longer,)).fingerprint != CHURN.fingerprint


def test_churn_is_contractual_where_subscriptions_can_end_else_by_inactivity():
    people = [{"customer_id": "a", "created_at": 1}]
    spans = [{"subscription_id": "s", "customer_id": "a", "started_at": 1, "ended_at": None, "mrr": 1}]
    uses = [{"event_id": "1", "customer_id": "a", "occurred_at": 1, "event": "view"}]
    endless = [{name: value for name, value in spans[0].items() if name != "ended_at"}]
    assert CHURN.target(make_tables(customers=people, subscriptions=spans)).name == "contract"
    assert CHURN.target(make_tables(customers=people, subscriptions=endless, usage_events=uses)).name == "inactivity"
    assert CHURN.target_named("inactivity").horizon_days == 90


ACTS = [{"act_id": "1", "customer_id": "a", "occurred_at": 1, "kind": "review"}]


@pytest.mark.parametrize("kinds", [[], ["renewal"], ["refund", "renewal"], ["renewal", "purchase"]])
@pytest.mark.parametrize("spans", [None, 0, 1])
def test_who_uses_a_company_that_sells_nothing_may_be_an_advocate_whatever_tables_are_empty(kinds, spans):
    sales = [
        {"transaction_id": kind, "customer_id": "a", "occurred_at": 1, "amount": 1, "kind": kind} for kind in kinds
    ]
    rows = [{"subscription_id": "s", "customer_id": "a", "started_at": 1, "ended_at": None, "mrr": 1}]
    held = {} if spans is None else {"subscriptions": rows[:spans]}
    people = [{"customer_id": "a", "created_at": 1}]
    target = ADVOCACY.target(make_tables(customers=people, advocacy_acts=ACTS, transactions=sales, **held))
    assert (target.name == "organic") == ("purchase" in kinds or spans == 1)
    lately = {"tenure_days": [90.0], "days_since_activity": [9.0], "is_subscribed": [0.0], "has_ever_bought": [0.0],
              "has_ever_subscribed": [0.0]}  # fmt: skip
    assert list(target.status(lately)) == ["not_eligible" if target.name == "organic" else "ok"]


def test_a_model_without_an_outcome_says_what_it_needs():
    people = [{"customer_id": "a", "created_at": 1}]
    with pytest.raises(MissingTable, match="advocacy_acts or referrals"):
        ADVOCACY.target(make_tables(customers=people))
    with pytest.raises(MissingTable, match="subscriptions with ended_at; or usage_events or transactions"):
        CHURN.target(make_tables(customers=people))


def test_the_defaults_of_the_catalogue():
    contract, silence = CHURN.targets
    assert (contract.lead_days, contract.horizon_days, contract.gap_days) == (0, 28, 14)
    assert (silence.lead_days, silence.horizon_days, silence.gap_days) == (0, 90, 0)
    organic = ADVOCACY.targets[0]
    assert (organic.lead_days, organic.horizon_days, organic.gap_days) == (0, 90, 0)


def test_who_has_a_contract_to_end():
    rows = vectors(
        is_subscribed=[1, 1, 1, 0, 0, np.nan],
        has_ever_subscribed=[1, 1, 1, 1, 0, np.nan],
        is_leaving=[0, 1, 0, 0, 0, np.nan],
        tenure_days=[28, 400, 27.9, 400, 400, 400],
    )
    found = CHURN.target_named("contract").status(rows).tolist()
    assert found == ["ok", "leaving", "cold_start", "churned", "not_eligible", "not_eligible"]


def test_who_can_fall_silent():
    rows = vectors(days_since_activity=[0, 90, 90.1, np.nan, 1], tenure_days=[400, 400, 400, 400, 3])
    found = CHURN.target_named("inactivity").status(rows).tolist()
    assert found == ["ok", "ok", "churned", "not_eligible", "cold_start"]


def test_who_can_be_an_advocate():
    rows = vectors(
        is_subscribed=[1, 0, 0, 0, 1, np.nan],
        has_ever_subscribed=[1, 1, 0, 0, 1, np.nan],
        has_ever_bought=[0, 0, 1, 0, 0, 1],
        is_leaving=[1, 0, 0, 0, 0, np.nan],
        tenure_days=[400, 400, 400, 400, 5, 400],
    )
    found = ADVOCACY.target_named("organic").status(rows).tolist()
    assert found == ["ok", "churned", "ok", "not_eligible", "cold_start", "ok"]


def test_statuses_are_those_of_the_snapshot():
    assert set(STATUSES) == {"ok", "cold_start", "leaving", "churned", "between_terms", "not_eligible"}
    assert set(STATUSES) > SCORED


def test_bands_include_their_lower_bound():
    target = Target(
        "t", lambda *a: a, lambda v: v, 28, bands=(Band("low", 0.0), Band("watch", 0.05), Band("high", 0.15))
    )
    assert [target.band(p) for p in (0.0, 0.0499, 0.05, 0.15, 1.0)] == ["low", "low", "watch", "high", "high"]


def test_sensitive_features_are_left_out_unless_the_definition_says_so():
    age = Feature("age", "profile", "years", "", is_sensitive=True)
    usage = Feature("active_days_28d", "usage", "days", "")
    assert not CHURN.uses(age)
    assert replace(CHURN, is_sensitive_allowed=True).uses(age)
    assert CHURN.uses(usage)
    assert not replace(CHURN, left_out=frozenset({"usage"})).uses(usage)
    assert not replace(CHURN, left_out=frozenset({"active_days_28d"})).uses(usage)


def test_a_third_model_has_columns_and_stands_aside_until_it_is_named():
    from vouch.serving.snapshots import schema as columns

    upgrade = models.load("upgrade")
    assert columns.MODELS[:2] == ("churn", "advocacy")
    assert sorted(columns.MODELS) == models.names()
    assert {f"upgrade_{part}" for part in ("status", "probability", "band", "reasons", "raw", "base", "model")} <= set(
        columns.scores_schema(0).names
    )
    assert "upgrade_changes" in columns.changes_schema(0).names
    assert upgrade.is_optional
    assert not CHURN.is_optional
    with pytest.raises(KeyError):
        columns.nothing("churn_raw", 3)
    assert columns.nothing("upgrade_raw", 3).type == columns.scores_schema(0).field("upgrade_raw").type


@pytest.mark.parametrize("engine", ["duckdb", "polars"])
def test_an_upgrade_is_one_that_was_paid_in_the_window(engine):
    upgrade = models.load("upgrade")
    tables = make_tables(
        engine,
        customers=[{"customer_id": name, "created_at": 1} for name in "abc"],
        subscriptions=[
            {"subscription_id": name, "customer_id": name, "started_at": 2, "mrr": 5} for name in "abc"
        ],
        transactions=[
            {"transaction_id": f"{name}{at}", "customer_id": name, "occurred_at": at, "amount": 9, "kind": kind}
            for name, at, kind in [
                ("a", 120, "upgrade"), ("b", 120, "renewal"), ("c", 99, "upgrade"), ("c", 190, "upgrade")
            ]
        ],
    )  # fmt: skip
    target = upgrade.target(tables)
    labels = target.label(tables, [day(100)], day(190), target)
    assert dict(zip(labels["customer_id"], labels["label"], strict=True)) == {"a": 1.0, "b": 0.0, "c": 0.0}
    assert target.label(tables, [day(100)], day(189), target)["label"].isna().all()


def test_what_workers_of_a_cluster_give_back_has_a_type_for_every_column():
    from vouch.serving.scoring import spark

    assert set(spark._TYPES) == set(spark.PARTS)
