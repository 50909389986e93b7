"""The run summary of the batch: rows for people, one document for a scheduler whatever happens.

The document says how the run ended even where it failed, so that a scheduler needs no more than that and the exit code.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vouch.features.errors import Refused, VouchError
from vouch.features.project import home
from vouch.serving.batch.run_records import RunRecord, recording
from vouch.serving.output import Format, say, show, warn

if TYPE_CHECKING:
    from collections.abc import Iterator

OUTCOMES = {
    "published": "published",
    "left_alone": "published before, left alone",
    "inputs_changed": "published before from other inputs, left alone: --revision publishes the new ones beside",
    "refused": "refused by guards, not published",
}


@dataclass
class Summary:
    """What one run found: weeks that it dealt with, or else plain rows."""

    weeks: list[dict[str, Any]] = field(default_factory=list)
    rows: list[dict[str, Any]] | None = None

    @property
    def refusals(self) -> list[str]:
        """Which weeks guards refused, and which figures were above their limits."""
        return [
            f"{week['as_of']}: " + "; ".join(warning for warning in week["warnings"] if "hard limit" in warning)
            for week in self.weeks
            if week["outcome"] == "refused"
        ]


@contextmanager
def telling(form: Format, command: str, now_us: int) -> Iterator[Summary]:
    """Give a summary to fill in, and tell it however the run ends; raises Refused where guards refused a week."""
    summary = Summary()
    run: RunRecord | None = None
    try:
        with recording(home(), command, now_us) as run:
            try:
                yield summary
                if summary.refusals:
                    raise Refused(
                        f"Not published: {' '.join(summary.refusals)}. The week before stays. Mend the data; or "
                        "publish all the same with --despite REASON; or set other limits in guards.toml of VOUCH_HOME."
                    )
            finally:
                run.is_recorded = summary.rows is None
                run.figures = {"weeks": summary.weeks} if summary.rows is None else {"plan": summary.rows}
    except VouchError:
        if run is not None and (summary.weeks or form is Format.JSON):
            _show(summary, form, run.document)
        raise
    _show(summary, form, run.document)


def _show(summary: Summary, form: Format, document: dict[str, Any]) -> None:
    rows = [_row(week, form) for week in summary.weeks] if summary.rows is None else summary.rows
    show(rows, form, document=document)
    for warning in dict.fromkeys(warning for week in summary.weeks for warning in week["warnings"]):
        warn(f"warning: {warning}")
    if form is not Format.TABLE:
        return
    for week in summary.weeks:
        if difference := week["difference"] if week["outcome"] == "published" else None:
            say(_difference(week, difference))
    if folder := next((week["folder"] for week in reversed(summary.weeks) if week["folder"]), None):
        say(f"in {folder}")


def _row(week: dict[str, Any], form: Format) -> dict[str, Any]:
    return {
        "as_of": week["as_of"],
        "revision": week["revision"],
        "outcome": OUTCOMES[week["outcome"]] if form is Format.TABLE else week["outcome"],
        "customers": week["customers"],
        **{name: [f"{status} {n}" for status, n in of.items()] for name, of in week["statuses"].items()},
    }


def _difference(week: dict[str, Any], difference: dict[str, Any]) -> str:
    """One line on how a revision differs from the one before it."""
    columns = ", ".join(
        f"{name} {of['customers']:,}" + ("" if of["largest"] is None else f" (by up to {of['largest']:.3g})")
        for name, of in difference["columns"].items()
    )
    return (
        f"{week['as_of']} revision {week['revision']} against {difference['against']}, changed: "
        f"{', '.join(difference['because']) or 'nothing that goes in'}. {difference['customers_changed']:,} customers "
        f"are others, {difference['customers_added']:,} more, {difference['customers_removed']:,} fewer; "
        f"{difference['metrics_changed']:,} metrics. Customers by column: {columns or 'none'}"
    )
