"""Precision and lead time of alerts: where those who were flagged weeks ago stand now, and whether it came true.

Flagged for churn is who was in the band `high`; for advocacy the tenth with the highest probability. It is looked at
when the outcome is final, which takes the horizon of the model and its gap: 6 and 13 weeks back, or when the target
says. Precision is at k, the number flagged. A week that was scored afterwards, by a model that had learned from what
came, is marked (`learned_later`) and not judged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vouch import models
from vouch.features.contract.tables import DAY_US
from vouch.features.errors import SnapshotError
from vouch.features.instants import WEEK_US, instant_text
from vouch.features.statistics.intervals import wilson
from vouch.models.quality.monitoring import LEARNED_LATER, has_learned_later, look_backs
from vouch.serving.monitoring.drift_and_outcomes import latest_target
from vouch.serving.snapshots.files import published, read_snapshot
from vouch.serving.snapshots.schema import MODELS

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from vouch.features.asof import Tables
    from vouch.models.targets import Target
    from vouch.serving.snapshots.files import Snapshot

TOP_SHARE = 10  # one in ten
GONE = "gone"
_LEFT = ("churned", "leaving")
JUDGED = ("precision", "precision_low", "precision_high", "base_rate", "lift", "lead_days")
"""What is known once the outcome is final."""


def followed(home: Path, tables: Tables, as_of_us: int, states: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one entry per model and look-back; `states` are the scores of now, by `customer_id`.

    An entry without figures says why: `no_snapshot`, `damaged_snapshot`, `no_model`, `nobody_flagged`; and one of a
    week that was scored by a model that had learned later has where they stand alone (`learned_later`).
    """
    instants = published(home)
    targets = {name: latest_target(home, instants, name) or models.load(name).targets[0] for name in MODELS}
    return [
        _entry(home, tables, as_of_us, states, name, weeks) for name in MODELS for weeks in look_backs(targets[name])
    ]


def _week_of(home: Path, name: str, latest_us: int, known_us: int) -> int | None:
    """The published week at an instant or up to a week before; an earlier one where what it foretold is not final."""
    instants = sorted((at for at in published(home) if at <= latest_us), reverse=True)
    if not instants or instants[0] <= latest_us - WEEK_US:
        return None
    for at in instants:
        try:
            facts = read_snapshot(home, at, ()).manifest["models"].get(name)
        except SnapshotError:
            return at
        if facts is None or at + models.load(name).target_named(facts["target"]).matured_days * DAY_US <= known_us:
            return at
    return None


def _entry(home: Path, tables: Tables, as_of_us: int, states: pd.DataFrame, name: str, weeks: int) -> dict[str, Any]:
    then_us = _week_of(home, name, as_of_us - weeks * WEEK_US, as_of_us)
    entry: dict[str, Any] = {"model": name, "weeks": weeks, "as_of": None, "flagged": 0, "became": {}}
    nothing = dict.fromkeys(JUDGED)
    if then_us is None:
        return {**entry, "reason": "no_snapshot", **nothing}
    entry["as_of"] = instant_text(then_us)
    try:
        snapshot = read_snapshot(home, then_us, ["scores"])
    except SnapshotError:
        return {**entry, "reason": "damaged_snapshot", **nothing}
    facts = snapshot.manifest["models"].get(name)
    if facts is None:
        return {**entry, "reason": "no_model", **nothing}
    rows = _flagged(snapshot, name)
    chosen = rows.loc[rows["is_flagged"], "customer_id"]
    if chosen.empty:
        return {**entry, "reason": "nobody_flagged", **nothing}
    entry |= {"flagged": len(chosen), "became": _became(chosen, states, name)}
    if has_learned_later(facts, then_us):
        return {**entry, "reason": LEARNED_LATER, **nothing}
    target = models.load(name).target_named(facts["target"])
    return {**entry, "reason": None, **nothing, **_realised(tables, target, then_us, as_of_us, rows)}


def _flagged(snapshot: Snapshot, name: str) -> pd.DataFrame:
    """Who had a probability, and who of them was flagged."""
    column = f"{name}_probability"
    known: pd.DataFrame = snapshot.table("scores", ["customer_id", column, "churn_band"]).to_pandas()
    rows = known.dropna(subset=column)
    if name == "churn":
        return rows.assign(is_flagged=rows["churn_band"] == "high")
    order = rows.sort_values([column, "customer_id"], ascending=[False, True])
    top = order["customer_id"].head(-(-len(order) // TOP_SHARE))
    return rows.assign(is_flagged=rows["customer_id"].isin(top))


def _became(chosen: pd.Series[str], states: pd.DataFrame, name: str) -> dict[str, int]:
    """Where they stand now: status where they left, else band or tier; `gone` where they are listed no more."""
    now = states.set_index("customer_id").reindex(chosen)
    state = now["churn_band" if name == "churn" else "advocate_tier"]
    status = now["churn_status"]
    state = state.where(~status.isin(_LEFT), status).where(status.notna(), GONE).fillna("not scored")
    return {str(value): int(count) for value, count in sorted(state.value_counts().items())}


def _realised(
    tables: Tables, target: Target, then_us: int, known_us: int, rows: pd.DataFrame
) -> dict[str, float | None]:
    """Share of the flagged that came true, with its interval, times that of all who were scored, and how soon."""
    labels = target.label(tables, [then_us], known_us, target)
    judged = rows.merge(labels[["customer_id", "label"]], on="customer_id").dropna(subset="label")
    of_flagged = judged.loc[judged["is_flagged"]]
    flagged = of_flagged["label"].astype(float)
    if flagged.empty:
        return {}
    share, base = float(flagged.mean()), float(judged["label"].astype(float).mean())
    interval = wilson(np.array([flagged.sum()]), np.array([float(len(flagged))]))
    return {
        "precision": round(share, 6),
        "precision_low": round(float(interval.low[0]), 6),
        "precision_high": round(float(interval.high[0]), 6),
        "base_rate": round(base, 6),
        "lift": round(share / base, 4) if base else None,
        "lead_days": _lead_days(tables, target, then_us, known_us, of_flagged.loc[flagged > 0, "customer_id"]),
    }


def _lead_days(tables: Tables, target: Target, then_us: int, known_us: int, hit: pd.Series[str]) -> float | None:
    """Median days from the flag to what it foretold, over those for whom it came true; None without such moments."""
    if target.moments is None or hit.empty:
        return None
    begin_us = then_us + target.lead_days * DAY_US
    moments = target.moments(tables, known_us, target)
    is_within = moments["moment_us"].between(begin_us, begin_us + target.horizon_days * DAY_US, inclusive="left")
    first = moments.loc[is_within & moments["customer_id"].isin(hit)].groupby("customer_id")["moment_us"].min()
    return None if first.empty else round(float((first - then_us).median()) / DAY_US, 2)
