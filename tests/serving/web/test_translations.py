"""The page speaks three languages, each of them whole."""

from __future__ import annotations

import re
import string

import pytest

from vouch.features.contract.tables import TABLES
from vouch.features.metrics.splits import SEGMENTS
from vouch.features.vectors.declare import load_families
from vouch.features.vectors.numerals import MINUS
from vouch.features.vectors.words import family
from vouch.models.definition import STATUSES
from vouch.models.quality.readiness import CODES
from vouch.serving.api.problems import KINDS
from vouch.serving.asking.ranking import EXCLUSIONS
from vouch.serving.presentation.translations import LANGUAGES, speech, texts
from vouch.serving.reports.report import NOT_SCORED, SCALES
from vouch.serving.snapshots.schema import NO_MODEL, TIERS
from vouch.serving.web.models import FIGURES, FIGURES_OF_VALUE
from vouch.serving.web.render import TEMPLATES, VIEWS, WORDED

ENGLISH = speech("en").texts
KEY = re.compile(r"""\bt\(["']([a-z0-9_.]+)["'](?! ~)""")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_text_has_the_same_places_to_fill_in_every_language(language):
    for key, text in texts(language).items():
        assert fields(text) == fields(ENGLISH.get(key, "")), key
        assert text.strip() == text != "", key


def test_what_a_language_lacks_is_told_in_english_whole(monkeypatch):
    monkeypatch.setattr(
        "vouch.serving.presentation.translations.texts",
        lambda language: {"a": "first {n}", "b": "second"} if language == "en" else {"b": "zweitens"},
    )
    spoken = speech.__wrapped__("ro")
    assert (spoken("a", n=1), spoken("b")) == ("first 1", "zweitens")
    with pytest.raises(KeyError):
        spoken("c")


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_text_that_a_template_asks_for_is_there():
    asked = {key for path in TEMPLATES.glob("*.jinja") for key in KEY.findall(path.read_text(encoding="utf-8"))}
    assert len(asked) > 100
    assert asked <= ENGLISH.keys()


def test_every_value_that_a_page_may_show_has_a_text():
    bands = [name.replace(" ", "_") for name in (*SCALES["churn_band"][1], NOT_SCORED)]
    health = [name.replace(" ", "_") for name in (*SCALES["health_band"][1], NOT_SCORED)]
    kinds = TABLES["advocacy_acts"].columns["kind"].values
    wanted = {
        "nav": VIEWS,
        "churn_band": bands,
        "health_band": health,
        "tier": TIERS,
        "exclusion": EXCLUSIONS,
        "state": (*STATUSES, NO_MODEL),
        "act": kinds,
        "figure": (*FIGURES, *FIGURES_OF_VALUE),
        "profile": set(SEGMENTS),
        "readiness": [f"why_{code}" for code in CODES],
    }
    missing = {f"{part}.{name}" for part, names in wanted.items() for name in names} - ENGLISH.keys()
    assert not missing
    assert {f"problem.{code}.title" for code in {*WORDED, "invalid_value"}} <= ENGLISH.keys()
    assert KINDS.keys() | {"unauthenticated", "forbidden"} >= WORDED
    for language in LANGUAGES:
        assert all(family(feature.family, language) for feature in load_families().values())


def test_numbers_and_dates_are_written_as_each_language_writes_them():
    said = {
        language: (
            speech(language).number(1234567.891, 2),
            speech(language).percent(0.1234),
            speech(language).date("2026-11-16"),
            speech(language).date("2026-11-16T06:05:00Z"),
        )
        for language in LANGUAGES
    }
    assert said == {
        "en": ("1,234,567.89", "12.3%", "16 Nov 2026", "16 Nov 2026, 06:05 UTC"),
        "ko": ("1,234,567.89", "12.3%", "2026년 11월 16일", "2026년 11월 16일, 06:05 UTC"),
        "ro": ("1.234.567,89", "12,3\N{NO-BREAK SPACE}%", "16 nov. 2026", "16 nov. 2026, 06:05 UTC"),
    }


def test_a_number_has_as_many_decimals_as_its_size_deserves_and_a_change_its_sign():
    t = speech("en")
    assert [t.number(value) for value in (None, 0, 3.0, 3.14159, 41.517, 1234.5)] == [
        "–",
        "0",
        "3",
        "3.14",
        "41.5",
        "1,234",
    ]
    assert [t.change(value, 1) for value in (None, 0, -0.01, 2.25, -2.25)] == ["–", "0.0", "0.0", "+2.2", f"{MINUS}2.2"]
    assert (t.number(-3.5), speech("ro").measure(-3.5, "points")) == (f"{MINUS}3.50", f"{MINUS}3,5")
    assert (t.brief(2_500_000), t.measure(12.3, "percent"), t.measure(0.5, "probability")) == (
        "2.5 M",
        "12.3%",
        "50.0%",
    )


def test_no_chance_is_told_as_certain_with_however_many_decimals():
    t = speech("en")
    assert [t.chance(value) for value in (None, 0.0, 0.004, 0.5, 0.996, 1.0)] == [
        "–",
        "under 1%",
        "under 1%",
        "50%",
        "over 99%",
        "over 99%",
    ]
    assert [t.chance(value, 1) for value in (0.0, 0.0004, 0.0123, 0.9996)] == [
        "under 0.1%",
        "under 0.1%",
        "1.2%",
        "over 99.9%",
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_interval_says_the_share_that_it_holds_wherever_it_stands(language):
    t = speech(language)
    row = {"ci_low": 1.0, "ci_high": 2.0, "unit": "score", "ci_method": "wilson"}
    foreseen, none = {**row, "ci_method": "out_of_time_80"}, {**row, "ci_low": None, "ci_high": None}
    usual, lesser = t.percent(0.95, 0), t.percent(0.8, 0)
    assert usual in t.between(row)
    assert usual in t.interval_name() == t.interval_name(row)
    for said in (t.between(foreseen), t.interval_name(foreseen), t.interval(foreseen)):
        assert lesser in said
        assert usual not in said
    assert (t.interval(row), t.interval(none), t.between(none)) == (f"{t.number(1.0)} – {t.number(2.0)}", "–", "")


@pytest.mark.parametrize("language", LANGUAGES)
def test_ways_through_one_page_have_names_of_their_own(language):
    t = speech(language)
    names = [t(key) for key in ("page.views", "work.states", "list.pages")]
    assert len(set(names)) == len(names)
