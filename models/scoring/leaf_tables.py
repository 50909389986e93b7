"""Exact Shapley values of tree models, read off tables that are made once per model (path-dependent TreeSHAP).

Values are those of Lundberg, Erion & Lee 2020 (LightGBM's `pred_contrib`): a feature that is not known is averaged over
by the training rows on either side of its splits. A leaf of value v contributes to a game of the features on its way
only: v times, for each feature, 1 or 0 where it is known (whether the row fulfils its conditions) and the share of rows
that do where it is not. So its Shapley values depend on which conditions hold and on nothing else of the row, and for d
features there are 2**d cases (the idea of Nadel & Wettenstein 2025, WOODELF). Here the leaves of a subtree share one
table: a row's decisions there are the bits of a place in it, at which stand the parts of all its features and the value
of the leaf that was reached. Sums are in float64, feature by feature and tree by tree, so that a row is explained to
the same bit alone and in a batch. Each original feature is one player, categories included.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import factorial
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.models.scoring.decisions import Split, decisions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Matrix = np.ndarray[Any, np.dtype[np.float32]]
    Numbers = np.ndarray[Any, np.dtype[np.float64]]
    Tree = Mapping[str, Sequence[Any]]
    Condition = tuple[int, bool]

BITS = 9
"""Conditions of a table at most, where one leaf alone has no more: 512 places fit into the fastest cache."""
MOST_BITS = 16
"""Features on the way to one leaf beyond which its table would be too large, and its values are computed row by row."""


BUDGET_BYTES = 512_000_000
"""What the tables of a model hold at most; beyond, leaves are computed row by row too: as exact, and slower."""


@dataclass(frozen=True)
class Path:
    """The way to a leaf: its value, and by feature the conditions (node, whether left) and their share of the rows."""

    value: float
    conditions: Mapping[int, tuple[Condition, ...]]
    shares: Mapping[int, float]


@dataclass(frozen=True)
class Table:
    """The leaves of a subtree: what decides its bits, and at each place the parts by feature and the leaf's value."""

    bits: tuple[tuple[Condition, ...], ...]
    features: tuple[int, ...]
    parts: Numbers
    """Features by places."""
    values: Numbers


class LeafTables:
    """All tables of a model, and the sums over them."""

    def __init__(self, trees: Sequence[Tree], columns: int) -> None:
        self._columns, left = columns, BUDGET_BYTES
        self._trees: list[tuple[Sequence[Split], list[Table], list[Path]]] = []
        for tree in trees:
            tables: list[Table] = []
            rest: list[Path] = []
            for group in _groups(tree):
                if _width(group) > MOST_BITS or (size := _bytes(group)) > left:
                    rest += group
                else:
                    left -= size
                    tables.append(_table(group))
            self._trees.append((decisions(tree), tables, rest))

    def explained(self, matrix: Matrix) -> tuple[Numbers, Numbers]:
        """Log-odds of each row as the library adds them up, and their parts (rows by features)."""
        columns = np.ascontiguousarray(matrix.T)
        rows = len(matrix)
        raw, parts = np.zeros(rows), np.zeros((self._columns, rows))
        part = np.empty(rows)
        for of_tree, tables, rest in self._trees:
            ways = [decision.goes_left(columns) for decision in of_tree]
            value = np.zeros(rows)
            for table in tables:
                place = _places(table.bits, ways, rows)
                value += np.take(table.values, place, out=part, mode="clip")
                for feature, of in zip(table.features, table.parts, strict=True):
                    parts[feature] += np.take(of, place, out=part, mode="clip")
            for path in rest:
                value += _row_by_row(path, ways, parts)
            raw += value
        return raw, parts.T


def _places(bits: Sequence[Sequence[Condition]], ways: Sequence[Any], rows: int) -> Any:
    """Place in a table of each row."""
    place = np.zeros(rows, dtype=np.uint16)
    for number, conditions in enumerate(bits):
        place |= _hold(conditions, ways).view(np.uint8).astype(np.uint16) << np.uint16(number)
    return place.astype(np.intp)


def _hold(conditions: Sequence[Condition], ways: Sequence[Any]) -> Any:
    """In which rows all of some conditions hold."""
    held = None
    for node, is_left in conditions:
        here = ways[node] if is_left else ~ways[node]
        held = here if held is None else held & here
    return held


def _counts(tree: Tree) -> tuple[list[float], list[float]]:
    """Training rows at each leaf and at each split."""
    leaves = [float(max(count, 1)) for count in tree["leaf_count"]]
    splits = [0.0] * len(tree["split_feature"])
    for node in reversed(range(len(splits))):  # a child is always numbered after its parent
        children = (tree["left_child"][node], tree["right_child"][node])
        splits[node] = sum(leaves[~child] if child < 0 else splits[child] for child in children)
    return leaves, splits


def expected(trees: Iterable[Tree]) -> float:
    """Expected score of a whole model: the mean of its leaves, each tree's weighted by its training rows."""
    total = 0.0
    for tree in trees:
        leaves, _ = _counts(tree)
        total += float(np.dot(leaves, tree["leaf_value"]) / sum(leaves))
    return total


def _groups(tree: Tree) -> Iterable[list[Path]]:
    """The leaves of a tree in groups, each of a subtree, whose conditions make few bits."""
    if not tree["split_feature"]:
        yield [Path(float(tree["leaf_value"][0]), {}, {})]
        return
    leaves, splits = _counts(tree)

    def below(child: int, path: Path) -> list[Path]:
        if child < 0:
            return [Path(float(tree["leaf_value"][~child]), path.conditions, path.shares)]
        return [leaf for side in sides(child, path) for leaf in below(*side)]

    def sides(node: int, path: Path) -> Iterable[tuple[int, Path]]:
        feature = tree["split_feature"][node]
        for child, is_left in ((tree["left_child"][node], True), (tree["right_child"][node], False)):
            share = (leaves[~child] if child < 0 else splits[child]) / splits[node]
            conditions = (*path.conditions.get(feature, ()), (node, is_left))
            yield (
                child,
                Path(
                    0.0,
                    {**path.conditions, feature: conditions},
                    {**path.shares, feature: path.shares.get(feature, 1.0) * share},
                ),
            )

    waiting = [(0, Path(0.0, {}, {}))]
    while waiting:
        child, path = waiting.pop()
        group = below(child, path)
        if len(group) == 1 or _width(group) <= BITS:
            yield group
        else:
            waiting += sides(child, path)


def _bits(group: Sequence[Path]) -> list[tuple[Condition, ...]]:
    """Conditions that decide all of a group: what its leaves share of a feature is one bit, each further split one."""
    conditions: dict[tuple[Condition, ...], None] = {}
    for feature in {feature: None for path in group for feature in path.conditions}:
        ways = [path.conditions.get(feature, ()) for path in group]
        shared = 0
        while all(len(way) > shared for way in ways) and len({way[shared] for way in ways}) == 1:
            shared += 1
        if shared:
            conditions[ways[0][:shared]] = None
        for way in ways:
            conditions |= {((node, True),): None for node, _ in way[shared:]}
    return list(conditions)


def _width(group: Sequence[Path]) -> int:
    return len(_bits(group))


def _bytes(group: Sequence[Path]) -> int:
    """What a table of a group would hold: of each place the parts by feature, and the value."""
    return 8 * (1 << _width(group)) * (len({feature for path in group for feature in path.conditions}) + 1)


def _table(group: Sequence[Path]) -> Table:
    """Values and parts of a group for every combination of its bits."""
    bits = _bits(group)
    place = np.arange(2 ** len(bits))
    on = {conditions: (place >> number & 1).astype(bool) for number, conditions in enumerate(bits)}
    features = tuple({feature: None for path in group for feature in path.conditions})
    parts, values = np.zeros((len(features), len(place))), np.zeros(len(place))
    for path in group:
        known = [_fulfilled(conditions, on) for conditions in path.conditions.values()]
        case = np.zeros(len(place), dtype=np.int64)
        for number, held in enumerate(known):
            case |= held.astype(np.int64) << number
        of_leaf = shapley(path.value, tuple(path.shares.values()))
        for number, feature in enumerate(path.conditions):
            parts[features.index(feature)] += of_leaf[number][case]
        values += np.where(case == 2 ** len(known) - 1, path.value, 0.0)
    return Table(tuple(bits), features, parts, values)


def _fulfilled(conditions: tuple[Condition, ...], on: Mapping[tuple[Condition, ...], Any]) -> Any:
    """At which places all conditions of a feature hold."""
    shared = next((length for length in range(len(conditions), 0, -1) if conditions[:length] in on), 0)
    held = on[conditions[:shared]] if shared else None
    for node, is_left in conditions[shared:]:
        here = on[(node, True),]
        held = (here if is_left else ~here) if held is None else held & (here if is_left else ~here)
    return held


def shapley(value: float, shares: Sequence[float]) -> Numbers:
    """Shapley values of a leaf for each of its features (rows) and case (columns): bit j says that feature j holds.

    >>> shapley(8.0, [0.25]).tolist()
    [[-2.0, 6.0]]
    """
    count = len(shares)
    case = np.arange(2**count)
    known = [(case >> number & 1).astype(np.float64) for number in range(count)]
    return _values(value, shares, known)


def _values(value: float, shares: Sequence[float], known: Sequence[Numbers]) -> Numbers:
    """The same for given cases: by feature, the sum over sets of the others that are known, each by its orders."""
    count, weights = len(shares), _weights(len(shares))
    result = np.empty((count, len(known[0]) if known else 1))
    for own in range(count):
        ways = [np.ones(result.shape[1])]
        """Sum over sets of the others, by their number, of the product of what is known and of shares."""
        for other in range(count):
            if other != own:
                longer = [way * shares[other] for way in ways] + [np.zeros(result.shape[1])]
                for number, way in enumerate(ways):
                    longer[number + 1] = longer[number + 1] + way * known[other]
                ways = longer
        total = sum((weight * way for weight, way in zip(weights, ways, strict=True)), np.zeros(result.shape[1]))
        result[own] = value * (known[own] - shares[own]) * total
    return result


@lru_cache
def _weights(count: int) -> tuple[float, ...]:
    """Share of the orders of `count` features in which a given set of so many stands before a given one."""
    orders = factorial(count) if count else 1
    return tuple(factorial(before) * factorial(count - 1 - before) / orders for before in range(count))


def _row_by_row(path: Path, ways: Sequence[Any], parts: Numbers) -> Numbers:
    """Add the parts of one leaf, computed for each row; return its value where it is reached."""
    known = [_hold(conditions, ways).astype(np.float64) for conditions in path.conditions.values()]
    for feature, of in zip(path.conditions, _values(path.value, tuple(path.shares.values()), known), strict=True):
        parts[feature] += of
    return np.asarray(path.value * np.prod(known, axis=0))
