"""Categories that only a few people have in common: they would name somebody in what is kept for good, so are pooled.

Models, cards and published metrics outlive the people whom they were made from: what stands in them by name is had by
`FEWEST` customers at least.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

FEWEST = 5
"""Customers who must have a category in common for it to be named."""
OTHER = "other"
"""What the rarer ones are called together."""


def pooled(labels: Sequence[str], named: Container[str] = ()) -> list[str]:
    """Labels, one per customer, of which those that too few have read as OTHER; some are `named` whatever they are.

    >>> pooled(["a"] * 5 + ["b", "c"], named="c")
    ['a', 'a', 'a', 'a', 'a', 'other', 'c']
    """
    counts = Counter(labels)
    rare = {label for label, customers in counts.items() if customers < FEWEST and label not in named}
    return [OTHER if label in rare else label for label in labels]
