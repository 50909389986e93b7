"""Cutoffs: the past instants that a model is fitted on, and the origins at which its recipe is judged.

Judging and serving are parted. What serves is fitted on every instant whose outcome is final. The recipe is judged at
some of them, the origins: at each it is fitted on instants whose outcomes were final before (embargo), and calibrated
by what it said at origins whose outcomes were final before, so that no figure has seen a label of its own rows or of
later ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vouch.features.contract.tables import DAY_US
from vouch.features.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vouch.models.definition import Cutoffs
    from vouch.models.targets import Target

ANCHOR_US = 11 * DAY_US
"""A Monday. All grids lie on it, so that two trainings a week apart share their instants, and their models agree."""
ORIGINS = 4
"""Origins that are judged, where the history holds them."""
MOST_ORIGINS = 12
EVIDENCE = 200
"""Outcomes of the rarer kind that all origins together should hold: a small company is judged at more of them."""
TRAINING_CUTOFFS = 3
"""An origin with fewer training cutoffs is taken only for want."""
DENSE_VECTORS = 200_000
"""Customers by instants up to which what serves is fitted on the dense grid; beyond, more rows teach little more."""


@dataclass(frozen=True)
class OriginPlan:
    """One moment of the rolling evaluation, in microseconds: what is fitted on, and what is judged."""

    test: int
    train: tuple[int, ...]
    calibrated_by: tuple[int, ...] = ()
    """Origins that it may learn from: earlier ones, whose outcomes were final by then."""


@dataclass(frozen=True)
class CutoffPlan:
    """Cutoffs of one model, rising: all `instants`, and `origins` among them; `notes` says what there was no room for.

    Rows of every instant count alike. Sharing one weight among the rows of a customer would lean to those who left
    soon, who have few rows, and put the probabilities off.
    """

    instants: tuple[int, ...]
    origins: tuple[OriginPlan, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def judged(self) -> tuple[OriginPlan, ...]:
        """Origins that are judged: those that others calibrate; where there is none, all."""
        return tuple(of for of in self.origins if of.calibrated_by) or self.origins


def make_plan(
    name: str, cutoffs: Cutoffs, target: Target, as_of_us: int, begins_us: int, customers: int = 0
) -> CutoffPlan:
    """Lay the instants of a model: all on the grid whose outcome is final at `as_of_us`.

    The grid is the dense one, or that of the training cutoffs where there are many `customers`. Raises Refused where
    there is no room for one cutoff to fit on and one to test on.
    """
    earliest, grid = begins_us + cutoffs.history_days * DAY_US, cutoffs.grid_days * DAY_US
    final_us = as_of_us - target.matured_days * DAY_US
    newest = final_us - (final_us - ANCHOR_US) % grid
    instants = tuple(range(newest, earliest - 1, -grid))[: cutoffs.most]
    if len(instants) * customers > DENSE_VECTORS:
        instants = thinned(instants[::-1], cutoffs.spacing_days)[::-1]
    plan = CutoffPlan(instants[::-1])
    if instants and _origin(plan.instants, cutoffs, target, newest):
        return plan
    days = (as_of_us - begins_us) // DAY_US
    needed = cutoffs.needed_days(target)
    raise Refused(
        f"Model {name!r}: the history is too short. {days} days of activity are there; about {needed} are needed: "
        f"{cutoffs.history_days} before the first cutoff, and twice {target.matured_days} until an outcome is final "
        f"(once to fit, once to test)."
    )


def thinned(instants: Sequence[int], spacing_days: int) -> tuple[int, ...]:
    """The newest of some rising instants, and those of them that lie on the coarser grid: the same ones week by week.

    >>> [instant // DAY_US - 11 for instant in thinned([day * DAY_US + ANCHOR_US for day in range(0, 70, 14)], 28)]
    [0, 28, 56]
    """
    return tuple(of for of in instants if of == instants[-1] or (of - ANCHOR_US) % (spacing_days * DAY_US) == 0)


def lay_origins(
    plan: CutoffPlan,
    cutoffs: Cutoffs,
    target: Target,
    wanted: int = ORIGINS,
    outcomes: Mapping[int, float] | None = None,
) -> CutoffPlan:
    """Return the plan with its origins: `wanted` that are judged and one before that calibrates the first of them.

    `outcomes` holds the rarer outcomes at each instant: where few come true, more origins are judged.
    """
    spacing, matured = cutoffs.spacing_days * DAY_US, target.matured_days * DAY_US
    laid = every_origin(plan, cutoffs, target)
    full = [of for of in laid if len(of.train) >= TRAINING_CUTOFFS]
    taken: list[OriginPlan] = []
    for room in (full, laid):
        later = [of for of in room if of.test >= room[0].test + matured]
        if later and not taken:
            taken = [*room[:1], *_spread(later, max(wanted, _enough(later, outcomes or {})), spacing)]
    if len(taken) < 2:
        taken = _spread(laid, wanted, spacing)
    origins = tuple(
        replace(of, calibrated_by=tuple(by.test for by in taken if by.test + matured <= of.test)) for of in taken
    )
    made = replace(plan, origins=origins)
    return replace(made, notes=tuple(_notes(made, cutoffs, wanted)))


def every_origin(plan: CutoffPlan, cutoffs: Cutoffs, target: Target) -> list[OriginPlan]:
    """All moments on the coarser grid that have something to be fitted on before them, the oldest first."""
    at = thinned(plan.instants, cutoffs.spacing_days)
    return [of for instant in at if (of := _origin(plan.instants, cutoffs, target, instant))]


def _spread(room: Sequence[OriginPlan], count: int, spacing_us: int) -> list[OriginPlan]:
    """Some origins, evenly over time: the newest, and before it each of the grid whose number a step divides.

    So an origin is judged again in the weeks after, until the history has grown by a step.
    """
    *before, newest = room
    if count < 2:
        return [newest]
    step = max(1, len(before) // (count - 1))
    even = [of for of in before if (of.test - ANCHOR_US) // spacing_us % step == 0]
    return [*even[1 - count :], newest]


def cross_fit_plan(folds: int, *, in_order: bool = False) -> CutoffPlan:
    """The plan of a table whose rows stand in the folds 0, 1, ... in place of instants.

    Each fold is judged by a fit on the others, and calibrated by what was said of them; `in_order` by the earlier ones.
    """
    every = tuple(range(folds))
    if in_order:
        return CutoffPlan(every, tuple(OriginPlan(fold, every[:fold], every[1:fold]) for fold in every[1:]))
    others = [every[:fold] + every[fold + 1 :] for fold in every]
    return CutoffPlan(every, tuple(OriginPlan(fold, rest, rest) for fold, rest in zip(every, others, strict=True)))


def _enough(room: Sequence[OriginPlan], outcomes: Mapping[int, float]) -> int:
    """Origins that hold evidence enough, as far as they have outcomes at all."""
    each = [outcomes.get(of.test, 0.0) for of in room]
    mean = float(np.mean(each)) if each else 0.0
    return min(MOST_ORIGINS, int(np.ceil(EVIDENCE / mean))) if mean > 0 else 0


def _origin(instants: Sequence[int], cutoffs: Cutoffs, target: Target, test: int) -> OriginPlan | None:
    """An origin and its training cutoffs, the newest first; None where there is none to fit on."""
    final = [instant for instant in instants if instant + target.matured_days * DAY_US <= test]
    if not final:
        return None
    return OriginPlan(test, thinned(final, cutoffs.spacing_days)[-cutoffs.train :])


def _notes(plan: CutoffPlan, cutoffs: Cutoffs, wanted: int) -> Iterable[str]:
    if len(plan.judged) < wanted:
        yield f"{len(plan.judged)} of {wanted} origins: the history does not reach further back"
    if (newest := len(plan.origins[-1].train)) < cutoffs.train:
        missing = f"{newest} of {cutoffs.train} training cutoffs at the newest origin"
        yield f"{missing}: the history does not reach further back"
    if not any(of.calibrated_by for of in plan.origins):
        yield "No origin lies early enough to calibrate another: the recipe is judged without its calibration"
