"""Why a score moved: the parts add up, what stayed has none, and each cause is told apart."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pyarrow as pa
import pytest

from support.small_model import COLUMNS, LOGISTIC, RULES, vectors, written
from vouch.features.errors import SnapshotError
from vouch.features.vectors.fingerprints import feature_fingerprints
from vouch.models.predictor import encode
from vouch.models.scoring.calibration import sigmoid
from vouch.models.scoring.trees import Trees
from vouch.serving.scoring.score_changes import MARK, score_change_parts, stored_schema, stored_vectors

NAMES = [column.name for column in COLUMNS]


@pytest.fixture(scope="module")
def text():
    import lightgbm

    frame = vectors(4000)
    odds = frame["usage_growth_28d"] * (frame["active_days_28d"] - 14) / 5 + (frame["plan"] == "pro") - 1
    label = (np.random.default_rng(1).random(4000) < sigmoid(odds.to_numpy())).astype(float)
    data = lightgbm.Dataset(encode(frame, COLUMNS), label, categorical_feature=[3], params={"verbose": -1})
    parameters = {"objective": "binary", "verbose": -1, "num_threads": 1, "num_leaves": 12, "min_data_per_group": 20}
    return lightgbm.train(parameters, data, 40).model_to_string()


@pytest.fixture(params=["lightgbm", "logistic", "rules"])
def predictor(request, tmp_path, text):
    content = {"lightgbm": text, "logistic": LOGISTIC, "rules": RULES}[request.param]
    return written(tmp_path / "bundle", request.param, content)


def marked(frame, other=()):
    """Vectors as a snapshot keeps them; features in `other` had another definition then."""
    hashes = feature_fingerprints()
    table = pa.Table.from_pandas(frame[["customer_id", *NAMES]], preserve_index=False)
    fields = [pa.field("customer_id", pa.string())]
    for column in COLUMNS:
        kind = pa.float32() if column.categories is None else pa.string()
        mark = "another" if column.name in other else hashes[column.name]
        fields.append(pa.field(column.name, kind, metadata={MARK: mark.encode()}))
    return table.cast(pa.schema(fields))


def told(predictor, before, now, model_before=None, raw_before=None, other=()):
    then, today = marked(before, other), pa.Table.from_pandas(now, preserve_index=False)
    raw_before = predictor.score(then).raw if raw_before is None else raw_before
    hashes = [model_before or predictor.content_hash] * len(now)
    raw_now = predictor.score(today).raw
    return score_change_parts(predictor, then, today, raw_before, raw_now, hashes).to_pylist(), raw_now - raw_before


def test_the_parts_of_a_tree_model_are_its_shapley_values(text):
    trees = Trees(text, len(COLUMNS))
    before, now = encode(vectors(40, seed=1), COLUMNS), encode(vectors(40, seed=2), COLUMNS)
    found, count = trees.moved(before, now), len(COLUMNS)
    wanted = np.zeros_like(found)
    for feature in range(count):
        others = [place for place in range(count) if place != feature]
        for size in range(count):
            weight = math.factorial(size) * math.factorial(count - 1 - size) / math.factorial(count)
            for taken in itertools.combinations(others, size):
                without = before.copy()
                without[:, list(taken)] = now[:, list(taken)]
                with_it = without.copy()
                with_it[:, feature] = now[:, feature]
                wanted[:, feature] += weight * (trees.raw(with_it) - trees.raw(without))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)


def test_parts_add_up_to_the_movement_and_the_largest_comes_first(predictor):
    entries, movement = told(predictor, vectors(6000, seed=4), vectors(6000, seed=5))
    sums = [sum(entry["contribution"] for entry in row) for row in entries]
    assert np.abs(np.array(sums) - movement).max() < 1e-9
    for row in entries[:200]:
        sizes = [abs(entry["contribution"]) for entry in row]
        assert sizes == sorted(sizes, reverse=True)
        assert {entry["cause"] for entry in row} <= {"feature"}
        assert len({entry["family"] for entry in row}) == len(row)


def test_what_stayed_has_no_part_and_what_moved_says_from_what_to_what(predictor):
    before = vectors(300, seed=6)
    now = before.assign(active_days_28d=(before["active_days_28d"] + 9) % 28)
    entries, _ = told(predictor, before, now)
    assert any(entries)
    for row, was, became in zip(entries, before["active_days_28d"], now["active_days_28d"], strict=True):
        assert all(
            (entry["family"], entry["feature"], entry["before"], entry["value"])
            == ("usage", "active_days_28d", f"{was:.6g}", f"{became:.6g}")
            for entry in row
        )
    assert told(predictor, before, before)[0] == [[]] * 300


def test_another_model_is_a_part_of_its_own(predictor):
    before, now = vectors(500, seed=7), vectors(500, seed=8)
    raw_before = np.random.default_rng(0).normal(size=500)
    entries, movement = told(predictor, before, now, "b" * 64, raw_before)
    for row, moved in zip(entries, movement, strict=True):
        (of_model,) = [entry for entry in row if entry["cause"] == "model"]
        assert (of_model["before"], of_model["value"]) == ("b" * 12, predictor.content_hash[:12])
        assert abs(sum(entry["contribution"] for entry in row) - moved) < 1e-9
    raw_then = predictor.score(marked(before)).raw
    assert of_model["contribution"] == pytest.approx(raw_then[-1] - raw_before[-1])


def test_a_feature_that_is_defined_anew_moves_the_score_by_its_definition(predictor):
    before, now = vectors(500, seed=9), vectors(500, seed=10)
    plain, movement = told(predictor, before, now)
    entries, _ = told(predictor, before, now, other=["nps_last"])
    for old, row, moved in zip(plain, entries, movement, strict=True):
        parts = {(entry["cause"], entry["family"]): entry["contribution"] for entry in row}
        assert ("feature", "satisfaction") not in parts
        of_nps = [entry["contribution"] for entry in old if entry["family"] == "satisfaction"]
        assert parts.get(("definition", "satisfaction")) == (of_nps[0] if of_nps else None)
        assert abs(sum(parts.values()) - moved) < 1e-9


def test_a_feature_that_did_not_exist_then_reads_as_missing_and_is_a_change_of_definition(predictor):
    before, now = vectors(200, seed=11), vectors(200, seed=12)
    without = marked(before).drop_columns(["nps_last"])
    hashes, today = ["b" * 64] * 200, pa.Table.from_pandas(now, preserve_index=False)
    raw_now = predictor.score(today).raw
    entries = score_change_parts(predictor, without, today, np.zeros(200), raw_now, hashes).to_pylist()
    for row, raw in zip(entries, raw_now, strict=True):
        assert abs(sum(entry["contribution"] for entry in row) - raw) < 1e-9
        assert all(e["cause"] != "feature" for e in row if e["family"] == "satisfaction")


def test_vectors_that_do_not_give_the_scores_of_their_snapshot_are_refused(predictor):
    before, now = vectors(5, seed=13), vectors(5, seed=14)
    with pytest.raises(SnapshotError, match="do not give the scores of their own snapshot"):
        told(predictor, before, now, raw_before=np.zeros(5) + 9.0)


def test_a_snapshot_keeps_what_models_may_read_and_nothing_sensitive():
    schema, hashes = stored_schema(), feature_fingerprints()
    assert {"tenure_days", "segment", "tickets_28d"} <= set(schema.names)
    assert not {"birth_year", "gender"} & set(schema.names)
    assert all(schema.field(name).metadata[MARK].decode() == hashes[name] for name in schema.names[1:])
    row = pa.table({field.name: ["a"] if field.type == pa.string() else [1.0] for field in schema})
    assert stored_vectors(row, schema).schema.equals(schema)
