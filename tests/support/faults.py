"""Fault injection: the command as a process of its own, killed at a moment, and homes to break."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from support.capabilities import free_port
from support.champions import write_champions
from vouch.features.instants import parse_instant
from vouch.features.project import Project
from vouch.serving.batch.run import score_weeks

BEFORE, MONDAY, NOW = "2026-11-09", "2026-11-16", "2026-11-16T06:00:00Z"
COMMAND = [sys.executable, "-c", "from vouch.serving.cli import main; main()"]
PASSING = (
    "import vouch.training.run\nfrom vouch.training.gate import Verdict\n"
    "vouch.training.run.judge = lambda *_: Verdict(())\nfrom vouch.serving.cli import main\nmain()"
)
"""The command where the gate lets every model pass, so that a small company gets as far as a promotion."""

WARM = multiprocessing.get_context("forkserver")
"""Starts the command from a process that has imported what it needs: half of what a short run takes is that."""
WARM.set_forkserver_preload(
    ["vouch.serving.cli", "vouch.serving.batch.run", "vouch.serving.store.weeks", "vouch.training.run", "mlflow"]
)
TABLES = ("customers", "subscriptions", "usage_events", "surveys", "advocacy_acts")
"""What the models need at least; metrics of other tables would take most of the time."""


def handed_over(made: Path, folder: Path) -> Path:
    """Copy these tables of a company that was made up."""
    for table in TABLES:
        shutil.copy(made / f"{table}.parquet", folder)
    return folder


def settings(home: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "VOUCH_HOME": str(home), **more}


def command(words: tuple[object, ...]) -> list[str]:
    """The command line of a run; what trains passes the gate."""
    code = PASSING if words[0] == "train" else COMMAND[-1]
    return [sys.executable, "-c", code, *map(str, words)]


def vouch(home: Path, *words: object, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        command(words),
        env=settings(home, **more),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def started(home: Path, *words: object, **more: str) -> subprocess.Popen[bytes]:
    """Start the command in a group of its own, so that whatever it starts dies with it."""
    return subprocess.Popen(
        command(words),
        env=settings(home, **more),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _main(home: Path, words: tuple[str, ...]) -> None:
    """The command in a process that was forked; what it says stands beside its home."""
    os.setsid()  # so that whatever it starts dies with it
    for descriptor, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(said_by(home, name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    os.environ["VOUCH_HOME"] = str(home)
    sys.argv = ["vouch", *words]
    exec(PASSING if words[0] == "train" else COMMAND[-1], {})


def said_by(home: Path, name: str) -> Path:
    return home.with_name(f"{home.name}.{name}")


def forked(home: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Run the command to its end in a process that has imported what it needs."""
    process = WARM.Process(target=_main, args=(home, tuple(map(str, words))))
    process.start()
    process.join(600)
    return subprocess.CompletedProcess(
        words, process.exitcode, *(said_by(home, name).read_text() for name in ("out", "err"))
    )


def killed(home: Path, after_s: float, *words: object, since: Callable[[], bool] = lambda: True) -> bool:
    """Kill -9 the command after so many seconds of work, from a moment on; return whether it was still at it."""
    process = WARM.Process(target=_main, args=(home, tuple(map(str, words))))
    process.start()
    while process.is_alive() and not since():
        time.sleep(0.005)  # how exactly the moment is met
    process.join(after_s)
    for kill in (lambda: os.killpg(process.pid, signal.SIGKILL), process.kill):
        with contextlib.suppress(ProcessLookupError):  # it had ended, or has no group of its own yet
            kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


def moments(trials: int, longest_s: float, seed: int) -> list[float]:
    """Random moments of a run that takes so long, one in each part of it."""
    draw = random.Random(seed)
    return [longest_s * (place + draw.random()) / trials for place in range(trials)]


def with_champions(home: Path, company: Path, *instants: str) -> Project:
    """A home with champions made by hand, and weeks that are published."""
    project = Project(home=home, location=str(company))
    write_champions(home)
    if instants:
        score_weeks(project, [parse_instant(instant) for instant in instants], parse_instant(NOW))
    return project


def copied(home: Path, to: Path) -> Path:
    """The same home, for a test to break."""
    shutil.copytree(home, to, symlinks=True)
    return to


def seconds_of(home: Path, *words: object) -> float:
    """How long the command takes undisturbed, once what it needs is imported."""
    forked(home.with_name("nowhere"), "--help")
    start = time.perf_counter()
    done = forked(home, *words)
    assert done.returncode == 0, done.stderr
    return time.perf_counter() - start


class Server:
    """A tracking server of its own on loopback."""

    def __init__(self, folder: Path, database: str | None = None):
        self.port, self.folder = free_port(), folder
        self.database = database or f"sqlite:///{folder}/mlflow.db"
        folder.mkdir()
        self.process = None
        self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        command = [sys.executable, "-m", "mlflow", "server", "--port", str(self.port), "--workers", "1"]
        store = [
            "--backend-store-uri",
            self.database,
            "--artifacts-destination",
            str(self.folder / "a"),
        ]
        self.process = subprocess.Popen(
            [*command, *store], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            env=settings(self.folder, MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false"),
        )  # fmt: skip
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{self.url}/health", timeout=1)
                return
            except OSError:
                time.sleep(0.2)  # it is still starting
        raise AssertionError("the tracking server did not start")

    def kill(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
