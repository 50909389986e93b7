"""Own columns that tell an outcome: what stands in them, or that anything does, goes with what came later.

A name may say nothing, and still the column says who left: a state that is written over, a word that is asked for at
the end. Training's gate sees no more of it than that the model does well, for most of those who left did so outside the
horizon. So it is told here, from figures, before anything is made of a column. What comes with a date of its row alone
is no case: it is unknown before that date (`later`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vouch.features.contract.casts import value
from vouch.features.contract.tables import ACTIVITY_TABLES, DAY_US, Column
from vouch.features.ingest.own.later import cell_of, instant_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from vouch.features.contract.checks import Input
    from vouch.features.contract.tables import Table
    from vouch.features.engines import Connection
    from vouch.features.ingest.files import Relation
    from vouch.features.ingest.mapping import TablePlan

FEWEST = 20
"""Of fewer rows of either outcome nobody can tell."""
MOST_VALUES = 20
"""A state has few values."""
NEARLY = 0.98
"""Such a share of the rarer outcome, or of the filled cells, must agree: data hold mistakes."""
MOSTLY = 0.9
"""Where nearly everybody has left, that a column is filled for them says nothing."""
IDLE_DAYS = 90
"""Without subscriptions, who did nothing for so long before the newest activity is taken to have left."""
_GONE, _IS_GONE, _CUSTOMER, _JUDGED = '"own gone"', '"own is gone"', '"own customer"', '"own judged"'


def columns_revealing_dates(
    connection: Connection,
    relation: Relation,
    dates: Mapping[str, str],
    columns: Mapping[str, Input],
    key: Input | None = None,
) -> tuple[dict[str, str], frozenset[str]]:
    """Return the columns that tell whether a later date of their row is there, and how; and those that wait for it.

    `dates` gives SQL by name. Versions of one `key` are judged by whether any has the date: a state that they have one
    after the other was known, one that stands in the first already was written over.
    """
    revealing: dict[str, str] = {}
    waiting: set[str] = set()
    for date, instant in dates.items():
        cells = {name: cell_of(given, name) for name, given in columns.items() if name != date}
        judged = _telling(connection, relation.sql, cells, f"{instant} IS NOT NULL")
        waiting |= {name for name, of in judged.items() if of.is_never_without}
        if key is not None:
            ever = f"bool_or({instant} IS NOT NULL) OVER (PARTITION BY {cell_of(key, 'key')}) AS {_IS_GONE}"
            judged = _telling(connection, f"(SELECT *, {ever} FROM {relation.sql})", cells, _IS_GONE)
        how = f"its values say whether {date} is there"
        revealing |= {name: how for name, of in judged.items() if of.is_parting}
    return {name: how for name, how in revealing.items() if name not in waiting}, frozenset(waiting)


class Leavers:
    """Who has left, as the tables of the contract have it today; nobody where they do not say."""

    def __init__(self, connection: Connection, planned: Mapping[str, TablePlan]) -> None:
        self.connection = connection
        active = [planned[name] for name in ACTIVITY_TABLES if name in planned]
        query = _ended(planned.get("subscriptions")) or _idle(active)
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {_GONE} AS {query}")

    def revealing_columns(
        self, relation: Relation, customer: Input, columns: Mapping[str, Input], *, is_dated: bool
    ) -> tuple[dict[str, str], list[str]]:
        """Return the columns that tell whether the customer of a row has left, and how; and those that may.

        In rows with a time, what is filled in only for leavers, though not in all of their rows, may have been known.
        """
        cells = {name: cell_of(given, name) for name, given in columns.items()}
        judged = _telling(self.connection, self._rows(relation, customer), cells, _IS_GONE)
        revealing = {
            name: "its values part those who left from those who stay"
            if of.is_parting
            else "it is filled in only for those who left"
            for name, of in judged.items()
            if of.is_parting or (of.is_alone and not is_dated)
        }
        return revealing, [name for name, of in judged.items() if of.is_alone and name not in revealing]

    def _rows(self, relation: Relation, customer: Input) -> str:
        return (
            f"(SELECT own.*, gone.is_gone AS {_IS_GONE} FROM "
            f"(SELECT *, {_id(customer, 'customer_id')} AS {_CUSTOMER} FROM {relation.sql}) own "
            f"JOIN {_GONE} gone ON gone.customer = own.{_CUSTOMER})"
        )


class _OutcomeFit(NamedTuple):
    """How one column goes with an outcome: its few values or its filling part the rows; it is filled with it alone.

    `is_never_without` says so of each single row.
    """

    is_parting: bool
    is_alone: bool
    is_never_without: bool


def _telling(connection: Connection, rows: str, cells: Mapping[str, str], came: str) -> dict[str, _OutcomeFit]:
    """How each column goes with an outcome (`came`, SQL over rows), where both outcomes are there often enough."""
    if not cells:
        return {}
    read = ", ".join(f"{cell} AS cell_{at}" for at, cell in enumerate(cells.values()))
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {_JUDGED} AS SELECT {read}, {came} AS came FROM {rows}")
    judged = {}
    for at, name in enumerate(cells):
        counted = connection.execute(
            "SELECT count(cell), sum(n), sum(came), sum(least(came, n - came)), sum(n) FILTER (cell IS NOT NULL), "
            "sum(came) FILTER (cell IS NOT NULL) FROM (SELECT cell, count(*) AS n, count(*) FILTER (came) AS came "
            f"FROM (SELECT cell_{at} AS cell, came FROM {_JUDGED}) GROUP BY cell)"
        ).fetchall()[0]
        values, whole, out, mixed, filled, filled_out = (int(of or 0) for of in counted)
        rarer = min(out, whole - out)
        if rarer < FEWEST:
            continue
        apart = filled - filled_out + out - filled_out
        is_parting = min(mixed if values <= MOST_VALUES else whole, apart, whole - apart) <= (1 - NEARLY) * rarer
        is_alone = filled >= FEWEST and filled_out >= NEARLY * filled and out < MOSTLY * whole
        judged[name] = _OutcomeFit(is_parting, is_alone, filled == filled_out)
    connection.execute(f"DROP TABLE {_JUDGED}")
    return judged


def _id(given: Input, name: str) -> str:
    """SQL for an id as it stands in contract form."""
    return value(Column(name, "text", True), cell_of(given, name), given.family, given.epoch)


def _ended(plan: TablePlan | None) -> str | None:
    """SQL for customers with subscriptions, and whether all of them have an end."""
    if plan is None or "ended_at" not in plan.inputs:
        return None
    customer, key = (_id(plan.inputs[name], name) for name in ("customer_id", "subscription_id"))
    is_over = f"{instant_of(plan.inputs['ended_at'], 'ended_at')} IS NOT NULL"
    each = f"SELECT {customer} AS customer, {key} AS key, {is_over} AS is_over FROM {plan.relation.sql}"
    whole = f"SELECT customer, key, bool_or(is_over) AS is_over FROM ({each}) GROUP BY ALL"
    return f"SELECT customer, bool_and(is_over) AS is_gone FROM ({whole}) GROUP BY ALL"


def _idle(plans: Sequence[TablePlan]) -> str:
    """SQL for customers with activity, and whether it lies long before the newest."""
    each = " UNION ALL ".join(
        f"SELECT {_id(plan.inputs['customer_id'], 'customer_id')} AS customer, "
        f"{instant_of(plan.inputs['occurred_at'], 'occurred_at')} AS at_us FROM {plan.relation.sql}"
        for plan in plans
    )
    last = f"SELECT customer, max(at_us) AS last_us FROM ({each}) GROUP BY ALL"
    return f"SELECT customer, last_us < max(last_us) OVER () - {IDLE_DAYS * DAY_US} AS is_gone FROM ({last})"


def for_leavers(table: Table, columns: Collection[str], taken: Mapping[str, str]) -> tuple[str, ...]:
    """Warn of what is filled in for those alone who left: known at the time, or written down afterwards.

    What comes with a later date of its row waits for that date, and is none of them.
    """
    waiting = {staged for coming in table.later.values() for staged in coming}
    odd = [own for own, of in taken.items() if of in columns and table.columns[own].staged not in waiting]
    if not odd:
        return ()
    return (
        f"{table.name}: filled in only for customers who left: {', '.join(odd)}. What was written down afterwards "
        f'teaches models what nobody knows in time; leave it out: [features] leave_out = ["{table.name}.{odd[0]}"]',
    )
