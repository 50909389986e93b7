"""What the service keeps of answers has an end, whatever it is asked."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vouch.serving.asking.ranked_list import (
    ROOM_BYTES,
    ROOM_ENTRIES,
    ArrayCache,
    DerivedCache,
    RowCache,
    size_of,
)
from vouch.serving.asking.ranking import Filters

EMPTY = np.empty(0, dtype=np.int32)


def asked(number: int) -> Filters:
    """As long a question as a request may ask, of names that nobody has."""
    names = tuple(f"{number}-{place}".ljust(200, "x") for place in range(50))
    return Filters(segments=names, regions=names[::-1], languages=tuple(name + "y" for name in names))


def test_empty_answers_to_long_questions_have_an_end():
    kept, room = ArrayCache(room_bytes=2**20), 2**20
    tracemalloc.start()
    for number in range(600):  # 18 MB of questions
        kept.get(asked(number), lambda: EMPTY)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 3 * room
    assert 1 < len(kept) < 600


def test_there_are_only_so_many_answers():
    kept = ArrayCache()
    for number in range(3 * ROOM_ENTRIES):
        kept.get(number, lambda: EMPTY)
    assert len(kept) == ROOM_ENTRIES


def test_the_size_of_a_question_is_about_what_it_takes():
    tracemalloc.start()
    held = [asked(number) for number in range(50)]
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0.5 < sum(map(size_of, held)) / taken < 2
    assert size_of((held[0], (1, 2))) > size_of(held[0])


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 2_000)), max_size=80))
def test_room_is_never_exceeded_and_what_is_kept_is_what_was_made(wanted):
    kept = ArrayCache(room_bytes=8_000, room_entries=5)
    for key, size in wanted:
        found = kept.get(key, lambda size=size, key=key: np.full(size, key, dtype=np.int32))
        assert (found == key).all()
        assert len(kept) <= 5
        assert kept._used == sum(size for _, size in kept._held.values())
        assert kept._used <= 8_000 or len(kept) == 1
    assert ROOM_BYTES <= 64 * 2**20


@pytest.mark.parametrize("kind", ["derived", "rows"])
def test_what_is_still_made_of_a_state_that_has_moved_is_kept_nowhere(kind):
    cache, state = (DerivedCache() if kind == "derived" else RowCache()), {"is": "before"}

    def told(make):
        return cache.of("who", make) if kind == "derived" else cache.of("who", 0, lambda _: make())

    def moves_meanwhile():
        seen = dict(state)
        state["is"] = "after"
        cache.clear()
        return seen

    told(moves_meanwhile)
    assert "after" in str(told(lambda: dict(state)))
    assert "after" in str(told(lambda: {"is": "not made again"}))
