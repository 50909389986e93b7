"""One search over everything that vouch keeps or has written, for some customers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from vouch.serving.lifecycle.inventory import HOLDINGS

if TYPE_CHECKING:
    from collections.abc import Collection

    from vouch.serving.lifecycle.subject import Held, Subject


@dataclass
class SearchHits:
    """How often customers were found where, without the rows themselves."""

    counted: Counter[Held] = field(default_factory=Counter)

    @property
    def customer_ids(self) -> set[str]:
        """Who was surely found; a number in a text may be a figure, and a tombstone is nobody any more."""
        return {held.customer_id for held in self.counted if held.customer_id is not None and held.is_sure}

    def of(self, customer_ids: Collection[str]) -> dict[tuple[str, str], int]:
        """How many rows erasing some of them takes, by place and by what it does there."""
        rows: Counter[tuple[str, str]] = Counter()
        for held, number in self.counted.items():
            if not held.stays and (held.customer_id is None or held.customer_id in customer_ids):
                rows[held.place, held.how] += number
        return dict(rows)


def search(subject: Subject) -> SearchHits:
    """Look through every entry of the home."""
    hits = SearchHits()
    for holding in HOLDINGS:
        hits.counted.update(replace(held, row=None) for held in holding.read(subject, holding.name))
    return hits
