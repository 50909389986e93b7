"""The features of usage, written by hand as an analyst would: one DuckDB query, one Polars pipeline, pandas group-bys.

Each reads `usage_events` and `customers` in contract form, cuts them at an instant, and writes a row per customer with
the same columns and values as the engine. One query starts from the files as the company hands them over.
"""

from __future__ import annotations

from pathlib import Path

DAY_US = 86_400_000_000
SHARED_CHANNELS = ("web", "app", "email", "api")


def with_duckdb(folder: Path, as_of_us: int, out: Path) -> None:
    """One SQL query."""
    import duckdb

    facts = f"{_known(as_of_us)} AND (superseded_us IS NULL OR superseded_us >= {as_of_us}) AND NOT is_deleted"
    events = f"(SELECT * FROM '{folder}/usage_events.parquet/*.parquet' WHERE {facts})"
    customers = f"(SELECT * FROM '{folder}/customers.parquet' WHERE {facts})"
    duckdb.sql(f"COPY ({_vectors_sql(events, customers, as_of_us)}) TO '{out}' (FORMAT parquet)")


def from_files_with_duckdb(folder: Path, as_of_us: int, out: Path) -> None:
    """One SQL query over raw files: ids trimmed, times and money typed, of each key the version that is known last."""
    import duckdb

    texts = ("event_id", "customer_id", "event", "feature", "channel", "user_id")
    rows = f"""(
        SELECT {", ".join(f"nullif(trim({name}), '') AS {name}" for name in texts)},
            CAST(value AS DECIMAL(18, 4)) AS value, epoch_us(occurred_at) AS own_us,
            epoch_us(coalesce(ingested_at, occurred_at)) AS ingested_us,
            coalesce(is_deleted, false) AS is_deleted, epoch_us(occurred_at) // {DAY_US} AS day
        FROM '{folder}/usage_events/*.parquet'
    )"""
    latest = "QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY ingested_us DESC) = 1"
    events = f"""(
        WITH known AS MATERIALIZED (SELECT * FROM {rows} WHERE {_known(as_of_us)}),
        repeated AS MATERIALIZED (SELECT event_id FROM known GROUP BY event_id HAVING count(*) > 1)
        SELECT * FROM known WHERE NOT is_deleted AND event_id NOT IN (FROM repeated) UNION ALL
        SELECT * FROM (SELECT * FROM known WHERE event_id IN (FROM repeated) {latest}) WHERE NOT is_deleted
    )"""
    customers = f"""(
        SELECT nullif(trim(customer_id), '') AS customer_id, nullif(trim(segment), '') AS segment,
            epoch_us(created_at) AS own_us
        FROM '{folder}/customers.parquet' WHERE epoch_us(created_at) < {as_of_us}
    )"""
    duckdb.sql(f"COPY ({_vectors_sql(events, customers, as_of_us)}) TO '{out}' (FORMAT parquet)")


def _known(as_of_us: int) -> str:
    """SQL for what has happened and is known before an instant."""
    return f"own_us < {as_of_us} AND ingested_us < {as_of_us}"


def _vectors_sql(events: str, customers: str, as_of_us: int) -> str:
    """The features of facts; `events` and `customers` stand behind FROM."""

    def since(days: int) -> str:
        return f"FILTER (own_us >= {as_of_us - days * DAY_US})"

    def before(days: int) -> str:
        return f"FILTER (own_us >= {as_of_us - 2 * days * DAY_US} AND own_us < {as_of_us - days * DAY_US})"

    def growth(aggregate: str, days: int) -> str:
        return f"ln(({aggregate} {since(days)} + 1.0) / ({aggregate} {before(days)} + 1.0))"

    gap = f"FILTER (gap > 0 AND own_us >= {as_of_us - 90 * DAY_US})"
    shares = ", ".join(
        f"count(*) FILTER (channel = '{name}' AND own_us >= {as_of_us - 90 * DAY_US}) / nullif(count(channel) "
        f"{since(90)}, 0) AS usage_share_{name}_90d"
        for name in SHARED_CHANNELS
    )
    return f"""
        WITH facts AS (
            SELECT *, day - lag(day) OVER (PARTITION BY customer_id ORDER BY own_us) AS gap
            FROM {events}
        ), found AS (
            SELECT customer_id,
                {", ".join(f"count(*) {since(days)} AS usage_events_{days}d" for days in (7, 28, 90, 365))},
                count(*) AS usage_events_lifetime,
                {", ".join(f"count(DISTINCT day) {since(days)} AS active_days_{days}d" for days in (7, 28, 90, 365))},
                ({as_of_us} - max(own_us)) / {DAY_US}.0 AS days_since_usage,
                ({as_of_us} - min(own_us)) / {DAY_US}.0 AS days_since_first_usage,
                {", ".join(f"{growth('count(*)', days)} AS usage_growth_{days}d" for days in (7, 28, 90))},
                {growth("count(DISTINCT day)", 28)} AS active_days_growth_28d,
                count(*) {since(28)} / nullif(count(DISTINCT day) {since(28)}, 0) AS events_per_active_day_28d,
                avg(gap) {gap} AS usage_gap_mean_90d,
                stddev_pop(gap) {gap} AS usage_gap_spread_90d,
                count(*) FILTER ((day + 3) % 7 >= 5 AND own_us >= {as_of_us - 90 * DAY_US})
                    / nullif(count(*) {since(90)}, 0) AS usage_weekend_share_90d,
                count(DISTINCT feature) {since(28)} AS features_used_28d,
                count(DISTINCT feature) {since(90)} AS features_used_90d,
                count(DISTINCT event) {since(28)} AS event_kinds_28d,
                count(DISTINCT user_id) {since(28)} AS users_28d,
                {growth("count(DISTINCT user_id)", 28)} AS users_growth_28d,
                sum(value) {since(90)} AS usage_value_90d,
                count(DISTINCT channel) {since(90)} AS usage_channels_90d,
                {shares},
                count(*) FILTER (channel = 'community' AND own_us >= {as_of_us - 90 * DAY_US}) AS community_events_90d,
                ({as_of_us} - max(own_us) FILTER (channel = 'community')) / {DAY_US}.0 AS days_since_community_event
            FROM facts GROUP BY customer_id
        )
        SELECT customer_id, ({as_of_us} - own_us) / {DAY_US}.0 AS tenure_days, segment, found.* EXCLUDE (customer_id)
        FROM {customers} LEFT JOIN found USING (customer_id) ORDER BY customer_id
    """


def with_polars(folder: Path, as_of_us: int, out: Path) -> None:
    """One lazy pipeline on the streaming engine."""
    import polars as pl

    own, day, at = pl.col("own_us"), pl.col("day"), pl.lit(as_of_us)
    known = (own < at) & (pl.col("ingested_us") < at) & ~pl.col("is_deleted")
    facts = known & (pl.col("superseded_us").is_null() | (pl.col("superseded_us") >= at))

    def since(value: pl.Expr, days: int) -> pl.Expr:
        return value.filter(own >= at - days * DAY_US)

    def before(value: pl.Expr, days: int) -> pl.Expr:
        return value.filter((own >= at - 2 * days * DAY_US) & (own < at - days * DAY_US))

    def count(value: pl.Expr) -> pl.Expr:
        return value.len().cast(pl.Float64)

    def distinct(value: pl.Expr) -> pl.Expr:
        return value.drop_nulls().n_unique().cast(pl.Float64)

    recent, gap, channel = own >= at - 90 * DAY_US, pl.col("gap"), pl.col("channel")
    recent_gap = gap.filter((gap > 0) & recent)
    found = (
        pl.scan_parquet(folder / "usage_events.parquet/*.parquet")
        .filter(facts)
        .with_columns(gap=day - day.shift(1).over("customer_id", order_by="own_us"))
        .group_by("customer_id")
        .agg(
            *(count(since(own, days)).alias(f"usage_events_{days}d") for days in (7, 28, 90, 365)),
            count(own).alias("usage_events_lifetime"),
            *(distinct(since(day, days)).alias(f"active_days_{days}d") for days in (7, 28, 90, 365)),
            ((at - own.max()) / DAY_US).alias("days_since_usage"),
            ((at - own.min()) / DAY_US).alias("days_since_first_usage"),
            *(
                ((count(since(own, days)) + 1) / (count(before(own, days)) + 1)).log().alias(f"usage_growth_{days}d")
                for days in (7, 28, 90)
            ),
            ((distinct(since(day, 28)) + 1) / (distinct(before(day, 28)) + 1)).log().alias("active_days_growth_28d"),
            (count(since(own, 28)) / distinct(since(day, 28))).alias("events_per_active_day_28d"),
            recent_gap.mean().alias("usage_gap_mean_90d"),
            recent_gap.std(ddof=0).alias("usage_gap_spread_90d"),
            (count(own.filter(((day + 3) % 7 >= 5) & recent)) / count(since(own, 90))).alias("usage_weekend_share_90d"),
            distinct(since(pl.col("feature"), 28)).alias("features_used_28d"),
            distinct(since(pl.col("feature"), 90)).alias("features_used_90d"),
            distinct(since(pl.col("event"), 28)).alias("event_kinds_28d"),
            distinct(since(pl.col("user_id"), 28)).alias("users_28d"),
            ((distinct(since(pl.col("user_id"), 28)) + 1) / (distinct(before(pl.col("user_id"), 28)) + 1))
            .log()
            .alias("users_growth_28d"),
            since(pl.col("value"), 90).sum().cast(pl.Float64).alias("usage_value_90d"),
            distinct(since(channel, 90)).alias("usage_channels_90d"),
            *(
                (
                    count(own.filter((channel == name) & recent)) / count(own.filter(channel.is_not_null() & recent))
                ).alias(f"usage_share_{name}_90d")
                for name in SHARED_CHANNELS
            ),
            count(own.filter((channel == "community") & recent)).alias("community_events_90d"),
            ((at - own.filter(channel == "community").max()) / DAY_US).alias("days_since_community_event"),
        )
    )
    people = pl.scan_parquet(folder / "customers.parquet").filter(facts)
    people = people.select("customer_id", ((at - own) / DAY_US).alias("tenure_days"), "segment")
    people.join(found, on="customer_id", how="left").sort("customer_id").sink_parquet(out, engine="streaming")


def with_pandas(folder: Path, as_of_us: int, out: Path) -> None:
    """Group-bys, one per figure, over the rows that they need."""
    import numpy as np
    import pandas as pd

    by, day_us = "customer_id", DAY_US
    columns = ["customer_id", "own_us", "ingested_us", "superseded_us", "is_deleted"]
    values = ["day", "event", "feature", "channel", "value", "user_id"]
    rows = pd.concat(
        [
            pd.read_parquet(path, columns=columns + values)
            for path in sorted((folder / "usage_events.parquet").iterdir())
        ]
    )
    people = pd.read_parquet(folder / "customers.parquet", columns=[*columns, "segment"])

    def facts(frame: pd.DataFrame) -> pd.DataFrame:
        is_current = frame["superseded_us"].isna() | (frame["superseded_us"] >= as_of_us)
        return frame[
            (frame["own_us"] < as_of_us) & (frame["ingested_us"] < as_of_us) & ~frame["is_deleted"] & is_current
        ]

    rows = facts(rows).sort_values([by, "own_us"])
    rows["gap"] = rows["day"] - rows.groupby(by)["day"].shift()
    people = facts(people)
    found = pd.DataFrame(index=pd.Index(people[by], name=by))
    found["tenure_days"] = ((as_of_us - people["own_us"]) / day_us).to_numpy()
    found["segment"] = people["segment"].to_numpy()

    def within(far: int, near: int = 0) -> pd.DataFrame:
        return rows[(rows["own_us"] >= as_of_us - far * day_us) & (rows["own_us"] < as_of_us - near * day_us)]

    def count(of: pd.DataFrame) -> pd.Series:
        return of.groupby(by).size().reindex(found.index, fill_value=0).astype(float)

    def distinct(of: pd.DataFrame, column: str) -> pd.Series:
        return of.groupby(by)[column].nunique().reindex(found.index, fill_value=0).astype(float)

    spans = {days: within(days) for days in (7, 28, 90, 365)}
    for days, of in spans.items():
        found[f"usage_events_{days}d"], found[f"active_days_{days}d"] = count(of), distinct(of, "day")
    found["usage_events_lifetime"] = count(rows)
    for days in (7, 28, 90):
        found[f"usage_growth_{days}d"] = np.log((count(spans[days]) + 1) / (count(within(2 * days, days)) + 1))
    before, last = within(56, 28), rows.groupby(by)["own_us"]
    found["days_since_usage"], found["days_since_first_usage"] = (
        (as_of_us - of.reindex(found.index)) / day_us for of in (last.max(), last.min())
    )
    found["active_days_growth_28d"] = np.log((found["active_days_28d"] + 1) / (distinct(before, "day") + 1))
    found["events_per_active_day_28d"] = found["usage_events_28d"] / found["active_days_28d"]
    gaps = spans[90][spans[90]["gap"] > 0].groupby(by)["gap"]
    found["usage_gap_mean_90d"], found["usage_gap_spread_90d"] = gaps.mean(), gaps.std(ddof=0)
    found["usage_weekend_share_90d"] = count(spans[90][(spans[90]["day"] + 3) % 7 >= 5]) / count(spans[90])
    for days in (28, 90):
        found[f"features_used_{days}d"] = distinct(spans[days], "feature")
    found["event_kinds_28d"], found["users_28d"] = distinct(spans[28], "event"), distinct(spans[28], "user_id")
    found["users_growth_28d"] = np.log((found["users_28d"] + 1) / (distinct(before, "user_id") + 1))
    found["usage_value_90d"] = spans[90]["value"].astype(float).groupby(spans[90][by]).sum()
    found["usage_channels_90d"] = distinct(spans[90], "channel")
    for name in SHARED_CHANNELS:
        of_channel = count(spans[90][spans[90]["channel"] == name])
        found[f"usage_share_{name}_90d"] = of_channel / count(spans[90][spans[90]["channel"].notna()])
    community = rows[rows["channel"] == "community"]
    found["community_events_90d"] = count(spans[90][spans[90]["channel"] == "community"])
    found["days_since_community_event"] = (as_of_us - community.groupby(by)["own_us"].max()) / day_us
    found.sort_index().reset_index().to_parquet(out)
