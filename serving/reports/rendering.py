"""A report's figures as one page without outside hosts, and as a text that fits into an e-mail."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vouch.features.shown import aligned, visible_text
from vouch.features.vectors.numerals import Numerals
from vouch.models.quality.monitoring import LEARNED_LATER
from vouch.serving.html_templates import html_environment
from vouch.serving.reports import charts
from vouch.serving.reports.report import SCALES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vouch.serving.reports.report import Figures, Listed

_ENGLISH = Numerals("en")
number, percent, signed = _ENGLISH.number, _ENGLISH.percent, _ENGLISH.change
TEXT_WIDTH = 78
TEXT_TOP = 5
CHARTED = ("churn_band", "health_band", "advocate_tier")
UNITS = {"percent": "%", "days": " days"}
MOVES = {
    "arrived": "new customers",
    "gone": "customers no longer listed",
    "newly_high": "newly in the churn band high",
    "no_longer_high": "no longer in the churn band high",
    "newly_unhealthy": "newly unhealthy",
    "new_advocates": "newly active or influential advocates",
}
"""What changed, as people read it."""


def as_page(figures: Figures) -> str:
    """Return the report as one HTML document: style inside, charts as SVG, no script, every text escaped."""
    environment = html_environment(Path(__file__).parent)
    environment.filters.update(number=number, percent=percent, signed=signed, plain=plain, flagged=flagged)
    shown = [row for row in figures.metrics if row["unit"] == "percent"]
    return environment.get_template("report.html.jinja").render(
        figures=figures,
        scales={name: title for name, (title, _) in SCALES.items()},
        group_charts={name: _safe(charts.group_chart(name, of)) for name in CHARTED if (of := figures.portfolio[name])},
        histogram=_safe(charts.histogram_chart("churn", figures.churn_bins)) if sum(figures.churn_bins) else None,
        intervals=_safe(charts.interval_chart("metrics", shown)) if shown else None,
        moves=MOVES,
    )


def _safe(svg: str) -> Any:
    """Markup of our own making, which is not escaped again."""
    import markupsafe

    return markupsafe.Markup(svg)


def as_text(figures: Figures) -> str:
    """Return the report as plain text of at most TEXT_WIDTH columns: the same figures, the shorter lists."""
    manifest = figures.manifest
    parts = [
        [f"Customers as of {figures.as_of}, revision {figures.revision}", "=" * TEXT_WIDTH],
        _paragraph(
            f"{number(figures.customers)} customers{_left(figures)}; data through "
            f"{manifest['data_through'] or 'an unknown instant'}; scored {manifest['now']}."
        ),
        *([["WARNINGS", *_bullets(manifest["warnings"])]] if manifest["warnings"] else []),
        ["WHAT CHANGED", *_changes(figures)],
        *([["WHO MOVED", *_movers(figures)]] if figures.movers else []),
        *(
            [["WHAT BECAME OF WHO WAS FLAGGED", *_bullets([flagged(entry) for entry in figures.flagged])]]
            if figures.flagged
            else []
        ),
        ["PORTFOLIO", *_portfolio(figures)],
        [
            f"CANDIDATES TO BE ASKED TO SPEAK UP ({number(figures.candidates_total)})",
            *_paragraph(f"Who could be asked at {figures.asked_as_of}, by the rules of the policy."),
            *_ruled(figures, "advocacy", "tier, latest answer to how likely they are to recommend, health"),
            *_people(figures.candidates, "score"),
        ],
        [
            f"HIGHEST RISK OF CHURN ({number(figures.at_risk_total)})",
            *_ruled(figures, "churn", "who is unhealthy or to be watched, by health and monthly revenue"),
            *_people(figures.at_risk, "probability"),
        ],
        ["METRICS", *_metrics(figures.metrics)],
        ["WHERE THIS COMES FROM", *_bullets([*_models(manifest["models"]), f"code {manifest['code_version']}"])],
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _left(figures: Figures) -> str:
    left = figures.populations["left"]
    return f", and {number(left)} who have left" if left else ""


def _changes(figures: Figures) -> list[str]:
    if figures.moves is None:
        return ["There is no earlier snapshot to compare with."]
    lines = [f"{words}: {number(getattr(figures.moves, name))}" for name, words in MOVES.items()]
    lines += [
        f"the model of {name} is another one: part of the change is the model's" for name in figures.moves.other_models
    ]
    lines += [
        f"the probabilities of {name} are shifted anew by what came true: part of the change is that"
        for name in figures.moves.shifted_models
    ]
    return [f"Against {figures.moves.as_of}:", *_bullets(lines)]


def _movers(figures: Figures) -> list[str]:
    lines: list[str] = []
    for title, people in figures.movers.items():
        lines.append(f"{title}:")
        for person in people:
            way = f"{percent(person.before)} to {percent(person.after)}"
            lines += _paragraph(f"- {person.customer_id}: {way}", indent="  ")
            lines += [line for part in person.parts for line in _paragraph(f"  - {part}", indent="    ")]
    return lines


def flagged(entry: Mapping[str, Any]) -> str:
    """What became of who was flagged, in one sentence.

    >>> flagged({"model": "churn", "weeks": 6, "as_of": None, "flagged": 0, "became": {}, "reason": "no_snapshot"})
    'churn, 6 weeks ago: nothing to tell (no snapshot)'
    """
    start = f"{entry['model']}, {entry['weeks']} weeks ago: "
    if not entry["flagged"]:
        return f"{start}nothing to tell ({plain(entry['reason'])})"
    became = ", ".join(f"{number(count)} {plain(state)}" for state, count in entry["became"].items())
    became_text = f"{start}of {number(entry['flagged'])} flagged are now {became}"
    if entry["reason"] == LEARNED_LATER:
        later = "the week was scored afterwards by a model that had learned from what came, so it is not judged"
        return f"{became_text}; {later}"
    if entry["precision"] is None:
        return f"{became_text}; whether it came true is not known"
    low, high = percent(entry["precision_low"]), percent(entry["precision_high"])
    lift = "" if entry["lift"] is None else f", {number(entry['lift'], 1)} times that of everybody"
    soon = entry.get("lead_days")  # weeks of older versions do not say it
    lead = "" if soon is None else f", after {number(soon, 1)} days in the middle"
    return f"{became_text}; came true for {percent(entry['precision'])} ({low} to {high}){lift}{lead}"


def _portfolio(figures: Figures) -> list[str]:
    rows = [
        {
            "what": title if place == 0 else "",
            "value": plain(group.words),
            "customers": f"{number(group.count):>9}",
            "  share": f"{percent(group.share):>7}",
            "change": f"{signed(group.change):>6}",
        }
        for name, (title, _) in SCALES.items()
        for place, group in enumerate(figures.portfolio[name])
    ]
    return aligned(rows)


def _ruled(figures: Figures, model: str, rules: str) -> list[str]:
    """That a list is ranked by rules, where it is."""
    if model not in figures.by_rules:
        return []
    return _paragraph(f"No model of {model} has passed the gate. In order by rules, no forecast: {rules}.")


def _people(listed: Sequence[Listed], measure: str) -> list[str]:
    if not listed:
        return ["Nobody."]
    lines = []
    for person in listed[:TEXT_TOP]:
        value = number(person.score, 1) if measure == "score" else percent(person.probability)
        revenue = f", {number(person.mrr, 2)} a month" if measure == "probability" and person.mrr is not None else ""
        act = "" if person.ask_for is None else f", ask for: {plain(person.ask_for)}"
        consent = "" if person.may_contact else ", no consent to be contacted"
        lines += _paragraph(f"{person.rank}. {person.customer_id}: {value}{act}{revenue}{consent}", indent="   ")
        lines += [line for reason in person.reasons for line in _paragraph(f"   - {reason}", indent="     ")]
    return lines


def _metrics(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for row in rows:
        few = ", few answers" if row["status"] == "low_n" else ""
        between = "" if row["ci_low"] is None else f" ({number(row['ci_low'])} to {number(row['ci_high'])})"
        text = f"{row['name']}: {number(row['value'])}{UNITS.get(row['unit'], '')}{between}, n {number(row['n'])}{few}"
        lines += _paragraph(text, indent="  ")
    return lines or ["None has a value."]


def _models(models: Mapping[str, Any]) -> list[str]:
    return [
        f"{name}: no champion" if facts is None else f"{name}: {facts['kind']} {facts['content_hash'][:12]}"
        for name, facts in models.items()
    ]


def _bullets(lines: Sequence[str]) -> list[str]:
    return [line for text in lines for line in _paragraph(f"- {visible_text(text)}", indent="  ")]


def _paragraph(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, TEXT_WIDTH, subsequent_indent=indent)


def plain(name: str) -> str:
    """Return a value of the interface as words.

    >>> plain("at_risk")
    'at risk'
    """
    return name.replace("_", " ")
