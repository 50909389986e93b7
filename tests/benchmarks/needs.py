"""What a benchmark needs of the machine beyond `make tools`, and how to get it.

It is looked at before anything is measured, so that nobody waits for minutes to hear that a program is missing. A
module says what it needs in `NEEDS`; in `ROWS_NEED` without what some of its rows are left out.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from measuring import FOLDER


@dataclass(frozen=True)
class Need:
    """A program, a folder or an environment: what it is called, whether it is there, and how to get it."""

    name: str
    is_there: Callable[[], bool]
    mend: str


def _environment(name: str, packages: str) -> Need:
    """An environment of peers, which are no dependencies of ours."""
    folder = FOLDER / name
    short = f"{FOLDER.name}/{name}"
    return Need(
        f"an environment {short}",
        (folder / "bin" / "python").exists,
        f"python3 -m venv {short} && {short}/bin/pip install {packages}",
    )


WRK = Need("the program wrk", lambda: shutil.which("wrk") is not None, "apt-get install wrk")
DATASETS = Need(
    "the folder of public data sets",
    lambda: bool(folder := os.environ.get("VOUCH_DATASETS")) and Path(folder).is_dir(),
    "export VOUCH_DATASETS=FOLDER, the folder that holds them",
)
TABLE_PEERS = _environment("peers", "catboost xgboost 'flaml[automl]' scikit-learn pandas pyarrow")
FEATURETOOLS = _environment("featuretools-env", "featuretools 'pandas<3' pyarrow")


def lacking(needs: Iterable[Need]) -> list[str]:
    """Say of each need that is not met what it is, and how to get it."""
    return [f"{need.name} is not there: {need.mend}" for need in needs if not need.is_there()]
