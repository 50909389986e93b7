"""Customers in published weeks: every revision is written anew without them, and says how many went."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from vouch.features.errors import SnapshotError
from vouch.features.instants import from_folder_name
from vouch.serving.lifecycle import tables
from vouch.serving.lifecycle.scrubbing import scrub_parquet
from vouch.serving.lifecycle.subject import Held
from vouch.serving.monitoring.observed import counts
from vouch.serving.snapshots import files

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from vouch.serving.lifecycle.subject import Subject

DAMAGED = "deleted, because it is damaged and cannot be searched"


def read_weeks(subject: Subject, name: str) -> Iterator[Held]:
    """Give the rows of all revisions of all weeks, and of drafts that killed runs left."""
    for parent in _weeks(subject.home / name):
        for draft in sorted(parent.glob("draft-*")):
            yield from _rows(subject, draft, "deleted, the draft of a run that was killed")
        for _, folder in sorted(files.revisions(parent).items()):
            try:
                files.open_revision(folder)
            except SnapshotError:
                yield Held(None, subject.place(folder), None, DAMAGED, is_sure=False)
                continue
            yield from _rows(subject, folder, "written anew")


def _rows(subject: Subject, folder: Path, how: str) -> Iterator[Held]:
    for path in sorted(folder.rglob("*.parquet")):
        for customer, row in tables.rows(subject, path):
            yield Held(customer, subject.place(folder), {"table": path.stem, **row}, how)


def _weeks(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.glob("as_of=*")) if from_folder_name(path.name) is not None)


def erase_weeks(subject: Subject, name: str) -> None:
    """Write every revision anew; drafts of killed runs go, and damaged revisions that none can search."""
    for parent in _weeks(subject.home / name):
        for left in parent.glob("draft-*"):
            shutil.rmtree(left)
        current = (parent / files.POINTER).read_text().strip() if (parent / files.POINTER).exists() else ""
        for _, folder in sorted(files.revisions(parent).items()):
            try:
                snapshot = files.open_revision(folder)
            except SnapshotError:
                shutil.rmtree(folder)
                continue
            _without(subject.home, snapshot, subject.customer_ids, folder.name == current)


def _without(home: Path, snapshot: files.Snapshot, customer_ids: Collection[str], is_current: bool) -> None:
    """Write one revision anew: the published one as the next revision, another one in its place."""
    with files.drafting(home, snapshot.as_of_us) as draft:
        gone = 0
        for name in snapshot.manifest["files"]:
            shutil.copyfile(snapshot.folder / name, draft.folder / name)
            if name.endswith(".parquet"):
                gone += scrub_parquet(draft.folder / name, customer_ids)
        if not gone:
            return
        manifest = _manifest(snapshot, draft)
        if is_current:
            draft.publish(manifest)
            shutil.rmtree(snapshot.folder)
        else:
            draft.replace(snapshot.folder, manifest)


def _manifest(snapshot: files.Snapshot, draft: files.Draft) -> dict[str, Any]:
    """The manifest with the figures of the rows that are left; what is said of inputs stays."""
    own = ("as_of", "revision", "files")
    manifest = {name: value for name, value in snapshot.manifest.items() if name not in own}
    manifest["rows_out"] = {name: draft.rows(name) for name in manifest["rows_out"]}
    manifest["statuses"] = {
        name: counts(draft.read("scores", [f"{name}_status"])[f"{name}_status"]) for name in manifest["statuses"]
    }
    if "lists" in manifest:
        manifest["lists"] = _list_sizes(manifest["lists"], snapshot, draft)
    if "seen" in manifest:
        manifest["seen"] = {**manifest["seen"], "customers": draft.rows("scores")}
    erased = snapshot.manifest["rows_out"]["scores"] - draft.rows("scores")
    return {**manifest, "erased": manifest.get("erased", 0) + erased}


def _list_sizes(lists: Mapping[str, Mapping[str, Any]], snapshot: files.Snapshot, draft: files.Draft) -> dict[str, Any]:
    """What is told of each list, shorter by the rows that went."""
    before, after = (
        counts(rows["list"]) for rows in (snapshot.table("lists", ["list"]), draft.read("lists", ["list"]))
    )
    gone = {name: before.get(name, 0) - after.get(name, 0) for name in lists}
    return {name: {**of, "total": of["total"] - gone[name]} for name, of in lists.items()}
