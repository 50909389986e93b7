"""A small simulated company, and the champions that `vouch train` makes of it, anew where their features changed."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from measuring import FOLDER, VOUCH, measure, measured_well

sys.path.insert(0, str(Path(__file__).parents[2]))

from vouch.models.registry.champions import retrains_due

HERE = FOLDER / "simulated champions"
COMPANY, HOME = HERE / "company", HERE / "home"
CUSTOMERS, WEEKS = 3_000, 78
MODELS = ("churn", "advocacy")


def champions() -> Path:
    """The home with the champions; what the gate refuses on so small a company is promoted by hand."""
    mark = HERE / "made"
    if mark.exists() and not retrains_due(HOME):
        return HOME
    shutil.rmtree(HERE, ignore_errors=True)
    log = HERE / "log"
    size = ["--customers", str(CUSTOMERS), "--weeks", str(WEEKS), "--seed", "7"]
    measured_well([VOUCH, "simulate", "--out", str(COMPANY), *size], log)
    for name in MODELS:
        measure([VOUCH, "train", name, str(COMPANY)], log, VOUCH_HOME=str(HOME))
        if not (HOME / "champions" / name / "bundle").exists():
            command = [VOUCH, "promote", name, "1", "--reason", "its trees are measured, not its skill"]
            measured_well(command, log, VOUCH_HOME=str(HOME))
    mark.touch()
    return HOME
