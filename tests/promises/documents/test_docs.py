"""README and documentation tell the truth: project files load, every command is named, every link leads somewhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from vouch.features.contract.tables import TABLES
from vouch.features.feature_settings import parse_features
from vouch.features.table_settings import parse_table
from vouch.serving.docs.pages import ADDRESS, CATALOGUE, as_html, documentation

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [page.path for page in documentation().values() if page.name != CATALOGUE]
TEXTS = {path: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES)}
ONE_SCREEN = 60


def blocks(language: str) -> list[str]:
    found = "\n".join(TEXTS.values())
    return re.findall(rf"^```{language}\n(.*?)^```$", found, re.MULTILINE | re.DOTALL)


def test_the_readme_is_one_screen():
    assert len(README.splitlines()) <= ONE_SCREEN


def test_every_file_of_documentation_is_a_page_and_begins_with_its_title():
    files = {path.stem for path in (ROOT / "serving" / "docs").glob("*.md")}
    assert files == {path.stem for path in PAGES}
    assert all(page.path.read_text(encoding="utf-8").startswith("# ") for page in documentation().values())


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_every_link_leads_to_a_file_and_a_part_that_are_there(path):
    for place, _, part in re.findall(r"\]\((?!https?:)([^)#\s]*)(#([^)\s]*))?\)", TEXTS[path]):
        to = (path.parent / place).resolve() if place else path
        assert to.exists(), f"{path.name}: {place}"
        if part:
            titles = re.findall(r"^#+ (.*)$", to.read_text(encoding="utf-8"), re.MULTILINE)
            assert part in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", documentation())
def test_a_page_is_shown_with_links_that_the_service_answers(name):
    shown = as_html(name)
    assert "<!--" not in shown
    for address in re.findall(r'href="([^"#]*)', shown):
        assert address == "" or address.startswith("https://") or address.removeprefix(f"{ADDRESS}/") in documentation()


def test_a_link_to_a_part_of_a_page_leads_to_its_heading():
    shown = {name: as_html(name) for name in documentation()}
    links = {link for page in shown.values() for link in re.findall(r'href="/app/docs/([\w-]+)#([^"]+)"', page)}
    assert links
    assert not {link for link in links if f'<h2 id="{link[1]}">' not in shown[link[0]]}


def test_no_page_is_shown_that_is_none():
    assert as_html("../../README") is None


@pytest.mark.parametrize("text", blocks("toml"))
def test_a_project_file_of_the_documentation_maps_tables_of_the_contract_or_declares_its_own(text):
    given = tomllib.loads(text)
    own = given.get("tables", {}).keys() - TABLES.keys()
    tables = {name: parse_table(Path("vouch.toml"), name, given["tables"][name]) for name in own}
    lines = parse_features(Path("vouch.toml"), given.get("features", {})).lines
    assert {line.table for line in lines} <= TABLES.keys() | tables.keys() | {"visits"}


def test_the_page_on_serving_names_every_route():
    from vouch.serving.api.doors import API_ROUTES

    told = TEXTS[ROOT / "serving" / "docs" / "serving.md"]
    assert {route.path for route in API_ROUTES if f"{route.path}`" not in told} == set()


def test_readme_and_documentation_name_every_command():
    from vouch.serving.cli import app

    commands = {command.name or command.callback.__name__ for command in app.registered_commands}
    for group in app.registered_groups:
        commands |= {command.name or command.callback.__name__ for command in group.typer_instance.registered_commands}
    told = "\n".join(TEXTS.values())
    assert {name for name in commands if f"vouch {name}" not in told and f"make {name}" not in told} == set()


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
    assert {"lightgbm_family", "logistic", "health", "recency"} <= set(shown[1].split())
