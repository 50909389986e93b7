"""Shapley values of a score's change between two vectors of a tree model: exact shares by feature.

They are Shapley values of the game "take the new value, or leave the old one" (baseline Shapley, Sundararajan & Najmi
2020): they add up to the difference, a feature that did not change has none, and no order of the features is preferred.
For trees they need no sampling. A leaf counts for the mixtures of both vectors that reach it, and these are known by
how many features of its path must be new and how many old (Lundberg et al. 2020, interventional TreeSHAP).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import factorial
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.models.scoring.decisions import decisions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Matrix = np.ndarray[Any, np.dtype[np.float32]]
    Numbers = np.ndarray[Any, np.dtype[np.float64]]
    Flags = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Leaf:
    """A leaf and the way to it: for each feature on the path its conditions, as (node, whether left is right)."""

    value: float
    path: Mapping[int, Sequence[tuple[int, bool]]]


def leaves(tree: Mapping[str, Sequence[Any]]) -> list[Leaf]:
    """All leaves of one tree with their paths."""
    if not tree["split_feature"]:
        return []
    leaf_list: list[Leaf] = []
    waiting: list[tuple[int, dict[int, list[tuple[int, bool]]]]] = [(0, {})]
    while waiting:
        node, path = waiting.pop()
        feature = tree["split_feature"][node]
        for child, is_left in ((tree["left_child"][node], True), (tree["right_child"][node], False)):
            longer = {**path, feature: [*path.get(feature, []), (node, is_left)]}
            if child < 0:
                leaf_list.append(Leaf(tree["leaf_value"][~child], longer))
            else:
                waiting.append((child, longer))
    return leaf_list


def goes_left(tree: Mapping[str, Sequence[Any]], matrix: Matrix) -> Flags:
    """Which way each row goes at each node of one tree (nodes by rows), as LightGBM decides it."""
    columns = matrix.T
    return np.array([decision.goes_left(columns) for decision in decisions(tree)], dtype=bool)


@lru_cache
def _weights(deepest: int) -> tuple[Numbers, Numbers]:
    """Shapley weights of a feature that must be new, and of one that must be old, by how many there are of each."""
    new, old = np.zeros((deepest + 1, deepest + 1)), np.zeros((deepest + 1, deepest + 1))
    for news in range(deepest + 1):
        for olds in range(deepest + 1 - news):
            orders = factorial(news + olds)
            if news:
                new[news, olds] = factorial(news - 1) * factorial(olds) / orders
            if olds:
                old[news, olds] = factorial(news) * factorial(olds - 1) / orders
    return new, old


def moved(trees: Sequence[Mapping[str, Sequence[Any]]], before: Matrix, now: Matrix) -> Numbers:
    """Log-odds by row and feature: what each feature's change from `before` to `now` adds to the score."""
    result = np.zeros(now.shape)
    for tree in trees:
        ways_before, ways_now = goes_left(tree, before), goes_left(tree, now)
        for leaf in leaves(tree):
            _add_leaf(result, leaf, ways_before, ways_now)
    return result


def _add_leaf(result: Numbers, leaf: Leaf, ways_before: Flags, ways_now: Flags) -> None:
    """Add what one leaf contributes to the rows of which some mixture of both vectors reaches it."""
    rows = ways_now.shape[1]
    news, olds = np.zeros(rows, dtype=np.int8), np.zeros(rows, dtype=np.int8)
    is_reached = np.ones(rows, dtype=bool)
    needs: dict[int, tuple[Flags, Flags]] = {}
    for feature, conditions in leaf.path.items():
        with_new, with_old = _hold(ways_now, conditions), _hold(ways_before, conditions)
        needs[feature] = (with_new & ~with_old, with_old & ~with_new)
        news += needs[feature][0]
        olds += needs[feature][1]
        is_reached &= with_new | with_old
    places = np.flatnonzero(is_reached & (news + olds > 0))
    if not len(places):
        return
    for_new, for_old = _weights(len(leaf.path))
    up = leaf.value * for_new[news[places], olds[places]]
    down = leaf.value * for_old[news[places], olds[places]]
    for feature, (is_new, is_old) in needs.items():
        result[places, feature] += up * is_new[places] - down * is_old[places]


def _hold(ways: Flags, conditions: Sequence[tuple[int, bool]]) -> Flags:
    """In which rows all conditions of one feature hold."""
    held = np.ones(ways.shape[1], dtype=bool)
    for node, is_left in conditions:
        held &= ways[node] if is_left else ~ways[node]
    return held
