"""Figures of one table for the contract report: from its own rows, from other tables, from the whole table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vouch.features.contract.casts import quoted
from vouch.features.contract.checks import staged_columns
from vouch.features.engines import OWN
from vouch.features.ingest.counts import Count, Tally, by_code, of_tallies
from vouch.features.ingest.whole_table import dangling, strangers, whole_counts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vouch.features.contract.tables import Table
    from vouch.features.ingest.mapping import TablePlan
    from vouch.features.ingest.staging_context import StagingContext

ADDED = ("own_us", "ingested_us", "is_stated", "is_deleted")
"""What each row in contract form has beside the columns of its table."""
FIGURES = ("rows", "quarantined", "cells", "repaired")


def figures(staging: StagingContext, rows: str) -> dict[str, int]:
    """Counts of judged rows (behind FROM): as handed over, refused, repaired; and of broken cells."""
    handed_over, refused, repaired, cells = staging.row(
        "SELECT count(*), count(*) FILTER (is_refused), count(*) FILTER (is_repaired AND NOT is_refused), "
        "coalesce(sum(len(list_filter(problems, lambda problem: problem.scope = 'cell'))), 0)::BIGINT "
        f"FROM {rows}"
    )
    return dict(zip(FIGURES, (handed_over, refused, cells, repaired), strict=True))


def full_figures(
    staging: StagingContext, plan: TablePlan, figures: Mapping[str, int], tallies: Sequence[Tally],
    across: Mapping[str, int], rows: str, people: str, named: str, targets: Mapping[str, str],
) -> dict[str, Any]:  # fmt: skip
    """The figures of a table: what rows tell by themselves, what others tell of them, and what the whole table tells.

    Args:
        staging: where the tables are worked on.
        plan: how the table was read.
        figures: figures by name, with the rows that were `written`.
        tallies: reasons that rows tell by themselves.
        across: counts by code of what takes other rows to tell.
        rows: what stands behind FROM for the table in contract form.
        people: what stands behind FROM for its accepted rows with their customers.
        named: SQL for how many of them name a customer.
        targets: the relation that each reference must point into.
    """
    table, accepted_rows = plan.table, figures["rows"] - figures["quarantined"]
    whole = whole_counts(staging, table, plan.columns, rows)
    apart = {
        "orphans",
        "dangling_reference",
        *({"tied_versions"} if any(count.code == "superseded" for count in whole) else ()),
    }
    counts = of_tallies(table, tallies, figures["rows"])
    counts += [Count(code, None, n, accepted_rows, "count") for code, n in across.items() if n and code not in apart]
    counts += [*dangling(staging, table, people, targets, accepted_rows), *whole]
    reasons = by_code(tallies) | {count.code: count.count for count in whole}
    reasons |= {code: n for code, n in across.items() if n and code != "orphans"}
    if orphans := across.get("orphans", 0):
        counts.insert(0, strangers(staging, table, people, orphans, int(staging.row(named)[0])))
    return {
        **{name: figures[name] for name in FIGURES},
        "duplicates": accepted_rows - figures["written"],
        "orphans": orphans,
        "reasons": dict(sorted(reasons.items())),
        "counts": [count.as_dict(table.name) for count in counts],
    }


def row_tallies(staging: StagingContext, table: Table, rows: str) -> list[Tally]:
    """How often each reason was met that a row tells by itself, by column; of each an example."""
    problems = f"SELECT raw, unnest(problems) AS problem FROM {rows} WHERE problems IS NOT NULL"
    counts = staging.rows(
        "SELECT problem.scope, problem.column, problem.reason, count(*), "
        f"min(json_extract_string(raw, '$.' || problem.column)) FROM ({problems}) GROUP BY ALL"
    )
    notes = f"SELECT is_refused, unnest(notes) AS note FROM {rows} WHERE notes IS NOT NULL"
    counts += staging.rows(
        "SELECT CASE WHEN note.reason = 'null_word' THEN 'count' ELSE 'repair' END, note.column, note.reason, "
        f"count(*), min(note.value) FROM ({notes}) WHERE note.reason = 'null_word' OR NOT is_refused "
        "GROUP BY note.column, note.reason, CASE WHEN note.reason = 'null_word' THEN note.value END"
    )
    tallies = [Tally(*one) for one in counts]
    if table.name == "surveys":
        is_other = "instrument = 'nps' AND (scale_min <> 0 OR scale_max <> 10)"
        (other,) = staging.row(f"SELECT count(*) FROM {rows} WHERE NOT is_refused AND {is_other}")
        tallies += [Tally("count", "scale_max", "other_scale", other)] if other else []
    return sorted(tallies, key=lambda tally: (tally.scope, tally.column, tally.code, tally.example or ""))


def counted_across(
    staging: StagingContext, table: Table, rows: str, repeated: str | None, targets: Mapping[str, str]
) -> dict[str, int]:
    """What stays and is counted, where it takes other rows to tell, by code; `rows` are accepted, up to conditions."""
    counted = {}
    lost = [
        f"SELECT count(*) FROM {rows} AND {quoted(column)} IS NOT NULL "
        f"AND {quoted(column)} NOT IN (SELECT key FROM {target})"
        for column, target in targets.items()
    ]
    counted["dangling_reference"] = sum(staging.row(sql)[0] for sql in lost)
    if table.customer and table.name != "customers":
        customer = quoted(table.customer)
        (counted["orphans"],) = staging.row(
            f"SELECT count(*) FROM {rows} AND {customer} IS NOT NULL "
            f"AND {customer} NOT IN (SELECT key FROM {OWN}.known)"
        )
        (counted["before_created_at"],) = staging.row(
            f"SELECT count(*) FROM (FROM {rows}) JOIN {OWN}.known ON key = {customer} WHERE own_us < created_us"
        )
    if repeated and table.key:
        content = ", ".join(map(quoted, [*staged_columns(table), *ADDED]))
        versions = f"SELECT DISTINCT {content} FROM {rows} AND {quoted(table.key)} IN (SELECT key FROM {repeated})"
        (counted["tied_versions"],) = staging.row(
            f"SELECT coalesce(sum(n - 1), 0)::BIGINT FROM (SELECT count(*) AS n FROM ({versions}) "
            f"GROUP BY {quoted(table.key)}, ingested_us)",
        )
    return counted
