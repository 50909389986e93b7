"""The observation model of the simulation: from what happened to what tables hold.

Nothing of the future, and the defects of real tables. Rows come late (`ingested_at`), are corrected or withdrawn by a
later version of the same key, tie with another version, or are simply there twice. A stated `ingested_at` always lies
after all that the version tells, later-dated facts included: a version known before its facts would announce them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vouch.features.contract.tables import DAY_US, TABLES
from vouch.features.instants import HOUR_US
from vouch.features.simulation.frames import NEVER, Files, Frame, Key, Numbers, Text, length, stack, take

if TYPE_CHECKING:
    from vouch.features.simulation.parameters import Blemishes

PREFIXES = {
    "subscriptions": "S", "transactions": "X", "usage_events": "E", "sessions": "V", "surveys": "Q", "feedback": "F",
    "tickets": "T", "social_posts": "B", "referrals": "R", "advocacy_acts": "A", "asks": "K", "loyalty_ledger": "L",
    "advocacy_software": "W", "touches": "H", "treatments": "M",
}  # fmt: skip
CHANGED = {
    "transactions": "amount", "usage_events": "value", "sessions": "engaged_s", "surveys": "score",
    "feedback": "rating", "tickets": "contacts", "social_posts": "likes", "advocacy_acts": "reach",
    "treatments": "cost",
}  # fmt: skip
"""Which value a correction changes; other tables are not corrected."""
NEVER_WITHDRAWN = {"customers", "loyalty_members"}
LATEST_DAYS = 45.0


class Recorder:
    """Takes frames of what happened, and writes what the company knows of it by the last instant.

    Keys are numbered from `first` on, so that two recorders may write into one table.
    """

    def __init__(
        self, files: Files, blemishes: Blemishes, end_us: int, random: np.random.Generator, first: int = 1
    ) -> None:
        self._files = files
        self._shares = blemishes
        self.end_us = end_us
        self._random = random
        self._first = first
        self._next: dict[str, int] = {}

    def numbers(self, table: str, rows: int) -> Numbers:
        """Fresh key numbers of a table, for rows that others refer to."""
        first = self._next.get(table, self._first)
        self._next[table] = first + rows
        return np.arange(first, first + rows, dtype=np.int64)

    def write(self, table: str, frame: Frame, *, is_plain: bool = False) -> None:
        """Keep the past, give keys, add defects (unless plain), write."""
        name = TABLES[table].key
        if name and name not in frame:
            frame = {name: Key(PREFIXES[table], self.numbers(table, length(frame))), **frame}
        frame = self._past(table, frame)
        if length(frame) == 0:
            return
        if not is_plain:
            frame = self._blemished(table, frame)
        self._files.add(table, frame)

    def _own(self, table: str, frame: Frame) -> Numbers:
        own = np.full(length(frame), NEVER)
        for column in reversed(TABLES[table].clock):
            times = frame.get(column)
            if isinstance(times, np.ndarray):
                own = np.where(times == NEVER, own, times)
        return own

    def _past(self, table: str, frame: Frame) -> Frame:
        """Rows and later-dated facts of before the end; a fact that has not happened yet is null."""
        frame = take(frame, self._own(table, frame) < self.end_us)
        ingested = frame.get("ingested_at")
        is_stamped = ingested != NEVER if isinstance(ingested, np.ndarray) else np.zeros(length(frame), dtype=bool)
        for date, facts in TABLES[table].later.items():
            times = frame.get(date)
            if not isinstance(times, np.ndarray):
                continue
            is_open = (times >= self.end_us) & ~is_stamped
            frame[date] = np.where(is_open, NEVER, times)
            for fact in facts:
                if fact in frame:
                    frame[fact] = _emptied(frame[fact], is_open)
        return frame

    def _blemished(self, table: str, frame: Frame) -> Frame:
        rows, shares = length(frame), self._shares
        own = self._own(table, frame)
        complete = own.copy()
        for date in TABLES[table].later:
            times = frame.get(date)
            if isinstance(times, np.ndarray):
                complete = np.maximum(complete, times)
        lag = self._lag(rows)
        is_late = self._random.random(rows) < shares.late
        given = frame.get("ingested_at")
        known = np.where(is_late, complete + lag, given if isinstance(given, np.ndarray) else NEVER)
        known = np.where(known >= self.end_us, NEVER if table == "customers" else known, known)
        first: Frame = {**frame, "ingested_at": known, "is_deleted": np.full(rows, -1, dtype=np.int8)}
        parts = [take(first, known < self.end_us)]
        if TABLES[table].key:
            parts.append(take(parts[0], self._random.random(length(parts[0])) < shares.duplicated))
            parts += self._later_versions(table, first, np.maximum(known, complete))
        return stack(parts)

    def _later_versions(self, table: str, first: Frame, known: Numbers) -> list[Frame]:
        """Withdrawals and corrections of some rows; of a few, two corrections that are known at the same instant."""
        shares, draw = self._shares, self._random.random(length(first))
        second = known + self._lag(length(first))
        in_time = second < self.end_us

        def version(chosen: Numbers) -> Frame:
            return {**take(first, chosen), "ingested_at": second[chosen]}

        parts: list[Frame] = []
        if table not in NEVER_WITHDRAWN:
            withdrawn = version(in_time & (draw < shares.withdrawn))
            parts.append({**withdrawn, "is_deleted": np.ones(length(withdrawn), dtype=np.int8)})
        if table in CHANGED:
            parts.append(self._changed(table, version(in_time & (draw > 1 - shares.corrected - shares.tied)), step=1))
            parts.append(self._changed(table, version(in_time & (draw > 1 - shares.tied)), step=2))
        return parts

    def _changed(self, table: str, version: Frame, step: int) -> Frame:
        """The same key with another value; of some usage events the time is mended too, so that they move."""
        column = CHANGED[table]
        values = version[column]
        assert isinstance(values, np.ndarray)
        if column in {"score", "rating"}:
            changed = np.where(values >= step + 1, values - step, values + step)
        elif column in {"likes", "reach", "contacts"}:
            changed = np.where(values < 0, values, values + step)
        else:
            changed = np.round(values * (1 + 0.1 * step), 2)
        version = {**version, column: changed}
        if table == "usage_events":
            times, known = version["occurred_at"], version["ingested_at"]
            assert isinstance(times, np.ndarray)
            assert isinstance(known, np.ndarray)
            version["occurred_at"] = np.where(times % 3 == 0, times + (known - times) // 2, times)
        return version

    def _lag(self, rows: int) -> Numbers:
        days = np.exp(self._random.normal(0.3, 1.2, rows))
        return (np.minimum(days, LATEST_DAYS) * DAY_US).astype(np.int64) + HOUR_US


def _emptied(values: Numbers | Text | Key, is_open: Numbers) -> Numbers | Text | Key:
    if isinstance(values, Key):
        return Key(values.prefix, np.where(is_open, -1, values.numbers), values.width)
    if isinstance(values, Text):
        waiting = values.words.index("delivered") if "delivered" in values.words else -1
        return Text(np.where(is_open, waiting, values.codes), values.words)
    nothing = np.nan if np.issubdtype(values.dtype, np.floating) else -1
    return np.where(is_open, nothing, values)
