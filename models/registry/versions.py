"""Model versions in MLflow: log, register, promote, roll back, list.

Nothing is ever stored or loaded as pickle: what is logged is the bundle, and MLflow finds `vouch.models.predictor` by
name.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.features.errors import BundleError, Refused, UsageError
from vouch.models.predictor import CHAMPIONS, champion_folder
from vouch.models.registry.bundles import columns_made, columns_read, load_bundle, loader_of
from vouch.models.registry.champions import UNFINISHED, begin, finish, history, installed, note, promotion, unfinished
from vouch.models.registry.connection import EXPERIMENT, WEEKS, answering, connect, is_tracked
from vouch.models.registry.offsets import in_force, offsets
from vouch.models.registry.revision import git_revision
from vouch.models.scoring.documents import checked_digest, object_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import ModuleType

    import pandas as pd
    from mlflow import MlflowClient

    from vouch.models.registry.bundles import AnyPredictor
    from vouch.models.registry.offsets import Offset

CHAMPION = "champion"
DIGEST_CHARACTERS = 36
"""As many as MLflow keeps of a digest."""
REQUIREMENTS = ("vouch", "lightgbm", "numpy", "pandas", "scipy")
NOT_JUDGED = "not evaluated"
"""What `gate` says of a version that never met it."""
OWN_TAGS = frozenset(
    {
        *("data_fingerprint", "model_fingerprint", "code_fingerprint", "definition_fingerprint", "as_of", "seed"),
        *("candidate", "members", "trials", "is_reproducible", "gate", "champion_then", "refused_by", "figures"),
        *("content_hash", "kind", "target", "label", "id", "time", "promoted_at_us", "from_version", "reason"),
        *("git_is_changed",),
    }
)
"""Tags by which vouch tells what a version is: nobody else sets them."""
TAG_NAME, TAG_VALUE = re.compile(r"[^\W\d_][\w. -]{0,249}"), 8_000
"""Tags that MLflow keeps."""
FIGURES = ("roc_auc", "pr_auc", "log_loss", "brier_skill", "calibration_error")


@dataclass(frozen=True)
class TrainingRun:
    """What one training run leaves: its bundle, and what people look up. `files` are artifacts by name."""

    model: str
    bundle: Path
    example: pd.DataFrame
    parameters: Mapping[str, Any]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    files: Mapping[str, bytes] = field(default_factory=dict)
    trials: Sequence[Mapping[str, Any]] = ()
    """The search for parameters, each trial a nested run: `trial`, `loss`, `is_cut`, and what it tried."""
    name: str = ""
    """What the run is called; the model's name where nothing is said."""
    description: str = ""
    """What a person reads first of run and version, as Markdown."""
    learned_from: Mapping[str, Any] = field(default_factory=dict)
    """What it was fitted and judged on: `digest` of the tables, and whatever tells rows and instants."""


@dataclass(frozen=True)
class RunLabels:
    """What whoever trains says of the run, refused before anything is trained where MLflow would not keep it.

    Raises UsageError for a tag that is vouch's or MLflow's own, and for a name or value that is none.
    """

    experiment: str = EXPERIMENT
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """See that each tag can be kept, and says nothing that vouch or MLflow says itself."""
        if wrong := [
            name for name, value in self.tags.items() if not TAG_NAME.fullmatch(name) or len(value) > TAG_VALUE
        ]:
            raise UsageError(
                f"Tag {wrong[0]!r}: a name has at most 250 letters, digits, spaces and ._-, and begins with a letter; "
                f"a value has at most {TAG_VALUE:,} characters"
            )
        own = [name for name in self.tags if name in OWN_TAGS or name.startswith(("mlflow.", "vouch."))]
        if own:
            raise UsageError(f"Tags {', '.join(own)} are set by vouch and MLflow themselves: choose other names")
        if self.experiment == WEEKS or not self.experiment.strip():
            raise UsageError(f"The experiment {self.experiment!r} is not for training: choose another name")


@dataclass(frozen=True)
class Registered:
    """A version in the registry, and the run that made it."""

    version: int
    run_id: str


def log_week(
    home: Path, name: str, tags: Mapping[str, str], metrics: Mapping[str, float], files: Mapping[str, bytes],
    tracking: str | None = None,
) -> None:  # fmt: skip
    """Log how the champions fared in a published week, as a run of its own."""
    with answering(home, tracking):
        mlflow, _ = connect(home, tracking)
        mlflow.set_experiment(WEEKS)
        with mlflow.start_run(run_name=name):
            mlflow.set_tags(dict(tags))
            mlflow.log_metrics({name: float(value) for name, value in metrics.items() if np.isfinite(value)})
            _log_files(mlflow, files)


def register(home: Path, run: TrainingRun, tracking: str | None = None, labels: RunLabels | None = None) -> Registered:
    """Log a run with its bundle as a pyfunc model, and register the bundle as a new version of the model."""
    labels = labels or RunLabels()
    with answering(home, tracking):
        mlflow, client = connect(home, tracking, labels.experiment)
        predictor = load_bundle(run.bundle)
        tags = {**run.tags, "content_hash": predictor.content_hash, "kind": predictor.kind, "target": predictor.target}
        mlflow.set_experiment(labels.experiment)
        with mlflow.start_run(run_name=run.name or run.model, description=run.description or None) as active:
            run_id = active.info.run_id
            _log_input(mlflow, client, run_id, run)
            mlflow.log_params({name: str(value)[:6000] for name, value in run.parameters.items()})
            mlflow.log_metrics({name: float(value) for name, value in run.metrics.items() if np.isfinite(value)})
            mlflow.set_tags({**labels.tags, **git_revision(Path.cwd()), **tags})
            _log_files(mlflow, run.files)
            _log_trials(mlflow, run)
            logged = mlflow.pyfunc.log_model(
                name=run.model,
                loader_module=loader_of(predictor),
                data_path=str(run.bundle),
                pip_requirements=_requirements(),
                signature=_signature(mlflow, predictor, run.example),
                input_example=run.example.head(5),
            )
        _ensure_registered(mlflow, client, run.model)
        made = client.create_model_version(
            run.model, logged.model_uri, run_id, tags=tags, description=run.description, model_id=logged.model_id
        )
        return Registered(int(made.version), run_id)


def _log_input(mlflow: ModuleType, client: MlflowClient, run_id: str, run: TrainingRun) -> None:
    """Say what a run learned from, where MLflow shows the data of a run; the rows themselves stay where they are."""
    if not run.learned_from:
        return
    entities, content = mlflow.entities, json.dumps(run.learned_from, ensure_ascii=False)
    dataset = entities.Dataset(
        name=f"{run.model} vectors",
        digest=str(run.learned_from["digest"])[:DIGEST_CHARACTERS],
        source_type="vouch",
        source=json.dumps({"fingerprint": run.learned_from["digest"]}),
        profile=content,
    )
    client.log_inputs(run_id, [entities.DatasetInput(dataset, [entities.InputTag("mlflow.data.context", "training")])])


def _log_files(mlflow: ModuleType, files: Mapping[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        mlflow.log_artifacts(folder)


def _log_trials(mlflow: ModuleType, run: TrainingRun) -> None:
    for trial in run.trials:
        tried = {name: value for name, value in trial.items() if name not in {"trial", "loss", "is_cut"}}
        with mlflow.start_run(run_name=f"{run.model}-trial-{trial['trial']}", nested=True):
            mlflow.log_params(tried)
            mlflow.log_metric("log_loss", float(trial["loss"]))
            mlflow.set_tag("is_cut", str(trial["is_cut"]))


def _ensure_registered(mlflow: ModuleType, client: MlflowClient, name: str) -> None:
    try:
        client.create_registered_model(name)
    except mlflow.exceptions.MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _requirements() -> list[str]:
    """Stated, because MLflow would take seven seconds to guess them."""
    requirements = []
    for name in REQUIREMENTS:
        try:
            requirements.append(f"{name}=={importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            requirements.append(name)
    return requirements


def _signature(mlflow: ModuleType, predictor: AnyPredictor, example: pd.DataFrame) -> Any:
    """Names and types of what goes in and comes out; every feature may be missing."""
    types = mlflow.types
    columns = [
        types.ColSpec(types.DataType.double if is_number else types.DataType.string, name, required=False)
        for name, is_number in columns_read(predictor).items()
    ]
    made = [types.ColSpec(types.DataType.double, name) for name in columns_made(predictor)]
    return mlflow.models.ModelSignature(types.Schema(columns), types.Schema(made))


@contextmanager
def _fetched(mlflow: ModuleType, client: MlflowClient, name: str, version: int) -> Iterator[tuple[Path, str, Any]]:
    """Download a version: its bundle, its card, and what the registry knows of it."""
    try:
        known = client.get_model_version(name, str(version))
    except mlflow.exceptions.MlflowException as error:
        numbers = [row["version"] for row in _versions(client, name, ())]
        raise UsageError(f"Model {name!r} has no version {version}. Versions: {numbers or 'none'}") from error
    with tempfile.TemporaryDirectory() as folder:
        local = Path(mlflow.artifacts.download_artifacts(artifact_uri=f"models:/{name}/{version}", dst_path=folder))
        bundle = next((path.parent for path in sorted(local.rglob("manifest.json"))), None)
        if bundle is None:
            raise BundleError(f"Version {version} of {name!r} in the registry holds no bundle. Train {name!r} again.")
        card = Path(client.download_artifacts(str(known.run_id), "card.md", folder)).read_text(encoding="utf-8")
        yield bundle, card, known


def promote_version(
    home: Path,
    name: str,
    version: int,
    bundle: Path,
    card: str,
    entry: Mapping[str, Any],
    tracking: str | None = None,
) -> None:
    """Make a version the champion: its bundle for serving first, then the alias, then the history.

    Raises BundleError, and changes nothing, where the bundle is not sound or not the one that was registered. Where the
    process is killed on the way, the next promotion or `finish_promotions` does the rest.
    """
    with answering(home, tracking):
        _, client = connect(home, tracking)
        content_hash = _content_hash(client.get_model_version(name, str(version)))
        with promotion(home, name) as folder:
            _finish(client, name, folder)
            before = champion_version(home, name)
            record = {**entry, "version": version, "content_hash": content_hash, "from_version": before}
            begin(folder, record, card)
            with installed(folder, bundle, card, content_hash):
                _announce(client, name, record)
            finish(folder, record)


def _content_hash(known: Any) -> str:
    """The hash that a version was registered with; raises BundleError where its tag can be none."""
    try:
        return checked_digest(known.tags.get("content_hash"))
    except BundleError as error:
        raise BundleError(f"Version {known.version} of {known.name!r} in the registry: {error}") from error


def _announce(client: MlflowClient, name: str, entry: Mapping[str, Any]) -> None:
    """Tell the registry who is the champion, since when, after whom, and why."""
    version = str(entry["version"])
    client.set_registered_model_alias(name, CHAMPION, version)
    tags = {"promoted_at_us": entry["at_us"], "from_version": entry["from_version"], "reason": entry["reason"]}
    for tag, value in tags.items():
        client.set_model_version_tag(name, version, tag, str(value))


def _finish(client: MlflowClient, name: str, folder: Path) -> bool:
    """Do the rest of a promotion that was cut off, if there is one (with the lock held)."""
    entry = unfinished(folder)
    if entry is None:
        return False
    _announce(client, name, entry)
    finish(folder, entry)
    return True


def finish_promotions(home: Path, client: MlflowClient) -> int:
    """Do the rest of promotions that were cut off, so that serving and registry are of one mind; return how many."""
    done = 0
    for path in sorted((home / CHAMPIONS).glob(f"*/{UNFINISHED}")):
        with promotion(home, path.parent.name) as folder:
            done += _finish(client, path.parent.name, folder)
    return done


def refuse(home: Path, name: str, version: int, entry: Mapping[str, Any]) -> None:
    """Keep in the history that the gate refused a version; the champion stays."""
    with promotion(home, name) as folder:
        note(folder, {**entry, "version": version})


def promote(home: Path, name: str, version: int, reason: str, now_us: int, tracking: str | None = None) -> None:
    """Make a registered version the champion by hand.

    Raises UsageError where there is no such version, Refused where it was never evaluated.
    """
    _by_hand(home, name, version, {"action": "promote", "reason": reason, "at_us": now_us}, tracking)


def rollback(home: Path, name: str, reason: str, now_us: int, tracking: str | None = None) -> int:
    """Make the champion before this one the champion again, and return its version.

    Raises UsageError where there was none.
    """
    crowned = [entry["version"] for entry in history(home, name) if entry["action"] != "refuse"]
    reigns = _champion_history(history(home, name))
    if len(reigns) < 2:
        raise UsageError(f"Model {name!r} had no champion before {crowned[-1] if crowned else 'any version'}")
    _by_hand(home, name, reigns[-2], {"action": "rollback", "reason": reason, "at_us": now_us}, tracking)
    return reigns[-2]


def _champion_history(entries: list[dict[str, Any]]) -> list[int]:
    """Champions in order; a rollback takes the last one away."""
    reigns: list[int] = []
    for entry in entries:
        if entry["action"] == "rollback":
            reigns.pop()
        elif entry["action"] != "refuse" and entry["version"] not in reigns[-1:]:
            reigns.append(entry["version"])
    return reigns


def champion_version(home: Path, name: str) -> int | None:
    """Return the version that is the champion on this machine, or None where there is none."""
    reigns = _champion_history(history(home, name))
    return reigns[-1] if reigns else None


def _by_hand(home: Path, name: str, version: int, entry: Mapping[str, Any], tracking: str | None) -> None:
    champion_folder(home, name)  # no name, no question to the registry
    with answering(home, tracking):
        mlflow, client = connect(home, tracking)
        with _fetched(mlflow, client, name, version) as (bundle, card, known):
            if known.tags.get("gate") == NOT_JUDGED:
                raise Refused(
                    f"Version {version} of {name!r} was never evaluated: nobody knows how good it is. Run "
                    f"`vouch train {name}` with its evaluation, and promote what comes of it."
                )
            promote_version(home, name, version, bundle, card, entry, tracking)


def list_models(home: Path, tracking: str | None = None) -> list[dict[str, Any]]:
    """Return registered versions, by model and falling version: aliases, gate result, key figures, where from."""
    if not is_tracked(home, tracking):
        return []
    with answering(home, tracking):
        _, client = connect(home, tracking)
        names = sorted(model.name for model in client.search_registered_models())
        return [row for name in names for row in _versions(client, name, offsets(home, name))]


def _offset_of(offsets: Sequence[Offset], content_hash: str | None) -> float | None:
    """The shift of the log-odds that a version is served with; None without one."""
    known = in_force(offsets, content_hash) if content_hash else None
    return known.offset if known else None


def _versions(client: MlflowClient, name: str, shifts: Sequence[Offset]) -> list[dict[str, Any]]:
    aliases = {
        int(version): alias for model in client.search_registered_models(f"name = '{name}'")
        for alias, version in model.aliases.items()
    }  # fmt: skip
    versions = client.search_model_versions(f"name = '{name}'")
    rows = []
    for known in sorted(versions, key=lambda model: -int(model.version)):
        figures = object_in(known.tags.get("figures", "{}"))
        rows.append(
            {
                "model": name,
                "version": int(known.version),
                "alias": aliases.get(int(known.version)),
                "gate": known.tags.get("gate"),
                "kind": known.tags.get("kind"),
                "target": known.tags.get("target"),
                "as_of": known.tags.get("as_of"),
                "offset": _offset_of(shifts, known.tags.get("content_hash")),
                **{figure: figures.get(figure) for figure in FIGURES},
                "content_hash": known.tags.get("content_hash"),
                "run_id": known.run_id,
            }
        )
    return rows
