"""`Standing`: where every customer of a week stands beside the week before, as arrays in the order of its tables.

Lists of the week are masks over these rows, ordered by money: a mover is who moved enough to be called about, not whose
probability moved most. Without a week before nobody has moved, and the lists show levels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vouch.features.contract.tables import DAY_US
from vouch.serving.snapshots.movers import ADVOCATES
from vouch.serving.snapshots.schema import THANK

if TYPE_CHECKING:
    from vouch.serving.store.mapped import Rows

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
Places = np.ndarray[Any, np.dtype[np.intp]]

ROSE_BY = 0.05
"""A probability that rose by so much or more, and is not low, is worth a call."""
RENEWAL_DAYS = 30
"""How far ahead a renewal is told."""
HIGH, WATCH = "high", "watch"
LEFT = ("churned", "leaving")


@dataclass(frozen=True)
class Fate:
    """What became in a week of those who were at high risk in the week before."""

    flagged: int
    still_high: int
    lower: int
    left: int


@dataclass(frozen=True)
class Standing:
    """Arrays with one entry per customer of the week, NaN or false where nothing is known."""

    probability: Numbers
    before: Numbers
    mrr: Numbers
    at_risk: Numbers
    """Revenue at risk per month; NaN where the revenue or the probability is not known."""
    order: Numbers
    """What the list of those at risk is ordered by, falling: the revenue at risk, behind it the probability."""
    is_here: Mask
    """Who has neither left nor announced to."""
    is_high: Mask
    was_high: Mask
    was_scored: Mask
    """Whether the week before told a band of the customer, or told bands and did not know the customer yet."""
    is_watch: Mask
    is_advocate: Mask
    became_advocate: Mask
    is_owed_thanks: Mask
    renewal_us: np.ndarray[Any, np.dtype[np.int64]]
    """The next renewal of a running annual subscription; -1 where there is none."""
    fate: Fate | None
    """None without a week before."""

    @property
    def newly_high(self) -> Mask:
        """Who is at high risk and was not in the week before."""
        return self.is_high & ~self.was_high & self.was_scored

    @property
    def no_longer_high(self) -> Mask:
        """Who was at high risk in the week before, is with us, and is no more."""
        return self.was_high & ~self.is_high & ~np.isnan(self.probability)

    @property
    def rose(self) -> Mask:
        """Whose risk rose enough for a call, those newly at high risk apart."""
        return (self.probability - self.before >= ROSE_BY) & (self.is_high | self.is_watch) & ~self.newly_high

    @property
    def to_call(self) -> Mask:
        """Whom to call first: who moved; without a week before, who is at high risk."""
        return self.is_high if self.fate is None else self.newly_high | self.rose

    def renewing(self, as_of_us: int) -> Mask:
        """Whose annual subscription renews within RENEWAL_DAYS of an instant."""
        ahead = self.renewal_us - as_of_us
        return (self.renewal_us >= 0) & (ahead >= 0) & (ahead < RENEWAL_DAYS * DAY_US) & self.is_here

    def by_money(self, mask: Mask) -> Places:
        """Rows of a mask, the most revenue at risk first; ties in the order of customers."""
        return _ordered(mask, -self.order)

    def by_probability(self, mask: Mask) -> Places:
        """Rows of a mask, the most probable to leave first; ties in the order of customers."""
        return _ordered(mask, -self.probability)


def _ordered(mask: Mask, key: Numbers) -> Places:
    rows = np.flatnonzero(mask)
    return rows[np.argsort(key[rows], kind="stable")]


def week_standing(scores: Rows, customers: Rows, before: Rows | None, at_risk: Numbers, order: Numbers) -> Standing:
    """Return where everybody stands; `at_risk` and `order` are those of the list, `before` the scores of then."""
    now = scores.table(["customer_id", "churn_probability", "churn_band", "churn_status", "advocate_tier"])
    rows = len(now)
    then = _then(now["customer_id"], before)
    band, tier = now["churn_band"], now["advocate_tier"]
    is_advocate = _is_any(tier, ADVOCATES)
    nobody = np.zeros(rows, dtype=bool)
    return Standing(
        probability=_numbers(now["churn_probability"]),
        before=np.full(rows, np.nan) if then is None else _numbers(then["churn_probability"]),
        mrr=_numbers(customers.column("mrr")),
        at_risk=at_risk,
        order=order,
        is_here=~_is_any(now["churn_status"], LEFT),
        is_high=_is_any(band, (HIGH,)),
        was_high=nobody if then is None else _is_any(then["churn_band"], (HIGH,)),
        was_scored=nobody if then is None else _was_scored(then),
        is_watch=_is_any(band, (WATCH,)),
        is_advocate=is_advocate,
        became_advocate=np.zeros(rows, bool)
        if then is None
        else is_advocate & ~_is_any(then["advocate_tier"], ADVOCATES),
        is_owed_thanks=_is_any(_column(customers, "care_first", pa.string()), (THANK,)),
        renewal_us=_instants(_column(customers, "renewal_at", pa.timestamp("us", tz="UTC"))),
        fate=None if before is None else _fate(now, before),
    )


def without(standing: Standing, objecting: list[int], thanked: list[int]) -> Standing:
    """Return where everybody stands but those who object to being profiled, and whom somebody has thanked since."""
    if not (objecting or thanked):
        return standing
    held: dict[str, Any] = {
        name: value.copy() for name, value in vars(standing).items() if isinstance(value, np.ndarray)
    }
    for name, value in held.items():
        value[objecting] = {"renewal_us": -1}.get(name, np.nan if value.dtype.kind == "f" else False)
    held["is_owed_thanks"][thanked] = False
    return replace(standing, **held)


def _then(ids: pa.ChunkedArray, before: Rows | None) -> pa.Table | None:
    """The rows of the week before in the order of this one, null for who was not known then."""
    if before is None:
        return None
    known = before.table(["customer_id", "churn_probability", "churn_band", "advocate_tier"])
    return known.take(pc.index_in(ids, value_set=known["customer_id"].combine_chunks()))


def _was_scored(then: pa.Table) -> Mask:
    """Whether the week before told a band of each; of who was not known yet, whether it told bands at all."""
    had_band = _mask(pc.is_valid(then["churn_band"]))
    was_known = _mask(pc.is_valid(then["customer_id"]))
    mask: Mask = had_band | (~was_known & bool(had_band.any()))
    return mask


def _fate(now: pa.Table, before: Rows) -> Fate:
    """What became of those at high risk in the week before; who is listed no more has left."""
    then = before.table(["customer_id", "churn_band"])
    flagged = then.filter(pc.fill_null(pc.equal(then["churn_band"], HIGH), False))["customer_id"]
    after = now.take(pc.index_in(flagged, value_set=now["customer_id"].combine_chunks()))
    has_left = _mask(pc.is_null(after["customer_id"])) | _is_any(after["churn_status"], LEFT)
    still = _is_any(after["churn_band"], (HIGH,)) & ~has_left
    return Fate(len(flagged), int(still.sum()), int((~still & ~has_left).sum()), int(has_left.sum()))


def _column(rows: Rows, name: str, kind: pa.DataType) -> pa.ChunkedArray:
    """A column that weeks of an earlier version do not have; null there."""
    return rows.column(name) if name in rows.schema.names else pa.chunked_array([pa.nulls(len(rows), kind)])


def _numbers(column: pa.ChunkedArray) -> Numbers:
    numbers: Numbers = column.cast(pa.float64()).to_numpy()
    return numbers


def _instants(column: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.int64]]:
    instants: np.ndarray[Any, np.dtype[np.int64]] = pc.fill_null(column.cast(pa.int64()), -1).to_numpy()
    return instants


def _is_any(column: pa.ChunkedArray, values: tuple[str, ...]) -> Mask:
    return _mask(pc.is_in(column, value_set=pa.array(values, pa.string())))


def _mask(column: pa.ChunkedArray) -> Mask:
    return np.asarray(column.to_numpy(), dtype=bool)
