"""What the service answers from: the newest published snapshot and the champions, in memory, replaced when newer ones
are published.

A snapshot or a champion that is not sound is not taken: the one before stays, and the log says so once. Readers take
`store.portfolio` once per request, so that an answer never mixes two snapshots.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from features.contract import DAY_US
from features.errors import BundleError, DefinitionError, SnapshotError
from models.predictor import champion_folder
from serving import snapshot
from serving.advocates import at_risk, candidates
from serving.columns import MODELS
from serving.instants import microseconds, spoken
from serving.problems import Problem, where
from serving.scoring import Champion, champion

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa

    from serving.snapshot import Snapshot

STALE_DAYS = 8
"""A weekly snapshot is stale when its instant lies further back than a week and a day."""
WATCH_SECONDS = 1.0
PROBABILITIES = tuple(f"{model}_probability" for model in MODELS)
_log = logging.getLogger("vouch.serving")


@dataclass(frozen=True)
class Portfolio:
    """One snapshot in memory: rows by customer, and both ranked lists."""

    snapshot: Snapshot
    scores: pa.Table
    customers: pa.Table
    metrics: pa.Table
    row_of: Mapping[str, int]
    candidates: pd.DataFrame
    at_risk: pd.DataFrame
    place_of: np.ndarray[Any, np.dtype[np.intp]]
    """Where in the candidates the customer of a row stands."""
    before: Earlier | None

    @property
    def metric_ids(self) -> frozenset[str]:
        """Ids of all metrics of the snapshot."""
        return frozenset(self.metrics["metric_id"].to_pylist())

    def freshness(self, now_us: int) -> dict[str, Any]:
        """How new the snapshot is, as all answers say it."""
        manifest = self.snapshot.manifest
        return {
            "as_of": manifest["as_of"],
            "revision": self.snapshot.revision,
            "scored_at": manifest["now"],
            "data_through": manifest["data_through"],
            "is_stale": now_us - self.snapshot.as_of_us > STALE_DAYS * DAY_US,
        }


@dataclass(frozen=True)
class Earlier:
    """The probabilities of the snapshot before."""

    as_of: str
    probabilities: pa.Table
    row_of: Mapping[str, int]

    def of(self, customer_id: str) -> dict[str, Any] | None:
        """Probabilities of one customer, or None for one who was not known then."""
        row = self.row_of.get(customer_id)
        return None if row is None else {"as_of": self.as_of, **self.probabilities.slice(row, 1).to_pylist()[0]}


def now_us() -> int:
    """The clock of the service, in microseconds since 1970."""
    return microseconds(datetime.now(UTC))


def load(home: Path) -> Portfolio:
    """Read the newest published snapshot into memory; raises SnapshotError where it is missing or not sound."""
    found = snapshot.read_snapshot(home)
    scores, customers, metrics = (_whole(found.table(name)) for name in ("scores", "customers", "metrics"))
    frame = searchable(scores, customers)
    ranked = candidates(frame)
    return Portfolio(
        snapshot=found,
        scores=scores,
        customers=customers,
        metrics=metrics,
        row_of=_rows(scores),
        candidates=ranked,
        at_risk=at_risk(frame),
        place_of=np.argsort(ranked["row"].to_numpy()),
        before=_before(home, found.as_of_us),
    )


def _before(home: Path, as_of_us: int) -> Earlier | None:
    """The snapshot of the instant before; without it, answers do without the comparison."""
    earlier = [instant for instant in snapshot.published(home) if instant < as_of_us]
    if not earlier:
        return None
    try:
        found = snapshot.read_snapshot(home, earlier[-1], ["scores"])
        rows = _whole(found.table("scores", ["customer_id", *PROBABILITIES]))
    except SnapshotError as error:
        _log.warning("%s", error)
        return None
    return Earlier(spoken(earlier[-1]), rows.select(list(PROBABILITIES)), _rows(rows))


def _whole(table: pa.Table) -> pa.Table:
    """The same in one piece, so that one row is found at once."""
    return table.combine_chunks()


def _rows(table: pa.Table) -> dict[str, int]:
    return {customer: row for row, customer in enumerate(table["customer_id"].to_pylist())}


def searchable(scores: pa.Table, customers: pa.Table) -> pd.DataFrame:
    """What filters and ranks read, one row per customer, with its place in the tables."""
    of_scores = ["customer_id", *(f"{m}_status" for m in MODELS), *PROBABILITIES, "advocate_tier", "churn_band"]
    of_customers = ["segment", "region", "language", "advocacy_consent", "mrr"]
    frame: pd.DataFrame = scores.select(of_scores).to_pandas().join(customers.select(of_customers).to_pandas())
    return frame.assign(row=range(len(frame)))


class Store:
    """Holds what the service answers from, and looks for newer."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._portfolio: Portfolio | None = None
        self.champions: Mapping[str, Champion] = {name: Champion(name, None, None) for name in MODELS}
        self._seen_snapshot: object = None
        self._seen_champions: object = None
        self._stop = threading.Event()

    @property
    def portfolio(self) -> Portfolio:
        """The snapshot to answer from; raises the problem `no_snapshot` where there is none."""
        if self._portfolio is None:
            raise Problem("no_snapshot", "Run `vouch score` on the host of the service")
        return self._portfolio

    @property
    def company_columns(self) -> dict[str, frozenset[str]]:
        """Contract columns that the company hands over, by table; empty before the first snapshot."""
        held = {} if self._portfolio is None else self._portfolio.snapshot.manifest["columns"]
        return {name: frozenset(columns) for name, columns in held.items()}

    def metrics_of_weeks(self, weeks: int) -> list[pa.Table]:
        """Metrics of the newest published instants, the newest last; one that is not sound is left out."""
        newest = self.portfolio.snapshot
        earlier = [instant for instant in snapshot.published(self._home) if instant < newest.as_of_us]
        return [*self._earlier_metrics(earlier[-(weeks - 1) :] if weeks > 1 else []), self.portfolio.metrics]

    def _earlier_metrics(self, instants: list[int]) -> list[pa.Table]:
        found = []
        for as_of_us in instants:
            try:
                found.append(snapshot.read_snapshot(self._home, as_of_us, ["metrics"]).table("metrics"))
            except SnapshotError as error:
                _log.warning("%s", error)
        return found

    @property
    def is_ready(self) -> bool:
        """Whether there is a snapshot to answer from."""
        return self._portfolio is not None

    def refresh(self) -> None:
        """Take a newer snapshot or champion, where there is one and it is sound."""
        seen = self._published()
        if seen != self._seen_snapshot:
            self._seen_snapshot = seen
            self._take_snapshot()
        seen = [_mark(champion_folder(self._home, name) / "bundle") for name in MODELS]
        if seen != self._seen_champions:
            self._seen_champions = seen
            self._take_champions()

    def _take_snapshot(self) -> None:
        try:
            self._portfolio = load(self._home)
        except SnapshotError as error:
            _log.warning("the snapshot is not taken: %s", error)
        else:
            taken = self._portfolio.snapshot
            _log.info("serving the snapshot as of %s, revision %d", spoken(taken.as_of_us), taken.revision)

    def _take_champions(self) -> None:
        found = dict(self.champions)
        for name in MODELS:
            try:
                found[name] = champion(self._home, name)
            except (BundleError, DefinitionError) as error:
                _log.warning("the champion of %s is not taken: %s", name, error)
        self.champions = found

    def _published(self) -> object:
        """What changes when a snapshot is published: a cheap look at the newest pointer."""
        instants = snapshot.published(self._home)
        return (instants[-1], _mark(snapshot.pointer(self._home, instants[-1]))) if instants else None

    def watch(self) -> None:
        """Look for newer ones every second, on a thread of its own."""
        threading.Thread(target=self._watch, name="vouch-watch", daemon=True).start()

    def stop(self) -> None:
        """End the watch."""
        self._stop.set()

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
