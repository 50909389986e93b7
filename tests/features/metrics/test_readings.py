"""Where sources disagree both readings are there, and the weighted NPS is what post-stratification gives."""

from __future__ import annotations

import numpy as np
import pytest

from support.rows.metric_examples import INSTANT_US, company
from vouch.features.metrics.catalogue import load_metrics
from vouch.features.metrics.comparisons.nonresponse import Stratum, stratified
from vouch.features.metrics.comparisons.readings import STRICT, TOPICS, WEIGHTED, sensitivity
from vouch.features.metrics.examples import answers
from vouch.features.statistics.reliability import correlation, cronbach_alpha


def readings(rows):
    return {(one.topic, one.metric_id or one.reading): one for one in sensitivity(company(rows), INSTANT_US)}


def test_thirteen_answers_score_minus_15_or_0_by_where_detractors_end():
    scores = [10, 9, 9, 9, 8, 7, 7, 6, 6, 5, 3, 2, 0]
    found = readings({"surveys": answers("nps", scores, 0, 10)})
    plain, strict = found["detractors", "nps"], found["detractors", STRICT]
    assert (plain.value, strict.value) == pytest.approx((-15.385, 0.0), abs=1e-3)
    assert (plain.is_primary, strict.is_primary, strict.difference) == (True, False, pytest.approx(15.385, abs=1e-3))
    assert (strict.status, strict.ci_method) == ("low_n", "adjusted_wald")


def test_every_disagreement_of_the_sources_has_its_readings_and_one_of_them_is_primary():
    found = readings({"surveys": answers("nps", [9] * 40, 0, 10)})
    assert {metric_id for _, members in TOPICS.values() for metric_id in members} <= load_metrics().keys()
    for topic, (_, members) in TOPICS.items():
        assert [found[topic, metric_id].is_primary for metric_id in members] == [True, *[False] * (len(members) - 1)]
        assert all(one.value is not None or one.reason for (of, _), one in found.items() if of == topic)


def test_nps_weighted_for_who_did_not_answer_counts_those_who_were_asked():
    """Of 100 asked in the north all answer and love it, of 100 in the south 20 do and do not."""
    people = [{"customer_id": f"{r}{n}", "created_at": -900, "region": r} for r in "ns" for n in range(100)]
    rows = [{**row, "customer_id": f"n{n}"} for n, row in enumerate(answers("nps", [10] * 100, 0, 10))]
    rows += [{**row, "customer_id": f"s{n}"} for n, row in enumerate(answers("nps", [0] * 20, 0, 10))]
    rows += [{**answers("nps", [0], 0, 10)[0], "customer_id": f"s{n}", "status": "delivered", "score": None}
             for n in range(20, 100)]  # fmt: skip
    found = readings({"customers": people, "surveys": rows})
    assert found["detractors", "nps"].value == pytest.approx(100 * 80 / 120)
    assert found["detractors", WEIGHTED].value == pytest.approx(0)


def test_strata_of_the_same_kind_change_nothing_but_the_interval():
    value, _ = stratified([Stratum(300, 6, 2, 10)] * 3)
    assert value.value == pytest.approx(40)
    assert value.n_missing == 870


def test_a_stratified_score_has_the_variance_of_its_strata():
    value, interval = stratified([Stratum(100, 30, 10, 50), Stratum(300, 10, 30, 50)])
    v = [10_000 * (p + d - (p - d) ** 2) / 50 for p, d in ((0.6, 0.2), (0.2, 0.6))]
    half = 1.959964 * (v[0] / 16 + 9 * v[1] / 16) ** 0.5
    assert float(interval.high) - value.value == pytest.approx(half)


def test_alpha_is_what_the_covariances_of_the_parts_give():
    draw = np.random.default_rng(4)
    parts = draw.normal(size=(80, 1)) + draw.normal(size=(80, 3))
    covariance = np.cov(parts.T)
    expected = 3 / 2 * (1 - np.trace(covariance) / covariance.sum())
    assert cronbach_alpha(parts) == pytest.approx(expected)
    assert cronbach_alpha(np.vstack([parts, [np.nan, 1, 1]])) == pytest.approx(expected)
    assert cronbach_alpha(np.ones((5, 2))) is None


def test_a_correlation_has_the_interval_of_scipy():
    from scipy import stats

    draw = np.random.default_rng(6)
    one = draw.normal(size=50)
    other = one + draw.normal(size=50)
    r, n, interval = correlation(np.append(one, np.nan), np.append(other, 1.0))
    expected = stats.pearsonr(one, other)
    ends = expected.confidence_interval(0.95)
    assert (r, n) == (pytest.approx(expected.statistic), 50)
    assert (float(interval.low), float(interval.high)) == pytest.approx((ends.low, ends.high))


def test_recorded_effort_stands_beside_said_effort_and_is_correlated_with_it():
    people = [f"c{n}" for n in range(40)]
    tickets = [{"customer_id": c, "opened_at": -20, "first_response_at": -20, "resolved_at": -19, "wait_s": 60 + 40 * n,
                "csat": 5 - n // 10, "first_channel": "phone", "final_channel": "phone"}
               for n, c in enumerate(people)]  # fmt: skip
    rows = [{**row, "customer_id": c} for c, row in zip(
        people, answers("ces", [7 - n // 8 for n in range(40)], 1, 7, "support"), strict=True)]  # fmt: skip
    found = readings({"surveys": rows, "tickets": tickets})
    together = found["whether indices hang together", "correlation of effort as said with effort as recorded"]
    assert together.value > 0.9
    assert together.n == 40
