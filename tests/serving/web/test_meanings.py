"""What a metric means is told in the reader's language: what it says, formula, unit, who counts, why it is null."""

from __future__ import annotations

import pytest

from vouch.features.metrics.catalogue import load_metrics
from vouch.serving.monitoring.guards import load_guards
from vouch.serving.presentation.meanings import key_of, known, meaning, meanings, null_reason
from vouch.serving.presentation.translations import LANGUAGES, speech

OTHERS = [language for language in LANGUAGES if language != "en"]


@pytest.mark.parametrize("language", OTHERS)
def test_what_is_filled_in_stands_as_often_as_in_english(language):
    for part in meanings(language).values():
        for english, words in part.items():
            assert words.count("{}") == english.count("{}"), english
            assert words.strip() == words != english, english


@pytest.mark.parametrize("language", OTHERS)
def test_each_published_metric_is_told_whole_in_the_language_of_the_page(language):
    t = speech(language)
    for metric in load_metrics().values():
        for text in (metric.description, metric.formula, metric.unit, metric.population):
            assert known(t, text), text
        for line in metric.null_where:
            assert "lang=" not in null_reason(t, line), line


@pytest.mark.parametrize("language", OTHERS)
def test_each_limit_that_refuses_a_week_is_told_in_the_language_of_the_page(language, tmp_path):
    t = speech(language)
    for guard in load_guards(tmp_path).values():
        assert "lang=" not in meaning(t, guard.meaning), guard.meaning


@pytest.mark.parametrize("language", OTHERS)
def test_a_metric_of_ones_own_is_told_as_its_author_wrote_it_and_marked_as_english(language):
    told = meaning(speech(language), "Share of <parcels> that came late.")
    assert told == '<span lang="en">Share of &lt;parcels&gt; that came late.</span>'
    assert meaning(speech("en"), "Share of <parcels>.") == "Share of &lt;parcels&gt;."


def test_numbers_and_what_is_missing_are_filled_in_as_the_language_writes_them():
    ro, ko = speech("ro"), speech("ko")
    assert null_reason(ro, "`suppressed`: n is below 30").endswith(": n este sub 30")
    assert null_reason(ro, "`not_applicable`: without surveys or feedback").endswith(": fără surveys sau feedback")
    assert null_reason(ko, "`not_applicable` (`no_input`): there are no capex") == "해당 없음: 자본 지출이 없을 때"
    assert meaning(ro, "the cost is known of fewer than 0.8 of the treated").endswith("0,8 dintre cei tratați")
    assert key_of("no model of 7 days, without usage_events.channel") == "no model of {} days, without {}"


def test_a_changed_definition_is_told_in_english_and_never_by_the_words_of_the_old_one():
    t = speech("ko")
    nps = load_metrics()["nps"].formula
    assert known(t, nps)
    assert known(t, nps.replace("answers", "replies")) is None


@pytest.mark.parametrize(
    "reason",
    [
        "n is below 5",
        "no_input: no earlier week is published in the home",
        "skill -0.12 against persistence in 42 weeks",
    ],
)
def test_why_a_value_of_a_week_is_null_is_told_in_the_language(reason):
    for language in OTHERS:
        assert "lang=" not in meaning(speech(language), reason)
