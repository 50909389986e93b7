"""The reference pool of a week: its customers as columns that a request is matched with, and what was asked of them."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from vouch.features.instants import MINUTE_US
from vouch.serving.asking.rules.reference_match import AskHistory, Load, Matches, Pool, Prospect, load_of, match

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

    from vouch.serving.asking.ranked_list import RankedList
    from vouch.serving.asking.waiting import Asking
    from vouch.serving.store.mapped import Rows

WORDS = ("industry", "region", "language", "use_case", "persona")
SIZE = "company_size"


@dataclass
class ReferencePool:
    """The customers of one week and their load, which is counted anew when an ask was recorded or a minute has passed.

    Safe for threads.
    """

    pool: Pool
    asking: Asking
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _load: tuple[tuple[int, int], Load] | None = None

    def load(self, now_us: int) -> Load:
        """What was asked of everybody up to now."""
        state = (self.asking.version, now_us // MINUTE_US)
        with self._lock:
            if self._load is None or self._load[0] != state:
                self._load = state, load_of(self.pool, ask_history(self.asking), now_us)
            return self._load[1]

    def matches(
        self, prospect: Prospect, listed: RankedList, now_us: int, seed: str, limit: int, but: Collection[int] = ()
    ) -> Matches:
        """Return the first who fit and may be asked now, of a list for the kind of act.

        `but` are rows of the week that are left out: who was asked for the same request already.
        """
        standing = np.flatnonzero(listed.codes("exclusion") < 0).astype(np.int32)
        rows = listed.rows[self.asking.left(standing, listed)].astype(np.int64)
        if but:
            rows = rows[~np.isin(rows, list(but))]
        return match(self.pool, prospect, rows, self.load(now_us), seed, limit)


def reference_pool(scores: Rows, customers: Rows, asking: Asking) -> ReferencePool:
    """Return the pool of a week; columns that a week of an earlier version lacks are unknown of everybody."""
    size = len(customers)
    coded = {name: _coded(customers, name) for name in WORDS}
    employees = np.full(size, np.nan)
    if SIZE in customers.schema.names:
        employees = customers.column(SIZE).cast(pa.float64()).to_numpy()
    tier, _ = _coded(scores, "advocate_tier")
    pool = Pool(
        {name: codes for name, (codes, _) in coded.items()},
        {name: words for name, (_, words) in coded.items()},
        employees,
        tier + 1,
    )
    return ReferencePool(pool, asking)


def _coded(rows: Rows, name: str) -> tuple[np.ndarray[Any, np.dtype[np.int32]], tuple[str, ...]]:
    """A column of texts as codes and words; -1 for none."""
    if name not in rows.schema.names:
        return np.full(len(rows), -1, dtype=np.int32), ()
    encoded = rows.column(name).combine_chunks().dictionary_encode()
    whole = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    return whole.indices.fill_null(-1).to_numpy().astype(np.int32), tuple(whole.dictionary.to_pylist())


def ask_history(asking: Asking) -> AskHistory:
    """Return all asks of a week's customers that stand, those of the data and those recorded here, each once."""
    places, asks = asking.of_data
    rows = asking.ranked.rows[places].astype(np.int64)
    here = {who: row for who in list(asking.recorded) if (row := asking.ids.row_of(who)) is not None}
    of_data = ~np.isin(rows, list(here.values()))
    held = [(row, ask.asked_us, ask.outcome) for who, row in here.items() for ask in asking.of(who, row)]
    outcome = np.concatenate(
        [asks["outcome"].to_numpy(dtype=object)[of_data], [outcome_of for _, _, outcome_of in held]]
    )
    return AskHistory(
        np.concatenate([rows[of_data], np.asarray([row for row, _, _ in held], dtype=np.int64)]),
        np.concatenate(
            [asks["asked_us"].to_numpy(np.int64)[of_data], np.asarray([us for _, us, _ in held], dtype=np.int64)]
        ),
        np.asarray(outcome == "accepted", dtype=bool),
        np.isin(outcome.astype(str), ("accepted", "declined", "ignored")),
    )
