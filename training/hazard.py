"""Fitting of the hazard: rates per week after an instant, on out-of-time scores (`vouch.training.origins`).

Rows are followed from their instant until the outcome, or until the last week that is final at the time of the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.features.contract.tables import DAY_US
from vouch.features.instants import WEEK_US
from vouch.features.statistics.newton import maximum
from vouch.models.quality.figures import roc_auc
from vouch.models.scoring.hazard import DUE, STARTS, WEEKS, Hazard, falls_due, log_minus_log, stretch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from vouch.models.scoring.trees import Numbers
    from vouch.training.dataset import Dataset, DatasetPart

RIDGE = 1.0
"""Pull of slopes to 1 and of weights to 0, in rows: a stretch with few outcomes keeps the shape of the score."""
MINIMUM_OUTCOMES = 50
JUDGED = (4, 13, 26)


@dataclass(frozen=True)
class Followed:
    """Rows with what was said of them, how long they were followed, and in which week the outcome came (0: none)."""

    probability: Numbers
    due: tuple[Numbers, ...]
    customers: np.ndarray[Any, Any]
    weeks: np.ndarray[Any, np.dtype[np.int64]]
    outcome: np.ndarray[Any, np.dtype[np.int64]]

    def take(self, rows: np.ndarray[Any, Any]) -> Followed:
        """Rows by mask."""
        return Followed(
            self.probability[rows], tuple(days[rows] for days in self.due), self.customers[rows], self.weeks[rows],
            self.outcome[rows],
        )  # fmt: skip


def follow(data: Dataset, parts: Sequence[tuple[DatasetPart, Numbers]], known_us: int) -> Followed:
    """Follow rows and their probabilities to their first outcome (`Dataset.moments`), as known at `known_us`."""
    assert data.moments is not None, "the caller sees to it"
    moments = {customer: np.sort(of) for customer, of in _grouped(data.moments).items()}
    rows = [part for part, _ in parts]
    customers, as_of_us = (np.concatenate([getattr(part, of) for part in rows]) for of in ("customers", "as_of_us"))
    final_us = known_us - data.target.gap_days * DAY_US
    weeks = np.clip((final_us - as_of_us) // WEEK_US, 0, WEEKS)
    outcome = np.zeros(len(weeks), dtype=np.int64)
    for row, (customer, instant) in enumerate(zip(customers, as_of_us, strict=True)):
        of = moments.get(customer)
        later = np.searchsorted(of, instant) if of is not None else 0
        if of is not None and later < len(of):
            week = int((of[later] - instant) // WEEK_US) + 1
            outcome[row] = week if week <= weeks[row] else 0
    matrix = np.concatenate([part.matrix for part in rows])
    return Followed(
        np.concatenate([predicted for _, predicted in parts]), _due(data, matrix), customers, weeks, outcome
    )


def _grouped(moments: pd.DataFrame) -> dict[Any, Numbers]:
    return {customer: of.to_numpy() for customer, of in moments.groupby("customer_id")["moment_us"]}


def _due(data: Dataset, matrix: Any) -> tuple[Numbers, ...]:
    names = [column.name for column in data.columns]
    return tuple(
        matrix[:, names.index(name)].astype(np.float64) if name in names else np.full(len(matrix), np.nan)
        for name in DUE
    )


def fit_hazard(rows: Followed, anchor_weeks: int) -> Hazard | None:
    """Fit by Newton's method (a Poisson likelihood with a mild pull); None where too few outcomes were seen."""
    if (rows.outcome > 0).sum() < MINIMUM_OUTCOMES:
        return None
    at, until = log_minus_log(rows.probability), np.where(rows.outcome > 0, rows.outcome, rows.weeks)
    week = np.arange(1, WEEKS + 1)
    row, place = np.nonzero(week[None, :] <= until[:, None])
    happened = (rows.outcome[row] == place + 1).astype(np.float64)
    design = np.zeros((len(row), 2 * len(STARTS) + len(DUE)))
    of = stretch(place + 1)
    design[np.arange(len(row)), of] = 1.0
    design[np.arange(len(row)), len(STARTS) + of] = at[row]
    for number, days in enumerate(rows.due):
        design[:, 2 * len(STARTS) + number] = falls_due(days)[row, place]
    start = np.concatenate([np.full(len(STARTS), -np.log(anchor_weeks)), np.ones(len(STARTS)), np.zeros(len(DUE))])
    pull = np.concatenate([np.zeros(len(STARTS)), np.full(len(STARTS) + len(DUE), RIDGE)])
    pull[: len(STARTS)] = 1e-3

    def look(fit: Numbers) -> tuple[Numbers, Numbers]:
        rate = np.exp(np.clip(design @ fit, -30, 5))
        slope = design.T @ (happened - rate) - pull * (fit - start)
        return slope, design.T @ (design * rate[:, None]) + np.diag(pull)

    numbers = [float(f"{value:.12g}") for value in maximum(look, start, near=1e-9).at]
    ends = (len(STARTS), 2 * len(STARTS))
    return Hazard(
        anchor_weeks, tuple(numbers[: ends[0]]), tuple(numbers[ends[0] : ends[1]]), tuple(numbers[ends[1] :]),
        int(rows.weeks.max()),
    )  # fmt: skip


def judge_hazard(rows: Followed, anchor_weeks: int, seed: int) -> list[dict[str, Any]]:
    """How it holds within some weeks, each half of the customers by a fit on the other; rows followed so long alone."""
    distinct, customer = np.unique(rows.customers, return_inverse=True)
    half = (np.random.default_rng(seed).permutation(len(distinct)) % 2 == 0)[customer]
    predicted = np.full((len(half), WEEKS), np.nan)
    for part in (half, ~half):
        fitted = fit_hazard(rows.take(~part), anchor_weeks)
        if fitted is None:
            return []
        here = rows.take(part)
        predicted[part] = fitted.by_week(here.probability, here.due)
    horizons = []
    for weeks in JUDGED:
        seen = rows.weeks >= weeks
        if seen.any():
            true = ((rows.outcome[seen] > 0) & (rows.outcome[seen] <= weeks)).astype(np.float64)
            of = predicted[seen, weeks - 1]
            horizons.append(
                {"weeks": weeks, "rows": int(seen.sum()), "came_true": round(float(true.mean()), 4),
                 "expected": round(float(of.mean()), 4), "roc_auc": round(float(roc_auc(true, of)), 4)}
            )  # fmt: skip
    return horizons
