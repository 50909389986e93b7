"""Own outcomes: what came true where rows of the company say so, and not a rule of ours.

A row says it at its own time, so that it lies in the window of an instant or it does not: rows before the instant are
history like any other, and rows after the window are not looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.vectors.outcome_rows import outcome_of
from vouch.models.outcomes import labelled, standing
from vouch.models.targets import Variant

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from vouch.features.asof import Tables
    from vouch.features.model_settings import OutcomeRows
    from vouch.models.targets import Target


@dataclass(frozen=True)
class OwnMoments:
    """When rows of the company say that it came true: `customer_id`, `moment_us`, ordered by both."""

    rows: OutcomeRows

    def __call__(self, tables: Tables, known_us: int, _: Target) -> pd.DataFrame:
        """Every such moment, as known at an instant; raises ConfigurationError for rows that cannot be meant."""
        table = tables.table(self.rows.table)
        rows, says = standing(tables, table.name, known_us), outcome_of(self.rows, table, "outcome")
        rows = rows if says is None else rows.filter(says)
        moments = rows.select(customer_id=nw.col(str(table.customer)), moment_us=nw.col("own_us")).unique()
        listed = moments.collect("pyarrow").to_native().drop_null()
        ordered: pd.DataFrame = listed.sort_by([("customer_id", "ascending"), ("moment_us", "ascending")]).to_pandas()
        return ordered


@dataclass(frozen=True)
class OwnLabel:
    """Label 1 where such a row lies in the window; rows as for `vouch.models.outcomes.label_churn`."""

    rows: OutcomeRows

    def __call__(self, tables: Tables, instants: Sequence[int], known_us: int, target: Target) -> pd.DataFrame:
        """One row per external customer known at each instant."""
        moments = OwnMoments(self.rows)(tables, known_us, target)
        return labelled(tables, instants, known_us, target, moments["customer_id"], moments["moment_us"].to_numpy())


def with_outcome(target: Target, rows: OutcomeRows | None) -> Target:
    """The target whose outcome rows of the company say: nothing is awaited after the window, and nothing tried."""
    if rows is None:
        return target
    columns = {*target.needs.get(rows.table, ()), *([rows.column] if rows.column else [])}
    return replace(
        target,
        name=Variant(rows).named(target.name),
        label=OwnLabel(rows),
        moments=OwnMoments(rows),
        trials=None,
        gap_days=0,
        needs={**target.needs, rows.table: tuple(sorted(columns))},
    )
