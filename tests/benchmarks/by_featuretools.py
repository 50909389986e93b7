"""The features of usage as Featuretools computes them, point in time; runs in an environment of its own.

`python by_featuretools.py FOLDER AS_OF_US CUSTOMERS` prints events, features and seconds as JSON. The library takes one
training window at a time, so each window is a run with the features that the engine has in it, and the window before it
is a run at an earlier cutoff. Days, weekends and gaps between days stand in the events before the clock starts, late
rows and superseded versions are left out, and the last arithmetic (growth, shares) is not done: all in its favour.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import featuretools as ft
import pandas as pd
from featuretools.primitives import Count, Mean, NumUnique, PercentTrue, Std, Sum, TimeSinceFirst, TimeSinceLast

CHANNELS = ("web", "app", "email", "api", "community")
COLUMNS = ["customer_id", "own_us", "day", "event", "feature", "channel", "value", "user_id"]
VERSION = ["ingested_us", "superseded_us", "is_deleted"]


def entities(folder: Path, as_of_us: int, customers: int) -> tuple[ft.EntitySet, int]:
    """The customers and their events as the library holds them, and how many events there are."""
    people = pd.read_parquet(folder / "customers.parquet", columns=["customer_id"]).head(customers)
    parts = []
    for path in sorted((folder / "usage_events.parquet").iterdir()):
        part = pd.read_parquet(path, columns=COLUMNS + VERSION)
        parts.append(part[part["customer_id"].isin(people["customer_id"])])
    rows = pd.concat(parts).sort_values(["customer_id", "own_us"])
    is_current = rows["superseded_us"].isna() | (rows["superseded_us"] >= as_of_us)
    rows = rows[(rows["own_us"] < as_of_us) & (rows["ingested_us"] < as_of_us) & ~rows["is_deleted"] & is_current]
    rows = rows.drop(columns=VERSION).reset_index(drop=True)
    gap = rows["day"] - rows.groupby("customer_id")["day"].shift()
    rows["gap"], rows["is_weekend"] = gap.where(gap > 0), (rows["day"] + 3) % 7 >= 5
    rows["at"], rows["value"] = pd.to_datetime(rows.pop("own_us"), unit="us"), rows["value"].astype(float)
    kinds = dict.fromkeys(("day", "event", "feature", "channel", "user_id"), "Categorical")
    held = ft.EntitySet("company")
    held.add_dataframe(people, "customers", index="customer_id")
    held.add_dataframe(rows, "events", index="row", make_index=True, time_index="at", logical_types=kinds)
    held.add_relationship("customers", "customer_id", "events", "customer_id")
    return held, len(rows)


def features(held: ft.EntitySet) -> dict[tuple[int | None, int], list[ft.Feature]]:
    """What is computed in each window of days before the instant: (how long, ending how many days before)."""

    def of(column: str, primitive: type, where: ft.Feature | None = None) -> ft.Feature:
        base = ft.Feature(held["events"].ww[column])
        return ft.Feature(base, parent_dataframe_name="customers", primitive=primitive, where=where)

    def by(channel: str) -> ft.Feature:
        return ft.Feature(held["events"].ww["channel"]) == channel

    count, days, users = of("row", Count), of("day", NumUnique), of("user_id", NumUnique)
    gaps = [of("gap", Mean), of("gap", Std)]
    shares = [of("row", Count, by(channel)) for channel in CHANNELS]
    wide = [of("feature", NumUnique), of("channel", NumUnique), of("value", Sum), of("is_weekend", PercentTrue)]
    return {
        (7, 0): [count],
        (28, 0): [count, days, users, of("feature", NumUnique), of("event", NumUnique)],
        (90, 0): [count, days, *wide, *gaps, *shares],
        (365, 0): [count, days],
        (None, 0): [count, of("at", TimeSinceLast), of("at", TimeSinceFirst), of("at", TimeSinceLast, by("community"))],
        (7, 7): [count],
        (28, 28): [count, days, users],
        (90, 90): [count],
    }


def main(folder: Path, as_of_us: int, customers: int) -> None:
    """Load, then measure."""
    held, events = entities(folder, as_of_us, customers)
    wanted, start = features(held), time.perf_counter()
    for (length, before), of in wanted.items():
        ft.calculate_feature_matrix(
            of,
            held,
            cutoff_time=pd.Timestamp(as_of_us, unit="us") - pd.Timedelta(days=before),
            training_window=None if length is None else f"{length} days",
        )
    seconds = time.perf_counter() - start
    print(json.dumps({"events": events, "features": sum(map(len, wanted.values())), "seconds": seconds}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
