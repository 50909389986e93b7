"""Retention by a stated policy: what it lets go is removed, and what killed runs left.

What was interrupted on the tracking server is marked by who calls this.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vouch.features.company_files import read_settings
from vouch.features.durable import unfinished_drafts
from vouch.features.ingest.stage import ROLLUPS, SHELF
from vouch.features.ingest.staging_context import sweep_unfinished
from vouch.features.private import close_all
from vouch.serving.exports import written_files
from vouch.serving.lifecycle.inventory import HOLDINGS
from vouch.serving.lifecycle.outdated import Cleaning, RetentionPolicy
from vouch.serving.snapshots.arrow_streams import sweep

SHIPPED = Path(__file__).with_name("retention.toml")
OWN = "retention.toml"


def load_retention_policy(home: Path) -> RetentionPolicy:
    """Return the policy that comes with vouch, a company's own in its place; raises ConfigurationError."""
    return read_settings(RetentionPolicy, SHIPPED, home / OWN)


@dataclass
class Cleaned:
    """What was removed, or would be, and why; how many files were closed to other users."""

    removed: list[dict[str, str]] = field(default_factory=list)
    marked: dict[str, int] = field(default_factory=dict)
    closed: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For a scheduler to read."""
        return {"removed": self.removed, "marked": self.marked, "closed": self.closed}


def clean(home: Path, now_us: int, is_rehearsal: bool) -> Cleaned:
    """Remove what the policy lets go; a rehearsal only says what that is. Call it with the lock of scoring."""
    done, of = Cleaned(), Cleaning(home, now_us, load_retention_policy(home))
    left = [(path, "file of an interrupted run") for path in unfinished_drafts(home) if of.is_older(path, days=1)]
    for path, why in [*(outdated for holding in HOLDINGS for outdated in holding.lets_go(of, holding.name)), *left]:
        done.removed.append({"path": str(path.relative_to(home)), "why": why})
        if not is_rehearsal:
            _remove(home, path)
    if is_rehearsal:
        return done
    sweep(home, "score")
    for place in ("staged", SHELF, ROLLUPS):
        for path in sweep_unfinished(home / place):
            done.removed.append({"path": str(path.relative_to(home)), "why": "reading of an interrupted run"})
    written_files.save_outputs(
        home, [output for output in written_files.load_outputs(home) if Path(output.path).exists()]
    )
    done.closed = close_all(home)
    return done


def _remove(home: Path, path: Path) -> None:
    """Remove a file or folder. A folder is first put, as a whole, where nobody reads and the next run sweeps."""
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return
    aside = home / "scratch" / f"score-removed-{path.parent.name}-{path.name}"
    aside.parent.mkdir(parents=True, exist_ok=True)
    if aside.exists():  # of a run that was killed
        shutil.rmtree(aside)
    path.rename(aside)
    shutil.rmtree(aside)
