"""The features of usage as Featuretools computes them, point in time; runs in an environment of its own.

`python by_featuretools.py FOLDER AS_OF_US CUSTOMERS INSTANTS` prints events, features and seconds as JSON: from Parquet
that holds the events of these customers alone, to the features at one instant, or at several four weeks apart. The
library takes one training window at a time, so each window is a run with the features that the engine has in it, and
the window before it is a run at an earlier cutoff. In its favour, the last arithmetic (growth, shares) is not done, and
at earlier instants rows count as they stand at the last one.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import featuretools as ft
import pandas as pd
from featuretools.primitives import Count, Mean, NumUnique, PercentTrue, Std, Sum, TimeSinceFirst, TimeSinceLast

CHANNELS = ("web", "app", "email", "api", "community")
COLUMNS = ["customer_id", "own_us", "day", "event", "feature", "channel", "value", "user_id"]
VERSION = ["ingested_us", "superseded_us", "is_deleted"]


def sample(folder: Path, customers: int, to: Path) -> None:
    """Write the rows of the first customers to a folder of their own."""
    people = pd.read_parquet(folder / "customers.parquet", columns=["customer_id"]).head(customers)
    parts = []
    for path in sorted((folder / "usage_events.parquet").iterdir()):
        part = pd.read_parquet(path, columns=COLUMNS + VERSION)
        parts.append(part[part["customer_id"].isin(people["customer_id"])])
    people.to_parquet(to / "customers.parquet")
    pd.concat(parts).to_parquet(to / "usage_events.parquet")


def entities(folder: Path, as_of_us: int) -> tuple[ft.EntitySet, int]:
    """The customers and their events as the library holds them, and how many events there are."""
    people = pd.read_parquet(folder / "customers.parquet")
    rows = pd.read_parquet(folder / "usage_events.parquet").sort_values(["customer_id", "own_us"])
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


def cutoffs(held: ft.EntitySet, as_of_us: int, before_days: int, instants: int) -> pd.Timestamp | pd.DataFrame:
    """The instant, or one row per customer and instant; all so many days earlier."""
    ends = [pd.Timestamp(as_of_us, unit="us") - pd.Timedelta(days=before_days + 28 * at) for at in range(instants)]
    if instants == 1:
        return ends[0]
    people = held["customers"]["customer_id"]
    return pd.concat(pd.DataFrame({"customer_id": people, "time": end}) for end in ends)


def main(folder: Path, as_of_us: int, customers: int, instants: int) -> None:
    """Write the sample, then measure."""
    with tempfile.TemporaryDirectory() as place:
        sample(folder, customers, Path(place))
        start = time.perf_counter()
        held, events = entities(Path(place), as_of_us)
        wanted = features(held)
        for (length, before), of in wanted.items():
            ft.calculate_feature_matrix(
                of,
                held,
                cutoff_time=cutoffs(held, as_of_us, before, instants),
                training_window=None if length is None else f"{length} days",
            )
        seconds = time.perf_counter() - start
    print(json.dumps({"events": events, "features": sum(map(len, wanted.values())), "seconds": seconds}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
