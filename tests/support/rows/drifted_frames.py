"""Frames that a model was trained on, and frames that have moved since."""

from __future__ import annotations

import narwhals as nw
import numpy as np
import polars as pl

from support.small_model import COLUMNS, vectors
from vouch.models.outcomes import label_churn
from vouch.models.predictor import encode
from vouch.models.quality.drift import reference
from vouch.models.targets import Target

TARGET = Target("contract", label_churn, lambda v: v, horizon_days=28, gap_days=14)


def made(rows, seed):
    frame = vectors(rows, seed=seed)
    return frame, np.random.default_rng(seed).beta(1, 9, rows)


def histograms(rows=4000, seed=0):
    frame, probability = made(rows, seed)
    return reference(COLUMNS, encode(frame, COLUMNS), probability)


def lazy(frame, probability, engine="polars"):
    table = frame.assign(probability=probability)
    if engine == "polars":
        return nw.from_native(pl.from_pandas(table).lazy())
    import duckdb

    return nw.from_native(duckdb.connect().from_arrow(pl.from_pandas(table).to_arrow()))
