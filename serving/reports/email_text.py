"""A report as a text that fits into an e-mail: the same figures as the page, and the shorter lists."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from vouch.features.shown import aligned, visible_text
from vouch.features.vectors.sentences import signed
from vouch.serving.presentation.names import metric_name
from vouch.serving.presentation.translations import speech
from vouch.serving.reports.listed import MOVERS
from vouch.serving.reports.report import SCALES
from vouch.serving.reports.wording import (
    MOVES,
    change_notes,
    flagged,
    money,
    noise,
    plain,
    rule_words,
    shown_name,
    value_words,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vouch.serving.presentation.translations import Speech
    from vouch.serving.reports.listed import KnownCustomer, Listed
    from vouch.serving.reports.report import Figures

TEXT_WIDTH = 78
TEXT_TOP = 5
KEY_METRICS = (
    "revenue_at_risk", "churn_rate_monthly", "nps", "retention_rate", "net_revenue_retention", "csat", "health_score",
    "advocacy_participation",
)  # fmt: skip
"""Metrics that an e-mail tells, and the first screen of the page; the appendix of the page has all."""


def as_text(figures: Figures, language: str = "en") -> str:
    """Return the report as plain text of at most TEXT_WIDTH columns, in one of the languages of the page."""
    t = speech(language)
    manifest = figures.manifest
    title = t("report.title", date=t.date(figures.as_of))
    warnings, judged = manifest["warnings"], [flagged(t, entry) for entry in figures.flagged]
    parts = [
        [title, "=" * TEXT_WIDTH],
        _paragraph(f"{_customers(t, figures)}. {_fresh(t, figures)}"),
        *([[_head(t, "report.warnings"), *_bullets(warnings)]] if warnings else []),
        [_head(t, "report.changes"), *_changes(t, figures)],
        *([[_head(t, "report.moved"), *_movers(t, figures)]] if figures.movers else []),
        *([[_head(t, "report.became"), *_bullets(judged)]] if judged else []),
        [_head(t, "week.stand"), *_metrics(t, figures)],
        [f"{_head(t, 'week.call_first')} ({t.number(figures.calls_total)})", *_people(t, figures.calls, "churn")],
        [
            f"{_head(t, 'nav.at_risk')} ({t.number(figures.at_risk_total)})",
            *(_paragraph(t("at_risk.by_rules")) if "churn" in figures.by_rules else []),
            *_people(t, figures.at_risk, "churn"),
        ],
        [
            f"{_head(t, 'nav.candidates')} ({t.number(figures.candidates_total)})",
            *_paragraph(t("report.asked_at", date=t.date(figures.asked_as_of))),
            *(_paragraph(t("candidates.by_rules")) if "advocacy" in figures.by_rules else []),
            *_people(t, figures.candidates, "advocacy"),
        ],
        [_head(t, "nav.portfolio"), *_portfolio(t, figures)],
        [_head(t, "report.origin"), *_bullets([*_models(t, manifest["models"]), f"vouch {manifest['code_version']}"])],
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _head(t: Speech, key: str) -> str:
    return t(key).upper()


def _customers(t: Speech, figures: Figures) -> str:
    left = figures.populations["left"]
    counted = t("report.customers", count=t.number(figures.customers))
    return f"{counted}, {t('portfolio.left', count=t.number(left))}" if left else counted


def _fresh(t: Speech, figures: Figures) -> str:
    manifest = figures.manifest
    when = {"through": t.date(manifest["data_through"]), "scored": t.date(manifest["now"])}
    return t("page.fresh", as_of=t.date(figures.as_of), revision=figures.revision, **when)


def _changes(t: Speech, figures: Figures) -> list[str]:
    if figures.moves is None:
        return [t("report.no_earlier")]
    lines = [f"{t(f'report.move_{name}')}: {t.number(getattr(figures.moves, name))}" for name in MOVES]
    against = t("report.against", date=t.date(figures.moves.as_of))
    return [against, *_bullets([*lines, *change_notes(t, figures.moves)])]


def _movers(t: Speech, figures: Figures) -> list[str]:
    lines: list[str] = []
    for title, people in figures.movers.items():
        lines.append(f"{t('report.mover_' + '_'.join(MOVERS[title]))}:")
        for person in people:
            way = f"{t.percent(person.before)} → {t.percent(person.after)}"
            lines += _paragraph(f"- {_named(t, person.person)}: {way}", indent="  ")
            for part in person.reasons:
                lines += _paragraph(f"  - {visible_text(signed(part, t.language))}", indent="    ")
    return lines


def _portfolio(t: Speech, figures: Figures) -> list[str]:
    rows = [
        {
            " ": t(f"report.scale_{name}") if place == 0 else "",
            "  ": value_words(t, name, group.value),
            t("portfolio.customers"): f"{t.number(group.count):>9}",
            t("portfolio.share"): f"{t.percent(group.share):>7}",
            t("portfolio.change"): f"{t.change(group.change):>6}",
        }
        for name in SCALES
        for place, group in enumerate(figures.portfolio[name])
    ]
    return aligned(rows)


def _named(t: Speech, person: KnownCustomer) -> str:
    """A customer by name with the id behind, and what they pay."""
    name = shown_name(person)
    parts = [name if name == person.customer_id else f"{name} ({person.customer_id})", money(t, person)]
    return ", ".join(part for part in parts if part)


def _people(t: Speech, listed: Sequence[Listed], model: str) -> list[str]:
    return [line for person in listed[:TEXT_TOP] for line in _person(t, person, model)] or [t("report.nobody")]


def _person(t: Speech, person: Listed, model: str) -> Iterator[str]:
    value = t.number(person.score, 1) if model == "advocacy" else t.chance(person.probability, 1)
    kind = person.ask_for
    act = None if kind is None else t("report.ask_for", act=t.get(f"act.{kind}", plain(kind)))
    parts = [value, act, None if person.may_contact else t("week.no_contact")]
    described = ", ".join(part for part in parts if part)
    yield from _paragraph(f"{person.rank}. {_named(t, person.person)}: {described}", indent="   ")
    reasons = [visible_text(signed(reason, t.language)) for reason in person.reasons] or rule_words(t, person)
    for reason in reasons:
        yield from _paragraph(f"   - {reason}", indent="     ")


def _metrics(t: Speech, figures: Figures) -> list[str]:
    lines: list[str] = []
    for name in KEY_METRICS:
        series = figures.series.get(name)
        if series is None or not series.is_shown:
            continue
        row = series.newest
        ends = [t.measure(row[end], row["unit"]) for end in ("ci_low", "ci_high")]
        between = "" if row["ci_low"] is None else f" ({t('week.between', low=ends[0], high=ends[1])})"
        key = noise(series)
        moved = "" if series.change is None else f", {t('portfolio.since', change=t.change(series.change, 1))}"
        sure = "" if key is None else f", {t(key)}"
        few = f", {t('status.low_n')}" if row["status"] == "low_n" else ""
        n = f"{t('metrics.n')} {t.number(row['n'])}"
        text = f"{metric_name(t, name)}: {t.measure(row['value'], row['unit'])}{between}, {n}{few}{moved}{sure}"
        lines += _paragraph(text, indent="  ")
    return lines or [t("portfolio.no_metrics")]


def _models(t: Speech, models: Mapping[str, Any]) -> list[str]:
    none = t("report.no_champion")
    return [
        f"{t.get(f'models.{name}', plain(name))}: {none if of is None else _champion(t, of)}"
        for name, of in models.items()
    ]


def _champion(t: Speech, facts: Mapping[str, Any]) -> str:
    return f"{t.get('kind.' + facts['kind'], facts['kind'])} {facts['content_hash'][:12]}"


def _bullets(lines: Sequence[str]) -> list[str]:
    return [line for text in lines for line in _paragraph(f"- {visible_text(text)}", indent="  ")]


def _paragraph(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, TEXT_WIDTH, subsequent_indent=indent)
