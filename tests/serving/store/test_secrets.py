"""Secrets of a store: drawn once, whoever asks first, and no reason for anybody to read a week again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from vouch.serving.store.connection import Database
from vouch.serving.store.secrets import secret


def test_a_secret_is_drawn_once_and_moves_no_mark(tmp_path):
    database = Database(tmp_path)
    before = database.versions()
    with ThreadPoolExecutor(8) as pool:
        drawn = set(pool.map(lambda _: secret(database, "exploration"), range(8)))
    assert len(drawn) == 1
    assert secret(database, "another") not in drawn
    assert database.versions() == before
    database.close()
