"""What benchmarks share: a process measured from outside, and a row that sets a figure beside its reference.

A figure is a ratio against a named reference of the same run, so that machines and moods of machines cancel out.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".bench"
VOUCH = str(Path(sys.executable).with_name("vouch"))
MIB_OF_MAXRSS = 2**20 if sys.platform == "darwin" else 2**10


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured, against what, and whether it keeps to its target.

    `ratio` is the figure divided by the reference's. Exactly one of `at_most` and `at_least` may be given; without
    either the row is information. `note` carries sizes and absolute figures.
    """

    name: str
    reference: str
    ratio: float
    at_most: float | None = None
    at_least: float | None = None
    note: str = ""

    @property
    def target(self) -> str:
        """The target in words."""
        if self.at_most is not None:
            return f"at most {self.at_most:g}"
        return "" if self.at_least is None else f"at least {self.at_least:g}"

    @property
    def met(self) -> bool | None:
        """Whether the target is kept; null without one."""
        if self.at_most is not None:
            return self.ratio <= self.at_most
        return None if self.at_least is None else self.ratio >= self.at_least


@dataclass(frozen=True)
class Measured:
    """A process that has ended: its exit code, wall seconds, processor seconds, and peak resident memory in MiB."""

    code: int
    seconds: float
    processor_seconds: float
    mebibytes: float


def measure(command: list[str], log: Path, **environment: str) -> Measured:
    """Run a command to its end with its output in `log`, and tell what it took."""
    log.parent.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **environment})
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Measured(
        process.returncode,
        time.perf_counter() - start,
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss / MIB_OF_MAXRSS,
    )


def measured_well(command: list[str], log: Path, **environment: str) -> Measured:
    """Measure a command that must succeed; raises RuntimeError where it does not."""
    found = measure(command, log, **environment)
    if found.code:
        raise RuntimeError(f"{command} ended with {found.code}; its output is in {log}")
    return found
