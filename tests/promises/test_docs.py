"""The README tells the truth: its project file loads, it names every command, it shows the demo."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from vouch.features.contract.tables import TABLES

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_project_file_of_the_readme_maps_tables_of_the_contract():
    (text,) = blocks("toml")
    assert set(tomllib.loads(text)["tables"]) <= set(TABLES)


def test_the_readme_names_every_command():
    from vouch.serving.cli import app

    commands = {command.name or command.callback.__name__ for command in app.registered_commands}
    for group in app.registered_groups:
        commands |= {command.name or command.callback.__name__ for command in group.typer_instance.registered_commands}
    assert {name for name in commands if f"vouch {name}" not in README and f"make {name}" not in README} == set()


def test_every_promise_of_the_threat_model_is_held_by_a_test_that_is_there():
    page = (ROOT / "serving" / "docs" / "THREATS.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ")][2:]
    assert len(rows) >= 10
    for row in rows:
        tests = re.findall(r"`(tests/[a-z_/]+\.py)`", row)
        assert tests, row
        assert all((ROOT / test).is_file() for test in tests), row


def test_the_readme_shows_what_the_demo_printed():
    shown = re.search(r"<!-- demo -->\n```\n(.*?)```", README, re.DOTALL)
    assert shown is not None
    assert {"lightgbm", "logistic", "health", "recency"} <= set(shown[1].split())
