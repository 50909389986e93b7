"""Words: what a company's names of files, columns and values mean, by phrases in several languages.

Names are compared as words: `orderTS`, `Order_TS` and `order ts` are one. A name that holds a phrase beside other words
says it less surely than one that is nothing else.
"""

from __future__ import annotations

import math
import re
import tomllib
import unicodedata
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_PART = re.compile(r"[^\w]+|_+")
EXACT, IN_CONTEXT, WITHIN = 1.0, 0.95, 0.75
ZONES = ("utc", "gmt")
"""Words that say how a time is written, and nothing of what it is."""
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})


@cache
def vocabulary() -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """Phrases by section and concept, as `words.toml` has them."""
    text = resources.files("vouch.features.naming").joinpath("words.toml").read_text(encoding="utf-8")
    return {
        section: {concept: tuple(phrases) for concept, phrases in concepts.items()}
        for section, concepts in tomllib.loads(text).items()
    }


@cache
def tokens(name: str) -> tuple[str, ...]:
    """The words of a name, without accents, in lower case, singular where English would add an s.

    A word that is written together with the word it ends in, as German, Dutch and Korean do, is both.

    >>> tokens("CustomerID"), tokens("Kündigungs-Datum"), tokens("order_purchase_timestamps")
    (('customer', 'id'), ('kuendigung', 'datum'), ('order', 'purchase', 'timestamp'))
    >>> tokens("Belegdatum"), tokens("주문일자")
    (('beleg', 'datum'), ('주문', '일자'))
    """
    parted = unicodedata.normalize("NFC", _HUMP.sub(" ", name)).translate(_UMLAUTS)
    plain = unicodedata.normalize("NFKD", parted)
    plain = unicodedata.normalize("NFC", "".join(sign for sign in plain if not unicodedata.combining(sign)))
    words = [_singular(word) for part in _PART.sub(" ", plain.casefold()).split() for word in _compound(part)]
    return tuple(word for word in words if word not in ZONES) or tuple(words)


def _compound(word: str) -> tuple[str, ...]:
    """A word that ends in another, as both."""
    head = next((end for end in vocabulary()["names"]["heads"] if word.endswith(end) and word != end), None)
    return (word,) if head is None else (word.removesuffix(head), head)


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


def name_likeness(name: str, phrases: Iterable[str], context: Sequence[str] = ()) -> float:
    """How surely a name says one of some phrases, 0 to 1; `context` are words of the table, that may be left unsaid.

    >>> name_likeness("order_id", ["order id"]), name_likeness("review_score", ["score"], ("order", "review"))
    (1.0, 0.95)
    >>> 0 < name_likeness("net order amount", ["amount"]) < 0.75, name_likeness("paper", ["age"])
    (True, 0.0)
    """
    words = tokens(name)
    bare = tuple(word for word in words if word not in context) or words
    return max((_phrase_likeness(words, bare, tokens(phrase)) for phrase in phrases), default=0.0)


def _phrase_likeness(words: tuple[str, ...], bare: tuple[str, ...], phrase: tuple[str, ...]) -> float:
    if words == phrase or "".join(words) == "".join(phrase):
        return EXACT
    if bare == phrase:
        return IN_CONTEXT
    size = len(phrase)
    if any(words[start : start + size] == phrase for start in range(len(words) - size + 1)):
        return WITHIN * math.sqrt(size / len(words))
    return 0.0


def column_phrases(column: str) -> tuple[str, ...]:
    """Phrases for a column of the contract: its own name, with and without what says that it is a time or a flag."""
    own = [column, re.sub(r"_(at|s)$", "", column), re.sub(r"^is_", "", column)]
    return (*dict.fromkeys(own), *vocabulary()["columns"].get(column, ()))


def table_likeness(name: str, table: str) -> float:
    """How surely a file's name says that it is a table of the contract; how it was handed over says nothing of it.

    >>> table_likeness("crm-export-all-tickets-2026-11-23", "tickets") > 0.9
    True
    """
    said = [word for word in tokens(name) if word not in vocabulary()["names"]["handed_over"] and not word.isdigit()]
    return name_likeness(" ".join(said) or name, (table, *vocabulary()["tables"].get(table, ())))


def phrase_of_reason(name: str, reason: str) -> str | None:
    """The phrase by which a column's name gives a reason to leave it out, None where it does not."""
    words = tokens(name)
    for phrase in vocabulary()["reasons"][reason]:
        wanted = tokens(phrase)
        size = len(wanted)
        if words == wanted or any(words[at : at + size] == wanted for at in range(len(words) - size + 1)):
            return phrase
    return None


def value_meant(value: str, allowed: Iterable[str]) -> str | None:
    """What a company's word for a value is in the contract's words, None where it is none of them.

    >>> value_meant("Monthly", ["month", "year"]), value_meant("weekly", ["month", "year"])
    ('month', None)
    """
    known = vocabulary()["values"]
    scored = {meant: name_likeness(value, (meant, *known.get(meant, ()))) for meant in allowed}
    best = max(scored, key=lambda meant: scored[meant], default=None)
    return best if best is not None and scored[best] >= IN_CONTEXT else None


def truth_words(values: Iterable[str]) -> dict[str, str]:
    """Which of two values says yes and which no, where each says one of them; else nothing.

    >>> truth_words(["Ja", "Nein"]), truth_words(["a", "b"])
    ({'Ja': 'true', 'Nein': 'false'}, {})
    """
    meant = {value: value_meant(value, ("true", "false")) for value in values}
    return {value: said for value, said in meant.items() if said} if {*meant.values()} == {"true", "false"} else {}


def is_cancelled(value: str) -> bool:
    """Whether a value of a status says that nothing came of it."""
    return name_likeness(value, vocabulary()["values"]["cancelled"]) > 0
