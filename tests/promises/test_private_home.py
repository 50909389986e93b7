"""Nobody but the user reads what vouch writes; where several users share a home, nobody but their group."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.faults import BEFORE, with_champions
from support.servers.running_service import serving
from vouch.features.private import close_all, keep_private


@pytest.fixture
def mask():
    """The mask that most systems set, and the one of before afterwards."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def modes(*folders: Path) -> dict[str, str]:
    """The mode of everything that was written, by its path."""
    paths = [path for folder in folders for path in (folder, *folder.rglob("*"))]
    return {str(path): oct(path.lstat().st_mode & 0o7777) for path in paths if not path.is_symlink()}


def written(vouch, home: Path, company: Path, out: Path) -> None:
    """What commands, training and the service write."""
    with_champions(home, company, BEFORE)
    assert vouch("score", company)[0] == 0
    assert vouch("export", "--to", "csv", "--out", out / "crm")[0] == 0
    assert vouch("report", "--out", out / "week.html", "--text", out / "week.txt")[0] == 0
    assert vouch("keys", "create", "crm", "--scope", "write")[0] == 0
    assert vouch("models")[0] == 0
    assert vouch("erase", "c-none", "--in-advance")[0] == 0
    with serving(home, out / "log"):
        pass


@pytest.mark.parametrize(("shared", "file", "folder"), [(False, "0o600", "0o700"), (True, "0o660", "0o2770")])
def test_what_is_written_is_closed_to_others(vouch, mask, tmp_path, small_company, monkeypatch, shared, file, folder):
    home, out = tmp_path / "home", tmp_path / "out"
    monkeypatch.setenv("VOUCH_HOME_SHARED", "1" if shared else "0")
    out.mkdir()
    before = keep_private(home, shared)
    written(vouch, home, small_company, out)
    found = {path: mode for path, mode in modes(home).items() if mode not in (file, folder)}
    assert not found
    assert {mode for path, mode in modes(home).items() if Path(path).is_dir()} == {folder}
    outside = modes(out / "crm", out / "week.html", out / "week.txt")
    assert all(int(mode, 8) & 0o007 == 0 for mode in outside.values())
    os.umask(before)


def test_a_home_of_an_earlier_release_is_closed_at_the_next_command_and_within_by_clean(vouch, mask, tmp_path):
    home = tmp_path / "home"
    (home / "runs").mkdir(parents=True)
    (home / "runs" / "score.json").write_text("{}")
    assert vouch("keys", "list")[0] == 0
    assert modes(home)[str(home)] == "0o700"
    assert modes(home)[str(home / "runs" / "score.json")] == "0o644"
    code, out, _ = vouch("clean")
    assert code == 0
    assert "2 files and folders are closed to other users now" in out
    assert set(modes(home).values()) == {"0o600", "0o700"}
    assert close_all(home) == 0


def test_a_home_that_was_shared_stays_so_for_whoever_comes(vouch, mask, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o2770)
    assert vouch("keys", "list")[0] == 0
    assert set(modes(home).values()) == {"0o660", "0o2770"}


def test_a_command_leaves_the_mask_of_its_caller(vouch, mask):
    assert vouch("keys", "list")[0] == 0
    assert os.umask(0o022) == 0o022
