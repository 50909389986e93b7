"""The sentiment lexicon: the words of lexicon.toml, read once, in the form in which texts are matched."""

from __future__ import annotations

import functools
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

HANGUL = "가-힣ㄱ-ㅣ"
LATIN_WORD = r"@\S+|https?:\S+|[a-z0-9_]+(?:'[a-z_]+)*"


@dataclass(frozen=True)
class Words:
    """The words of one language: weights of whole words and of beginnings (or Korean stems), and its grammar."""

    whole: dict[str, int]
    beginnings: dict[str, int]
    negators: frozenset[str]
    negators_after: frozenset[str]
    stronger: frozenset[str]
    weaker: frozenset[str]
    contrasts: frozenset[str]
    common: frozenset[str]

    @property
    def grammar(self) -> frozenset[str]:
        """The words that change the weight of others."""
        return self.negators | self.stronger | self.weaker | self.contrasts

    @property
    def listed(self) -> frozenset[str]:
        """Every word that counts as it stands."""
        return self.grammar | self.common | self.whole.keys()

    @property
    def phrases(self) -> frozenset[str]:
        """Every entry of more than one word, with _ for the spaces."""
        return frozenset(word for word in self.listed | self.beginnings.keys() if "_" in word)

    def weight(self, word: str) -> int:
        """Return the weight of a word, by itself or else by its longest beginning."""
        if word in self.whole:
            return self.whole[word]
        beginnings = (word[:size] for size in range(len(word), 0, -1))
        return next((self.beginnings[start] for start in beginnings if start in self.beginnings), 0)


NOTHING = Words({}, {}, *[frozenset[str]()] * 6)  # for texts in a language that is not read


@dataclass(frozen=True)
class Lexicon:
    """Everything that is read from lexicon.toml, ready to be matched."""

    english: Words
    romanian: Words
    korean: Words
    symbols: dict[str, int]
    other: frozenset[str]
    phrases: dict[str, str]
    token: str  # a pattern: a Latin word, a Korean one, marks, or one sign of any other script


@functools.cache
def lexicon() -> Lexicon:
    """Read the lexicon that lies beside this module."""
    data = tomllib.loads((Path(__file__).parent / "lexicon.toml").read_text(encoding="utf-8"))
    english, romanian, korean = (_words(data[name]) for name in ("en", "ro", "ko"))
    return Lexicon(
        english=english,
        romanian=romanian,
        korean=korean,
        symbols=_weights(data["symbols"]),
        other=frozenset(data["other"]["common"].split()),
        phrases=_emoticons(data["emoticons"]) | _phrases(english, romanian, korean),
        token=rf"{LATIN_WORD}|[{HANGUL}]+|[.!?\n]+|[,;:]|[^\s\x00-\x7f{HANGUL}]",
    )


def _weights(groups: dict[str, str]) -> dict[str, int]:
    return {word: int(weight) for weight, words in groups.items() for word in words.split()}


def _words(part: dict[str, Any]) -> Words:
    weights, grammar = _weights(part["words"]), part["grammar"]
    listed = ("negators", "negators_after", "stronger", "weaker", "contrasts", "common")
    return Words(
        whole={word: weight for word, weight in weights.items() if not word.endswith("*")},
        beginnings={word[:-1]: weight for word, weight in weights.items() if word.endswith("*")},
        **{name: frozenset(grammar.get(name, "").split()) for name in listed},
    )


def _phrases(*languages: Words) -> dict[str, str]:
    """Map the phrases, as they stand in a text, to one word each; longer ones first."""
    phrases = frozenset[str]().union(*(part.phrases for part in languages))
    return {f" {word.replace('_', ' ')}": f" {joined(word)}" for word in sorted(phrases, key=_longest_first)}


def joined(phrase: str) -> str:
    """Return a phrase as one word: Korean is often written without its spaces, so that both ways become one."""
    return phrase if phrase.isascii() else phrase.replace("_", "")


def _emoticons(groups: dict[str, str]) -> dict[str, str]:
    """Map what is typed for a face to the face; what could be part of a word or an address must stand alone."""
    faces = {typed.replace("-", " "): face for face, typed_so in groups.items() for typed in typed_so.split()}
    return {
        (f" {typed}" if re.search(r"[\w/]", typed) else typed): f" {faces[typed]}"
        for typed in sorted(faces, key=_longest_first)
    }


def _longest_first(word: str) -> tuple[int, str]:
    return -len(word), word


def one_of(words: Iterable[str]) -> str:
    """Return a pattern of any of the words, longer ones first."""
    return "|".join(re.escape(word) for word in sorted(words, key=_longest_first))
