"""Activity: who is active at an instant. A running subscription, or usage or a transaction in 90 days."""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.contract.tables import DAY_US
from vouch.features.facts.spans import runs

if TYPE_CHECKING:
    from vouch.features.asof import Frame

ACTIVE_DAYS = 90
"""Usage or a transaction within so many days makes an active customer."""


def is_recent(last_us: nw.Expr, at_us: int) -> nw.Expr:
    """Whether the latest usage or transaction before an instant is recent enough to make a customer active."""
    return last_us >= at_us - ACTIVE_DAYS * DAY_US


def active(at_us: int, used: Frame | None, stays: Frame | None) -> Frame:
    """The active customers: `customer_id`, each once.

    `used` holds `last_us` by customer, `stays` is as `facts.stays` gives it; None where the company has no
    such tables, but not both.
    """
    customers = []
    if used is not None:
        customers.append(used.filter(is_recent(nw.col("last_us"), at_us)).select("customer_id"))
    if stays is not None:
        customers.append(stays.filter(runs(nw.col("started_us"), nw.col("end_us"), at_us)).select("customer_id"))
    return nw.concat(customers).unique()
