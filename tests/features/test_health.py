"""The health score: worked examples, and that a missing input never makes anybody look healthier."""

from __future__ import annotations

import narwhals as nw
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.rows.metric_examples import INSTANT_US, company
from vouch.features.errors import ConfigurationError
from vouch.features.health import COLUMNS, UNKNOWN, HealthRules, Measure, health_at, health_rules, with_health
from vouch.features.health.rules import check_features, read_rules
from vouch.features.vectors.compared import compared_days

ORDER = ("at_risk", "watch", "healthy")


STEPS = (0, 20, 21, 47, 50, 59, 80, 100)


def plain(*weights: float) -> HealthRules:
    """Rules whose measures give the value itself, for the values in STEPS."""
    tiers = tuple((float(point), float(point)) for point in STEPS)
    measures = tuple(Measure(f"f{i}", "group", weight, tiers) for i, weight in enumerate(weights))
    return HealthRules(1, 0.6, (("at_risk", 0.0), ("watch", 50.0), ("healthy", 75.0)), measures)


def scored(chosen: HealthRules, values: list[float | None]) -> dict[str, float | str | None]:
    columns = {m.feature: pl.Series([v], dtype=pl.Float64) for m, v in zip(chosen.measures, values, strict=True)}
    return (
        with_health(nw.from_native(pl.DataFrame(columns).lazy()), chosen)
        .collect("polars")
        .to_native()
        .row(0, named=True)
    )


def test_the_score_is_the_weighted_mean_of_the_points():
    """Gainsight's published group: (20*47 + 15*59 + 22*21) / 57 = 40.12."""
    row = scored(plain(20, 15, 22), [47, 59, 21])
    assert row["health_score"] == pytest.approx(40.12, abs=0.005)
    assert row["health_coverage"] == 1.0
    assert row["health_low"] == row["health_high"] == row["health_score"]


def test_bounds_take_what_is_missing_for_the_worst_and_the_best():
    row = scored(plain(0.75, 0.25), [80, None])
    assert (row["health_score"], row["health_low"], row["health_high"]) == (80.0, 60.0, 85.0)
    assert row["health_band"] == "watch"


def test_too_little_coverage_is_unknown_and_nothing_at_all_is_null():
    assert scored(plain(0.5, 0.5), [100, None])["health_band"] == UNKNOWN
    nothing = scored(plain(0.5, 0.5), [None, None])
    assert nothing["health_score"] is None
    assert nothing["health_band"] == UNKNOWN


@given(
    st.lists(st.tuples(st.floats(0.01, 1), st.sampled_from(STEPS)), min_size=2, max_size=4),
    st.data(),
)
def test_a_missing_input_never_improves_a_band(parts, data):
    chosen = plain(*(weight for weight, _ in parts))
    values: list[float | None] = [float(points) for _, points in parts]
    full = scored(chosen, values)
    for lost in data.draw(st.sets(st.integers(0, len(parts) - 1), min_size=1)):
        values[lost] = None
    less = scored(chosen, values)
    if less["health_band"] != UNKNOWN:
        assert ORDER.index(less["health_band"]) <= ORDER.index(full["health_band"])


def test_the_shipped_rules_weigh_one_in_all_and_name_features_that_exist():
    groups: dict[str, float] = {}
    for measure in health_rules().measures:
        groups[measure.group] = groups.get(measure.group, 0.0) + measure.weight
    expected = {"product_use": 0.35, "feedback": 0.25, "support": 0.20, "community": 0.10, "commercial": 0.10}
    assert groups == pytest.approx(expected)


def test_a_boundary_belongs_to_the_higher_tier():
    tickets = next(m for m in health_rules().measures if m.feature == "tickets_open")
    frame = nw.from_native(pl.DataFrame({"tickets_open": [0.0, 1.0, 1.5, 4.0, None]}).lazy())
    points = frame.select(tickets.points().alias("p")).collect("polars")["p"].to_list()
    assert points == [100.0, 60.0, 60.0, 0.0, None]


def test_a_rule_for_a_feature_that_does_not_exist_is_refused_with_a_suggestion():
    text = '[[measures]]\nfeature = "ticket_open"\ngroup = "support"\nweight = 1\ntiers = [{ points = 1 }]\n'
    with pytest.raises(ConfigurationError, match="did you mean 'tickets_open'"):
        check_features(read_rules(text, "health.toml"), "health.toml")


def test_the_result_columns_are_the_promised_ones():
    row = scored(plain(1.0), [50])
    assert set(COLUMNS) <= set(row)


@pytest.mark.parametrize("days", [3, 30, 48, 50, 150, 160, 400])
def test_nobody_rises_against_a_span_that_the_data_do_not_hold(days):
    people = [f"c{number}" for number in range(5)]
    rows = {
        "customers": [{"customer_id": c, "created_at": -900} for c in people],
        "usage_events": [{"customer_id": c, "occurred_at": -day, "event": "open"} for c in people
                         for day in range(1, days + 1)],
        "tickets": [{"customer_id": c, "opened_at": -1} for c in people],
        "transactions": [{"customer_id": c, "occurred_at": -2, "amount": 9, "kind": "purchase"} for c in people],
    }  # fmt: skip
    row = health_at(company(rows, begun=False), INSTANT_US).collect("polars").to_native().row(0, named=True)
    compared = {measure.feature for measure in health_rules().measures} & compared_days().keys()
    assert compared == {"usage_growth_28d", "tickets_growth_28d", "spend_growth_90d"}
    for name in compared:
        assert (row[name] is not None) == (days >= compared_days()[name]), name
    assert row["health_band"] == UNKNOWN or days > 48
