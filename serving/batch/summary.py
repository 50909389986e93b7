"""The run summary of the batch: rows for people, one document for a scheduler whatever happens, a file that stays.

The document says how the run ended even where it failed, so that a scheduler needs no more than that and the exit code.
"""

from __future__ import annotations

import contextlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vouch.features.durable import write_whole
from vouch.features.errors import Refused, VouchError
from vouch.features.instants import as_datetime, instant_text
from vouch.features.project import home
from vouch.serving.output import Format, as_json, say, show, warn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDER = "runs"
"""Under the home: one file per run, with what it told."""
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
    try:
        yield summary
        if summary.refusals:
            raise Refused(
                f"Not published: {' '.join(summary.refusals)}. The week before stays. Mend the data; or publish all "
                "the same with --despite REASON; or set other limits in guards.toml of VOUCH_HOME."
            )
    except VouchError as error:
        document = _document(command, now_us, summary, error)
        _keep(home(), now_us, document)
        if summary.weeks or form is Format.JSON:
            _show(summary, form, document)
        raise
    document = _document(command, now_us, summary, None)
    if summary.rows is None:
        _keep(home(), now_us, document)
    _show(summary, form, document)


def _document(command: str, now_us: int, summary: Summary, error: VouchError | None) -> dict[str, Any]:
    ended = "done" if error is None else "refused" if isinstance(error, Refused) else "failed"
    return {
        "command": command,
        "now": instant_text(now_us),
        "outcome": ended,
        "exit_code": 0 if error is None else error.exit_code,
        "error": None if error is None else {"code": error.code, "message": str(error)},
        **({"weeks": summary.weeks} if summary.rows is None else {"plan": summary.rows}),
    }


def _show(summary: Summary, form: Format, document: dict[str, Any]) -> None:
    rows = [_row(week, form) for week in summary.weeks] if summary.rows is None else summary.rows
    show(rows, form, document=document)
    for warning in dict.fromkeys(warning for week in summary.weeks for warning in week["warnings"]):
        warn(f"warning: {warning}")
    if form is not Format.TABLE:
        return
    for week in summary.weeks:
        if found := week["difference"] if week["outcome"] == "published" else None:
            say(_difference(week, found))
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


def _difference(week: dict[str, Any], found: dict[str, Any]) -> str:
    """One line on how a revision differs from the one before it."""
    columns = ", ".join(
        f"{name} {of['customers']:,}" + ("" if of["largest"] is None else f" (by up to {of['largest']:.3g})")
        for name, of in found["columns"].items()
    )
    return (
        f"{week['as_of']} revision {week['revision']} against {found['against']}, changed: "
        f"{', '.join(found['because']) or 'nothing that goes in'}. {found['customers_changed']:,} customers are "
        f"others, {found['customers_added']:,} more, {found['customers_removed']:,} fewer; "
        f"{found['metrics_changed']:,} metrics. Customers by column: {columns or 'none'}"
    )


def _keep(where: Path, now_us: int, document: dict[str, Any]) -> None:
    """Leave the document of the run for whoever looks later; a home that takes no writes was told of already."""
    with contextlib.suppress(OSError):
        folder = where / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        moment = as_datetime(now_us).strftime("%Y-%m-%dT%H%M%S.%fZ")
        path = folder / f"{document['command']}-{moment}.json"
        write_whole(path, as_json(document) + "\n")
