"""Check of a company's own health rules before they hold: sound, for customers that are there, and true to outcomes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vouch.features.company_files import read_own
from vouch.features.errors import ConfigurationError, DataError, UsageError, did_you_mean
from vouch.features.health.adopted import held_rules
from vouch.features.health.rules import FILE, HealthRules, check_features, read_rules
from vouch.features.ingest.stage import opened, stage
from vouch.features.metrics.context import MetricContext
from vouch.models.quality.health_audit import SCORE, Audit, Comparison, audited, compared, panel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vouch.features.asof import Tables
    from vouch.features.project import Project


@dataclass(frozen=True)
class HealthCheck:
    """What was found of rules: each measure against what came true, and the score beside that of the rules that hold.

    `objection` says why they should not be taken over; None where nothing speaks against it.
    """

    text: str
    rules: HealthRules
    held: HealthRules
    measures: list[dict[str, Any]]
    comparison: Comparison | None
    objection: str | None

    @property
    def figures(self) -> dict[str, Any] | None:
        """The comparison as plain values; None where there was none."""
        return None if self.comparison is None else asdict(self.comparison)

    @property
    def summary(self) -> str:
        """One line for people."""
        names = f"version {self.rules.version} beside version {self.held.version} that holds"
        if self.comparison is None:
            return f"{names}: not audited"
        by = self.comparison
        return (
            f"{names}: AUC {by.auc:.3f} and {by.auc_held:.3f}, a difference of {by.difference:+.3f} "
            f"({by.difference_low:+.3f} to {by.difference_high:+.3f}), over {by.n:,} rows of customers, "
            f"of whom {by.left:,} left"
        )

    @property
    def warnings(self) -> list[str]:
        """What somebody should look at."""
        return [
            f"{row['measure']}: more customers left from a tier of more points than from one of fewer"
            for row in self.measures
            if row["measure"] != SCORE and not row["is_monotone"]
        ]

    def as_dict(self) -> dict[str, Any]:
        """For machines to read."""
        return {
            "version": self.rules.version,
            "digest": self.rules.digest,
            "held": {"version": self.held.version, "digest": self.held.digest},
            "comparison": self.figures,
            "objection": self.objection,
            "measures": self.measures,
        }


def check_rules(project: Project, path: Path | None, now_us: int, progress: Callable[[str], None]) -> HealthCheck:
    """Check the rules in a file, by default those in the home, and audit them on a company's tables.

    Raises UsageError where there is no such file, ConfigurationError where the rules are not sound, name a segment
    that no customer is of, or have a version that the rules that hold have already.
    """
    place = path or project.home / FILE
    if not place.is_file():
        raise UsageError(f"There is no {place}: write the rules there, or name their file with --rules")
    text, held = read_own(place), held_rules(project.home)
    rules = read_rules(text, f"{place}")
    if rules.digest != held.digest and rules.version <= held.version:
        raise ConfigurationError(f"{place}: 'version' must be above {held.version}, the version of the rules that hold")
    progress("reading and checking the tables")
    staged = stage(project, now_us)
    tables = opened(project, staged, "polars")
    check_features(rules, f"{place}")
    as_of_us = staged.default_as_of_us(now_us)
    _check_segments(rules, tables, as_of_us, f"{place}")
    progress("setting the rules against what came true")
    try:
        measures, comparison = _audited(tables, as_of_us, rules, held)
    except DataError as error:
        return HealthCheck(text, rules, held, [], None, f"they cannot be audited: {error}")
    return HealthCheck(text, rules, held, measures, comparison, comparison.objection())


def _audited(
    tables: Tables, as_of_us: int, rules: HealthRules, held: HealthRules
) -> tuple[list[dict[str, Any]], Comparison]:
    rows = panel(tables, as_of_us, rules, held)
    audits: list[Audit] = audited(rows, rules)
    return [one.as_dict() for one in audits], compared(rows, rules, held)


def _check_segments(rules: HealthRules, tables: Tables, as_of_us: int, where: str) -> None:
    """Raise ConfigurationError for a segment that no customer is of."""
    if not rules.segments:
        return
    there = set(MetricContext(tables, as_of_us).people["segment"].to_pylist()) - {None}
    for segment, _ in rules.segments:
        if segment not in there:
            known = did_you_mean(segment, there) or f"; segments are {', '.join(sorted(there)) or 'not told'}"
            raise ConfigurationError(f"{where}: [segments.{segment}]: no customer is of this segment{known}")
