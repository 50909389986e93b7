"""The weekly batch: what it publishes, what it leaves alone, and what it does without champions."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from support.champions import write_champion, write_champions
from support.published_weeks import metrics_as_in
from support.rows import table_files
from vouch import models
from vouch.features.errors import ConfigurationError, Locked, SnapshotError, UsageError
from vouch.features.health import points_and_health
from vouch.features.health.adopted import adopt_rules
from vouch.features.ingest.stage import open_tables, stage
from vouch.features.instants import mondays, parse_instant
from vouch.features.metrics.context import MetricContext
from vouch.features.metrics.evaluate import measure
from vouch.features.project import Project
from vouch.features.vectors.build import vectors
from vouch.models.quality.readiness import ASKING
from vouch.serving.batch.run import plan_weeks, score_weeks
from vouch.serving.batch.tables import envelope_table
from vouch.serving.snapshots import files, schema
from vouch.serving.snapshots.read import health_rules_of

MONDAY, BEFORE, NOW = map(parse_instant, ("2026-11-16", "2026-11-09", "2026-11-16T06:00:00Z"))


@pytest.fixture(scope="module")
def project(company, tmp_path_factory) -> Project:
    """A company with hand-made champions and its latest week published."""
    found = Project(home=tmp_path_factory.mktemp("weekly"), location=str(company))
    write_champions(found.home)
    (week,) = score_weeks(found, None, NOW)
    assert (week.as_of_us, week.outcome, week.revision) == (MONDAY, "published", 1)
    return found


@pytest.fixture(scope="module")
def published(project):
    return files.read_snapshot(project.home)


@pytest.fixture
def copied(project, tmp_path) -> Project:
    """The same home, for a test to change."""
    shutil.copytree(project.home, tmp_path / "home", symlinks=True)
    return Project(home=tmp_path / "home", location=project.location)


@pytest.fixture
def quick(monkeypatch, published):
    """Metrics as they are published, which take most of the time of a week and which some tests do not look at."""
    monkeypatch.setattr("vouch.serving.batch.steps.envelope_table", metrics_as_in(published))


def test_the_tables_have_the_columns_that_the_interface_promises(published):
    assert published.table("scores").schema.equals(schema.scores_schema(MONDAY))
    assert published.table("metrics").schema.equals(schema.metrics_schema(MONDAY))
    assert published.table("customers").schema.equals(schema.CUSTOMERS)


def test_every_external_customer_stands_once_in_order_and_with_a_profile(published, project):
    customers = published.table("scores")["customer_id"].to_pylist()
    known = vectors(open_tables(stage(project, NOW)), MONDAY).collect("pyarrow").to_native()["customer_id"].to_pylist()
    assert customers == sorted(known)
    assert published.table("customers")["customer_id"].to_pylist() == customers


def test_statuses_are_those_of_the_definitions_and_only_the_scored_have_probabilities(published, project):
    frame = vectors(open_tables(stage(project, NOW)), MONDAY).collect("pandas").to_native()
    frame = frame.sort_values("customer_id", ignore_index=True)
    rows = published.table("scores").to_pandas()
    for name, target in (("churn", "contract"), ("advocacy", "organic")):
        wanted = models.load(name).target_named(target).status(frame)
        assert rows[f"{name}_status"].tolist() == wanted.tolist()
        is_scored = rows[f"{name}_status"].isin(["ok", "cold_start"])
        assert is_scored.any()
        for part in ("probability", "raw", "base", "model", "reasons"):
            assert (rows[f"{name}_{part}"].notna() == is_scored).all(), part
    assert set(rows["churn_status"]) >= {"ok", "churned", "not_eligible"}


def test_how_soon_is_told_for_whom_it_is_known_and_agrees_with_the_score(published):
    rows = published.table("scores").select(["churn_probability", "churn_within", "advocacy_within"]).to_pylist()
    told = [row for row in rows if row["churn_within"]]
    assert [row["churn_within"] is None for row in rows] == [row["churn_probability"] is None for row in rows]
    for row in told:
        chances = {within["weeks"]: within["probability"] for within in row["churn_within"]}
        assert tuple(chances) == schema.WITHIN_WEEKS
        assert chances[4] == row["churn_probability"], "four weeks are what the model itself looks ahead"
        assert list(chances.values()) == sorted(chances.values())
    assert len(told) > 100
    assert not any(row["advocacy_within"] for row in rows), "its champion does not say"


def test_probabilities_bands_and_reasons_are_those_of_the_champion(published, project):
    found = vectors(open_tables(stage(project, NOW)), MONDAY).collect("pyarrow").to_native().sort_by("customer_id")
    rows = published.table("scores").to_pandas()
    for name, predictor in write_champions(project.home).items():
        raw, probability = predictor.score(found)
        scored = rows[f"{name}_probability"].notna().to_numpy()
        np.testing.assert_array_equal(rows[f"{name}_probability"].to_numpy()[scored], probability[scored])
        np.testing.assert_array_equal(rows[f"{name}_raw"].to_numpy()[scored], raw[scored])
        assert set(rows[f"{name}_model"].dropna()) == {predictor.content_hash}
        for _, row in rows[scored].iterrows():
            parts = [reason["contribution"] for reason in row[f"{name}_reasons"]]
            assert row[f"{name}_base"] + sum(parts) == pytest.approx(row[f"{name}_raw"])
            assert [abs(part) for part in parts] == sorted(map(abs, parts), reverse=True)
    bands = rows.dropna(subset="churn_band").groupby("churn_band")["churn_probability"]
    limits = {"low": (0, 0.05), "watch": (0.05, 0.15), "high": (0.15, 1)}
    for band, of in bands:
        low, high = limits[band]
        assert of.between(low, high, inclusive="left").all()
    assert (rows["advocacy_score"].dropna() == 100 * rows["advocacy_probability"].dropna()).all()


def test_tiers_and_health_are_there_and_who_left_has_no_health(published):
    rows = published.table("scores").to_pandas()
    assert set(rows["advocate_tier"]) >= {"none", "active", "influential"}
    assert rows["health_score"].dropna().between(0, 100).all()
    assert set(rows["health_band"]) <= {"at_risk", "watch", "healthy", "unknown"}
    left = rows[rows["churn_status"] == "churned"]
    assert left["health_score"].isna().all()
    assert set(left["health_band"]) == {"unknown"}
    assert rows["clv_margin"].isna().all()
    assert set(rows["clv_status"]) == {"no_model"}


def test_metrics_are_there_for_the_company_and_by_segment(published):
    rows = published.table("metrics").to_pandas()
    assert {"nps", "csat", "ces_easy", "retention_rate", "churn_rate", "repeat_purchase_rate"} <= set(rows["metric_id"])
    assert not rows.duplicated(["metric_id", "by", "segment"]).any()
    assert {"segment", "region"} <= set(rows["by"].dropna())


def test_the_manifest_says_what_went_in_and_what_came_out(published, project):
    manifest = published.manifest
    staged = stage(project, NOW)
    assert manifest["input_fingerprint"] == staged.fingerprint
    assert manifest["rows_in"] == {name: of["rows"] for name, of in staged.counted["tables"].items()}
    assert manifest["rows_out"]["scores"] == len(published.table("scores"))
    assert manifest["now"] == "2026-11-16T06:00:00Z"
    assert manifest["data_through"] < manifest["as_of"]
    assert manifest["models"]["churn"]["kind"] == "logistic"
    assert manifest["warnings"] == []
    ready = {one["output"]: one["ready"] for one in manifest["readiness"]}
    assert ready == dict.fromkeys([*ready], True)
    assert {"advocacy", "churn", ASKING} <= ready.keys()


def test_a_published_week_is_left_alone(copied):
    (week,) = score_weeks(copied, None, NOW)
    assert (week.outcome, week.revision) == ("left_alone", 1)
    (week,) = score_weeks(copied, None, NOW, is_revision=True)
    assert (week.outcome, week.revision) == ("left_alone", 1), "nothing changed, so that there is nothing to revise"


def test_a_week_whose_inputs_changed_is_published_beside_only_on_request(copied, quick):
    before = files.read_snapshot(copied.home).table("scores")
    write_champion(copied.home, "churn", base=-1.0)
    (week,) = score_weeks(copied, None, NOW)
    assert (week.outcome, week.revision) == ("inputs_changed", 1)
    assert files.read_snapshot(copied.home).table("scores").equals(before)
    (week,) = score_weeks(copied, None, NOW, is_revision=True)
    assert (week.outcome, week.revision) == ("published", 2)
    after = files.read_snapshot(copied.home).table("scores")
    assert after["churn_model"] != before["churn_model"]
    assert after["advocacy_probability"].equals(before["advocacy_probability"])


def test_the_same_inputs_give_the_same_bytes_on_another_engine_and_at_another_time(copied, published):
    shutil.rmtree(copied.home / "snapshots")
    score_weeks(copied, [MONDAY], NOW + 3_600_000_000, engine="duckdb")
    found = files.read_snapshot(copied.home)
    assert found.manifest["files"] == published.manifest["files"]


def test_a_revision_that_a_killed_run_left_unpublished_is_taken_up(copied, published):
    (copied.home / "snapshots" / "as_of=2026-11-16" / "CURRENT").unlink()
    (week,) = score_weeks(copied, None, NOW)
    assert (week.outcome, week.revision) == ("published", 1)
    assert files.read_snapshot(copied.home).manifest["files"] == published.manifest["files"]


def test_a_damaged_week_is_an_error_that_a_revision_mends(copied, quick):
    path = files.read_snapshot(copied.home).folder / "scores.parquet"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(SnapshotError, match="--revision"):
        score_weeks(copied, None, NOW)
    (week,) = score_weeks(copied, None, NOW, is_revision=True)
    assert week.revision == 2
    assert len(files.read_snapshot(copied.home).table("scores")) == week.customers


def test_nothing_is_left_of_the_work(project):
    assert [path.name for path in (project.home / "snapshots" / "as_of=2026-11-16").iterdir() if path.is_dir()] == [
        "revision-1"
    ]
    assert not list(project.home.glob("scratch/*"))


def test_a_plan_says_what_would_be_done_and_does_nothing(copied):
    (standing,) = plan_weeks(copied, [MONDAY], NOW)
    (to_come,) = plan_weeks(copied, [BEFORE], NOW)
    assert (standing.action, to_come.action) == ("leave_alone", "publish")
    write_champion(copied.home, "churn", base=-1.0)
    (changed,) = plan_weeks(copied, [MONDAY], NOW)
    (revised,) = plan_weeks(copied, [MONDAY], NOW, is_revision=True)
    assert (changed.action, revised.action) == ("inputs_changed", "revise")
    assert "the model of churn" in changed.why
    (copied.home / "snapshots" / "as_of=2026-11-16" / "CURRENT").unlink()
    write_champion(copied.home, "churn")
    (left,) = plan_weeks(copied, [MONDAY], NOW)
    assert left.action == "take_up"
    assert files.published(copied.home) == []


def test_above_a_hard_limit_nothing_is_published_unless_with_a_reason_that_is_kept(copied, quick):
    (copied.home / "guards.toml").write_text("[stale_days.only.activity]\nhard = 0.0001\n")
    shutil.rmtree(copied.home / "snapshots" / "as_of=2026-11-16" / "revision-1")
    (copied.home / "snapshots" / "as_of=2026-11-16" / "CURRENT").unlink()
    (week,) = score_weeks(copied, [MONDAY], NOW)
    assert (week.outcome, week.revision, week.folder) == ("refused", None, None)
    assert [(found.guard, found.thing, found.level) for found in week.findings] == [("stale_days", "activity", "hard")]
    assert "hard limit of 0.0001" in week.warnings[-1]
    assert list((copied.home / "snapshots" / "as_of=2026-11-16").iterdir()) == []
    (week,) = score_weeks(copied, [MONDAY], NOW, despite="the feed is weekly")
    assert (week.outcome, week.revision) == ("published", 1)
    assert files.read_snapshot(copied.home).manifest["guards"]["despite"] == "the feed is weekly"


def test_a_revision_says_how_it_differs_and_why(copied, quick):
    write_champion(copied.home, "churn", base=-1.0)
    (week,) = score_weeks(copied, [MONDAY], NOW, is_revision=True)
    found = week.difference
    scored = sum(count for status, count in week.statuses["churn"].items() if status in ("ok", "cold_start"))
    assert (found["against"], found["because"]) == (1, ["the model of churn"])
    assert (found["customers_added"], found["customers_removed"], found["metrics_changed"]) == (0, 0, 0)
    assert found["customers_changed"] == found["columns"]["churn_raw"]["customers"] == scored
    assert found["columns"]["churn_base"]["largest"] == pytest.approx(2.0)
    assert "advocacy_raw" not in found["columns"]


def test_back_filled_mondays_see_nothing_of_what_came_later(copied, quick, company, tmp_path):
    weeks = score_weeks(copied, mondays(BEFORE, MONDAY), NOW)
    assert [week.outcome for week in weeks] == ["published", "left_alone"]

    earlier = tmp_path / "earlier"
    earlier.mkdir()
    for path in company.glob("*.parquet"):
        shutil.copy(path, earlier)
    events = pq.read_table(company / "usage_events.parquet")
    late = np.asarray(events["occurred_at"].cast("int64")) >= BEFORE
    pq.write_table(events.filter(~late), earlier / "usage_events.parquet")
    other = Project(home=tmp_path / "other", location=str(earlier))
    write_champions(other.home)
    score_weeks(other, [BEFORE], NOW)
    there, here = (files.read_snapshot(home, BEFORE).table("scores") for home in (other.home, copied.home))
    assert there.equals(here)


def test_a_week_says_exactly_what_moved_each_score_since_the_week_before(copied, quick, published):
    assert published.manifest["changes_since"] is None
    assert published.table("changes")["churn_changes"].null_count == len(published.table("changes"))
    score_weeks(copied, [BEFORE], NOW)
    write_champion(copied.home, "churn", base=-1.0)
    score_weeks(copied, [MONDAY], NOW, is_revision=True)
    found = files.read_snapshot(copied.home)
    assert found.manifest["changes_since"] == {"as_of": "2026-11-09", "revision": 1}
    then, now = (files.read_snapshot(copied.home, at).table("scores").to_pandas() for at in (BEFORE, MONDAY))
    rows = now.merge(then, on="customer_id", how="left", suffixes=("", "_then"))
    changes = found.table("changes").to_pandas()
    assert changes["customer_id"].tolist() == rows["customer_id"].tolist()
    for name, causes in (("churn", {"feature", "model"}), ("advocacy", {"feature"})):
        movement = rows[f"{name}_raw"] - rows[f"{name}_raw_then"]
        entries = changes[f"{name}_changes"]
        assert (entries.notna() == movement.notna()).all()
        assert movement.notna().sum() > 100
        parts = entries.dropna().map(lambda of: sum(entry["contribution"] for entry in of))
        assert (parts - movement.dropna()).abs().max() < 1e-9
        assert {entry["cause"] for of in entries.dropna() for entry in of} == causes


def test_a_week_whose_week_before_came_later_says_what_moved_once_it_is_revised(copied, quick):
    (plan,) = plan_weeks(copied, [MONDAY], NOW, is_revision=True)
    assert plan.action == "leave_alone"
    score_weeks(copied, [BEFORE], NOW)
    (plan,) = plan_weeks(copied, [MONDAY], NOW)
    assert (plan.action, "--revision tells what moved" in plan.why) == ("leave_alone", True)
    (plan,) = plan_weeks(copied, [MONDAY], NOW, is_revision=True)
    assert (plan.action, plan.why) == ("revise", "changed: the week before it")
    (week,) = score_weeks(copied, [MONDAY], NOW, is_revision=True)
    found = files.read_snapshot(copied.home)
    assert (week.outcome, found.manifest["changes_since"]) == ("published", {"as_of": "2026-11-09", "revision": 1})
    (plan,) = plan_weeks(copied, [MONDAY], NOW, is_revision=True)
    assert plan.action == "leave_alone"


def test_without_champions_rules_and_metrics_are_there_and_the_run_says_so(company, tmp_path, published):
    bare = Project(home=tmp_path, location=str(company))
    (week,) = score_weeks(bare, None, NOW)
    wanted = [name for name in models.names() if not models.load(name).is_optional]
    assert sorted(said.partition("vouch train ")[2] for said in week.warnings) == [f"{name}`." for name in wanted]
    found = files.read_snapshot(tmp_path)
    rows, with_models = found.table("scores").to_pandas(), published.table("scores").to_pandas()
    assert rows["churn_probability"].isna().all()
    wanted = with_models["churn_status"].replace({"ok": "no_model", "cold_start": "no_model"})
    assert rows["churn_status"].tolist() == wanted.tolist()
    assert rows["advocate_tier"].tolist() == with_models["advocate_tier"].tolist()
    assert rows["health_score"].equals(with_models["health_score"])
    assert found.table("metrics").num_rows > 0


def test_an_instant_after_now_is_refused(project):
    with pytest.raises(UsageError, match="lies after now"):
        score_weeks(project, [NOW + 1], NOW)


def test_an_instant_that_is_no_midnight_stands_as_a_timestamp(copied, quick):
    (week,) = score_weeks(copied, [NOW], NOW)
    assert week.folder.parent.name == "as_of=2026-11-16T060000Z"
    found = files.read_snapshot(copied.home)
    assert found.table("scores")["as_of"][0].as_py().isoformat() == "2026-11-16T06:00:00+00:00"


def test_a_second_run_at_once_is_refused(project):
    with files.lock(project.home, "score"), pytest.raises(Locked):
        score_weeks(project, None, NOW)


def test_a_week_can_be_read_by_a_scheduler(project):
    (week,) = score_weeks(project, None, NOW)
    told = json.loads(json.dumps(week.as_dict()))
    assert (told["as_of"], told["outcome"], told["revision"]) == ("2026-11-16", "left_alone", 1)
    assert sum(told["statuses"]["churn"].values()) == told["customers"]


def test_the_health_of_a_week_carries_its_bounds(published):
    rows = published.table("metrics").to_pylist()
    (found,) = (row for row in rows if row["metric_id"] == "health_score" and row["by"] is None)
    assert found["bound_low"] <= found["value"] <= found["bound_high"]


OWN_RULES = """
version = 2
coverage_floor = 0.3
[segments.enterprise]
weights = { active_days_28d = 1, nps_last = 0 }
bands = { watch = 90, healthy = 95 }
"""


def test_a_week_is_scored_by_the_rules_of_health_that_were_adopted_and_says_which(copied, quick, published):
    (copied.home / "health.toml").write_text("coverage_floor = 3")
    with pytest.raises(ConfigurationError, match="'coverage_floor' must be at most 1"):
        score_weeks(copied, None, NOW, is_revision=True)
    (copied.home / "health.toml").write_text(OWN_RULES)
    with pytest.raises(ConfigurationError, match="nobody adopted"):
        score_weeks(copied, None, NOW, is_revision=True)
    rules = adopt_rules(copied.home, OWN_RULES, NOW, None, None)
    (left,) = score_weeks(copied, None, NOW)
    assert (left.outcome, "the health rules" in left.because) == ("inputs_changed", True)
    (week,) = score_weeks(copied, None, NOW, is_revision=True)
    snapshot = files.read_snapshot(copied.home)
    assert (week.revision, snapshot.manifest["health"]["version"]) == (2, 2)
    assert snapshot.manifest["health"]["digest"] == rules.digest != published.manifest["health"]["digest"]
    assert health_rules_of(snapshot.manifest) == rules
    scores, vectors_ = snapshot.table("scores").to_pylist(), snapshot.table("vectors").to_pylist()
    scored = [(row, vector) for row, vector in zip(scores, vectors_, strict=True) if row["health_score"] is not None]
    assert {vector["segment"] for _, vector in scored} >= {"enterprise"}
    for row, vector in scored[:100]:
        of_rules = points_and_health(vector, rules)[1]
        assert {name: row[name] for name in of_rules if name in row} == pytest.approx(
            {name: of_rules[name] for name in of_rules if name in row}
        )


def test_metrics_by_themselves_take_the_scores_that_are_published(project, published):
    from vouch.serving.metric_queries import Question, answered

    ids = ["churn_probability", "revenue_at_risk", "churn_drivers", "advocacy_potential"]
    rows = answered(project, Question(ids=ids), NOW, "polars").rows
    week = {row["metric_id"]: row["value"] for row in published.table("metrics").to_pylist() if row["by"] is None}
    assert {row["metric_id"]: row["value"] for row in rows} == pytest.approx({name: week[name] for name in ids})
    assert all(week[name] is not None for name in ids)


def test_no_segment_of_a_few_customers_is_named_in_what_is_published(tmp_path):
    regions = ["KR-11"] * 6 + ["Odd-A"] * 4 + ["Odd-B"] * 2
    people = [table_files.row("customers", customer_id=f"c{n}", region=region) for n, region in enumerate(regions)]
    people.append(table_files.row("customers", customer_id="c99"))
    events = [table_files.row("usage_events", customer_id=f"c{n}") for n in range(13)]
    folder = table_files.write_csv(tmp_path / "tables", table_files.company(customers=people, usage_events=events))
    tables = open_tables(table_files.staged(folder))
    found = envelope_table(MetricContext(tables, table_files.NOW_US - table_files.DAY_US * 300)).to_pylist()
    assert {row["segment"] for row in found if row["by"] == "region"} == {"KR-11", "other", "unknown"}
    shown = measure(tables, table_files.NOW_US - table_files.DAY_US * 300, by="region")
    assert {row.segment for row in shown} >= {"Odd-A", "Odd-B"}, "who asks for it oneself sees it"
