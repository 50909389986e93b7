"""Metrics against other people's libraries: statsmodels, scipy, scikit-learn, and published examples.

Each is computed twice, from the same rows: by the metric, end to end, and by a library that knows nothing of it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import adjusted_rand_score
from statsmodels.duration.survfunc import SurvfuncRight
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint
from statsmodels.stats.rates import confint_poisson
from statsmodels.stats.weightstats import DescrStatsW

from support.rows.metric_examples import one
from vouch.features.metrics.definitions import contacts
from vouch.features.metrics.definitions.contacts import ease_of_wait
from vouch.features.metrics.definitions.engagement import entropy
from vouch.features.metrics.definitions.feedback import topic_changes
from vouch.features.metrics.definitions.health import agreement
from vouch.features.metrics.definitions.lifetime import median_survival, median_survival_ends, survival
from vouch.features.metrics.definitions.prevention import expected_loss_ends, saves, saves_ends
from vouch.features.metrics.definitions.purchases import p_oftener, p_smaller
from vouch.features.metrics.estimators import ANY, Mean, Median, Proportion, Rate
from vouch.features.metrics.examples import answers
from vouch.features.statistics import intervals
from vouch.features.statistics.shrinkage import shrunk

DRAW = np.random.default_rng(11)


def ends(interval):
    return float(interval.low), float(interval.high)


def test_a_share_has_the_wilson_interval_of_statsmodels():
    scores = DRAW.integers(1, 6, 137).tolist()
    found = one({"surveys": answers("csat", scores, 1, 5, "support")}, "csat")
    hits = sum(score >= 4 for score in scores)
    expected = proportion_confint(hits, 137, method="wilson")
    assert (found.value, found.ci_low, found.ci_high) == pytest.approx((100 * hits / 137, *(100 * e for e in expected)))


def test_a_mean_has_the_interval_of_statsmodels():
    scores = DRAW.integers(1, 8, 90).tolist()
    found = one({"surveys": answers("ces", scores, 1, 7, "support")}, "ces_mean")
    assert (found.ci_low, found.ci_high) == pytest.approx(DescrStatsW(scores).tconfint_mean())


def test_a_mean_of_few_has_about_the_bootstrap_interval_of_scipy():
    values = DRAW.exponential(3, 25)
    expected = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=1).confidence_interval
    found = Mean(limits=ANY).ends({"value": values})
    assert ends(found) == pytest.approx((expected.low, expected.high), abs=0.1)


def test_a_rate_has_the_exact_interval_of_statsmodels():
    counts = DRAW.poisson(0.4, 60).astype(float)
    found = Rate(1000.0).ends({"events": counts, "exposure": np.ones(60)})
    expected = confint_poisson(counts.sum(), exposure=60, method="exact-c")
    assert ends(found) == pytest.approx(tuple(1000 * end for end in expected))


def test_a_median_has_the_interval_of_scipy():
    values = DRAW.exponential(5, 41)
    test = stats.quantile_test(values, q=0, p=0.5)
    expected = test.confidence_interval(0.95)
    assert ends(Median(limits=ANY).ends({"value": values})) == pytest.approx((expected.low, expected.high))


# Weeks of remission in leukaemia, less than 0 where it went on: Freireich et al. 1963, Blood 21:699-716.
TREATED = [6, 6, 6, 7, 10, 13, 16, 22, 23, -6, -9, -10, -11, -17, -19, -20, -25, -32, -32, -34, -35]
PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]
# What lasts longer, as Klein & Moeschberger 2003, Survival Analysis, table 4.1, have it.
TREATED_LEFT = {6: 0.857, 7: 0.807, 10: 0.753, 13: 0.690, 16: 0.627, 22: 0.538, 23: 0.448}


def stays_of(weeks):
    return {"lasted": np.abs(weeks).astype(float), "is_over": (np.asarray(weeks) > 0).astype(float)}


def by_statsmodels(parts):
    """The median, and the ends of its interval on the log-log scale: not a number where it is not reached."""
    model = SurvfuncRight(parts["lasted"], parts["is_over"].astype(int))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.array([model.quantile(0.5), *model.quantile_ci(0.5, method="cloglog")], dtype=float)
    return np.where(np.isinf(found), np.nan, found).tolist()


def test_the_share_that_lasts_longer_is_the_published_one():
    curve = survival(**stays_of(TREATED))
    assert curve.evaluate(list(TREATED_LEFT)) == pytest.approx(list(TREATED_LEFT.values()), abs=5e-4)


@pytest.mark.parametrize(("weeks", "median"), [(TREATED, 23), (PLACEBO, 8)])
def test_the_median_lifetime_is_the_published_one_and_that_of_statsmodels(weeks, median):
    parts = stays_of(weeks)
    found = (median_survival(parts).value, *ends(median_survival_ends(parts)))
    assert found == pytest.approx((median, *by_statsmodels(parts)[1:]), nan_ok=True)


@pytest.mark.parametrize("over", [0.2, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("stays", [5, 30, 120])
def test_the_interval_of_a_median_lifetime_is_that_of_statsmodels(stays, over):
    draw = np.random.default_rng(stays)
    lasted, is_over = draw.integers(1, 200, stays).astype(float), (draw.random(stays) < over).astype(float)
    parts = {"lasted": lasted, "is_over": is_over}
    assert ends(median_survival_ends(parts)) == pytest.approx(by_statsmodels(parts)[1:], nan_ok=True)


def test_stays_end_to_end_have_the_median_of_statsmodels():
    lasted = DRAW.integers(5, 300, 80)
    is_over = lasted % 3 > 0
    spans = [{"started_at": -int(days) - (50 if over else 0), "mrr": 1, **({"ended_at": -50} if over else {})}
             for days, over in zip(lasted, is_over, strict=True)]  # fmt: skip
    expected = by_statsmodels({"lasted": lasted.astype(float), "is_over": is_over})
    found = one({"subscriptions": spans}, "median_lifetime")
    assert (found.value, found.ci_low, found.ci_high) == pytest.approx(tuple(expected))


def test_incremental_saves_have_the_interval_of_newcombe_in_statsmodels():
    """Newcombe's own example (a): 56 of 70 against 48 of 80, difference 0.2, interval 0.0524 to 0.3339."""
    parts = {
        "treated": np.repeat([1.0, 0.0], [80, 70]),
        "churned": np.concatenate([np.repeat([1.0, 0.0], [48, 32]), np.repeat([1.0, 0.0], [56, 14])]),
    }
    assert saves(parts).value == pytest.approx(0.2 * 80)
    expected = confint_proportions_2indep(56, 70, 48, 80, method="newcomb")
    assert expected == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert ends(saves_ends(parts)) == pytest.approx(tuple(80 * end for end in expected))


def test_the_stability_of_segments_is_that_of_scikit_learn():
    now, before = DRAW.integers(0, 27, 400), DRAW.integers(0, 27, 400)
    now[:250] = before[:250]
    found = agreement({"now": now.astype(float), "before": before.astype(float)})
    assert found.value == pytest.approx(adjusted_rand_score(before, now))


def test_the_channel_mix_is_the_entropy_of_scipy():
    counts = DRAW.integers(1, 90, 7).astype(float)
    assert entropy(counts[None, :])[0] == pytest.approx(stats.entropy(counts) / np.log(7))


def test_trading_down_is_tested_as_scipy_does():
    assert p_oftener(4, 13) == pytest.approx(stats.binomtest(13, 17, 0.5, alternative="greater").pvalue)
    first, second = DRAW.normal(50, 8, 9), DRAW.normal(43, 8, 11)
    expected = stats.permutation_test(
        (second, first), lambda a, b: a.mean() - b.mean(), alternative="less", n_resamples=20_000, rng=1
    )
    assert p_smaller(first, second, "c") == pytest.approx(expected.pvalue, abs=0.03)


def test_what_is_at_risk_varies_as_a_sum_of_independent_losses_does():
    risk, value = DRAW.beta(1, 9, 300), DRAW.gamma(2, 50, 300)
    losses = ((DRAW.random((20_000, 300)) < risk) * value).sum(axis=1)
    low, high = ends(expected_loss_ends({"risk": risk, "value": value}))
    assert ((losses >= low) & (losses <= high)).mean() == pytest.approx(0.95, abs=0.01)


def test_a_scaled_proportion_maps_the_ends_of_the_plain_one():
    hits = {"hit": np.repeat([1.0, 0.0], [12, 200])}
    plain, squared = Proportion().ends(hits), Proportion(np.square).ends(hits)
    assert ends(squared) == pytest.approx(tuple(end**2 / 100 for end in ends(plain)))


def test_a_ratio_of_sums_has_the_standard_error_of_a_weighted_regression():
    """sum(y) / sum(x) is the slope of y on x through 0, weighted by 1/x; its robust error is the linearised one."""
    import statsmodels.api as sm

    x = DRAW.integers(1, 9, 120).astype(float)
    y = x * 0.4 + DRAW.normal(0, 1, 120)
    model = sm.WLS(y, x, weights=1 / x).fit(cov_type="HC0")
    sums = (y.sum(), x.sum(), (y * y).sum(), (x * x).sum(), (x * y).sum())
    low, high = ends(intervals.ratio_of_sums(*sums, 120))
    half = stats.t.ppf(0.975, 119) * model.bse[0] * np.sqrt(120 / 119)
    assert (low, high) == pytest.approx((model.params[0] - half, model.params[0] + half))


def test_segments_are_shrunk_about_as_a_mixed_model_shrinks_them():
    import statsmodels.formula.api as smf

    group = np.repeat(np.arange(12), 40)
    rows = pd.DataFrame({"y": DRAW.normal(50, 10, 480) + DRAW.normal(0, 6, 12)[group], "group": group})
    model = smf.mixedlm("y ~ 1", rows, groups="group").fit()
    expected = [model.fe_params["Intercept"] + model.random_effects[g].iloc[0] for g in range(12)]
    of_group = rows.groupby("group")["y"]
    found = shrunk(of_group.mean(), of_group.size(), of_group.var(ddof=0))
    assert found == pytest.approx(expected, abs=0.3)


def test_topics_change_by_the_log_odds_of_two_tables_where_the_prior_is_small():
    codes, new = np.repeat([1.0, 2.0, 1.0, 2.0], [300, 700, 450, 550]), np.repeat([0.0, 1.0], [1000, 1000])
    change, p = topic_changes(codes, new)
    expected = stats.contingency.odds_ratio([[450, 550], [300, 700]], kind="sample").statistic
    assert change[0] == pytest.approx(np.log(expected), abs=0.02)
    assert p[0] < 1e-9


def test_ranks_are_mid_ranks_as_pandas_has_them():
    from vouch.features.metrics.populations.customers import percentile

    values = DRAW.integers(0, 9, 50).astype(float)
    import narwhals as nw

    found = nw.from_native(pd.DataFrame({"v": values})).select(percentile("v"))["v"].to_numpy()
    assert found == pytest.approx(((pd.Series(values).rank() - 0.5) / 50 * 100).to_numpy())


def test_some_of_many_customers_say_how_recorded_effort_varies_as_all_of_them_do(monkeypatch):
    draw, tickets = np.random.default_rng(5), 12_000
    parts = {
        "kept": draw.integers(0, 2, tickets).astype(float),
        "waited": draw.exponential(40_000, tickets),
        "at_once": np.zeros(tickets),
        "way": draw.integers(1, 3, tickets).astype(float),
        "content": np.where(draw.random(tickets) < 0.3, draw.integers(0, 5, tickets) / 4, np.nan),
        "settled": np.ones(tickets),
        "customer": np.sort(draw.integers(0, 5_000, tickets)).astype(float),
    }
    of_all = contacts.operational_effort_ends(parts)
    monkeypatch.setattr(contacts, "MANY", 2_000)
    of_some = contacts.operational_effort_ends(parts)
    width = float(of_all.high - of_all.low)
    assert float(of_some.high - of_some.low) == pytest.approx(width, rel=0.1)
    assert of_some.low == pytest.approx(float(of_all.low), abs=width / 10)
    assert of_some.low != of_all.low


def test_a_wait_is_as_easy_as_the_limits_say():
    assert ease_of_wait(np.array([60.0, 930.0, 1800.0, 9999.0]), np.ones(4)).tolist() == [1, 0.5, 0, 0]
    assert ease_of_wait(np.array([3600.0, 88_200.0, 172_800.0]), np.zeros(3)).tolist() == [1, 0.5, 0]
