"""What the service answers from: the newest week of the store and the champions, in memory, replaced when newer ones
are published.

A snapshot or a champion that is not sound is not taken: the one before stays, and the log says so once. Readers take
`store.portfolio` once per request, so that an answer never mixes two snapshots. A store that does not answer costs what
is written, not what is read.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from features.contract import DAY_US
from features.errors import BundleError, DefinitionError, SnapshotError, StoreError
from models.predictor import champion_folder
from serving import snapshot
from serving.advocates import at_risk, candidates
from serving.columns import MODELS
from serving.database import keys, weeks
from serving.database.audit import Journal
from serving.database.connection import Database
from serving.instants import microseconds
from serving.mapped import Customers, Rows, keep_only, mapped, named
from serving.problems import Problem, where
from serving.scoring import Champion, champion

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

    from serving.database.keys import Key
    from serving.database.weeks import Week

STALE_DAYS = 8
"""A weekly snapshot is stale when its instant lies further back than a week and a day."""
WATCH_SECONDS = 1.0
PROBABILITIES = tuple(f"{model}_probability" for model in MODELS)
_log = logging.getLogger("vouch.serving")


@dataclass(frozen=True)
class Portfolio:
    """One week: rows by customer, and both ranked lists."""

    week: Week
    scores: Rows
    customers: Rows
    ids: Customers
    metrics: pa.Table
    candidates: pd.DataFrame
    at_risk: pd.DataFrame
    place_of: np.ndarray[Any, np.dtype[np.intp]]
    """Where in the candidates the customer of a row stands."""
    before: Earlier | None

    @property
    def metric_ids(self) -> frozenset[str]:
        """Ids of all metrics of the week."""
        return frozenset(self.metrics["metric_id"].to_pylist())

    def freshness(self, now_us: int) -> dict[str, Any]:
        """How new the week is, as all answers say it."""
        manifest = self.week.manifest
        return {
            "as_of": manifest["as_of"],
            "revision": self.week.revision,
            "scored_at": manifest["now"],
            "data_through": manifest["data_through"],
            "is_stale": now_us - self.week.as_of_us > STALE_DAYS * DAY_US,
        }


@dataclass(frozen=True)
class Earlier:
    """The scores of the week before."""

    week: Week
    scores: Rows
    ids: Customers

    def of(self, customer_id: str) -> dict[str, Any] | None:
        """Scores of one customer, or None for one who was not known then."""
        row = self.ids.row_of(customer_id)
        return None if row is None else self.scores.at(row)


def now_us() -> int:
    """The clock of the service, in microseconds since 1970."""
    return microseconds(datetime.now(UTC))


def load(database: Database) -> Portfolio | None:
    """Read the newest week of the store, None where there is none; raises SnapshotError where it is not sound."""
    with database.reading() as connection:
        known = weeks.weeks(connection, with_customers=True)
        if not known:
            return None
        *earlier, week = known
        files = {
            (of.snapshot_id, name): named(weeks.digests(connection, of.snapshot_id, name))
            for of, names in ((week, ("scores", "customers")), *((of, ("scores",)) for of in earlier[-1:]))
            for name in names
        }
        rows = {
            (of, name): mapped(database.home, file, weeks.read(connection, of, name))
            for (of, name), file in files.items()
        }
        metrics = pa.Table.from_batches(weeks.read(connection, week.snapshot_id, weeks.METRICS))
    keep_only(database.home, frozenset(files.values()))
    scores, customers = (rows[week.snapshot_id, name] for name in ("scores", "customers"))
    frame = searchable(scores.table(), customers.table())
    ranked = candidates(frame)
    return Portfolio(
        week=week,
        scores=scores,
        customers=customers,
        ids=Customers(scores),
        metrics=metrics,
        candidates=ranked,
        at_risk=at_risk(frame),
        place_of=np.argsort(ranked["row"].to_numpy()),
        before=_before(earlier[-1], rows) if earlier else None,
    )


def _before(week: Week, rows: Mapping[tuple[int, str], Rows]) -> Earlier:
    scores = rows[week.snapshot_id, "scores"]
    return Earlier(week, scores, Customers(scores))


def searchable(scores: pa.Table, customers: pa.Table) -> pd.DataFrame:
    """What filters and ranks read, one row per customer, with its place in the tables."""
    of_scores = ["customer_id", *(f"{m}_status" for m in MODELS), *PROBABILITIES, "advocate_tier", "churn_band"]
    of_customers = ["segment", "region", "language", "advocacy_consent", "mrr"]
    frame: pd.DataFrame = scores.select(of_scores).to_pandas().join(customers.select(of_customers).to_pandas())
    return frame.assign(row=range(len(frame)))


class Store:
    """Holds what the service answers from, and looks for newer."""

    def __init__(self, home: Path, url: str | None = None) -> None:
        self.home = home
        self.database = Database(home, url)
        self.journal = Journal(self.database)
        self.keys: Mapping[str, Key] | None = None
        """All keys by their ids; None until the store has told them."""
        self._portfolio: Portfolio | None = None
        self._metrics: dict[tuple[int, int], pa.Table] = {}
        self.champions: Mapping[str, Champion] = {name: Champion(name, None, None) for name in MODELS}
        self.refused: tuple[str, ...] = ()
        """Why what is published on disk is not served."""
        self.trouble: str | None = None
        """Why the store does not answer, None while it does."""
        self._on_disk: object = None
        self._versions: Mapping[str, int] = {}
        self._seen_champions: object = None
        self._stop = threading.Event()

    @property
    def portfolio(self) -> Portfolio:
        """The week to answer from; raises the problem `no_snapshot` where there is none."""
        if self._portfolio is None:
            raise Problem("no_snapshot", "Run `vouch score` on the host of the service")
        return self._portfolio

    @property
    def company_columns(self) -> dict[str, frozenset[str]]:
        """Contract columns that the company hands over, by table; empty before the first snapshot."""
        held = {} if self._portfolio is None else self._portfolio.week.manifest["columns"]
        return {name: frozenset(columns) for name, columns in held.items()}

    def metrics_of_weeks(self, number: int) -> list[pa.Table]:
        """Metrics of the newest weeks, the newest last."""
        newest = self.portfolio
        if number == 1:
            return [newest.metrics]
        with self.database.reading() as connection:
            known = [week for week in weeks.weeks(connection) if week.as_of_us < newest.week.as_of_us]
            for week in known[1 - number :]:
                if (week.snapshot_id, week.version) not in self._metrics:
                    found = pa.Table.from_batches(weeks.read(connection, week.snapshot_id, weeks.METRICS))
                    self._metrics[week.snapshot_id, week.version] = found
        return [*(self._metrics[week.snapshot_id, week.version] for week in known[1 - number :]), newest.metrics]

    def state(self) -> dict[str, Any]:
        """How the store does, as `/readyz` tells everybody: no names, no places."""
        return {"store": "ok" if self.trouble is None else "away", "refused_snapshots": len(self.refused)}

    @property
    def is_ready(self) -> bool:
        """Whether there is a snapshot to answer from."""
        return self._portfolio is not None

    def refresh(self) -> None:
        """Take a newer snapshot or champion, where there is one and it is sound."""
        try:
            self._bring()
            self._read()
        except StoreError as error:
            if self.trouble is None:
                _log.error("%s", error)
            self.trouble = str(error)
        else:
            self.trouble = None
        seen = [_mark(champion_folder(self.home, name) / "bundle") for name in MODELS]
        if seen != self._seen_champions:
            self._seen_champions = seen
            self._take_champions()

    def _bring(self) -> None:
        """Load into the store what is published on this host's disk."""
        on_disk = self._published()
        if on_disk == self._on_disk:
            return
        self.refused = tuple(weeks.bring(self.database, self.home, now_us()))
        for reason in self.refused:
            _log.warning("a snapshot is not taken: %s", reason)
        self._on_disk = on_disk

    def _read(self) -> None:
        """Read again what others have moved in the store."""
        versions = self.database.versions()
        if versions.get("snapshots") != self._versions.get("snapshots"):
            self._take_snapshot()
        if versions["keys"] != self._versions.get("keys"):
            with self.database.reading() as connection:
                self.keys = keys.everyone(connection)
        self._versions = versions

    def _take_snapshot(self) -> None:
        try:
            self._portfolio = load(self.database)
        except SnapshotError as error:
            self.refused = (*self.refused, str(error))
            _log.warning("the snapshot is not taken: %s", error)
        else:
            if self._portfolio is not None:
                _log.info("serving %s", weeks.describe(self._portfolio.week))

    def _take_champions(self) -> None:
        found = dict(self.champions)
        for name in MODELS:
            try:
                found[name] = champion(self.home, name)
            except (BundleError, DefinitionError) as error:
                _log.warning("the champion of %s is not taken: %s", name, error)
        self.champions = found

    def _published(self) -> object:
        """What changes when a snapshot is published: a cheap look at the pointers."""
        return [(instant, _mark(snapshot.pointer(self.home, instant))) for instant in snapshot.published(self.home)]

    def watch(self) -> None:
        """Look for newer ones every second, on a thread of its own."""
        self.journal.start()
        threading.Thread(target=self._watch, name="vouch-watch", daemon=True).start()

    def stop(self) -> None:
        """End the watch, and let go of the store."""
        self._stop.set()
        self.journal.stop()
        self.database.close()

    def _watch(self) -> None:
        while not self._stop.wait(WATCH_SECONDS):
            try:
                self.refresh()
            except OSError as error:  # the disk is away for a while: what is in memory still serves
                _log.warning("cannot look for a newer snapshot: %s", where(error))


def _mark(path: Path) -> object:
    """Identity of a file or of what a link points to, which moves when it is replaced."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns
