"""A team's servers: MLflow behind HTTP and the serving store, both on PostgreSQL, and the whole weekly job on them."""

from __future__ import annotations

import json

import pytest

from support.faults import BEFORE, MONDAY, NOW, Server, handed_over, vouch
from vouch.features.instants import parse_instant
from vouch.models.registry.versions import EXPERIMENT, connect
from vouch.serving.snapshots import files
from vouch.serving.store.connection import Database
from vouch.serving.store.weeks import stored_weeks

pytestmark = [pytest.mark.nightly, pytest.mark.postgres]
LATER = "2026-11-20T06:00:00Z"


@pytest.fixture(scope="module")
def shared(make_database, tmp_path_factory):
    """The settings that point at servers which run for this test alone."""
    tracking, store = make_database(), make_database()
    server = Server(tmp_path_factory.mktemp("tracking") / "mlflow", tracking)
    yield {"MLFLOW_TRACKING_URI": server.url, "VOUCH_STORE_URL": store}
    server.kill()


def test_the_whole_weekly_job_runs_on_shared_servers(shared, company, tmp_path):
    home, other = tmp_path / "home", tmp_path / "other"
    (tmp_path / "tables").mkdir()
    data = handed_over(company, tmp_path / "tables")

    def run(*words, where=home):
        done = vouch(where, *words, **shared)
        assert done.returncode == 0, (words, done.stderr)
        return done

    run("train", "churn", data, "--now", NOW)
    run("score", data, "--from", BEFORE, "--to", MONDAY, "--now", NOW)
    assert not (home / "mlflow").exists()
    assert not (home / "serving" / "store.sqlite").exists()
    (version,) = json.loads(run("models", "--format", "json", where=other).stdout)
    assert (version["model"], version["alias"]) == ("churn", "champion")

    store = Database(tmp_path / "reader", shared["VOUCH_STORE_URL"])
    with store.reading() as connection:
        held = [week.as_of_us for week in stored_weeks(connection, with_customers=True)]
    assert held == [parse_instant(BEFORE), parse_instant(MONDAY)]

    run("promote", "churn", 1, "--reason", "from another host", where=other)
    assert (other / "champions" / "churn" / "bundle").exists()
    assert (
        json.loads(run("score", data, "--now", NOW, "--format", "json").stdout)["weeks"][0]["outcome"] == "left_alone"
    )

    _, client = connect(home, shared["MLFLOW_TRACKING_URI"])
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    left = client.create_run(experiment, start_time=parse_instant(NOW) // 1000)
    marked = json.loads(run("clean", "--now", LATER, "--format", "json").stdout)["marked"]
    assert marked["runs"] == 1
    assert client.get_run(left.info.run_id).info.status == "KILLED"

    who = files.read_snapshot(home).table("scores")["customer_id"][0].as_py()
    receipt = json.loads(run("erase", who, "--now", LATER, "--format", "json").stdout)
    assert [model["model"] for model in receipt["models"]] == ["churn"]
    run("score", data, "--now", NOW)
    with store.reading() as connection:
        from vouch.serving.store.weeks import read_batches

        for week in stored_weeks(connection, with_customers=True):
            for name in ("scores", "customers"):
                assert all(
                    who not in batch["customer_id"].to_pylist()
                    for batch in read_batches(connection, week.snapshot_id, name)
                )
    store.close()
