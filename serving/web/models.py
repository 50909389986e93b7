"""The models page: which one scores, how good it was when judged, and what the gate has said since the first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vouch import models
from vouch.features.contract.tables import DAY_US
from vouch.features.errors import BundleError
from vouch.features.instants import instant_text
from vouch.models.predictor import champion_folder
from vouch.models.registry.champions import history
from vouch.models.registry.offsets import in_force
from vouch.models.value.valuation import HORIZON_DAYS
from vouch.serving.snapshots.schema import MODELS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from vouch.models.registry.offsets import Offset
    from vouch.serving.api.state import ServingState

VALUE = "value"
"""The model of lifetime value, which gives no probabilities: it is judged by figures of its own."""
FIGURES_OF_VALUE = ("rank_correlation", "mean_absolute_error", "total", "covered")
FIGURES = ("roc_auc", "pr_auc", "log_loss", "brier_skill", "calibration_error", "lift_at_5", "lift_at_10")
SHOWN = 20
"""Decisions of the gate that are listed, the newest first."""


@dataclass(frozen=True)
class Decision:
    """One entry of the gate's history."""

    action: str
    at: str
    version: int | None
    reason: str
    rules: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class JudgedModel:
    """One model: what it predicts, its champion, and the figures of the training run that made it."""

    name: str
    question: str
    kind: str | None
    target: str | None
    content_hash: str | None
    horizon_days: int | None
    version: int | None
    since: str | None
    entry: Mapping[str, Any]
    decisions: Sequence[Decision]
    has_card: bool
    drift: Mapping[str, Any]
    """How far the week's rows have moved from those that it was trained on; empty where the week does not tell."""
    offset: Offset | None
    """The shift of its log-odds that answers a prior that has moved; None where none is in force."""
    watch: Mapping[str, Any]
    """What the watch over its published probabilities says; empty where the week does not tell."""
    effects: Mapping[str, Any]
    """What treatments at random have shown of asks or offers, as the week has it; empty where nothing was tried."""

    @property
    def figure_names(self) -> Sequence[str]:
        """By which figures a model of its sort is judged."""
        return FIGURES_OF_VALUE if self.name == VALUE else FIGURES

    @property
    def figures(self) -> Sequence[Mapping[str, Any]]:
        """Figures of the candidate that was chosen and of the others, on the same rows."""
        return list(self.entry.get("figures", ()))

    @property
    def members(self) -> Sequence[str]:
        """Recipes that it is made of."""
        return list(self.entry.get("members", ()))

    @property
    def drawn(self) -> Mapping[str, Any]:
        """What the charts of its card are drawn from; of older versions that is the calibration alone."""
        drawn: Mapping[str, Any] = self.entry.get("drawn") or {"calibration": self.entry.get("calibration", ())}
        return drawn


def judged(store: ServingState, home: Path) -> list[JudgedModel]:
    """Return all models that have columns of their own in a snapshot, and that of lifetime value."""
    return [*(_judged(store, home, name) for name in MODELS), _judged_value(home)]


def _judged(store: ServingState, home: Path, name: str) -> JudgedModel:
    champion = store.champions[name]
    content_hash = champion.content_hash
    return JudgedModel(
        name=name,
        question=models.load(name).question,
        kind=champion.predictor.kind if champion.predictor else None,
        target=champion.predictor.target if champion.predictor else None,
        content_hash=content_hash,
        horizon_days=champion.target.horizon_days if champion.target else None,
        **_of_history(home, name, _entries(home, name), content_hash),
        drift=_drift(store, name),
        offset=in_force(champion.offsets, content_hash) if content_hash else None,
        watch=_watch(store, name),
        effects=_effects(store, name),
    )


def _judged_value(home: Path) -> JudgedModel:
    entries = _entries(home, VALUE)
    crowned: Mapping[str, Any] = next((entry for entry in reversed(entries) if entry["action"] != "refuse"), {})
    content_hash = crowned.get("content_hash")
    of_history = _of_history(home, VALUE, entries, content_hash)
    return JudgedModel(
        name=VALUE,
        question=f"What will this customer bring within {HORIZON_DAYS:,} days, beside what was brought so far?",
        kind=VALUE if content_hash else None,
        target=of_history["entry"].get("chosen"),
        content_hash=content_hash,
        horizon_days=HORIZON_DAYS,
        **of_history,
        drift={},
        offset=None,
        watch={},
        effects={},
    )


def _entries(home: Path, name: str) -> list[dict[str, Any]]:
    try:
        return history(home, name)
    except BundleError:  # it can be told no more; the champion scores all the same
        return []


def _of_history(home: Path, name: str, entries: list[dict[str, Any]], content_hash: str | None) -> dict[str, Any]:
    """What the gate's history tells of the version that scores."""
    crowned = [entry for entry in entries if entry["action"] != "refuse" and entry.get("content_hash") == content_hash]
    trained = next((entry for entry in entries if content_hash and entry.get("content_hash") == content_hash), {})
    return {
        "version": crowned[-1].get("version") if crowned else None,
        "since": instant_text(crowned[-1]["at_us"]) if crowned else None,
        "entry": next((entry for entry in crowned if "figures" in entry), trained),
        "decisions": [_decision(entry) for entry in reversed(entries[-SHOWN:])],
        "has_card": (champion_folder(home, name) / "card.md").exists(),
    }


def _effects(store: ServingState, name: str) -> Mapping[str, Any]:
    """The effects of the champion that scored the week."""
    facts = ((store.portfolio.week.manifest.get("models") or {}).get(name) or {}) if store.is_ready else {}
    effects: Mapping[str, Any] = facts.get("effects") or {}
    return effects


def _watch(store: ServingState, name: str) -> Mapping[str, Any]:
    answer: Mapping[str, Any] = {}
    if store.is_ready:
        answer = (store.portfolio.week.manifest.get("watch") or {}).get(name) or {}
    return answer if answer.get("weeks") else {}


def _drift(store: ServingState, name: str) -> Mapping[str, Any]:
    answer: Mapping[str, Any] = {}
    if store.is_ready:
        answer = (store.portfolio.week.manifest.get("drift") or {}).get(name) or {}
    return answer if answer.get("score") else {}


def _decision(entry: Mapping[str, Any]) -> Decision:
    at_us = entry["at_us"]
    return Decision(
        action=entry["action"],
        at=instant_text(at_us - at_us % DAY_US),
        version=entry.get("version"),
        reason=entry.get("reason") or "",
        rules=entry.get("rules") or (),
    )


def card(home: Path, name: str) -> str | None:
    """Return the card of a champion in Markdown; None for another name, or where there is none."""
    path = champion_folder(home, name) / "card.md" if name in (*MODELS, VALUE) else None
    return path.read_text(encoding="utf-8") if path and path.exists() else None
