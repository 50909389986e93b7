"""The last run of the batch, as its summary under `runs` tells it: published, refused and why, or failed.

So is how many messages did not arrive. Read on the host that scores; a service on another host has no such folder and
says nothing of runs.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from vouch.serving.batch.run_records import recorded_runs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HARD = "hard"


def last_run(home: Path) -> dict[str, Any] | None:
    """Return when the last run of `vouch score` was, how it ended, and by which limits it was refused.

    None where there is none that can be read. What a failed run said stays on its host: only its code is told.
    """
    for document in recorded_runs(home, "score"):
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):  # one of another release
            if (run := _run_of(document)) is not None:
                return run
    return None


def messages_given_up(home: Path) -> int:
    """Return how many messages the last round of `vouch notify` told as given up; 0 where there was none."""
    for document in recorded_runs(home, "notify"):
        with contextlib.suppress(ValueError, KeyError, TypeError):  # one that failed, or of another release
            return sum(int(row["dead"]) for row in document["destinations"])
    return 0


def _run_of(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """The run, None for one that only made a plan."""
    if "weeks" not in document:
        return None
    weeks = document["weeks"]
    refused = [week for week in weeks if week["outcome"] == "refused"]
    return {
        "at": str(document["now"]),
        "outcome": document["outcome"],
        "as_of": str((refused or weeks)[-1]["as_of"]) if weeks else None,
        "code": (document["error"] or {}).get("code"),
        "refused_by": [_limit(finding) for week in refused for finding in week["guards"] if finding["level"] == HARD],
    }


def _limit(finding: Mapping[str, Any]) -> dict[str, Any]:
    """A limit that a figure was above of."""
    return {
        "guard": str(finding["guard"]),
        "thing": str(finding["thing"]),
        "value": float(finding["value"]),
        "limit": float(finding["limit"]),
        "meaning": str(finding["meaning"]),
    }
