"""Worlds: the law of a simulated company drawn by a seed, taken its signal, or with a prior that moves.

What was built beside one company's constants has to hold in others. A world's coefficients are drawn evenly on a
logarithmic scale within stated ranges around the fixed ones, before anything is simulated; a world without signal has
the same hazards for everybody, so that nothing in the tables tells who leaves or speaks up.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.features.errors import UsageError
from vouch.features.simulation.parameters import PARAMETERS, Parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

STREAM = 16
"""Mark of the random stream that worlds are drawn by, apart from those of companies."""
HALF, THIRD, FIFTH = (0.5, 2.0), (0.67, 1.5), (0.8, 1.25)
RANGES: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "latents": {
        **dict.fromkeys(("satisfaction_spread", "engagement_spread", "affinity_spread"), THIRD),
        **dict.fromkeys(("satisfaction_noise", "engagement_noise", "affinity_noise"), FIFTH),
        **dict.fromkeys(("engagement_pull", "affinity_pull", "level_speed"), HALF),
    },
    "churn": {
        **dict.fromkeys(("base", "dissatisfied", "falling", "idle", "outgrown", "stuck"), THIRD),
        **dict.fromkeys(("trial", "annual_exposure", "involuntary", "win_back"), HALF),
        **dict.fromkeys(("trial_week", "stuck_weeks", "notice"), THIRD),
    },
    "advocacy": {
        **dict.fromkeys(("base", "affinity", "honeymoon", "no_consent", "rest"), THIRD),
        **dict.fromkeys(("floor", "engaged_floor", "stuck", "buyer", "gone", "incentivised"), HALF),
    },
    "support": {**dict.fromkeys(("rate", "slow", "blow"), THIRD), "solved": FIFTH},
    "mixture": {
        **dict.fromkeys(("silent", "buyers", "annual", "tenure_weeks"), THIRD),
        **dict.fromkeys(("before_start", "contact_consent", "advocacy_consent"), FIFTH),
    },
    "habits": dict.fromkeys(("minutes", "writing", "community", "breadth", "scores"), THIRD),
}
"""Factors of the constants, from and to; those that are not here stay as they are."""
SHOCKS = HALF
"""Factors of what each shock does to satisfaction and engagement."""
LARGEST_SHIFT = 5.0


def world(seed: int) -> Parameters:
    """Return the law of a world: the same seed gives the same one."""
    random = np.random.default_rng([STREAM, seed])

    def factor(ends: tuple[float, float]) -> float:
        return float(np.exp(random.uniform(*np.log(ends))))

    def drawn(of: Any, ranges: Mapping[str, tuple[float, float]]) -> Any:
        values = {name: _times(getattr(of, name), factor(ends)) for name, ends in sorted(ranges.items())}
        return replace(of, **values)

    parts = {name: drawn(getattr(PARAMETERS, name), ranges) for name, ranges in RANGES.items()}
    shocks = tuple(
        replace(shock, satisfaction=shock.satisfaction * factor(SHOCKS), engagement=shock.engagement * factor(SHOCKS))
        for shock in PARAMETERS.shocks
    )
    return replace(PARAMETERS, world=seed, shocks=shocks, **parts)


def _times(value: Any, by: float) -> Any:
    return tuple(of * by for of in value) if isinstance(value, tuple) else value * by


def without_signal(law: Parameters) -> Parameters:
    """The same with one hazard for everybody who runs: no state, plan, tenure or calendar moves it."""
    nothing: Mapping[str, Any] = dict.fromkeys(
        ("trial", "dissatisfied", "falling", "idle", "outgrown", "stuck", "notice", "involuntary"), 0.0
    )
    as_others: Mapping[str, Any] = dict.fromkeys(
        ("floor", "engaged_floor", "rest", "stuck", "honeymoon", "no_consent", "buyer", "gone"), 1.0
    )
    churn = replace(law.churn, base=3 * law.churn.base, plans=(0.0,) * len(law.churn.plans), **nothing)
    advocacy = replace(
        law.advocacy,
        base=law.advocacy.base / 2,
        affinity=(0.0, 0.0),
        busy=(0.0, 0.0),
        seasoned=(1.0, 1.0, 1.0),
        segments=(0.0,) * len(law.advocacy.segments),
        **as_others,
    )
    return replace(law, has_signal=False, churn=churn, advocacy=advocacy, mixture=replace(law.mixture, annual=0.0))


def with_prior_shift(law: Parameters, factor: float, weeks_ago: int) -> Parameters:
    """The same with both hazards so many times as large in the last weeks, for everybody alike.

    Raises UsageError for a factor that is none.
    """
    if not 1 / LARGEST_SHIFT <= factor <= LARGEST_SHIFT:
        raise UsageError(f"A prior shifts by a factor of {1 / LARGEST_SHIFT:g} to {LARGEST_SHIFT:g}, not {factor:g}")
    if weeks_ago < 1:
        raise UsageError(f"A prior shifts at least a week before the end, not {weeks_ago}")
    return replace(law, prior_shift=factor, prior_shift_weeks_ago=weeks_ago)
