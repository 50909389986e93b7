"""Search for people: customers by the beginning of any word of name, account or id, whatever its case and Unicode form.

Texts are folded alike on both sides: compatibility form, no accents, small letters, so that `stefan` finds `Ștefan` and
a name that came decomposed is found by one that was typed. Nothing of what was asked for is kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from vouch.serving.store.mapped import Rows

Places = np.ndarray[Any, np.dtype[np.intp]]
ACCENTS, PARTING = r"\p{Mn}", r"[\s\-_.,;:/()'\"]+"
SEARCHED = ("customer_id", "name", "account_name", "account_id")
DIGITS_FROM = 3
"""So many digits find an id that holds them anywhere."""


def folded(texts: pa.Array) -> pa.Array:
    """Return texts as they are compared.

    >>> folded(pa.array(["\\u0218tefan  MÜLLER-Sand"]))[0].as_py()
    'stefan muller sand'
    """
    plain = pc.replace_substring_regex(pc.utf8_normalize(texts, form="NFKD"), pattern=ACCENTS, replacement="")
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(pc.utf8_lower(plain), pattern=PARTING, replacement=" "))


@dataclass(frozen=True)
class PeopleIndex:
    """What customers of a week are found by, folded once, in the order of its tables."""

    texts: pa.Array
    ids: pa.Array
    names: pa.Array
    mrr: np.ndarray[Any, np.dtype[np.float64]]

    def find(self, text: str) -> Places:
        """Return the rows of those found: an exact id first, then names that begin so, then by revenue."""
        asked = folded(pa.array([text]))[0].as_py()
        words = asked.split()
        if not words:
            return np.empty(0, dtype=np.intp)
        keep = np.ones(len(self.texts), dtype=bool)
        for word in words:
            has_word = _holds(self.texts, f" {word}")
            if re.fullmatch(rf"\d{{{DIGITS_FROM},}}", word):
                has_word |= _holds(self.ids, word)
            keep &= has_word
        rows = np.flatnonzero(keep)
        if not len(rows):
            return rows
        ids, names = self.ids.take(pa.array(rows)), self.names.take(pa.array(rows))
        is_exact = _mask(pc.equal(ids, asked))
        begins = _mask(pc.starts_with(names, asked))
        order = np.lexsort((rows, -np.nan_to_num(self.mrr[rows]), ~begins, ~is_exact))
        places: Places = rows[order]
        return places


def people_index(scores: Rows, customers: Rows) -> PeopleIndex:
    """Fold what the customers of a week are found by."""
    columns = [_searched(scores if name == "customer_id" else customers, name) for name in SEARCHED]
    texts = pc.binary_join_element_wise(pa.scalar(""), *columns, " ", null_handling="skip")
    return PeopleIndex(texts, columns[0], columns[1], customers.column("mrr").to_numpy())


def _searched(rows: Rows, name: str) -> pa.Array:
    """A column as it is compared; empty in weeks of an earlier version."""
    if name not in rows.schema.names:
        return pa.array([""] * len(rows))
    return folded(pc.fill_null(rows.column(name).combine_chunks(), ""))


def folded_column(texts: np.ndarray[Any, np.dtype[np.object_]]) -> np.ndarray[Any, np.dtype[np.object_]]:
    """Return texts as they are compared, with a blank before each."""
    plain = folded(pa.array(texts, pa.string())).to_pylist()
    return np.asarray([f" {text}" for text in plain], dtype=object)


def _holds(texts: pa.Array, part: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return _mask(pc.match_substring(texts, part))


def _mask(column: pa.Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=bool)
