"""Reasons in words: every feature in every language, with what moved."""

from __future__ import annotations

import re

import pytest

from vouch.features.errors import UsageError
from vouch.features.vectors.declare import load_families
from vouch.features.vectors.words import LANGUAGES, _days, family, meaning, reason_text, signed, table, told

HANGUL = re.compile(r"[가-힣]")


@pytest.mark.parametrize(
    ("feature", "value", "read"),
    [
        ("active_days_28d", "3", "3 days with usage in 28 days"),
        ("active_days_28d", "1", "days with usage in 28 days: 1"),
        ("active_days_28d", "0", "no days with usage in 28 days"),
        ("orders_lifetime", 12, "12 orders so far"),
        ("tenure_days", "443.395", "443 days since the customer was created"),
        ("days_since_activity", "3.49423", "3.49 days since the latest usage event or transaction"),
        ("days_since_activity", "0", "days since the latest usage event or transaction: 0"),
        ("days_since_activity", "unknown", "days since the latest usage event or transaction: unknown"),
        ("days_since_activity", float("nan"), "days since the latest usage event or transaction: unknown"),
        ("is_leaving", "0", "has announced the end of every running subscription: no"),
        ("region", "KR-41", "region of the customer: KR-41"),
        ("spend_90d", "12345.6", "money spent in 90 days, refunds taken off: 12,346"),
        ("refund_share_365d", "0.4", "share of the money spent that was refunded in 365 days: 40 %"),
        ("usage_growth_28d", "0.3", "change of usage events in 28 days against the same span before them: about +35 %"),
        ("a_feature_of_yore", "1.2e+06", "a_feature_of_yore: 1.2e+06"),
    ],
)
def test_a_reason_reads_as_words(feature, value, read):
    assert reason_text(feature, value) == read


@pytest.mark.parametrize(
    ("feature", "before", "value", "read"),
    [
        ("tickets_28d", "0", "3", "3 tickets opened in 28 days, up from 0"),
        ("tickets_28d", "3", "0", "no tickets opened in 28 days, down from 3"),
        ("tickets_28d", "3", "3", "3 tickets opened in 28 days, as before"),
        ("tickets_28d", "unknown", "3", "3 tickets opened in 28 days, before: unknown"),
        ("rating_last", "0.5", "unknown", "latest rating, from 0 to 1: unknown, before: 0.5"),
        ("is_subscribed", "1", "0", "has a running subscription: no, before: yes"),
        ("segment", "smb", "enterprise", "segment of the customer: enterprise, before: smb"),
    ],
)  # fmt: skip
def test_what_moved_is_said_beside_it(feature, before, value, read):
    assert reason_text(feature, value, previous=before) == read


@pytest.mark.parametrize(
    ("language", "read"),
    [
        ("ko", "최근 28일간 접수한 문의: 3건, 이전 0건에서 증가"),
        ("ro", "tichete deschise în ultimele 28 de zile: 3, în creștere de la 0"),
    ],
)
def test_the_same_is_said_in_each_language(language, read):
    assert reason_text("tickets_28d", 3, language, 0) == read


def test_romanian_counts_its_days_as_the_grammar_asks():
    spans = {7: "7 zile", 19: "19 zile", 20: "20 de zile", 100: "100 de zile", 101: "101 zile", 365: "365 de zile"}
    assert {days: _days(days, "ro") for days in spans} == spans


def test_numbers_are_written_as_each_language_writes_them():
    assert reason_text("spend_90d", 12345.6, "ro").endswith(": 12.346")
    assert reason_text("csat_last", 0.25, "ro").endswith(": 0,25")
    assert reason_text("csat_last", 0.25, "ko").endswith(": 0.25")


def test_every_feature_reads_as_words_in_every_language():
    for key, translations in table()["meanings"].items():
        assert set(translations) <= {"ko", "ro"}, key
        for text in translations.values():
            assert text.count("{span}") == key.count("{span}"), key
        assert HANGUL.search(translations.get("ko", "가")), key
        assert translations.get("ro") != key
    for name, declared in load_families().items():
        for language in LANGUAGES:
            read = reason_text(name, "a" if declared.is_category else "2.5", language, None)
            assert "{" not in read, read


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_feature_that_a_language_has_no_words_for_is_told_in_english_whole(language, definitions):
    from vouch.features.vectors.aggregates import count
    from vouch.features.vectors.declare import feature

    @feature("tickets", days=(28,), unit="callbacks")
    def callbacks(rows):
        """Tickets that were called back in the {days} days before."""
        return count()

    english = "3 tickets that were called back in 28 days, up from 1"
    entry = {"cause": "definition", "feature": "callbacks_28d", "before": "1", "value": "3", "contribution": 0.4}
    assert reason_text("callbacks_28d", 3, language, 1) == english
    assert told(entry, language) == f"{english} (defined anew)"
    assert signed(entry, language) == f"raises it: {english} (defined anew)"
    assert signed({**entry, "cause": "model"}, language) == signed({"cause": "model", "contribution": 1.0}, language)
    assert family("test_words", language) == "test_words"
    meaning.cache_clear()


def test_every_unit_is_known_and_every_language_has_every_phrase():
    units = {declared.unit for declared in load_families().values()}
    assert set(table()["counters"]) <= units
    phrases = [set(table()["languages"][language]) for language in LANGUAGES]
    assert phrases[0] == phrases[1] == phrases[2]
    assert family("usage", "ko") == "사용"


def test_changes_tell_their_cause():
    entry = {"cause": "feature", "feature": "tickets_28d", "before": "0", "value": "3", "contribution": 0.4}
    assert signed(entry) == "raises it: 3 tickets opened in 28 days, up from 0"
    assert told({**entry, "cause": "definition"}).endswith("up from 0 (defined anew)")
    assert told({"cause": "model", "contribution": -0.1}, "ro") == "o versiune nouă a modelului"
    assert signed({**entry, "contribution": -0.4}, "ko").startswith("낮추는 요인: ")


def test_a_language_that_is_not_there_is_refused():
    with pytest.raises(UsageError, match="There are no words in 'kr'"):
        reason_text("tickets_28d", 3, "kr")
