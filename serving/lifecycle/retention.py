"""How long things stay, by a stated policy: old weeks thinned, replaced revisions and what killed runs left removed.

The newest week is never removed, whatever the policy says. What was interrupted on the tracking server is marked.
"""

from __future__ import annotations

import shutil
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vouch.features.contract.tables import DAY_US
from vouch.features.errors import ConfigurationError, did_you_mean
from vouch.features.ingest.stage import KEPT, MANIFEST, SHELF, described, sweep_unfinished
from vouch.features.instants import as_datetime, spoken
from vouch.serving.exports import written_files
from vouch.serving.snapshots import files
from vouch.serving.snapshots.arrow_streams import sweep

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SHIPPED = Path(__file__).with_name("retention.toml")
OWN = "retention.toml"
Policy = dict[str, dict[str, int]]


@dataclass
class Cleaned:
    """What was removed, or would be, and why."""

    removed: list[dict[str, str]] = field(default_factory=list)
    marked: dict[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For a scheduler to read."""
        return {"removed": self.removed, "marked": self.marked}


def load_policy(home: Path) -> Policy:
    """Return the policy that comes with vouch, a company's own in its place; raises ConfigurationError."""
    policy: Policy = tomllib.loads(SHIPPED.read_text(encoding="utf-8"))
    own = home / OWN
    if not own.exists():
        return policy
    try:
        given = tomllib.loads(own.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{own}: not valid TOML: {error}") from error
    for section, values in given.items():
        if section not in policy or not isinstance(values, dict):
            raise ConfigurationError(f"{own}: there is no section {section!r}{did_you_mean(section, policy)}")
        for name, value in values.items():
            if name not in policy[section]:
                raise ConfigurationError(
                    f"{own}: [{section}]: unknown key {name!r}{did_you_mean(name, policy[section])}"
                )
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigurationError(f"{own}: [{section}]: {name!r} must be a whole number of at least 1")
            policy[section][name] = value
    return policy


def kept_weeks(instants: list[int], policy: Mapping[str, int]) -> set[int]:
    """Return which of the published instants stay: the newest weeks, and before them the first of each month.

    >>> days = [day * DAY_US for day in range(0, 140, 7)]
    >>> sorted(day // DAY_US for day in kept_weeks(days, {"weeks": 3, "months": 2}))
    [63, 91, 119, 126, 133]
    """
    newest = sorted(instants)[-policy["weeks"] :]
    older = [instant for instant in sorted(instants) if instant not in newest]
    first_of_month: dict[tuple[int, int], int] = {}
    for instant in older:
        moment = as_datetime(instant)
        first_of_month.setdefault((moment.year, moment.month), instant)
    return {*newest, *list(first_of_month.values())[-policy["months"] :]}


def to_remove(home: Path, now_us: int, policy: Policy) -> Iterator[tuple[Path, str]]:
    """Give what the policy lets go, and why; call it with the locks of what is looked at."""
    instants = files.published(home)
    kept = kept_weeks(instants, policy["snapshots"])
    for as_of_us in instants:
        parent = files.pointer(home, as_of_us).parent
        if as_of_us not in kept:
            yield parent, "an old week, beside the one that stays of its month"
        else:
            yield from _replaced(parent, as_of_us, now_us, policy["revisions"]["days"])
    for draft in sorted((home / files.FOLDER).glob("as_of=*/draft-*")):
        yield draft, "work of an interrupted run"
    staged = sorted((home / "staged").glob(f"[!.]*/{MANIFEST}"), key=lambda path: -path.stat().st_mtime_ns)
    usable = [(path.parent, manifest) for path in staged if (manifest := described(path.parent)) is not None]
    for path in staged:
        if path.parent not in dict(usable):
            yield path.parent, "tables that were staged by another version, or are damaged"
    for old, _ in usable[policy["staged"]["newest"] :]:
        yield old, "tables that were staged before newer ones"
    newest = [manifest for _, manifest in usable[: policy["staged"]["newest"]]]
    yield from _unused_parts(home, newest, now_us)
    yield from _unused_rollups(home, newest, now_us)
    for folder in ("runs", "logs"):
        for path in sorted((home / folder).glob("*")):
            if now_us - path.stat().st_mtime_ns // 1000 > policy[folder]["days"] * DAY_US:
                yield path, f"older than {policy[folder]['days']} days"


def _unused_parts(home: Path, staged: list[dict[str, Any]], now_us: int) -> Iterator[tuple[Path, str]]:
    """Parts of tables that nothing staged is put together from, unless they were made within a day."""
    used = {name for manifest in staged for names in manifest["parts"].values() for name in names}
    for path in sorted((home / SHELF).glob("*/*")):
        if path.name not in used and now_us - path.stat().st_mtime_ns // 1000 > DAY_US:
            yield path, "part of no table that is kept"


def _unused_rollups(home: Path, staged: list[dict[str, Any]], now_us: int) -> Iterator[tuple[Path, str]]:
    """Customer-days of files of rows that are staged no more, unless they were made within a day."""
    used = {facts["digest"] for manifest in staged for facts in manifest["files"].values()}
    for path in sorted((home / KEPT).glob("*/*")):
        if path.name not in used and now_us - path.stat().st_mtime_ns // 1000 > DAY_US:
            yield path, "sums of rows that are not kept"


def _replaced(parent: Path, as_of_us: int, now_us: int, days: int) -> Iterator[tuple[Path, str]]:
    """Revisions of a week that are not the published one, once the week is old enough."""
    if now_us - as_of_us <= days * DAY_US:
        return
    current = (parent / files.POINTER).read_text(encoding="utf-8").strip()
    for _, path in sorted(files.revisions(parent).items()):
        if path.name != current:
            yield path, f"a replaced revision of {spoken(as_of_us)}"


def clean(home: Path, now_us: int, is_rehearsal: bool) -> Cleaned:
    """Remove what the policy lets go; a rehearsal only says what that is. Call it with the lock of scoring."""
    done = Cleaned()
    for path, why in list(to_remove(home, now_us, load_policy(home))):
        done.removed.append({"path": str(path.relative_to(home)), "why": why})
        if not is_rehearsal:
            _remove(path)
    if is_rehearsal:
        return done
    sweep(home, "score")
    for place in ("staged", SHELF, KEPT):
        for path in sweep_unfinished(home / place):
            done.removed.append({"path": str(path.relative_to(home)), "why": "reading of an interrupted run"})
    written_files.save(home, [output for output in written_files.load(home) if Path(output.path).exists()])
    return done


def _remove(path: Path) -> None:
    """Remove a file or folder; a week loses its pointer first, so that nobody reads half of it."""
    if path.is_dir():
        (path / files.POINTER).unlink(missing_ok=True)
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
