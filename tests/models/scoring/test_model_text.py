"""LightGBM's text: what is read scores as the library does, and what could bring the library down never reaches it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from support.small_model import COLUMNS, vectors, written
from vouch.features.errors import BundleError
from vouch.models.predictor import champion_folder, encode, load_champion
from vouch.models.scoring import model_text
from vouch.models.scoring.calibration import Calibrator, sigmoid
from vouch.models.scoring.trees import Trees

TESTS = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def text():
    import lightgbm

    frame = vectors(3000)
    odds = frame["usage_growth_28d"] - 0.2 * frame["active_days_28d"] + (frame["plan"] == "pro") + 1
    label = (np.random.default_rng(1).random(3000) < sigmoid(odds.to_numpy())).astype(float)
    data = lightgbm.Dataset(encode(frame, COLUMNS), label, categorical_feature=[3], params={"verbose": -1})
    fixed = {"objective": "binary", "verbose": -1, "num_threads": 1, "num_leaves": 12, "min_data_per_group": 5}
    return lightgbm.train({**fixed, "max_cat_to_onehot": 1, "cat_smooth": 1.0}, data, 12).model_to_string()


def test_a_model_scores_as_the_library_scores_it_from_its_own_text_bit_by_bit(text):
    import lightgbm

    rows = encode(vectors(5000, seed=7), COLUMNS)
    theirs, ours = lightgbm.Booster(model_str=text), Trees(text, len(COLUMNS))
    np.testing.assert_array_equal(ours.raw(rows), theirs.predict(rows, raw_score=True, num_threads=1))
    assert "cat_threshold=" in text, "splits by category are among what is compared"


def test_the_library_is_handed_nothing_but_what_was_judged(text):
    trees = model_text.read_trees(text, len(COLUMNS))
    handed = model_text.written(trees, len(COLUMNS))
    assert model_text.read_trees(handed, len(COLUMNS)) == trees
    assert "parameters" not in handed
    assert "Column_" not in handed


def changed(text, tree, name, change):
    """The text with one array of one tree changed."""
    head, *blocks = text.split("\nTree=")
    lines = blocks[tree].split("\n")
    at = next(place for place, line in enumerate(lines) if line.startswith(f"{name}="))
    values = lines[at].partition("=")[2].split(" ")
    lines[at] = f"{name}={' '.join(map(str, change(values)))}"
    blocks[tree] = "\n".join(lines)
    return "\nTree=".join([head, *blocks])


def at(place, value):
    return lambda values: [*values[:place], value, *values[place:][1:]]


UNSOUND = {
    "a count of leaves beyond its arrays": ("num_leaves", lambda _: [2**31 - 1]),
    "no leaf": ("num_leaves", lambda _: [0]),
    "a feature that there is not": ("split_feature", at(0, 5)),
    "a feature below all": ("split_feature", at(0, -1)),
    "a child that is its own parent": ("left_child", at(1, 1)),
    "a child that stands before its parent": ("left_child", at(2, 1)),
    "a child beyond all": ("left_child", at(0, 10_000)),
    "a leaf beyond all": ("right_child", at(0, -10_000)),
    "a node that is reached twice": ("right_child", at(0, 1)),
    "an array that is too short": ("right_child", lambda values: values[:-1]),
    "an array that is too long": ("threshold", lambda values: [*values, "0"]),
    "a leaf without a value": ("leaf_value", lambda values: values[:-1]),
    "a value that is no number": ("leaf_value", at(0, "nan")),
    "a value without end": ("leaf_value", at(0, "1e999")),
    "a threshold that is no number": ("threshold", at(0, "nan")),
    "a number in another script": ("split_feature", at(0, "\u0661")),
    "rows below nothing": ("leaf_count", at(0, -1)),
    "a way to decide that there is not": ("decision_type", at(0, 12)),
    "a set of categories that there is not": ("decision_type", at(0, 1)),
    "a count of sets that there are not": ("num_cat", lambda _: [7]),
    "linear leaves": ("is_linear", lambda _: [1]),
}


@pytest.mark.parametrize("what", UNSOUND)
def test_a_tree_that_is_none_is_refused_before_the_library_reads_it(text, what, monkeypatch):
    monkeypatch.setattr("lightgbm.Booster", lambda **_: pytest.fail("it was read"))
    with pytest.raises(BundleError, match="not sound"):
        Trees(changed(text, 3, *UNSOUND[what]), len(COLUMNS))


TOO_LARGE, NONE = at(-1, 40_000_000_000), lambda _: []


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("cat_boundaries", TOO_LARGE),
        ("cat_boundaries", at(0, 1)),
        ("cat_boundaries", lambda values: values[:-1]),
        ("cat_boundaries", NONE),
        ("cat_threshold", TOO_LARGE),
        ("cat_threshold", lambda values: [*values, 9]),
        ("cat_threshold", NONE),
    ],
)
def test_a_set_of_categories_lies_within_its_words(text, name, change):
    trees = model_text.read_trees(text, len(COLUMNS))
    tree = next(place for place, tree in enumerate(trees) if tree["num_cat"] != [0])
    with pytest.raises(BundleError, match="not sound"):
        Trees(changed(text, tree, name, change), len(COLUMNS))


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda text: "",
        lambda text: text.partition("Tree=0")[0],
        lambda text: text.partition("end of trees")[0],
        lambda text: text.replace("max_feature_idx=4", "max_feature_idx=5"),
        lambda text: text.replace("num_class=1", "num_class=3"),
        lambda text: text.replace("label_index=0", "label_index=0\naverage_output"),
        lambda text: text.replace("num_cat=0", "num_cat=0\nnum_features=9", 1),
        lambda text: text.replace("Tree=5", "Tree=6"),
        lambda text: text.replace("shrinkage=1", "shrinkage=1\nshrinkage=1", 1),
        lambda text: text.replace("version=v4", "version=v9"),
    ],
)
def test_a_text_with_more_or_less_than_a_model_is_refused(text, spoilt):
    with pytest.raises(BundleError, match="not sound"):
        Trees(spoilt(text), len(COLUMNS))


def test_a_tree_deeper_than_any_that_is_fitted_is_refused():
    splits = model_text.MAXIMUM_DEPTH + 1
    tree = {
        "num_leaves": [splits + 1],
        "num_cat": [0],
        "split_feature": [0] * splits,
        "threshold": [0.5] * splits,
        "decision_type": [2] * splits,
        "left_child": [-(node + 1) for node in range(splits)],
        "right_child": [*range(1, splits), -(splits + 1)],
        "leaf_value": [0.1] * (splits + 1),
        "leaf_count": [1] * (splits + 1),
    }
    with pytest.raises(BundleError, match="deeper"):
        model_text.read_trees(model_text.written([tree], 1), 1)


def mutants_of(home, text, count):
    """Load so many mutants of a champion, in one process that must end as it should."""
    made = written(champion_folder(home, "churn") / "bundle", "lightgbm", text, Calibrator())
    assert load_champion(home, "churn").content_hash == made.content_hash
    done = subprocess.run(
        [sys.executable, "-m", "support.mutants", str(home), "11", str(count)],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(TESTS)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    refused, loaded = map(int, done.stdout.split())
    print(f"\nmutants: {refused} refused, {loaded} loaded and give their golden scores")
    assert refused + loaded == count
    assert refused > count / 2


def test_mutants_whose_digests_fit_are_refused_or_score_as_their_golden_rows_say(tmp_path, text):
    mutants_of(tmp_path, text, 800)


@pytest.mark.nightly
def test_mutants_by_the_thousand_bring_nobody_down(tmp_path, text):
    mutants_of(tmp_path, text, 20_000)
