"""Links between files: which column is the customer, and by which columns other files lead to one.

Names say what may join, values say whether it does: the share of the distinct values of one side that the other holds.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vouch.features.contract.casts import family_of, quoted
from vouch.features.naming.words import name_likeness, tokens, vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vouch.features.discovery.columns import ColumnProfile, Source
    from vouch.features.engines import Connection

LEAST_SHARED = 0.5
"""Share of the distinct values of a column that the other side must hold to join."""
SURELY_SHARED = 0.9
"""The same where nothing but the values says that a column holds customers."""
FEWEST_IDS, LARGE_ID, LONGEST_ID = 20, 10_000, 64
"""Fewer values, or whole numbers from below this, may be the same by chance; longer texts are no ids."""
FARTHEST = 2
"""Steps over which a file may lead to a customer."""


@dataclass(frozen=True)
class Join:
    """Rows of `source` lead to one row of `target`: `column` there is `key` here. `shared` is the share that do."""

    source: str
    column: str
    target: str
    key: str
    shared: float

    @property
    def as_text(self) -> str:
        """The evidence, for people."""
        return f"{self.shared:.1%} of {self.source}.{self.column} stand in {self.target}.{self.key}"


@dataclass(frozen=True)
class Link:
    """How rows of a file lead to their customer: over some joins, and the column at their end."""

    joins: tuple[Join, ...]
    source: str
    column: str


@dataclass(frozen=True)
class Customer:
    """What a customer is: name of the key, the files that hold it, other readings, and what told so."""

    key: str
    columns: Mapping[str, str]
    alternatives: tuple[str, ...]
    evidence: str
    confidence: float


def normal(name: str) -> str:
    """A name by its words."""
    return " ".join(tokens(name))


def key_value(source: Source, column: str, alias: str = "") -> str:
    """SQL for a key as text, so that `1`, `1.0` and 1 are one."""
    profile = source.columns[column]
    name = f"{alias}.{quoted(column)}" if alias else quoted(column)
    if family_of(profile.physical) in {"float", "decimal"} or profile.is_padded:
        return f"CAST(TRY_CAST({name} AS BIGINT) AS VARCHAR)"
    return name if profile.is_text else f"CAST({name} AS VARCHAR)"


def find_customer(sources: Mapping[str, Source], wanted: str | None = None) -> Customer | None:
    """The column that names the customer, over all files; `wanted` is a column that somebody has chosen."""
    groups: dict[str, dict[str, str]] = defaultdict(dict)
    for source in sources.values():
        for column in source.columns.values():
            if column.filled and column.holds in {"text", "integer", "number"}:
                groups[normal(column.name)].setdefault(source.name, column.name)
    scores = {name: _key_score(name, columns, sources) for name, columns in groups.items()}
    if wanted is not None:
        scores = {normal(wanted.rpartition(".")[2]): 9.0}
    if not any(scores.values()):  # nothing is called like a customer: an id of nothing else may be one
        scores |= {name: 0.1 for name in groups if name == "id"}
    likely = sorted((name for name in scores if scores[name] > 0), key=lambda name: (-scores[name], name))
    if not likely or likely[0] not in groups:
        return None
    best = likely[0]
    columns = groups[best]
    finer = None if wanted is not None else _person(sources, columns)
    if finer is not None:
        at, person, why = finer
        return Customer(person, {at: person}, (columns[at],), why, 0.8)
    rivals = tuple(name for name in likely[1:] if scores[name] >= 0.6 * scores[best])
    files = "1 file" if len(columns) == 1 else f"{len(columns)} files"
    evidence = "chosen" if wanted is not None else f"its name, in {files}: {', '.join(sorted(columns))}"
    sure = 0.95 if scores[best] >= 1 else 0.4
    return Customer(next(iter(columns.values())), columns, rivals, evidence, 0.7 if rivals else sure)


def _key_score(name: str, columns: Mapping[str, str], sources: Mapping[str, Source]) -> float:
    known = vocabulary()["customer"]
    score = max(3 * name_likeness(name, known["surest"]), 2 * name_likeness(name, known["likely"]))
    if score < 1.5:
        return 0.0
    distinct = max(sources[at].columns[column].distinct for at, column in columns.items())
    if distinct < 10:
        return 0.0
    return score + 0.4 * min(len(columns), 5)


def _person(sources: Mapping[str, Source], columns: Mapping[str, str]) -> tuple[str, str, str] | None:
    """A column beside the key that names the person over several keys, where one key is one order or one visit."""
    for at, key in columns.items():
        source = sources[at]
        if not source.columns[key].is_unique:
            continue
        for column in source.columns.values():
            is_named = name_likeness(column.name, vocabulary()["customer"]["person"]) and name_likeness(
                column.name, ["customer", "client", "user", "id"]
            )
            if column.name != key and is_named and 0.3 * source.rows < column.distinct < source.rows == column.filled:
                evidence = f"{source.rows:,} {key} are {column.distinct:,} {column.name}: one person has several"
                return at, column.name, evidence
    return None


def with_other_names(connection: Connection, sources: Mapping[str, Source], customer: Customer) -> Customer:
    """The customer with the columns of other files that hold the same ids under another name, told by their values."""
    known = max(customer.columns, key=lambda name: sources[name].columns[customer.columns[name]].distinct)
    others = {}
    for source in sources.values():
        if source.name in customer.columns:
            continue
        scored = [
            (_reference_score(connection, source, column, sources[known], customer.columns[known]), column.name)
            for column in source.columns.values()
            if column.filled and column.distinct >= FEWEST_IDS and column.holds in {"text", "integer", "number"}
        ]
        score, name = max(scored, default=(0.0, ""))
        if score:
            others[source.name] = name
    if not others:
        return customer
    alike = {normal(name) for name in others.values()}
    rivals = tuple(name for name in customer.alternatives if name not in alike)
    values = "; ".join(f"the ids of {name}.{column} stand there, too" for name, column in others.items())
    sure = customer.confidence if rivals else max(customer.confidence, 0.95)
    return replace(
        customer, columns={**customer.columns, **others}, alternatives=rivals,
        evidence=f"{customer.evidence}; {values}", confidence=sure,
    )  # fmt: skip


def _reference_score(connection: Connection, source: Source, column: ColumnProfile, known: Source, key: str) -> float:
    """How surely a column holds the customer's ids; plain numbers may be others, and need a name that says so."""
    named = max(
        name_likeness(column.name, vocabulary()["customer"][how], source.context) for how in ("surest", "likely")
    )
    is_telling = column.holds == "text" or (isinstance(column.low, float) and column.low >= LARGE_ID)
    if column.length > LONGEST_ID or (named < 0.5 and not is_telling):
        return 0.0
    shared = shared_values(connection, source, column.name, known, key)
    return named + shared if shared >= SURELY_SHARED else 0.0


def find_joins(connection: Connection, sources: Mapping[str, Source]) -> list[Join]:
    """All joins between files: to a key that is unique there, by a name that may mean it, where the values agree."""
    joins = []
    for here, target in itertools.permutations(sources.values(), 2):
        for key in target.columns.values():
            if not key.is_unique or key.holds not in {"text", "integer"}:
                continue
            for column in here.columns.values():
                if column.filled and column.holds in {"text", "integer", "number"} and _may_join(column, key, target):
                    shared = shared_values(connection, here, column.name, target, key.name)
                    if shared >= LEAST_SHARED:
                        joins.append(Join(here.name, column.name, target.name, key.name, shared))
    return joins


def _may_join(column: ColumnProfile, key: ColumnProfile, target: Source) -> bool:
    """Whether names let a column point to a key: they are alike, or it is the other file's name with its id."""
    ours, theirs = tokens(column.name), tokens(key.name)
    if ours == theirs:
        return bool({"id", "no", "number", "code", "key", "nr", "nummer", "upc", "sku"} & set(ours)) or len(ours) > 1
    bare = tuple(word for word in theirs if word not in target.context) or theirs
    return (
        bare in {("id",), ("key",), ("no",), ("code",)}
        and bool(set(ours) & set(target.context))
        and ours[-1] in {*bare, "id"}
    )


def shared_values(connection: Connection, here: Source, column: str, target: Source, key: str) -> float:
    """The share of the distinct values of a column that the key of another file holds."""
    ours, theirs = key_value(here, column), key_value(target, key)
    counted = connection.execute(
        f"SELECT count(*), count(*) FILTER (value IN (SELECT {theirs} FROM {target.sql})) "
        f"FROM (SELECT DISTINCT {ours} AS value FROM {here.sql} WHERE {quoted(column)} IS NOT NULL)"
    ).fetchall()[0]
    return counted[1] / counted[0] if counted[0] else 0.0


def link(name: str, customer: Customer, joins: Iterable[Join]) -> Link | None:
    """The shortest way from a file to the customer's key; None where there is none within two steps."""
    joins = list(joins)
    ways: list[tuple[str, tuple[Join, ...]]] = [(name, ())]
    for _ in range(FARTHEST + 1):
        for at, way in ways:
            if at in customer.columns:
                return Link(way, at, customer.columns[at])
        ways = [
            (join.target, (*way, join))
            for at, way in ways
            for join in joins
            if join.source == at and join.target not in {name, *(step.target for step in way)}
        ]
    return None
