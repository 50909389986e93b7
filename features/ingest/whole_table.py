"""Whole-table checks for onboarding: faults that no row shows by itself, commonest when a company begins.

Ids of another form than those of `customers`, one load stamp for all history, last days in place of ends, items that no
metric knows. Each is counted over the rows as they were staged; what would mend it is tried, and proposed.
"""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any

import narwhals as nw

from vouch.features.contract.casts import quoted, sql_texts
from vouch.features.contract.tables import DAY_US, ITEMS, PAIRED
from vouch.features.engines import OWN
from vouch.features.facts.last_days import FEWEST, last_days
from vouch.features.ingest.counts import Count
from vouch.features.instants import MINUTE_US, SECOND_US, instant_text
from vouch.features.shown import shape

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from vouch.features.contract.tables import Table
    from vouch.features.ingest.staging_context import StagingContext

FEWEST_STAMPED = 20
LOAD_DAYS = 7
"""A row that became known so many days after its own time did not become known when it happened."""
YEARS_AHEAD = 2
STRANGERS_AT_ONCE = 20_000
LEAST_JOINED = 10
"""A form that joins fewer than one in so many says nothing."""
_HIDDEN = r"[\p{Cf}\p{Cc}\p{Z}\s]+"
_SIGNS = r"[^\pL\pN]+"
_NARROW = string.digits + string.ascii_letters
_WIDE = "".join(chr(ord(sign) + 0xFEE0) for sign in _NARROW)
FORMS = (
    ("a decimal ending", r"regexp_replace(@, '[.,]0+$', '')"),
    ("the case of letters", "lower(@)"),
    ("invisible characters", f"regexp_replace(@, '{_HIDDEN}', '', 'g')"),
    ("the last 3 of 18 characters", "CASE WHEN length(@) IN (15, 18) THEN left(@, 15) END"),
    ("leading zeros", "ltrim(@, '0')"),
    ("the way of writing a number", "CAST(TRY_CAST(TRY_CAST(@ AS DOUBLE) AS BIGINT) AS VARCHAR)"),
    ("signs in it or around it", f"regexp_replace(@, '{_SIGNS}', '', 'g')"),
    ("what stands before the last sign", r"regexp_extract(@, '[^:/|_#-]+$')"),
    ("case and signs", f"lower(regexp_replace(@, '{_SIGNS}', '', 'g'))"),
    ("letters before the number", r"nullif(regexp_extract(@, '^[^0-9]*([0-9]{3,})$', 1), '')"),
    ("letters and zeros before the number", r"nullif(regexp_extract(@, '^[^0-9]*0*([1-9][0-9]{2,})$', 1), '')"),
    ("what stands after the first sign", r"nullif(regexp_extract(@, '^[^:/|_#\x40.-]+'), '')"),
    ("case and the last 3 of 18 characters", "CASE WHEN length(@) IN (15, 18) THEN lower(left(@, 15)) END"),
    ("the width of signs", f"translate(@, '{_WIDE}', '{_NARROW}')"),
    ("accents", "strip_accents(@)"),
    ("signs written as %", "url_decode(@)"),
)
"""What may set two forms of one id apart, and the SQL that makes them one; @ stands for the id."""


def strangers(staging: StagingContext, table: Table, rows: str, count: int, of: int) -> Count:
    """The count of rows whose customer is not known, with an example, and the normalisation that would join most."""
    assert table.customer is not None
    return _unmatched(staging, table, "orphans", rows, table.customer, "customers", f"{OWN}.known", count, of)


def dangling(staging: StagingContext, table: Table, rows: str, targets: Mapping[str, str], of: int) -> Iterator[Count]:
    """The count of references that point to nothing, by column, told as `strangers` are; by customer it is told there.

    `targets` holds the relation that each column must point into.
    """
    for column, known in targets.items():
        is_lost = f"{quoted(column)} IS NOT NULL AND {quoted(column)} NOT IN (SELECT key FROM {known})"
        (count,) = staging.row(f"SELECT count(*) FROM {rows} WHERE {is_lost}")
        if count and column != table.customer:
            target = table.references[column][0]
            yield _unmatched(staging, table, "dangling_reference", rows, column, target, known, count, of)


def _unmatched(
    staging: StagingContext, table: Table, code: str, rows: str, column: str, target: str, known: str, count: int,
    of: int,
) -> Count:  # fmt: skip
    """The count of ids of a column that `known`, the keys of the target, does not hold; and what would join most."""
    relation = f"{OWN}.strangers"
    staging.rows(
        f"CREATE OR REPLACE TABLE {relation} AS SELECT {quoted(column)} AS id, count(*) AS n FROM {rows} "
        f"WHERE {quoted(column)} IS NOT NULL AND {quoted(column)} NOT IN (SELECT key FROM {known}) "
        f"GROUP BY ALL ORDER BY n DESC, id LIMIT {STRANGERS_AT_ONCE}"
    )
    tried = []
    for place, (what, form) in enumerate(FORMS):
        keys = (
            f"SELECT {form.replace('@', 'key')} AS form, min(key) AS key FROM {known} GROUP BY ALL HAVING count(*) = 1"
        )
        joined, example, meant, is_theirs = staging.row(
            f"SELECT coalesce(sum(n), 0)::BIGINT, min(id), min_by(key, id), bool_and(form = key) "
            f"FROM {relation} JOIN ({keys}) ON form = {form.replace('@', 'id')}"
        )
        tried.append((joined, -place, what, form, example, meant, is_theirs))
    joined, _, what, form, example, meant, is_theirs = max(tried)
    if joined * LEAST_JOINED < staging.row(f"SELECT sum(n)::BIGINT FROM {relation}")[0]:
        (example,) = staging.row(f"SELECT min(id) FROM {relation}")
        return Count(code, column, count, of, "count", example)
    where = table.name if is_theirs or target == table.name else f"{table.name} and in {target}, both"
    mend = f"They differ by {what}: {joined:,} would join by {form.replace('@', column)}; map it by a query in {where}"
    return Count(code, column, count, of, "count", example, f" where `{target}` has {shape(meant)}", mend)


def whole_counts(staging: StagingContext, table: Table, columns: Collection[str], rows: str) -> list[Count]:
    """What is counted over a whole table in contract form; `columns` were handed over, `rows` stands behind FROM."""
    counts = list(_versions(staging, table, columns, rows))
    if "ingested_at" in columns:
        counts += _stamps(staging, rows)
    if table.name == "subscriptions" and "ended_at" in columns:
        counts += [*_ends(staging, rows), *_one_end(staging, rows)]
    if table.name == "surveys":
        counts += _items(staging, rows)
    return counts


def _versions(staging: StagingContext, table: Table, columns: Collection[str], rows: str) -> Iterator[Count]:
    if not table.key or "ingested_at" in columns:
        return
    replaced, of = staging.row(f"SELECT count(superseded_us), count(*) FROM {rows}")
    if replaced:
        yield Count("superseded", table.key, replaced, of, "count")


def _stamps(staging: StagingContext, rows: str) -> Iterator[Count]:
    """Rows that became known together, where they are most rows of the table."""
    (middle,) = staging.row(f"SELECT quantile_disc(ingested_us, 0.5) FROM {rows} WHERE is_stated AND NOT is_deleted")
    if middle is None:
        return
    together = f"is_stated AND abs(ingested_us - {middle}) <= {DAY_US} AND ingested_us - own_us > {LOAD_DAYS * DAY_US}"
    count, first, of = staging.row(
        f"SELECT count(*) FILTER ({together}), min(ingested_us) FILTER ({together}), count(*) FROM {rows}"
    )
    if count >= FEWEST_STAMPED and 2 * count > of:
        yield Count("one_load_stamp", "ingested_at", count, of, "count", more=f" {instant_text(first)}")


def _ends(staging: StagingContext, rows: str) -> Iterator[Count]:
    """Subscriptions that never ran, and ends that look like last days."""
    facts = f"SELECT * FROM {rows} WHERE superseded_us IS NULL AND NOT is_deleted"
    failed, of = staging.row(f"SELECT count(*) FILTER (ended_us = own_us), count(*) FROM ({facts})")
    if failed:
        yield Count("failed", "ended_at", failed, of, "count")
    last = last_days(nw.from_native(staging.connection.sql(facts)))
    if last.is_habit:
        usual = last.step_us
        step = "1 day" if usual > MINUTE_US else "1 second" if usual % SECOND_US == 0 else f"{usual} microseconds"
        query = f"select * replace (ended_at + interval {step} as ended_at) from subscriptions"
        mend = f'An end is the first instant after: [tables.subscriptions] query = "{query}"'
        yield Count("last_days", "ended_at", last.count, last.of, "count", mend=mend)


def _one_end(staging: StagingContext, rows: str) -> Iterator[Count]:
    """One end that most of those who run now share, years ahead."""
    runs = f"superseded_us IS NULL AND NOT is_deleted AND (ended_us IS NULL OR ended_us > {staging.now_us})"
    ahead = staging.now_us + YEARS_AHEAD * 365 * DAY_US
    usual, of = staging.row(f"SELECT mode(ended_us) FILTER (ended_us > {ahead}), count(*) FROM {rows} WHERE {runs}")
    if usual is None:
        return
    (count,) = staging.row(f"SELECT count(*) FROM {rows} WHERE {runs} AND ended_us = {usual}")
    if count >= FEWEST and 2 * count > of:
        yield Count("one_end", "ended_at", count, of, "count", instant_text(usual))


def _items(staging: StagingContext, rows: str) -> Iterator[Count]:
    """Answers to items that no metric knows, by instrument and name."""
    asked = staging.rows(
        f"SELECT instrument, coalesce(item, ''), count(*) FROM {rows} WHERE status = 'answered' "
        f"AND superseded_us IS NULL AND NOT is_deleted AND instrument IN ({sql_texts(tuple(ITEMS))}) "
        "GROUP BY ALL ORDER BY ALL"
    )
    named = {instrument: {item for of, item, _ in asked if of == instrument} for instrument in PAIRED}
    unknown = [(of, item, count) for of, item, count in asked if not _is_known(of, item, named)]
    if unknown:
        listed = ", ".join(f"{instrument} {item!r} {count:,} times" for instrument, item, count in unknown)
        total, of = sum(count for *_, count in unknown), sum(count for *_, count in asked)
        yield Count("unknown_item", "item", total, of, "count", more=f" ({listed})")


def _is_known(instrument: str, item: str, named: Any) -> bool:
    if any(item.startswith(of.name) if of.is_prefix else item == of.name for of in ITEMS[instrument]):
        return True
    return bool(item) and instrument in PAIRED and all(item in names for names in named.values())
