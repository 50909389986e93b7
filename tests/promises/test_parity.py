"""The same definitions give the same values on every engine."""

import pandas as pd
import polars as pl
import pytest

from support.rows.contract_form import on_engine
from vouch.features.asof import Tables
from vouch.features.contract.tables import DAY_US
from vouch.features.ingest.stage import open_tables
from vouch.features.simulation.parameters import LAST_INSTANT_US
from vouch.features.vectors.build import collect, panel, vectors
from vouch.features.vectors.declare import load_families

AS_OF_US = LAST_INSTANT_US - 28 * DAY_US
BETWEEN_DAYS_US = AS_OF_US - 12_345_678_901
FEATURES = load_families()


@pytest.mark.parametrize("as_of_us", [AS_OF_US, BETWEEN_DAYS_US])
def test_duckdb_and_polars_agree_on_every_bit(staged, as_of_us):
    on_duckdb, on_polars = (collect(vectors(open_tables(staged, engine), as_of_us)) for engine in ("duckdb", "polars"))
    pd.testing.assert_frame_equal(on_duckdb, on_polars, check_exact=True)


@pytest.fixture(scope="module")
def forty(staged):
    """Forty customers of the simulated company: those with most answers to surveys."""
    names = ["customers", *sorted({declared.table for declared in FEATURES.values() if declared.table} - {"customers"})]
    frames = {name: pl.read_parquet(staged.folder / f"{name}.parquet") for name in names}
    chosen = frames["surveys"]["customer_id"].value_counts().sort("count", "customer_id", descending=True)[:40]
    owner = {"referrals": "advocate_id"}
    return {
        name: frame.filter(pl.col(owner.get(name, "customer_id")).is_in(chosen["customer_id"].implode()))
        for name, frame in frames.items()
    }


@pytest.mark.slow
def test_every_feature_of_every_family_is_the_same_on_duckdb_polars_and_spark(staged, forty, spark):
    columns, instants = {name: staged.columns[name] for name in forty}, [AS_OF_US, BETWEEN_DAYS_US]
    on_polars, on_duckdb, on_spark = (
        panel(Tables(on_engine(forty, engine, spark), columns, "test", engine), instants)
        for engine in ("polars", "duckdb", "spark")
    )
    pd.testing.assert_frame_equal(on_duckdb, on_polars, check_exact=True)
    pd.testing.assert_frame_equal(on_spark, on_polars, check_exact=True)
    for family in {declared.family for declared in FEATURES.values()}:
        names = [name for name, declared in FEATURES.items() if declared.family == family]
        assert any(on_spark[name].nunique() > 1 for name in names), f"{family} says something about these customers"
