"""What Featuretools' deep feature synthesis makes of the events of some customers; runs in an environment of its own.

`python by_featuretools.py FOLDER AS_OF_US CUSTOMERS` prints events, features and seconds as JSON. The windows of 7, 28,
90 and 365 days are runs of their own, as the library takes one training window at a time.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import featuretools as ft
import pandas as pd

PRIMITIVES = ["count", "num_unique", "sum", "mean", "percent_true", "time_since_last", "time_since_first"]
WINDOWS = ["7 days", "28 days", "90 days", "365 days"]
CHANNELS = ["web", "app", "email", "api", "community"]


def main(folder: Path, as_of_us: int, customers: int) -> None:
    """Load, then measure."""
    people = pd.read_parquet(folder / "customers.parquet", columns=["customer_id", "own_us"]).head(customers)
    columns = ["customer_id", "own_us", "event", "feature", "channel", "value", "user_id"]
    parts = [pd.read_parquet(path, columns=columns) for path in sorted((folder / "usage_events.parquet").iterdir())]
    rows = pd.concat([part[part["customer_id"].isin(people["customer_id"])] for part in parts], ignore_index=True)
    rows["at"], rows["value"] = pd.to_datetime(rows.pop("own_us"), unit="us"), rows["value"].astype(float)
    people = people[["customer_id"]]
    kinds = dict.fromkeys(("event", "feature", "channel", "user_id"), "Categorical")
    entities = ft.EntitySet("company")
    entities.add_dataframe(people, "customers", index="customer_id")
    entities.add_dataframe(rows, "events", index="row", make_index=True, time_index="at", logical_types=kinds)
    entities.add_relationship("customers", "customer_id", "events", "customer_id")
    entities.add_interesting_values(dataframe_name="events", values={"channel": CHANNELS})
    cutoff, features, start = pd.Timestamp(as_of_us, unit="us"), 0, time.perf_counter()
    for window in [None, *WINDOWS]:
        found, _ = ft.dfs(
            entityset=entities,
            target_dataframe_name="customers",
            agg_primitives=PRIMITIVES,
            where_primitives=["count"],
            trans_primitives=[],
            cutoff_time=cutoff,
            training_window=window,
            max_depth=1,
        )
        features += found.shape[1]
    seconds = time.perf_counter() - start
    print(json.dumps({"events": len(rows), "features": features, "seconds": seconds}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
