"""Scrambled futures of the same past: rows not known at an instant are scrambled, deleted, withdrawn and added.

A version that was known before the instant belongs to the past even where its own time lies ahead: it may have taken
another away. Two companies that differ only in this must have the same vectors at that instant, bit by bit.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from support.rows.contract_form import Raw
from vouch.features.contract.tables import DAY_US, TABLES

LAGS_US = (0, 1, DAY_US, 40 * DAY_US)


def other_future(raw: Raw, as_of_us: int, seed: int) -> Raw:
    """The same company with another future."""
    rng = np.random.default_rng(seed)
    return {name: _other_rows(name, frame, as_of_us, rng) for name, frame in raw.items()}


def _other_rows(name: str, frame: pl.DataFrame, as_of_us: int, rng: np.random.Generator) -> pl.DataFrame:
    table = TABLES[name]
    missing = [c for c in ("ingested_at", "is_deleted") if c not in frame.columns]
    full = frame.with_columns(pl.lit(None, pl.Int64 if c == "ingested_at" else pl.Boolean).alias(c) for c in missing)
    own = pl.coalesce(clock for clock in table.clock if clock in full.columns)
    is_known = (pl.coalesce("ingested_at", own) < as_of_us).fill_null(False)
    past, future = full.filter(is_known), full.filter(~is_known)
    versions = _late_versions(name, past, as_of_us, rng)
    newcomers = _newcomers(name, past, as_of_us, rng)
    kept = future.filter(pl.Series(rng.random(len(future)) < 0.7))
    scrambled = _scrambled(name, kept, as_of_us, rng)
    rows = pl.concat([_other_later_facts(name, past, as_of_us, rng), scrambled, versions, newcomers])
    return rows.sample(fraction=1.0, shuffle=True, seed=int(rng.integers(1 << 30)))


def _sample(frame: pl.DataFrame, share: float, rng: np.random.Generator) -> pl.DataFrame:
    return frame.filter(pl.Series(rng.random(len(frame)) < share)) if len(frame) else frame


def _times(rows: int, as_of_us: int, rng: np.random.Generator) -> pl.Series:
    return pl.Series(as_of_us + rng.choice(LAGS_US, rows), dtype=pl.Int64)


def _scrambled(name: str, frame: pl.DataFrame, as_of_us: int, rng: np.random.Generator) -> pl.DataFrame:
    """Every column but the key and times permuted by itself; the own time moved beyond the instant."""
    table = TABLES[name]
    fixed = {table.key, "ingested_at", *table.clock}
    mixed = [frame[c].gather(rng.permutation(len(frame))).alias(c) for c in frame.columns if c not in fixed]
    moved = frame.with_columns(mixed)
    later = _times(len(frame), as_of_us, rng)
    return moved.with_columns(
        pl.when(pl.col("ingested_at") >= as_of_us).then(pl.col(clock)).otherwise(later).alias(clock)
        for clock in table.clock
        if clock in frame.columns
    )


def _late_versions(name: str, past: pl.DataFrame, as_of_us: int, rng: np.random.Generator) -> pl.DataFrame:
    """Corrections and withdrawals of past rows, known from the instant on."""
    chosen = _sample(past, 0.3, rng)
    mixed = _scrambled(name, chosen.with_columns(ingested_at=_times(len(chosen), as_of_us, rng)), as_of_us, rng)
    return mixed.with_columns(is_deleted=pl.Series(rng.random(len(chosen)) < 0.3, dtype=pl.Boolean))


def _newcomers(name: str, past: pl.DataFrame, as_of_us: int, rng: np.random.Generator) -> pl.DataFrame:
    """Rows like those of the past, under new keys, that happen at the instant or after it."""
    table = TABLES[name]
    chosen = _sample(past, 0.2, rng)
    fresh = chosen.with_columns(
        pl.lit(None, pl.Int64).alias("ingested_at"),
        *(_times(len(chosen), as_of_us, rng).alias(clock) for clock in table.clock if clock in past.columns),
        *([(pl.lit("new ") + pl.col(table.key)).alias(table.key)] if table.key else []),
    )
    return fresh.select(past.columns)


def _other_later_facts(name: str, past: pl.DataFrame, as_of_us: int, rng: np.random.Generator) -> pl.DataFrame:
    """What past rows say of dates that had not come, and that nobody had stated, said otherwise or left open."""
    for date, facts in TABLES[name].later.items():
        if date not in past.columns:
            continue
        there = [fact for fact in facts if fact in past.columns]
        unknown = _is_open(date, there, as_of_us)
        says = pl.Series(rng.random(len(past)) < 0.5, dtype=pl.Boolean)
        if TABLES[name].columns[date].is_required:
            says = pl.repeat(True, len(past), dtype=pl.Boolean, eager=True)
        when = _times(len(past), as_of_us, rng)
        past = past.with_columns(
            pl.when(unknown).then(pl.when(says).then(when)).otherwise(pl.col(date)).alias(date),
            *(pl.when(unknown).then(_fact(name, fact, says)).otherwise(pl.col(fact)).alias(fact) for fact in there),
        )
    return past


def _is_open(date: str, facts: list[str], as_of_us: int) -> pl.Expr:
    """Whether a row says nothing of a date that is known: it lies ahead, or is left open together with its facts."""
    is_silent = pl.all_horizontal(
        pl.lit(True),
        *(pl.col(fact) == "delivered" if fact == "status" else pl.col(fact).is_null() for fact in facts),
    )
    lies_ahead = (pl.col(date) >= as_of_us).fill_null(False)
    return pl.col("ingested_at").is_null() & (lies_ahead | (pl.col(date).is_null() & is_silent))


def _fact(name: str, fact: str, says: pl.Series) -> pl.Expr:
    """A value that the contract accepts where something is said, else what an open row holds."""
    kind = TABLES[name].columns[fact].kind
    if fact == "status":
        return pl.when(says).then(pl.lit("answered")).otherwise(pl.lit("delivered"))
    if fact == "score":
        return pl.when(says).then(pl.col("scale_max"))
    if fact == "outcome":
        return pl.when(says).then(pl.lit("declined"))
    value = {"text": pl.lit("terrible"), "boolean": pl.lit(True), "integer": pl.lit(5)}.get(kind, pl.lit(4))
    return pl.when(says).then(value.cast(pl.String) if kind == "text" else value)
