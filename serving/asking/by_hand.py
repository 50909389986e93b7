"""Records of people that count at once: health by hand, care that was given, objections, consents taken back.

It changes the rows that the rules read, so that a floor, a list and a refusal never differ. A score by hand only ever
lowers: a rule that keeps somebody out is not lifted by an opinion.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vouch.features.health import UNKNOWN
from vouch.serving.snapshots.schema import MODELS, OPTED_OUT, TIERS
from vouch.serving.store.details import CONSENT_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Any

    import pandas as pd

SCORES_OF_OBJECTORS = {
    **{f"{model}_status": OPTED_OUT for model in MODELS}, "health_band": UNKNOWN, "advocate_tier": TIERS[0],
}  # fmt: skip
"""All that columns of scores say of who objects to being profiled; the others are null."""


@dataclass(frozen=True)
class ByHand:
    """What stands now, by customer."""

    scores: Mapping[str, float] = field(default_factory=dict)
    """Health scores set by hand, 0 to 100."""
    care: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """What was done of what is due before an ask (`thank`, `repair`), since the week's instant."""
    objections: frozenset[str] = frozenset()
    """Who objects to being profiled."""
    withdrawn: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Consents that were taken back since the week's instant."""

    def moved(self, before: ByHand, is_given: Callable[[str, Collection[str]], bool] = lambda *_: True) -> set[str]:
        """Return the customers of whom something else stands than before.

        `is_given` says whether the week has a customer give one of some consents: what nobody gave is not taken back.
        """
        scores = {name for name, _ in self.scores.items() ^ before.scores.items()}
        care = {name for name, _ in self.care.items() ^ before.care.items()}
        none: frozenset[str] = frozenset()
        consents = {
            name
            for name in {name for name, _ in self.withdrawn.items() ^ before.withdrawn.items()}
            if is_given(name, self.withdrawn.get(name, none) ^ before.withdrawn.get(name, none))
        }
        return scores | care | consents | (self.objections ^ before.objections)

    def profile_of(self, customer_id: str, profile: Mapping[str, Any]) -> dict[str, Any]:
        """Return the profile of a customer without the consents that were taken back since."""
        return {**profile, **{name: False for name in self.withdrawn.get(customer_id, ()) if name in profile}}

    def applied(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return rows as the rules are to read them."""
        ids = frame["customer_id"]
        if self.scores and "health_score" in frame and (touched := ids.isin(self.scores.keys())).any():
            lowered = frame["health_score"].astype("float64").to_numpy().copy()
            by_hand = ids[touched].map(self.scores).to_numpy(dtype=np.float64)
            lowered[touched] = np.fmin(lowered[touched], by_hand)
            frame = frame.assign(health_score=lowered)
        if self.care and "care_first" in frame and (touched := ids.isin(self.care.keys())).any():
            first = frame["care_first"].astype(object).copy()
            first[touched] = [
                None if due in self.care[who] else due for who, due in zip(ids[touched], first[touched], strict=True)
            ]
            frame = frame.assign(care_first=first)
        for name in CONSENT_NAMES if self.withdrawn else ():
            without = {who for who, consents in self.withdrawn.items() if name in consents}
            if name in frame and (touched := ids.isin(without)).any():
                frame = frame.assign(**{name: frame[name].where(~touched, False)})
        if self.objections and (touched := ids.isin(self.objections)).any():
            statuses = {name: frame[name].where(~touched, OPTED_OUT) for name in ("advocacy_status", "churn_status")}
            frame = frame.assign(**statuses)
        return frame


def without_scores(scores: pa.Table, objecting: Collection[str]) -> pa.Table:
    """Return the scores of a week as they may be told: of who objects by now, the status alone."""
    if not objecting:
        return scores
    is_out = pc.is_in(scores["customer_id"], pa.array(sorted(objecting), pa.string()))
    for place, field_ in enumerate(scores.schema):
        if field_.name not in ("customer_id", "as_of"):
            shown = pa.scalar(SCORES_OF_OBJECTORS.get(field_.name), field_.type)
            scores = scores.set_column(place, field_, pc.if_else(is_out, shown, scores[field_.name]))
    return scores
