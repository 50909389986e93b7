"""What a service maps into memory is what the store was given: checked when opened, and watched while it serves."""

from __future__ import annotations

import os
import random
import struct
from pathlib import Path

import pyarrow as pa
import pytest
from sqlalchemy import delete

from support.handwritten_weeks import customer, publish
from vouch.serving.api.problems import Problem
from vouch.serving.api.state import ServingState
from vouch.serving.store.mapped import FOLDER, MappedFile, mapped
from vouch.serving.store.tables import mapped_files

PEOPLE = [customer(f"c{number:03}") for number in range(60)]


@pytest.fixture
def home(tmp_path):
    publish(tmp_path, people=PEOPLE)
    store = ServingState(tmp_path)
    store.refresh()
    assert store.is_ready
    store.stop()
    return tmp_path


def files_of(home):
    return sorted((home / FOLDER).glob("*.arrow"))


def answers(home) -> list[dict]:
    """What a service that starts now says of everybody; and that it had nothing to complain of."""
    store = ServingState(home)
    store.refresh()
    found = store.portfolio
    told = [{**found.scores.at(row), **found.customers.at(row)} for row in range(len(found.scores))]
    store.stop()
    return told


def scores_file(home):
    return next(path for path in files_of(home) if "churn_probability" in pa.ipc.open_file(str(path)).schema.names)


def with_another_probability(path) -> bytes:
    """The file with one probability patched, as somebody would who knows its form."""
    whole = path.read_bytes()
    batch = pa.ipc.open_file(str(path)).get_batch(0)
    held = batch.column("churn_probability")[7].as_py()
    assert whole.count(struct.pack("<d", held)) >= 1
    return whole.replace(struct.pack("<d", held), struct.pack("<d", 0.987654), 1)


SPOILT = {
    "patched": with_another_probability,
    "cut": lambda path: path.read_bytes()[:1000],
    "empty": lambda _: b"",
    "of zeros": lambda path: bytes(len(path.read_bytes())),
    "longer": lambda path: path.read_bytes() + b"x",
    "another file": lambda path: next(p for p in files_of(path.parents[2]) if p != path).read_bytes(),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_file_that_is_not_as_it_was_written_is_written_anew_at_the_next_start(home, how):
    good, path = answers(home), scores_file(home)
    whole = path.read_bytes()
    path.write_bytes(SPOILT[how](path))
    assert answers(home) == good
    assert path.read_bytes() == whole


def test_any_flipped_byte_is_found(home):
    good, draw = answers(home), random.Random(3)
    for path in files_of(home):
        whole = path.read_bytes()
        for _ in range(5):
            place = draw.randrange(len(whole))
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            assert answers(home) == good
            assert path.read_bytes() == whole


def test_a_file_that_is_as_it_was_written_is_not_written_again(home):
    before = {path: path.stat().st_mtime_ns for path in files_of(home)}
    answers(home)
    assert {path: path.stat().st_mtime_ns for path in files_of(home)} == before


def test_a_file_whose_digest_the_store_does_not_know_is_written_again(home):
    before = {path: path.stat().st_mtime_ns for path in files_of(home)}
    store = ServingState(home)
    with store.database.writing() as connection:
        connection.execute(delete(mapped_files))
    store.stop()
    answers(home)
    assert not {path.stat().st_mtime_ns for path in files_of(home)} & set(before.values())


def test_a_file_that_is_written_to_while_it_is_served_is_never_answered_from(home):
    store = ServingState(home)
    store.refresh()
    good = [store.portfolio.scores.at(row) for row in range(len(PEOPLE))]
    path = scores_file(home)
    for spoilt in (with_another_probability(path), path.read_bytes()[:1000]):
        with path.open("r+b") as file:  # in place: the bytes in memory change
            file.write(spoilt)
            file.truncate(len(spoilt))
        assert not store.is_ready
        with pytest.raises(Problem, match="unavailable"):
            _ = store.portfolio
        store.refresh()
        assert [store.portfolio.scores.at(row) for row in range(len(PEOPLE))] == good
    store.stop()


def test_a_file_that_loses_its_name_is_served_on(home):
    store = ServingState(home)
    store.refresh()
    before = store.portfolio
    for path in files_of(home):
        path.unlink()
    assert store.is_ready
    assert store.portfolio is before
    store.stop()


def test_what_could_not_be_written_whole_is_not_there(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    batch = pa.RecordBatch.from_pydict({"customer_id": ["a"]})
    for place in ("vouch.features.durable.flush_file", "pyarrow.ipc.new_file"):
        with monkeypatch.context() as patch:
            patch.setattr(place, full)
            with pytest.raises(OSError, match="No space"):
                mapped(tmp_path, "a.arrow", None, [batch])
        assert [path.name for path in (tmp_path / FOLDER).iterdir()] == ["building.lock"]
    assert len(mapped(tmp_path, "a.arrow", None, [batch]).rows()) == 1


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    seen = []
    real = os.fsync
    monkeypatch.setattr(
        "os.fsync",
        lambda descriptor: (seen.append(Path(f"/proc/self/fd/{descriptor}").readlink().name), real(descriptor)),
    )
    batch = pa.RecordBatch.from_pydict({"customer_id": ["a"]})
    mapped(tmp_path, "a.arrow", None, [batch])
    assert seen == ["a.building", "weeks"]


def test_a_mapped_file_has_the_digest_of_its_bytes(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    found = MappedFile(path)
    assert found.digest == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert found.is_intact
    path.write_bytes(b"abd")
    assert not found.is_intact
