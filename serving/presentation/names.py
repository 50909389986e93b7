"""Names of metrics, chapters and models in the reader's language, or as their definitions have them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from vouch.serving.metric_queries import catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.serving.presentation.translations import Speech


@cache
def catalogue_by_id() -> Mapping[str, Mapping[str, Any]]:
    """The catalogue by id."""
    return {entry["metric_id"]: entry for entry in catalogue()}


def metric_name(t: Speech, metric_id: str) -> str:
    """Return the name of a metric in a language, or as the catalogue has it."""
    known = catalogue_by_id().get(metric_id)
    return t.get(f"metric.{metric_id}", known["name"] if known else metric_id)


def metric_lang(t: Speech, metric_id: str) -> Markup:
    """Mark a name that is told in English on a page of another language."""
    is_ours = t.language == "en" or f"metric.{metric_id}" in t.texts
    return Markup("") if is_ours else Markup(' lang="en"')


def model_name(t: Speech, name: str) -> str:
    """Return the name of a model in a language; a company's own model has none but its own."""
    return t.get(f"models.{name}", name.replace("_", " "))


def chapter_name(t: Speech, name: str) -> str:
    """Return the name of a chapter of metrics in a language, or as its file is called."""
    return t.get(f"chapter.{name}", name.replace("_", " ").capitalize())
