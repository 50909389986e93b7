"""The e-mails of Hillstrom's challenge: effects by the same estimator, against what the arms themselves show."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from vouch.models.quality.uplift import Arm, Trial, trial_effects


def two_models(folder, arm, outcome):
    """A model of each arm on one half of the customers, and both arms of the other half."""
    rows = pd.read_csv(folder / "hillstrom.csv")
    rows = rows[rows["segment"].isin([arm, "No E-Mail"])].reset_index(drop=True)
    features = pd.get_dummies(
        rows[["recency", "history", "mens", "womens", "newbie", "zip_code", "channel"]], drop_first=True
    ).astype(float)
    features["history"] = np.log1p(features["history"])
    matrix = ((features - features.mean()) / features.std()).to_numpy()
    is_treated, came = (rows["segment"] == arm).to_numpy(), rows[outcome].to_numpy(float)
    learned = np.random.default_rng(0).random(len(rows)) < 0.5
    treated, untreated = (
        LogisticRegression(max_iter=500).fit(matrix[learned & of], came[learned & of]).predict_proba(matrix)[:, 1]
        for of in (is_treated, ~is_treated)
    )

    def judged(rows_of, predicted):
        who = np.flatnonzero(rows_of)
        difference = (treated - untreated)[who]
        return Arm(difference, (came - predicted)[who], np.ones(len(who)), who, untreated[who])

    arms = judged(~learned & is_treated, treated), judged(~learned & ~is_treated, untreated)
    shown = came[~learned & is_treated].mean() - came[~learned & ~is_treated].mean()
    plain = plain_qini(treated - untreated, is_treated, came, ~learned)
    return trial_effects([Trial(*arms, float(is_treated.mean()))], resamples=100), shown, plain


def plain_qini(difference, is_treated, came, rows):
    """Radcliffe's curve by counts, as scikit-uplift has it: area over the line of chance, per treated customer."""
    order = np.flatnonzero(rows)[np.argsort(-difference[rows], kind="stable")]
    treated, came = is_treated[order], came[order]
    many, others = np.cumsum(treated), np.cumsum(~treated)
    gained = np.cumsum(came * treated) - np.cumsum(came * ~treated) * many / np.maximum(others, 1)
    curve = np.concatenate([[0.0], gained])
    chance = np.linspace(0, 1, len(curve)) * curve[-1]
    return float(np.trapezoid(curve - chance, dx=1 / (len(curve) - 1))) / many[-1]


@pytest.mark.parametrize(("arm", "gains"), [("Womens E-Mail", True), ("Mens E-Mail", False)])
def test_effects_of_e_mails_are_those_that_the_arms_show(datasets, arm, gains):
    found, shown, plain = two_models(datasets / "hillstrom", arm, "visit")
    (kind,) = found.kinds
    assert kind.average == pytest.approx(shown, abs=0.002)
    assert 0 < kind.low < shown < kind.high
    assert found.qini.area == pytest.approx(plain, abs=0.0006)
    assert found.qini.low < plain < found.qini.high
    assert (found.qini.low > 0) == gains, "only women's e-mails are worth choosing for whom"
