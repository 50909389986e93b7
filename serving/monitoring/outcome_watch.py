"""The watch over published scores: weekly bets on late outcomes, the alarm, and the offset that answers it.

A week's manifest keeps the bets of all weeks since the watch began, so that the next week adds what has become final
since, and nothing is judged twice. After an alarm the offset is fitted anew on what comes in, and the watch begins
again with the first week that was scored with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vouch import models
from vouch.features.contract.tables import DAY_US
from vouch.features.errors import SnapshotError
from vouch.features.instants import instant_text
from vouch.models.quality.monitoring import has_learned_later
from vouch.models.quality.watch import LIMIT, Batch, batch_of, evidence, in_turn, offset
from vouch.models.registry.offsets import Offset, set_offset
from vouch.models.scoring.calibration import log_odds, sigmoid
from vouch.serving.snapshots.files import published, read_snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from vouch.features.asof import Tables
    from vouch.models.scoring.trees import Numbers
    from vouch.serving.scoring.score import Champion

MOST = 1e9
"""Wealth beyond which nothing more is told."""


def watch_of_week(
    home: Path, tables: Tables, champions: Mapping[str, Champion], known_us: int
) -> dict[str, dict[str, Any]]:
    """What the watch of each model says in a week, as its manifest keeps it."""
    return {name: _of_model(home, tables, champion, known_us) for name, champion in champions.items()}


def _of_model(home: Path, tables: Tables, champion: Champion, known_us: int) -> dict[str, Any]:
    name, earlier = champion.name, [instant for instant in published(home) if instant < known_us]
    before = _before(home, earlier, name)
    starts_us, alarm_us = before.get("starts_us", 0), before.get("alarm_us")
    batches = [Batch(**{**of, "gains": tuple(of["gains"])}) for of in before.get("batches", ())]
    for instant in earlier:
        if instant <= max(starts_us, batches[-1].as_of_us if batches else -1):
            continue
        rows = _rows(home, tables, name, instant, known_us)
        if rows is None:
            continue
        if alarm_us is not None and instant > alarm_us:
            starts_us, alarm_us, batches = alarm_us, None, []
        batches.append(batch_of(instant, rows[0], rows[1], rows[3]))
    judged = evidence(batches)
    alarm_us = known_us if alarm_us is None and judged.is_alarm else alarm_us
    record = {
        "weeks": len(batches), "n": sum(of.n for of in batches), "came_true": sum(of.came_true for of in batches),
        "expected": round(sum(of.expected for of in batches), 3), "wealth": round(min(judged.wealth, MOST), 6),
        "limit": LIMIT, "starts_us": starts_us, "alarm_us": alarm_us, "changed": None, "answer": None,
        "batches": [of.as_json() for of in batches],
    }  # fmt: skip
    if alarm_us is None or judged.changed_us is None:
        return record
    answer = _answer(home, tables, champion, [of for of in batches if of.as_of_us >= judged.changed_us], known_us)
    return {**record, "changed": instant_text(judged.changed_us), "answer": answer}


def _before(home: Path, earlier: list[int], name: str) -> Mapping[str, Any]:
    """What the watch of the week before kept; nothing where none did."""
    for instant in reversed(earlier):
        if manifest := _manifest(home, instant):
            return (manifest.get("watch") or {}).get(name) or {}
    return {}


def _manifest(home: Path, as_of_us: int) -> Mapping[str, Any]:
    """What is told of a published week; empty where it cannot be read. Its tables are not looked at."""
    try:
        return read_snapshot(home, as_of_us, tables=()).manifest
    except SnapshotError:
        return {}


def _rows(
    home: Path, tables: Tables, name: str, as_of_us: int, known_us: int
) -> tuple[str, Numbers, Numbers, Numbers] | None:
    """Of a published week whose outcomes are final: its bundle, and of whose turn it is the probability that was
    published, that without its offset, and whether it came true. None where there is nothing to judge."""
    facts = (_manifest(home, as_of_us).get("models") or {}).get(name)
    if facts is None or has_learned_later(facts, as_of_us):
        return None
    target = models.load(name).target_named(facts["target"])
    if as_of_us + target.matured_days * DAY_US > known_us:
        return None
    try:
        snapshot = read_snapshot(home, as_of_us, tables={"scores"})
    except SnapshotError:
        return None
    column = f"{name}_probability"
    scores = snapshot.table("scores", ["customer_id", column]).to_pandas().dropna(subset=column)
    scores = scores.loc[in_turn(scores["customer_id"].tolist(), as_of_us, target.horizon_days)]
    labels = target.label(tables, [as_of_us], known_us, target)
    rows = scores.merge(labels, on="customer_id", how="inner", validate="one_to_one").dropna(subset="label")
    if rows.empty:
        return None
    probability = rows[column].to_numpy(np.float64)
    without = sigmoid(log_odds(probability) - float(facts.get("offset") or 0.0))
    return str(facts["content_hash"]), probability, without, rows["label"].to_numpy(np.float64)


def _answer(home: Path, tables: Tables, champion: Champion, since: list[Batch], known_us: int) -> dict[str, Any] | None:
    """The offset of today's champion, of the weeks since the change that it scored; None where it scored none."""
    mine = [of for of in since if of.model == champion.content_hash]
    rows = [of for of in (_rows(home, tables, champion.name, of.as_of_us, known_us) for of in mine) if of is not None]
    if not rows or champion.content_hash is None:
        return None
    without, label = (np.concatenate([of[place] for of in rows]) for place in (2, 3))
    return {
        "content_hash": champion.content_hash, "as_of_us": known_us, "offset": offset(without, label),
        "changed_us": mine[0].as_of_us, "n": len(label), "came_true": int(label.sum()),
        "expected": round(float(without.sum()), 3),
    }  # fmt: skip


def answer_alarms(home: Path, watched: Mapping[str, Mapping[str, Any]]) -> None:
    """Write down the offsets that a published week found: they hold from the next week on, and for scores on demand."""
    for name, record in watched.items():
        if record["answer"] is not None:
            set_offset(home, name, Offset(**record["answer"]))


def watch_warnings(watched: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    """What a reader of the week should know: which probabilities do not hold, since when, and what is done."""
    for name, record in watched.items():
        if record["alarm_us"] is None:
            continue
        answer = record["answer"]
        if answer is None:
            done = "Its model was trained anew since: nothing is shifted."
        else:
            done = (
                f"{answer['came_true']} of {answer['n']} came true since where {answer['expected']:.1f} were expected: "
                f"from the next week on its log-odds are shifted by {answer['offset']:+.3f}, until it is trained again."
            )
        yield f"The probabilities of {name} do not hold since the week of {record['changed']}. {done}"
