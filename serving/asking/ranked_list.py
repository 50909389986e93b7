"""Search and cursor pagination of a ranked list, with a cache of filtered places.

Filters are answered from what was filtered before, pages by where they ended. What filters leave is kept per filter, as
places in the order of the list, as long as there is room: a company asks for the same segments and regions again and
again.
"""

from __future__ import annotations

import bisect
import copy
import sys
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic_core import to_json

from vouch.serving.asking.gains import AFFINITY, BASES
from vouch.serving.asking.ranking import CATEGORIES, is_variant
from vouch.serving.snapshots.schema import OPTED_OUT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Mapping

    import pandas as pd

    from vouch.serving.asking.ranking import Filters, Place

Places = np.ndarray[Any, np.dtype[np.int32]]
CACHED_ROWS = 20_000
ROOM_BYTES, ROOM_ENTRIES = 64 * 2**20, 2_000
"""What is kept of what filters leave: in bytes, what they are asked by among them, and in how many answers."""
COLUMNS = {
    "segment": "segments",
    "region": "regions",
    "advocate_tier": "tiers",
    "churn_band": "bands",
    "owner": "owners",
}


@dataclass(frozen=True)
class FoundPlaces:
    """Rows of a list (places in its order), their ranks from `first_rank`, and how many there are in all."""

    places: Places
    first_rank: int
    total: int
    is_last: bool


class ArrayCache:
    """Arrays by key, the least used go first when there is no room for all. Safe for threads.

    Keys come from requests and take room as well: an empty answer to a long question is not free.
    """

    def __init__(self, room_bytes: int = ROOM_BYTES, room_entries: int = ROOM_ENTRIES) -> None:
        self._held: OrderedDict[Hashable, tuple[Places, int]] = OrderedDict()
        self._room, self._entries, self._used = room_bytes, room_entries, 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many answers are kept."""
        return len(self._held)

    def get(self, key: Hashable, make: Callable[[], Places]) -> Places:
        """Return what was made for a key before, or make it."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key][0]
        made = make()
        size = made.nbytes + size_of(key)
        with self._lock:
            self._used += size - self._held.pop(key, (made, 0))[1]
            self._held[key] = made, size
            while (self._used > self._room or len(self._held) > self._entries) and len(self._held) > 1:
                self._used -= self._held.popitem(last=False)[1][1]
        return made


def size_of(key: Any) -> int:
    """Bytes of a key with all that it holds, about."""
    inside = (*vars(key).values(),) if hasattr(key, "__dict__") else key if isinstance(key, tuple | frozenset) else ()
    return sys.getsizeof(key) + sum(map(size_of, inside))


class RankedList:
    """A ranked frame, ready to be searched."""

    def __init__(self, frame: pd.DataFrame) -> None:
        rows = frame["row"].to_numpy() if "row" in frame else np.arange(len(frame))
        self.rows = rows.astype(np.int32)
        """The row of each place in the tables of the week."""
        self.place_of = np.argsort(self.rows).astype(np.int32)
        """The place of each row."""
        self.values = frame["value"].to_numpy(dtype=np.float64)
        """What each one is worth, NaN where that is not known."""
        self.order = frame["order"].to_numpy(dtype=np.float64) if "order" in frame else self.values
        """What the list is ordered by, falling: the value, or that of the place which was drawn."""
        self.worth = frame["worth"].to_numpy(dtype=np.float64) if "worth" in frame else np.zeros(len(frame))
        self._drawn = frame["is_drawn"].to_numpy(dtype=bool) if "is_drawn" in frame else None
        self._falling = -self.order
        self._known = int(np.count_nonzero(~np.isnan(self.order)))
        self._scores = frame["score"].to_numpy(dtype=np.float64)
        self._mrr = frame["mrr"].to_numpy(dtype=np.float64) if "mrr" in frame else np.full(len(frame), np.nan)
        self._ids = frame["customer_id"].array
        present = [name for name in CATEGORIES if name in frame]
        self._codes = {name: frame[name].cat.codes.to_numpy().copy() for name in present}
        self.categories = {name: [str(value) for value in frame[name].cat.categories] for name in present}
        self._standing, self._now = ArrayCache(), ArrayCache()
        self.generation = 0
        """How often somebody's exclusion has changed since the list was made."""

    def __len__(self) -> int:
        """How long the list is without filters."""
        return len(self.rows)

    def reordered(self, keys: np.ndarray[Any, np.dtype[np.float64]]) -> RankedList:
        """Return the same list in the order of other keys, one for each row: falling, NaN last, ties by customer."""
        key = keys[self.rows]
        places = np.lexsort((self.rows, -key))
        other = copy.copy(self)
        for name in ("rows", "values", "worth", "_scores", "_mrr"):
            setattr(other, name, getattr(self, name)[places])
        other.order, other.place_of = key[places], np.argsort(other.rows).astype(np.int32)
        other._falling, other._known = -other.order, int(np.count_nonzero(~np.isnan(other.order)))
        other._drawn = None if self._drawn is None else self._drawn[places]
        other._ids = self._ids.take(places)
        other._codes = {name: codes[places] for name, codes in self._codes.items()}
        other.categories = {name: list(values) for name, values in self.categories.items()}
        other._standing, other._now = ArrayCache(), ArrayCache()
        return other

    def customer_id(self, place: int) -> str:
        """Who stands at a place."""
        return str(self._ids[place])

    def is_opted_out(self, place: int) -> bool:
        """Whether who stands at a place objects to being profiled."""
        return self.category("exclusion", place) == OPTED_OUT

    @property
    def ranked_by(self) -> str:
        """By what the first of the list are ranked: the most that is known of anybody who may be asked."""
        if "ranked_by" not in self.categories:
            return AFFINITY
        codes = np.unique(self._codes["ranked_by"][self._codes["exclusion"] < 0]).tolist()
        bases = (self.categories["ranked_by"][code] for code in codes if code >= 0)
        return max(bases, key=BASES.index, default=AFFINITY)

    def is_drawn(self, place: int) -> bool:
        """Whether the place was given at random."""
        return self._drawn is not None and bool(self._drawn[place])

    def category(self, name: str, place: int) -> str | None:
        """A category of who stands at a place."""
        code = int(self._codes[name][place])
        return None if code < 0 else self.categories[name][code]

    def exclude(self, row: int, why: str | None) -> None:
        """Let whoever stands in a row of the week be excluded for another reason, or for none."""
        held = self.categories["exclusion"]
        if why is not None and why not in held:
            held.append(why)
        self._codes["exclusion"][self.place_of[row]] = -1 if why is None else held.index(why)
        self.generation += 1

    def listed_rows(self) -> Places:
        """The rows of the week of all who are not excluded, in the order of the list."""
        return self.rows[np.flatnonzero(self._codes["exclusion"] < 0)]

    def codes(self, name: str) -> np.ndarray[Any, np.dtype[Any]]:
        """A category of all, as places in `categories`; -1 for none."""
        return self._codes[name]

    def page(
        self,
        filters: Filters,
        limit: int,
        after: Place | None = None,
        resting: tuple[Hashable, Callable[[Places], Places]] | None = None,
    ) -> FoundPlaces:
        """Return up to `limit` places that meet the filters and come after a place.

        `resting` names a state of what moves with every ask, and leaves out of places those who must wait in it.
        """
        generation = self.generation
        places = self._standing.get((filters, generation), lambda: self._matching(filters))
        if resting is not None and not filters.include_ineligible:
            state, left = resting
            places = self._now.get((filters, generation, state), lambda: left(places))
        start = 0 if after is None else int(np.searchsorted(places, self._place_after(after)))
        shown = places[start : start + limit]
        return FoundPlaces(shown, start + 1, len(places), start + len(shown) >= len(places))

    def _matching(self, filters: Filters) -> Places:
        keep = ~self._is_any("exclusion", {OPTED_OUT})  # whatever is asked for
        if not filters.include_ineligible:
            keep &= self._codes["exclusion"] < 0
        if filters.minimum_score > 0:
            keep &= self._scores >= filters.minimum_score
        if filters.minimum_mrr > 0:
            keep &= self._mrr >= filters.minimum_mrr
        for column, name in COLUMNS.items():
            if wanted := getattr(filters, name):
                keep &= self._is_any(column, set(wanted))
        if filters.languages:
            languages = self.categories["language"]
            keep &= self._is_any("language", {tag for tag in languages if is_variant(tag, filters.languages)})
        return np.flatnonzero(keep).astype(np.int32)

    def _is_any(self, column: str, wanted: Collection[str]) -> np.ndarray[Any, np.dtype[np.bool_]]:
        if column not in self.categories:  # of a week of an earlier version
            return np.zeros(len(self), dtype=bool)
        known = [value in wanted for value in self.categories[column]]
        table = np.asarray([*known, False], dtype=bool)  # the last one is for none, whose code is -1
        is_any: np.ndarray[Any, np.dtype[np.bool_]] = table[self._codes[column]]
        return is_any

    def _place_after(self, after: Place) -> int:
        """The first place behind one that was told, whether that customer still stands there or not."""
        if after.value is None:
            low, high = self._known, len(self)
        else:
            known = self._falling[: self._known]
            low, high = (int(np.searchsorted(known, -after.value, side)) for side in ("left", "right"))
        return bisect.bisect_right(self._ids, after.customer_id, low, high)


class DerivedCache:
    """What was made of a state, until that moves. What is still being made of the state before is kept nowhere."""

    def __init__(self) -> None:
        self._held: dict[Hashable, Any] = {}

    def of(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Return what was made before, or make it."""
        held = self._held  # another one is put in its place when the state moves, never emptied
        if key not in held:
            held[key] = make()
        return held[key]

    def __contains__(self, key: Hashable) -> bool:
        """Whether it is made."""
        return key in self._held

    def clear(self) -> None:
        """Let go of all: the state has moved."""
        self._held = {}


class RowCache:
    """Rows as JSON, the object's opening brace left out; as many as there is room for. Forgets as DerivedCache does."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, int], bytes] = {}

    def of(self, name: str, place: int, make: Callable[[int], Mapping[str, Any]]) -> bytes:
        """Return the row at a place of a list."""
        key, held = (name, place), self._held
        content = held.get(key)
        if content is None:
            content = to_json(make(place), inf_nan_mode="null")[1:]
            if len(held) >= CACHED_ROWS:
                held.clear()
            held[key] = content
        return content

    def clear(self) -> None:
        """Let go of all rows: what they are made of has moved."""
        self._held = {}
