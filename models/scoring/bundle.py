"""The model bundle, a folder of text and numbers: written whole, hashed, and read only after its hashes hold.

`manifest.json` (kind, SHA-256 of each file, what it was fitted on), `model.txt` or `model.json`, `calibrator.json`,
`features.json` (ordered names, families, category maps, fingerprints), `golden.json` (made-up rows with the scores they
must get), `reference.json` (how often each bin of each feature and of the score was met, for drift), `hazard.json` (how
soon). No pickle anywhere.

A bundle keeps the fingerprint of each feature that it reads, and is refused where one of these is another today, or the
feature is gone; what else is added or changed leaves it in service. Bundles of format 1 kept one fingerprint of all
definitions instead. `format_1.json` has that of the last definitions they were written under, and the fingerprints that
their features had then: such a bundle is read as if it had kept these, its bytes as they are; an older one is refused.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vouch.features.durable import flush
from vouch.features.errors import BundleError
from vouch.features.private import open_as_usual
from vouch.features.vectors.fingerprints import feature_fingerprints
from vouch.models.scoring.documents import FORMAT, VALUE_KIND, BundleManifest, read_bundle_document

if TYPE_CHECKING:
    from collections.abc import Mapping

TABLE = "table"
"""The entry of a manifest that describes the flat table whose columns a model reads."""
SHOWN = 10
"""Features that a message names."""
LARGEST_FILE = 256 * 2**20
"""Bytes of one file: a larger one is no model, and would take the memory of the service."""


def as_bytes(content: Any) -> bytes:
    """Return content as canonical JSON: equal content, equal bytes."""
    return (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def write_files(folder: Path, manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> str:
    """Write a bundle, whole or not at all, and return its content hash; a bundle that was there is replaced."""
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    listing = as_bytes({**manifest, "format": FORMAT, "files": hashes})
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name, content in {**files, "manifest.json": listing}.items():
            (draft / name).write_bytes(content)
        open_as_usual(draft)
        flush(draft)
        if folder.exists():
            shutil.rmtree(folder)
        draft.replace(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return hashlib.sha256(listing).hexdigest()


def read_files(folder: Path, verify: bool = True) -> tuple[dict[str, Any], dict[str, bytes], str]:
    """Return manifest, files and content hash of a bundle.

    Each file is read once, and its hash compared before anybody parses it. Raises BundleError where something is
    missing, damaged, of another format, or not listed.
    """
    mend = "Promote it again from the registry, or train the model again."
    try:
        listing = _content(folder / "manifest.json")
        known, manifest = read_bundle_document(BundleManifest, "manifest.json", listing)
        files = {name: _content(folder / name) for name in known.files}
    except (OSError, BundleError) as error:
        raise BundleError(f"The model bundle {folder} cannot be read: {error}. {mend}") from error
    for name, content in files.items() if verify else ():
        if hashlib.sha256(content).hexdigest() != known.files[name]:
            raise BundleError(f"The model bundle {folder} is damaged: {name} is not what its manifest says. {mend}")
    return manifest, files, hashlib.sha256(listing).hexdigest()


def check_definitions(folder: Path, manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
    """Raise BundleError where a feature that the model reads computes something else today, or is gone.

    A model of a flat table reads columns of its own, which nothing else defines; that of value reads no features.
    """
    if TABLE in manifest or manifest["kind"] == VALUE_KIND:
        return
    mend = f"Train {manifest.get('model')!r} again: vouch train {manifest.get('model')}"
    fingerprints_then = _stored_fingerprints(manifest, json.loads(files["features.json"])["features"])
    if fingerprints_then is None:
        raise BundleError(
            f"The model bundle {folder} is of a time when bundles kept no fingerprints of their features, and was "
            f"written under other definitions than the last of that time. {mend}"
        )
    today = feature_fingerprints()
    gone = [name for name in fingerprints_then if name not in today]
    changed = [name for name, fingerprint in fingerprints_then.items() if name in today and fingerprint != today[name]]
    if gone or changed:
        parts = [_listed(changed, "defined otherwise today"), _listed(gone, "gone")]
        raise BundleError(f"The model bundle {folder} reads features that are {'; '.join(filter(None, parts))}. {mend}")


def _stored_fingerprints(manifest: Mapping[str, Any], listed: list[dict[str, Any]]) -> dict[str, str | None] | None:
    """The fingerprints of the features that a bundle reads, None where it kept none that can be told."""
    if manifest["format"] == FORMAT:
        return {entry["name"]: entry.get("fingerprint") for entry in listed}
    last = json.loads(resources.files("vouch.models.scoring").joinpath("format_1.json").read_text(encoding="utf-8"))
    if manifest.get("definition_fingerprint") != last["definition_fingerprint"]:
        return None
    return {entry["name"]: last["features"].get(entry["name"]) for entry in listed}


def _listed(names: list[str], what: str) -> str:
    shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
    return f"{what}: {shown}" if names else ""


def copy_files(source: Path, target: Path) -> None:
    """Copy a bundle's manifest and the files that it lists, and nothing else that lies beside them."""
    target.mkdir(parents=True)
    for name in ["manifest.json", *read_files(source)[1]]:
        (target / name).write_bytes(_content(source / name))


def _content(path: Path) -> bytes:
    """The bytes of a file; raises BundleError for what is none, or too large to be a part of a bundle."""
    if not path.is_file() or path.stat().st_size > LARGEST_FILE:
        raise BundleError(f"{path.name} is missing, no file, or larger than {LARGEST_FILE // 2**20} MiB")
    return path.read_bytes()
