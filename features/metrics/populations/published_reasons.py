"""Churn drivers over all customers: the reasons of a published snapshot, added up by family with their order.

A contribution is in log-odds, per customer and family; positive pushes towards leaving. The order of the families is
by the mean size of their contributions, and is told with how well it holds when customers are drawn anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from vouch.features.statistics import intervals
from vouch.features.vectors.declare import FEATURES, load_families
from vouch.features.vectors.lines import OWN_FAMILY

if TYPE_CHECKING:
    from vouch.features.asof import Frame
    from vouch.features.metrics.estimators import Floats

DRAWS = 200


@dataclass(frozen=True)
class Contributions:
    """Contribution of each family (column) for each customer (row), ordered by customer."""

    customers: list[str]
    families: tuple[str, ...]
    of: Floats


@cache
def family_names() -> tuple[str, ...]:
    """All families of features of the contract's tables, in order of name, and `own` for those of a company's own."""
    load_families()
    return tuple(sorted({OWN_FAMILY, *(declared.family for declared in FEATURES.values())}))


def family_contributions(scores: Frame | None, model: str = "churn") -> Contributions:
    """Contributions by family of all customers with reasons; nobody where there are no scores."""
    if scores is None:
        return Contributions([], (), np.empty((0, 0)))
    table = scores.select("customer_id", f"{model}_reasons").collect("pyarrow").to_native()
    table = table.filter(pa.compute.is_valid(table[f"{model}_reasons"])).sort_by("customer_id").combine_chunks()
    reasons = table[f"{model}_reasons"].combine_chunks()
    rows = pa.compute.list_parent_indices(reasons).to_numpy()
    parts = pa.compute.list_flatten(reasons)
    family = pa.compute.struct_field(parts, "family").to_numpy(zero_copy_only=False).astype(str)
    size = pa.compute.struct_field(parts, "contribution").to_numpy(zero_copy_only=False).astype(np.float64)
    names, codes = np.unique(family, return_inverse=True)
    sums = np.zeros((len(table), len(names)))
    np.add.at(sums, (rows, codes), size)
    return Contributions(table["customer_id"].to_pylist(), tuple(names.tolist()), sums)


def order_taus(size: Floats, draws: int = DRAWS, seed: int = 0) -> Floats:
    """Kendall's tau (a) between the order of columns by mean and the same order in draws of the rows."""
    rows, columns = size.shape
    if rows < 2 or columns < 2:
        return np.empty(0)
    upper = np.triu_indices(columns, 1)
    whole, drawn = size.mean(axis=0), intervals.resampled_means(size, draws, seed)
    alike = np.sign(whole[upper[0]] - whole[upper[1]]) * np.sign(drawn[:, upper[0]] - drawn[:, upper[1]])
    taus: Floats = alike.mean(axis=1)
    return taus


def drivers(scores: Frame | None, model: str = "churn") -> list[dict[str, Any]]:
    """One row per family, the weightiest first: mean size and mean of its contribution with interval, and who it moves.

    `size` is the mean of the absolute contribution, `push` the mean with its sign, `raised` the share of customers whom
    it pushes towards the outcome.
    """
    contributions = family_contributions(scores, model)
    rows = []
    for place, family in enumerate(contributions.families):
        values = contributions.of[:, place]
        size = np.abs(values)
        ends = intervals.student_mean(size.sum(), (size**2).sum(), len(size))
        rows.append(
            {
                "family": family,
                "size": float(size.mean()),
                "size_low": float(ends.low),
                "size_high": float(ends.high),
                "push": float(values.mean()),
                "raised": float((values > 0).mean()),
                "n": len(values),
            }
        )
    return sorted(rows, key=lambda row: (-row["size"], row["family"]))
