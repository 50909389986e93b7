"""Wording of a report in the reader's language: values as people read them, and what page and e-mail both say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vouch.models.quality.monitoring import LEARNED_LATER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vouch.serving.presentation.translations import Speech
    from vouch.serving.reports.listed import KnownCustomer, Listed, ListedMove
    from vouch.serving.reports.report import Moves

SCALE_WORDS: Mapping[str, str] = {
    "churn_status": "state",
    "churn_band": "churn_band",
    "health_band": "health_band",
    "advocacy_status": "state",
    "advocate_tier": "tier",
}
"""Where the words for the values of each scale stand."""
MOVES = ("arrived", "gone", "newly_high", "no_longer_high", "newly_unhealthy", "new_advocates")
"""What changed, in the order in which it is told."""
_ANY_STATE = ("state", "churn_band", "health_band", "tier")


def plain(name: str) -> str:
    """Return a value of the interface as words.

    >>> plain("at_risk")
    'at risk'
    """
    return name.replace("_", " ")


def value_words(t: Speech, scale: str, value: str) -> str:
    """Return a value of a scale in words; one of a company's own reads as it is called."""
    return t.get(f"{SCALE_WORDS[scale]}.{value.replace(' ', '_')}", plain(value))


def shown_name(person: KnownCustomer) -> str:
    """Return what people call a customer: account, name, or the id where there is neither."""
    return person.account_name or person.name or person.customer_id


def money(t: Speech, person: KnownCustomer) -> str | None:
    """Return what a customer pays a month; None where that is not known."""
    return None if person.mrr is None else t("week.a_month", money=t.money(person.mrr, person.currency))


def change_notes(t: Speech, moves: Moves) -> Iterator[str]:
    """Give which part of what changed is the models' and not the customers'."""
    for key, names in (("other_model", moves.other_models), ("shifted_model", moves.shifted_models)):
        yield from (t(f"report.{key}", model=t.get(f"models.{name}", plain(name))) for name in names)


def flagged(t: Speech, entry: Mapping[str, Any]) -> str:
    """Return what became of who was flagged, in one sentence."""
    model = t.get(f"models.{entry['model']}", plain(entry["model"]))
    start = t("report.flagged", model=model, weeks=entry["weeks"])
    if not entry["flagged"]:
        return f"{start} {t('report.flagged_nothing', reason=plain(entry['reason']))}"
    became = ", ".join(f"{t.number(count)} {_state(t, state)}" for state, count in entry["became"].items())
    text = f"{start} {t('report.flagged_became', count=t.number(entry['flagged']), became=became)}"
    if entry["reason"] == LEARNED_LATER:
        return f"{text}; {t('report.flagged_later')}"
    if entry["precision"] is None:
        return f"{text}; {t('report.flagged_unknown')}"
    low, high = t.percent(entry["precision_low"]), t.percent(entry["precision_high"])
    parts = [t("report.flagged_true", share=t.percent(entry["precision"]), low=low, high=high)]
    if entry["lift"] is not None:
        parts.append(t("report.flagged_lift", lift=t.number(entry["lift"], 1)))
    if entry.get("lead_days") is not None:  # weeks of older versions do not say it
        parts.append(t("report.flagged_lead", days=t.number(entry["lead_days"], 1)))
    return f"{text}; {', '.join(parts)}"


def _state(t: Speech, name: str) -> str:
    """A status, band or tier in words, whichever it is."""
    return next((t.texts[key] for of in _ANY_STATE if (key := f"{of}.{name}") in t.texts), plain(name))


def rule_words(t: Speech, of: Listed | ListedMove) -> list[str]:
    """Return what a list by rules goes by, of one customer, and why the band of health is not that of the score."""
    decimals = {"answer": None, "health": 0}
    words = [t(f"rules.{name}", score=t.number(value, decimals[name])) for name, value in of.rules.items()]
    return words if of.band_reason is None else [*words, t.band_reason(vars(of.band_reason))]


def noise(series: Any) -> str | None:
    """Return the key that says whether the change of a metric is more than noise; None where nobody can say."""
    if series.change is None or series.is_real is None:
        return None
    if not series.is_real:
        return "metrics.noise"
    return "metrics.real" if series.is_better is None else "metrics.better" if series.is_better else "metrics.worse"
