"""Runs that were interrupted: a killed training leaves its run and its logged model as if they were still at work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.registry import EXPERIMENT, answering, connect

if TYPE_CHECKING:
    from pathlib import Path


def mark_interrupted(home: Path, now_us: int, older_than_us: int, tracking: str | None = None) -> dict[str, int]:
    """Mark runs that are at work for longer than that as killed, and models that were never finished as failed.

    Call it with the lock of training. Returns how many of each.
    """
    if tracking is None and not (home / "mlflow" / "mlflow.db").exists():
        return {"runs": 0, "models": 0}
    with answering(home, tracking):
        _, client = connect(home, tracking)
        return _marked(client, now_us, (now_us - older_than_us) // 1000)


def _marked(client: Any, now_us: int, before_ms: int) -> dict[str, int]:
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None, "it was made when the client connected"
    where = f"attributes.status = 'RUNNING' AND attributes.start_time < {before_ms}"
    runs = client.search_runs([experiment.experiment_id], where, max_results=10_000)
    for run in runs:
        client.set_terminated(run.info.run_id, "KILLED", end_time=now_us // 1000)
    pending = [
        model
        for model in client.search_logged_models([experiment.experiment_id], max_results=100)
        if str(model.status).endswith("PENDING") and model.creation_timestamp < before_ms
    ]
    for model in pending:
        client.finalize_logged_model(model.model_id, "FAILED")
    return {"runs": len(runs), "models": len(pending)}


def learned_since(home: Path, date: str | None, tracking: str | None = None) -> list[dict[str, object]]:
    """Return the versions of models that were fitted on what was known after a date; None means on anything."""
    from models.registry import list_models

    rows = list_models(home, tracking)
    return [
        {name: row[name] for name in ("model", "version", "alias", "as_of")}
        for row in rows
        if date is None or not row["as_of"] or str(row["as_of"]) > date
    ]
