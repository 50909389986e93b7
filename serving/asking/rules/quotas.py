"""Quotas, pure: asks are spread over groups of customers, so that not one segment is asked all the time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.serving.asking.rules.policy import Policy


@dataclass(frozen=True)
class Groups:
    """How many customers and how many asks each group has, by column; `total` asks in all."""

    customers: Mapping[str, Mapping[str, int]]
    asks: Mapping[str, Mapping[str, int]]
    total: int

    def is_over(self, column: str, group: str | None, policy: Policy) -> bool:
        """Whether one more ask would be more than the part of a group; the quota counts from a number of asks on.

        The part is rounded up, so that there is always a group that may be asked.
        """
        if group is None or self.total < policy.quotas.free_asks:
            return False
        of_column = self.customers[column]
        share = of_column.get(group, 0) / max(sum(of_column.values()), 1)
        part = math.ceil(policy.quotas.times_its_share * share * (self.total + 1))
        return self.asks[column].get(group, 0) + 1 > part
