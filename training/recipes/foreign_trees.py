"""Foreign trees: XGBoost's and CatBoost's own JSON of a model, written as the LightGBM text that a bundle holds.

So whoever scores needs neither library, no parser of theirs reads a file of a bundle, and reasons are exact as they are
for all trees. What LightGBM's text cannot say (categories, trees that were dropped, leaves of several values) is not
translated; and whoever fits compares what the text says with what the estimator says.
"""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.features.errors import BundleError
from vouch.models.scoring.model_text import written
from vouch.models.scoring.trees import load_lightgbm

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vouch.models.scoring.trees import Matrix

    Document = Mapping[str, Any]

MISSING_RIGHT, MISSING_LEFT = 8, 10
"""LightGBM's `decision_type` of a split by number: NaN is missing, and goes to one side."""
FALSE_WHERE_MISSING, TRUE_WHERE_MISSING = ("AsIs", "AsFalse"), ("AsTrue",)
"""CatBoost's `nan_value_treatment`: as what the comparison with a border counts."""


@dataclass
class _Growing:
    """One tree as arrays of LightGBM's text, while its nodes are added from the root down."""

    splits: list[tuple[int, float, int]] = field(default_factory=list)
    children: list[list[int]] = field(default_factory=list)
    leaves: list[float] = field(default_factory=list)

    def leaf(self, value: float) -> int:
        """Add a leaf and return its place as a child."""
        self.leaves.append(value)
        return -len(self.leaves)

    def split(self, feature: int, threshold: float, decision: int) -> int:
        """Add a split, whose children come after it, and return its place."""
        self.splits.append((feature, threshold, decision))
        self.children.append([0, 0])
        return len(self.splits) - 1

    def tree(self) -> dict[str, list[Any]]:
        """The arrays; rows at leaves are not counted yet."""
        return {
            "num_leaves": [len(self.leaves)],
            "num_cat": [0],
            "split_feature": [feature for feature, _, _ in self.splits],
            "threshold": [threshold for _, threshold, _ in self.splits],
            "decision_type": [decision for _, _, decision in self.splits],
            "left_child": [left for left, _ in self.children],
            "right_child": [right for _, right in self.children],
            "leaf_value": self.leaves,
            "leaf_count": [1] * len(self.leaves),
        }


def xgboost_json(estimator: Any) -> Document:
    """What XGBoost's classifier says of itself as JSON."""
    document: Document = json.loads(bytes(estimator.get_booster().save_raw("json")))
    return document


def catboost_json(estimator: Any) -> Document:
    """What CatBoost's classifier says of itself as JSON; it writes files alone."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        estimator.save_model(str(path), format="json")
        document: Document = json.loads(path.read_text(encoding="utf-8"))
        return document


def from_xgboost(document: Document, matrix: Matrix) -> str:
    """Return the text of an XGBoost binary model; `matrix` holds the training rows, which its leaves count.

    Raises BundleError for what the text cannot say.
    """
    learner = document["learner"]
    booster = learner["gradient_booster"]
    if booster["name"] != "gbtree" or learner["objective"]["name"] != "binary:logistic":
        raise BundleError("its trees do not simply add up to log-odds")
    base = float(learner["learner_model_param"]["base_score"].strip("[]"))
    trees = [_xgboost_tree(tree) for tree in booster["model"]["trees"]]
    return _text(trees, math.log(base / (1 - base)), matrix)


def _xgboost_tree(tree: Document) -> dict[str, list[Any]]:
    if any(tree["split_type"]) or tree["tree_param"]["size_leaf_vector"] not in {"0", "1"}:
        raise BundleError("it splits by category, or its leaves hold several values")
    growing = _Growing()

    def grown(node: int) -> int:
        left, right = tree["left_children"][node], tree["right_children"][node]
        if left < 0:
            return growing.leaf(float(tree["split_conditions"][node]))
        below = np.nextafter(np.float32(tree["split_conditions"][node]), np.float32(-np.inf))
        decision = MISSING_LEFT if tree["default_left"][node] else MISSING_RIGHT
        place = growing.split(tree["split_indices"][node], float(below), decision)  # theirs is <, LightGBM's <=
        growing.children[place] = [grown(left), grown(right)]
        return place

    grown(0)
    return growing.tree()


def from_catboost(document: Document, matrix: Matrix) -> str:
    """Return the text of a CatBoost binary model; `matrix` holds the training rows, which its leaves count.

    Raises BundleError for what the text cannot say.
    """
    features = document["features_info"]
    if features.get("categorical_features") or features.get("ctrs") or "oblivious_trees" not in document:
        raise BundleError("it reads categories, or its trees are not symmetric")
    scale, (bias, *more) = document["scale_and_bias"]
    if more:
        raise BundleError("it tells more than two outcomes apart")
    numbers = {of["feature_index"]: of for of in features["float_features"]}
    trees = [_catboost_tree(tree, numbers, float(scale)) for tree in document["oblivious_trees"]]
    return _text(trees, float(bias), matrix)


def _catboost_tree(tree: Document, numbers: Mapping[int, Document], scale: float) -> dict[str, list[Any]]:
    splits, growing = tree["splits"] or [], _Growing()
    if any(split["split_type"] != "FloatFeature" for split in splits):
        raise BundleError("it splits by category")

    def grown(level: int, leaf: int) -> int:
        if level == len(splits):
            return growing.leaf(scale * tree["leaf_values"][leaf])
        of = numbers[splits[level]["float_feature_index"]]
        place = growing.split(of["flat_feature_index"], float(splits[level]["border"]), _where_missing(of))
        growing.children[place] = [grown(level + 1, leaf), grown(level + 1, leaf | 1 << level)]
        return place

    grown(0, 0)
    return growing.tree()


def _where_missing(of: Document) -> int:
    if of["nan_value_treatment"] in FALSE_WHERE_MISSING:
        return MISSING_LEFT
    if of["nan_value_treatment"] in TRUE_WHERE_MISSING:
        return MISSING_RIGHT
    raise BundleError("it treats what is missing in a way that is not known")


def _text(trees: Sequence[dict[str, list[Any]]], base: float, matrix: Matrix) -> str:
    """The text of trees that add up to log-odds with a base, which the first of them carries, and their rows."""
    if not trees:
        raise BundleError("it has no trees")
    trees[0]["leaf_value"] = [value + base for value in trees[0]["leaf_value"]]
    columns = matrix.shape[1]
    booster = load_lightgbm().Booster(model_str=written(trees, columns))
    places = np.asarray(booster.predict(matrix, pred_leaf=True, num_threads=1)).reshape(len(matrix), len(trees))
    for number, tree in enumerate(trees):
        reached = np.bincount(places[:, number].astype(np.int64), minlength=tree["num_leaves"][0])
        tree["leaf_count"] = [int(count) for count in reached]
    return written(trees, columns)


TRANSLATED: Mapping[tuple[str, str], tuple[Callable[[Any], Document], Callable[[Document, Matrix], str]]] = {
    ("xgboost.sklearn", "XGBClassifier"): (xgboost_json, from_xgboost),
    ("catboost.core", "CatBoostClassifier"): (catboost_json, from_catboost),
}
"""By module and name of an estimator's class: its JSON, and what writes that as text."""
