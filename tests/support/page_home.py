"""A handwritten home for tests of the page: two weeks, champions, and what the gate has said of them."""

from __future__ import annotations

from pathlib import Path

from support.champions import write_champions
from support.handwritten_weeks import BEFORE, EARLIER, METRICS, MONDAY, WEEK, metric, publish
from vouch.features.contract.tables import DAY_US
from vouch.features.instants import as_datetime
from vouch.models.predictor import champion_folder
from vouch.models.registry.champions import note
from vouch.models.registry.offsets import Offset, set_offset
from vouch.serving.snapshots.schema import WITHIN_WEEKS

SHIFT = {"name": "tenure_days", "family": "profile", "index": 0.27, "by_chance": 0.02, "level": "major"}
DRIFT = {
    "reason": None,
    "score": {**SHIFT, "name": "score", "index": 0.123, "level": "moderate"},
    "features": 40,
    "moderate": 3,
    "major": 1,
    "largest": [SHIFT],
}
WATCH = {
    "weeks": 6, "n": 240, "came_true": 31, "expected": 18.4, "wealth": 42.5, "limit": 20.0, "starts_us": 0,
    "alarm_us": BEFORE, "changed": None, "answer": None, "batches": [],
}  # fmt: skip
SHIFTED = {"as_of_us": BEFORE, "offset": 0.62, "changed_us": BEFORE, "n": 240, "came_true": 31, "expected": 18.4}
COLUMNS = {
    "customers": ["created_at", "customer_id", "region"],
    "usage_events": ["customer_id", "event", "occurred_at"],
}
BINS = [
    {"n": 40.0, "predicted": 0.02, "observed": 0.025, "low": 0.004, "high": 0.13},
    {"n": 40.0, "predicted": 0.3, "observed": 0.275, "low": 0.16, "high": 0.43},
]
DRAWN = {
    "calibration": BINS,
    "smooth_calibration": [
        {"predicted": 0.02, "observed": 0.025, "low": 0.01, "high": 0.05},
        {"predicted": 0.3, "observed": 0.28, "low": 0.2, "high": 0.4},
    ],
    "gains": [
        {"name": name, "points": [[step / 40, min(1.0, times * step / 40)] for step in range(41)]}
        for name, times in (("logistic", 2.0), ("recency", 1.0))
    ],
    "decision_curve": [
        {"threshold": 0.05, "acted_on": 0.6, "net_benefit": 0.06, "everybody": 0.05},
        {"threshold": 0.2, "acted_on": 0.2, "net_benefit": 0.03, "everybody": -0.1},
    ],
    "acted_from": 0.1,
    "risks": [60, 12, 8, *[0] * 17],
    "strongest_features": [["tenure_days", 0.71], ["active_days_28d", 0.66]],
}
FIGURES = {"roc_auc": 0.84, "pr_auc": 0.2, "log_loss": 0.13, "brier_skill": 0.1, "calibration_error": 0.01}
RULES = [
    {"name": "skill", "passed": True, "why": "better than chance", "value": 0.1, "limit": 0.0},
    {"name": "leak", "passed": False, "why": "one feature tells too much", "value": 0.97, "limit": 0.95},
]
SEGMENTS = [metric("nps", 20.0 + 10 * place, by="segment", segment=name) for place, name in enumerate(("a", "b"))]
NAMES = {
    "name": "Mona Samplewood",
    "account_id": "A0000017",
    "account_name": "North Energy Example",
    "owner": "Ines Demo",
    "currency": "EUR",
    "crm_url": "https://crm.example/{customer_id}",
    "silent_days": 30.0,
    "renewal_at": as_datetime(MONDAY + 9 * DAY_US),
}
PEOPLE = [{**row, "segment": "smb" if place % 2 else "enterprise", "region": "KR-11", "language": "ko-KR"}
          for place, row in enumerate(WEEK)]  # fmt: skip
PEOPLE[1] |= NAMES


PEOPLE[1]["churn_within"] = [
    {"weeks": weeks, "probability": probability}
    for weeks, probability in zip(WITHIN_WEEKS, (0.2, 0.35, 0.6, 0.7, 0.8, 0.9), strict=True)
]
PEOPLE[1]["churn_changes"] = [
    {
        "cause": "feature",
        "family": "usage",
        "feature": "active_days_28d",
        "before": "9",
        "value": "3",
        "contribution": 0.5,
    },
    {"cause": "model", "family": None, "feature": None, "before": "b" * 12, "value": "c" * 12, "contribution": -0.1},
]


def figures(name: str) -> dict:
    return {
        "model": "churn",
        "candidate": name,
        "calibration": "sigmoid",
        **FIGURES,
        "lift_at_5": 6.1,
        "lift_at_10": 4.7,
    }


def write_history(home: Path, name: str, content_hash: str) -> None:
    """A refusal, and the pass of the champion that serves."""
    folder = champion_folder(home, name)
    judged = {
        "chosen": "logistic",
        "figures": [figures("logistic"), figures("recency")],
        "intervals": {"roc_auc": [0.8, 0.88]},
        "drawn": DRAWN,
        "rules": RULES,
    }
    note(
        folder,
        {**judged, "action": "refuse", "reason": "leak", "at_us": BEFORE, "version": 1, "content_hash": "0" * 64},
    )
    passed = {**judged, "rules": RULES[:1], "content_hash": content_hash}
    note(folder, {**passed, "action": "pass", "reason": "the gate passed", "at_us": MONDAY, "version": 2})
    (folder / "card.md").write_text(f"# {name}, version 2\n\n| part | rows |\n| --- | --- |\n| test | 80 |\n")


def write_home(home: Path) -> Path:
    """Publish two weeks, and put champions in their place."""
    for name, predictor in write_champions(home).items():
        write_history(home, name, predictor.content_hash)
        if name == "churn":
            set_offset(home, name, Offset(content_hash=predictor.content_hash, **SHIFTED))
    publish(home, BEFORE, EARLIER, (metric("nps", 38.0, unit="points"), *METRICS[1:]))
    publish(
        home, MONDAY, PEOPLE, (*METRICS, *SEGMENTS), columns=COLUMNS, drift={"churn": DRIFT}, watch={"churn": WATCH}
    )
    return home
