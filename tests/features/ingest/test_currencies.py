"""Money is in one currency: several are refused with the figures, before anything is staged."""

from __future__ import annotations

import polars as pl
import pytest

from support.rows.table_files import REQUIRED
from vouch.features.errors import DataError
from vouch.features.ingest.stage import stage
from vouch.features.instants import parse_instant
from vouch.features.project import Project

NOW = parse_instant("2026-11-16T06:00:00Z")


def company(folder, **currencies: list[str | None]):
    """Tables with a row for each currency named."""
    folder.mkdir()
    pl.DataFrame([REQUIRED["customers"]]).write_csv(folder / "customers.csv")
    for name in ("subscriptions", "transactions"):
        keys = range(len(currencies.get(name, [None])))
        key = f"{name.removesuffix('s')}_id"
        rows = [{**REQUIRED[name], key: str(n), "currency": currencies.get(name, [None])[n]} for n in keys]
        pl.DataFrame(rows, schema_overrides={"currency": pl.String}).write_csv(folder / f"{name}.csv")
    return folder


def staged(tmp_path, **currencies: list[str | None]):
    return stage(Project(home=tmp_path / "home", location=str(company(tmp_path / "company", **currencies))), NOW)


@pytest.mark.parametrize("held", [[None], ["EUR", None], ["EUR", " eur "]])
def test_one_currency_is_taken_however_it_is_written(tmp_path, held):
    assert staged(tmp_path, subscriptions=held, transactions=held).fingerprint


def test_several_are_refused_with_how_often_each_is_named(tmp_path):
    with pytest.raises(DataError, match=r"2 currencies \(EUR 2 rows, USD 1 rows\)"):
        staged(tmp_path, subscriptions=["EUR", "EUR"], transactions=["USD"])
    assert not list((tmp_path / "home" / "staged").glob("[!.]*"))
