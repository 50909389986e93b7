"""Files that are there whole or not at all, whoever else writes them."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from vouch.features.durable import replacing, write_whole


def test_several_may_write_one_file_at_once(tmp_path):
    path = tmp_path / "format.json"
    with ThreadPoolExecutor(8) as writers:
        list(writers.map(lambda number: write_whole(path, str(number) * 1_000), range(200)))
    assert path.read_text() in {str(number) * 1_000 for number in range(200)}
    assert [entry.name for entry in tmp_path.iterdir()] == ["format.json"]


def test_what_is_not_written_to_its_end_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "list.json"
    write_whole(path, "first")
    with pytest.raises(UnicodeEncodeError), replacing(path) as draft:
        draft.write_text("sec\udc80")
    assert path.read_text() == "first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["list.json"]
