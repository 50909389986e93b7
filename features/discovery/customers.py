"""The proposal for `customers`, for memberships, and for points: what hangs on more than one file, or on one twice."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vouch.features.contract.casts import quoted
from vouch.features.contract.tables import TABLES
from vouch.features.discovery.cells import SURE, Cell, TableProposal, best_column, words_for_booleans
from vouch.features.discovery.links import key_value, shared_values
from vouch.features.discovery.queries import needed, select
from vouch.features.discovery.times import file_times
from vouch.features.naming.words import IN_CONTEXT, column_phrases, name_likeness, table_likeness, tokens, vocabulary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vouch.features.discovery.columns import Source
    from vouch.features.discovery.links import Customer, Link
    from vouch.features.discovery.times import FileTime
    from vouch.features.engines import Connection

COVERED = 0.98
"""Share of the customers of other files from which a file of customers counts as whole."""
SURELY_AFTER = 0.98
"""Share of what happened that lies after a time from which that counts as the customer's begin."""
ABOUT = ("region", "country", "language", "segment", "plan", "industry", "acquisition_source")


def home_of(customer: Customer, sources: Mapping[str, Source]) -> Source | None:
    """The file that has one row per customer, the one that says most where there are several."""
    homes = []
    for name, column in customer.columns.items():
        profile = sources[name].columns[column]
        if (
            profile.filled == profile.rows
            and profile.distinct >= 0.97 * profile.rows
            and len(sources[name].columns) > 1
        ):
            homes.append(sources[name])
    return max(homes, key=lambda one: (_says(one), one.rows, len(one.columns)), default=None)


def _says(source: Source) -> float:
    """How much a file says of customers: their begin, or what `customers` knows; figures alone say nothing."""
    known = [name for name in ABOUT if best_column(source, column_phrases(name), ("text",))[1] >= SURE]
    return len(known) + 2 * (_begin(source) is not None) + table_likeness(source.name, "customers")


def _begin(source: Source) -> tuple[FileTime, float] | None:
    """When a customer of a file of customers began."""
    scored = [
        (
            max(
                name_likeness(start.name, column_phrases(name), source.context)
                for name in ("created_at", "enrolled_at")
            ),
            start,
        )
        for start in file_times(source)
        if start.filled >= 0.99 * source.rows
    ]
    sure, start = max(scored, key=lambda pair: pair[0], default=(0.0, None))
    return (start, sure) if start is not None and sure >= SURE else None


def _begin_by_values(
    connection: Connection,
    home: Source,
    customer: Customer,
    sources: Mapping[str, Source],
    facts: Sequence[tuple[TableProposal, Link]],
) -> tuple[FileTime, float] | None:
    """The only time of a file of customers, whatever it is called, where next to nothing of a customer is before it."""
    full = [time for time in file_times(home) if time.is_plain and time.filled >= 0.99 * home.rows]
    if len(full) != 1 or not facts:
        return None
    (start,), key = full, key_value(home, customer.columns[home.name], quoted(home.name))
    for proposal, _ in facts:
        table = TABLES[proposal.table]
        who = proposal.cells[table.customer or ""].sql
        clock = next(proposal.cells[name] for name in table.clock if name in proposal.cells).sql
        seen = select([(who, "who"), (clock, "at")], proposal.source, needed(proposal.joins, [who, clock]), (), sources)
        begun = f"date_trunc('day', CAST({start.sql(home, quoted(home.name))} AS TIMESTAMP))"
        (share,) = connection.execute(
            f"SELECT avg((CAST(seen.at AS TIMESTAMP) >= {begun})::INT) FROM ({seen}) seen "
            f"JOIN {home.sql} {quoted(home.name)} ON {key} = CAST(seen.who AS VARCHAR)"
        ).fetchall()[0]
        if share is None or share < SURELY_AFTER:
            return None
    return start, SURE


def customers(
    connection: Connection,
    customer: Customer,
    sources: Mapping[str, Source],
    facts: Sequence[tuple[TableProposal, Link]],
) -> TableProposal | None:
    """The table of customers: a file of its own where it is whole and dated, else whoever stands in the other files."""
    home = home_of(customer, sources)
    begin = None if home is None else _begin(home) or _begin_by_values(connection, home, customer, sources, facts)
    if home is not None and begin is not None and home.columns[customer.columns[home.name]].is_unique:
        covered = [
            _covered(connection, customer, home, sources[link.source], link)
            for _, link in facts
            if link.source != home.name
        ]
        if not covered or min(covered) >= COVERED or min(covered) > 0.5:
            return _of_file(home, customer, begin, min(covered, default=1.0))
    return _of_facts(connection, home, customer, sources, facts)


def _covered(connection: Connection, customer: Customer, home: Source, at: Source, link: Link) -> float:
    return shared_values(connection, at, link.column, home, customer.columns[home.name])


def _of_file(home: Source, customer: Customer, begin: tuple[FileTime, float], covered: float) -> TableProposal:
    start, sure = begin
    key = customer.columns[home.name]
    cells = {
        "customer_id": _key_cell(home, key),
        "created_at": Cell(
            start.sql(home, quoted(home.name)),
            tuple((home.name, part) for part in start.columns),
            sure,
            start.columns[0] if start.is_plain else None,
        ),
    }
    cells |= _about(home, {cell.plain for cell in cells.values()})
    evidence = (f"one row per {key}", f"{covered:.1%} of the customers of other files stand here")
    return TableProposal(
        "customers", home.name, cells, values=words_for_booleans(home, cells), evidence=evidence,
        confidence=0.6 + 0.39 * min(covered, sure),
    )  # fmt: skip


def _key_cell(home: Source, key: str) -> Cell:
    """The key of a customer, as one column where it stands there as others write it."""
    plain = None if home.columns[key].is_padded else key
    return Cell(key_value(home, key, quoted(home.name)), ((home.name, key),), 1.0, plain)


def _about(home: Source, used: set[str | None]) -> dict[str, Cell]:
    """What a file says of customers, as columns of the contract."""
    cells = {}
    for column in TABLES["customers"].columns.values():
        if column.is_required or column.kind == "time" or column.name in {"referred_by", "is_deleted", "account_id"}:
            continue
        holds = ("boolean",) if column.kind == "boolean" else ("integer",) if column.kind == "integer" else ("text",)
        best, sure = best_column(home, column_phrases(column.name), holds, used)  # type: ignore[arg-type]  # kinds of it
        if best is None or sure < SURE or (column.kind == "text" and not best.values):
            continue
        used.add(best.name)
        cells[column.name] = Cell(
            f"{quoted(home.name)}.{quoted(best.name)}", ((home.name, best.name),), sure, best.name
        )
    return cells


def _of_facts(
    connection: Connection,
    home: Source | None,
    customer: Customer,
    sources: Mapping[str, Source],
    facts: Sequence[tuple[TableProposal, Link]],
) -> TableProposal | None:
    """Whoever stands in the other files, from the first time on; with what a file of customers says beside."""
    seen, reads = [], []
    for proposal, _ in facts:
        table = TABLES[proposal.table]
        if proposal.table not in {"transactions", "usage_events", "subscriptions", "sessions"}:
            continue
        who = proposal.cells[table.customer or ""]
        clock = next(proposal.cells[name] for name in table.clock if name in proposal.cells)
        texts = [who.sql, clock.sql, *proposal.where]
        joins = needed(proposal.joins, texts)
        seen.append(
            select([(who.sql, "customer_id"), (clock.sql, "at")], proposal.source, joins, proposal.where, sources)
        )
        reads += [*who.reads, *clock.reads]
    if not seen:
        return None
    cells = {
        "customer_id": Cell("seen.customer_id", (), 1.0),
        "created_at": Cell("min(seen.at)", tuple(dict.fromkeys(reads)), 0.8),
    }
    led: tuple[tuple[str, str], ...] = ()
    joined, evidence = "", ["no file says when a customer began: the first time in the other files stands for it"]
    if home is not None:
        about = _about(home, {customer.columns[home.name]})
        cells |= {name: replace(cell, sql=f"max({cell.sql})", plain=None) for name, cell in about.items()}
        key = key_value(home, customer.columns[home.name], quoted(home.name))
        joined = f"\nleft join {quoted(home.name)} on {key} = seen.customer_id"
        led = ((home.name, customer.columns[home.name]),)
    else:
        evidence.append("no file has one row per customer")
        constant, joined = _constant_columns(connection, sources, facts)
        cells |= constant
    inner = "\n  union all\n".join("  " + one.replace("\n", "\n  ") for one in seen)
    around = (f"with seen as (\n{inner}\n)\n", f"\nfrom seen{joined}\nwhere seen.customer_id is not null\ngroup by 1")
    source = home.name if home is not None else facts[0][0].source
    values = {} if home is None else words_for_booleans(home, cells)
    return TableProposal(
        "customers", source, cells, values=values, evidence=tuple(evidence), confidence=0.8, around=around, reads=led
    )


def _constant_columns(
    connection: Connection, sources: Mapping[str, Source], facts: Sequence[tuple[TableProposal, Link]]
) -> tuple[dict[str, Cell], str]:
    """Columns of the main file that say the same of a customer in nearly every row."""
    proposal, link = facts[0]
    source = sources[proposal.source]
    if link.joins:
        return {}, ""
    cells = {}
    key = key_value(source, link.column)
    for name in ("country", "region", "language", "segment"):
        best, sure = best_column(source, column_phrases(name), ("text",))
        if best is None or sure < IN_CONTEXT or not best.filled:
            continue
        pairs, people = connection.execute(
            f"SELECT count(DISTINCT ({key}, {quoted(best.name)})), count(DISTINCT {key}) FROM {source.sql}"
        ).fetchall()[0]
        if pairs <= 1.05 * people:
            cells[name] = Cell(f"max(about.{name})", ((source.name, best.name),), sure)
    if not cells:
        return {}, ""
    inner = ", ".join(f"max({quoted(cell.reads[0][1])}) as {name}" for name, cell in cells.items())
    about = f"select {key} as customer_id, {inner}\n  from {quoted(source.name)} group by 1"
    return cells, f"\nleft join (\n  {about}\n) about using (customer_id)"


def membership(customer: Customer, sources: Mapping[str, Source]) -> list[TableProposal]:
    """A file of customers that says when each left, as contracts without a price; of a programme, its members, too."""
    home = home_of(customer, sources)
    begin = _begin(home) if home is not None else None
    if home is None or begin is None:
        return []
    ends = [
        (name_likeness(end_time.name, column_phrases("ended_at"), home.context), end_time)
        for end_time in file_times(home)
    ]
    sure, end = max(ends, key=lambda pair: pair[0], default=(0.0, None))
    if end is None or sure < SURE or end.filled == home.rows:
        return []
    key, at = customer.columns[home.name], quoted(home.name)
    who = _key_cell(home, key)

    def time(end_time: FileTime, *, at_end: bool) -> Cell:
        reads = tuple((home.name, part) for part in end_time.columns)
        return Cell(
            end_time.sql(home, at, at_end=at_end), reads, sure, end_time.columns[0] if end_time.is_plain else None
        )

    dates = {"started_at": time(begin[0], at_end=False), "ended_at": time(end, at_end=True)}
    evidence = (f"{end.filled:,} of {home.rows:,} have an end: who has none is still with the company",)
    proposals = [
        TableProposal(
            "subscriptions", home.name, {"subscription_id": who, "customer_id": who, **dates}, {"mrr": 0},
            evidence=(*evidence, "no file names a price: mrr is 0"), confidence=0.75,
        )
    ]  # fmt: skip
    words = {*home.context, *tokens(key)}
    if words & {"loyalty", "treue", "reward", "fidelity", "fidelite"}:
        tier = best_column(home, column_phrases("tier"), ("text",))[0]
        cells = {"customer_id": who, "enrolled_at": dates["started_at"], "left_at": dates["ended_at"]}
        if tier is not None and tier.values:
            cells["tier"] = Cell(f"{at}.{quoted(tier.name)}", ((home.name, tier.name),), 0.8, tier.name)
        proposals.append(TableProposal("loyalty_members", home.name, cells, evidence=evidence, confidence=0.8))
    return proposals


def points(proposal: TableProposal, sources: Mapping[str, Source]) -> TableProposal | None:
    """Points earned and redeemed that stand in columns of a file of another kind, as a ledger."""
    source = sources[proposal.source]
    known = vocabulary()["columns"]
    proposals = {
        kind: best_column(source, known[f"points_{name}"], ("number", "integer"))
        for kind, name in (("earn", "earned"), ("redeem", "redeemed"))
    }
    if any(column is None or sure < IN_CONTEXT for column, sure in proposals.values()):
        return None
    table = TABLES[proposal.table]
    who, clock = (
        proposal.cells[table.customer or ""],
        next(proposal.cells[name] for name in table.clock if name in proposal.cells),
    )
    rest = ", ".join(f"{quoted(source.name)}.{quoted(column)}" for column in source.columns)
    parts, reads = [], [*who.reads, *clock.reads]
    for kind, (column, _) in proposals.items():
        if column is None:
            continue
        cell = f"{quoted(source.name)}.{quoted(column.name)}"
        number = f"row_number() over (partition by {who.sql} order by {clock.sql}, {rest})"
        cells = [
            (f"concat_ws('-', '{kind}', {who.sql}, {number})", "entry_id"),
            (who.sql, "customer_id"),
            (clock.sql, "occurred_at"),
            (f"'{kind}'", "kind"),
            (cell, "points"),
        ]
        parts.append(select(cells, source.name, proposal.joins, [f"try_cast({cell} as double) > 0"], sources))
        reads.append((source.name, column.name))
    cells_of = {
        "entry_id": Cell("", (), 0.9),
        "customer_id": who,
        "occurred_at": clock,
        "points": Cell("", tuple(reads[-2:]), 0.9),
    }
    return TableProposal(
        "loyalty_ledger", source.name, cells_of, evidence=("points earned and redeemed stand in two columns",),
        confidence=0.8, query="\nunion all\n".join(parts), reads=tuple(reads),
    )  # fmt: skip
