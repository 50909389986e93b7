"""The revision that a run is trained at is that of the folder around it, and nothing where there is none."""

from __future__ import annotations

import subprocess

import pytest

from vouch.models.registry import revision
from vouch.models.registry.revision import git_revision

WHO = ("-c", "user.name=Mona", "-c", "user.email=mona@example.com")


def git(folder, *words):
    return subprocess.run(["git", *WHO, *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.git
def test_a_run_names_the_commit_and_whether_anything_was_changed_since(tmp_path):
    git(tmp_path, "init", "--quiet")
    assert git_revision(tmp_path) == {}, "there is no commit yet"
    (tmp_path / "models").mkdir()
    definition = tmp_path / "models" / "renewal.py"
    definition.write_text("MODEL = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "a model of our own")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert git_revision(tmp_path / "models") == {"mlflow.source.git.commit": head, "git_is_changed": "False"}
    definition.write_text("MODEL = 2\n")
    assert git_revision(tmp_path)["git_is_changed"] == "True"


def test_without_git_or_outside_of_a_repository_nothing_is_claimed(tmp_path, monkeypatch):
    assert git_revision(tmp_path) == {}
    monkeypatch.setattr(revision.shutil, "which", lambda _: None)
    assert git_revision(tmp_path) == {}
