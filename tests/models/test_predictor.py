"""The bundle: what it holds, what it refuses, and that scores and reasons are exact."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.small_model import COLUMNS, ISOTONIC, LOGISTIC, RULES, vectors, written
from vouch.features.errors import BundleError
from vouch.models import load as load_model
from vouch.models.predictor import Predictor, _load_pyfunc, encode, load_champion
from vouch.models.scoring.calibration import FLOOR, Calibrator, IntervalBand, calibrator_from_json, log_odds, sigmoid
from vouch.models.scoring.feature_matrix import FeatureMatrix
from vouch.models.scoring.formulas import bend
from vouch.models.scoring.reasons import as_text


@pytest.fixture(scope="module")
def lightgbm_text():
    import lightgbm

    frame = vectors(4000)
    matrix = encode(frame, COLUMNS)
    odds = frame["usage_growth_28d"] - 0.2 * frame["active_days_28d"] + (frame["plan"] == "pro") + 1
    label = (np.random.default_rng(1).random(4000) < sigmoid(odds.to_numpy())).astype(float)
    data = lightgbm.Dataset(matrix, label, categorical_feature=[3], params={"verbose": -1})
    parameters = {"objective": "binary", "verbose": -1, "num_threads": 1, "num_leaves": 15, "bagging_freq": 1}
    return lightgbm.train({**parameters, "bagging_fraction": 0.7}, data, 60).model_to_string()


@pytest.fixture(params=["lightgbm", "logistic", "rules"])
def bundle(request, tmp_path, lightgbm_text):
    content = {"lightgbm": lightgbm_text, "logistic": LOGISTIC, "rules": RULES}[request.param]
    return written(tmp_path / "bundle", request.param, content), tmp_path / "bundle"


def test_a_loaded_bundle_scores_as_the_one_that_was_written(bundle):
    made, folder = bundle
    loaded = Predictor.load(folder)
    frame = vectors(500, seed=3)
    assert made.content_hash == loaded.content_hash
    assert (loaded.name, loaded.target, loaded.names) == ("churn", "contract", tuple(c.name for c in COLUMNS))
    for one, other in zip(made.score(frame), loaded.score(frame), strict=True):
        np.testing.assert_array_equal(one, other)


def test_base_and_reasons_add_up_to_the_raw_score(bundle):
    frame = vectors(6000, seed=4)
    reasons = bundle[0].reasons(frame)
    raw, _ = bundle[0].score(frame)
    assert np.abs(reasons.base + reasons.contributions.sum(axis=1) - raw).max() < 1e-9
    assert reasons.families == ("usage", "purchases", "profile", "satisfaction")


def test_scores_that_come_with_reasons_are_those_that_come_without_bit_by_bit(bundle):
    frame = vectors(9000, seed=4)
    with_reasons, reasons = bundle[0].explained(frame)
    for one, other in zip(with_reasons, bundle[0].score(frame), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(reasons.contributions, bundle[0].reasons(frame).contributions)


def test_the_leading_feature_of_a_family_moves_the_way_the_family_moves(bundle):
    frame = vectors(200, seed=5)
    predictor = bundle[0]
    reasons = predictor.reasons(frame)
    each = predictor.scorer.contributions(encode(frame, COLUMNS))
    leading = np.take_along_axis(each, reasons.features[:, :1].astype(int), axis=1)[:, 0]
    assert set(reasons.features[:, 0]) <= {0, 1}
    assert (leading * np.sign(reasons.contributions[:, 0]) >= each[:, :2].max(axis=1) * 0).all()


def test_a_customer_scores_the_same_alone_and_in_a_batch(bundle):
    predictor, frame = bundle[0], vectors(3000, seed=6)
    raw, probability = predictor.score(frame)
    parts = predictor.reasons(frame)
    for row in (0, 1, 1777, 2999):
        alone = frame.iloc[[row]]
        assert predictor.score(alone).raw[0] == raw[row]
        assert predictor.score(alone).probability[0] == probability[row]
        np.testing.assert_array_equal(predictor.reasons(alone).contributions[0], parts.contributions[row])


def test_columns_are_found_by_name_in_pandas_and_in_arrow(bundle):
    predictor, frame = bundle[0], vectors(300, seed=7)
    turned = frame[frame.columns[::-1]]
    arrow = pa.Table.from_pandas(turned, preserve_index=False)
    np.testing.assert_array_equal(predictor.score(frame).raw, predictor.score(turned).raw)
    np.testing.assert_array_equal(predictor.score(frame).raw, predictor.score(arrow).raw)
    with pytest.raises(BundleError, match=r"lack 1 features.*nps_last"):
        predictor.score(frame.drop(columns="nps_last"))


def test_no_rows_give_no_scores(bundle):
    frame = vectors(5).iloc[:0]
    assert len(bundle[0].score(frame).raw) == 0
    assert len(bundle[0].reasons(frame).as_arrow(frame)) == 0


def test_any_flipped_byte_is_noticed(bundle):
    _, folder = bundle
    rng = np.random.default_rng(0)
    for path in sorted(folder.iterdir()):
        good = path.read_bytes()
        for place in rng.integers(0, len(good), 3):
            path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
            if path.name == "manifest.json":
                continue
            with pytest.raises(BundleError, match="damaged"):
                Predictor.load(folder)
        path.write_bytes(good)
    Predictor.load(folder)


def test_a_missing_or_truncated_file_is_noticed(bundle):
    _, folder = bundle
    for path in sorted(folder.iterdir()):
        good = path.read_bytes()
        path.write_bytes(good[: len(good) // 2])
        with pytest.raises(BundleError):
            Predictor.load(folder)
        path.unlink()
        with pytest.raises(BundleError, match="cannot be read"):
            Predictor.load(folder)
        path.write_bytes(good)


def test_hashes_come_before_the_parser(tmp_path, lightgbm_text, monkeypatch):
    written(tmp_path / "b", "lightgbm", lightgbm_text)
    (tmp_path / "b" / "model.txt").write_text("not a model")
    monkeypatch.setattr("vouch.models.scoring.scorers.Trees", lambda *_: pytest.fail("parsed"))
    with pytest.raises(BundleError, match=r"damaged: model\.txt"):
        Predictor.load(tmp_path / "b")


def test_a_bundle_that_does_not_reproduce_its_golden_rows_is_refused(bundle):
    from vouch.models.scoring.bundle import read_files, write_files

    _, folder = bundle
    manifest, files, _ = read_files(folder)
    golden = json.loads(files["golden.json"])
    golden["raw"][0] += 1e-6
    kept = {name: value for name, value in manifest.items() if name != "files"}
    write_files(folder, kept, {**files, "golden.json": json.dumps(golden).encode()})
    with pytest.raises(BundleError, match="golden"):
        Predictor.load(folder)


def test_equal_models_make_equal_bytes(tmp_path, lightgbm_text):
    one = written(tmp_path / "one", "lightgbm", lightgbm_text)
    two = written(tmp_path / "two", "lightgbm", lightgbm_text)
    assert one.content_hash == two.content_hash
    assert written(tmp_path / "two", "lightgbm", lightgbm_text, Calibrator()).content_hash != one.content_hash


def test_golden_rows_keep_what_is_missing(tmp_path):
    written(tmp_path / "b", "logistic", LOGISTIC)
    golden = json.loads((tmp_path / "b" / "golden.json").read_text())
    assert any(None in row for row in golden["rows"])


def test_mlflow_scores_through_the_same_bundle(bundle):
    predictor, folder = bundle
    frame = vectors(50, seed=8)
    table = _load_pyfunc(str(folder)).predict(frame)
    np.testing.assert_array_equal(table["probability"], predictor.score(frame).probability)


def test_there_is_no_champion_before_a_promotion(tmp_path, bundle):
    assert load_champion(tmp_path, "churn") is None
    shutil.copytree(bundle[1], tmp_path / "champions" / "churn" / "bundle")
    champion = load_champion(tmp_path, "churn")
    assert champion is not None
    assert champion.content_hash == bundle[0].content_hash


def test_reasons_read_as_the_snapshot_keeps_them(tmp_path):
    predictor = written(tmp_path / "b", "logistic", LOGISTIC)
    frame = vectors(40, seed=11)
    listed = predictor.reasons(frame).as_arrow(frame).to_pylist()
    raw, _ = predictor.score(frame)
    for row, reasons in enumerate(listed):
        sizes = [abs(reason["contribution"]) for reason in reasons]
        assert sizes == sorted(sizes, reverse=True)
        assert {reason["family"] for reason in reasons} == {"usage", "purchases", "profile", "satisfaction"}
        assert sum(reason["contribution"] for reason in reasons) + LOGISTIC["base"] == pytest.approx(raw[row], abs=1e-9)
        plan = next(reason for reason in reasons if reason["family"] == "profile")
        assert plan["value"] == ("unknown" if pd.isna(frame["plan"][row]) else frame["plan"][row])


def test_values_read_without_trailing_zeros():
    found = as_text(np.array([3.0, 0.25, np.nan, 123456.7, -0.0]))
    assert found.tolist() == ["3", "0.25", "unknown", "123457", "-0"]


def test_a_logistic_row_by_hand(tmp_path):
    predictor = written(tmp_path / "b", "logistic", LOGISTIC)
    frame = vectors(1)
    frame.loc[0, ["active_days_28d", "usage_growth_28d", "orders_90d", "nps_last"]] = [4.0, np.nan, 2.0, 9.0]
    frame.loc[0, "plan"] = "pro"
    expected = -1.5 - 0.7 * (np.log(5) - 2) / 0.8 + (0.3 - 0.1) + (-0.4 - 0.02) + (-0.2 * (np.log(10) - 2) / 0.3 - 0.25)
    assert predictor.score(frame).raw[0] == pytest.approx(expected, abs=1e-12)


def test_a_rule_takes_the_mean_of_the_parts_that_are_known(tmp_path):
    predictor = written(tmp_path / "b", "rules", RULES)
    frame = vectors(3)
    frame["active_days_28d"] = [10.0, 10.0, np.nan]
    frame["nps_last"] = [0.0, np.nan, np.nan]
    score = np.array([0.7 * 60, 60, 50])  # of 100: weighted mean; one part alone; nothing known is neutral
    np.testing.assert_allclose(predictor.score(frame).raw, -2.0 - 0.04 * (score - 50))


@given(st.floats(-40, 40))
def test_sigmoid_and_log_odds_undo_each_other(value):
    assert log_odds(sigmoid(np.array([value])))[0] == pytest.approx(
        np.clip(value, *log_odds(np.array([0.0, 1.0]))), 1e-6
    )


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=30))
def test_calibration_never_turns_the_order(raw):
    values = np.sort(np.array(raw))
    for calibrator in (Calibrator(), Calibrator("sigmoid", 0.7, -0.2), ISOTONIC):
        probability = calibrator.apply(values)
        assert (np.diff(probability) >= 0).all()
        assert ((probability >= 0) & (probability <= 1)).all()
        assert calibrator_from_json(json.loads(json.dumps(calibrator.as_json()))) == calibrator


def test_an_isotonic_step_never_says_never():
    flat = Calibrator("isotonic", raw=(0.0, 1.0), probability=(0.0, 1.0))
    assert flat.apply(np.array([-9.0, 9.0])).tolist() == [FLOOR, 1 - FLOOR]


@pytest.mark.parametrize(
    "content",
    [
        {"method": "sigmoid", "slope": -1.0, "intercept": 0.0},
        {"method": "isotonic", "raw": [0.0, 1.0], "probability": [0.5, 0.2]},
        {"method": "isotonic", "raw": [0.0], "probability": [1.5]},
        {"method": "guess"},
    ],
)
def test_a_calibrator_that_is_no_rising_map_is_refused(content):
    with pytest.raises(BundleError):
        calibrator_from_json(content)


def test_bend_keeps_sign_and_order():
    values = np.array([-1e6, -1.0, 0.0, 0.5, 1e6])
    assert (np.diff(bend(values)) > 0).all()
    assert bend(np.array([0.0]))[0] == 0


def test_serving_a_formula_imports_neither_mlflow_nor_lightgbm(tmp_path):
    written(tmp_path / "b", "logistic", LOGISTIC)
    code = (
        "import sys; from pathlib import Path; from vouch.models.predictor import Predictor; "
        f"Predictor.load(Path({str(tmp_path / 'b')!r})); "
        "print([name for name in ('mlflow', 'lightgbm', 'sklearn', 'bentoml') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_scoring_is_fast_enough_for_a_weekly_batch(tmp_path, lightgbm_text):
    predictor = written(tmp_path / "b", "lightgbm", lightgbm_text)
    frame = vectors(20_000, seed=12)
    began = time.perf_counter()
    predictor.reasons(frame)
    assert time.perf_counter() - began < 20  # a bound that only an accident breaks; the figure is in the benchmarks


def test_a_block_of_vectors_scores_as_a_table_does(tmp_path):
    predictor = written(tmp_path / "bundle", "logistic", LOGISTIC)
    frame = vectors(40, seed=4)
    numbers = [column.name for column in COLUMNS if column.categories is None]
    texts = {"plan": frame["plan"].to_numpy(dtype=object)}
    block = FeatureMatrix(
        {name: place for place, name in enumerate(numbers)}, frame[numbers].to_numpy(dtype=float), texts
    )
    assert np.array_equal(encode(block, COLUMNS), encode(frame, COLUMNS), equal_nan=True)
    assert predictor.score(block).probability.tolist() == predictor.score(frame).probability.tolist()
    kept = np.arange(40) % 3 == 0
    assert predictor.score(block.filter(kept)).raw.tolist() == predictor.score(frame[kept]).raw.tolist()
    assert all(np.array_equal(block[name], frame[name], equal_nan=True) for name in numbers)
    assert block.column_names == {column.name for column in COLUMNS}


def test_a_probability_has_an_interval_where_the_bundle_keeps_one(tmp_path):
    from vouch.serving.scoring.score import Champion, score

    band = IntervalBand(raw=(-3.0, 0.0), low=(0.01, 0.2), high=(0.2, 0.9))
    predictor = written(tmp_path / "with", "logistic", LOGISTIC, replace(ISOTONIC, band=band))
    frame = vectors(300, seed=2).assign(is_subscribed=1.0, has_ever_subscribed=1.0, is_leaving=0.0, tenure_days=400.0)
    target = load_model("churn").target_named("contract")
    found = score(Champion("churn", target, Predictor.load(tmp_path / "with")), pa.Table.from_pandas(frame))
    low, probability, high = (np.array(column.to_pylist()) for column in (found.low, found.probability, found.high))
    assert (low <= probability).all()
    assert (probability <= high).all()
    assert (high - low).max() > 0.1
    plain = written(tmp_path / "without", "logistic", LOGISTIC)
    assert score(Champion("churn", target, plain), pa.Table.from_pandas(frame)).low.null_count == 300
    assert predictor.content_hash != plain.content_hash
