"""The champion on this machine: `home/champions/NAME/` holds its verified bundle, its card and the gate's history.

Written by promotion, read by serving; no tracking server is needed to use it. `bundle` is a link that is turned to the
new version in one step, so that a reader sees the old one or the new one and never a mixture. What stands is not
touched before the new bundle lies beside it whole, judged and by the hash that was meant.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from vouch.features.durable import flush, write_whole
from vouch.features.errors import BundleError
from vouch.features.home_format import mark_home
from vouch.features.project import version
from vouch.models.definition import load, names
from vouch.models.predictor import CHAMPIONS, SHORT, VERSIONS, champion_folder
from vouch.models.registry.bundles import load_bundle
from vouch.models.scoring import documents
from vouch.models.scoring.bundle import as_bytes, check_definitions, copy_files, read_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pydantic import BaseModel

UNFINISHED = "promoting.json"
"""In a champion's folder from before anything of a promotion is done until all of it is."""
MOST_VERSIONS = 5
"""Versions whose bundles stay on disk."""


@contextmanager
def promotion(home: Path, name: str) -> Iterator[Path]:
    """Hold the lock of one model's champion; yields its folder."""
    folder = champion_folder(home, name)
    mark_home(home, version())
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        yield folder


def usual_models(home: Path) -> list[str]:
    """Return the models that `all` trains: those that every company wants, and others that have a champion here."""
    return [name for name in names() if not load(name).is_optional or (champion_folder(home, name) / "bundle").exists()]


def history(home: Path, name: str) -> list[dict[str, Any]]:
    """Return all decisions about a model's champion, the oldest first: gate results, promotions, rollbacks."""
    return _entries(champion_folder(home, name))


def _entries(folder: Path) -> list[dict[str, Any]]:
    path = folder / "gate.json"
    entries: list[dict[str, Any]] = _read(documents.Decisions, path) if path.exists() else []
    return entries


def _read(form: type[BaseModel], path: Path) -> Any:
    try:
        return documents.read_bundle_document(form, path.name, path.read_bytes())[1]
    except BundleError as error:
        raise BundleError(f"{path} is damaged ({error}). Put back a copy of it, or delete it.") from error


def promoted_at_us(home: Path, name: str) -> int | None:
    """Return when the champion on this machine was made that, or None where that cannot be told."""
    try:
        made = [entry["at_us"] for entry in history(home, name) if entry["action"] != "refuse"]
    except BundleError:  # it can be told no more; the champion scores all the same
        return None
    return made[-1] if made else None


def retrains_due(home: Path) -> list[str]:
    """Return for each champion on this machine that cannot be used any more why, and what mends it.

    Nothing is loaded: what its features are today is compared with what they were.
    """
    due = []
    for bundle in sorted((home / CHAMPIONS).glob("*/bundle")):
        try:
            manifest, files, _ = read_files(bundle)
            check_definitions(bundle, manifest, files)
        except BundleError as error:
            due.append(str(error))
    return due


def note(folder: Path, entry: Mapping[str, Any]) -> None:
    """Add one decision to the history (with the lock held)."""
    write_whole(folder / "gate.json", as_bytes([*_entries(folder), dict(entry)]))


def begin(folder: Path, entry: Mapping[str, Any], card: str) -> None:
    """Note a promotion that is about to be made, for whoever comes after one that was killed (with the lock held)."""
    write_whole(folder / UNFINISHED, as_bytes({"entry": dict(entry), "card": card}))


def unfinished(folder: Path) -> dict[str, Any] | None:
    """Return the decision whose promotion was cut off after serving had the new bundle; None where there is none."""
    path = folder / UNFINISHED
    if not path.exists():
        return None
    begun = _read(documents.Begun, path)
    entry: dict[str, Any] = begun["entry"]
    if _hash_of(folder / "bundle") != entry["content_hash"]:  # nothing had been done yet
        path.unlink()
        return None
    write_whole(folder / "card.md", begun["card"].encode())
    return entry


def _hash_of(bundle: Path) -> str | None:
    """The content hash of what lies there, None without a whole bundle."""
    try:
        return read_files(bundle)[2]
    except BundleError:
        return None


def finish(folder: Path, entry: Mapping[str, Any]) -> None:
    """Add a promotion to the history, and note that it is made (with the lock held)."""
    if dict(entry) not in _entries(folder):
        note(folder, entry)
    (folder / UNFINISHED).unlink()


def install(folder: Path, bundle: Path, card: str, content_hash: str) -> None:
    """Make a bundle the one that serving reads (with the lock held).

    It is copied beside the others, loaded from the copy with all checks, and only then the link is turned. Raises
    BundleError, and leaves all as it was, where the copy is not sound or not the one that was meant.
    """
    target = folder / VERSIONS / documents.checked_digest(content_hash)[:SHORT]
    before = (folder / "bundle").resolve()
    if not _stands(target, content_hash):
        _move(_copied(bundle, target, content_hash), target)
    _turn(folder, target)
    write_whole(folder / "card.md", card.encode())
    _prune(folder, {target.resolve(), before})


def _stands(target: Path, content_hash: str) -> bool:
    """Whether a bundle lies in its place already, whole."""
    try:
        return load_bundle(target).content_hash == content_hash
    except BundleError:
        return False


def _copied(bundle: Path, target: Path, content_hash: str) -> Path:
    """A copy of a bundle's own files beside its place, found to be sound and the one that was meant."""
    actual_hash = read_files(bundle)[2]
    if actual_hash != content_hash:
        raise BundleError(f"The bundle {bundle} has the hash {actual_hash}, not {content_hash}. Train it again.")
    draft = target.with_name(f".{target.name}-draft")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        copy_files(bundle, draft)
        if load_bundle(draft).content_hash != content_hash:
            raise BundleError(f"The bundle {bundle} changed while it was copied. Run again.")
    except BundleError:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    flush(draft)
    return draft


def _move(draft: Path, target: Path) -> None:
    """Give a bundle its place; what lay there was damaged, and goes once the new one is there."""
    aside = target.with_name(f".{target.name}-damaged")
    shutil.rmtree(aside, ignore_errors=True)
    if target.exists():
        target.replace(aside)
    draft.replace(target)
    shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def installed(folder: Path, bundle: Path, card: str, content_hash: str) -> Iterator[None]:
    """Install a bundle, and put the one before back where what follows fails: both sides stay of one mind."""
    before = (folder / "bundle").resolve() if (folder / "bundle").exists() else None
    card_before = (folder / "card.md").read_bytes() if (folder / "card.md").exists() else None
    install(folder, bundle, card, content_hash)
    try:
        yield
    except Exception:
        if before is None:
            (folder / "bundle").unlink()
        else:
            _turn(folder, before)
        if card_before is not None:
            write_whole(folder / "card.md", card_before)
        raise


def _turn(folder: Path, target: Path) -> None:
    """Let the link of the champion point to a bundle, in one step."""
    link = folder / ".bundle-link"
    link.unlink(missing_ok=True)
    link.symlink_to(f"{VERSIONS}/{target.name}", target_is_directory=True)
    link.replace(folder / "bundle")


def _prune(folder: Path, used: set[Path]) -> None:
    """Keep the newest few bundles beside the one that is read and the one before it."""
    others = [path for path in (folder / VERSIONS).resolve().iterdir() if not path.name.startswith(".")]
    others = sorted((path for path in others if path not in used), key=lambda path: -path.stat().st_mtime_ns)
    for path in others[MOST_VERSIONS - len(used) :]:
        shutil.rmtree(path)
