"""A company's own health rules: sound or refused with place and mend, by segment, and in force only as adopted."""

from __future__ import annotations

import json
import re

import narwhals as nw
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.rows.metric_examples import INSTANT_US, company
from vouch.features.errors import ConfigurationError, DataError
from vouch.features.health import band_reason, health_at, health_rules, points_and_health, with_health
from vouch.features.health.adopted import FILE, RECORD, adopt_rules, adopted_rules, adoptions, held_rules
from vouch.features.health.rules import check_features, read_rules, rules_of
from vouch.features.metrics.context import MetricContext, Settings
from vouch.features.metrics.evaluate import measure
from vouch.features.metrics.examples import answers
from vouch.features.metrics.lists.lists import list_rows
from vouch.serving.docs.pages import documentation

NOW_US = 1_790_000_000_000_000
OWN = """
version = 2
[[measures]]
feature = "nps_last"
group = "feedback"
weight = 2
tiers = [{ from = 0, points = 0 }, { from = 9, points = 100 }]
[[measures]]
feature = "tickets_open"
group = "support"
weight = 1
tiers = [{ from = 0, points = 100 }, { from = 2, points = 0 }]
[segments.enterprise]
coverage_floor = 0.3
bands = { watch = 20, healthy = 30 }
weights = { nps_last = 1, tickets_open = 3 }
tiers.tickets_open = [{ from = 0, points = 100 }, { from = 5, points = 0 }]
"""
MEASURE = '[[measures]]\nfeature = "{}"\ngroup = "use"\nweight = {}\ntiers = [{}]\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version = [", "not valid TOML"),
        ('version = "2"', "'version' must be a whole number"),
        ("versoin = 2", "there is no [versoin] (did you mean 'version'?)"),
        ("coverage_floor = 1.5", "'coverage_floor' must be at most 1"),
        ("measures = []", "'measures'"),
        (MEASURE.format("nps_last", 0, "{ points = 1 }"), "[measures], number 1: 'weight' must be above 0"),
        (MEASURE.format("nps_last", 1, "{ points = 1 }, { frm = 2 }"), "tiers, number 2"),
        (MEASURE.format("nps_last", 1, "{ from = 2, points = 101 }"), "'points' must be at most 100"),
        (MEASURE.format("nps_last", 1, "{ from = 2, points = 1 }, { from = 2, points = 2 }"), "'nps_last' do not rise"),
        (MEASURE.format("nps_last", 1, "{ points = 1 }, { points = 2 }"), "'nps_last' do not rise"),
        (2 * MEASURE.format("nps_last", 1, "{ points = 1 }"), "'nps_last' stands there twice"),
        (MEASURE.format("nps_lst", 1, "{ points = 1 }"), "'nps_lst' is no feature (did you mean 'nps_last'?)"),
        (MEASURE.format("region", 1, "{ points = 1 }"), "'region' is a text"),
        (MEASURE.format("age_years", 1, "{ points = 1 }"), "age_years"),
        ('[[bands]]\nname = "healthy"\nfrom = 0\n', "[[bands]] are at_risk, watch, healthy"),
        ("[segments.a]\nbands = { watch = 80 }", "[segments.a]: the bands do not rise"),
        ("[segments.a]\nbands = { healthy = 101 }", "a band begins between 0 and 100"),
        ("[segments.a]\nweights = { nps_lst = 1 }", "[segments.a]: 'nps_lst' is no measure of these rules (did you"),
        ("[segments.a]\nweights = { nps_last = -1 }", "the weight of 'nps_last' must lie between 0 and"),
        ("[segments.a]\ncoverage_flor = 1", "unknown key 'coverage_flor' (did you mean 'coverage_floor'?)"),
        ("segments = 3", "'segments' must be a table"),
    ],
)
def test_rules_that_are_not_sound_are_refused_in_one_line_with_place_and_mend(text, said):
    with pytest.raises(ConfigurationError) as told:
        check_features(read_rules(text, "here/health.toml"), "here/health.toml")
    assert f"{told.value}".startswith("here/health.toml")
    assert said in f"{told.value}"
    assert "\n" not in f"{told.value}"


def test_the_rules_that_the_documentation_shows_are_sound():
    page = documentation()["metrics"].path.read_text(encoding="utf-8")
    (block,) = (
        text for text in re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL) if "segments" in text
    )
    rules = read_rules(block, FILE)
    check_features(rules, FILE)
    assert rules.of("enterprise").bands == (("at_risk", 0), ("watch", 55), ("healthy", 80))


def test_what_a_company_does_not_write_is_as_it_comes():
    rules = read_rules("version = 7\n[segments.a]\nweights = { nps_last = 0 }\n", FILE)
    assert (rules.version, rules.measures, rules.bands) == (7, health_rules().measures, health_rules().bands)
    apart = rules.of("a")
    assert {one.feature for one in apart.measures if one.weight == 0} == {"nps_last"}
    assert apart.bands == rules.bands
    assert rules.of("b") == rules.of(None) != apart


def test_rules_are_the_same_after_they_were_kept_as_json_and_a_comment_changes_none():
    rules = read_rules(OWN, FILE)
    assert rules_of(json.loads(json.dumps(rules.as_dict())), FILE) == rules
    assert read_rules(f"# ours\n{OWN}", FILE).digest == rules.digest
    assert read_rules(OWN.replace("version = 2", "version = 3"), FILE).digest != rules.digest


VALUE = st.one_of(st.none(), st.sampled_from([0.0, 1.0, 3.0, 9.0]))


@given(st.lists(st.tuples(st.sampled_from(["enterprise", "small", None]), VALUE, VALUE), min_size=1, max_size=8))
def test_everybody_is_scored_by_the_rules_of_their_segment_and_by_no_others(people):
    rules = read_rules(OWN, FILE)
    schema = {"segment": pl.String, "nps_last": pl.Float64, "tickets_open": pl.Float64}
    rows = pl.DataFrame(people, schema=schema, orient="row")
    found = with_health(nw.from_native(rows.lazy()), rules).collect("polars").to_native().to_dicts()
    for row in found:
        alone = points_and_health(row, rules)[1]
        assert {name: row[name] for name in ("health_score", "health_low", "health_high", "health_band")} == {
            name: pytest.approx(alone[name]) if isinstance(alone[name], float) else alone[name]
            for name in ("health_score", "health_low", "health_high", "health_band")
        }
        why = band_reason(row, rules.of(row["segment"]))
        assert (why is None) == (row["health_score"] is not None and row["health_band"] == _by_score(row, rules))


def _by_score(row, rules):
    starts = rules.of(row["segment"]).bands
    return [name for name, start in starts if row["health_score"] >= start - 1e-9][-1]


def test_a_segment_is_measured_by_its_own_weights_tiers_and_bands():
    rules = read_rules(OWN, FILE)
    values = {"nps_last": 9.0, "tickets_open": 3.0}
    assert points_and_health(values, rules)[1]["health_score"] == pytest.approx(200 / 3)
    enterprise = points_and_health({**values, "segment": "enterprise"}, rules)[1]
    assert (enterprise["health_score"], enterprise["health_band"]) == (100.0, "healthy")
    one_known = points_and_health({"nps_last": 9.0, "segment": "enterprise"}, rules)[1]
    assert one_known["health_band"] == "unknown"


def test_metrics_and_lists_follow_the_rules_that_hold():
    use = [{"customer_id": f"c{n}", "occurred_at": -1 - day, "event": "open"} for n in range(5) for day in range(40)]
    by_hand = {"score": 45, "reason": "sponsor left", "set_by": "Ann", "expires_at": 20, "set_at": -1}
    tables = company(
        {
            "customers": [{"customer_id": f"c{n}", "created_at": -400, "segment": "enterprise"} for n in range(5)],
            "usage_events": use,
            "surveys": [
                {**row, "customer_id": f"c{n}"} for n, row in enumerate(answers("nps", [9] * 3 + [2] * 2, 0, 10))
            ],
            "health_overrides": [{**by_hand, "customer_id": "c0"}],
        }
    )
    for rules in (read_rules(OWN, FILE), health_rules()):
        settings = Settings(hidden_below=1, health=rules)
        found = {one.metric_id: one for one in measure(tables, INSTANT_US, ["health_score"], settings=settings)}
        at = health_at(tables, INSTANT_US, rules).collect("polars").to_native()
        known = at.filter((pl.col("customer_id") != "house") & (pl.col("health_band") != "unknown"))
        assert found["health_score"].value == (pytest.approx(known["health_score"].mean()) if len(known) else None)
        (override,) = list_rows(MetricContext(tables, INSTANT_US, settings=settings), "health_overrides")
        assert override["band"] == ("healthy" if rules.segments else "at_risk")


def test_a_band_that_contradicts_its_number_says_why():
    rules = health_rules()
    row = {"health_score": 95.3, "health_coverage": 0.75, "health_low": 71.5, "health_high": 96.5}
    why = band_reason({**row, "health_band": "watch"}, rules)
    assert (why.code, why.band_of_score) == ("lower_bound", "healthy")
    assert "watch and not healthy" in str(why)
    assert band_reason({**row, "health_low": 80.0, "health_band": "healthy"}, rules) is None
    few = band_reason({**row, "health_coverage": 0.4, "health_band": "unknown"}, rules)
    assert few.code == "too_little_known"
    assert "40%" in str(few)
    assert "60% is needed" in str(few)


def test_rules_hold_only_as_they_were_adopted(tmp_path):
    assert adopted_rules(tmp_path) == health_rules()
    (tmp_path / FILE).write_text(OWN)
    with pytest.raises(ConfigurationError, match="nobody adopted"):
        adopted_rules(tmp_path)
    adopt_rules(tmp_path, OWN, NOW_US, {"auc": 0.7}, None)
    assert adopted_rules(tmp_path) == held_rules(tmp_path) == read_rules(OWN, FILE)
    (tmp_path / FILE).write_text(f"# a comment\n{OWN}")
    assert adopted_rules(tmp_path).version == 2
    (tmp_path / FILE).write_text(OWN.replace("weight = 2", "weight = 3"))
    with pytest.raises(ConfigurationError, match="nobody adopted"):
        adopted_rules(tmp_path)
    assert held_rules(tmp_path) == read_rules(OWN, FILE)
    (tmp_path / FILE).write_text("version = 2\ncoverage_floor = 3\n")
    with pytest.raises(ConfigurationError, match="must be at most 1"):
        adopted_rules(tmp_path)
    (tmp_path / FILE).unlink()
    with pytest.raises(ConfigurationError, match="is gone, and its rules"):
        adopted_rules(tmp_path)
    adopt_rules(tmp_path, None, NOW_US, None, "back to what comes")
    assert adopted_rules(tmp_path) == health_rules()
    assert [(one.version, one.is_shipped) for one in adoptions(tmp_path)] == [(2, False), (1, True)]


def test_rules_that_are_not_sound_are_never_adopted(tmp_path):
    with pytest.raises(ConfigurationError):
        adopt_rules(tmp_path, "coverage_floor = 3", NOW_US, None, None)
    assert list(tmp_path.iterdir()) == []


def test_a_record_that_is_not_sound_is_loud(tmp_path):
    adopt_rules(tmp_path, OWN, NOW_US, None, None)
    (tmp_path / RECORD).write_text('{"adoptions": [{"version": 2}]}')
    with pytest.raises(DataError, match=RECORD):
        adopted_rules(tmp_path)
