"""Customers in what was written elsewhere: exports, vectors, reports, answers to people who asked what is held.

Each is written anew where it still is what was written; what somebody changed since is searched, told, and left.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from vouch.features.durable import file_digest, write_whole
from vouch.features.errors import UsageError
from vouch.serving.exports import lakes, written_files
from vouch.serving.lifecycle import tables, texts
from vouch.serving.lifecycle.scrubbing import rows_of_csv, scrub_csv, scrub_parquet, scrub_text
from vouch.serving.lifecycle.subject import Held
from vouch.serving.reports.reprinting import reprinted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vouch.serving.exports.written_files import Output
    from vouch.serving.lifecycle.subject import Subject

LAKES = frozenset(lakes.Lake)
ANSWER = "answer"
"""The kind of a file that tells one person what is held: it goes with what it tells of."""


def read_outputs(subject: Subject, _: str) -> Iterator[Held]:
    """Give the rows and lines of all files that are there."""
    for output in written_files.load_outputs(subject.home):
        path = Path(output.path)
        if not path.exists():
            continue
        is_ours = _is_ours(output, path)
        for held in _held(subject, output, path):
            if not is_ours:
                subject.leave(path, "changed since it was written")
            yield held if is_ours else replace(held, how="left, for it was changed since it was written", stays=True)


def _held(subject: Subject, output: Output, path: Path) -> Iterator[Held]:
    try:
        yield from _read(subject, output, path)
    except (ValueError, KeyError, OSError, UsageError):
        subject.leave(path, "changed since it was written, and no longer what it was")


def _read(subject: Subject, output: Output, path: Path) -> Iterator[Held]:
    if output.kind in ("page", "text"):
        how = "written again from the week as it is now"
        yield from texts.lines(subject, path, how, is_page=output.kind == "page")
    elif output.kind in LAKES:
        for row in lakes.rows_of(path, lakes.Lake(output.kind), subject.customer_ids):
            yield Held(row["customer_id"], str(path), row, "taken out, and earlier versions of the table with it")
    elif output.kind == ANSWER:
        if (customer := _asked(path)) in subject.customer_ids:
            yield Held(customer, str(path), {"answer": str(path)}, "deleted")
        else:
            yield from texts.lines(subject, path, texts.HOW, is_json=True)
    elif path.suffix == ".parquet":
        for customer, row in tables.rows(subject, path):
            yield Held(customer, str(path), row, "written anew")
    elif output.kind != "listing":
        titles: list[str] = []
        for named, cells in rows_of_csv(path, subject.customer_ids):
            titles = titles or cells
            if named is not None:
                yield Held(named, str(path), dict(zip(titles, cells, strict=False)), "written anew")


def erase_outputs(subject: Subject, _: str) -> None:
    """Write every file anew that still is what was written; lists of exports last, for they tell of the others."""
    outputs = {output.path: output for output in written_files.load_outputs(subject.home)}
    for output in sorted(outputs.values(), key=lambda output: output.kind == "listing"):
        path = Path(output.path)
        if path.exists() and _is_ours(output, path):
            _rewrite(subject, output, path)
            if path.is_file():
                outputs[output.path] = replace(output, sha256=file_digest(path))
        if not path.exists():
            del outputs[output.path]
        written_files.save_outputs(subject.home, outputs.values())


def _rewrite(subject: Subject, output: Output, path: Path) -> None:
    if output.kind in ("page", "text"):
        reprinted(subject.home, subject.project.store, output, subject.now_us)
    elif output.kind == ANSWER:
        if _asked(path) in subject.customer_ids:
            path.unlink()
        else:
            scrub_text(path, subject.customer_ids, is_json=True)
    elif output.kind in LAKES:
        with suppress(UsageError):  # it was told when it was searched, a moment ago
            lakes.forget(path, lakes.Lake(output.kind), subject.customer_ids)
    elif output.kind == "listing":
        _relist(path)
    elif path.suffix == ".parquet":
        scrub_parquet(path, subject.customer_ids)
    else:
        scrub_csv(path, subject.customer_ids)


def _is_ours(output: Output, path: Path) -> bool:
    """Whether a file still is what was written; a table of a lake is, whoever has written into it since."""
    return output.kind in LAKES or file_digest(path) == output.sha256


def _asked(path: Path) -> str:
    """Whom an answer is about."""
    return str(json.loads(path.read_text(encoding="utf-8"))["customer_id"])


def _relist(path: Path) -> None:
    """Let the list of an export's files say what they are now."""
    listing = json.loads(path.read_text(encoding="utf-8"))
    for entry in listing["files"]:
        file = path.parent / entry["name"]
        if not file.exists():
            continue
        rows = pq.read_metadata(file).num_rows if file.suffix == ".parquet" else _lines(file) - 1
        entry |= {"rows": rows, "bytes": file.stat().st_size, "sha256": file_digest(file)}
    listing["rows"] = sum(entry["rows"] for entry in listing["files"])
    write_whole(path, json.dumps(listing, indent=2) + "\n")


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)
