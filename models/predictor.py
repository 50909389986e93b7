"""The predictor: a bundle, verified before it is parsed, turned into log-odds, probabilities and reasons.

It is the one way to score. Serving reads `load_champion` and never the tracking server; MLflow loads the same bundle
through `_load_pyfunc`. Heavy libraries are imported only where a model needs them. Nothing that a bundle holds reaches
a library before its form was judged (`documents`, `model_text`): a bundle of any kind is either a model or a
BundleError.
"""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import numpy as np

from vouch.features.documents import NAME, Document
from vouch.features.errors import BundleError, UsageError
from vouch.features.ingest.own.own_features import register_own_features
from vouch.features.statistics.few import OTHER
from vouch.features.vectors.fingerprints import feature_fingerprints
from vouch.models.quality.drift import Histogram, histogram_from_json
from vouch.models.scoring import documents
from vouch.models.scoring.bundle import TABLE, as_bytes, check_definitions, read_files, write_files
from vouch.models.scoring.calibration import Calibrator, calibrator_from_json
from vouch.models.scoring.effects import Effects, effects_from_json
from vouch.models.scoring.feature_matrix import Column, FeatureMatrix
from vouch.models.scoring.hazard import DUE, Hazard, checked_weeks, hazard_from_json
from vouch.models.scoring.reasons import Reasons, grouped, take
from vouch.models.scoring.scorers import Scorer, model_files, scorer_from_files
from vouch.models.scoring.trees import CHUNK

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from vouch.models.scoring.trees import Matrix, Numbers


class Bundled(Protocol):
    """What was read of a bundle, of any kind."""

    @property
    def name(self) -> str:
        """Name of the model."""

    @property
    def content_hash(self) -> str:
        """Hash of the bundle."""


Part = TypeVar("Part")
Loaded = TypeVar("Loaded", bound=Bundled)
TOLERANCE = 1e-9
"""How far a golden score may be off: sums are exact, but exponentials differ between machines in the last digit."""
CHAMPIONS = "champions"
VERSIONS, SHORT = "versions", 16
"""Where promotion keeps bundles, each under so many characters of its content hash."""


class Scores(NamedTuple):
    """Raw log-odds and calibrated probability of each row."""

    raw: Numbers
    probability: Numbers


def encode(frame: Any, columns: Sequence[Column]) -> Matrix:
    """Return vectors (pandas or Arrow) as the float32 matrix that models read, columns found by name.

    A category becomes its code; one that training did not name is OTHER where the rare ones were pooled, else missing.
    Raises BundleError for a missing column.
    """
    present = frame.columns if hasattr(frame, "iloc") else frame.column_names
    missing = [column.name for column in columns if column.name not in present]
    if missing:
        raise BundleError(f"The vectors lack {len(missing)} features that the model reads, for example {missing[0]!r}")
    matrix = np.empty((len(frame), len(columns)), dtype=np.float32)
    if isinstance(frame, FeatureMatrix):
        numbers = [position for position, column in enumerate(columns) if column.categories is None]
        matrix[:, numbers] = frame.take([columns[position].name for position in numbers])
    for position, column in enumerate(columns):
        if isinstance(frame, FeatureMatrix):
            if column.categories is not None:
                matrix[:, position] = _codes(frame.texts[column.name], column.categories)
            continue
        values = take(frame, column.name)
        if column.categories is None:
            matrix[:, position] = np.asarray(values, np.float64)
        else:
            matrix[:, position] = _codes(values, column.categories)
    return matrix


def _codes(values: np.ndarray[Any, Any], categories: Sequence[str]) -> np.ndarray[Any, Any]:
    import pandas as pd

    given = pd.Index(values, dtype="str")
    codes = pd.Index(list(categories), dtype="str").get_indexer(given)
    rest = np.where(given.isna(), np.nan, list(categories).index(OTHER)) if OTHER in categories else np.nan
    return np.where(codes < 0, rest, codes)


@dataclass(frozen=True)
class Predictor:
    """A model that is ready to score. Made by `Predictor.load` or by `write_bundle`."""

    manifest: Mapping[str, Any]
    content_hash: str
    columns: tuple[Column, ...]
    scorer: Scorer
    calibrator: Calibrator
    reference: tuple[Histogram, ...] = ()
    """What its newest rows looked like, for drift; empty for a bundle that was written without them."""
    hazard: Hazard | None = None
    """How soon, where the outcome is a moment."""
    effects: Effects | None = None
    """What a treatment adds, where the outcome answers one."""

    @property
    def name(self) -> str:
        """Name of the model's definition."""
        return str(self.manifest["model"])

    @property
    def target(self) -> str:
        """Name of the target (way to say what comes true) that it was fitted for."""
        return str(self.manifest["target"])

    @property
    def kind(self) -> str:
        """`lightgbm`, `logistic`, `mean` (of trees and a line) or `rules`."""
        return str(self.manifest["kind"])

    @property
    def names(self) -> tuple[str, ...]:
        """Features that it reads, in order."""
        return tuple(column.name for column in self.columns)

    @staticmethod
    def load(folder: Path, verify: bool = True) -> Predictor:
        """Read a bundle.

        Hashes are compared before anything is parsed, the features that it reads must be defined as they were, and the
        golden rows must score as written. Raises BundleError.
        """
        folder = Path(folder).resolve()
        manifest, files, content_hash = read_files(folder, verify)
        predictor = _assembled(manifest, files, content_hash)
        check_definitions(folder, manifest, files)
        if verify:
            _check_golden(folder, predictor, files["golden.json"])
        return predictor

    def shifted(self, offset: float) -> Predictor:
        """The same with an offset in force: so much is added to the log-odds of every probability."""
        return replace(self, calibrator=replace(self.calibrator, shift=offset))

    def score(self, frame: Any) -> Scores:
        """Score vectors given as pandas or Arrow; columns are found by name."""
        return self.score_matrix(encode(frame, self.columns))

    def score_matrix(self, matrix: Matrix) -> Scores:
        """Score rows that are encoded already (`encode`, in the order of `columns`)."""
        if matrix.shape[1] != len(self.columns):
            raise BundleError(f"The model reads {len(self.columns)} features, the matrix holds {matrix.shape[1]}")
        raw = self.scorer.raw(matrix) if len(matrix) else np.empty(0)
        return Scores(raw, self.calibrator.apply(raw))

    def interval(self, raw: Numbers) -> tuple[Numbers, Numbers]:
        """Ends of the 95 % interval of the probability of raw scores; NaN where the bundle keeps none."""
        return self.calibrator.interval(raw)

    def reasons(self, frame: Any) -> Reasons:
        """Exact parts of the raw log-odds of each row, by family; `base` plus a row's parts is its raw score."""
        return self.explained(frame)[1]

    def explained(self, frame: Any) -> tuple[Scores, Reasons]:
        """Scores as `score` gives them, with their reasons, at little more than the cost of the reasons."""
        matrix = encode(frame, self.columns)
        chunks = [matrix[start : start + CHUNK] for start in range(0, max(len(matrix), 1), CHUNK)]
        raws, parts = zip(*_by_processors(self._explained, chunks), strict=True)
        raw = np.concatenate(raws)
        return Scores(raw, self.calibrator.apply(raw)), Reasons(
            base=self.scorer.base,
            families=parts[0][0],
            contributions=np.concatenate([sums for _, sums, _ in parts]),
            features=np.concatenate([leading for _, _, leading in parts]),
            names=self.names,
        )

    def within(self, frame: Any, weeks: int) -> Numbers:
        """Probability that the outcome comes true within 1 to 26 weeks; within the model's own horizon it is `score`'s.

        Raises UsageError for another number of weeks, and where the model does not say how soon.
        """
        return np.asarray(self.by_week(frame)[:, checked_weeks(weeks) - 1])

    def by_week(self, frame: Any, probability: Numbers | None = None) -> Numbers:
        """The same for each number of weeks: rows by 26, rising along a row.

        `probability` is what `score` says of the same vectors, where that is known already.
        """
        if self.hazard is None:
            raise UsageError(f"This version of model {self.name!r} does not say how soon: it has no hazard")
        if probability is None:
            probability = self.score(frame).probability
        read = {column.name: column for column in self.columns}
        due = [
            encode(frame, [read[name]])[:, 0].astype(np.float64) if name in read else np.full(len(probability), np.nan)
            for name in DUE
        ]
        return self.hazard.by_week(probability, due)

    def moved(self, before: Any, now: Any) -> Numbers:
        """Log-odds by row and feature (`names`): exact shares in the difference of the raw scores of two vectors.

        What did not change has none. Vectors as for `score`, row by row of the same customers.
        """
        return self.scorer.moved(encode(before, self.columns), encode(now, self.columns))

    def _explained(self, matrix: Matrix) -> tuple[Numbers, tuple[tuple[str, ...], Any, Any]]:
        """Raw scores of a chunk, and what `grouped` makes of their parts."""
        raw, moves = self.scorer.explained(matrix) if len(matrix) else (np.empty(0), np.empty(matrix.shape))
        return raw, grouped(self.columns, moves)


def _by_processors(work: Callable[[Matrix], Part], chunks: Sequence[Matrix]) -> list[Part]:
    """What some work, most of which is outside Python, makes of each chunk; a single one is not worth a thread."""
    if len(chunks) == 1:
        return [work(chunks[0])]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return list(threads.map(work, chunks))


def _assembled(manifest: Mapping[str, Any], files: Mapping[str, bytes], content_hash: str) -> Predictor:
    if manifest["kind"] == documents.VALUE_KIND:
        raise BundleError(f"Model {manifest['model']!r} says what customers are worth, and gives no probability")
    try:
        listed, _ = documents.read_bundle_document(documents.Features, "features.json", files["features.json"])
        columns = tuple(
            Column(of.name, of.family, None if of.categories is None else tuple(of.categories))
            for of in listed.features
        )
        scorer = scorer_from_files(manifest["kind"], files, columns)
        calibrator = calibrator_from_json(_plain_of(documents.Calibration, "calibrator.json", files))
        counted = _plain_of(documents.Reference, "reference.json", files) if "reference.json" in files else None
        reference = tuple(histogram_from_json(of) for of in counted["histograms"]) if counted else ()
        hazard = hazard_from_json(_plain_of(documents.Soon, "hazard.json", files)) if "hazard.json" in files else None
        effects = _effects_of(files["effects.json"], columns) if "effects.json" in files else None
    except BundleError as error:
        raise BundleError(f"The bundle of model {manifest['model']!r} is not sound: {error}") from error
    return Predictor(manifest, content_hash, columns, scorer, calibrator, reference, hazard, effects)


def _effects_of(content: bytes, columns: tuple[Column, ...]) -> Effects:
    form, plain = documents.read_bundle_document(documents.EffectNumbers, "effects.json", content)
    if not form.fits(columns):
        raise BundleError("effects.json does not fit the features that the bundle lists")
    return effects_from_json(plain)


def _plain_of(form: type[Document], name: str, files: Mapping[str, bytes]) -> Any:
    """The numbers of a document, once its form was judged."""
    return documents.read_bundle_document(form, name, files[name])[1]


def _check_golden(folder: Path, predictor: Predictor, content: bytes) -> None:
    import pandas as pd

    golden, _ = documents.read_bundle_document(documents.Golden, f"The golden rows of {folder}", content)
    if not golden.fits(predictor.columns):
        raise BundleError(f"The golden rows of {folder} do not fit the features that the bundle lists")
    scores = predictor.score(pd.DataFrame(golden.rows, columns=list(predictor.names)))
    for name, score in zip(("raw", "probability"), scores, strict=True):
        if not np.allclose(score, np.array(getattr(golden, name), float), rtol=0, atol=TOLERANCE):
            raise BundleError(f"The model bundle {folder} does not reproduce its golden rows ({name}). Train it again.")


def write_bundle(
    folder: Path,
    *,
    model: str,
    target: str,
    kind: str,
    content: str | Mapping[str, Any],
    columns: Sequence[Column],
    calibrator: Calibrator,
    golden: pd.DataFrame,
    facts: Mapping[str, Any],
    reference: Sequence[Histogram] = (),
    hazard: Hazard | None = None,
    effects: Effects | None = None,
) -> Predictor:
    """Write a fitted model as a bundle and return it, ready to score.

    `content` is LightGBM's text, the numbers of a formula, or both (`trees` beside them) for a mean; `golden` holds
    made-up rows (never a customer's) with one column per feature; `facts` are further entries of the manifest
    (fingerprints of data, definition and code); `reference` what later weeks are compared with, `hazard` how soon,
    `effects` what a treatment adds.
    """
    fingerprints = {} if TABLE in facts else feature_fingerprints()
    features = [
        {
            "name": column.name,
            "family": column.family,
            "categories": column.categories and list(column.categories),
            "fingerprint": None if TABLE in facts else fingerprints[column.name],
        }
        for column in columns
    ]
    manifest = {**facts, "model": model, "target": target, "kind": kind}
    files = {
        **model_files(kind, content),
        "calibrator.json": as_bytes(calibrator.as_json()),
        "features.json": as_bytes({"features": features}),
    }
    if reference:
        files["reference.json"] = as_bytes({"histograms": [histogram.as_json() for histogram in reference]})
    if hazard:
        files["hazard.json"] = as_bytes(hazard.as_json())
    if effects:
        files["effects.json"] = as_bytes(effects.as_json())
    predictor = _assembled(manifest, files, "")
    rows = golden[list(predictor.names)]
    scores = predictor.score(rows)
    cells = [[_plain(value) for value in row] for row in rows.itertuples(index=False)]
    files["golden.json"] = as_bytes(
        {"rows": cells, "raw": scores.raw.tolist(), "probability": scores.probability.tolist()}
    )
    content_hash = write_files(folder, manifest, files)
    return replace(predictor, content_hash=content_hash)


def _plain(value: Any) -> Any:
    """A cell as JSON knows it."""
    if isinstance(value, str):
        return value
    return None if value is None or np.isnan(value) else float(value)


def load_champion(home: Path, name: str) -> Predictor | None:
    """Return the champion of a model from `home/champions/NAME/bundle`, verified, or None where there is none yet."""
    return load_promoted(home, name, Predictor.load)


def load_promoted(home: Path, name: str, load: Callable[[Path], Loaded]) -> Loaded | None:
    """The same, by whatever reads its bundle; raises BundleError where it is another one than was promoted there."""
    folder = champion_folder(home, name) / "bundle"
    if not folder.exists():
        return None
    register_own_features(home)
    target = folder.resolve()
    promoted = load(target)
    if target.parent.name == VERSIONS and target.name != promoted.content_hash[:SHORT]:
        raise BundleError(f"{target} is damaged: its manifest is another one. Promote a version again.")
    if promoted.name != name:
        raise BundleError(f"{target} is a model of {promoted.name!r}, not of {name!r}. Promote a version again.")
    return promoted


def champion_folder(home: Path, name: str) -> Path:
    """Where promotion keeps the champion of a model, its card and its gate history.

    Raises UsageError for what is no name, and could be any path.
    """
    if not re.fullmatch(NAME, name):
        raise UsageError("The name of a model has small letters, digits and underscores alone")
    return home / CHAMPIONS / name


class _Pyfunc:
    """What MLflow calls: a table of vectors in, `raw` and `probability` out."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    def predict(self, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Score vectors; `params` is MLflow's and not used."""
        import pandas as pd

        raw, probability = self._predictor.score(model_input)
        return pd.DataFrame({"raw": raw, "probability": probability}, index=model_input.index)


def _load_pyfunc(path: str) -> _Pyfunc:
    """Entry point by name for MLflow's pyfunc flavour (`loader_module = "vouch.models.predictor"`)."""
    return _Pyfunc(Predictor.load(Path(path)))
