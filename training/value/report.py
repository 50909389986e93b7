"""The report of one training of the value model: as data, as text for people, and as the model card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vouch.features.instants import instant_text
from vouch.features.metrics.context import DISCOUNT
from vouch.features.shown import markdown
from vouch.models.value.valuation import CONTRACT, HORIZON_DAYS
from vouch.training.registration import Gated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vouch.training.gate import Verdict

WAYS = {
    "contract": "by contract, for subscriptions say when a customer leaves; who never subscribed by purchases",
    "purchases": "by purchases, for nothing says when a customer leaves: MBG/NBD or BG/NBD, whichever told better, "
    "with Gamma-Gamma",
}
QUESTION = "What will this customer bring within 1,095 days, beside what was brought so far?"


@dataclass(frozen=True)
class ValueReport(Gated):
    """What was measured: `figures` of each candidate out of time, over `days` and so many `customers`."""

    model: str
    as_of_us: int
    way: str
    chosen: str
    days: int
    customers: int
    figures: Mapping[str, Mapping[str, float]]
    verdict: Verdict
    numbers: Mapping[str, float]
    champion_version: int | None
    content_hash: str
    version: int | None = None
    run_id: str | None = None

    def figure_rows(self) -> list[dict[str, Any]]:
        """One row per candidate, the chosen one first."""
        order = sorted(self.figures, key=lambda name: (name != self.chosen, name))
        return [
            {"model": self.model, "candidate": name, **{of: round(v, 4) for of, v in self.figures[name].items()}}
            for name in order
        ]

    def as_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        plain = {name: value for name, value in vars(self).items() if name not in {"verdict", "as_of_us"}}
        passed, rules = self.verdict.passed, self.verdict.rows()
        return {**plain, "as_of": instant_text(self.as_of_us), "passed": passed, "rules": rules}

    def record(self, now_us: int) -> dict[str, Any]:
        """What the gate's history keeps beside the verdict."""
        return {
            "at_us": now_us,
            "as_of": instant_text(self.as_of_us),
            "content_hash": self.content_hash,
            "chosen": self.chosen,
            "why": WAYS[self.way],
            "figures": self.figure_rows(),
        }

    def text(self) -> str:
        """What a data scientist needs to see, as lines of text."""
        lines = [
            f"{self.model}: {QUESTION}",
            f"  as of {instant_text(self.as_of_us)}, {WAYS[self.way]}",
            f"  judged on the margin of {self.customers:,} customers in {self.days} days that it did not know:",
        ]
        lines += [
            "    " + ", ".join(f"{name} {value}" for name, value in row.items() if name != "model")
            for row in self.figure_rows()
        ]
        return "\n".join([*lines, *self.gate_lines(self.version)])


def value_card(report: ValueReport) -> str:
    """The model card, as Markdown."""
    parts = [
        f"# Model card: {report.model}",
        QUESTION,
        f"Fitted on what was known before {instant_text(report.as_of_us)}. Customers are valued {WAYS[report.way]}.",
        f"The horizon is {HORIZON_DAYS:,} exact days, the discount {DISCOUNT:.0%} a year unless `[metrics] discount` "
        "states another. A value is what was brought so far, undiscounted, and what is expected, discounted. Margin is "
        "that of the tables: costs to serve are taken off where the company takes them off there.",
        "## How good it was",
        f"Fitted {report.days} days earlier and judged on what {report.customers:,} customers brought since. `total` "
        "is what was said over what came; `covered` the share of 80 % intervals that held it; `naive` is as much "
        "as in as long a time before.",
        _table(report.figure_rows()),
        "## Rules of the gate",
        "The limits are vouch's own, wide enough for a company of few and odd sales; no convention of the field says "
        "them. A version that passes may still be off by as much: its figures stand above.",
        _table([vars(rule) for rule in report.verdict.rules]),
        "## Numbers",
        _table([{"name": name, "value": f"{value:.6g}"} for name, value in report.numbers.items()]),
        "## Limits",
        f"{report.days} days were judged, and no more: what comes after them, up to {HORIZON_DAYS:,}, is carried on "
        "and was never seen. Once it serves nothing is looked up of what came: no watch and no drift is of values. "
        "Nobody new is foreseen, no change of prices, and nothing that no past shows. "
        + (
            "Where the churn model scores a customer, its rates serve for the weeks that it reaches; they were not "
            "judged here. Beyond them customers leave at the rates of the last year."
            if report.way == CONTRACT
            else "Who bought once is marked: his numbers are mostly the company's."
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a table in Markdown; columns are those of the first that has most."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[markdown(str(row.get(name, ""))) for name in columns] for row in rows]
    lines = [columns, ["---"] * len(columns), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
