"""Meanings of features in words: whole in every language, or in English whole."""

from __future__ import annotations

import re

import pytest

from vouch.features.errors import UsageError
from vouch.features.vectors.declare import load_families
from vouch.features.vectors.sentences import sentence
from vouch.features.vectors.words import LANGUAGES, family, table

HANGUL = re.compile(r"[가-힣]")


def test_every_meaning_is_translated_whole():
    for key, translations in table()["meanings"].items():
        assert set(translations) <= {"ko", "ro"}, key
        for text in translations.values():
            assert text.count("{span}") == key.count("{span}"), key
        assert HANGUL.search(translations.get("ko", "가")), key
        assert translations.get("ro") != key


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_feature_that_a_language_has_no_words_for_is_told_in_english_whole(language, definitions):
    from vouch.features.vectors.aggregates import count
    from vouch.features.vectors.declare import feature

    @feature("tickets", days=(28,), unit="callbacks")
    def callbacks(rows):
        """Tickets that were called back in the {days} days before."""
        return count()

    assert sentence("callbacks_28d", 3, language, 1) == "3 tickets that were called back in 4 weeks (before: 1)"
    assert family("test_words", language) == "test_words"


def test_every_unit_is_known_and_every_language_has_every_phrase():
    units = {declared.unit for declared in load_families().values()}
    assert set(table()["counters"]) <= units
    phrases = [set(table()["phrases"][language]) for language in LANGUAGES]
    assert phrases[0] == phrases[1] == phrases[2]
    assert family("usage", "ko") == "사용"


def test_a_language_that_is_not_there_is_refused():
    with pytest.raises(UsageError, match="There are no words in 'kr'"):
        sentence("tickets_28d", 3, "kr")
