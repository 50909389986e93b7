"""The champion as a challenger meets it: what it says of the judged rows, and what its recipe says of them.

A model that is trained again every week has learned from nearly all rows that are judged, and would judge itself. So
the challenger meets the champion's recipe: its candidates, its features and its parameters, fitted and calibrated at
the same origins as the challenger's own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from vouch.features.errors import BundleError
from vouch.features.instants import parse_instant
from vouch.models.predictor import load_champion
from vouch.models.quality.drift import SCORE, drift
from vouch.training.origins import roll
from vouch.training.recipes.learners import BASELINES, CANDIDATES
from vouch.training.recipes.own import own_recipes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vouch.models.predictor import Predictor
    from vouch.models.scoring.trees import Numbers
    from vouch.training.dataset import Dataset, DatasetPart
    from vouch.training.evaluate import Evaluation


@dataclass(frozen=True)
class Incumbent:
    """The champion on the judged rows; `probability` is None where it cannot score them, `why` says so."""

    content_hash: str
    probability: Numbers | None = None
    why: str = ""
    is_of_another_target: bool = False
    """Whether it answers another question, so that nobody can say which of the two is better."""
    learned_us: int | None = None
    """When its outcomes were looked up: rows before then may be rows that it was fitted on. Unknown: any may be."""
    recipe: Numbers | None = None
    """What its recipe says of the judged rows, fitted at the same origins; None where that is no recipe of today's."""
    drift: Mapping[str, Any] | None = None
    """How far the newest rows have moved from those that it was tested on."""
    changed_bands: float | None = None
    """Share of the newest rows whose band is another by the challenger."""

    def unseen(self, rows: DatasetPart) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Rows of instants that came after what it has learned from."""
        if self.learned_us is None:
            return np.zeros(len(rows), dtype=bool)
        return np.asarray(rows.as_of_us >= self.learned_us)


def meet(home: Path, data: Dataset, evaluation: Evaluation, seed: int) -> Incumbent | None:
    """Return the champion as it does on the judged rows, or why it cannot be met; None where there is none."""
    try:
        champion = load_champion(home, data.model.name)
    except BundleError as error:
        return Incumbent("", why=str(error))
    if champion is None:
        return None
    if champion.target != data.target.name:
        why = f"it predicts {champion.target}, not {data.target.name}"
        return Incumbent(champion.content_hash, why=why, is_of_another_target=True)
    probability = champion.score(data.test_frame).probability
    is_newest = data.test.as_of_us == data.test.as_of_us.max()
    newest, theirs = data.test_frame.loc[is_newest].copy(), probability[is_newest]
    frame = nw.from_native(newest.assign(**{SCORE: theirs}), eager_only=True).lazy("polars")
    served, known = evaluation.served, champion.manifest.get("as_of")
    mine = served.calibrated.calibrator.apply(served.fitted.scorer.raw(data.test.matrix[is_newest]))
    bands = (data.target.bands_of(of) for of in (mine, theirs))
    return Incumbent(
        champion.content_hash,
        probability,
        learned_us=parse_instant(str(known)) if known else None,
        recipe=_recipe(data, evaluation, champion, seed),
        drift=drift(champion.reference, frame) if champion.reference else None,
        changed_bands=float(np.mean([a != b for a, b in zip(*bands, strict=True)])),
    )


def _recipe(data: Dataset, evaluation: Evaluation, champion: Predictor, seed: int) -> Numbers | None:
    """What the champion's recipe says of the judged rows; nothing is fitted where the challenger's run did it."""
    known = {**CANDIDATES, **BASELINES, **own_recipes(data.model.estimators)}
    members = str(champion.manifest.get("members", "")).split()
    places = [place for place, column in enumerate(data.columns) if column.name in champion.names]
    if not members or not places or not set(members) <= set(known):
        return None
    given, rolled = champion.manifest.get("lightgbm", data.model.lightgbm), evaluation.rolled
    is_same = len(places) == len(data.columns) and dict(given) == dict(data.model.lightgbm)
    if not is_same or not set(members) <= set(rolled.kinds):
        columns, rows = tuple(data.columns[place] for place in places), data.train
        narrow = replace(
            data,
            model=replace(data.model, lightgbm=given),
            columns=columns,
            train=replace(rows, matrix=rows.matrix[:, places]),
        )
        rolled = roll(narrow, {name: known[name] for name in members}, seed)
    return np.concatenate(rolled.probability(members, seed))
