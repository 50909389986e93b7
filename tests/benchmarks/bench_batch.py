"""Scores and reasons for everybody, end to end, against the bare trees of both models on the same rows in memory.

Vectors at hand in Parquet, both models, statuses, bands, reasons by family, tiers, and the scores written as a snapshot
holds them. The reference is `Booster.predict` of both models, one after the other, with the threads that it chooses.
Vectors are those of a simulated company on many Mondays, as many as are wanted, of customers whom both models score.
Trees are LightGBM's on these: 300 of 31 leaves over 60 features each; and the champions that `vouch train` makes of the
company, which are so small that what lies around them shows.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import simulated_champions
from measuring import FOLDER, Row

sys.path.insert(0, str(Path(__file__).parents[2]))

IS_LONG = True
HERE = FOLDER / "batch"
VECTORS, TREES, FEATURES = 200_000, 300, 60
WEEK_US = 7 * 86_400_000_000
TIMES = 3
EXPLAINED = 4_000
Bare = list[tuple[Any, np.ndarray]]


def rows() -> Iterator[Row]:
    """Fit, then measure."""
    home = simulated_champions.champions()
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir(parents=True)
    table, as_of_us = _vectors(home)
    pq.write_table(table, HERE / "vectors.parquet")
    _write_large(table)
    yield from _rates("300 trees", HERE, table, as_of_us, {True: 0.25, False: 0.5})
    yield from _rates("champions of a small company", home, table, as_of_us, {True: None, False: None})
    for name, (booster, matrix) in zip(simulated_champions.MODELS, _bare(home, table), strict=True):
        yield from _agreement(home, name, booster, matrix)


def _rates(
    words: str, home: Path, table: pa.Table, as_of_us: int, targets: Mapping[bool, float | None]
) -> Iterator[Row]:
    found, bare = _found(home), _bare(home, table)
    reference = _seconds(lambda: [booster.predict(matrix, raw_score=True) for booster, matrix in bare])
    trees = " and ".join(str(booster.num_trees()) for booster, _ in bare)
    for is_with, at_least in targets.items():
        seconds = _seconds(lambda is_with=is_with: _end_to_end(found, as_of_us, is_with))
        reasons = "with reasons for every customer" if is_with else "without reasons"
        rates = f"{len(table) / seconds:,.0f} against {len(table) / reference:,.0f} a second"
        note = f"{len(table):,} vectors, {trees} trees: {rates}"
        yield Row(
            f"rate of scoring, {words}, {reasons}", "bare Booster.predict", reference / seconds, None, at_least, note
        )


def _found(home: Path) -> dict[str, Any]:
    from vouch.serving.scoring.score import champions

    return {name: champion for name, champion in champions(home).items() if champion.predictor is not None}


def _bare(home: Path, table: pa.Table) -> Bare:
    """Both boosters as LightGBM loads them, each with its matrix."""
    import lightgbm

    from vouch.models.predictor import encode

    bare = []
    for name, champion in _found(home).items():
        booster = lightgbm.Booster(model_file=str(home / "champions" / name / "bundle" / "model.txt"))
        bare.append((booster, encode(table, champion.predictor.columns)))
    return bare


def _seconds(run: Callable[[], object]) -> float:
    """The shortest of several runs."""
    found = []
    for _ in range(TIMES):
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return min(found)


def _vectors(home: Path) -> tuple[pa.Table, int]:
    """Vectors of Mondays back from the latest, of whom both champions score, and the latest Monday."""
    from vouch.features.ingest.stage import open_tables, stage
    from vouch.features.project import Project
    from vouch.features.simulation.parameters import LAST_INSTANT_US
    from vouch.features.vectors.build import vectors_at
    from vouch.models.definition import SCORED

    staged = stage(Project(home=home, location=str(simulated_champions.COMPANY)), LAST_INSTANT_US)
    latest_us = staged.default_as_of_us(LAST_INSTANT_US)
    instants = [latest_us - week * WEEK_US for week in range(simulated_champions.WEEKS - 4)]
    parts = []
    for frame in vectors_at(open_tables(staged, "polars"), instants):
        part = frame.collect("pyarrow").to_native()
        statuses = [np.asarray(of.target.status(part.to_pandas()), dtype=object) for of in _found(home).values()]
        parts.append(part.filter(pa.array(np.all([np.isin(status, list(SCORED)) for status in statuses], axis=0))))
    whole = pa.concat_tables(parts)
    repeated = pa.concat_tables([whole] * -(-VECTORS // len(whole))).slice(0, VECTORS).combine_chunks()
    named = pa.array([f"c{number:08}" for number in range(VECTORS)])
    return repeated.set_column(repeated.column_names.index("customer_id"), "customer_id", named), latest_us


def _write_large(table: pa.Table) -> None:
    """Write two bundles of large trees, fitted on labels that follow the vectors."""
    import lightgbm

    from vouch import models
    from vouch.features.vectors.declare import load_families
    from vouch.models.predictor import encode, write_bundle
    from vouch.models.scoring.calibration import Calibrator
    from vouch.models.scoring.feature_matrix import Column

    draw = np.random.default_rng(1)
    varied = [of for of in load_families().values() if not of.is_category and len(table[of.name].unique()) > 50]
    for name in simulated_champions.MODELS:
        chosen = sorted(draw.choice(len(varied), FEATURES, replace=False))
        columns = tuple(Column(varied[place].name, varied[place].family) for place in chosen)
        matrix = np.nan_to_num(encode(table.slice(0, 40_000), columns))
        scaled = (matrix - matrix.mean(axis=0)) / (matrix.std(axis=0) + 1e-9)
        label = draw.random(len(matrix)) < 1 / (1 + np.exp(1.5 - scaled @ draw.normal(size=FEATURES) / 4))
        settings = {"objective": "binary", "num_leaves": 31, "learning_rate": 0.05, "verbose": -1, "seed": 0}
        booster = lightgbm.train(settings, lightgbm.Dataset(matrix, label.astype(float)), TREES)
        write_bundle(
            HERE / "champions" / name / "bundle",
            model=name,
            target=models.load(name).targets[0].name,
            kind="lightgbm",
            content=booster.model_to_string(),
            columns=columns,
            calibrator=Calibrator("isotonic", raw=(-4.0, -1.0, 3.0), probability=(0.01, 0.2, 0.9)),
            golden=table.slice(0, 16).to_pandas(),
            facts={},
        )


def _end_to_end(found: dict[str, Any], as_of_us: int, with_reasons: bool) -> None:
    """From vectors in Parquet to scores in Parquet."""
    from vouch.serving.batch.tables import score_table
    from vouch.serving.scoring.score import champion, score
    from vouch.serving.snapshots import schema as columns
    from vouch.serving.snapshots.arrow_streams import BATCH_ROWS

    schema, absent = columns.scores_schema(as_of_us), [name for name in columns.MODELS if name not in found]
    every = {**found, **{name: champion(HERE / "nowhere", name) for name in absent}}
    with pq.ParquetFile(HERE / "vectors.parquet") as file, pq.ParquetWriter(HERE / "scores.parquet", schema) as writer:
        for batch in file.iter_batches(BATCH_ROWS):
            part = pa.Table.from_batches([batch])
            part = part.append_column("health_score", pa.nulls(len(part), pa.float64()))
            part = part.append_column("health_band", pa.nulls(len(part), pa.string()))
            scored = {name: score(of, part, with_reasons) for name, of in every.items()}
            words, nothing = (pa.array([text] * len(part), pa.string()) for text in (columns.NO_MODEL, None))
            unvalued = {**dict.fromkeys(columns.VALUES, pa.nulls(len(part), pa.float64())), "clv_status": words}
            writer.write_table(score_table(schema, part, as_of_us, scored, {}, {**unvalued, "clv_way": nothing}))


def _agreement(home: Path, name: str, booster: Any, matrix: np.ndarray) -> Iterator[Row]:
    """How far reasons agree with TreeSHAP, on a sample of vectors of all Mondays."""
    from vouch.models.scoring.reasons import grouped

    predictor = _found(home)[name].predictor
    few = matrix[np.random.default_rng(0).choice(len(matrix), EXPLAINED, replace=False)]
    exact = booster.predict(few, pred_contrib=True)[:, :-1]
    ours = predictor.scorer.contributions(few)
    said = f"{EXPLAINED:,} vectors, {booster.num_trees()} trees"
    for words, of_shap, of_ours in (
        ("family", *(grouped(predictor.columns, parts)[1] for parts in (exact, ours))),
        ("feature", exact, ours),
    ):
        same = float(np.mean(np.abs(of_shap).argmax(axis=1) == np.abs(of_ours).argmax(axis=1)))
        correlation = float(np.corrcoef(of_shap.ravel(), of_ours.ravel())[0, 1])
        note = f"share of rows; correlation of all parts {correlation:.3f}; {said}"
        yield Row(f"{name}: leading {words}", "TreeSHAP", same, note=note)
    off = np.abs(ours.sum(axis=1) + predictor.scorer.base - booster.predict(few, raw_score=True)).max()
    yield Row(f"{name}: reasons add up to the score", "log-odds", float(off), at_most=1e-9, note=f"largest gap; {said}")
