"""The catalogue of metrics as a page for people (CATALOGUE.md beside the definitions), made from these alone."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from vouch.features.metrics.catalogue import load_metrics
from vouch.features.metrics.comparisons.readings import TOPICS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vouch.features.metrics.catalogue import Metric

INTRODUCTION = """# Catalogue of metrics

Made by `vouch metrics --describe --format markdown` from the definitions beside it; do not edit it.

Every value comes in an envelope: the value or null with a reason, n, what is missing, a 95 % interval and its method,
bounds where an input is missing, window, instant, population, and the version of the definition. Rules for all:

- An instant T sees what happened and was known before T. A window of w days is [T - w, T). A window that is longer
  than the data go back has no figure (`insufficient_history`).
- `n` counts the units of the population that gave a value, `n_items` what was counted of them, `n_missing` the units
  that gave none.
- Empty is null with a reason, never 0. A count over a table that is there and holds no rows is 0.
- Below 5 observations a mean, share or index is `suppressed`, from 5 to 29 it is `low_n`; counts and sums always stand.
- Internal customers are in nothing. Active is a running subscription, or use or a transaction in 90 days.
- One answer per customer to a survey about the company as a whole, the latest; every answer to one about a contact.
- Bootstraps draw customers, 2,000 times, with seed 0. A finite population narrows an interval only where its size is
  set (`[metrics] population`), and only for surveys of the company as a whole.
- By segment: the raw value, the value shrunk towards the company's, and nothing of cells that are too small.
"""
CONTEXT = """## M74: what is quoted, and never computed

83 % of people trust the recommendation of friends, and 66 % reviews that they read online (Nielsen 2015). Leaders in
NPS grow more than twice as fast as their competitors. 91 % prefer companies whose offers fit them. These stand in the
sources of this catalogue; none of them is a figure of yours.
"""
GLOSSARY = """## Words that are not numbers

- *Customer advocacy* is what a company does for its customers (`advocacy_maturity`); *brand advocates* are customers
  who speak up for it (`advocates_active`). Customer experience is what they live through, the voice of the customer
  what they say of it.
- *Customer success* goes ahead of a customer's trouble, service follows it.
- Advocacy brings in new customers (`referrals`, `advocacy_participation`), shows the customer as a whole (the page of
  one customer), and saves means (`programme_roi`).
- *Retention* is who stays (`retention_rate`); how often active customers come is `activity_share`.
"""


def catalogue_page() -> str:
    """The whole page."""
    metrics = list(load_metrics().values())
    parts = [INTRODUCTION, "\n".join(_overview(metrics))]
    for chapter, members in groupby(sorted(metrics, key=lambda one: (one.chapter, one.code)), lambda one: one.chapter):
        parts.append(f"## {chapter.capitalize()}\n")
        parts += ["\n".join(_entry(metric)) for metric in members]
    parts += ["\n".join(_absent(metrics)), "\n".join(_disagreements()), CONTEXT, GLOSSARY]
    return "\n".join(parts).rstrip() + "\n"


def _overview(metrics: list[Metric]) -> Iterator[str]:
    yield "| code | metric | name |"
    yield "| --- | --- | --- |"
    yield from (f"| {metric.code} | [`{metric.id}`](#{metric.id}) | {metric.name} |" for metric in metrics)
    yield ""


def _entry(metric: Metric) -> Iterator[str]:
    yield f'### <a id="{metric.id}"></a>`{metric.id}` ({metric.code}): {metric.name}\n'
    yield f"{metric.description}\n"
    better = {True: "higher is better", False: "lower is better", None: "neither end is better"}
    window = f"{metric.window_days} days" if metric.window_days else "no window: the instant, or all that is known"
    if metric.reach_days > (metric.window_days or 0):
        window += f", for which the data of {metric.reach_days} days are looked at"
    interval = (metric.kind.interval if metric.kind else None) or "none"
    own = "" if metric.is_published else " (`definition_source`: `project`)"
    value = metric.example.value
    facts = {
        "Formula": metric.formula,
        "Unit": f"{metric.unit}; {better[metric.higher_is_better]}",
        "Window": window,
        "Population": metric.population,
        "Inputs": ", ".join(f"`{need.replace('|', '` or `')}`" for need in metric.inputs) or "published scores",
        "`n` counts": metric.n_counts,
        "Null where": "".join(f"\n  - {reason}" for reason in metric.null_where),
        "Interval": interval,
        "Source": f"{metric.source}{own}",
        "Example": f"{metric.example.text} ({'null' if value is None else f'{value:g}'})",
        "Version": metric.version,
    }
    yield from (f"- {name}:{'' if text.startswith(chr(10)) else ' '}{text}" for name, text in facts.items())
    yield ""


def _absent(metrics: list[Metric]) -> Iterator[str]:
    yield "## What the data cannot tell\n"
    yield "Null, with the reason `no_input` where the contract has no column for it, `no_model` without a model:\n"
    for metric in metrics:
        if metric.unavailable:
            yield f"- `{metric.id}`: `{metric.unavailable}`; {metric.source[0].lower()}{metric.source[1:]}."
    yield "- Share rate of referrals (M28): `no_input`; the views of a share widget are not in the contract."
    yield ""


def _disagreements() -> Iterator[str]:
    yield "## Where sources disagree\n"
    yield "`vouch metrics --sensitivity` shows the readings side by side; the first is the one used everywhere else.\n"
    yield "| what | readings | metrics |"
    yield "| --- | --- | --- |"
    for topic, (question, members) in TOPICS.items():
        yield f"| {topic} | {question} | {', '.join(f'`{metric_id}`' for metric_id in members)} |"
    yield ""
