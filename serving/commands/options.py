"""Options that commands share: where the data are, which instant, which engine, what time it is."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from vouch.features.instants import parse_instant

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vouch.features.project import Project


class Engine(StrEnum):
    """Who computes; `auto`: Polars for a small company, else DuckDB."""

    AUTO = "auto"
    DUCKDB = "duckdb"
    POLARS = "polars"
    SPARK = "spark"


Data = Annotated[
    str | None,
    typer.Argument(
        metavar="[DATA]",
        help="A folder of Parquet or CSV files, a DuckDB file, a postgresql:// URL, or a vouch.toml. "
        "Without it, vouch.toml in the current folder.",
    ),
]
AsOf = Annotated[
    str | None,
    typer.Option(metavar="WHEN", help="Instant to look from: an ISO date (midnight UTC) or instant."),
]
Now = Annotated[
    str | None, typer.Option(metavar="WHEN", help="What time to take it for, instead of reading the clock.")
]
Wait = Annotated[float, typer.Option(metavar="SECONDS", min=0, help="Wait so long for other runs to end.")]
EngineOption = Annotated[
    Engine, typer.Option("--engine", help="Who computes; auto: Polars for a small company, else DuckDB.")
]


@dataclass(frozen=True)
class CommandRun:
    """One run of a command: the clock was read once, before anything else."""

    clock_us: int

    def now_us(self, given: str | None) -> int:
        """The instant that this run takes for now."""
        return typed_instant(given) or self.clock_us


def typed_instant(given: str | None) -> int | None:
    """Return an instant that was typed, or None where none was."""
    return None if given is None else parse_instant(given)


def project(data: str | None) -> Project:
    """Return where the data are, with what the service has recorded; raises the errors of who cannot be read."""
    from vouch.features.project import load_project
    from vouch.serving.store.recorded import with_recorded

    return with_recorded(load_project(data))


@contextmanager
def alone(home: Path, wait_s: float, *names: str) -> Iterator[None]:
    """Hold the locks of several kinds of run, always in the same order."""
    from vouch.serving.snapshots.files import lock

    with ExitStack() as held:
        for name in sorted(names):
            held.enter_context(lock(home, name, wait_s))
        yield
