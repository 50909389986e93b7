"""A splitter by time with an embargo, as scikit-learn takes it: whoever judges on it judges without a leak.

A row may be fitted on once its outcome is final. A split that only puts earlier rows first would fit on outcomes that
were not known yet at the instant that is judged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from vouch.features.contract.tables import DAY_US
from vouch.features.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

Positions = np.ndarray[Any, np.dtype[np.int64]]
TIME = "as_of_us"


class EmbargoSplit:
    """Rows to fit on and later rows to judge on, one split per instant, the newest last.

    It goes where scikit-learn takes `cv`: `GridSearchCV(..., cv=EmbargoSplit(28)).fit(X, y, groups=panel["as_of_us"])`.

    >>> instants = [day * 86_400_000_000 for day in (0, 14, 28, 42)]
    >>> for fit, judge in EmbargoSplit(28).split(np.zeros((4, 1)), groups=instants):
    ...     print(fit, judge)
    [0] [2]
    [0 1] [3]
    """

    def __init__(self, embargo_days: int, most: int | None = None) -> None:
        """Take days until an outcome is final, lead, horizon and gap together, and how many of the newest splits."""
        if embargo_days < 0 or (most is not None and most < 1):
            raise UsageError("An embargo is no negative number of days, and there is at least one split")
        self.embargo_days, self.most = embargo_days, most

    def __repr__(self) -> str:
        """As it was made."""
        return f"EmbargoSplit({self.embargo_days}{'' if self.most is None else f', {self.most}'})"

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[Positions, Positions]]:
        """Positions of rows to fit on, all of whose outcomes were final, and of those of one instant to judge.

        `groups` are the instants of the rows in microseconds; without them `X` has a column `as_of_us`. `y` is not
        looked at. Raises UsageError where nobody says the instants, or no two lie far enough apart.
        """
        times = _times(X, groups)
        judged = self._judged(times)
        if not len(judged):
            raise UsageError(f"No instant lies {self.embargo_days} days after another: there is nothing to split")
        for instant in judged:
            fitted = np.flatnonzero(times + self.embargo_days * DAY_US <= instant)
            yield fitted, np.flatnonzero(times == instant)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """How many splits there are of these rows."""
        return len(self._judged(_times(X, groups)))

    def _judged(self, times: Positions) -> Positions:
        """The instants that have rows before them whose outcomes were final."""
        instants = np.unique(times)
        if len(instants):
            instants = instants[instants >= instants[0] + self.embargo_days * DAY_US]
            instants = instants[instants > times.min()]
        return instants if self.most is None else instants[-self.most :]


def _times(rows: Any, groups: Any) -> Positions:
    if groups is not None:
        return np.asarray(groups, dtype=np.int64)
    frame = nw.from_native(rows, eager_only=True, pass_through=True)
    if not isinstance(frame, nw.DataFrame) or TIME not in frame.columns:
        raise UsageError(f"Say at which instant each row stands: groups=panel[{TIME!r}]")
    return np.asarray(frame[TIME].to_numpy(), dtype=np.int64)
