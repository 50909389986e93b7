"""Reasons as sentences: said as people say it, what one can act on first, nothing that says nothing."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vouch.features.vectors.declare import load_families
from vouch.features.vectors.sentences import as_sentence, for_a_list, forms_of, leads, sentence, signed
from vouch.features.vectors.words import LANGUAGES, meaning, table

FILLED = {"n", "ago", "weeks", "lasting", "span"}
NUMBERS = st.floats(-1e7, 1e7) | st.integers(-3, 3).map(float)


@pytest.mark.parametrize(
    ("feature", "value", "previous", "read"),
    [
        ("days_to_annual_renewal", "unknown", None, "Has no annual contract and can leave at any time"),
        ("days_to_annual_renewal", "23.7", "30.7", "The annual contract renews in 24 days"),
        ("days_since_usage", "0.239", "12.2", "Last used today (before: 12 days)"),
        ("days_since_usage", "0.239", None, "Last used today"),
        ("days_since_usage", "28.4", None, "No one has used it for 4 weeks"),
        ("active_days_28d", "0", "14", "No one used it in 4 weeks (before: 14 days)"),
        ("oldest_open_ticket_days", "2.13", "unknown", "A ticket has been open for 2 days (before: nothing known)"),
        ("points_earned_growth_90d", "7.64", None,
         "Loyalty points earned in 3 months: more than 10 times as much as before"),
        ("usage_growth_28d", "-0.693147", None, "Usage events in 4 weeks: down by 50%"),
        ("feedback_polarity_last", "-0.67", None, "Tone of the latest review or remark: negative"),
        ("resolution_hours_365d", "162.2", None, "Tickets took 7 days to resolve in a year"),
        ("survey_answered_share_365d", "0.333333", None, "Answered 33% of the surveys in a year"),
        ("tenure_days", "800", None, "Customer for 2 years"),
        ("spend_90d", "12345.6", None, "Spent 12,346 in 3 months"),
        ("nps_last", "9", "9", "Answered 9 of 10 to whether to recommend"),
        ("a_feature_of_yore", "3", None, "a_feature_of_yore: 3"),
    ],
)  # fmt: skip
def test_a_reason_is_said_as_people_say_it(feature, value, previous, read):
    assert sentence(feature, value, "en", previous) == read


@pytest.mark.parametrize(
    ("language", "read"),
    [
        ("ko", "최근 4주간 3일 사용 (이전: 9일)"),
        ("ro", "Folosit în 3 zile în ultimele 4 săptămâni (înainte: 9 zile)"),
    ],
)
def test_the_same_is_said_in_each_language(language, read):
    assert sentence("active_days_28d", "3", language, "9") == read


def test_every_sentence_is_there_in_every_language_for_the_same_cases():
    known = {meaning(name).key for name in load_families()}
    assert set(table()["sentences"]) <= known
    for key in table()["sentences"]:
        forms = {language: forms_of(key, language) for language in LANGUAGES}
        assert len({frozenset(of) for of in forms.values()}) == 1, key
        for case in forms["en"]:
            filled = [{name for _, name, _, _ in string.Formatter().parse(of[case]) if name} for of in forms.values()]
            assert set.union(*filled) <= FILLED, key
            assert len({frozenset(names & {"span"}) for names in filled}) == 1, (key, case)
    phrases = [set(table()["phrases"][language]) for language in LANGUAGES]
    assert phrases[0] == phrases[1] == phrases[2]
    assert set(table()["fixed"]["meanings"]) | set(table()["fixed"]["where_absent"]) <= known


@given(st.sampled_from(sorted(load_families())), NUMBERS, st.sampled_from(LANGUAGES), st.none() | NUMBERS)
def test_whatever_the_value_a_sentence_is_whole_and_says_no_absurd_per_cent(feature, value, language, previous):
    text = sentence(feature, str(value), language, None if previous is None else str(previous))
    assert not set("{}") & set(text)
    assert text == text.strip() != ""
    assert "unknown" not in text
    if meaning(feature).unit == "log ratio":
        assert all(int(number) <= 100 for number in re.findall(r"(\d+)\s?%", text)), text


def test_a_list_tells_first_what_one_can_act_on_and_nothing_of_exactly_0():
    reasons = [
        {"feature": "region", "value": "US-NY", "contribution": 0.9},
        {"feature": "days_to_annual_renewal", "value": "unknown", "contribution": 0.8},
        {"feature": "csat_last", "value": "unknown", "contribution": 0.7},
        {"feature": "days_since_ticket", "value": "unknown", "contribution": -0.6},
        {"feature": "tickets_open", "value": "1", "contribution": 0.5},
        {"feature": "active_days_28d", "value": "3", "contribution": 0.0},
    ]
    names = [reason["feature"] for reason in for_a_list(reasons)]
    assert names == ["days_since_ticket", "tickets_open", "region", "days_to_annual_renewal"]
    assert [reason["feature"] for reason in for_a_list(reasons[2:3])] == ["csat_last"], "rather than none at all"
    assert for_a_list(reasons, 1) == [reasons[3]]


@given(st.lists(st.fixed_dictionaries({"feature": st.sampled_from(sorted(load_families())),
                                       "value": st.sampled_from(["unknown", "0", "2.5"]),
                                       "contribution": st.floats(-2, 2)}), max_size=12))  # fmt: skip
def test_a_list_only_chooses_and_keeps_the_order_within_what_leads(reasons):
    chosen = for_a_list(reasons)
    assert all(reason in reasons and reason["contribution"] for reason in chosen)
    for leading in (True, False):
        of = [reason for reason in chosen if leads(reason) == leading]
        assert of == [reason for reason in reasons if any(reason is one for one in of)]


def test_what_was_defined_anew_and_a_new_model_are_told():
    entry = {"cause": "definition", "feature": "active_days_28d", "before": "1", "value": "3", "contribution": 0.4}
    assert as_sentence(entry) == "Used on 3 days in 4 weeks (before: 1 day) (defined anew)"
    assert signed({"cause": "model", "contribution": -0.1}, "en") == "lowers it: a new version of the model"
