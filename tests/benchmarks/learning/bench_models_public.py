"""Our candidates and their choice against CatBoost, XGBoost, FLAML and logistic regression on public churn tables.

Five folds that all share; ours chooses and calibrates within the training folds (these tables have no time, so by
cross-fitting), as a training run does on its validation cutoff. The difference from each peer is paired by customer:
a row is met where ours is no worse than the best peer by more than half the width of its 95 % interval. Peers live in
an environment of their own, `.bench/peers`; `VOUCH_DATASETS` names the folder of the data; `VOUCH_TABLES` some tables.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import public_tables
from measuring import FOLDER, Row, measured_well
from needs import DATASETS, TABLE_PEERS

from vouch import models
from vouch.models.definition import LEARNERS
from vouch.models.quality.figures import (
    brier_skill,
    calibration_error,
    calibration_fit,
    figure_interval,
    paired_bootstrap,
    roc_auc,
)
from vouch.training.cutoffs import cross_fit_plan
from vouch.training.dataset import Dataset, DatasetPart
from vouch.training.evaluate import evaluate
from vouch.training.gate import judge

IS_LONG = True
NEEDS = (DATASETS, TABLE_PEERS)
FOLDS = 5
INNER, INNER_OF_FEW, FEW = 3, 8, 10_000
"""Folds of the cross-fit; more where rows are few, so that what is calibrated was fitted on nearly all of them."""
NULL = "ravenstack"
PEERS = FOLDER / "peers" / "bin" / "python"
OURS = tuple(name for name in LEARNERS if name != "lightgbm_family")
"""The product's candidates; a column of these tables is a family of its own."""


def folds(label: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Fold of each row, the outcomes spread evenly."""
    rng, found = np.random.default_rng(seed), np.empty(len(label), dtype=np.int64)
    for kind in (0.0, 1.0):
        rows = rng.permutation(np.flatnonzero(label == kind))
        found[rows] = np.arange(len(rows)) % count
    return found


def dataset(columns, matrix, label, fold, count: int) -> Dataset:
    """Rows as a training run takes them, folds in place of instants."""
    model = replace(models.load("churn"), learners=OURS)
    order = np.argsort(fold, kind="stable")
    every = DatasetPart(matrix[order], label[order], np.arange(len(label))[order], fold[order])
    frame = pd.DataFrame({"customer_id": every.customers})
    return Dataset(model, model.targets[0], cross_fit_plan(count), columns, every, every, frame)


def chosen(columns, matrix, label, seed: int):
    """What serves by the product's own rule, fitted on all rows, and its calibrator."""
    inner = INNER_OF_FEW if len(label) < FEW else INNER
    found = evaluate(dataset(columns, matrix, label, folds(label, inner, seed), inner), seed)
    return found.choice, found.served


def out_of_fold(frame: pd.DataFrame, label: np.ndarray, fold: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Our probabilities of rows in folds that were left out, and what was chosen for each."""
    columns, matrix = public_tables.encoded(frame)
    said, names = np.empty(len(label)), []
    for number in range(FOLDS):
        inside = fold != number
        choice, served = chosen(columns, matrix[inside], label[inside], number)
        calibrator = served.calibrated.calibrator
        said[~inside] = calibrator.apply(served.fitted.scorer.raw(matrix[~inside]))
        names.append(f"{'+'.join(choice.members)}/{calibrator.method}")
    return said, names


def seconds(name: str) -> float:
    """What FLAML gets for each fold: two minutes on IBM Telco, two minutes for all folds together elsewhere."""
    return 120.0 if name == "telco_ibm" else 120.0 / FOLDS


def peers(name: str, frame: pd.DataFrame, label: np.ndarray, fold: np.ndarray) -> pd.DataFrame:
    """Probabilities of the peers on the same folds; those that an earlier run computed on the same rows stand."""
    script, here, whole = (
        Path(__file__).parents[1] / "peers" / "on_a_table.py",
        FOLDER / "public",
        frame.assign(label=label, fold=fold),
    )
    rows = pd.util.hash_pandas_object(whole).to_numpy().tobytes()
    digest = hashlib.sha256(script.read_bytes() + rows + str((list(frame), seconds(name))).encode()).hexdigest()[:12]
    here.mkdir(parents=True, exist_ok=True)
    table, out = here / f"{name}.parquet", here / f"{name}-peers-{digest}.parquet"
    whole.to_parquet(table)
    measured_well([str(PEERS), str(script), str(table), str(out), str(seconds(name))], here / "log")
    return pd.read_parquet(out)


def compared(name: str, label: np.ndarray, ours: np.ndarray, theirs: pd.DataFrame, what: str) -> Iterator[Row]:
    """Ours against each peer by both figures; the best peer carries the target."""
    customers = np.arange(len(label))
    for figure, lower in (("log_loss", True), ("roc_auc", False)):
        found = {peer: paired_bootstrap(customers, label, ours, theirs[peer], figure) for peer in theirs}
        order = sorted(found, key=lambda peer: found[peer].b if lower else -found[peer].b)
        rank = 1 + sum((of.b < of.a) if lower else (of.b > of.a) for of in found.values())
        for peer in order:
            of, noise = found[peer], (found[peer].high - found[peer].low) / 2
            note = f"{of.a:.5f} and {of.b:.5f}: {of.difference:+.5f} ({of.low:+.5f} to {of.high:+.5f})"
            limits = {"at_most": (of.b + noise) / of.b} if lower else {"at_least": (of.b - noise) / of.b}
            note = f"{note}; rank {rank} of {len(found) + 1}; {what}"
            is_best = peer == order[0]
            title = f"{peer} (best)" if is_best else peer
            yield Row(f"{name}: {figure}", title, of.a / of.b, note=note, **(limits if is_best else {}))


def calibrated(name: str, label: np.ndarray, ours: np.ndarray) -> Iterator[Row]:
    """Calibration of ours, cross-fitted."""
    fit, skill = calibration_fit(label, ours), brier_skill(label, ours)
    error = calibration_error(label, ours)
    yield Row(f"{name}: calibration error", "0.03", error / 0.03, at_most=1.0, note=f"{error:.4f}")
    yield Row(f"{name}: Brier skill", "0", skill, at_least=0.0, note="above 0")
    off = max(fit.low - 1, 1 - fit.high, 0.0)
    note = f"slope {fit.slope:.3f} ({fit.low:.3f} to {fit.high:.3f})"
    yield Row(f"{name}: how far the slope's interval is from 1", "1", off, at_most=0.0, note=note)


def null_table() -> Iterator[Row]:
    """The table without signal: its interval holds 0.5, and the gate refuses."""
    frame, label = public_tables.ravenstack()
    said, _ = out_of_fold(frame, label, folds(label, FOLDS, 0))
    low, high = figure_interval(np.arange(len(label)), label, said, "roc_auc")
    off = max(low - 0.5, 0.5 - high, 0.0)
    note = f"ROC-AUC {roc_auc(label, said):.3f} ({low:.3f} to {high:.3f})"
    yield Row("ravenstack: how far the interval of the ROC-AUC is from 0.5", "0.5", off, at_most=0.0, note=note)
    columns, matrix = public_tables.encoded(frame)
    data = dataset(columns, matrix, label, folds(label, INNER, 1), INNER)
    verdict = judge(evaluate(data, 0), {}, None, 0)
    refused = ", ".join(rule.name for rule in verdict.refusals)
    yield Row("ravenstack: refused by the gate", "1", float(not verdict.passed), at_least=1.0, note=refused)


def table(name: str) -> Iterator[Row]:
    """One table: ours by itself, then beside the peers."""
    frame, label = public_tables.TABLES[name]()
    fold = folds(label, FOLDS, 0)
    ours, names = out_of_fold(frame, label, fold)
    yield from calibrated(name, label, ours)
    what = f"{' '.join(dict.fromkeys(names))}; FLAML had {seconds(name):g} s per fold"
    yield from compared(name, label, ours, peers(name, frame, label, fold), what)


def rows() -> Iterator[Row]:
    """The tables that are asked for, one after another."""
    for name in os.environ.get("VOUCH_TABLES", "").split() or [NULL, *public_tables.TABLES]:
        yield from null_table() if name == NULL else table(name)
