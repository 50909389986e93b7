"""Capabilities of the machine, for skips: PostgreSQL, Spark, a browser, data sets, curl, git, Prometheus, Airflow.

A test that needs one of them takes the fixture or carries the mark of that name. Where it is missing, the test is
skipped with the reason; where `VOUCH_REQUIRE` names it (`postgres,spark,browser,datasets,curl,git,prometheus,airflow`),
the test fails instead.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

CHROMIUM = Path("/usr/bin/chromium")
CHROMIUM_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def _postgres_programs() -> Path | None:
    """The folder of the newest PostgreSQL server that Debian's packages have put here."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(found, key=lambda folder: int(folder.parent.name), default=None)


def _no_postgres() -> str | None:
    return None if _postgres_programs() else "no PostgreSQL server under /usr/lib/postgresql"


def _no_spark() -> str | None:
    if importlib.util.find_spec("pyspark") is None:
        return "PySpark is not installed"
    return None if shutil.which("java") else "no java on the path"


def _no_browser() -> str | None:
    if importlib.util.find_spec("playwright") is None:
        return "Playwright is not installed"
    return None if CHROMIUM.exists() else f"no {CHROMIUM}"


def _no_datasets() -> str | None:
    folder = os.environ.get("VOUCH_DATASETS")
    if not folder:
        return "VOUCH_DATASETS is not set"
    return None if Path(folder).is_dir() else f"VOUCH_DATASETS names {folder}, which is no folder"


def _no_curl() -> str | None:
    return None if shutil.which("curl") else "no curl on the path"


def _no_prometheus() -> str | None:
    return None if shutil.which("prometheus") and shutil.which("promtool") else "no prometheus and promtool on the path"


def _no_airflow() -> str | None:
    python = os.environ.get("VOUCH_AIRFLOW")
    if not python:
        return "VOUCH_AIRFLOW is not set"
    return None if shutil.which(python) else f"VOUCH_AIRFLOW names {python}, which is no program"


def _no_git() -> str | None:
    if not shutil.which("git"):
        return "no git on the path"
    return None if (Path(__file__).parents[2] / ".git").exists() else "this is no checkout of git"


WHY_MISSING = {
    "postgres": _no_postgres,
    "spark": _no_spark,
    "browser": _no_browser,
    "datasets": _no_datasets,
    "curl": _no_curl,
    "git": _no_git,
    "prometheus": _no_prometheus,
    "airflow": _no_airflow,
}


@cache
def why_missing(name: str) -> str | None:
    """Why this machine lacks the capability, or None where it is there."""
    return WHY_MISSING[name]()


def required() -> set[str]:
    """The capabilities that must be there, from `VOUCH_REQUIRE`; a name that is none of ours is an error."""
    names = {name.strip() for name in os.environ.get("VOUCH_REQUIRE", "").split(",")} - {""}
    if unknown := names - WHY_MISSING.keys():
        raise pytest.UsageError(f"VOUCH_REQUIRE names {sorted(unknown)}; known are {sorted(WHY_MISSING)}")
    return names


def make_requirement(name: str):
    """A function that skips the test that calls it where the capability is missing, or fails it where required."""
    assert name in WHY_MISSING, f"{name!r} is none of {sorted(WHY_MISSING)}"

    def requirement() -> None:
        if reason := why_missing(name):
            (pytest.fail if name in required() else pytest.skip)(f"needs {name}: {reason}")

    return requirement


def _as_server_user(*command: object) -> None:
    """Run one of PostgreSQL's programs, which refuse to run as root."""
    prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    done = subprocess.run([*prefix, *map(str, command)], capture_output=True, text=True, cwd="/", check=False)
    assert done.returncode == 0, f"{command[0]} failed:\n{done.stdout}\n{done.stderr}"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextmanager
def postgres_server():
    """Start a PostgreSQL server of its own in a temporary folder, and give the URL of its database `postgres`."""
    programs = _postgres_programs()
    # Not pytest's temporary folder: only its owner may enter that, and the server runs as another user.
    folder = Path(tempfile.mkdtemp(prefix="vouch-postgres-"))
    data, log, password_file = folder / "data", folder / "log", folder / "password"
    password, port = secrets.token_hex(16), free_port()
    password_file.write_text(password)
    if os.geteuid() == 0:
        for path in (folder, password_file):
            shutil.chown(path, "postgres")
    try:
        _as_server_user(
            *(programs / "initdb", "-D", data, "-U", "vouch", "--pwfile", password_file, "-A", "scram-sha-256"),
            *("-E", "UTF8", "--locale=C", "--no-sync"),
        )
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        _as_server_user(programs / "pg_ctl", "-D", data, "-l", log, "-o", options, "-w", "start", "-s")
        try:
            yield f"postgresql://vouch:{password}@127.0.0.1:{port}/postgres"
        finally:
            _as_server_user(programs / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop", "-s")
    finally:
        shutil.rmtree(folder)


@contextmanager
def spark_session(folder: Path):
    """Start Spark inside this process on loopback, with what it writes under `folder`."""
    os.environ |= {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    from pyspark.sql import SparkSession

    settings = {
        "spark.driver.extraJavaOptions": f"-Djava.io.tmpdir={folder}",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "2g",
        "spark.local.dir": folder / "scratch",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": 2,
        "spark.sql.warehouse.dir": folder / "warehouse",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    builder = SparkSession.builder.master("local[2]").appName("vouch-tests")
    for key, value in settings.items():
        builder = builder.config(key, str(value))
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    try:
        yield session
    finally:
        session.stop()


@contextmanager
def chromium():
    """Start Debian's Chromium under Playwright."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_FLAGS))
        try:
            yield running
        finally:
            running.close()
