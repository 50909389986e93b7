"""A feature's fingerprint moves with what it computes and nothing else, and decides which champions still serve."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import narwhals as nw
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.champions import ADVOCACY, CHURN, write_champions
from support.faults import MONDAY, NOW
from vouch.features.errors import BundleError, DefinitionError
from vouch.features.expressions import as_text, columns_of
from vouch.features.instants import parse_instant
from vouch.features.project import Project
from vouch.features.vectors.aggregates import count, largest, mean
from vouch.features.vectors.declare import column, derived, feature
from vouch.features.vectors.fingerprints import feature_fingerprints
from vouch.models.predictor import Predictor, champion_folder, load_champion, write_bundle
from vouch.models.registry.champions import retrains_due
from vouch.models.scoring import bundle
from vouch.models.scoring.bundle import as_bytes, read_files, write_files
from vouch.models.scoring.calibration import Calibrator
from vouch.models.scoring.feature_matrix import Column
from vouch.serving.batch.run import score_weeks

FORMAT_1 = Path(bundle.__file__).with_name("format_1.json")
QUICK = {"fine", "fine_twice", "fine_often"}


def fingerprints(
    limit=60, priority="high", window=(28, 0), empty=None, unit="tickets", wording="Quick tickets.", times=2,
    counted="own_us", aggregate=mean, more=(),
):  # fmt: skip
    """Of seven definitions that rest on one another; a test may change one part of them."""

    def helped(rows):
        return rows.wait_s < limit

    @column("tickets")
    def was_quick(rows):
        return helped(rows)

    @column("tickets")
    def was_fine(rows):
        return rows.was_quick & (rows.priority == priority)

    @column("tickets")
    def counted_us(rows):
        return nw.when(rows.first_channel == "mail").then(getattr(rows, counted))

    @column("tickets")
    def from_last(rows):
        return rows.number_from_last(rows.own_us, "counted_us")

    def fine(rows):
        return count(rows.was_fine, window=window)

    def latest(rows):
        """Among the latest three."""
        return count(rows.from_last <= 3)

    def wait(rows):
        """Wait."""
        return aggregate(rows.wait_s)

    fine.__doc__ = wording
    feature("tickets", unit=unit, empty=empty)(fine)
    feature("tickets", unit="tickets")(latest)
    feature("tickets", unit="seconds")(wait)

    @feature("surveys", unit="polarity")
    def tone(rows):
        """Tone."""
        return mean(rows.polarity)

    @derived(unit="tickets")
    def fine_twice(vector):
        """Twice as many."""
        return vector.fine * times

    @derived(unit="tickets")
    def fine_often(vector):
        """And one."""
        return vector.fine_twice + 1

    for name in more:
        wait.__name__ = name
        feature("tickets", unit="seconds")(wait)
    return feature_fingerprints()


@pytest.mark.parametrize(
    ("change", "moved"),
    [
        ({"wording": "Tickets that were dealt with in no time."}, set()),
        ({"more": ["another", "and_another"]}, set()),
        ({"limit": 61}, QUICK),
        ({"limit": 60.0}, QUICK),
        ({"priority": "urgent"}, QUICK),
        ({"window": (29, 0)}, QUICK),
        ({"window": (28, 1)}, QUICK),
        ({"window": (None, 0)}, QUICK),
        ({"empty": 0.0}, QUICK),
        ({"unit": "share"}, QUICK),
        ({"times": 3}, {"fine_twice", "fine_often"}),
        ({"counted": "resolved_us"}, {"latest"}),
        ({"aggregate": largest}, {"wait"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_a_fingerprint_moves_with_all_that_a_feature_rests_on_and_with_nothing_else(definitions, change, moved):
    found = []
    for changed in ({}, change):
        for register in definitions:
            register.clear()
        found.append(fingerprints(**changed))
    before, after = found
    assert {name for name in before if after[name] != before[name]} == moved
    assert after.keys() - before.keys() == set(change.get("more", ()))


def test_the_lexicon_moves_what_is_told_from_texts(register, monkeypatch):
    before = fingerprints()
    monkeypatch.setattr("vouch.features.vectors.fingerprints.SENTIMENT_VERSION", "of another time")
    assert {name for name, of in feature_fingerprints().items() if of != before[name]} == {"tone"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (nw.col("a") == "1", nw.col("a") == 1),
        (nw.col("a") == 1.0, nw.col("a") == 1),
        (nw.col("a") == "True", nw.col("a") == True),  # noqa: E712
        (nw.col("a") == "b) & col(c", nw.col("a") == "b"),
        (nw.col("a").is_in(["1"]), nw.col("a").is_in([1])),
        (nw.col("a", "b"), nw.col("a, b")),
        (nw.coalesce("a", "b"), nw.coalesce(nw.col("a"), nw.lit("b"))),
        (nw.lit("1"), nw.lit(1)),
        (nw.lit(1, nw.Int64), nw.lit(1, nw.Float64)),
        (nw.col("a").shift(1).over("b", order_by="c"), nw.col("a").shift(1).over("c", order_by="b")),
    ],
    ids=as_text,
)
def test_expressions_that_differ_read_differently(one, other):
    assert as_text(one) != as_text(other)


@given(st.sets(st.text(max_size=3), min_size=2), st.randoms())
def test_a_set_of_values_reads_the_same_however_it_was_made(values, random):
    shuffled = sorted(values)
    random.shuffle(shuffled)
    told = {as_text(nw.col("a").is_in(of)) for of in (values, set(shuffled), frozenset(reversed(shuffled)))}
    assert len(told) == 1


@st.composite
def expressions(draw, depth=3):
    """An expression, and the columns that it was made of."""
    name = draw(st.sampled_from(["kind", "amount", "day", "status"]))
    if depth == 0:
        return nw.col(name), {name}
    one, of_one = draw(expressions(depth=depth - 1))
    other, of_other = draw(expressions(depth=depth - 1))
    both = of_one | of_other
    return draw(
        st.sampled_from(
            [
                (one + other, both),
                (one == name, of_one),
                (one.fill_null(name), of_one),
                (nw.when(one > 0).then(other), both),
                (nw.when(one > 0).then(name), of_one | {name}),
                (nw.when(one > 0).then(nw.lit(name)).otherwise(other), both),
                (nw.coalesce(one, other, name), both | {name}),
                (one.shift(1).over(name, order_by="at"), of_one | {name, "at"}),
                (one.is_in([name]).cast(nw.Int64), of_one),
            ]
        )
    )


@given(expressions())
def test_the_columns_of_an_expression_are_those_that_it_was_made_of(made):
    expression, columns = made
    assert columns_of(expression) == columns


def test_what_cannot_be_told_is_refused():
    with pytest.raises(DefinitionError, match="write the values out"):
        as_text(nw.col("a").map_batches(lambda values: values))
    with pytest.raises(DefinitionError, match=r"takes columns by all\(\): name each column"):
        columns_of(nw.sum_horizontal(nw.all()))


@pytest.fixture
def home(tmp_path):
    """A home with two champions by hand."""
    write_champions(tmp_path)
    return tmp_path


def change(definitions, name, **parts):
    """Define a feature of the catalogue otherwise while a test runs."""
    features, _ = definitions
    features[name] = replace(features[name], **parts)


def test_a_change_refuses_the_models_that_read_the_feature_and_no_other(home, definitions):
    change(definitions, "tickets_open", aggregate=count())
    with pytest.raises(
        BundleError, match=r"defined otherwise today: tickets_open\. Train 'advocacy' again: vouch train"
    ):
        load_champion(home, "advocacy")
    assert load_champion(home, "churn").names == tuple(CHURN)
    assert len(retrains_due(home)) == 1
    change(definitions, "nps_last", empty=0.0)
    assert "tickets_open" in ADVOCACY
    with pytest.raises(BundleError, match=r"defined otherwise today: nps_last, tickets_open"):
        load_champion(home, "advocacy")
    with pytest.raises(BundleError, match=r"defined otherwise today: nps_last\. Train 'churn' again"):
        load_champion(home, "churn")


def test_a_computed_column_refuses_the_models_that_read_something_built_on_it(home, definitions):
    _, columns = definitions
    columns["tickets"]["is_open"] = replace(columns["tickets"]["is_open"], expression=nw.lit(True))
    with pytest.raises(BundleError, match=r"defined otherwise today: tickets_open"):
        load_champion(home, "advocacy")
    assert load_champion(home, "churn")


def test_a_new_lexicon_refuses_the_models_that_read_texts(tmp_path, monkeypatch):
    write_champions(tmp_path)
    reader = written(tmp_path / "of texts", "survey_polarity_mean_365d")
    monkeypatch.setattr("vouch.features.vectors.fingerprints.SENTIMENT_VERSION", "of another time")
    assert load_champion(tmp_path, "churn")
    assert load_champion(tmp_path, "advocacy")
    with pytest.raises(BundleError, match=r"defined otherwise today: survey_polarity_mean_365d"):
        Predictor.load(reader)


def written(folder, *names):
    """A model by hand that reads these features; returns its folder."""
    term = {"fill": 0.0, "centre": 0.0, "scale": 1.0, "weight": 1.0, "missing_weight": 0.1, "mean": 0.0}
    write_bundle(
        folder, model="churn", target="contract", kind="logistic", content={"base": 0.0, "terms": [term] * len(names)},
        columns=[Column(name, "any") for name in names], calibrator=Calibrator(),
        golden=pd.DataFrame([dict.fromkeys(names, 1.0)]), facts={},
    )  # fmt: skip
    return folder


def test_a_feature_that_is_gone_refuses_the_models_that_read_it_and_all_are_named(home, definitions):
    features, _ = definitions
    del features["tickets_open"]
    change(definitions, "nps_last", empty=0.0)
    with pytest.raises(BundleError, match=r"defined otherwise today: nps_last; gone: tickets_open\. Train 'advocacy'"):
        load_champion(home, "advocacy")


def test_a_message_names_the_first_of_many(tmp_path, definitions):
    names = [name for name, declared in definitions[0].items() if not declared.is_category][:40]
    folder = written(tmp_path / "bundle", *names)
    for name in names:
        change(definitions, name, unit="another")
    with pytest.raises(BundleError, match=f"otherwise today: {names[0]}, .*{names[9]} and 30 more. Train"):
        Predictor.load(folder)


def test_wording_and_order_leave_every_champion_in_service(home, definitions):
    features, _ = definitions
    for name in list(features):
        change(definitions, name, description="Another wording.", family="another")
    assert retrains_due(home) == []
    assert load_champion(home, "churn")
    assert load_champion(home, "advocacy")


def test_a_new_feature_leaves_champions_in_service_and_their_scores_byte_by_byte(
    small_company, good_home, tmp_path, definitions
):
    homes = [shutil.copytree(good_home, tmp_path / name, symlinks=True) for name in ("without", "with")]
    without = published(homes[0], small_company)

    def usage_on_mondays(rows):
        """Usage events on a Monday in the {days} days before."""
        return count((rows.day + 3) % 7 == 0)

    usage_on_mondays.__module__ = "vouch.features.families.usage"
    feature("usage_events", days=(7, 90), unit="events")(usage_on_mondays)
    assert retrains_due(homes[1]) == []
    having = published(homes[1], small_company)
    for name in ("scores", "changes", "movers", "customers"):
        assert (having / f"{name}.parquet").read_bytes() == (without / f"{name}.parquet").read_bytes(), name
    there = [pq.read_schema(folder / "vectors.parquet").names for folder in (without, having)]
    assert set(there[1]) - set(there[0]) == {"usage_on_mondays_7d", "usage_on_mondays_90d"}


def published(home, data):
    """The folder of a week that is scored now."""
    now = parse_instant(NOW)
    (week,) = score_weeks(Project(home=home, location=str(data)), [parse_instant(MONDAY)], now, engine="polars")
    assert week.outcome == "published"
    return week.folder


def as_of_format_1(folder, fingerprint=None):
    """Turn a bundle into what was written before bundles kept the fingerprints of their features."""
    manifest, files, _ = read_files(folder)
    kept = json.loads(files["features.json"])["features"]
    listed = [{name: of for name, of in entry.items() if name != "fingerprint"} for entry in kept]
    last = json.loads(FORMAT_1.read_text(encoding="utf-8"))
    write_files(folder, {}, {**files, "features.json": as_bytes({"features": listed})})
    listing = json.loads((folder / "manifest.json").read_bytes())
    told = {**manifest, **listing, "format": 1, "definition_fingerprint": fingerprint or last["definition_fingerprint"]}
    (folder / "manifest.json").write_bytes(as_bytes(told))
    return {entry["name"]: entry["fingerprint"] == last["features"][entry["name"]] for entry in kept}


def test_a_champion_of_the_time_before_is_read_as_if_it_had_kept_fingerprints(home, definitions):
    for name in ("churn", "advocacy"):
        stands = as_of_format_1(champion_folder(home, name) / "bundle")
        if all(stands.values()):
            assert load_champion(home, name).name == name
        else:
            with pytest.raises(BundleError, match=r"defined otherwise today"):
                load_champion(home, name)
    change(definitions, "days_since_activity", empty=0.0)
    with pytest.raises(BundleError, match=r"defined otherwise today: .*days_since_activity"):
        load_champion(home, "churn")


def test_a_champion_of_definitions_that_nobody_knows_any_more_is_refused(home):
    as_of_format_1(champion_folder(home, "churn") / "bundle", fingerprint="0" * 64)
    with pytest.raises(BundleError, match=r"kept no fingerprints.*Train 'churn' again: vouch train churn"):
        load_champion(home, "churn")


def test_a_check_warns_of_the_champion_that_must_be_trained_again(vouch, small_company, tmp_path, definitions):
    write_champions(tmp_path / "home")
    words = ("check", small_company, "--now", NOW, "--format", "json")
    assert not [said for said in json.loads(vouch(*words)[1])["warnings"] if "vouch train" in said]
    change(definitions, "tickets_open", aggregate=count())
    (said,) = [said for said in json.loads(vouch(*words)[1])["warnings"] if "vouch train" in said]
    assert "tickets_open" in said
    assert f"warning: {said}" in vouch(*words[:-2])[1]
