"""Heavy work and room for bodies: shared fairly among callers, and never more than there is."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from vouch.serving.api.limits import turns
from vouch.serving.api.limits.bodies import BodyRoom
from vouch.serving.api.limits.turns import Turns
from vouch.serving.api.problems import Problem


class Work:
    """Work that waits until it is let go, and notes when each began."""

    def __init__(self):
        self.begun, self.at_once, self.most = [], 0, 0
        self.go, self._lock = threading.Event(), threading.Lock()

    def of(self, name):
        def work():
            with self._lock:
                self.begun.append(name)
                self.at_once += 1
                self.most = max(self.most, self.at_once)
            self.go.wait(10)
            with self._lock:
                self.at_once -= 1
            return name

        return work


async def asked(line: Turns, work: Work, callers: str) -> list[asyncio.Task]:
    """A request of each caller, in this order."""
    tasks = []
    for place, who in enumerate(callers):
        tasks.append(asyncio.create_task(line.run(who, work.of(f"{who}{place}"))))
        await asyncio.sleep(0)
    return tasks


def test_who_asks_for_one_thing_waits_for_one_turn_however_much_another_has_asked_for():
    async def run():
        line, work = Turns(1), Work()
        tasks = await asked(line, work, "aaaaaabac")
        work.go.set()
        await asyncio.gather(*tasks)
        return work.begun

    assert asyncio.run(run()) == ["a0", "a1", "b6", "c8", "a2", "a3", "a4", "a5", "a7"]


@pytest.mark.parametrize("places", [1, 2, 3])
def test_no_more_is_done_at_once_than_there_are_places_and_all_of_it_is_done(places):
    async def run():
        line, work = Turns(places), Work()
        work.go.set()
        for _ in range(3):  # places that were given back can be had again
            found = await asyncio.gather(*await asked(line, work, "abcdeabcde"))
            assert found == [f"{who}{place}" for place, who in enumerate("abcdeabcde")]
        return work.most

    assert asyncio.run(run()) <= places


@pytest.mark.parametrize("limit", ["WAITING_OF_ONE", "MOST_WAITING"])
def test_beyond_what_may_wait_one_is_told_to_come_again_at_once(monkeypatch, limit):
    monkeypatch.setattr(turns, limit, 3)

    async def run():
        line, work = Turns(1), Work()
        tasks = await asked(line, work, "aaaa")
        with pytest.raises(Problem) as refused:
            await line.run("a", work.of("more"))
        if limit == "WAITING_OF_ONE":
            tasks += await asked(line, work, "b")
        work.go.set()
        await asyncio.gather(*tasks)
        assert await line.run("a", work.of("later")) == "later"
        return refused.value

    problem = asyncio.run(run())
    assert (problem.code, problem.status) == ("busy", 503)


def test_who_has_waited_for_too_long_or_has_gone_costs_nothing_more(monkeypatch):
    monkeypatch.setattr(turns, "WAIT_SECONDS", 0.1)

    async def gone():
        return True

    async def run():
        line, work = Turns(1), Work()
        (first,) = await asked(line, work, "a")
        late, cancelled = await asked(line, work, "ab")
        cancelled.cancel()
        with pytest.raises(Problem):
            await late
        work.go.set()
        await first
        with pytest.raises(Problem):
            await line.run("a", work.of("of who has gone"), gone)
        assert await line.run("a", work.of("next")) == "next"
        assert line.waiting == 0
        return work.begun

    assert asyncio.run(run()) == ["a0", "next"]


def test_an_error_gives_the_place_back():
    async def run():
        line = Turns(1)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await line.run("a", lambda: 1 / 0)
        return await line.run("a", time.monotonic)

    assert asyncio.run(run()) > 0


def test_bodies_have_room_in_bytes_in_all_and_of_one_caller():
    room = BodyRoom(most=10, most_of_one=6)
    with room.held("a") as of_a, room.held("b") as of_b:
        of_a(4)
        with room.held("a") as more, pytest.raises(Problem, match="busy"):
            more(3)
        of_b(6)
        with room.held("c") as other, pytest.raises(Problem, match="busy"):
            other(1)
    with room.held("a") as again:
        again(6)
        with pytest.raises(Problem, match="busy"):
            again(1)
    with room.held("c") as last:
        last(6)


def test_however_many_small_bodies_there_are_none_is_refused_for_their_number():
    room = BodyRoom(most=10_000, most_of_one=10_000)
    held = [room.held(str(place)) for place in range(1_000)]
    for one in held:
        one.__enter__()(10)
    for one in held:
        one.__exit__(None, None, None)
    with room.held("a") as all_of_it:
        all_of_it(10_000)
