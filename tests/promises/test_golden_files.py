"""What definitions compute was read by somebody: what stands in golden files is made still, additions are listed."""

from __future__ import annotations

import pytest

from support.golden_files import FILES, difference

KEPT = "# One\n\nfirst\nalike\n\n# Two\n\nsecond\nalike\n"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_was_reviewed_is_made_still(path, record_property):
    found = difference(path.read_text(encoding="utf-8"), FILES[path]())
    for line in found.added:
        record_property("added", f"{path.name}: {line}")
    told = "\n".join(found.gone)
    assert not found.gone, f"changed, moved or gone in {path.name}: run `make golden`, and read the difference\n{told}"


@pytest.mark.parametrize(
    ("made", "gone", "added"),
    [
        (KEPT, (), ()),
        ("# Nought\n\nalike\n\n" + KEPT, (), ("# Nought", "alike")),
        (KEPT.replace("first", "nought\nfirst"), (), ("nought",)),
        (KEPT + "third\n", (), ("third",)),
        (KEPT.replace("first", "fist"), ("first",), ("fist",)),
        (KEPT.replace("second\nalike", "second"), ("alike",), ()),
        (KEPT.replace("first\n", ""), ("first",), ()),
        (KEPT.replace("first\nalike", "alike\nfirst"), ("alike",), ()),
        (KEPT.replace("# Two", "# Three"), ("# Two", "second", "alike"), ("# Three", "second", "alike")),
    ],
)
def test_what_is_added_is_told_apart_from_what_is_changed_moved_or_gone(made, gone, added):
    found = difference(KEPT, made)
    assert (found.gone, found.added) == (gone, added)
