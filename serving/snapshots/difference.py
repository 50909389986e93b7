"""The difference of two revisions of a week: why, whose rows, which columns, and by how much."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from vouch.features.instants import parse_instant
from vouch.serving.snapshots.schema import MODELS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

    from vouch.serving.snapshots.files import Snapshot

_INPUTS = {
    "input_fingerprint": "the data",
    "definition_fingerprint": "definitions of features",
    "metrics_fingerprint": "definitions of metrics",
    "code_version": "the version of vouch",
}
_NESTED = tuple(f"{model}_{part}" for model in MODELS for part in ("reasons", "within"))


def _flat(table: pa.Table) -> pa.Table:
    return table.drop([name for name in _NESTED if name in table.column_names])


def changed_inputs(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Say what went into a week that differs between two manifests."""
    changed = [words for name, words in _INPUTS.items() if before.get(name) != after.get(name)]
    models = {*before.get("models", {}), *after.get("models", {})}
    if (before.get("health") or {}).get("digest") != (after.get("health") or {}).get("digest"):
        changed.append("the health rules")
    return changed + [
        f"the model of {name}"
        for name in sorted(models)
        if before.get("models", {}).get(name) != after.get("models", {}).get(name)
    ]


WEEK_BEFORE = "the week before it"
"""What changed where an earlier week was published after a week that tells what moved since."""


def is_stale(standing: Snapshot, before: Snapshot) -> bool:
    """Whether what moved in a published week was told against another week than the one that stands before it now.

    A week before that was thinned away since leaves what was told then as it is.
    """
    if "changes_since" not in standing.manifest:  # by a release that did not tell
        return False
    since = standing.manifest["changes_since"]
    if since is None:
        return True
    then, now = since["as_of"], before.name["as_of"]
    return parse_instant(now) > parse_instant(then) or (now == then and since["revision"] != before.revision)


def difference(before: Snapshot, folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return how the tables of a draft differ from a published revision of the same week.

    By column: how many customers' values are others, and by how much at most where they are numbers. Lists are not
    compared: where reasons are others, so is the raw score that they add up to, or the value in words; how soon follows
    from the probability.
    """
    old, new = (_flat(table) for table in (before.table("scores"), _read(folder / "scores.parquet")))
    then, now = (table.to_pandas().set_index("customer_id") for table in (old, new))
    both = now.index.intersection(then.index)
    columns = {name: _column(then.loc[both, name], now.loc[both, name]) for name in now.columns if name in then.columns}
    changed = {name: of for name, (of, _) in columns.items() if of.any()}
    metrics = _metrics(before.table("metrics")), _metrics(_read(folder / "metrics.parquet"))
    return {
        "against": before.revision,
        "because": changed_inputs(before.manifest, manifest),
        "customers_added": len(now) - len(both),
        "customers_removed": len(then) - len(both),
        "customers_changed": int(_any(list(changed.values()))),
        "columns": {name: {"customers": int(of.sum()), "largest": columns[name][1]} for name, of in changed.items()},
        "metrics_changed": sum(metrics[0].get(key) != metrics[1].get(key) for key in {*metrics[0], *metrics[1]}),
    }


def _column(then: pd.Series[Any], now: pd.Series[Any]) -> tuple[pd.Series[bool], float | None]:
    """Which values differ (null equals null), and by how much at most."""
    differs = ~((then == now) | (then.isna() & now.isna())).fillna(False).astype(bool)
    if now.dtype.kind != "f":
        return differs, None
    largest = (now - then).abs().max()
    return differs, None if largest != largest else float(largest)


def _any(columns: list[pd.Series[bool]]) -> int:
    if not columns:
        return 0
    is_any = columns[0]
    for column in columns[1:]:
        is_any = is_any | column
    return int(is_any.sum())


def _metrics(table: pa.Table) -> dict[tuple[Any, ...], dict[str, Any]]:
    return {(row["metric_id"], row["by"], row["segment"]): row for row in table.to_pylist()}


def _read(path: Path) -> pa.Table:
    return pq.read_table(path, page_checksum_verification=True)
