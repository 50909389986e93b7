"""What the workers of a cluster score is what one machine scores, bit by bit."""

from __future__ import annotations

import dataclasses

import pyarrow.parquet as pq
import pytest

from support.champions import write_champion, write_champions
from vouch.features.health import with_health
from vouch.features.ingest.stage import open_tables
from vouch.features.project import Project
from vouch.features.simulation.parameters import LAST_INSTANT_US
from vouch.features.vectors.build import vectors
from vouch.serving.batch.run import score_weeks
from vouch.serving.scoring import spark as cluster
from vouch.serving.scoring.score import champions, score
from vouch.serving.snapshots.arrow_streams import sink_ordered, stored_batches


@pytest.fixture(scope="module")
def stored(staged, tmp_path_factory):
    """The vectors of the simulated company as a week stores them."""
    path = tmp_path_factory.mktemp("vectors") / "vectors.parquet"
    sink_ordered(with_health(vectors(open_tables(staged, "polars"), LAST_INSTANT_US)), path)
    return path


@pytest.mark.parametrize("write", [write_champions, lambda home: write_champion(home, "churn")])
def test_workers_score_as_one_machine_does(staged, stored, tmp_path, spark, write):
    write(tmp_path)
    tables = dataclasses.replace(open_tables(staged, "polars"), engine="spark")
    found = champions(tmp_path, tables)
    on_spark = dataclasses.replace(tables, frames={"customers": open_tables(staged, "spark").frames["customers"]})
    scratch = tmp_path / "scored"
    for batch, scored in zip(
        stored_batches(stored), cluster.scored_on_workers(on_spark, tmp_path, found, stored, scratch), strict=True
    ):
        for name, champion in found.items():
            here = score(champion, batch)
            for part in cluster.PARTS:
                assert getattr(scored[name], part).equals(getattr(here, part)), f"{name} {part}"
    assert scored["churn"].probability.null_count < len(batch)


def test_a_worker_loads_the_champions_once(tmp_path):
    write_champions(tmp_path)
    targets = (("churn", "contract", 0.4), ("advocacy", "organic", 0.0))
    assert cluster._champions(str(tmp_path), targets) is cluster._champions(str(tmp_path), targets)
    found = cluster._champions(str(tmp_path), targets)
    assert found["churn"].target.name == "contract"
    assert [of.offset for of in found.values()] == [0.4, 0.0], "on a worker as on one machine"


@pytest.mark.nightly
def test_a_week_scored_on_spark_is_the_snapshot_of_one_machine(company, tmp_path, spark):
    folders = {}
    for engine in ("duckdb", "spark"):
        project = Project(home=tmp_path / engine, location=str(company))
        write_champions(project.home)
        (week,) = score_weeks(project, [LAST_INSTANT_US], LAST_INSTANT_US, engine=engine)
        folders[engine] = week.folder
    for name in ("scores", "customers"):
        here, there = (pq.read_table(folder / f"{name}.parquet") for folder in folders.values())
        assert here.equals(there), name
    here, there = (pq.read_table(folder / "metrics.parquet").to_pandas() for folder in folders.values())
    assert here["metric_id"].equals(there["metric_id"])
    assert here["value"].round(9).equals(there["value"].round(9))
