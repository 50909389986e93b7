"""Cutoffs, rows, learners, calibration and the whole run: out of time by construction, equal bytes from equal input."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.rows.contract_rows import day, make_tables
from support.rows.datasets import COLUMNS, PLAN, dataset
from vouch import models
from vouch.features.contract.tables import DAY_US
from vouch.features.errors import Refused
from vouch.features.health import health_rules, with_health
from vouch.features.health.adopted import adopt_rules
from vouch.features.project import Project
from vouch.models.definition import Cutoffs, Gate
from vouch.models.predictor import Predictor, encode
from vouch.models.scoring.calibration import calibrator_from_json, sigmoid, softplus
from vouch.training import run
from vouch.training.calibrate import choose, fit_isotonic, fit_venn_abers, with_band
from vouch.training.dataset import data_begins, made_up_rows
from vouch.training.evaluate import evaluate
from vouch.training.recipes.learners import fit_health, fit_lightgbm, fit_logistic, fit_recency, validation
from vouch.training.report import card
from vouch.training.simulated.truth import against_truth

NOW_US = 1_794_787_200_000_000 + DAY_US // 4
CHURN = models.load("churn")
ADVOCACY = models.load("advocacy")
UPGRADE = models.load("upgrade")


def test_a_clock_that_was_wrong_makes_no_history():
    events = [{"event_id": "old", "customer_id": "a", "occurred_at": 3, "event": "view"}]
    events += [
        {"event_id": f"{n}", "customer_id": "a", "occurred_at": 10_000 + n / 10, "event": "view"} for n in range(2000)
    ]
    tables = make_tables(customers=[{"customer_id": "a", "created_at": 1}], usage_events=events)
    assert data_begins(tables) == 10_000 // 7 * 7 * DAY_US
    with pytest.raises(Refused, match="no rows"):
        data_begins(make_tables(customers=[{"customer_id": "a", "created_at": 1}]))


@pytest.fixture(scope="module")
def data():
    return dataset(customers=1200)


def test_validation_rows_come_after_all_that_is_fitted_on(data):
    fit, held = validation(data.train, data.target.matured_days, 0)
    last = data.train.as_of_us[fit].max() + data.target.matured_days * DAY_US
    assert last <= data.train.as_of_us[held].min()
    assert set(data.train.as_of_us[held]) == {PLAN.instants[-1]}


def test_one_training_cutoff_is_validated_on_other_customers():
    single = dataset(customers=400, plan=replace(PLAN, instants=PLAN.instants[:1]))
    fit, held = validation(single.train, single.target.matured_days, 0)
    assert not set(single.train.customers[fit]) & set(single.train.customers[held])
    assert 0.15 < held.mean() < 0.35


def test_equal_data_and_seed_give_equal_bytes(data):
    assert fit_lightgbm(data, 0).content == fit_lightgbm(data, 0).content
    assert fit_lightgbm(data, 1).content != fit_lightgbm(data, 0).content
    for fit in (fit_logistic, fit_recency, fit_health):
        assert json.dumps(fit(data, 0).content) == json.dumps(fit(data, 0).content)


def test_lightgbm_finds_what_no_linear_model_has_and_all_beat_the_rules(data):
    found = evaluate(data, 0)
    losses = {name: judged.figures["log_loss"] for name, judged in found.judged.items()}
    assert losses["lightgbm"] < losses["logistic"] < min(losses["recency"], losses["health"])
    assert found.comparisons["logistic"]["log_loss"].a_is_better
    assert set(found.choice.members) <= {"lightgbm", "lightgbm_deep", "lightgbm_family"}


def test_the_logistic_model_is_the_one_of_scikit_learn(data):
    from sklearn.linear_model import LogisticRegression

    from vouch.training.recipes.learners import PENALTY, _design

    fitted = fit_logistic(data, 0)
    designs = [_design(data.train.matrix[:, place], column.categories) for place, column in enumerate(data.columns)]
    matrix = np.concatenate([columns for columns, _ in designs], axis=1)
    stock = LogisticRegression(C=PENALTY, solver="lbfgs", max_iter=2000, tol=1e-8).fit(matrix, data.train.label)
    np.testing.assert_allclose(fitted.scorer.raw(data.train.matrix), stock.decision_function(matrix), atol=1e-3)


OWN_RULES = """
version = 2
[[measures]]
feature = "days_since_activity"
group = "use"
weight = 1
tiers = [{ points = 100 }, { from = 9, points = 0 }]
"""


def lonely_rules():
    """Rules as a company may adopt them: one measure, which those that come with vouch read otherwise."""
    measure = replace(health_rules().measures[0], feature="days_since_activity", tiers=((None, 100.0), (9.0, 0.0)))
    return replace(health_rules(), measures=(measure,))


@pytest.mark.parametrize("rules", [health_rules(), lonely_rules()], ids=["shipped", "adopted"])
def test_the_health_baseline_is_the_health_score_by_the_rules_that_hold(data, rules):
    import narwhals as nw
    import polars

    wanted = [measure.feature for measure in rules.measures]
    whole = data.test_frame.reindex(columns=wanted).astype("float64")
    scored = with_health(nw.from_native(polars.from_pandas(whole, nan_to_null=True).lazy()), rules)
    health = scored.collect("pyarrow").to_native()["health_score"].to_numpy()
    fitted = fit_health(replace(data, health=rules), 0)
    expected = fitted.content["base"] + fitted.content["slope"] * (health - 50)
    raw = fitted.scorer.raw(data.test.matrix)
    assert np.isfinite(health).all()
    np.testing.assert_allclose(raw, expected, atol=1e-9)
    assert fit_health(data, 0).content["slope"] < 0  # healthier customers leave less


def test_training_goes_by_the_rules_that_the_company_has_adopted(data, tmp_path, monkeypatch):
    adopt_rules(tmp_path, OWN_RULES, NOW_US, None, "a trial")
    held = []
    monkeypatch.setattr(
        run, "stage", lambda project, now_us: SimpleNamespace(default_as_of_us=lambda now: now, counted=None)
    )
    monkeypatch.setattr(run, "opened_by_size", lambda project, staged: None)
    monkeypatch.setattr(run, "train_on", lambda *_, health, **__: held.append(health) or {"churn": data})
    monkeypatch.setattr(run, "store", lambda project, outcome, *_: outcome)
    run.train(Project(tmp_path, None), "churn", None, NOW_US)
    assert [measure.feature for measure in held[0].measures] == ["days_since_activity"]


def test_a_rule_without_its_feature_says_the_base_rate(data):
    nameless = replace(data, model=replace(data.model, recency=("not_there",)))
    raw = fit_recency(nameless, 0).scorer.raw(data.test.matrix)
    assert sigmoid(raw) == pytest.approx(data.train.label.mean(), abs=1e-3)


@pytest.mark.parametrize("told_apart", [0, 1, 5])
def test_a_rule_that_hardly_tells_anybody_apart_is_fitted_all_the_same(data, told_apart):
    matrix = np.repeat(data.train.matrix[:1], len(data.train), axis=0)
    matrix[:told_apart] = data.train.matrix[-1]
    alike = replace(data, train=replace(data.train, matrix=matrix))
    for fit in (fit_recency, fit_health):
        said = sigmoid(fit(alike, 0).scorer.raw(matrix[told_apart:]))
        assert said == pytest.approx(data.train.label[told_apart:].mean(), abs=2e-3)


def simulated(rows, distort):
    rng = np.random.default_rng(0)
    true = rng.normal(-2, 1.2, rows)
    label = (rng.random(rows) < sigmoid(true)).astype(float)
    return distort(true), label, np.arange(rows)


def test_calibration_takes_the_way_that_holds_on_other_customers():
    assert choose(*simulated(20_000, lambda x: x), 0).calibrator.method in {"none", "sigmoid"}
    sigmoid_way = choose(*simulated(20_000, lambda x: 0.5 * x + 1), 0)
    assert sigmoid_way.calibrator.method == "sigmoid"
    assert sigmoid_way.calibrator.slope == pytest.approx(2, rel=0.05)
    assert sigmoid_way.calibrator.intercept == pytest.approx(-2, rel=0.05)
    assert choose(*simulated(20_000, lambda x: np.exp(x)), 0).calibrator.method == "isotonic"


@pytest.mark.parametrize(
    ("way", "law"),
    [
        ("none", lambda raw: raw),
        ("sigmoid", lambda raw: 0.4 * raw - 0.5),
        ("beta", lambda raw: 1.6 * softplus(raw) - 0.3 * softplus(-raw) - 1.0),
    ],
)
def test_calibration_finds_the_way_that_made_the_rows(way, law):
    rng = np.random.default_rng(0)
    raw = rng.normal(0, 2.5, 60_000)
    label = (rng.random(60_000) < sigmoid(law(raw))).astype(float)
    chosen = choose(raw, label, np.arange(60_000), 0)
    assert chosen.calibrator.method == way
    np.testing.assert_allclose(chosen.calibrator.apply(raw), sigmoid(law(raw)), atol=0.02)


def test_venn_abers_is_the_isotonic_fit_with_the_row_in_question_both_ways():
    from scipy.optimize import isotonic_regression

    rng = np.random.default_rng(1)
    raw = np.sort(rng.normal(size=60))
    label = (rng.random(60) < sigmoid(raw)).astype(float)
    found = fit_venn_abers(raw, label)
    for place in (0, 17, 59):
        ends = [
            isotonic_regression(np.insert(label, place + 1, outcome), weights=np.ones(61)).x for outcome in (0.0, 1.0)
        ]
        p0, p1 = _mean_of_tie(ends[0], place), _mean_of_tie(ends[1], place)
        assert found.apply(raw[[place]])[0] >= p1 / (1 - p0 + p1) - 0.08
        assert p0 <= found.apply(raw[[place]])[0] <= p1 + 1e-9


def test_customers_of_different_scores_keep_their_order_under_venn_abers():
    raw, label, _ = simulated(2000, lambda x: x)
    said = fit_venn_abers(raw, label).apply(np.sort(raw))
    inside = said[(said > said.min()) & (said < said.max())]
    assert (np.diff(inside) > 0).all()
    assert len(inside) > 0.95 * len(raw)


def _mean_of_tie(steps, place):
    return steps[place : place + 2].mean()


def test_the_interval_of_a_probability_covers_the_true_one():
    covered = []
    for draw in range(12):
        rng = np.random.default_rng(draw)
        raw = rng.normal(-2, 1.5, 3000)
        truth = sigmoid(0.7 * raw - 0.3)
        label = (rng.random(3000) < truth).astype(float)
        chosen = with_band(choose(raw, label, np.arange(3000), draw), raw, label, np.arange(3000), draw)
        at = np.quantile(raw, np.linspace(0.05, 0.95, 19))
        low, high = chosen.calibrator.interval(at)
        assert (low <= chosen.calibrator.apply(at)).all()
        assert (high >= chosen.calibrator.apply(at)).all()
        covered.append(((low <= sigmoid(0.7 * at - 0.3)) & (sigmoid(0.7 * at - 0.3) <= high)).mean())
    assert 0.8 < np.mean(covered) <= 1
    assert calibrator_from_json(chosen.calibrator.as_json()) == chosen.calibrator


def test_too_few_outcomes_are_not_calibrated():
    nothing = choose(np.array([0.0, 1.0]), np.array([0.0, 0.0]), np.array(["a", "b"]), 0)
    assert nothing.calibrator.method == "none"
    assert np.isnan(nothing.log_loss)


@given(st.lists(st.tuples(st.floats(-5, 5), st.booleans()), min_size=2, max_size=60))
def test_isotonic_knots_rise_and_stay_within_zero_and_one(drawn):
    raw = np.array([value for value, _ in drawn])
    label = np.array([float(true) for _, true in drawn])
    fitted = fit_isotonic(raw, label)
    if fitted is not None:
        assert (np.diff(fitted.raw) > 0).all()
        assert (np.diff(fitted.probability) >= 0).all()
        assert 0 <= min(fitted.probability) <= max(fitted.probability) <= 1


def test_golden_rows_are_nobodys(data):
    golden = made_up_rows(data, 32, 0)
    assert list(golden.columns) == [column.name for column in COLUMNS]
    pd.testing.assert_frame_equal(golden, made_up_rows(data, 32, 0))
    real = {tuple(row) for row in np.nan_to_num(data.train.matrix, nan=-1).tolist()}
    assert not real & {tuple(row) for row in np.nan_to_num(encode(golden, COLUMNS), nan=-1).tolist()}


@pytest.fixture(scope="module")
def small():
    """Both definitions with few cutoffs and a gate that a small company can pass."""
    gate = Gate(minimum_positives=5)
    cutoffs = Cutoffs(train=3, history_days=28)
    return {name: replace(models.load(name), cutoffs=cutoffs, gate=gate) for name in ("churn", "advocacy")}


@pytest.fixture(scope="module")
def trained(company, small, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "load", lambda name: small.get(name, UPGRADE))
        patch.setattr(run, "usual_models", lambda home: [*small])
        project = Project(tmp_path_factory.mktemp("home"), str(company))
        return project, run.train(project, "all", None, NOW_US)


@pytest.mark.slow
def test_a_run_reports_cutoffs_rows_figures_and_the_verdict(trained):
    project, reports = trained
    assert {report.model for report in reports} == {"churn", "advocacy"}
    for report in reports:
        text = report.text()
        content = json.loads(json.dumps(report.as_json(), allow_nan=False))
        assert content["rows"]["fitted"]["positives"] > 0
        assert set(content["figures"]) >= {"logistic", "recency", "health"}
        assert "lightgbm" not in content["figures"], "too few customers to teach trees"
        assert len(content["rules"]) == 8
        assert len(content["origins"]) >= 1
        assert content["figures"][content["chosen"]]["n"] == content["rows"]["judged"]["rows"]
        assert content["instability"]
        assert report.version == 1
        for part in ("fitted", "judged", "serves:", "log_loss", "brier_skill", "held   contract"):
            assert part in text
        assert report.is_promoted is report.passed
        assert (project.home / "champions" / report.model / "gate.json").exists()


@pytest.mark.slow
def test_what_was_registered_is_what_was_judged(trained):
    from vouch.models.registry import versions
    from vouch.models.registry.champions import history

    project, reports = trained
    for report in reports:
        row = next(row for row in versions.list_models(project.home) if row["model"] == report.model)
        assert row["content_hash"] == report.content_hash
        assert history(project.home, report.model)[-1]["content_hash"] == report.content_hash
        mlflow, client = versions.connect(project.home)
        assert client.get_model_version(report.model, "1").tags.keys() <= versions.OWN_TAGS, "each is guarded"
        model = mlflow.pyfunc.load_model(f"models:/{report.model}/1")
        rows = report.test_rows
        assert len(rows) == report.origins[0]["n"]
        assert rows["label"].sum() == report.origins[0]["positives"]
        golden = mlflow.artifacts.load_dict(f"runs:/{row['run_id']}/report.json")
        assert golden["content_hash"] == report.content_hash
        assert set(model.metadata.get_output_schema().input_names()) == {"raw", "probability"}


@pytest.mark.slow
def test_the_history_keeps_how_good_a_version_was_when_it_was_judged(trained):
    from vouch.models.registry.champions import history

    project, reports = trained
    for report in reports:
        entry = history(project.home, report.model)[-1]
        assert entry["figures"][0]["candidate"] == entry["chosen"] == report.chosen
        bins = entry["drawn"]["calibration"]
        rows = sum(row["n"] for row in bins)
        assert (rows, round(sum(row["n"] * row["observed"] for row in bins))) == report.rows["judged"]
        assert all(row["low"] <= row["observed"] <= row["high"] for row in bins)


@pytest.mark.slow
def test_a_run_is_measured_against_the_truth(trained):
    project, reports = trained
    rows = against_truth(project, reports, NOW_US)
    assert [row["model"] for row in rows] == [report.model for report in reports]
    for row in rows:
        assert row["roc_auc_of_truth"] > 0.6
        assert row["rows"] > 100


@pytest.mark.slow
def test_equal_input_gives_an_equal_bundle(trained, company, small, tmp_path):
    project, reports = trained
    report = next(report for report in reports if report.model == "churn")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "load", lambda name: small.get(name, UPGRADE))
        tables = run.opened_by_size(project, run.stage(project, NOW_US))
        again = run.train_on(tables, ["churn"], report.as_of_us)["churn"]
    made = run.write(again, tmp_path / "bundle")
    assert made.content_hash == report.content_hash
    assert Predictor.load(tmp_path / "bundle").kind == again.evaluation.served.fitted.kind
    incumbent = run.meet(project.home, again.data, again.evaluation, 0)
    assert (incumbent is not None) == report.is_promoted
    if incumbent:  # the champion is this very version
        newest = again.data.newest
        said = incumbent.probability[again.data.test.as_of_us == newest.as_of_us[0]]
        np.testing.assert_array_equal(said, again.evaluation.served.probability)
        assert (incumbent.drift["major"], incumbent.drift["score"]["level"]) == (0, "none")
        assert incumbent.changed_bands == 0
        assert not incumbent.unseen(again.data.test).any(), "it has learned from all of them"


@pytest.mark.slow
def test_what_was_not_evaluated_is_registered_says_so_and_cannot_become_the_champion(company, small, tmp_path, capsys):
    from vouch.models.registry import versions
    from vouch.models.registry.champions import history
    from vouch.serving.commands.train import tell_reports
    from vouch.serving.output import Format

    project = Project(tmp_path, str(company))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "load", lambda name: small.get(name, UPGRADE))
        (report,) = run.train(project, "churn", None, NOW_US, is_judged=False)
    tell_reports(project.home, [report], Format.TABLE)
    assert "version 1: registered, not promoted\n  it was not evaluated" in capsys.readouterr().out
    assert (report.chosen, report.figures, report.verdict) == ("logistic", {}, None), "too few for trees"
    assert "Unknown: it was not evaluated" in card(report)
    row = versions.list_models(project.home)[0]
    assert (row["gate"], row["alias"], row["roc_auc"]) == (versions.NOT_JUDGED, None, None)
    with pytest.raises(Refused, match="never evaluated"):
        versions.promote(project.home, "churn", 1, "in a hurry", NOW_US)
    assert versions.champion_version(project.home, "churn") is None
    assert history(project.home, "churn") == []
    assert json.loads(json.dumps(report.as_json(), allow_nan=False))["passed"] is False


def test_without_evaluation_the_preferred_candidate_is_fitted_on_every_row_and_calibrated_out_of_time(data):
    made = run.fit_and_judge(data, day(300), 0, "f", is_judged=False).evaluation
    assert made.choice.members == (data.model.learners[0],)
    assert made.served.fitted.name == data.model.learners[0]
    assert made.served.calibrated.calibrator.band is not None
    assert len(made.served.probability) == len(data.newest)
    assert not made.is_judged


def test_a_model_that_cannot_be_fitted_is_refused_and_the_others_go_on(company, tmp_path, monkeypatch):
    refusal = Refused("Model 'churn': too few")
    monkeypatch.setattr(run, "train_on", lambda tables, names, as_of_us, *_, **__: dict.fromkeys(names, refusal))
    project = Project(tmp_path, str(company))
    with pytest.raises(Refused, match="too few"):
        run.train(project, "churn", None, NOW_US)
    report = run._refused("churn", NOW_US, Refused("too few"))
    assert not report.passed
    assert "refused: too few" in report.text()
    assert json.dumps(report.as_json())


def test_the_code_fingerprint_moves_with_the_code(tmp_path, monkeypatch):
    for folder in ("features", "models", "training"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.py").write_text("x = 1\n")
    monkeypatch.setattr(run, "ROOT", tmp_path)
    before = run.code_fingerprint()
    (tmp_path / "training" / "note.txt").write_text("not code")
    assert run.code_fingerprint() == before
    (tmp_path / "features" / "a.py").write_text("x = 2\n")
    assert run.code_fingerprint() != before
