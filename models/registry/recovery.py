"""Recovery of interrupted trainings and promotions.

A killed training leaves its run and its logged model as if they were still at work, and perhaps a promotion that
serving knows of and the registry does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vouch.models.registry.connection import TRAINING, answering, connect
from vouch.models.registry.versions import finish_promotions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def mark_interrupted(home: Path, now_us: int, older_than_us: int, tracking: str | None = None) -> dict[str, int]:
    """Mark runs that are at work for longer than that as killed, and models that were never finished as failed.

    Promotions that were cut off are finished. Call it with the lock of training. Returns how many of each.
    """
    if tracking is None and not (home / "mlflow" / "mlflow.db").exists():
        return {"runs": 0, "models": 0, "promotions": 0}
    with answering(home, tracking):
        _, client = connect(home, tracking)
        marked = _marked(client, now_us, (now_us - older_than_us) // 1000)
        return {**marked, "promotions": finish_promotions(home, client)}


def _marked(client: Any, now_us: int, before_ms: int) -> dict[str, int]:
    ours = [
        version.experiment_id
        for version in _all(
            lambda token: client.search_experiments(filter_string=f"tags.`{TRAINING}` = 'true'", page_token=token)
        )
    ]
    where = f"attributes.status = 'RUNNING' AND attributes.start_time < {before_ms}"
    runs = list(_all(lambda token: client.search_runs(ours, where, page_token=token)))
    for run in runs:
        client.set_terminated(run.info.run_id, "KILLED", end_time=now_us // 1000)
    pending = [
        model
        for model in _all(lambda token: client.search_logged_models(ours, page_token=token))
        if str(model.status).endswith("PENDING") and model.creation_timestamp < before_ms
    ]
    for model in pending:
        client.finalize_logged_model(model.model_id, "FAILED")
    return {"runs": len(runs), "models": len(pending)}


def _all(page: Callable[[str | None], Any]) -> Iterator[Any]:
    """What a search finds, page by page."""
    answer = page(None)
    yield from answer
    while answer.token:
        answer = page(answer.token)
        yield from answer


def learned_since(home: Path, date: str | None, tracking: str | None = None) -> list[dict[str, object]]:
    """Return the versions of models that were fitted on what was known after a date; None means on anything."""
    from vouch.models.registry.versions import list_models

    rows = list_models(home, tracking)
    return [
        {name: row[name] for name in ("model", "version", "alias", "as_of")}
        for row in rows
        if date is None or not row["as_of"] or str(row["as_of"]) > date
    ]
