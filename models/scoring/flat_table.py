"""The description of a flat table in a bundle: which columns a model reads, how, and what its label means.

A model of a flat table reads no features of the register: its columns are its own, and this says how a file gives them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vouch.features.discovery.flat import FlatColumn
from vouch.models.scoring.bundle import TABLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vouch.models.scoring.feature_matrix import Column


def described(
    columns: Sequence[FlatColumn], read: Sequence[Column], positive: str, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """What a bundle keeps of the table that it was fitted on."""
    names = {column.name for column in read}
    return {
        **settings,
        "positive": positive,
        "columns": [
            {"name": column.name, "column": column.column, "kind": column.kind}
            for column in columns
            if column.name in names
        ],
    }


def columns_of(manifest: Mapping[str, Any], columns: Sequence[Column]) -> tuple[FlatColumn, ...]:
    """The columns that a model of a flat table reads."""
    categories = {column.name: column.categories for column in columns}
    return tuple(
        FlatColumn(of["name"], of["column"], of["kind"], categories[of["name"]]) for of in manifest[TABLE]["columns"]
    )
