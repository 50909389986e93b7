"""Feature fingerprints: a short hash of what a feature computes and of all that this rests on.

It moves with the feature's own expression, window, unit or value for nothing, with a computed column that it reads,
however far behind, with a feature that it is derived from, and with the lexicon where it rests on texts; never with
wording, nor with another feature. Models, weeks, snapshots and kept customer-days compare definitions by it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from vouch.features.expressions import as_text
from vouch.features.facts.rows import rule
from vouch.features.sentiment.learned import SENTIMENT_VERSION
from vouch.features.vectors.declare import COLUMNS, derivation_rounds, load_families

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

SIGNS = 16


def feature_fingerprints() -> dict[str, str]:
    """Return the fingerprint of each feature, in the order of the vector."""
    features, fingerprints = load_families(), {}
    for declared in features.values():
        if declared.table:
            fingerprints[declared.name] = _short([declared.definition, *rests_on(declared.table, declared.reads)])
    for level in derivation_rounds():
        for declared in level:
            fingerprints[declared.name] = _short(
                [declared.definition, *(fingerprints[name] for name in sorted(declared.sources))]
            )
    return {name: fingerprints[name] for name in features}


def rests_on(table: str, reads: Collection[str]) -> list[str]:
    """Return what stands behind columns of a table's rows as text, however deep.

    That is which rows count, computed columns, and the lexicon.
    """
    return [*filter(None, [rule(table)]), *_behind(table, reads, set())]


def _behind(table: str, reads: Collection[str], seen: set[str]) -> Iterator[str]:
    for name in sorted({*reads} - seen):
        seen.add(name)
        if name == "polarity":
            yield SENTIMENT_VERSION
        elif computed := COLUMNS.get(table, {}).get(name):
            yield f"{name} {as_text(computed.expression)}"
            yield from _behind(table, computed.reads, seen)


def combined(fingerprints: Mapping[str, str]) -> str:
    """Return one SHA-256 of the fingerprints of several features, by name and in their order."""
    return hashlib.sha256(_lines(f"{name} {of}" for name, of in fingerprints.items())).hexdigest()


def _short(texts: Iterable[str]) -> str:
    return hashlib.sha256(_lines(texts)).hexdigest()[:SIGNS]


def _lines(texts: Iterable[str]) -> bytes:
    return "\n".join(texts).encode()
