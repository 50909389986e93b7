"""Scores and reasons for everybody, end to end, against the bare trees of both models on the same rows in memory.

Vectors at hand in Parquet, both models, statuses, bands, reasons by family, tiers, and the scores written as a snapshot
holds them. The reference is `Booster.predict` of both models, one after the other, with the threads that it chooses.
Trees are LightGBM's on made-up vectors: 300 of 31 leaves over 60 features each.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from measuring import FOLDER, Row

sys.path.insert(0, str(Path(__file__).parents[2]))

HERE = FOLDER / "batch"
CUSTOMERS, TREES, FEATURES = 200_000, 300, 60
AS_OF_US = 1_767_225_600_000_000
TIMES = 3


def rows() -> Iterator[Row]:
    """Fit two models, then measure."""
    import lightgbm

    from models.predictor import encode
    from serving.scoring import champions

    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir(parents=True)
    table = _vectors()
    _write_champions(table)
    pq.write_table(table, HERE / "vectors.parquet")
    found = champions(HERE)
    bare = []
    for name, champion in found.items():
        booster = lightgbm.Booster(model_file=str(HERE / "champions" / name / "bundle" / "model.txt"))
        bare.append((booster, encode(table, champion.predictor.columns)))

    reference = _seconds(lambda: [booster.predict(matrix, raw_score=True) for booster, matrix in bare])
    for is_with, at_least in ((True, 0.25), (False, 0.5)):
        seconds = _seconds(lambda is_with=is_with: _end_to_end(found, is_with))
        words = "with reasons for every customer" if is_with else "without reasons"
        note = f"{CUSTOMERS:,} customers: {CUSTOMERS / seconds:,.0f} against {CUSTOMERS / reference:,.0f} a second"
        yield Row(
            f"rate of scoring, {words}", "bare Booster.predict", reference / seconds, at_least=at_least, note=note
        )
    yield from _agreement(found, bare)


def _seconds(run: Callable[[], object]) -> float:
    """The shortest of several runs."""
    found = []
    for _ in range(TIMES):
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return min(found)


def _vectors() -> pa.Table:
    """Vectors with all features, in the shape of an active company's customers."""
    from features.define import load_families

    draw = np.random.default_rng(0)
    columns: dict[str, pa.Array] = {
        "customer_id": pa.array([f"c{number:08}" for number in range(CUSTOMERS)]),
        "as_of_us": pa.array(np.full(CUSTOMERS, AS_OF_US)),
    }
    for name, declared in load_families().items():
        if declared.is_category:
            columns[name] = pa.array(draw.choice(["basic", "plus", "pro"], CUSTOMERS))
        else:
            values = np.round(draw.gamma(1.5, 10.0, CUSTOMERS), 1)
            columns[name] = pa.array(values, mask=draw.random(CUSTOMERS) < 0.1)
    for name, value in (("is_subscribed", 1.0), ("is_leaving", 0.0), ("tenure_days", 400.0)):
        columns[name] = pa.array(np.full(CUSTOMERS, value))
    return pa.table(columns)


def _write_champions(table: pa.Table) -> None:
    import lightgbm

    import models
    from features.define import load_families
    from models.bundle import Column
    from models.calibration import Calibrator
    from models.predictor import encode, write_bundle
    from serving.columns import MODELS

    draw = np.random.default_rng(1)
    numbers = [declared for declared in load_families().values() if not declared.is_category]
    for name in MODELS:
        chosen = sorted(draw.choice(len(numbers), FEATURES, replace=False))
        columns = tuple(Column(numbers[place].name, numbers[place].family) for place in chosen)
        matrix = encode(table.slice(0, 20_000), columns)
        weights = draw.normal(size=FEATURES) / 20
        label = draw.random(len(matrix)) < 1 / (1 + np.exp(1.5 - np.nan_to_num(matrix - 15) @ weights))
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


def _end_to_end(found: dict, with_reasons: bool) -> None:
    """From vectors in Parquet to scores in Parquet."""
    from serving import columns
    from serving.rows import score_table
    from serving.scoring import score
    from serving.streams import BATCH_ROWS

    schema, tiers = columns.scores(AS_OF_US), {}
    with pq.ParquetFile(HERE / "vectors.parquet") as file, pq.ParquetWriter(HERE / "scores.parquet", schema) as writer:
        for batch in file.iter_batches(BATCH_ROWS):
            rows = pa.Table.from_batches([batch])
            rows = rows.append_column("health_score", pa.nulls(len(rows), pa.float64()))
            rows = rows.append_column("health_band", pa.nulls(len(rows), pa.string()))
            scored = {name: score(champion, rows, with_reasons) for name, champion in found.items()}
            writer.write_table(score_table(schema, rows, AS_OF_US, scored, tiers))


def _agreement(found: dict, bare: list) -> Iterator[Row]:
    """How often the leading family is that of TreeSHAP, on a sample."""
    from models.reasons import grouped

    champion, (booster, matrix) = found["churn"], bare[0]
    few = matrix[:2_000]
    exact = booster.predict(few, pred_contrib=True)
    _, shap, _ = grouped(champion.predictor.columns, exact[:, :-1])
    _, ours, _ = grouped(champion.predictor.columns, champion.predictor.scorer.contributions(few))
    same = float(np.mean(np.abs(shap).argmax(axis=1) == np.abs(ours).argmax(axis=1)))
    off = float(np.abs(ours.sum(axis=1) + champion.predictor.scorer.base - booster.predict(few, raw_score=True)).max())
    yield Row("leading family as TreeSHAP has it", "2,000 customers", same, note="share of customers")
    yield Row(
        "reasons add up to the score", "log-odds", off, at_most=1e-9, note="largest difference of 2,000 customers"
    )
