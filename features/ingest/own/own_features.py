"""Kept own features: `$VOUCH_HOME/own_features.json` says what was made of own columns at the last reading.

Who serves a model reads no tables, and still must know the features that it reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vouch.features.durable import as_written, sealed, write_whole
from vouch.features.ingest.own.tables import OwnTables
from vouch.features.vectors.lines import use_lines

if TYPE_CHECKING:
    from pathlib import Path

FILE = "own_features.json"
FORM = 1


def save_own_features(home: Path, own: OwnTables) -> None:
    """Keep what was made of own columns, where it is other than what is kept, and let the register end with it."""
    use_lines(own.lines, own.tables)
    if own == load_own_features(home):
        return
    home.mkdir(parents=True, exist_ok=True)
    write_whole(home / FILE, sealed({"form": FORM, **own.as_dict()}))


def load_own_features(home: Path) -> OwnTables:
    """What was made of own columns at the last reading; nothing where nothing was read yet."""
    content = as_written(home / FILE, FORM)
    return OwnTables() if content is None else OwnTables.of(content)


def register_own_features(home: Path) -> None:
    """Let the register of features end with those that were made at the last reading."""
    own = load_own_features(home)
    use_lines(own.lines, own.tables)
