"""Gains of an ask: what each kind is expected to bring of each customer, and by what that is known.

By `uplift` where asks at random have shown what asking adds (who would have done it anyway counts nothing), by
`response` where only who accepts is known, by `affinity` (who speaks up unasked) where neither is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from vouch.models.scoring.effects import RESPONSE, UPLIFT

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

AFFINITY = "affinity"
BASES = (AFFINITY, RESPONSE, UPLIFT)
"""What a list is ranked by, the weakest first."""
EFFECTS = "response_effects"
Numbers = np.ndarray[Any, np.dtype[np.float64]]


class Gains(NamedTuple):
    """By customer and kind: expected acts, NaN where they are not known, and the place in `BASES`."""

    acts: Numbers
    basis: np.ndarray[Any, np.dtype[np.int8]]


def gains(customers: pd.DataFrame, names: Sequence[str], by_affinity: Numbers) -> Gains:
    """Return what asks of each kind bring; `by_affinity` is what is taken where nothing is known of asking."""
    acts, basis = by_affinity.copy(), np.zeros(by_affinity.shape, dtype=np.int8)
    if EFFECTS not in customers:
        return Gains(acts, basis)
    rows, entries = flattened(customers[EFFECTS])
    if not len(rows):
        return Gains(acts, basis)
    place_of = {name: place for place, name in enumerate(names)}
    places = np.asarray([place_of.get(kind, -1) for kind in entries.field("kind").to_pylist()], dtype=np.int64)
    treated, effect = (
        entries.field(name).to_numpy(zero_copy_only=False).astype(np.float64) for name in ("treated", "effect")
    )
    is_effect, known = ~np.isnan(effect), (places >= 0) & ~np.isnan(treated)
    acts[rows[known], places[known]] = np.where(is_effect, effect, treated)[known]
    basis[rows[known], places[known]] = np.where(is_effect, BASES.index(UPLIFT), BASES.index(RESPONSE))[known]
    return Gains(acts, basis)


def flattened(lists: pd.Series[Any]) -> tuple[np.ndarray[Any, np.dtype[np.int64]], pa.Array]:
    """Return the entries of a column of lists, and the row of each.

    >>> import pandas as pd
    >>> rows, values = flattened(pd.Series([["a"], None, ["b", "c"]]))
    >>> rows.tolist(), values.to_pylist()
    ([0, 2, 2], ['a', 'b', 'c'])
    """
    import pandas as pd

    is_arrow = isinstance(lists.dtype, pd.ArrowDtype)
    held = pa.array(lists.array) if is_arrow else pa.array(lists.tolist(), from_pandas=True)
    whole = held.combine_chunks() if isinstance(held, pa.ChunkedArray) else held
    if pa.types.is_null(whole.type):
        return np.empty(0, dtype=np.int64), pa.array([], pa.null())
    return pa.compute.list_parent_indices(whole).to_numpy(), pa.compute.list_flatten(whole)
