"""What each feature computes, as one short hash of its own: two vectors tell by it which of their features compare."""

from __future__ import annotations

import hashlib
import re

from vouch.features.facts.rows import rule
from vouch.features.sentiment.polarity import LEXICON_VERSION
from vouch.features.vectors.declare import COLUMNS, Feature, load_families

_COLUMN = re.compile(r"col\((\w+)\)")
SIGNS = 16


def definition_hashes() -> dict[str, str]:
    """Hash of each feature by name, over its definition and over all that it rests on; wording is left out of it."""
    features = load_families()
    return {name: _hash(features, declared) for name, declared in features.items()}


def _hash(features: dict[str, Feature], declared: Feature) -> str:
    parts = [declared.definition, *_row_columns(declared.table, declared.definition, set())]
    if declared.table and (text := rule(declared.table)):
        parts.append(text)
    parts += [_hash(features, features[source]) for source in sorted(declared.sources)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:SIGNS]


def _row_columns(table: str | None, text: str, seen: set[str]) -> list[str]:
    """The computed columns that a definition reads, and those that these read, as text."""
    found = []
    for name in sorted(set(_COLUMN.findall(text)) - seen):
        seen.add(name)
        if name == "polarity":
            found.append(f"lexicon {LEXICON_VERSION}")
        elif table and name in COLUMNS.get(table, {}):
            expression = repr(COLUMNS[table][name].expression)
            found += [f"{name} {expression}", *_row_columns(table, expression, seen)]
    return found
