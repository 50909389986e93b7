"""`MetricContext`: the tables at one instant without internal customers, and frames that several metrics share.

Every row comes through the point-in-time view. A frame that was computed once is kept by the context, so that the
metrics of one table are one pass over it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

import narwhals as nw

from vouch.features.asof import view
from vouch.features.contract.tables import ACTIVITY_TABLES, DAY_US
from vouch.features.facts.act_weights import Weights, default_weights
from vouch.features.facts.beginning import beginning_us
from vouch.features.facts.customers import external_customers, objecting_customers
from vouch.features.facts.rows import counted, rows_that_count
from vouch.features.facts.spans import NEVER_US
from vouch.features.health.rules import HealthRules, health_rules
from vouch.features.metrics.missed import WatchedFrames, as_if_read, kinds_of, of_no_rows
from vouch.features.metrics.splits import (
    AGE,
    COLUMNS,
    LOYALTY,
    NO_MEMBER,
    NO_TIER,
    TENURE,
    UNKNOWN,
    age_band,
    tenure_band,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from vouch.features.asof import Frame, Tables


DISCOUNT = 0.10
"""A year, unless the company states another."""


@dataclass(frozen=True)
class Settings:
    """What a company sets for its metrics, in its project file.

    `population` is how many customers could answer a survey: it narrows the intervals of survey metrics where more than
    a twentieth of them answered. `feedback_sources` are registered. Below `hidden_below` observations nothing is shown;
    None leaves it to each metric, and a metric that asks for more than is usual keeps its own. `attribution` says which
    of several advocates a customer's revenue goes to, the `first` or the `last` who invited, or all in equal shares
    (`linear`); with `counts_voices`, praise in public reviews and posts about the brand counts as an act of speaking
    up. `act_weights` holds what an act of each kind weighs. `discount` is how much less money of the next year counts.
    `health` are the rules of the health score that hold.
    """

    population: int | None = None
    feedback_sources: tuple[str, ...] = ()
    hidden_below: int | None = None
    attribution: Literal["first", "last", "linear"] = "first"
    counts_voices: bool = False
    act_weights: Weights = field(default_factory=default_weights)
    discount: float = DISCOUNT
    health: HealthRules = field(default_factory=health_rules)


NO_SETTINGS = Settings()


@dataclass(frozen=True)
class Record:
    """What the home knows of earlier measurements: since when there are any, and the instants of published weeks."""

    since_us: int
    published_us: frozenset[int]
    named: Callable[[int, Collection[str]], Mapping[str, str]] = lambda week_us, customers: {}
    """What a published week named as the strongest reason for which some customers might leave: a family of features.

    Those of whom it named none are not there.
    """


class MetricContext:
    """The tables at an instant, for metrics. `scores` are a published snapshot's, as one more table; None without.

    `record` tells of the weeks that were published before; None where there is no home, or none was.
    """

    def __init__(
        self,
        tables: Tables,
        as_of_us: int,
        scores: Frame | None = None,
        settings: Settings = NO_SETTINGS,
        record: Record | None = None,
    ) -> None:
        self.tables = tables
        self.as_of_us = as_of_us
        self.scores = scores
        self.settings = settings
        self.record = record
        self._kept: dict[Hashable, Frame] = {}
        self._unknown: dict[str, int | None] = {}
        self._begun: dict[str, int] = {}
        self._refused: dict[str, tuple[int, bool]] = {}

    def before(self, days: float) -> int:
        """The instant so many days before."""
        return self.as_of_us - round(days * DAY_US)

    def has(self, table: str, *columns: str) -> bool:
        """Whether the company handed over the table, and these of its columns."""
        return self.tables.has(table, *columns)

    def rows(self, table: str, days: float | None = None) -> Frame:
        """Facts at the instant that count, of the last `days` days of own time where given.

        Rows without a customer, and of customers that the company does not list, stay.
        """
        rows = counted(self.tables, table, self.as_of_us)
        return rows if days is None else rows.filter(nw.col("own_us") >= self.before(days))

    def customers(self) -> Frame:
        """External customers known at the instant, one row each, with what metrics are split by."""
        return self.keep(_customers)

    def keep(self, make: Callable[[MetricContext], Frame]) -> Frame:
        """The frame that a function makes of this context, computed once; in Polars from then on."""
        if make not in self._kept:
            self._kept[make] = make(self).collect("polars").lazy()
        return self._kept[make]

    @cached_property
    def begins_us(self) -> int | None:
        """Start of the first day on which use and transactions are there, as training sees it; None without any."""
        known = (view(self.tables, name, self.as_of_us) for name in ACTIVITY_TABLES if self.has(name))
        return beginning_us(known)

    def table_begins_us(self, table: str) -> int:
        """Start of the first day on which rows of a table are really there; NEVER_US where none are."""
        if table not in self._begun:
            has_table = self.has(table)
            begins_us = beginning_us([view(self.tables, table, self.as_of_us)]) if has_table else None
            self._begun[table] = NEVER_US if begins_us is None else begins_us
        return self._begun[table]

    def unknown_until_us(self, table: str) -> int | None:
        """When the first row of a table became known, where rows lie before the instant and none was known then."""
        if table not in self._unknown:
            self._unknown[table] = self._unknown_until_us(table)
        return self._unknown[table]

    def _unknown_until_us(self, table: str) -> int | None:
        if table not in self.tables:
            return None
        rows = self.tables.frames[table].filter(nw.col("own_us") < self.as_of_us)
        first: int | None = collected(rows.select(nw.col("ingested_us").min()))["ingested_us"][0].as_py()
        return first if first is not None and first >= self.as_of_us else None

    @cached_property
    def with_refused(self) -> list[MetricContext]:
        """The same as if all rows could be read, once for each thing that they may say: only to be compared."""
        return [
            MetricContext(tables, self.as_of_us, self.scores, self.settings, self.record)
            for tables in as_if_read(self.tables, self.as_of_us)
        ]

    @cached_property
    def _no_rows(self) -> Tables:
        return of_no_rows(self.tables)

    def tables_read(self, counts: Callable[[MetricContext], object]) -> frozenset[str]:
        """The tables that a count of this context reads."""
        watched = WatchedFrames(self._no_rows.frames)
        tables = replace(self._no_rows, frames=watched)
        counts(MetricContext(tables, self.as_of_us, self.scores, self.settings, self.record))
        return frozenset(watched.read)

    def refused(self, table: str) -> int:
        """How many rows of a table were refused for a value alone, of those that would be facts at the instant."""
        return self._refused_rows(table)[0]

    def has_unread_kinds(self, table: str) -> bool:
        """Whether of some of these rows it is not known what kind they are of."""
        return self._refused_rows(table)[1]

    def _refused_rows(self, table: str) -> tuple[int, bool]:
        if table not in self._refused:
            alone = replace(self.tables, frames={**self.tables.frames, table: self.tables.refused[table]})
            rows = MetricContext(alone, self.as_of_us).rows(table)
            kinds = collected(rows.select(*kinds_of(table), nw.col("own_us")))
            self._refused[table] = len(kinds), any(kinds[kind].null_count for kind in kinds_of(table))
        return self._refused[table]

    @cached_property
    def people(self) -> pa.Table:
        """External customers as Arrow, ordered by id."""
        return collected(self.customers()).sort_by("customer_id")

    @cached_property
    def objecting(self) -> frozenset[str]:
        """Customers who object to being profiled: they count in figures, and no list names them."""
        rows = objecting_customers(self.tables, self.as_of_us).select("customer_id")
        return frozenset(collected(rows)["customer_id"].to_pylist())

    def labels(self, by: str) -> list[str]:
        """Segment of each customer of `people`."""
        if by == TENURE:
            return [tenure_band((self.as_of_us - created_us) // DAY_US) for created_us in self._list("own_us")]
        if by == AGE:
            return [age_band(born, self.as_of_us) for born in self._list("birth_year")]
        if by == LOYALTY:
            tier = self._loyalty_tiers()
            return [tier.get(customer, NO_MEMBER) for customer in self._list("customer_id")]
        return [UNKNOWN if value is None else value for value in self._list(by)]

    def _loyalty_tiers(self) -> dict[str, str]:
        """Tier of each member of the loyalty programme at the instant."""
        stay = nw.col("left_us").is_null() | (nw.col("left_us") >= self.as_of_us)
        rows = collected(self.rows("loyalty_members").filter(stay).select("customer_id", "tier"))
        return {row["customer_id"]: row["tier"] or NO_TIER for row in rows.to_pylist()}

    def _list(self, column: str) -> list[Any]:
        values: list[Any] = self.people[column].to_pylist()
        return values


def _customers(context: MetricContext) -> Frame:
    chosen = external_customers(context.tables, context.as_of_us)
    chosen = rows_that_count(context.tables, "customers", [context.as_of_us], chosen)
    return chosen.select("customer_id", "own_us", "referred_by", "birth_year", "contact_consent", *COLUMNS)


def collected(frame: Frame) -> pa.Table:
    """Run a lazy frame; Arrow."""
    table: pa.Table = frame.collect("pyarrow").to_native()
    return table


def runs_of(keys: Sequence[str]) -> Iterator[tuple[str, slice]]:
    """Give each run of equal neighbours and where it stands; nothing where there is nothing.

    >>> list(runs_of(["a", "a", "b"])), list(runs_of([]))
    ([('a', slice(0, 2, None)), ('b', slice(2, 3, None))], [])
    """
    start = 0
    for key, members in groupby(keys):
        end = start + sum(1 for _ in members)
        yield key, slice(start, end)
        start = end
