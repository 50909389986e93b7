"""Effects fitted beside a model: found where there is one, and never told where there is none or none can be known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from support.rows.datasets import COLUMNS, PLAN, dataset, rows
from vouch import models
from vouch.models.predictor import encode
from vouch.models.scoring.calibration import Calibrator, sigmoid
from vouch.training.arms import ArmRows, TrialArms
from vouch.training.dataset import DatasetPart
from vouch.training.effects.fit import fit_effects, predicted
from vouch.training.effects.text import effect_figures, effect_lines, effect_section
from vouch.training.recipes.learners import fit_logistic

KINDS = ("review", "testimonial")
LINE = {
    "base": 0.0,
    "terms": [
        {"fill": 0.0, "centre": 0.0, "scale": 1.0, "weight": 0.1, "missing_weight": 0.0, "mean": 0.0}
        if column.categories is None
        else {"weights": [0.0] * (len(column.categories) + 1), "mean": 0.0}
        for column in COLUMNS
    ],
}


def accepts(frame):
    return sigmoid((-1.5 + 1.5 * (frame["active_days_28d"] / 14 - 1)).to_numpy())


def company(share=0.3, customers=900, is_random=True, adds=True, kind="review", seed=0):
    """A dataset of who was asked, and both arms; whoever is asked at random accepts as `accepts` says."""
    rng, treated, untreated = np.random.default_rng(seed), [], []
    for instant in PLAN.instants:
        frame, _ = rows(customers, instant, seed)
        asked, chance = rng.random(customers) < share, accepts(frame)
        unasked = 0.05 if adds else chance
        came = (rng.random(customers) < np.where(asked, chance, unasked)).astype(float)
        own = frame.assign(as_of_us=instant, own_us=instant, kind=kind, outcome=came)
        done = own.assign(is_random=is_random, propensity=share if is_random else np.nan).loc[asked]
        left = own.assign(**{name: came * (name == kind) for name in KINDS}).loc[~asked]
        treated.append((encode(done, COLUMNS), done))
        untreated.append((encode(left, COLUMNS), left))
    arms = []
    for parts in (treated, untreated):
        cells = pd.concat([of for _, of in parts], ignore_index=True)
        matrix = np.concatenate([of for of, _ in parts])
        arms.append(ArmRows(matrix, cells["customer_id"].to_numpy(object), cells["as_of_us"].to_numpy(np.int64), cells))
    of = arms[0]
    every = DatasetPart(of.matrix, of.numbers("outcome"), of.customers, of.as_of_us)
    data = replace(dataset(10, model=models.load("response")), train=every)
    return replace(data, trials=TrialArms(arms[0], arms[1], (kind,), origins=PLAN.origins))


def fitted(data):
    return fit_effects(data, Calibrator(), lambda of: fit_logistic(of, 0), 0)


@pytest.fixture(scope="module")
def found():
    return fitted(company())


def test_what_asking_adds_is_found_with_its_interval_and_its_order(found):
    (kind,) = found.kinds
    frame, _ = rows(4_000, PLAN.instants[-1], 99)
    true = accepts(frame) - 0.05
    matrix = encode(frame, COLUMNS)
    said = found.chances(matrix, accepts(frame))
    assert kind.basis == "uplift"
    assert kind.low < true.mean() < kind.high
    assert kind.untreated == pytest.approx(0.05, abs=0.02)
    assert spearmanr(said.effect[:, 0], true).statistic > 0.9
    assert found.qini.low > 0


def test_where_asking_adds_nothing_no_effect_is_told():
    found = fitted(company(adds=False))
    (kind,) = found.kinds
    assert kind.low < 0 < kind.high
    assert kind.basis == "response"
    frame, _ = rows(50, PLAN.instants[-1], 3)
    assert np.isnan(found.chances(encode(frame, COLUMNS), accepts(frame)).effect).all()


def test_asks_that_were_not_at_random_are_a_response_and_no_effect():
    found = fitted(company(is_random=False))
    (kind,) = found.kinds
    assert (kind.at_random, kind.average, kind.basis, found.qini) == (0, None, "response", None)
    assert "response" in "\n".join(effect_lines(found))


def test_too_few_asks_teach_nothing():
    assert fitted(company(share=0.015, customers=500)) is None


def test_what_is_said_of_a_moment_reads_nothing_that_came_after_it():
    data = company()
    assert data.trials is not None
    origin = PLAN.origins[0]
    after = origin.test - 1

    def scrambled(arm):
        names = [name for name in ("outcome", *KINDS) if name in arm.cells]
        turned = {name: np.where(arm.as_of_us > after, 1 - arm.numbers(name), arm.numbers(name)) for name in names}
        return replace(arm, cells=arm.cells.assign(**turned))

    arms = replace(data.trials, treated=scrambled(data.trials.treated), untreated=scrambled(data.trials.untreated))
    train = replace(data.train, label=np.where(data.train.as_of_us > after, 1 - data.train.label, data.train.label))
    other = replace(data, train=train, trials=arms)
    one, two = (
        predicted(of, of.trials, origin, Calibrator(), lambda of: fit_logistic(of, 0), LINE) for of in (data, other)
    )
    for name in ("model", "line"):
        assert all(map(np.array_equal, getattr(one, name), getattr(two, name)))


def test_what_is_found_is_told_in_the_report_and_to_the_tracking_server(found):
    assert any("uplift" in line for line in effect_section(found))
    assert dict(effect_figures(found))["uplift.review"] == found.kinds[0].average
    assert [*effect_lines(None), *effect_section(None), *effect_figures(None)] == []


def test_the_more_asks_at_random_the_fewer_are_still_needed(found):
    (kind,) = found.kinds
    assert replace(kind, at_random=0).still_needed > kind.still_needed
    assert replace(kind, at_random=10_000).still_needed == 0


def offers(keeps=0.5, customers=3000, seed=1):
    """A dataset of everybody's leaving, and offers with a holdout: whoever has one leaves by so much less."""
    rng, parts, treated, held_out = np.random.default_rng(seed), [], [], []
    for instant in PLAN.instants:
        frame, _ = rows(customers, instant, seed)
        is_offered = rng.random(customers) < 0.5
        risk = accepts(frame) * np.where(is_offered, 1 - keeps, 1.0)
        came = (rng.random(customers) < risk).astype(float)
        matrix = encode(frame, COLUMNS)
        cells = frame.assign(
            as_of_us=instant, own_us=instant, kind="offer", outcome=came, offer=came, is_random=True, propensity=0.5,
            cost=np.where(is_offered, 12.0, np.nan),
        )  # fmt: skip
        parts.append(DatasetPart(matrix, came, frame["customer_id"].to_numpy(object), np.full(customers, instant)))
        treated.append((matrix[is_offered], cells.loc[is_offered]))
        held_out.append((matrix[~is_offered], cells.loc[~is_offered]))
    arms = []
    for of_arm in (treated, held_out):
        cells = pd.concat([of for _, of in of_arm], ignore_index=True)
        matrix = np.concatenate([of for of, _ in of_arm])
        arms.append(ArmRows(matrix, cells["customer_id"].to_numpy(object), cells["as_of_us"].to_numpy(np.int64), cells))
    names = ("matrix", "label", "customers", "as_of_us")
    every = DatasetPart(*(np.concatenate([getattr(of, name) for of in parts]) for name in names))
    trials = TrialArms(arms[0], arms[1], ("offer",), is_of_all=True, is_unwanted=True, origins=PLAN.origins)
    return replace(dataset(10), train=every, trials=trials)


def test_what_an_offer_prevents_is_found_and_is_most_for_those_most_at_risk():
    found = fitted(offers())
    (kind,) = found.kinds
    frame, _ = rows(4_000, PLAN.instants[-1], 99)
    true = 0.5 * accepts(frame)
    assert found.line is None
    assert kind.basis == "uplift"
    assert kind.low < true.mean() < kind.high
    assert kind.untreated == pytest.approx(accepts(frame).mean(), abs=0.02)
    assert kind.cost == 12.0
    effect = found.chances(encode(frame, COLUMNS), accepts(frame)).effect[:, 0]
    assert spearmanr(effect, true).statistic > 0.9


def test_offers_that_prevent_nothing_are_not_shown_to():
    found = fitted(offers(keeps=0.0))
    (kind,) = found.kinds
    assert kind.low < 0 < kind.high
    assert kind.basis == "response"
    frame, _ = rows(500, PLAN.instants[-1], 99)
    assert abs(found.chances(encode(frame, COLUMNS), accepts(frame)).effect).mean() < 0.03


def test_what_is_known_in_plenty_helps_where_asks_are_few():
    few = company(share=0.1, customers=900, seed=2)
    frame, _ = rows(20_000, PLAN.instants[0], 7)
    many = frame.assign(
        as_of_us=PLAN.instants[0], label=(np.random.default_rng(3).random(20_000) < accepts(frame)) * 1.0
    )
    beside = ArmRows(
        encode(many, COLUMNS), many["customer_id"].to_numpy(object), many["as_of_us"].to_numpy(np.int64), many
    )
    with_many = fitted(replace(few, trials=replace(few.trials, beside=beside, beside_days=42)))
    without = fitted(few)
    judged, _ = rows(4_000, PLAN.instants[-1], 99)
    matrix = encode(judged, COLUMNS)
    said = fit_logistic(few, 0).scorer.raw(matrix)
    ranks = [
        spearmanr(of.chances(matrix, 1 / (1 + np.exp(-said))).treated[:, 0], accepts(judged)).statistic
        for of in (with_many, without)
    ]
    assert with_many.weights[1] > 0.2
    assert without.weights[1] == pytest.approx(0.0, abs=1e-6), "a flat line says nothing"
    assert ranks[0] > ranks[1]


def test_a_line_reads_no_label_that_was_not_final_before_the_first_judged_moment():
    data = company()
    frame, _ = rows(900, PLAN.origins[0].test, 0)
    late = frame.assign(as_of_us=PLAN.origins[0].test, label=(np.arange(900) % 2) * 1.0)
    beside = ArmRows(
        encode(late, COLUMNS), late["customer_id"].to_numpy(object), late["as_of_us"].to_numpy(np.int64), late
    )
    found = fitted(replace(data, trials=replace(data.trials, beside=beside, beside_days=42)))
    assert found.weights[1] == pytest.approx(0.0, abs=1e-6)
