"""What `vouch train` costs over bare LightGBM on the same matrix, without its evaluation and with it."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import lightgbm
from bench_models_simulated import MODELS, company
from measuring import Row

from vouch.features.ingest.stage import stage
from vouch.features.project import Project
from vouch.features.simulation.parameters import LAST_INSTANT_US
from vouch.training import run
from vouch.training.dataset import Dataset
from vouch.training.recipes.learners import PATIENCE, ROUNDS, TREES, lightgbm_data, lightgbm_parameters, validation
from vouch.training.trained import Trained

IS_LONG = True
SIZES = (5_000, 20_000)
"""Customers: what is the same for any size (MLflow, the bundle) weighs less in a larger one."""
REPEATS = 3


def bare(data: Dataset) -> float:
    """Seconds that LightGBM takes by itself: rounds found by early stopping, then a fit of that many on all rows."""
    start = time.process_time()
    parameters = lightgbm_parameters(data, 0, TREES[data.model.learners[0]], {})
    fit, held = validation(data.train, data.target.matured_days, 0)
    first = lightgbm_data(data, data.train.take(fit), parameters)
    valid = lightgbm_data(data, data.train.take(held), parameters, first)
    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    early = lightgbm.train(parameters, first, ROUNDS, valid_sets=[valid], callbacks=[stop])
    lightgbm.train(parameters, lightgbm_data(data, data.train, parameters), max(early.best_iteration, 1))
    return time.process_time() - start


def trained(data: Dataset, home: Project, is_judged: bool) -> float:
    """Seconds that `vouch train` takes from the matrix on: fit, calibrate, judge, write the bundle, log, register."""
    start = time.process_time()
    made = run.fit_and_judge(data, LAST_INSTANT_US, 0, "benchmark", is_judged=is_judged)
    run.store(home, made, {}, LAST_INSTANT_US).text()
    return time.process_time() - start


def rows() -> Iterator[Row]:
    """Both models of each company."""
    for customers in SIZES:
        yield from of_company(customers)


def of_company(customers: int) -> Iterator[Row]:
    """Both models, into a home where something was registered before: MLflow makes its database once."""
    project = company(customers)
    tables = run.opened_by_size(project, stage(project, LAST_INSTANT_US))
    with tempfile.TemporaryDirectory() as folder:
        home = Project(Path(folder), None)
        for name, made in run.train_on(tables, MODELS, LAST_INSTANT_US, is_judged=False).items():
            assert isinstance(made, Trained), made
            run.store(home, made, {}, LAST_INSTANT_US)
            yield from costs(f"{customers:,} customers, {name}", made.data, home)


def costs(name: str, data: Dataset, home: Project) -> Iterator[Row]:
    """Processor time by the side of bare LightGBM, medians of runs that take turns."""
    pairs = [(bare(data), trained(data, home, is_judged=False)) for _ in range(REPEATS)]
    reference = statistics.median(seconds for seconds, _ in pairs)
    ratio = statistics.median(ours / alone for alone, ours in pairs)
    note = f"{reference:.1f} s on {len(data.train)} rows by {len(data.columns)} features"
    named = f"{name}: vouch train from the matrix on"
    yield Row(f"{named}, --no-evaluation", "LightGBM by itself", ratio, at_most=1.3, note=note)
    whole = trained(data, home, is_judged=True) / reference
    yield Row(f"{named}, with it", "LightGBM by itself", whole, note=f"all candidates, four origins, gate; {note}")
