"""Fit the reference once: LightGBM on an independent simulated company ten times as large as the one it is judged on.

    python -m vouch.training.simulated.reference --out features/simulation/reference.json --work DIR --customers 200000

With `--world SEED` it is that of a world (`vouch.features.simulation.worlds`), and kept beside the others.

Both companies are simulated, staged and turned into vectors by the product's own code, with DuckDB within a memory
limit. The reference needs no calibration: what is compared is the ranking.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch import models
from vouch.features.ingest.stage import open_tables, stage
from vouch.features.project import Project
from vouch.features.simulation.company import simulate
from vouch.features.simulation.parameters import LAST_INSTANT_US, PARAMETERS, VERSION
from vouch.features.simulation.worlds import world
from vouch.models.predictor import encode
from vouch.models.scoring.calibration import sigmoid
from vouch.training.cutoffs import make_plan
from vouch.training.dataset import build_panel, customers_of, data_begins, make_dataset
from vouch.training.recipes.learners import fit_lightgbm
from vouch.training.simulated.truth import COLUMNS, captured

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vouch.features.simulation.parameters import Parameters
    from vouch.training.dataset import Dataset
    from vouch.training.recipes.learners import Fitted

LARGER_TREES: Mapping[str, Any] = {"num_leaves": 31, "min_data_in_leaf": 400, "num_threads": 0, "lambda_l2": 20.0}
"""What more rows allow; any number of threads, since these bytes are not kept."""


def measure(
    work: Path, customers: int, judged_customers: int, weeks: int, memory: str, law: Parameters = PARAMETERS
) -> dict[str, Any]:
    """Fit on the large company, judge on the small one, and return what is kept."""
    small, large = work / "small", work / "large"
    judged = _datasets(_company(small, judged_customers, weeks, 0, law), memory)
    measured = {}
    for name in COLUMNS:  # one model at a time: the rows of one are what fits into memory
        data = _datasets(_company(large, customers, weeks, 1, law), memory, [name])[name]
        fitted = fit_lightgbm(_with_larger_trees(data), 0)
        measured[name] = _judged(Project(small, str(small / "company")), name, data, fitted, judged[name])
    return {
        "version": VERSION,
        "customers": customers,
        "judged_on_customers": judged_customers,
        "weeks": weeks,
        "models": measured,
    }


def _company(folder: Path, customers: int, weeks: int, seed: int, law: Parameters) -> Project:
    project = Project(folder, str(folder / "company"))
    if not (folder / "company" / "truth" / "parameters.json").exists():  # written last
        simulate(folder / "company", customers, weeks, seed, law)
    return project


def _datasets(project: Project, memory: str, names: Sequence[str] = tuple(COLUMNS)) -> dict[str, Dataset]:
    staged = stage(project, LAST_INSTANT_US)
    tables = open_tables(staged, "duckdb", memory_limit=memory)
    wanted, begins_us = {}, data_begins(tables)
    customers = customers_of(tables, LAST_INSTANT_US)
    for name in names:
        model = models.load(name)
        target = model.target(tables)
        plan = make_plan(name, model.cutoffs, target, LAST_INSTANT_US, begins_us, customers)
        wanted[name] = (target, plan)
    panel = build_panel(tables, wanted)
    return {
        name: make_dataset(
            models.load(name), target, plan, panel, target.label(tables, plan.instants, LAST_INSTANT_US, target)
        )
        for name, (target, plan) in wanted.items()
    }


def _with_larger_trees(data: Dataset) -> Dataset:
    return replace(data, model=replace(data.model, lightgbm=LARGER_TREES))


def _judged(project: Project, name: str, data: Dataset, fitted: Fitted, other: Dataset) -> dict[str, Any]:
    newest = other.test.as_of_us == other.test.as_of_us.max()
    raw = fitted.scorer.raw(encode(other.test_frame.loc[newest], data.columns))
    shares = captured(project, name, other.test.take(newest).scored(sigmoid(raw)))
    shares.pop("share_of_reference")
    return {**shares, "training_rows": len(data.train), **{n: float(np.round(v, 4)) for n, v in fitted.facts.items()}}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--customers", type=int, default=200_000)
    parser.add_argument("--judged-on", type=int, default=20_000)
    parser.add_argument("--weeks", type=int, default=78)
    parser.add_argument("--memory", default="8GB")
    parser.add_argument("--world", type=int)
    given = parser.parse_args()
    law = PARAMETERS if given.world is None else world(given.world)
    document = measure(given.work, given.customers, given.judged_on, given.weeks, given.memory, law)
    written = json.loads(given.out.read_text(encoding="utf-8")) if given.out.exists() else {}
    if given.world is not None:
        document = {**written, "worlds": {**written.get("worlds", {}), str(given.world): document}}
    elif "worlds" in written:
        document["worlds"] = written["worlds"]
    given.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
