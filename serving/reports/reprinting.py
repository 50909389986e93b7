"""Reports written again after an erasure, from the week as it is now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vouch.features.durable import write_where_asked
from vouch.features.errors import SnapshotError
from vouch.features.instants import parse_instant
from vouch.serving.asking.candidates import askable_now
from vouch.serving.reports.email_text import as_text
from vouch.serving.reports.rendering import as_page
from vouch.serving.reports.report import TREND_WEEKS, figures
from vouch.serving.snapshots.files import read_snapshot
from vouch.serving.snapshots.read import week_before, weeks_up_to

if TYPE_CHECKING:
    from vouch.serving.exports.written_files import Output


def reprinted(home: Path, store: str | None, output: Output, now_us: int) -> None:
    """Write a page or a text that may name customers again, or delete it where its week is gone."""
    path = Path(output.path)
    as_of_us = parse_instant(output.as_of)
    try:
        snapshot = read_snapshot(home, as_of_us)
        people = askable_now(home, store, snapshot, now_us)
        weeks = weeks_up_to(home, as_of_us, TREND_WEEKS, ["metrics"])
        counted = figures(snapshot, people, week_before(home, as_of_us), weeks)
    except SnapshotError:
        path.unlink()
        return
    is_page = output.kind == "page"
    text = as_page(counted, output.language, output.page) if is_page else as_text(counted, output.language)
    write_where_asked(path, text)
