"""Exploration: places given at random, where the policy wants some.

So something is learnt of those who would not be asked otherwise. Each of those who may be asked is drawn with the same
probability, the propensity, which is logged with the ask. Who is drawn takes the place of somebody drawn at random from
the whole list. Both draws follow from a secret of the store, the week and the customer: the same on every host, in
every process, on every page of a list.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

SPAN = float(2**64)


def with_draws(frame: pd.DataFrame, share: float, secret: str, as_of_us: int) -> pd.DataFrame:
    """Return ranked candidates in the order that the draws make of it, with `is_drawn` and `order`."""
    if share <= 0:
        return frame.assign(is_drawn=False)
    may = np.flatnonzero(frame["exclusion"].isna().to_numpy())
    ids = frame["customer_id"].to_numpy(dtype=object)[may]
    digests = [hashlib.blake2b(f"{secret} {as_of_us} {customer}".encode(), digest_size=16).digest() for customer in ids]
    draws = np.frombuffer(b"".join(digests), dtype=">u8").reshape(-1, 2) / SPAN
    order = frame["order"].to_numpy(dtype=np.float64).copy()
    drawn = draws[:, 0] < share
    taken = may[np.minimum((draws[drawn, 1] * len(may)).astype(np.int64), len(may) - 1)]
    order[may[drawn]] = frame["order"].to_numpy(dtype=np.float64)[taken]
    is_drawn = np.zeros(len(frame), dtype=bool)
    is_drawn[may[drawn]] = True
    moved = frame.assign(is_drawn=is_drawn, order=order)
    return moved.sort_values(["order", "customer_id"], ascending=[False, True], na_position="last", ignore_index=True)
