"""Files without a history: why no table of the contract comes of them, and how they are trained on as they are."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from vouch.features.discovery.links import normal
from vouch.features.naming.words import phrase_of_reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.features.discovery.columns import Source
    from vouch.features.discovery.links import Customer


def no_history(sources: Mapping[str, Source], customer: Customer) -> str:
    """Why nothing can be made of files that hold customers and no times, and what can be."""
    return (
        f"No file says when anything happened: beside {customer.key} there is no time that an event or a sale could "
        f"have. There are: {_listed(sources)}. {_flat_way(sources, customer)}"
    )


def nobody(sources: Mapping[str, Source]) -> str:
    """Why nothing can be made of files that name no customer, and what can be."""
    return (
        f"No column is called like a customer. There are: {_listed(sources)}. Name it with --answer customer=COLUMN. "
        f"{_flat_way(sources, None)}"
    )


def _listed(sources: Mapping[str, Source]) -> str:
    return "; ".join(f"{name}: {', '.join(source.columns)}" for name, source in sources.items())


def _flat_way(sources: Mapping[str, Source], customer: Customer | None) -> str:
    """How a table of one row per customer is trained on, with its own names where it has what looks like a label.

    A column is an id only where it has another value in every row.
    """
    for source in sources.values():
        labels = [name for name, of in source.columns.items() if of.distinct == 2 and phrase_of_reason(name, "leak")]
        if labels:
            key = customer.columns.get(source.name) if customer is not None else None
            is_id = key is not None and source.columns[key].is_unique
            options = ["--table", str(source.path), "--label", labels[0], *(["--id", key] if key and is_id else [])]
            ids = "" if is_id else ", with the number of the row as the id"
            return (
                f"{source.path.name} looks like one row per customer with the label {labels[0]}{ids}: "
                f"vouch train leavers {shlex.join(options)}, then "
                f"vouch score --table {shlex.quote(str(source.path))} --model leavers --out scores.parquet"
            )
    named = "" if customer is None or not _is_id(sources, customer) else f" --id {shlex.quote(customer.key)}"
    return (
        "One row per customer with a label can be trained on as it is: "
        f"vouch train NAME --table FILE --label COLUMN{named}"
    )


def _is_id(sources: Mapping[str, Source], customer: Customer) -> bool:
    """Whether some file has another value of the customer's key in every row."""
    return any(
        column.is_unique for source in sources.values() for column in source.columns.values()
        if normal(column.name) == normal(customer.key)
    )  # fmt: skip
