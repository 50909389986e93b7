"""The connection to MLflow: the team's server, or an SQLite database and artifacts under `home/mlflow/`.

It is the one way there. The database is made under a file lock, because its first use is a race. It speaks of files by
whole paths, which are set right where the home has moved.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from filelock import FileLock

from vouch.features.errors import TrackingError
from vouch.features.private import open_as_usual
from vouch.features.project import aside, settle, sqlite_url, suggest, unchanged_settings
from vouch.features.shown import redacted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

    from mlflow import MlflowClient

EXPERIMENT, WEEKS = "vouch", "vouch weeks"
"""Where training runs are logged unless another experiment is named, and where weeks of scoring."""
TRAINING = "vouch.training"
"""Tag of the experiments that training runs are logged in."""
_KIND = {"mlflow.experimentKind": "custom_model_development"}
"""Has MLflow's page open an experiment with its runs, models and charts; it takes it for one of prompts else."""
SWITCHES = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output holds one document and nothing else
}
"""What MLflow reads from the environment only. Few retries: by default an absent server is waited for four minutes."""
PATIENCE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
"""Seconds for a server to say something, unless somebody wants another number: by default it is two minutes, three
times."""
SURROUNDING = (
    "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_CONTEXT", "MLFLOW_ACTIVE_MODEL_ID",
    "_MLFLOW_ACTIVE_MODEL_ID",
)  # fmt: skip
"""What a job around us tells MLflow of its own run: ours are our own."""
PLACES = {
    "experiments": ("artifact_location",), "runs": ("artifact_uri",), "logged_models": ("artifact_location",),
    "model_versions": ("source", "storage_location"),
}  # fmt: skip
"""Columns in which MLflow's database keeps whole paths of files."""
WAIT_SECONDS = 60
"""How long a statement waits for another process that has locked the database."""


@contextmanager
def answering(home: Path, tracking: str | None) -> Iterator[None]:
    """Turn what a server, a database or a disk says when it fails into one message; raises TrackingError."""
    settle(**SWITCHES)
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with aside(*SURROUNDING):
            yield
    except (MlflowException, RequestException, SQLAlchemyError, OSError, ImportError) as error:
        place = redacted(tracking) if tracking else str(home / "mlflow")
        cause = getattr(error, "orig", None) or error
        message = redacted(str(cause).strip().split("\n")[0])[:200]
        raise TrackingError(
            f"The tracking server {place} does not answer: {type(cause).__name__}: {message}. See that it is up, not "
            "locked by another program, and has room; then run again. The champion is as it was."
        ) from error


def database_url(home: Path) -> str:
    """Where MLflow's database of a home is, as SQLAlchemy is told."""
    return sqlite_url(home / "mlflow" / "mlflow.db", timeout=f"{WAIT_SECONDS}")


def connect(home: Path, tracking: str | None = None, experiment: str = EXPERIMENT) -> tuple[ModuleType, MlflowClient]:
    """Return mlflow and a client on the team's server, or on the database under `home`, made on first use."""
    settle(**SWITCHES)
    suggest(**PATIENCE)
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    folder = home / "mlflow"
    uri = tracking or database_url(home)
    # It would tell the next project where this one logs.
    with unchanged_settings("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
    if tracking:
        return mlflow, _with_experiments(mlflow.MlflowClient(uri, uri), None, experiment)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):  # a client makes the tables of a database that is new
        client = _with_experiments(mlflow.MlflowClient(uri, uri), (folder / "artifacts").as_uri(), experiment)
        _move_in(client, folder)
        open_as_usual(folder / "mlflow.db")
        return mlflow, client


def _move_in(client: MlflowClient, folder: Path) -> None:
    """Where the home has another place or name than before, have the database speak of files where they are now."""
    here, experiment = (folder / "artifacts").as_uri(), client.get_experiment_by_name(EXPERIMENT)
    if experiment is None or experiment.artifact_location == here:
        return
    before = experiment.artifact_location
    with closing(sqlite3.connect(folder / "mlflow.db", timeout=WAIT_SECONDS)) as database, database:
        for table, columns in PLACES.items():
            for column in columns:
                database.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                    f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                    [here, len(before) + 1, before, len(before) + 1, f"{before}/"],
                )


def _with_experiments(client: MlflowClient, artifacts: str | None, named: str) -> MlflowClient:
    """Make the experiments that are missing, and see that each says what it is of."""
    for name in dict.fromkeys((EXPERIMENT, WEEKS, named)):
        tags = _KIND if name == WEEKS else {**_KIND, TRAINING: "true"}
        known = client.get_experiment_by_name(name)
        if known is None:
            client.create_experiment(name, artifact_location=artifacts, tags=tags)
            continue
        for tag, value in tags.items():
            if known.tags.get(tag) != value:
                client.set_experiment_tag(known.experiment_id, tag, value)
    return client


def is_tracked(home: Path, tracking: str | None = None) -> bool:
    """Whether there is a server, or a database that training made: nobody else makes one."""
    return tracking is not None or (home / "mlflow" / "mlflow.db").exists()
