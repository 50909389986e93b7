"""LightGBM's model text, read and judged here, and written anew from what was read: the library parses that alone.

Its own parser writes out of bounds, aborts the process or loops where a text is not as it would have written it
(numbers that do not fit one another, a child that is its own parent), and a trial in another process proves nothing:
the same text may kill the next reader. So a tree counts only where every node is reached once and every place lies
within its array, and no token of what came from outside reaches the library.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from vouch.features.documents import LARGEST
from vouch.features.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Tree = Mapping[str, Sequence[Any]]

END = "end of trees"
"""What follows tells how the model was fitted, and is not read."""
MAXIMUM_DEPTH = 512
"""Splits on the way to a leaf: the library walks some of them on the stack."""
MAXIMUM_COUNT = 2**31 - 1
LARGEST_DECISION = 11
"""Bits of `decision_type`: whether it is by category, whether missing goes left, and what is missing (0, 1 or 2)."""
_HEAD = {"version": "v4", "num_class": "1", "num_tree_per_iteration": "1", "objective": "binary sigmoid:1"}
_HEAD_LEFT = frozenset({"label_index", "feature_names", "feature_infos", "monotone_constraints", "tree_sizes"})
"""Names of the head that say nothing of scores."""
_INTEGERS = re.compile(r"-?\d{1,10}(?: -?\d{1,10})*", re.ASCII)
_NUMBER = r"-?\d{1,25}(?:\.\d{1,25})?(?:e[+-]?\d{1,3})?"
_NUMBERS = re.compile(rf"{_NUMBER}(?: {_NUMBER})*", re.ASCII)
_PLACES = re.compile(rf"(?:{_NUMBER}|inf)(?: {_NUMBER}| inf)*", re.ASCII)
"""Thresholds: a split that tells what is missing from all else lies at infinity."""
_FORMS: Mapping[str, tuple[re.Pattern[str], Callable[[str], Any]]] = {
    "num_leaves": (_INTEGERS, int),
    "num_cat": (_INTEGERS, int),
    "split_feature": (_INTEGERS, int),
    "threshold": (_PLACES, float),
    "decision_type": (_INTEGERS, int),
    "left_child": (_INTEGERS, int),
    "right_child": (_INTEGERS, int),
    "leaf_value": (_NUMBERS, float),
    "leaf_count": (_INTEGERS, int),
    "cat_boundaries": (_INTEGERS, int),
    "cat_threshold": (_INTEGERS, int),
    "is_linear": (_INTEGERS, int),
}
"""Arrays of a tree that scores and reasons are made of."""
_TREE_LEFT = frozenset(
    {"split_gain", "leaf_weight", "internal_value", "internal_weight", "internal_count", "shrinkage"}
)
PER_SPLIT = ("split_feature", "threshold", "decision_type", "left_child", "right_child")
IS_CATEGORY = 1


def read_trees(text: str, columns: int) -> list[Tree]:
    """Return the trees of a binary model that reads so many columns, as arrays by the names of the text.

    Raises BundleError where the text is not as LightGBM writes it, or its trees are no trees.
    """
    trees_text, end, _ = text.partition(f"\n{END}\n")
    head, *blocks = trees_text.split("\nTree=")
    if not end or not blocks:
        raise _unsound("it has no trees, or no end")
    _judge_head(head, columns)
    trees = []
    for number, block in enumerate(blocks):
        place, _, body = block.partition("\n")
        if place != str(number):
            raise _unsound(f"tree {number} is not in its place")
        try:
            trees.append(_judged(_arrays(body), columns))
        except BundleError as error:
            raise _unsound(f"tree {number}: {error}") from error
    return trees


def written(trees: Sequence[Tree], columns: int) -> str:
    """Return the text of trees that were read, as LightGBM reads it: nothing but what scores are made of."""
    head = {**_HEAD, "label_index": "0", "max_feature_idx": str(columns - 1)}
    names = {
        "feature_names": " ".join(f"f{number}" for number in range(columns)),
        "feature_infos": " ".join(["none"] * columns),
    }
    parts = ["\n".join(["tree", *(f"{name}={value}" for name, value in {**head, **names}.items()), ""])]
    for number, tree in enumerate(trees):
        lines = [f"{name}={' '.join(map(repr, values))}" for name, values in tree.items() if values]
        parts.append("\n".join([f"Tree={number}", *lines, "shrinkage=1", "", ""]))
    return "\n".join([*parts, f"{END}\n"])


def _unsound(what: str) -> BundleError:
    return BundleError(f"The text of the model is not sound: {what}")


def _lines(body: str, known: frozenset[str]) -> dict[str, str]:
    """Names and values of the lines of a section; raises BundleError for a name that is unknown, or stands twice."""
    values: dict[str, str] = {}
    for line in body.split("\n"):
        name, sign, value = line.partition("=")
        if line and (not sign or name not in known or name in values):
            raise BundleError("a line is unknown, or stands twice")
        values[name] = value
    return values


def _judge_head(head: str, columns: int) -> None:
    first, _, rest = head.partition("\n")
    wanted = {**_HEAD, "max_feature_idx": str(columns - 1)}
    try:
        values = _lines(rest, _HEAD_LEFT | wanted.keys())
    except BundleError as error:
        raise _unsound(f"its head: {error}") from error
    if first != "tree" or any(values.get(name) != value for name, value in wanted.items()):
        raise _unsound(f"its head is not that of a binary model of {columns} features, as its bundle lists them")


def _arrays(body: str) -> dict[str, list[Any]]:
    """The arrays of one tree; those that it does not have are empty."""
    lines = _lines(body, _TREE_LEFT | _FORMS.keys())
    arrays = {}
    for name, (form, kind) in _FORMS.items():
        value = lines.get(name, "")
        if value and not form.fullmatch(value):
            raise BundleError(f"{name} holds what is no number")
        arrays[name] = [kind(part) for part in value.split(" ")] if value else []
    return arrays


def _judged(tree: dict[str, list[Any]], columns: int) -> Tree:
    """The same tree; raises BundleError where it is none."""
    if len(tree["num_leaves"]) != 1 or len(tree["num_cat"]) != 1 or tree["is_linear"] not in ([], [0]):
        raise BundleError("its counts are missing, or it is linear, and cannot be explained by its paths")
    leaves = tree["num_leaves"][0]
    splits = leaves - 1
    lengths = {len(tree[name]) for name in PER_SPLIT}
    if leaves < 1 or lengths != {splits} or len(tree["leaf_value"]) != leaves or len(tree["leaf_count"]) != leaves:
        raise BundleError("its arrays are not of one length")
    if not all(0 <= count <= MAXIMUM_COUNT for count in tree["leaf_count"]):
        raise BundleError("a leaf holds a number of rows that there cannot be")
    if not all(-LARGEST <= value <= LARGEST for value in tree["leaf_value"]):
        raise BundleError("a leaf is worth what is no log-odds")
    if not all(0 <= feature < columns for feature in tree["split_feature"]):
        raise BundleError("a split is on a feature that there is not")
    if not all(0 <= decision <= LARGEST_DECISION for decision in tree["decision_type"]):
        raise BundleError("a split decides in a way that there is not")
    _judge_children(tree, leaves, splits)
    _judge_categories(tree)
    return tree


def _judge_children(tree: Tree, leaves: int, splits: int) -> None:
    """Every leaf and every split but the first is the child of one split, which stands before it."""
    pairs = list(zip(tree["left_child"], tree["right_child"], strict=True))
    children = sorted(child for pair in pairs for child in pair)
    if children != [*range(-leaves, 0), *range(1, splits)][: 2 * splits]:
        raise BundleError("a node is not reached, or reached twice")
    depths = [1] * splits
    for node, pair in enumerate(pairs):
        for child in pair:
            if 0 <= child <= node:
                raise BundleError("a node stands before the one that leads to it")
            if child > 0:
                depths[child] = depths[node] + 1
    if max(depths, default=0) > MAXIMUM_DEPTH:
        raise BundleError(f"it is deeper than {MAXIMUM_DEPTH} splits")


def _judge_categories(tree: Tree) -> None:
    """Splits by category name sets that are there, and each set is bits of 32 to a word."""
    sets, bounds, words = tree["num_cat"][0], tree["cat_boundaries"], tree["cat_threshold"]
    split_by = [
        threshold
        for threshold, decision in zip(tree["threshold"], tree["decision_type"], strict=True)
        if decision & IS_CATEGORY
    ]
    if sets != len(split_by) or sorted(split_by) != list(range(sets)):
        raise BundleError("its splits by category are not those that it counts")
    rises = all(low < high for low, high in pairwise(bounds))
    if sets and (len(bounds) != sets + 1 or bounds[0] != 0 or not rises or bounds[-1] != len(words)):
        raise BundleError("its sets of categories do not lie within their words")
    if (not sets and (bounds or words)) or not all(0 <= word < 2**32 for word in words):
        raise BundleError("its sets of categories hold what is no word of bits")
