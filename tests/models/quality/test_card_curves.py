"""What a card draws is what the judged rows say, in every candidate's own curve."""

from __future__ import annotations

import json

import numpy as np
import pytest

from vouch.models.quality.card_charts import WORDS, card_charts, card_pictures, dependence_chart
from vouch.models.quality.card_curves import card_curves, dependence

CUSTOMERS = np.arange(4_000)
TRUTH = np.random.default_rng(0).beta(1.5, 8.0, len(CUSTOMERS))
CAME = (np.random.default_rng(1).random(len(CUSTOMERS)) < TRUTH).astype(np.float64)
GUESS = np.full(len(CUSTOMERS), float(CAME.mean()))


@pytest.fixture(scope="module")
def curves():
    found = card_curves(CAME, {"guess": GUESS, "chosen": TRUTH}, "chosen", CUSTOMERS, 0.2)
    return {**found, "strongest_features": [["tenure_days", 0.7]]}


def test_every_curve_is_plain_data_of_the_rows(curves):
    assert json.loads(json.dumps(curves)) == curves
    assert sum(curves["risks"]) == sum(row["n"] for row in curves["calibration"]) == len(CUSTOMERS)
    assert [one["name"] for one in curves["gains"]] == ["chosen", "guess"]
    for one in curves["gains"]:
        assert (one["points"][0], one["points"][-1]) == ([0.0, 0.0], [1.0, 1.0])
    above, below = ([captured for share, captured in one["points"] if 0 < share < 1] for one in curves["gains"])
    assert all(one > other for one, other in zip(above, below, strict=True))


def test_the_decision_curve_holds_the_place_from_which_acting_pays(curves):
    at = {row["threshold"]: row for row in curves["decision_curve"]}
    assert 0.2 in at
    assert at[0.2]["net_benefit"] > max(0.0, at[0.2]["everybody"])
    unknown = card_curves(CAME, {"chosen": TRUTH}, "chosen", CUSTOMERS, None)
    assert unknown["acted_from"] is None
    assert len(unknown["decision_curve"]) == 25


def test_a_card_draws_all_that_was_kept_and_of_older_weeks_what_there_is(curves):
    charts = card_charts(curves)
    assert set(charts) == {"calibration", "decision_curve", "gains", "risks", "strongest"} <= set(WORDS)
    assert [line.text for line in charts["decision_curve"].lines] == ["pays from here: 20.0%"]
    assert charts["calibration"].curves[0].band
    assert set(card_charts({"calibration": curves["calibration"]})) == {"calibration"}
    assert card_charts({}) == {}
    for name, of in card_pictures(curves, "churn").items():
        assert f"churn: {WORDS[name]}" in of.svg


def test_dependence_follows_what_a_feature_adds():
    values = np.random.default_rng(2).normal(size=2_000)
    values[:100] = np.nan
    rows = dependence(values, np.where(np.isnan(values), 9.0, 2 * values))
    assert all(row["low"] <= row["part"] <= row["high"] for row in rows)
    assert [row["part"] for row in rows] == pytest.approx([2 * row["value"] for row in rows])
    assert dependence_chart("tenure_days", rows).x_title == "tenure_days"
    assert dependence(np.array([]), np.array([])) == []
    assert dependence_chart("nothing", []) is None
