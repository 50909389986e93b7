"""A change comes with a test of its own, paired where the same customers are there, and segments that add up to it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import test_proportions_2indep as two_proportions

from support.rows.metric_examples import INSTANT_US, company, measured
from vouch.features.contract.tables import DAY_US
from vouch.features.metrics.comparisons.change import LEVEL, SMALL, metric_changes, segment_contributions
from vouch.features.metrics.comparisons.history import history, mondays_after, series
from vouch.features.metrics.comparisons.linearisation import linear
from vouch.features.metrics.comparisons.segments import scan
from vouch.features.metrics.context import Settings
from vouch.features.metrics.estimators import ANY, Figure, Mean, Proportion, Rate, Ratio, Trinomial
from vouch.features.metrics.evaluate import measure
from vouch.features.metrics.examples import answers
from vouch.features.statistics.false_discovery import adjusted

BEFORE_US = INSTANT_US - 100 * DAY_US


def of_two_periods(before, now, names=(None, None), **people):
    """A company with NPS answers 110 and 10 days ago; with names, answer k is by customer NAMEk."""
    rows = []
    for scores, ago, name in zip((before, now), (-110, -10), names, strict=True):
        for number, row in enumerate(answers("nps", scores, 0, 10)):
            rows.append({**row, "invited_at": ago, **({} if name is None else {"customer_id": f"{name}{number}"})})
    return company({"surveys": rows, **people})


def change(tables, *ids, **more):
    return metric_changes(tables, BEFORE_US, INSTANT_US, ids or ("nps",), **more)


def test_nps_of_two_periods_is_tested_by_z_on_the_root_of_both_variances():
    (found,) = change(of_two_periods([10] * 40 + [7] * 30 + [0] * 30, [10] * 60 + [7] * 20 + [0] * 20))
    variance = sum(10_000 * (p + d - (p - d) ** 2) / 100 for p, d in ((0.4, 0.3), (0.6, 0.2)))
    assert (found.value_before, found.value, found.difference) == pytest.approx((10, 40, 30))
    assert (found.ci_low, found.ci_high) == pytest.approx(
        (30 - 1.959964 * variance**0.5, 30 + 1.959964 * variance**0.5)
    )
    assert (found.n_in_both, found.verdict, found.status) == (0, "better", "ok")
    assert found.p == pytest.approx(0.00929, abs=1e-5)  # z = 2.601


def test_the_same_respondents_are_compared_with_themselves():
    before, now = [6, 6, 7, 8, 9, 10, 9, 3] * 5, [7, 6, 9, 8, 9, 10, 9, 7] * 5
    apart, paired = (change(of_two_periods(before, now, names))[0] for names in (("a", "b"), ("a", "a")))
    sign = [[(score >= 9) - (score <= 6) for score in scores] for scores in (before, now)]
    moved = 100 * (np.array(sign[1]) - np.array(sign[0]))
    assert apart.difference == paired.difference == pytest.approx(moved.mean())
    assert paired.n_in_both == 40
    assert paired.ci_high - paired.difference == pytest.approx(1.959964 * moved.std() / 40**0.5)
    assert paired.p < 0.01 < apart.p


def test_a_share_is_tested_as_statsmodels_tests_two_independent_shares():
    people = [{"customer_id": f"c{n}", "created_at": -900} for n in range(300)]
    spans = [
        *({"customer_id": f"c{n}", "started_at": -890, "mrr": 1, "ended_at": -105} for n in range(30)),
        *({"customer_id": f"c{n}", "started_at": -890, "mrr": 1, "ended_at": -99} for n in range(30, 150)),
        *({"customer_id": f"c{n}", "started_at": -50, "mrr": 1, "ended_at": -5} for n in range(150, 170)),
        *({"customer_id": f"c{n}", "started_at": -50, "mrr": 1} for n in range(170, 300)),
    ]
    (found,) = change(company({"customers": people, "subscriptions": spans}), "churn_rate")
    expected = two_proportions(20, 150, 30, 150, compare="diff", method="wald")
    assert (found.value_before, found.value) == pytest.approx((20, 100 * 20 / 150))
    assert found.p == pytest.approx(expected.pvalue, abs=1e-9)
    assert found.verdict == "unclear"


def test_without_an_interval_there_is_a_difference_and_no_test():
    tables = company(
        {"maturity_answers": [{"criterion": "a", "level": 1, "is_met": met, "answered_at": at}
                              for met, at in ((False, -200), (True, -9))]}
    )  # fmt: skip
    (found,) = change(tables, "advocacy_maturity")
    assert (found.value_before, found.value, found.difference, found.p, found.ci_low) == (0, 1, 1, None, None)
    assert "no interval" in found.reason


def test_what_has_no_value_has_no_change_and_says_why():
    (found,) = change(of_two_periods([], [9] * 40))
    assert (found.value_before, found.difference, found.p, found.verdict) == (None, None, None, None)
    assert (found.status, found.n_before, found.n) == ("empty", 0, 40)


def test_nobody_who_moves_is_no_change():
    (found,) = change(of_two_periods([9] * 40, [9] * 40, ("a", "a")))
    assert (found.difference, found.p, found.verdict) == (0, 1.0, "unclear")


drawn = st.lists(st.tuples(st.sampled_from("nsew"), st.integers(0, 10)), min_size=1, max_size=60)


@settings(max_examples=25)
@given(drawn, drawn)
def test_contributions_of_segments_add_up_to_the_change_of_the_company(before, now):
    names = {"b": before, "n": now}
    people = [
        {"customer_id": f"{name}{number}", "created_at": -900, "region": region}
        for name, rows in names.items()
        for number, (region, _) in enumerate(rows)
    ]
    scores = [[score for _, score in rows] for rows in names.values()]
    tables = of_two_periods(*scores, ("b", "n"), customers=people)
    free = {"settings": Settings(hidden_below=1)}
    (whole,) = change(tables, **free)
    parts = change(tables, by="region", **free)
    assert sum(part.contribution for part in parts) == pytest.approx(whole.difference, abs=1e-9)
    assert all(part.contribution == pytest.approx(part.contribution_own + part.contribution_mix) for part in parts)


def test_segments_that_are_too_small_contribute_together():
    people = [{"customer_id": f"{p}{n}", "created_at": -900, "region": "north" if n < 40 else f"r{n}"}
              for p in "ab" for n in range(44)]  # fmt: skip
    tables = of_two_periods([9] * 40 + [0] * 4, [0] * 40 + [9] * 4, ("a", "b"), customers=people)
    found = {row.segment: row for row in change(tables, by="region")}
    assert found["r41"].contribution is None
    assert found["r41"].status == "suppressed"
    assert found[SMALL].value is None
    (whole,) = change(tables)
    assert found["north"].contribution + found[SMALL].contribution == pytest.approx(whole.difference)


def test_a_whole_that_falls_while_every_segment_rises_is_explained_by_the_mix():
    added = segment_contributions(
        {"admins": (20.0, 0.5), "others": (-5.0, 0.5)}, {"admins": (12.0, 0.28), "others": (-2, 0.72)}
    )
    own, mix = (sum(parts[place] for parts in added.values()) for place in (0, 1))
    assert own > 0 > mix
    assert own + mix == pytest.approx(10 - 15)


def test_the_rate_of_false_discoveries_is_that_of_statsmodels():
    from statsmodels.stats.multitest import multipletests

    p = np.random.default_rng(2).random(200) ** 2
    assert adjusted(p) == pytest.approx(multipletests(p, method="fdr_bh")[1])
    assert adjusted([np.nan, 0.01]).tolist() == pytest.approx([np.nan, 0.01], nan_ok=True)


KINDS = {
    "proportion": (Proportion(), {"hit": (0, 1)}),
    "trinomial": (Trinomial(), {"up": (0, 1), "down": (0, 0)}),
    "mean": (Mean(limits=ANY), {"value": (0, 9)}),
    "ratio": (Ratio(limits=ANY), {"top": (0, 9), "bottom": (1, 9)}),
    "rate": (Rate(30.0), {"events": (0, 5), "exposure": (1, 3)}),
    "figure": (Figure(("a", "b", "c"), lambda m: 100 * (m[:, 0] + m[:, 1]) / m[:, 2] - 100, limits=ANY),
               {"a": (0, 9), "b": (0, 9), "c": (1, 9)}),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_influences_are_those_of_a_jackknife(name):
    kind, ranges = KINDS[name]
    draw = np.random.default_rng(5)
    parts = {part: draw.integers(low, high + 1, 80).astype(float) for part, (low, high) in ranges.items()}
    found = linear(kind, parts)
    assert found.value == pytest.approx(kind.estimate(parts).value)
    assert found.influence.sum() == pytest.approx(0, abs=1e-6)
    without = [kind.estimate({k: np.delete(v, unit) for k, v in parts.items()}).value for unit in range(80)]
    jackknife = (79 / 80) * ((np.array(without) - np.mean(without)) ** 2).sum()
    assert (found.influence**2).sum() == pytest.approx(jackknife, rel=0.05)


def regional(scores_by_region):
    people, rows = [], []
    for region, scores in scores_by_region.items():
        for number, row in enumerate(answers("nps", scores, 0, 10)):
            people.append({"customer_id": f"{region}{number}", "created_at": -900, "region": region})
            rows.append({**row, "customer_id": f"{region}{number}"})
    return company({"customers": people, "surveys": rows})


def test_a_scan_finds_the_segment_that_differs_and_tells_how_many_were_looked_at():
    draw = np.random.default_rng(1)
    regions = {f"r{n}": draw.integers(4, 11, 60).tolist() for n in range(60)}
    nothing = scan(regional(regions), INSTANT_US, ["nps"], ["region"])
    assert len(nothing) == 60
    assert sum(one.p < LEVEL for one in nothing) >= 1  # by chance: a twentieth of them, each looked at alone
    assert not any(one.stands_out for one in nothing)
    found = scan(regional({**regions, "low": [2] * 50 + [9] * 10}), INSTANT_US, ["nps"], ["region"])
    assert [one.segment for one in found if one.stands_out] == ["low"]


def test_a_scan_looks_only_at_segments_of_enough_observations():
    found = scan(regional({"big": [9] * 30 + [0] * 30, "small": [0] * 29, "tiny": [0] * 4}), INSTANT_US, ["nps"])
    assert [(one.by, one.segment) for one in found] == [("region", "big")]


def test_a_finite_population_narrows_the_interval_of_a_survey_and_of_nothing_else():
    rows = {"surveys": answers("nps", [10] * 60 + [0] * 40, 0, 10), "subscriptions": [
        {"customer_id": f"s{n}", "started_at": -300, "mrr": 1, **({"ended_at": -5} if n < 9 else {})} for n in range(90)
    ]}  # fmt: skip
    wide, narrow = ({e.metric_id: e for e in measured(rows, "nps", "churn_rate", settings=Settings(population=size))}
                    for size in (None, 120))  # fmt: skip
    assert narrow["nps"].ci_high - narrow["nps"].ci_low < 0.5 * (wide["nps"].ci_high - wide["nps"].ci_low)
    assert narrow["nps"].ci_method == "adjusted_wald_finite_population"
    assert narrow["churn_rate"] == wide["churn_rate"]


@pytest.mark.parametrize(("setting", "status"), [(None, "low_n"), (3, "low_n"), (10, "suppressed")])
def test_a_company_sets_how_few_observations_are_hidden(setting, status):
    (found,) = measured(
        {"surveys": answers("nps", [9] * 6, 0, 10)}, "nps", settings=Settings(hidden_below=setting)
    )  # fmt: skip
    assert found.status == status


def test_mondays_are_mondays():
    found = mondays_after(INSTANT_US - 30 * DAY_US, INSTANT_US)
    assert {(instant // DAY_US - 4) % 7 for instant in found} == {0}
    assert len(found) in {4, 5}


def test_the_history_goes_back_to_the_beginning_and_no_week_knows_what_came_later():
    used = [{"customer_id": f"c{n % 7}", "occurred_at": -160 + n, "event": "open"} for n in range(159)]
    acts = [{"customer_id": "c1", "occurred_at": -50, "kind": "review"},
            {"customer_id": "c2", "occurred_at": -50, "kind": "review", "ingested_at": -3}]  # fmt: skip
    tables = company({"usage_events": used, "advocacy_acts": acts}, begun=False)
    found = history(tables, INSTANT_US, ["activity_share", "advocates_active", "advocacy_participation"])
    weeks = mondays_after(INSTANT_US - 160 * DAY_US, INSTANT_US)
    assert [e.as_of for e in found if e.metric_id == "activity_share"] == [
        e.as_of for week in weeks for e in measure(tables, week, ["activity_share"], bootstraps=False)
    ]
    one_by_one = [e for week in weeks for e in measure(tables, week, ["advocacy_participation"], bootstraps=False)]
    assert [e for e in found if e.metric_id == "advocacy_participation"] == one_by_one
    assert [e.n for e in one_by_one if e.n] == sorted(e.n for e in one_by_one if e.n)


def test_a_count_over_a_window_that_the_data_do_not_fill_is_no_rise():
    rows = {"referrals": [{"advocate_id": "a", "prospect_id": f"p{n}", "invited_at": -n} for n in range(1, 200)]}
    tables = company(
        {**rows, "usage_events": [{"customer_id": "a", "occurred_at": -199, "event": "open"}]}, begun=False
    )
    found = series(tables, [INSTANT_US - 140 * DAY_US, INSTANT_US], ["referrals"])
    assert [(e.value, e.status) for e in found] == [(None, "insufficient_history"), (90.0, "ok")]
