"""Publication guards: figures of this week and the one before, held against limits of one file.

Above a soft limit the run warns; above a hard one nothing is published, and the week before stays. The figures stand in
the manifest, so that the next week has something to be compared with.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from vouch.features.company_files import Section, read_settings
from vouch.features.contract.tables import ACTIVITY_TABLES, DAY_US
from vouch.features.ingest.counts import MERGED
from vouch.features.instants import parse_instant

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SHIPPED = Path(__file__).with_name("guards.toml")
OWN = "guards.toml"
"""Name of a company's own limits under its home."""
ACTIVITY = "activity"
"""The tables that every company hands over at least one of, taken together."""
WEEK_DAYS = 7

Level = Literal["soft", "hard"]


class GuardLimits(Section):
    """Above `soft` the run warns, above `hard` nothing is published."""

    soft: float | None = None
    hard: float | None = None


class Guard(GuardLimits):
    """What one figure means, and its limits; `only` holds other limits for single things."""

    meaning: str
    at_least: float = 0
    only: dict[str, GuardLimits] = Field(default_factory=dict)

    def limits(self, thing: str) -> GuardLimits:
        """Return the limits for a thing; one that is named apart has those that stand there and no others."""
        return self.only.get(thing, self)


@dataclass(frozen=True)
class GuardFigure:
    """One figure of a week: which guard reads it, of what, and on how many rows it rests."""

    guard: str
    thing: str
    value: float
    rests_on: float = float("inf")
    before: float | None = None
    current: float | None = None
    detail: str = ""
    """More that is to be said where it is above a limit: reasons, values, the mend."""
    is_counted: bool = False
    """Whether it was counted and not estimated: then few rows make it no less true, and too few to refuse a week for
    are warned of."""


@dataclass(frozen=True)
class GuardFinding:
    """A limit that a figure is above of."""

    guard: str
    thing: str
    level: Level
    value: float
    limit: float
    meaning: str
    current: float | None = None
    before: float | None = None
    detail: str = ""

    def __str__(self) -> str:
        against = (
            "" if self.before is None or self.current is None else f"; {self.current:,.6g} after {self.before:,.6g}"
        )
        return (
            f"{self.guard} of {self.thing} is {self.value:.4g}, above its {self.level} limit of {self.limit:g} "
            f"({self.meaning}{against}){f': {self.detail}' if self.detail else ''}"
        )

    def as_dict(self) -> dict[str, Any]:
        """For manifests and schedulers."""
        return asdict(self)


@dataclass(frozen=True)
class WeekStats:
    """What guards know of a week: by table rows, rows of the last seven days and the newest; families; customers.

    A table that comes by deliveries has its cadence there, and the rows of the latest delivery for those of the week.
    """

    as_of_us: int
    tables: Mapping[str, Mapping[str, Any]]
    missing: Mapping[str, float]
    customers: int

    def as_dict(self) -> dict[str, Any]:
        """As the manifest holds it."""
        return {"tables": self.tables, "missing": self.missing, "customers": self.customers}

    @classmethod
    def of_manifest(cls, manifest: Mapping[str, Any]) -> WeekStats | None:
        """What an earlier week kept; None where it kept nothing."""
        stats = manifest.get("seen")
        return None if stats is None else cls(as_of_us=parse_instant(manifest["as_of"]), **stats)


def load_guards(home: Path) -> dict[str, Guard]:
    """Return the guards with the limits of the file that comes with vouch, a company's own in their place.

    Raises ConfigurationError where the company's file is wrong.
    """
    return read_settings(dict[str, Guard], SHIPPED, home / OWN)


def judge(guards: Mapping[str, Guard], figures: Iterator[GuardFigure]) -> list[GuardFinding]:
    """Return what is above a limit, the hard ones first."""
    findings = [finding for figure in figures if (finding := _judged(guards[figure.guard], figure))]
    return sorted(findings, key=lambda finding: (finding.level, finding.guard, finding.thing))


def _judged(guard: Guard, figure: GuardFigure) -> GuardFinding | None:
    are_few = figure.rests_on < guard.at_least
    if are_few and not figure.is_counted:
        return None
    limits = guard.limits(figure.thing)
    if limits.hard is not None and figure.value > limits.hard:
        level: Level = "soft" if are_few else "hard"
        limit = limits.hard
    elif are_few:
        return None
    elif limits.soft is not None and figure.value > limits.soft:
        level, limit = "soft", limits.soft
    else:
        return None
    return GuardFinding(
        figure.guard,
        figure.thing,
        level,
        figure.value,
        limit,
        guard.meaning,
        current=figure.current,
        before=figure.before,
        detail=figure.detail,
    )


def contract_figures(report: Mapping[str, Any]) -> Iterator[GuardFigure]:
    """What the contract check says, by table: rows, cells and repairs in all, and each other count by its guard."""
    for name, table in report["tables"].items():
        rows, counts = table["rows"], table.get("counts", ())
        for guard, of in MERGED.items() if rows else ():
            listed = ", ".join(f"{c['column']} {c['code']} {c['count']:,}" for c in counts if c["guard"] == guard)
            yield GuardFigure(guard, name, table.get(of, 0) / rows, rows, detail=listed, is_counted=True)
        for count in counts:
            if count["guard"] not in MERGED and count["of"]:
                share = count["count"] / count["of"]
                yield GuardFigure(count["guard"], name, share, count["of"], detail=count["detail"], is_counted=True)


def table_figures(seen: WeekStats, before: WeekStats | None) -> Iterator[GuardFigure]:
    """How new each table is, and its rows against the week before."""
    for name, days in _silence(seen):
        yield GuardFigure("stale_days", name, days)
    for name, earlier in (before.tables if before else {}).items():
        now = seen.tables.get(name, {"rows": 0, "week": 0})
        if earlier["rows"]:
            yield GuardFigure(
                "rows_lost", name, 1 - now["rows"] / earlier["rows"], earlier["rows"], earlier["rows"], now["rows"]
            )
        if earlier["week"] and (earlier.get("cadence_days") is None) == (now.get("cadence_days") is None):
            ratio, rests_on = now["week"] / earlier["week"], earlier["week"]
            yield GuardFigure("week_drop", name, 1 - ratio, rests_on, earlier["week"], now["week"])
            yield GuardFigure("week_rise", name, ratio - 1, rests_on, earlier["week"], now["week"])


def _silence(seen: WeekStats) -> Iterator[tuple[str, float]]:
    """Days since the newest own time of each table that has rows, and of the tables of activity as one.

    Every table may be silent for a week; one that comes less often is not missed until its next delivery is due.
    """
    days = {
        name: max((seen.as_of_us - of["newest_us"]) / DAY_US - max((of.get("cadence_days") or 0) - WEEK_DAYS, 0), 0.0)
        for name, of in seen.tables.items()
        if of["newest_us"] is not None
    }
    if activity := [days[name] for name in ACTIVITY_TABLES if name in days]:
        yield ACTIVITY, min(activity)
    yield from days.items()


def customer_figures(seen: WeekStats, before: WeekStats | None) -> Iterator[GuardFigure]:
    """How many customers there are, and how much is missing of them, against the week before."""
    if before is None or not before.customers:
        return
    change = abs(seen.customers / before.customers - 1)
    yield GuardFigure("customers_change", "customers", change, before.customers, before.customers, seen.customers)
    for family, share in seen.missing.items():
        if family in before.missing:
            earlier = before.missing[family]
            yield GuardFigure("missing_rise", family, share - earlier, seen.customers, earlier, share)


def drift_figures(drift: Mapping[str, Mapping[str, Any]]) -> Iterator[GuardFigure]:
    """How far scores and features are from the rows that each model was tested on; what chance may show counts as 0."""
    for model, of in drift.items():
        if of.get("reason") is not None:
            continue
        if score := of["score"]:
            yield GuardFigure("score_drift", model, 0.0 if score["level"] == "none" else score["index"], of["rows"])
        if features := of["features"]:
            yield GuardFigure("feature_drift", model, of["major"] / features, of["rows"])
        yield from _strange_figures(model, of)


def _strange_figures(model: str, of: Mapping[str, Any]) -> Iterator[GuardFigure]:
    """What a model has never met, by column, and whether it says the same of everybody."""
    for column in of["unmet"]:
        named = f"the model has never met {', '.join(map(repr, column['values']))}: map them, or train again"
        yield GuardFigure("unmet_categories", f"{model} {column['name']}", column["share"], of["rows"], detail=named)
    for column in of["gone"]:
        value = "unknown for everybody" if column["value"] is None else f"{column['value']!r} for everybody"
        detail = f"it is {value} now, and was not: its table is broken, or a leak that was written down afterwards"
        yield GuardFigure("lost_columns", f"{model} {column['name']}", column["share"], of["rows"], detail=detail)
    yield GuardFigure("equal_scores", model, of["alike"], of["rows"])
