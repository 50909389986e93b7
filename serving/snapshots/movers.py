"""Movers since the snapshot before: largest rises and falls, newly at risk, newly speaking up.

Each row carries both scores, and the parts that add up exactly to the movement of the raw one
(`vouch.serving.scoring.score_changes`). Lists are short, ordered, and the same for the same two weeks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from vouch.serving.snapshots import schema as columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd

ROSE, FELL, NEW_HIGH, NO_LONGER_HIGH, NEW_ADVOCATE = "rose", "fell", "new_high", "no_longer_high", "new_advocate"
LISTS: Mapping[str, tuple[str, ...]] = {
    "churn": (ROSE, FELL, NEW_HIGH, NO_LONGER_HIGH),
    "advocacy": (ROSE, FELL, NEW_ADVOCATE),
}
"""Which lists there are of each model's movers."""
ADVOCATES = ("active", "influential")
LONGEST = 100
"""Customers in each list."""
STATES = ("customer_id", "churn_band", "advocate_tier")
_STATE_OF = {"churn": "churn_band", "advocacy": "advocate_tier"}


def state_columns() -> list[str]:
    """Columns of `scores` that movers are found by."""
    return [*STATES, *(f"{model}_{part}" for model in columns.MODELS for part in ("probability", "raw"))]


def mover_table(scores: pa.Table, before: pa.Table | None, changes: pa.Table, as_of_us: int) -> pa.Table:
    """Return `movers.parquet` from scores of both weeks (`state_columns`) and the changes, in the order of `scores`."""
    schema = columns.movers_schema(as_of_us)
    if before is None:
        return schema.empty_table()
    now = scores.to_pandas().assign(row=range(len(scores)))
    both = now.merge(before.to_pandas(), on="customer_id", how="inner", suffixes=("", "_before"))
    parts = [
        _rows(model, name, _listed(both, model, name), changes) for model, names in LISTS.items() for name in names
    ]
    table = pa.concat_tables([schema.remove(schema.get_field_index("as_of")).empty_table(), *parts])
    return table.append_column("as_of", columns.repeated(as_of_us, len(table))).select(schema.names).cast(schema)


def _listed(both: pd.DataFrame, model: str, name: str) -> pd.DataFrame:
    """The rows of one list, the largest movement of the probability first; ties by customer."""
    moved = both[f"{model}_probability"] - both[f"{model}_probability_before"]
    rose = both[f"{model}_raw"] - both[f"{model}_raw_before"]
    state, then = both[_STATE_OF[model]], both[f"{_STATE_OF[model]}_before"]
    chosen, size = {
        ROSE: (rose > 0, moved),
        FELL: (rose < 0, -moved),
        NEW_HIGH: ((state == "high") & (then != "high"), moved),
        NO_LONGER_HIGH: ((then == "high") & (state != "high"), -moved),
        NEW_ADVOCATE: (state.isin(ADVOCATES) & ~then.isin(ADVOCATES), both[f"{model}_probability"]),
    }[name]
    listed = both.assign(size=size.fillna(-float("inf"))).loc[chosen]
    return listed.sort_values(["size", "customer_id"], ascending=[False, True]).head(LONGEST)


def _rows(model: str, name: str, listed: pd.DataFrame, changes: pa.Table) -> pa.Table:
    def number(column: str) -> pa.Array:
        return pa.array(listed[column], pa.float64(), from_pandas=True)

    def text(column: str) -> pa.Array:
        return pa.array(listed[column], pa.string(), from_pandas=True)

    state = _STATE_OF[model]
    cells: dict[str, Any] = {
        "customer_id": text("customer_id"),
        "model": pa.array([model] * len(listed), pa.string()),
        "list": pa.array([name] * len(listed), pa.string()),
        "rank": pa.array(range(1, len(listed) + 1), pa.int64()),
        **{part: number(f"{model}_{part}") for part in ("probability", "raw")},
        **{f"{part}_before": number(f"{model}_{part}_before") for part in ("probability", "raw")},
        "state": text(state),
        "state_before": text(f"{state}_before"),
        "changes": changes[f"{model}_changes"].take(pa.array(listed["row"], pa.int64())).combine_chunks(),
    }
    return pa.table({field: cells[field] for field in columns.movers_schema(0).names if field != "as_of"})


def movers_of(table: pa.Table, model: str, name: str, longest: int) -> Iterator[dict[str, Any]]:
    """Give the first rows of one list."""
    for row in table.to_pylist():
        if (row["model"], row["list"]) == (model, name) and row["rank"] <= longest:
            yield row
