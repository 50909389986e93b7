"""Synthetic published weeks of any size without a batch run: figures at random, in the form of a real week.

Also the metrics of a week that was published for those of another, in whose run they would take most of the time.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from vouch.features.contract.tables import ACT_KINDS, DAY_US
from vouch.features.instants import parse_instant
from vouch.features.metrics.context import MetricContext
from vouch.serving.snapshots import schema as columns
from vouch.serving.snapshots.files import drafting

MONDAY = parse_instant("2026-11-16")
FAMILIES = {
    "usage": "active_days_28d",
    "subscriptions": "tenure_days",
    "surveys": "nps_last",
    "tickets": "tickets_open",
    "advocacy": "days_since_activity",
    "transactions": "is_subscribed",
    "customers": "region",
}
SEGMENTS = ("consumer", "smb", "mid_market", "enterprise")
REGIONS = tuple(f"R{number:02d}" for number in range(16))
BATCH = 20_000


def metrics_as_in(week) -> Callable[[MetricContext], pa.Table]:
    """What gives the metrics of a published week as those of any instant, in place of `envelope_table`."""
    found = week.table("metrics")

    def envelopes(context: MetricContext) -> pa.Table:
        as_of = columns.repeated(context.as_of_us, len(found))
        table = found.set_column(found.schema.get_field_index("as_of"), "as_of", as_of)
        return table.cast(columns.metrics_schema(context.as_of_us))

    return envelopes


def without_metrics(context: MetricContext) -> pa.Table:
    """No metrics, in place of `envelope_table`."""
    return columns.metrics_schema(context.as_of_us).empty_table()


def customer_id(number: int) -> str:
    return f"C{number:07d}"


def write_company(home: Path, customers: int, as_of_us: int = MONDAY, seed: int = 0) -> None:
    """Publish one week of so many customers; nothing where it is there already."""
    random = np.random.default_rng(seed)
    with drafting(home, as_of_us) as draft:
        schemas = {
            "scores": columns.scores_schema(as_of_us),
            "customers": columns.CUSTOMERS,
            "changes": columns.changes_schema(as_of_us),
        }
        for name, schema in schemas.items():
            with draft.table(name, schema) as writer:
                for start in range(0, customers, BATCH):
                    ids = [customer_id(n) for n in range(start, min(start + BATCH, customers))]
                    made = MAKERS[name](random, ids, as_of_us)
                    full = {f.name: made.get(f.name, pa.nulls(len(ids), f.type)) for f in schema}
                    writer.write_table(pa.table(full).cast(schema))
        with draft.table("metrics", columns.metrics_schema(as_of_us)) as writer:
            writer.write_table(metrics(as_of_us))
        rows = dict.fromkeys(("scores", "customers", "changes"), customers)
        draft.publish(
            {
                "now": "2026-11-16T06:00:00Z",
                "data_through": "2026-11-15T21:30:00Z",
                "columns": {},
                "models": {"churn": None, "advocacy": None},
                "rows_out": {**rows, "metrics": 1},
                "warnings": [],
                "seed": seed,
            }
        )


def reasons(random: np.random.Generator, rows: int) -> pa.Array:
    """All families for each row."""
    entries, names = rows * len(FAMILIES), list(FAMILIES)
    parts = {
        "family": pa.array(names * rows),
        "feature": pa.array(list(FAMILIES.values()) * rows),
        "value": pa.array(np.char.mod("%d", random.integers(0, 30, entries))),
        "contribution": pa.array(random.normal(0, 0.5, entries)),
    }
    offsets = pa.array(np.arange(0, entries + 1, len(names), dtype=np.int32))
    return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(list(parts.values()), list(parts)))


def scores(random: np.random.Generator, ids: list[str], as_of_us: int) -> dict[str, pa.Array]:
    rows = len(ids)
    churn, advocacy = random.beta(1, 12, rows), random.beta(1, 6, rows)
    return {
        "customer_id": pa.array(ids),
        "as_of": columns.repeated(as_of_us, rows),
        "churn_status": pa.array(["ok"] * rows),
        "advocacy_status": pa.array(["ok"] * rows),
        "churn_probability": pa.array(churn),
        "advocacy_probability": pa.array(advocacy),
        "advocacy_score": pa.array(100 * advocacy),
        "churn_band": pa.array(np.where(churn < 0.1, "low", np.where(churn < 0.3, "watch", "high"))),
        "churn_reasons": reasons(random, rows),
        "advocacy_reasons": reasons(random, rows),
        **{
            f"{model}_{part}": pa.array(random.normal(-2, 1, rows))
            for model in columns.MODELS
            for part in ("base", "raw")
        },
        **{f"{model}_model": pa.array([model[0] * 64] * rows) for model in columns.MODELS},
        "advocate_tier": pa.array(random.choice(["none", "potential", "active"], rows)),
        "health_score": pa.array(random.uniform(0, 100, rows)),
        "health_band": pa.array(["watch"] * rows),
    }


def customers(random: np.random.Generator, ids: list[str], as_of_us: int) -> dict[str, pa.Array]:
    rows = len(ids)
    asked = random.random(rows) < 0.1
    asks = [
        [{"ask_id": f"k{name}", "kind": "review", "asked_us": as_of_us - 20 * DAY_US, "outcome": "accepted"}]
        if was
        else None
        for name, was in zip(ids, asked, strict=True)
    ]
    acts = [[{"kind": ACT_KINDS[n % 3], "n": 1, "last_us": as_of_us - 99 * DAY_US}] if n % 5 == 0 else None
            for n in range(rows)]  # fmt: skip
    return {
        "customer_id": pa.array(ids),
        "segment": pa.array(random.choice(SEGMENTS, rows)),
        "region": pa.array(random.choice(REGIONS, rows)),
        "language": pa.array(random.choice(["en", "ko", "ro"], rows)),
        "contact_consent": pa.array(random.random(rows) < 0.8),
        "advocacy_consent": pa.array(random.random(rows) < 0.7),
        "mrr": pa.array(random.gamma(2, 50, rows)),
        "tenure_days": pa.array(random.uniform(1, 2_000, rows)),
        "nps_last": pa.array(random.integers(0, 11, rows).astype(float)),
        "acts": pa.array(acts, columns.CUSTOMERS.field("acts").type),
        "asks": pa.array(asks, columns.CUSTOMERS.field("asks").type),
    }


def changes(random: np.random.Generator, ids: list[str], as_of_us: int) -> dict[str, pa.Array]:
    return {"customer_id": pa.array(ids), "as_of": columns.repeated(as_of_us, len(ids))}


MAKERS = {"scores": scores, "customers": customers, "changes": changes}


def metrics(as_of_us: int) -> pa.Table:
    schema = columns.metrics_schema(as_of_us)
    row = dict.fromkeys(schema.names) | {
        "metric_id": "nps",
        "code": "M01",
        "value": 41.5,
        "n": 40,
        "status": "ok",
    }
    return pa.Table.from_pylist([row | {"as_of": columns.repeated(as_of_us, 1)[0].as_py()}], schema)


def fresh(home: Path) -> Path:
    """An empty folder."""
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    return home
