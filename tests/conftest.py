"""Fixtures that all tests share, and the list of what this machine lacked at the end of a run."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import settings

from support import capabilities

# The same examples in every run, so that a run without a change cannot turn red; `--hypothesis-profile=search` looks
# for new ones. No deadline: the time of one example says nothing on a busy machine.
settings.register_profile("same", derandomize=True, deadline=None, database=None)
settings.register_profile("search", max_examples=5_000, deadline=None)
settings.load_profile("same")

# What collecting makes, most of a million objects, stays until the end: looking for what could go costs a third of it.
gc.disable()


@atexit.register
def let_go():
    """At the very end, also where others collect for this process: libraries would take what they hold for a leak."""
    gc.unfreeze()
    gc.enable()


def pytest_collection_finish():
    """Look for garbage again, among what the tests make."""
    gc.freeze()
    gc.enable()


needs_postgres, needs_spark, needs_browser, needs_datasets = map(
    capabilities.make_requirement, ("postgres", "spark", "browser", "datasets")
)


@pytest.fixture(scope="session", autouse=True)
def surroundings(tmp_path_factory):
    """No test writes into the checkout, reads the developer's settings, or reports to anybody."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("VOUCH_STORE_URL", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)
        patch.setenv("VOUCH_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.setenv("BENTOML_DO_NOT_TRACK", "True")
        patch.setenv("MPLBACKEND", "agg")
        yield


@pytest.fixture(scope="session")
def company(tmp_path_factory) -> Path:
    """A simulated company as a folder of canonical tables: 600 customers, 60 weeks."""
    from vouch.features.simulation.company import simulate

    folder = tmp_path_factory.mktemp("company")
    simulate(folder, customers=600, weeks=60, seed=7)
    return folder


@pytest.fixture(scope="session")
def staged(company, tmp_path_factory):
    """The simulated company in contract form, as `vouch.features.ingest.stage.open_tables` takes it."""
    from vouch.features.ingest.stage import stage
    from vouch.features.project import Project
    from vouch.features.simulation.parameters import LAST_INSTANT_US

    return stage(Project(home=tmp_path_factory.mktemp("staged"), location=str(company)), LAST_INSTANT_US)


@pytest.fixture(scope="session")
def small_company(tmp_path_factory) -> Path:
    """The tables that the models need of 150 simulated customers: what a test breaks again and again."""
    from support.faults import handed_over
    from vouch.features.simulation.company import simulate

    made = tmp_path_factory.mktemp("made")
    simulate(made, customers=150, weeks=40, seed=3)
    return handed_over(made, tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def good_home(small_company, tmp_path_factory) -> Path:
    """A home of the small company whose last good week is the one before; a test breaks a copy of it."""
    from support.faults import BEFORE, with_champions

    home = tmp_path_factory.mktemp("good")
    with_champions(home, small_company, BEFORE)
    return home


@pytest.fixture(scope="session")
def datasets() -> Path:
    """The folder of public data sets."""
    needs_datasets()
    return Path(os.environ["VOUCH_DATASETS"]).resolve()


@pytest.fixture(scope="session")
def postgres_server():
    """The URL of a real PostgreSQL server that only this run uses."""
    needs_postgres()
    with capabilities.postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def make_database(postgres_server):
    """A function that makes an empty database on the server and gives its URL."""
    import psycopg

    made = Counter()

    def make() -> str:
        made["databases"] += 1
        name = f"test_{made['databases']}"
        with psycopg.connect(postgres_server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return urlsplit(postgres_server)._replace(path=f"/{name}").geturl()

    return make


@pytest.fixture(scope="session")
def postgres(make_database) -> str:
    """The URL of an empty database that the tests of a run share; `make_database` gives one of its own."""
    return make_database()


@pytest.fixture(scope="session")
def spark(tmp_path_factory):
    """A local SparkSession."""
    needs_spark()
    with capabilities.spark_session(tmp_path_factory.mktemp("spark")) as session:
        yield session


@pytest.fixture(scope="module")  # not the session: while it runs, its thread has an event loop, and asyncio.run fails
def browser():
    """Chromium under Playwright; `browser.new_page()` opens a page."""
    needs_browser()
    with capabilities.chromium() as running:
        yield running


@pytest.fixture
def definitions():
    """The registers of features and computed columns; what a test declares or changes there is gone after it."""
    from vouch.features.vectors.declare import COLUMNS, FEATURES, load_families

    load_families()
    kept = [(there, {name: dict(of) if isinstance(of, dict) else of for name, of in there.items()})
            for there in (FEATURES, COLUMNS)]  # fmt: skip
    yield FEATURES, COLUMNS
    for there, before in kept:
        there.clear()
        there.update(before)


@pytest.fixture
def register(definitions):
    """The register of features, empty, with no computed columns, while a test runs."""
    features, columns = definitions
    features.clear()
    columns.clear()
    return features


@pytest.fixture
def vouch(tmp_path, monkeypatch, capsys):
    """A function that runs the command line in this process and gives exit code, standard output, standard error."""
    from vouch.serving import cli

    monkeypatch.setenv("VOUCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["vouch", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        written = capsys.readouterr()
        return ended.value.code or 0, written.out, written.err

    return run


def pytest_configure(config):
    """Refuse a misspelt VOUCH_REQUIRE before any test runs."""
    capabilities.required()


def pytest_collection_modifyitems(items):
    """A test that takes the fixture of a capability carries its mark, so that `-m "not spark"` leaves it out.

    Modules with slow tests come first: while one of them runs, the other workers do all that is quick.
    """
    for item in items:
        taken = set(getattr(item, "fixturenames", ()))
        for name in taken & capabilities.WHY_MISSING.keys():
            item.add_marker(name)
        if "make_database" in taken:
            item.add_marker("postgres")
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_runtest_setup(item):
    """A test that carries the mark of a capability needs it."""
    for name in capabilities.WHY_MISSING:
        if item.get_closest_marker(name):
            capabilities.make_requirement(name)()


def pytest_terminal_summary(terminalreporter):
    """List what was skipped, and why, and what was added to definitions and is not reviewed yet."""
    passed = terminalreporter.stats.get("passed", [])
    added = [line for report in passed for name, line in report.user_properties if name == "added"]
    if added:
        terminalreporter.section("added, and not in the reviewed texts yet: make golden")
    for line in added:
        terminalreporter.line(line)
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    if reasons:
        terminalreporter.section("skipped, and why")
    for reason, count in sorted(reasons.items()):
        terminalreporter.line(f"{count:4} {'test' if count == 1 else 'tests'}: {reason}")
