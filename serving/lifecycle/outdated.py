"""Outdated entries of the home: what the retention policy lets go, and why.

The newest week never may, whatever the policy says.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from vouch.features.company_files import Section
from vouch.features.contract.tables import DAY_US
from vouch.features.ingest.stage import MANIFEST, described
from vouch.features.instants import as_datetime, instant_text
from vouch.serving.snapshots import files

if TYPE_CHECKING:
    from collections.abc import Iterator

Number = Annotated[int, Field(ge=1)]


class Weeks(Section):
    """The newest weeks, each of them, and before those the first one of each month, for so many months."""

    weeks: Number
    months: Number


class Days(Section):
    """For how many days."""

    days: Number


class Newest(Section):
    """How many of the newest."""

    newest: Number


class Hours(Section):
    """After how many hours a run was interrupted."""

    hours: Number


class RetentionPolicy(Section):
    """What stays, and for how long: `retention.toml`."""

    snapshots: Weeks
    revisions: Days
    staged: Newest
    runs: Days
    logs: Days
    tracking: Hours


def weeks_to_keep(instants: list[int], policy: Weeks) -> set[int]:
    """Return which of the published instants stay: the newest weeks, and before them the first of each month.

    >>> days = [day * DAY_US for day in range(0, 140, 7)]
    >>> sorted(day // DAY_US for day in weeks_to_keep(days, Weeks(weeks=3, months=2)))
    [63, 91, 119, 126, 133]
    """
    newest = sorted(instants)[-policy.weeks :]
    older = [instant for instant in sorted(instants) if instant not in newest]
    first_of_month: dict[tuple[int, int], int] = {}
    for instant in older:
        day = as_datetime(instant)
        first_of_month.setdefault((day.year, day.month), instant)
    return {*newest, *list(first_of_month.values())[-policy.months :]}


@dataclass(frozen=True)
class Cleaning:
    """What is cleaned: a home at an instant, by a policy."""

    home: Path
    now_us: int
    policy: RetentionPolicy

    def is_older(self, path: Path, days: int) -> bool:
        """Whether a file was written last before so many days."""
        return self.now_us - path.stat().st_mtime_ns // 1000 > days * DAY_US

    @property
    def staged(self) -> list[tuple[Path, dict[str, Any] | None]]:
        """Tables in contract form, the newest first, each with its manifest where it can be used."""
        manifests = sorted((self.home / "staged").glob(f"[!.]*/{MANIFEST}"), key=lambda path: -path.stat().st_mtime_ns)
        return [(path.parent, described(path.parent)) for path in manifests]

    @property
    def usable(self) -> list[dict[str, Any]]:
        """The manifests of the tables that stay."""
        return [of for _, of in self.staged if of is not None][: self.policy.staged.newest]


Outdated = tuple[Path, str]
"""What may go, and why."""


def old_weeks(of: Cleaning, name: str) -> Iterator[Outdated]:
    """Weeks beyond those that stay, replaced revisions, and drafts of killed runs."""
    instants = files.published(of.home)
    staying = weeks_to_keep(instants, of.policy.snapshots)
    for as_of_us in instants:
        parent = files.pointer(of.home, as_of_us).parent
        if as_of_us not in staying:
            yield parent, "an old week, beside the one that stays of its month"
        else:
            yield from _replaced(parent, as_of_us, of.now_us, of.policy.revisions.days)
    for draft in sorted((of.home / name).glob("as_of=*/draft-*")):
        yield draft, "work of an interrupted run"


def old_tables(of: Cleaning, _: str) -> Iterator[Outdated]:
    """Tables that cannot be used, and those that newer ones took the place of."""
    usable = 0
    for folder, manifest in of.staged:
        usable += manifest is not None
        if manifest is None:
            yield folder, "tables that were staged by another version, or are damaged"
        elif usable > of.policy.staged.newest:
            yield folder, "tables that were staged before newer ones"


def unused_parts(of: Cleaning, name: str) -> Iterator[Outdated]:
    """Parts of tables that nothing staged is put together from, unless they were made within a day."""
    used = {part for manifest in of.usable for parts in manifest["parts"].values() for part in parts}
    for path in sorted((of.home / name).glob("*/*")):
        if path.name not in used and of.is_older(path, 1):
            yield path, "part of no table that is kept"


def unused_rollups(of: Cleaning, name: str) -> Iterator[Outdated]:
    """Customer-days of files of rows that are staged no more, unless they were made within a day."""
    used = {facts["digest"] for manifest in of.usable for facts in manifest["files"].values()}
    for path in sorted((of.home / name).glob("*/*")):
        if path.name not in used and of.is_older(path, 1):
            yield path, "sums of rows that are not kept"


def old_files(of: Cleaning, name: str) -> Iterator[Outdated]:
    """Files that are older than the policy says."""
    days = getattr(of.policy, name).days
    for path in sorted((of.home / name).glob("*")):
        if of.is_older(path, days):
            yield path, f"older than {days} days"


def old_pushes(of: Cleaning, name: str) -> Iterator[Outdated]:
    """Weeks that were pushed so long ago as runs are kept."""
    for path in sorted((of.home / name).glob("*/*")):
        if of.is_older(path, of.policy.runs.days):
            yield path, f"older than {of.policy.runs.days} days"


def _replaced(parent: Path, as_of_us: int, now_us: int, days: int) -> Iterator[Outdated]:
    """Revisions of a week that are not the published one, once the week is old enough."""
    if now_us - as_of_us <= days * DAY_US:
        return
    current = (parent / files.POINTER).read_text(encoding="utf-8").strip()
    for _, path in sorted(files.revisions(parent).items()):
        if path.name != current:
            yield path, f"a replaced revision of {instant_text(as_of_us)}"
