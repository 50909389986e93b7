"""The configuration of one company's project (`vouch.toml`): where data lie, how they map, where vouch keeps files.

Built once by the command line or the service, then passed. The only module that reads the environment.
"""

from __future__ import annotations

import importlib.metadata
import os
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vouch.features.contract.tables import ACT_KINDS, TABLES
from vouch.features.errors import ConfigurationError, UsageError, did_you_mean
from vouch.features.feature_settings import FeatureSettings, parse_features
from vouch.features.home_format import check_home
from vouch.features.model_settings import is_settings, parse_model_settings
from vouch.features.readers import PLAIN, parse_source
from vouch.features.settings import Part
from vouch.features.shown import redacted
from vouch.features.table_settings import TableMapping, parse_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from ipaddress import IPv4Network, IPv6Network

    from vouch.features.model_settings import ModelSettings
    from vouch.features.readers import Reader

DEFAULT_HOME = ".vouch"
PROJECT_FILE = "vouch.toml"
ENGINES = ("duckdb", "polars", "spark")


POSTGRES = "postgresql://"
S3 = "s3://"
TEXT_ENDINGS = tuple(f"{text}{packed}" for text in (".csv", ".tsv", ".txt") for packed in ("", ".gz"))
LINES_ENDINGS = tuple(f"{text}{packed}" for text in (".jsonl", ".ndjson", ".json") for packed in ("", ".gz"))
WORKBOOK_ENDINGS = (".xlsx", ".xlsm", ".xls", ".ods")
FILE_ENDINGS = (".parquet", *TEXT_ENDINGS, *LINES_ENDINGS, *WORKBOOK_ENDINGS)
"""Endings of files that hold one table, in any case of letters."""
ATTRIBUTIONS = ("first", "last", "linear")
"""Which of several advocates a customer's revenue may go to."""
HEAVIEST = 1000
"""More than this no act may weigh."""


def sqlite_url(path: Path, **settings: str) -> str:
    """The address of an SQLite file for SQLAlchemy, whatever signs its folders have in their names.

    The driver is named because MLflow makes the folders of what follows `sqlite:///`, its signs still encoded.
    """
    from sqlalchemy import URL

    return URL.create("sqlite+pysqlite", database=str(path), query=settings).render_as_string(hide_password=False)


@dataclass(frozen=True)
class Project:
    """One company's data, mapping and home.

    `location` is a folder, a DuckDB file or a `postgresql://` URL, or None where the mapping names single files
    (`sources`). `tables` is empty where the names are the contract's own. `population` is how many customers could
    answer a survey, where that is known; below `hidden_below` observations no metric shows its value.
    """

    home: Path
    location: str | None = field(repr=False)
    sources: Mapping[str, str] = field(default_factory=dict, repr=False)
    readers: Mapping[str, Reader] = field(default_factory=dict)
    """How sources are read that are not written as the contract would have it."""
    tables: Mapping[str, TableMapping] = field(default_factory=dict)
    models: Mapping[str, ModelSettings] = field(default_factory=dict)
    """What is decided about models, by their names."""
    features: FeatureSettings = field(default_factory=FeatureSettings)
    feedback_sources: tuple[str, ...] = ()
    population: int | None = None
    hidden_below: int | None = None
    attribution: Literal["first", "last", "linear"] = "first"
    counts_voices: bool = False
    act_weights: Mapping[str, float] = field(default_factory=dict)
    """What acts of some kinds weigh where it is not as usual."""
    discount: float = 0.10
    """How much less money of the next year counts than money of today."""
    store: str | None = field(default=None, repr=False)
    tracking: str | None = field(default=None, repr=False)
    recorded: Mapping[str, str] = field(default_factory=dict)
    """Files with rows that the service has recorded, by table: they are read beside the company's own."""
    memory_limit: str = "4GB"
    threads: int | None = None
    spark_master: str | None = None


_FILE_KEYS: Mapping[str, type] = {
    "data": str,
    "source": dict,
    "tables": dict,
    "feedback": dict,
    "engine": dict,
    "metrics": dict,
    "features": dict,
}
_SECTION_KEYS: Mapping[str, Mapping[str, type]] = {
    "feedback": {"sources": list},
    "engine": {"memory_limit": str, "threads": int, "spark_master": str},
    "metrics": {
        "population": int,
        "hidden_below": int,
        "attribution": str,
        "counts_voices": bool,
        "act_weights": dict,
        "discount": float,
    },
}


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not valid TOML: {error}") from error


def _anchored(path: Path, name: str) -> str:
    """A location named in a project file, relative to the folder of that file; `${NAME}` is read from the settings."""
    expanded = os.path.expandvars(name)
    if expanded.startswith((POSTGRES, S3)):
        return expanded
    if "$" in expanded:
        raise ConfigurationError(f"{path}: the variable in {name!r} is not set")
    if "://" in expanded:
        raise ConfigurationError(f"{path}: {_no_other_url(expanded)}")
    location = path.parent / expanded
    if not _can_be_read(location) and not files_of(location):
        raise ConfigurationError(f"{path}: there is no file or folder {location}")
    return str(location.resolve())


def _can_be_read(path: Path) -> bool:
    """Whether it is a file or a folder: whoever opens a pipe, a socket or a device may wait for ever."""
    return path.is_file() or path.is_dir()


def files_of(location: Path) -> list[Path]:
    """The files that a pattern such as `orders_*.csv` means, in order of their names; none where it is no pattern."""
    return sorted(location.parent.glob(location.name)) if "*" in location.name and location.parent.is_dir() else []


def _no_other_url(location: str) -> str:
    return f"{redacted(location)} is no place to read from: a {POSTGRES} or {S3} URL, a folder or a file is"


def _feedback_sources(path: Path, raw: Mapping[str, Any]) -> tuple[str, ...]:
    known = TABLES["feedback"].columns["source"].values
    given = Part(path, "[feedback]", raw.get("feedback", {})).only(_SECTION_KEYS["feedback"]).raw.get("sources", [])
    for source in given:
        if source not in known:
            raise ConfigurationError(f"{path}: [feedback] sources: {source!r} is none of {', '.join(known)}")
    return tuple(given)


def _act_weights(path: Path, raw: Any) -> dict[str, float]:
    part = Part(path, "[metrics.act_weights]", raw)
    for kind, weight in part.raw.items():
        if kind not in ACT_KINDS:
            raise ConfigurationError(f"{part.where}: {kind!r} is no kind of act{did_you_mean(kind, ACT_KINDS)}")
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= HEAVIEST:
            raise ConfigurationError(f"{part.where}: {kind!r} must be a number from 0 to {HEAVIEST}")
    return {kind: float(weight) for kind, weight in part.raw.items()}


def _from_file(path: Path) -> Project:
    whole = _read(path)
    models = {
        name: part for name, part in whole.items() if name not in _FILE_KEYS and is_settings(name, part, _FILE_KEYS)
    }
    raw = Part(path, "", {name: part for name, part in whole.items() if name not in models}).only(_FILE_KEYS).raw
    given = Part(path, "[source]", raw.get("source", {})).raw
    sources = {name: parse_source(path, name, source) for name, source in given.items()}
    engine = Part(path, "[engine]", raw.get("engine", {})).only(_SECTION_KEYS["engine"]).raw
    if engine.get("threads", 1) < 1:
        raise ConfigurationError(f"{path}: [engine] threads must be at least 1")
    metrics = Part(path, "[metrics]", raw.get("metrics", {})).only(_SECTION_KEYS["metrics"]).raw
    for key in ("population", "hidden_below"):
        if metrics.get(key, 1) < 1:
            raise ConfigurationError(f"{path}: [metrics] {key} must be at least 1")
    if metrics.get("attribution", "first") not in ATTRIBUTIONS:
        raise ConfigurationError(f"{path}: [metrics] attribution must be one of {', '.join(ATTRIBUTIONS)}")
    return Project(
        home=home(),
        location=_anchored(path, raw["data"]) if "data" in raw else None,
        sources={name: _anchored(path, file) for name, (file, _) in sources.items()},
        readers={name: reader for name, (_, reader) in sources.items() if reader != PLAIN},
        tables={name: parse_table(path, name, table) for name, table in raw.get("tables", {}).items()},
        models={name: parse_model_settings(path, name, part) for name, part in models.items()},
        features=parse_features(path, raw.get("features", {})),
        feedback_sources=_feedback_sources(path, raw),
        population=metrics.get("population"),
        hidden_below=metrics.get("hidden_below"),
        attribution=metrics.get("attribution", "first"),
        counts_voices=metrics.get("counts_voices", False),
        act_weights=_act_weights(path, metrics.get("act_weights", {})),
        discount=Part(path, "[metrics]", metrics).share("discount", Project.discount),
        memory_limit=engine.get("memory_limit", Project.memory_limit),
        threads=engine.get("threads"),
        spark_master=engine.get("spark_master"),
    )


def home() -> Path:
    """Return the folder that vouch keeps its own files in: `VOUCH_HOME`, else `./.vouch`.

    Raises ConfigurationError where a newer release has written there, or a restore did not end.
    """
    place = home_place()
    check_home(place)
    return place


def home_place() -> Path:
    """Return where the home is, whatever lies there."""
    return Path(os.environ.get("VOUCH_HOME", DEFAULT_HOME)).resolve()


def environment(**settings: str) -> dict[str, str]:
    """Return the environment for a process that is started from here, with settings of its own."""
    return {**os.environ, "VOUCH_HOME": str(home()), **settings}


def version() -> str:
    """Return the version of this code: as it was installed, or, in a Bento, as `pyproject.toml` beside it says."""
    try:
        return importlib.metadata.version("vouch")
    except importlib.metadata.PackageNotFoundError:
        beside = Path(__file__).parents[1] / "pyproject.toml"
        number: str = tomllib.loads(beside.read_text(encoding="utf-8"))["project"]["version"]
        return number


def tracking() -> str | None:
    """Return where a team's MLflow server is: `MLFLOW_TRACKING_URI`, or None for the database under `VOUCH_HOME`."""
    return os.environ.get("MLFLOW_TRACKING_URI")


def store_url() -> str | None:
    """Return where a team's serving store is: `VOUCH_STORE_URL`, or None for the database under `VOUCH_HOME`."""
    return os.environ.get("VOUCH_STORE_URL")


def lineage_place() -> str | None:
    """Return where events of lineage go: `VOUCH_LINEAGE`, an address or a file; None for nowhere."""
    return os.environ.get("VOUCH_LINEAGE") or None


def lineage_key() -> str | None:
    """Return the key that an address of lineage takes: `VOUCH_LINEAGE_KEY`."""
    return os.environ.get("VOUCH_LINEAGE_KEY") or None


LOCAL = "VOUCH_LOCAL"
"""Set for the service by `vouch serve` where it listens on loopback alone."""


def listens_here_alone() -> bool:
    """Whether the service was started so that no other machine reaches it."""
    return os.environ.get(LOCAL) == "1"


def is_shared_home() -> bool:
    """Whether several users share the home, who are of one group: `VOUCH_HOME_SHARED=1`."""
    return os.environ.get("VOUCH_HOME_SHARED") == "1"


def trusted_proxies() -> tuple[IPv4Network | IPv6Network, ...]:
    """Return whose `X-Forwarded-For` is believed: `VOUCH_TRUSTED_PROXIES`, addresses or networks, by default nobody's.

    Raises ConfigurationError for what is neither, or everybody.
    """
    named = [text.strip() for text in os.environ.get("VOUCH_TRUSTED_PROXIES", "").split(",") if text.strip()]
    try:
        networks = tuple(ip_network(text) for text in named)
    except ValueError as error:
        raise ConfigurationError(
            f"VOUCH_TRUSTED_PROXIES: {error}. Give addresses, or networks as 10.1.0.0/16"
        ) from error
    if any(network.prefixlen == 0 for network in networks):
        raise ConfigurationError("VOUCH_TRUSTED_PROXIES: whom everybody can be is nobody to trust. Name the proxies")
    return networks


LOG_REQUESTS = "VOUCH_LOG_REQUESTS"
"""Set for the service by `vouch serve --log-requests`."""


def logs_requests() -> bool:
    """Whether the service writes a line for every request, and not only for those that went wrong."""
    return os.environ.get(LOG_REQUESTS) == "1"


def settle(**settings: str) -> None:
    """Set what libraries read from the environment only, before they are imported (telemetry, pickle)."""
    os.environ.update(settings)


def suggest(**settings: str) -> None:
    """Set what libraries read from the environment only, where nobody has set it."""
    for name, value in settings.items():
        os.environ.setdefault(name, value)


@contextmanager
def unchanged_settings(*names: str) -> Iterator[None]:
    """Leave these settings as they are, whatever a library writes into the environment meanwhile."""
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def aside(*names: str) -> Iterator[None]:
    """Set these settings aside for as long as it takes: they are meant for whoever set them, and not for us."""
    with unchanged_settings(*names):
        for name in names:
            os.environ.pop(name, None)
        yield


def load_project(data: str | None = None) -> Project:
    """Read where a company's data are.

    `data` is a folder, a DuckDB file, a `postgresql://` or `s3://` URL, or a project file; without it, `vouch.toml` in
    the current folder. A folder that holds a `vouch.toml` is read as that says. Raises UsageError where nothing is
    there and ConfigurationError where the file is wrong.
    """
    if data is None:
        if not Path(PROJECT_FILE).is_file():
            raise UsageError(f"No data given, and no {PROJECT_FILE} in this folder. Give a folder, file or URL.")
        data = PROJECT_FILE
    if (Path(data) / PROJECT_FILE).is_file():
        data = str(Path(data) / PROJECT_FILE)
    project = _from_file(_project_file(data)) if data.endswith(".toml") else Project(home(), _location(data))
    return replace(project, store=store_url(), tracking=tracking())


def _project_file(data: str) -> Path:
    if not Path(data).is_file():
        raise UsageError(f"There is no project file {data}")
    return Path(data).resolve()


def _location(data: str) -> str:
    if data.startswith((POSTGRES, S3)):
        return data
    if "://" in data:
        raise UsageError(_no_other_url(data))
    path = Path(data)
    if not _can_be_read(path):
        raise UsageError(f"There is no file or folder {data!r}")
    if path.is_file() and path.name.lower().endswith(FILE_ENDINGS):
        raise UsageError(f"{data!r} is a single table: give the folder that it lies in, or name it in a {PROJECT_FILE}")
    return str(path.resolve())
