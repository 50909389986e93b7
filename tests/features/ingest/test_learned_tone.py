"""Texts are judged by what was learned of rated ones known before them, everywhere alike, and by nothing later."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from vouch.features.asof import view
from vouch.features.ingest.stage import open_tables, stage, tables_from_rows
from vouch.features.ingest.texts.learned_tone import SENTIMENT, Learned, learned_of
from vouch.features.project import Project

START = datetime(2024, 1, 1, tzinfo=UTC)
NOW_US = int((START + timedelta(days=400)).timestamp() * 1e6)
GOOD, BAD = ("zorvat", "plimo", "krestu", "vandi"), ("mugrol", "snefta", "torpad", "bluvik")
EVEN = ("dar", "ket", "oni", "pas", "rul", "tam", "sef", "wob", "nek", "lar")
"""Words of no language: what they mean is told by ratings alone."""


def _texts(count: int, seed: int = 0) -> list[dict[str, object]]:
    chance = random.Random(seed)
    rows = []
    for number in range(count):
        is_good = chance.random() < 0.5
        words = [*chance.sample(EVEN, 4), chance.choice(GOOD if is_good else BAD)]
        chance.shuffle(words)
        rows.append(
            {
                "feedback_id": f"f{number:04}", "customer_id": f"c{number % 7}", "source": "own_site",
                "occurred_at": START + timedelta(hours=9 * number), "text": " ".join(words),
                "rating": None if number % 5 == 0 else (5 if is_good else 1),
                "rating_max": None if number % 5 == 0 else 5, "is_good": is_good,
            }
        )  # fmt: skip
    return rows


def _staged(tmp_path, rows, name="data"):
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    people = [{"customer_id": f"c{number}", "created_at": START} for number in range(7)]
    pl.DataFrame(people).write_parquet(folder / "customers.parquet")
    pl.DataFrame(rows).drop("is_good").write_parquet(folder / "feedback.parquet")
    events = [{"customer_id": "c0", "occurred_at": START, "event": "login"}]
    pl.DataFrame(events).write_parquet(folder / "usage_events.parquet")
    project = Project(home=tmp_path / f"home of {name}", location=str(folder))
    return project, stage(project, NOW_US)


def _tones(staged, as_of: datetime, engine="duckdb") -> dict[str, int | None]:
    rows = view(open_tables(staged, engine), "feedback", int(as_of.timestamp() * 1e6)).collect("polars").to_native()
    return dict(rows.sort("feedback_id").select("feedback_id", "polarity").iter_rows())


LATE = START + timedelta(days=350)


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    rows = _texts(900)
    return rows, *_staged(tmp_path_factory.mktemp("learned"), rows)


def test_unrated_texts_in_no_known_language_are_read_once_enough_are_rated(company):
    rows, project, staged = company
    tones = _tones(staged, LATE)
    first = learned_of(project.home).from_us[0]
    unrated = [row for row in rows if row["rating"] is None and row["feedback_id"] in tones]
    later = [row for row in unrated if row["occurred_at"].timestamp() * 1e6 >= first]
    right = [(tones[row["feedback_id"]] > 0) == row["is_good"] for row in later]
    assert len(right) > 60
    assert sum(right) > 0.9 * len(right)
    before = [tones[row["feedback_id"]] for row in unrated if row not in later]
    assert before
    assert set(before) == {0}  # the lexicon knows none of the words


def test_what_comes_later_cannot_change_how_a_text_sounds(company, tmp_path):
    rows, _, staged = company
    as_of = START + timedelta(days=200)
    chance = random.Random(1)
    scrambled = [
        row if row["occurred_at"] < as_of
        else {**row, "text": chance.choice(GOOD), "rating": chance.choice((1, 5)), "rating_max": 5}
        for row in rows
    ]  # fmt: skip
    _, other = _staged(tmp_path, scrambled + [{**scrambled[-1], "feedback_id": f"x{n}"} for n in range(300)])
    assert _tones(other, as_of) == _tones(staged, as_of)


def test_every_engine_and_order_of_rows_reads_the_same(company, tmp_path):
    rows, _, staged = company
    mixed = random.Random(2).sample(rows, len(rows))
    _, other = _staged(tmp_path, mixed)
    assert _tones(other, LATE) == _tones(staged, LATE) == _tones(staged, LATE, "polars")


def test_a_request_reads_a_text_as_the_company_does(company):
    rows, project, staged = company
    held = [{key: value for key, value in row.items() if key != "is_good"} for row in rows[::13]]
    as_json = [{**row, "occurred_at": row["occurred_at"].isoformat()} for row in held]
    people = [{"customer_id": f"c{number}", "created_at": START.isoformat()} for number in range(7)]
    tables, _ = tables_from_rows({"customers": people, "feedback": as_json}, NOW_US, learned=learned_of(project.home))
    asked = view(tables, "feedback", int(LATE.timestamp() * 1e6)).collect("polars").to_native()
    tones = _tones(staged, LATE)
    found = dict(asked.select("feedback_id", "polarity").iter_rows())
    assert found == {name: tones[name] for name in found}


def test_a_damaged_or_missing_model_is_learned_again(tmp_path):
    project, staged = _staged(tmp_path, _texts(400))
    models = sorted((project.home / SENTIMENT).glob("*.npz"))
    written = [path.read_bytes() for path in models]
    assert written
    models[0].write_bytes(b"damaged")
    again = stage(replace(project), NOW_US)
    assert _tones(again, LATE) == _tones(staged, LATE)
    assert [path.read_bytes() for path in models] == written


def test_few_rated_texts_leave_the_lexicon_and_the_home_alone(tmp_path):
    project, _ = _staged(tmp_path, _texts(100))
    assert learned_of(project.home) is None
    assert not (project.home / SENTIMENT).exists()


def test_a_week_more_costs_a_week_and_comes_to_the_same_as_all_at_once(company, tmp_path, monkeypatch):
    rows, _, _ = company
    _, whole = _staged(tmp_path, rows, "whole")
    _staged(tmp_path, rows[:840], "grown")
    judge, judged = Learned.polarity, []

    def counting(self, texts, known_us):
        judged.append(len(texts))
        return judge(self, texts, known_us)

    monkeypatch.setattr(Learned, "polarity", counting)
    _, grown = _staged(tmp_path, rows, "grown")
    assert judged == [12]  # of 60 new texts, those without a rating
    files = [(staged.folder / "feedback.parquet").read_bytes() for staged in (whole, grown)]
    assert files[0] == files[1]


def test_a_text_is_judged_again_where_the_models_before_it_are_others(company, tmp_path):
    """The rating of an early text is mended: all that was learned from it is learned again."""
    rows, _, _ = company
    _staged(tmp_path, rows, "mended")
    mended = [{**row, "rating": 6 - row["rating"]} if row["feedback_id"] == "f0004" else row for row in rows]
    _, again = _staged(tmp_path, mended, "mended")
    _, fresh = _staged(tmp_path, mended, "fresh")
    files = [(staged.folder / "feedback.parquet").read_bytes() for staged in (again, fresh)]
    assert files[0] == files[1]
