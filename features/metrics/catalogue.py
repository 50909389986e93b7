"""The metric catalogue: `@metric` and `@items` declare each metric once.

Command line, API and page derive from it. A metric is a set of counts per unit (an answer, a customer, an advocate),
written as expressions over `items`, and a `kind` that turns them into a value with its interval. Items are prepared
from rows that are facts at one instant; a metric has no raw table and no clock. Nothing is registered without a worked
example that the tests compute.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import narwhals as nw

from vouch.features.contract.tables import TABLES
from vouch.features.errors import DefinitionError, UsageError, did_you_mean
from vouch.features.expressions import as_text
from vouch.features.metrics.estimators import Custom, Figure, Quotient, Ratio, Total
from vouch.features.vectors.declare import docstring_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from vouch.features.asof import Frame
    from vouch.features.metrics.context import MetricContext
    from vouch.features.metrics.estimators import Kind

Better = Literal["higher", "lower", "neither"]
Unavailable = Literal["no_input", "no_model"]
Counts = Literal["customers", "revenue", "rows"]
HIDDEN_BELOW = 5
"""Fewer observations than this are not shown, unless the metric or the company says otherwise."""


@dataclass(frozen=True)
class Absent:
    """Why items cannot be prepared, although their tables are there; stands in the envelope, with bounds if any."""

    status: str
    reason: str
    bounds: tuple[float, float] | None = None


@dataclass(frozen=True)
class Items:
    """One row per unit, prepared from the tables at an instant.

    The function takes the context and the window in days, and returns a frame with `unit` (unique text), `customer_id`
    (null where the unit belongs to nobody; left out where a metric cannot be split by customers) and what the metrics
    read; or Absent. `needs` are tables or `table.column`, alternatives parted by `|`. `is_sample`: a unit is a customer
    who was asked, so that the size of a finite population narrows the interval.

    `counts` says whose rows count. `customers`: those of customers whom the company lists, for an id that nobody has is
    no customer. `revenue`: those of everybody, for money is money; only customers who are listed are in n. `rows`:
    answers, posts and the like, whoever gave them.
    """

    name: str
    prepare: Callable[[MetricContext, int | None], Frame | Absent]
    needs: tuple[str, ...]
    population: str
    is_sample: bool = False
    absent: tuple[str, ...] = ()
    """When there are none although the tables are there: status and reason, for the catalogue."""
    counts: Counts = "rows"


@dataclass(frozen=True)
class Example:
    """A worked example: rows by table (times in days from the instant, negative before), and what must come out."""

    text: str
    tables: Mapping[str, Sequence[Mapping[str, Any]]]
    value: float | None
    status: str | None = None


@dataclass(frozen=True)
class Metric:
    """One metric: what it counts, how it is put together, where that comes from."""

    id: str
    code: str
    chapter: str
    name: str
    description: str
    unit: str
    better: Better
    window_days: int | None
    reach_days: int
    items: Items | None
    kind: Kind | None
    parts: Mapping[str, nw.Expr]
    source: str
    is_published: bool
    formula: str
    example: Example
    version: str
    needs: tuple[str, ...]
    when_zero: str
    hidden_below: int
    counts: str | None
    absent: tuple[str, ...]
    unavailable: Unavailable | None

    @property
    def higher_is_better(self) -> bool | None:
        """Direction; None where neither end is better."""
        return None if self.better == "neither" else self.better == "higher"

    @property
    def definition_source(self) -> str:
        """`published`, or `project` for a definition of our own."""
        return "published" if self.is_published else "project"

    @property
    def population(self) -> str:
        """Who or what is counted."""
        return self.items.population if self.items else "none"

    @property
    def counts_several(self) -> bool:
        """Whether what is counted is not the units themselves."""
        return "items" in self.parts or (self.kind is not None and self.kind.counts_items)

    @property
    def n_counts(self) -> str:
        """What `n` counts, and `n_items` where that is something else."""
        if self.kind is None:
            return "nothing"
        units = f"{re.split('[,;:]', self.population)[0]}, those with a value"
        return f"{units}; `n_items`: {self.counts}" if self.counts else units

    @property
    def null_where(self) -> tuple[str, ...]:
        """What makes the value null, status first: from what the metric and its items declare."""
        if self.unavailable:
            return (f"`not_applicable` (`{self.unavailable}`): always",)
        assert self.kind is not None
        assert self.items is not None
        reasons = [f"`not_applicable`: without {' or '.join(need.split('|'))}" for need in self.inputs]
        reasons += [*self.items.absent, *self.absent]
        if self.reach_days:
            reasons.append(f"`insufficient_history`: the data go back less than {self.reach_days} days")
        is_total = isinstance(self.kind, Total)
        nothing = (
            "there are units, and of none is it known" if is_total else "there is nothing to count, or to divide by"
        )
        reasons.append(f"`{self.when_zero}`: {nothing}")
        if not self.kind.is_amount:
            reasons.append(f"`suppressed`: n is below {self.hidden_below}")
        least, most = self.kind.limits
        if isinstance(self.kind, Ratio | Quotient | Figure | Custom) and math.isfinite(least):
            beyond = f"below {least:g}" + (f" or above {most:g}" if math.isfinite(most) else "")
            reasons.append(f"`not_applicable`: the figure comes out {beyond}")
        return tuple(reasons)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Tables and columns without which there is no value."""
        return tuple(dict.fromkeys([*(self.items.needs if self.items else ()), *self.needs]))

    @property
    def definition(self) -> str:
        """What the metric computes, as text for review; wording is left out of it."""
        named = ", ".join(f"{name}={as_text(expression)}" for name, expression in self.parts.items())
        parts = str(self.parts) if isinstance(self.parts, Each) else named
        items = f"{self.items.name} of {self.items.counts}" if self.items else self.unavailable
        window = f"{self.window_days} of {self.reach_days}"
        return f"{self.id} | {self.code} v{self.version} | {items} {window} | {self.kind} | {parts}"

    def __str__(self) -> str:
        return self.id


METRICS: dict[str, Metric] = {}


class Each(dict[str, nw.Expr]):
    """Parts that are made alike, one for each of what there is: with more of it, the definition stays the same."""

    def __init__(self, what: str, parts: Mapping[str, nw.Expr]) -> None:
        super().__init__(parts)
        self.what = what

    def __str__(self) -> str:
        return f"one per {self.what}"


class Row:
    """Stands for one unit inside a definition: an attribute is a column of the items."""

    def __getattr__(self, name: str) -> nw.Expr:
        return nw.col(name)


def items(
    *needs: str, is_sample: bool = False, absent: Sequence[str] = (), counts: Counts = "rows"
) -> Callable[[Callable[[MetricContext, int | None], Frame | Absent]], Items]:
    """Declare items; the first paragraph of the docstring is the population that the envelope names.

    `absent` says for the catalogue when the function gives Absent, status first.
    """
    for need in needs:
        _check_need(need)

    def declare(function: Callable[[MetricContext, int | None], Frame | Absent]) -> Items:
        population = docstring_of(function).split("\n\n")[0].replace("\n", " ").rstrip(".")
        named = population[0].lower() + population[1:]
        return Items(function.__name__, function, needs, named, is_sample, tuple(absent), counts)

    return declare


def metric(
    code: str,
    name: str,
    *,
    unit: str,
    better: Better,
    source: str,
    formula: str,
    example: Example,
    items: Items | None = None,
    kind: Kind | None = None,
    days: int | None = None,
    reaches: int | None = None,
    published: bool = True,
    needs: Sequence[str] = (),
    version: str = "1",
    when_zero: str = "empty",
    hidden_below: int = HIDDEN_BELOW,
    counts: str | None = None,
    absent: Sequence[str] = (),
    unavailable: Unavailable | None = None,
) -> Callable[[Callable[..., Mapping[str, nw.Expr]]], Callable[..., Mapping[str, nw.Expr]]]:
    """Declare a metric; the function takes one unit and returns the parts that its kind puts together.

    Args:
        code: number in the catalogue (`M01`).
        name: what people call it.
        unit: `percent`, `points`, `money`, `days` and the like.
        better: which direction is better.
        source: where the definition was published, or why it is ours.
        formula: the formula in words and signs.
        example: a worked example that the tests compute.
        items: the units that are counted.
        kind: how parts become a value and an interval.
        days: the window, half-open, ending at the instant.
        reaches: days before the instant at which the data must have begun, where it is not the window: a metric that
            waits until what it counts is over looks further back; 0 for one that says itself what it needs.
        published: false for a definition of our own.
        needs: tables or columns beside those of the items.
        version: moves with the meaning.
        when_zero: status where the denominator is 0: `empty` or `empty_denominator`.
        hidden_below: fewer observations than this are suppressed.
        counts: what `n_items` counts, where a unit has several of it: posts, orders, tickets.
        absent: when there is no value beside what is declared, status first, for the catalogue.
        unavailable: `no_input` where the contract has no column for it, `no_model` where no model exists yet.
    """

    def declare(function: Callable[..., Mapping[str, nw.Expr]]) -> Callable[..., Mapping[str, nw.Expr]]:
        parts = {} if unavailable else function(Row())
        _register(
            Metric(
                id=function.__name__, chapter=function.__module__.rsplit(".", 1)[-1],
                description=docstring_of(function), code=code, name=name, unit=unit, better=better, source=source,
                formula=formula, example=example,
                window_days=days, reach_days=(days or 0) if reaches is None else reaches, items=items, kind=kind,
                parts=parts, is_published=published, version=version, needs=tuple(needs), when_zero=when_zero,
                hidden_below=hidden_below, counts=counts, absent=tuple(absent), unavailable=unavailable,
            )
        )  # fmt: skip
        return function

    return declare


def _register(declared: Metric) -> None:
    if declared.id in METRICS:
        raise DefinitionError(f"Metric {declared.id!r} is defined twice")
    for need in declared.needs:
        _check_need(need)
    if declared.unavailable is None:
        if declared.items is None or declared.kind is None:
            raise DefinitionError(f"Metric {declared.id!r} has no items or no kind")
        if wanted := set(declared.kind.required) - declared.parts.keys():
            raise DefinitionError(f"Metric {declared.id!r} misses the parts {', '.join(sorted(wanted))} of its kind")
        if declared.counts_several != (declared.counts is not None):
            raise DefinitionError(f"Metric {declared.id!r} must say what n_items counts where a unit has several")
    if not isinstance(declared.example, Example):
        raise DefinitionError(f"Metric {declared.id!r} has no worked example")
    METRICS[declared.id] = declared


def _check_need(need: str) -> None:
    for alternative in need.split("|"):
        table, _, column = alternative.partition(".")
        if table not in TABLES:
            raise DefinitionError(f"There is no table {table!r}{did_you_mean(table, TABLES)}")
        if column and column not in TABLES[table].columns:
            raise DefinitionError(f"Table {table!r} has no column {column!r}")


def load_metrics() -> dict[str, Metric]:
    """Import every file under `metrics/definitions` and return the register, ordered by code and place in its file."""
    package = importlib.import_module("vouch.features.metrics.definitions")
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda module_info: module_info.name):
        importlib.import_module(f"vouch.features.metrics.definitions.{module.name}")
    ordered = sorted(METRICS.items(), key=lambda item: (item[1].code, item[1].chapter))
    if list(METRICS) != [metric_id for metric_id, _ in ordered]:
        METRICS.clear()
        METRICS.update(ordered)
    return METRICS


def chosen_metrics(ids: Iterable[str] | None) -> list[Metric]:
    """The metrics of these ids, all where None. Raises UsageError for an id that is not in the catalogue."""
    known = load_metrics()
    wanted = list(known) if ids is None else list(dict.fromkeys(ids))
    for metric_id in wanted:
        if metric_id not in known:
            raise UsageError(f"There is no metric {metric_id!r}{did_you_mean(metric_id, known)}")
    return [known[metric_id] for metric_id in wanted]


def catalogue_rows() -> list[dict[str, Any]]:
    """The catalogue for people and machines: one row per metric, in the order of the codes."""
    return [
        {
            "id": declared.id,
            "code": declared.code,
            "chapter": declared.chapter,
            "name": declared.name,
            "unit": declared.unit,
            "description": declared.description,
            "formula": declared.formula,
            "source": declared.source,
            "definition_source": declared.definition_source,
            "definition_version": declared.version,
            "inputs": list(declared.inputs),
            "population": declared.population,
            "window_days": declared.window_days,
            "looks_back_days": declared.reach_days or None,
            "n_counts": declared.n_counts,
            "null_where": list(declared.null_where),
            "higher_is_better": declared.higher_is_better,
            "interval": declared.kind.interval if declared.kind else None,
            "needs": declared.unavailable,
            "example": declared.example.text,
            "example_value": declared.example.value,
        }
        for declared in load_metrics().values()
    ]


def metric_definition_lines() -> list[str]:
    """One line of text per metric: what it computes. The reviewed form of all definitions."""
    return [declared.definition for declared in load_metrics().values()]
