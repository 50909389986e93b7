"""The history of every figure, line by line, and the page of the documentation that shows it.

A run adds what it has measured; a row of the page shows the newest figure and those before, so that a row that became
slower is seen by whoever reads the change.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from measuring import ROOT

HISTORY = Path(__file__).with_name("history.jsonl")
PAGE = ROOT / "serving" / "docs" / "speed.md"
SHOWN_BEFORE = 4
TITLE = """# Speed, measured

Ratios against a named reference of the same run, so that machines and their moods cancel out. `make bench` measures
what fits into minutes and writes this page; `make bench ONLY="scale serving"` measures what it names, and says first
what the machine lacks for it. Earlier figures of a row stand behind its newest, newest first; the commit is where the
newest was measured.
"""


def recorded(path: Path = HISTORY) -> list[dict[str, Any]]:
    """All rows that were ever kept, oldest first."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def record(rows: Iterable[Mapping[str, Any]], run: Mapping[str, Any], path: Path = HISTORY) -> None:
    """Add the rows of a run; `run` says when, where and of which commit it was."""
    lines = "".join(json.dumps({**run, **row}, ensure_ascii=False, sort_keys=True) + "\n" for row in rows)
    with path.open("a", encoding="utf-8") as file:
        file.write(lines)


def page(rows: Iterable[Mapping[str, Any]]) -> str:
    """The page: a table for each benchmark, a line for each of its rows."""
    by_benchmark: dict[str, dict[tuple[str, str], list[Mapping[str, Any]]]] = {}
    for row in rows:
        of = by_benchmark.setdefault(row["benchmark"], {})
        of.setdefault((row["name"], row["reference"]), []).append(row)
    return TITLE + "".join(_section(name, by_benchmark[name]) for name in sorted(by_benchmark))


def _section(name: str, of: Mapping[tuple[str, str], list[Mapping[str, Any]]]) -> str:
    newest = max((row for rows in of.values() for row in rows), key=lambda row: row["date"])
    lines = [
        f"\n## {name}\n",
        f"{newest['date']}, commit {newest['commit'][:7]}, {_machine(newest['machine'])}.\n",
        "| what | against | ratio | target | before | of the newest |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for rows in of.values():
        *earlier, last = rows
        before = ", ".join(f"{row['ratio']:.3g}" for row in reversed(earlier[-SHOWN_BEFORE:]))
        lines.append(
            "| "
            + " | ".join(
                _cell(text)
                for text in (last["name"], last["reference"], _ratio(last), last["target"], before, last["note"])
            )
            + " |"
        )
    return "\n".join(lines) + "\n"


def _ratio(row: Mapping[str, Any]) -> str:
    return f"{row['ratio']:.3g}" + (" **missed**" if row["met"] is False else "")


def _machine(machine: Mapping[str, Any]) -> str:
    libraries = ", ".join(f"{name} {version}" for name, version in machine["libraries"].items())
    where = f"{machine['cores']} cores, {machine['memory_gib']:g} GiB, {machine['architecture']}"
    return f"{where}, Python {machine['python']}; {libraries}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def write_page() -> None:
    """Write the page anew from the history."""
    PAGE.write_text(page(recorded()), encoding="utf-8")
