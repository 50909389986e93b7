"""The git revision of the folder that a model was trained in.

Whoever finds a run a year later asks for the definitions and the notebooks that it came of: the revision says which,
and whether something beside it had been changed.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE_SECONDS = 10


def git_revision(folder: Path) -> dict[str, str]:
    """Return tags for a run: the commit that a folder is at, and whether files were changed since.

    Empty where the folder is under no version control, or there is no git.
    """
    commit = _git(folder, "rev-parse", "--verify", "--quiet", "HEAD")
    if not commit:
        return {}
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"mlflow.source.git.commit": commit, "git_is_changed": "unknown" if changed is None else str(bool(changed))}


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says, or None where it says nothing: a repository without a commit, of another user, or no git."""
    git = shutil.which("git")
    if git is None:
        return None
    try:
        done = subprocess.run(
            [git, "--no-optional-locks", "-c", "core.fsmonitor=false", *arguments],
            cwd=folder, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
