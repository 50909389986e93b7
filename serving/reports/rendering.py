"""A report as one page without outside hosts: one screen with what matters, and an appendix with everything."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from markupsafe import Markup, escape

from vouch.features.charts.bars import histogram_bars, whisker
from vouch.features.charts.html_templates import html_environment
from vouch.features.shown import visible_text
from vouch.features.vectors.sentences import as_sentence
from vouch.serving.presentation.meanings import meaning
from vouch.serving.presentation.names import catalogue_by_id, chapter_name, metric_lang, metric_name
from vouch.serving.presentation.style import style_sheet
from vouch.serving.presentation.translations import speech
from vouch.serving.reports import wording
from vouch.serving.reports.email_text import KEY_METRICS
from vouch.serving.reports.listed import MOVERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import jinja2

    from vouch.features.charts.bars import Whisker
    from vouch.serving.presentation.metric_series import Series
    from vouch.serving.reports.listed import KnownCustomer, ListedMove
    from vouch.serving.reports.report import Figures

FIRST = 5
"""Customers and metrics of each list on the first screen."""
LONG_ID = 24
"""Letters from which an id may break, where its line is too narrow for it."""
CHARTED = ("churn_band", "health_band", "advocate_tier")


def as_page(figures: Figures, language: str = "en", page: str | None = None) -> str:
    """Return the report as one HTML document: style inside, charts as SVG, no script, every text escaped.

    `page` is the address of the service, so that a name leads to the customer there; without it a name leads into the
    CRM, where the company's data say where that is.
    """
    t = speech(language)
    return (
        _templates()
        .get_template("report.html.jinja")
        .render(
            t=t,
            figures=figures,
            style=Markup(style_sheet()),
            first=FIRST,
            headlines=[of for name in KEY_METRICS if (of := figures.series.get(name)) and of.is_shown][:FIRST],
            chapters=_chapters(figures),
            histogram=histogram_bars(figures.churn_bins),
            movers={title: (MOVERS[title], _moved(people)) for title, people in figures.movers.items()},
            link=lambda person: _link(person, page),
        )
    )


@cache
def _templates() -> jinja2.Environment:
    environment = html_environment(Path(__file__).parent)
    environment.filters.update(ident=_ident, plain=wording.plain, words=lambda entry, t: as_sentence(entry, t.language))
    environment.globals.update(
        metric_name=metric_name,
        meaning=meaning,
        metric_lang=metric_lang,
        chapter_name=chapter_name,
        charted=CHARTED,
        moves=wording.MOVES,
        **{name: getattr(wording, name) for name in (
            "shown_name", "change_notes", "flagged", "money", "noise", "plain", "rule_words", "value_words",
        )},
    )  # fmt: skip
    return environment


def _ident(customer_id: str) -> Markup:
    """An id that breaks over no line, unless it is longer than any line of a list."""
    kind = "id long" if len(customer_id) > LONG_ID else "id"
    return Markup('<bdi class="{}">{}</bdi>').format(kind, visible_text(customer_id))


def _link(person: KnownCustomer, page: str | None) -> Markup:
    """A customer by name, with a way to where one can do something."""
    query = urlencode({"id": person.customer_id})
    address = person.crm_url if page is None else f"{page.rstrip('/')}/app/customer?{query}"
    name = wording.shown_name(person)
    shown = _ident(name) if name == person.customer_id else Markup("<bdi>{}</bdi>").format(visible_text(name))
    return Markup('<a href="{}" rel="noreferrer">{}</a>').format(address, shown) if address else escape(shown)


def _moved(people: Sequence[ListedMove]) -> list[tuple[ListedMove, Whisker | None]]:
    """Each with a line from the probability before to that of now."""
    spans = [None if one.after is None or one.before is None else (one.before, one.after) for one in people]
    return [
        (one, None if span is None else whisker(span[1], min(span), max(span), (0.0, 1.0)))
        for one, span in zip(people, spans, strict=True)
    ]


def _chapters(figures: Figures) -> Mapping[str, Sequence[Series]]:
    """Metrics with a value by chapter."""
    chapters: dict[str, list[Series]] = {}
    for row in figures.metrics:
        known = catalogue_by_id().get(row["metric_id"])
        chapters.setdefault(known["chapter"] if known else "others", []).append(figures.series[row["metric_id"]])
    return chapters
