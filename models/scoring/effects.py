"""The effect of a treatment, kind by kind: what comes with it, what comes without, and what it adds.

With it: the model's own log-odds and those of a line, weighed and shifted by kind. Without it: the line, times the
kind's share of what comes by itself. The line is fitted on what is known in plenty (who speaks up unasked), for
treatments are few. What it adds is their difference only where treatments at random have shown it:
the average of those trials, and around it the difference as far as the trials bear it out (Chernozhukov et al. 2018,
best linear predictor). Where they have not, the first is told as a response, and nothing is called an effect.
What a treatment prevents is told as a share of what would come: it can never prevent more than that, and nobody who is
at no risk is kept by it. The share is that of the trials, drawn to nothing by as much as it is uncertain: whoever acts
on the largest of noisy figures pays for the noise.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vouch.models.scoring.calibration import log_odds, sigmoid
from vouch.models.scoring.formulas import Logistic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.models.scoring.trees import Matrix, Numbers

UPLIFT, RESPONSE = "uplift", "response"
"""What is known of a kind: what it adds, or what comes of it alone."""
NARROW, Z = 0.05, 1.96
"""Half width that an interval should have (a quarter of a rare outcome's rate), and the normal quantile of 95 %."""
PREVENTS = 0.2
"""Standard deviation of the share that a treatment prevents, before any trial: a fifth is much. Our own judgement."""


@dataclass(frozen=True)
class KindEffect:
    """What is known of one kind; the average and its 95 % interval are null where nothing was treated at random."""

    kind: str
    treated: int
    """Treatments that teach it."""
    at_random: int
    """Those of them that were at random and are judged out of time."""
    offset: float
    """Shift of the log-odds of the model."""
    share: float
    """Of what comes by itself, how much is of this kind."""
    base: float
    """Shift of the log-odds of what comes by itself."""
    centre: float
    """Mean difference between with and without, before the trials have corrected it."""
    rate: float
    """Share of the treated to whom the outcome came."""
    untreated: float | None = None
    average: float | None = None
    low: float | None = None
    high: float | None = None
    cost: float | None = None
    """Mean cost of a treatment, null where nobody noted it."""

    @property
    def basis(self) -> str:
        """`uplift` where trials have shown that it adds something, else `response`."""
        return UPLIFT if self.low is not None and self.low > 0 else RESPONSE

    @property
    def prevents(self) -> float:
        """Share of what would come that the treatment prevents, by its trials, drawn to 0; NaN where there are none."""
        if self.average is None or self.low is None or self.high is None or not self.untreated:
            return float("nan")
        share, error = self.average / self.untreated, (self.high - self.low) / (2 * Z * self.untreated)
        return min(1.0, share * PREVENTS**2 / (PREVENTS**2 + error**2))

    @property
    def still_needed(self) -> int:
        """Treatments at random that are missing until the 95 % interval is about `NARROW` to each side."""
        return max(0, full_count(self.rate) - self.at_random)


@dataclass(frozen=True)
class QiniCurve:
    """What treating the best first adds over treating as many at random: areas per customer, with the 95 % interval.

    `promised` is the area that the predicted effects promise, the theoretical line; `points` are shares treated, what
    that adds, and what the predicted effects promise; at random it is the share times the last.
    """

    area: float
    low: float
    high: float
    promised: float
    points: tuple[tuple[float, float, float], ...]


class KindChances(NamedTuple):
    """By row and kind: probabilities with the treatment and without, and what it adds, NaN where that is not known."""

    treated: Numbers
    untreated: Numbers
    effect: Numbers


@dataclass(frozen=True)
class Effects:
    """The fitted numbers: kinds, the share of predicted differences that trials bear out, and the line of untreated."""

    kinds: tuple[KindEffect, ...]
    slope: float
    line: Mapping[str, Any] | None
    """None where the model itself is of all customers, treated or not."""
    qini: QiniCurve | None = None
    is_unwanted: bool = False
    """Whether the outcome is what a treatment should prevent: what it adds is then what it prevents."""
    weights: tuple[float, float] = (1.0, 0.0)
    """Of the log-odds of the model and of the line, with a treatment."""
    line_slope: float = 1.0
    """Of the log-odds of the line, without."""

    def chances(self, matrix: Matrix, probability: Numbers) -> KindChances:
        """What each kind does for encoded rows; `probability` is what the model says of them."""
        model = log_odds(probability)
        line = model if self.line is None else Logistic(self.line, matrix.shape[1]).raw(matrix)
        both = self.weights[0] * model + self.weights[1] * line
        treated = np.column_stack([sigmoid(both + of.offset) for of in self.kinds])
        untreated = np.column_stack([of.share * sigmoid(self.line_slope * line + of.base) for of in self.kinds])
        if self.is_unwanted:
            prevents = [of.prevents if self.tells(of) else np.nan for of in self.kinds]
            effect = np.maximum(untreated * np.array(prevents), untreated - 1.0)
            return KindChances(np.where(np.isnan(effect), treated, untreated - effect), untreated, effect)
        centre = np.array([of.centre for of in self.kinds])
        average = np.array([np.nan if (of.average is None or not self.tells(of)) else of.average for of in self.kinds])
        return KindChances(treated, untreated, average + self.slope * (treated - untreated - centre))

    def tells(self, of: KindEffect) -> bool:
        """Whether the effect of a kind is told by customer: where it was shown.

        What a treatment prevents has no response to fall back on. It is told as an estimate, and that it is not shown.
        """
        return of.basis == UPLIFT or (self.is_unwanted and of.average is not None)

    def as_json(self) -> dict[str, Any]:
        """The numbers that a bundle keeps."""
        return asdict(self)

    def summary(self) -> dict[str, Any]:
        """The numbers without the line, for reports and for the manifest of a week."""
        kinds = [{**asdict(of), "basis": of.basis, "still_needed": of.still_needed} for of in self.kinds]
        return {**{name: value for name, value in self.as_json().items() if name != "line"}, "kinds": kinds}

    def rows(self) -> list[dict[str, Any]]:
        """One row per kind, for people."""
        return [
            {"kind": of.kind, "treated": of.treated, "at random": of.at_random, "adds": of.average, "low": of.low,
             "high": of.high, "told as": of.basis, "needed": of.still_needed}
            for of in self.kinds
        ]  # fmt: skip


def full_count(rate: float = 0.25) -> int:
    """Treatments that make a 95 % interval of about `NARROW` to each side; `rate` is how often the outcome comes."""
    return int(np.ceil((Z / min(NARROW, rate / 4)) ** 2 * rate * (1 - rate)))


def effects_from_json(content: Mapping[str, Any]) -> Effects:
    """Read what `Effects.as_json` wrote, once its form was judged."""
    curve = content["qini"]
    points = tuple(tuple(map(float, point)) for point in curve["points"]) if curve else ()
    qini = QiniCurve(**{**curve, "points": points}) if curve else None
    kinds = tuple(KindEffect(**of) for of in content["kinds"])
    model, line = content["weights"]
    return Effects(
        kinds, float(content["slope"]), content["line"], qini, bool(content["is_unwanted"]),
        (float(model), float(line)), float(content["line_slope"]),
    )  # fmt: skip
