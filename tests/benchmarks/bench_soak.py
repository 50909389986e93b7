"""Honest clients beside hostile ones: the 99th percentile of their waits against that without, and memory.

`SOAK_MINUTES` says for how long; the same load runs alone first, for a quarter of the time. The hostile clients share
the processors with the service and with the honest ones.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import numpy as np
from measuring import FOLDER, Row

from support.load.soak import halved, soak

IS_LONG = True
MINUTES = float(os.environ.get("SOAK_MINUTES", "30"))


def rows() -> Iterator[Row]:
    """One soak, told in three rows."""
    shutil.rmtree(FOLDER / "soak", ignore_errors=True)
    found = soak(FOLDER / "soak", MINUTES * 60)
    quiet, beside = found.p99_ms
    early, late = (float(np.median(of)) for of in halved(found.memory_beside))
    yield Row("99th percentile beside hostile clients", "the same load alone", beside / quiet, at_most=2.0,
              note=found.told())  # fmt: skip
    yield Row("memory in the second half beside hostile clients", "the first half", late / early, at_most=1.1)
    yield Row(
        "most memory beside hostile clients", "the stated 1,200 MiB", max(found.memory_beside) / 1_200, at_most=1.0
    )
