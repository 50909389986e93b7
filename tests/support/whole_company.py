"""A company that has every table: the worked examples of all metrics together, and scores for its customers."""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from dataclasses import replace

import narwhals as nw
import polars as pl

from support.rows.metric_examples import INSTANT_US, company
from vouch.features.contract.tables import DAY_US
from vouch.features.metrics.catalogue import METRICS, load_metrics

STATUSES = {
    "ok", "low_n", "suppressed", "empty", "empty_denominator", "not_applicable", "insufficient_history",
}  # fmt: skip
REGIONS = ("north", "south")


def rows_of_all_examples():
    """Rows by table, with keys of their own, and customers in two regions."""
    found = defaultdict(list)
    for metric in load_metrics().values():
        for table, rows in metric.example.tables.items():
            found[table] += [dict(row) for row in rows]
    people = {row["customer_id"]: row for row in found["customers"]}
    found["customers"] = [
        {"region": REGIONS[number % 2], "language": "en", **row} for number, row in enumerate(people.values())
    ]
    return dict(found)


def whole_company(engine="polars"):
    """All tables of the contract, in contract form."""
    return company(rows_of_all_examples(), engine)


def emptied(tables, *names):
    """The same with some tables that are there and hold no rows."""
    return replace(tables, frames={**tables.frames, **{name: tables.frames[name].head(0) for name in names}})


def without(tables, *names):
    """The same without some tables."""
    kept = {name: frame for name, frame in tables.frames.items() if name not in names}
    return replace(tables, frames=kept, columns={name: tables.columns[name] for name in kept})


REASONS = pl.List(
    pl.Struct({"family": pl.String, "feature": pl.String, "value": pl.String, "contribution": pl.Float64})
)


def scores_of(customers, has_model=True):
    """Scores of some customers as a snapshot has them, by a champion or without one; they follow from the id."""
    share = [zlib.crc32(customer.rstrip("'").encode()) / 2**32 for customer in customers]
    reasons = [
        [{"family": family, "feature": family, "value": "1", "contribution": sign * (value + 0.1)}
         for family, sign in (("usage", 1), ("support", -0.5))]
        for value in share
    ]  # fmt: skip
    nothing = [None] * len(customers)
    status = ["ok" if has_model else "no_model"] * len(customers)
    columns = {
        "customer_id": pl.Series(customers, dtype=pl.String),
        "churn_status": pl.Series(status, dtype=pl.String),
        "advocacy_status": pl.Series(status, dtype=pl.String),
        "churn_probability": pl.Series(share if has_model else nothing, dtype=pl.Float64),
        "churn_band": pl.Series(["high" if value > 0.7 else "low" for value in share] if has_model else nothing,
                                dtype=pl.String),
        "churn_reasons": pl.Series(reasons if has_model else nothing, dtype=REASONS),
        "advocacy_score": pl.Series([100 * value for value in share] if has_model else nothing, dtype=pl.Float64),
        "health_score": pl.Series([100 * value for value in share], dtype=pl.Float64),
        "health_band": pl.Series(["watch"] * len(customers), dtype=pl.String),
        "clv_margin": pl.Series([1000 * value for value in share] if has_model else nothing, dtype=pl.Float64),
        "clv_revenue": pl.Series([2000 * value for value in share] if has_model else nothing, dtype=pl.Float64),
    }  # fmt: skip
    return nw.from_native(pl.DataFrame(columns).lazy())


def customers_of(tables):
    """Ids of all customers, in order."""
    return sorted(tables.frames["customers"].select("customer_id").collect("pyarrow").to_native()[0].to_pylist())


def days_later(days):
    """An instant so many days after the one that the examples are written for."""
    return INSTANT_US + round(days * DAY_US)


def declared_statuses(metric_id):
    """What the catalogue says that a null of the metric may be."""
    return {re.match("`(\\w+)`", reason)[1] for reason in METRICS[metric_id].null_where}


def assert_sound(envelopes):
    """A value is there or a reason why not; it lies within its interval, and that within what is possible."""
    for envelope in envelopes:
        kind = METRICS[envelope.metric_id].kind
        assert envelope.status in {"ok", "low_n"} | declared_statuses(envelope.metric_id), envelope
        ends = [end for end in (envelope.ci_low, envelope.value, envelope.ci_high) if end is not None]
        assert ends == sorted(ends), envelope
        assert not ends or kind.limits[0] <= min(ends) <= max(ends) <= kind.limits[1], envelope
        assert envelope.ci_low is None or envelope.value is not None, envelope
        assert envelope.status in STATUSES, envelope
        assert (envelope.value is not None) == (envelope.status in {"ok", "low_n"}), envelope
        assert envelope.value is not None or envelope.reason, envelope
        assert envelope.n >= 0, envelope
        assert envelope.n_missing >= 0, envelope
        numbers = [number for number in envelope.as_dict().values() if isinstance(number, float)]
        assert all(number - number == 0 for number in numbers), envelope
