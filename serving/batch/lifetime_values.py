"""Lifetime values of a week's customers, batch by batch: the value champion on their histories and churn scores."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from vouch.features.metrics.context import MetricContext
from vouch.models.value.histories import histories
from vouch.serving.snapshots.schema import NO_MODEL, OPTED_OUT, VALUES, WITHIN_WEEKS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vouch.features.asof import Tables
    from vouch.features.metrics.context import Settings
    from vouch.models.value.histories import CustomerHistories
    from vouch.models.value.predictor import ValuePredictor
    from vouch.models.value.repeat_purchases import Numbers
    from vouch.serving.scoring.score import Scored


@dataclass(frozen=True)
class LifetimeValues:
    """The values of one week; `predictor` is None where no model has passed the gate yet."""

    tables: Tables
    as_of_us: int
    settings: Settings
    predictor: ValuePredictor | None

    @cached_property
    def _histories(self) -> CustomerHistories:
        return histories(MetricContext(self.tables, self.as_of_us, settings=self.settings))

    @cached_property
    def _places(self) -> dict[str, int]:
        return {customer: place for place, customer in enumerate(self._histories.customers)}

    def of(self, customers: pa.ChunkedArray, churn: Scored, is_out: pa.Array) -> dict[str, pa.Array]:
        """The columns `VALUES` of a batch of customers; null but for the status where nothing can be said.

        `is_out` says who objects to being profiled.
        """
        size = len(customers)
        status = np.full(size, NO_MODEL if self.predictor is None else "not_eligible", dtype=object)
        status[is_out.to_numpy(zero_copy_only=False)] = OPTED_OUT
        columns: dict[str, Any] = {name: np.full(size, np.nan) for name in VALUES}
        way = np.full(size, None, dtype=object)
        if self.predictor is not None and self._places:
            listed = customers.to_pylist()
            rows = np.array([row for row, one in enumerate(listed) if one in self._places and status[row] != OPTED_OUT])
            if len(rows):
                self._fill(columns, status, way, rows.astype(np.int64), listed, churn)
        made = {name: pa.array(values, from_pandas=True) for name, values in columns.items()}
        return {**made, "clv_status": pa.array(status, pa.string()), "clv_way": pa.array(way, pa.string())}

    def _fill(
        self, columns: dict[str, Any], status: Any, way: Any, rows: Any, listed: Sequence[str], churn: Scored
    ) -> None:
        assert self.predictor is not None
        of = self._histories.take(np.array([self._places[listed[row]] for row in rows]))
        values = self.predictor.values(of, _within(churn, rows), discount=self.settings.discount)
        columns["clv_revenue"][rows] = of.revenue + values.revenue
        columns["clv_margin_so_far"][rows] = of.margin
        for name, part in (
            ("clv_margin", values.margin),
            ("clv_margin_low", values.low),
            ("clv_margin_high", values.high),
        ):
            columns[name][rows] = np.where(np.isfinite(values.margin), np.nan_to_num(of.margin) + part, np.nan)
        is_known = np.isfinite(values.revenue)
        status[rows] = np.where(is_known, np.where(values.is_cold, "cold_start", "ok"), "not_eligible")
        way[rows] = values.way


def _within(churn: Scored, rows: Any) -> list[tuple[int, Numbers]]:
    """What the churn model says of how soon, horizon by horizon; NaN for who has no score; empty where it does not."""
    parts = churn.within.take(pa.array(rows))
    known = parts.is_valid().to_numpy(zero_copy_only=False)
    if not known.any():
        return []
    flat = parts.drop_null().flatten().field("probability").to_numpy().reshape(-1, len(WITHIN_WEEKS))
    weekly = np.full((len(rows), len(WITHIN_WEEKS)), np.nan)
    weekly[known] = flat
    return [(week, weekly[:, place]) for place, week in enumerate(WITHIN_WEEKS)]
