"""Sixty personal values in every text column of every table: none stands where it should not, and none at all once the
people are erased, who are named as they were never staged: decomposed and padded."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import sys
import unicodedata
from contextlib import redirect_stderr, redirect_stdout
from itertools import cycle
from pathlib import Path

import polars as pl
import pytest

from support.faults import MONDAY, NOW, handed_over
from support.rows.table_files import REQUIRED
from support.searching import names_in
from vouch.features.contract.tables import TABLES
from vouch.serving import cli

NAMES = ("Ana Ionescu", "\uae40\ubbfc\uc900", "Zo\u00eb Quartermain", "\u0218tefan \u021a\u0103rn\u0103", "Jos\u00e9")
PEOPLE = [f"{name} planted{number:02}" for number, name in enumerate(NAMES * 2)]
"""Ten customers, whose ids are names."""
VALUES = [
    *(f"person{number:02}.planted@mail{number}.example" for number in range(20)),
    *(f"+40 72{number} 555 {number:03}" for number in range(10)),
    *(f"{name} wrote{number:02}" for number, name in enumerate(NAMES * 3)),
    *(f"please call me back about my planted contract number {number}" for number in range(5)),
]
PLANTED = [*PEOPLE, *VALUES]
RECENT = "2026-11-10T08:00:00Z"
MAY_HOLD = ("staged", "parts", "rollups", "quarantine", "snapshots", "serving", "recorded")
"""Entries of the home that hold rows of customers, and say so in the inventory."""


def spelt(name: str) -> str:
    """A name as it comes from a Mac, and was not trimmed."""
    return f" {unicodedata.normalize('NFD', name)}\u00a0"


def planted_row(table: str, who: str, values, **given: str) -> dict[str, str]:
    """A good row of a table, of a planted customer, with a planted value in each text that may be anything."""
    declared = TABLES[table]
    texts = [name for name, column in declared.columns.items() if column.kind == "text" and not column.values]
    times = {declared.columns[name].name for name in declared.columns if declared.columns[name].kind == "time"}
    row = {name: RECENT if name in times else value for name, value in REQUIRED[table].items()}
    row |= {name: next(values) for name in texts if name not in (declared.key, "currency")}
    row |= {declared.key: f"{table} of {who}"} if declared.key and declared.key != declared.customer else {}
    row |= {"created_at": "2026-01-05"} if table == "customers" else {}
    row |= {"ended_at": "2026-11-12"} if "ended_at" in REQUIRED[table] else {}
    return row | ({declared.customer: spelt(who)} if declared.customer else {}) | given


def plant(company: Path, out: Path) -> Path:
    """Copy a company, and add the planted people to all of its tables, and all tables that it lacks."""
    shutil.copytree(company, out)
    values = cycle(VALUES)
    for name, table in TABLES.items():
        if not table.customer:
            continue
        rows = [planted_row(name, who, values) for who in PEOPLE]
        for broken in [column.name for column in table.columns.values() if column.kind == "time"][:1]:
            rows.append(planted_row(name, PEOPLE[0], values, **{broken: VALUES[0]}))
        made = pl.DataFrame(rows)
        path = out / f"{name}.parquet"
        if path.exists():
            there = pl.read_parquet(path)
            made = pl.concat([there.select(pl.all().cast(pl.String)), made], how="diagonal")
        made.write_parquet(path)
    return out


def vouch(home: Path, *words: object) -> tuple[int, str, str]:
    """Run the command line in this process: exit code, standard output, standard error."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setenv("VOUCH_HOME", str(home))
        patch.setattr(sys, "argv", ["vouch", *map(str, words)])
        patch.setattr(sys, "excepthook", sys.excepthook)
        with pytest.raises(SystemExit) as ended:
            cli.main()
    return ended.value.code or 0, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def lived_in(company, tmp_path_factory):
    """A home of a company with planted people that went through everything, and all that was printed meanwhile."""
    place = tmp_path_factory.mktemp("planted")
    (place / "made").mkdir()
    home, out, tables = place / "home", place / "out", plant(handed_over(company, place / "made"), place / "company")
    printed = []

    def run(*words: object, code: int = 0) -> None:
        ended, said, warned = vouch(home, *words)
        printed.append(said + warned)
        assert ended == code, printed[-1]

    run("check", tables, "--now", NOW)
    run("train", "churn", tables, "--as-of", MONDAY, "--no-evaluation")
    run("score", tables, "--now", NOW, "--format", "json")
    run("models")
    for target in ("salesforce", "parquet"):
        run("export", "--to", target, "--out", out)
    run("report", "--out", out / "week.html", "--text", out / "week.txt")
    wrong = place / "wrong"
    shutil.copytree(tables, wrong)
    people = pl.read_parquet(wrong / "customers.parquet")
    people.with_columns(pl.lit(VALUES[0]).alias("created_at")).write_parquet(wrong / "customers.parquet")
    run("score", wrong, "--now", NOW, code=1)
    (home / "logs").mkdir(exist_ok=True)
    with gzip.open(home / "logs" / "serve.log.1.gz", "wt", encoding="utf-8") as log:
        log.writelines(f"looked at {unicodedata.normalize(form, who)}\n" for who in PEOPLE for form in ("NFC", "NFD"))
    (place / "printed").mkdir()
    (place / "printed" / "all.txt").write_text("\n".join(printed), encoding="utf-8")
    return home, out, tables, place / "printed"


def test_there_are_sixty_of_them():
    assert len(set(PLANTED)) == 60


@pytest.mark.slow
def test_no_planted_value_stands_where_it_should_not(lived_in):
    home, out, _, printed = lived_in
    assert names_in(*(home / name for name in MAY_HOLD), names=PLANTED), "the test would not see what it is to see"
    closed = [path for path in home.iterdir() if path.name not in (*MAY_HOLD, "logs")]
    assert names_in(*(path for path in closed if path.is_dir()), printed, names=PLANTED) == {}
    assert not [name for path in closed if path.is_file() for name in PLANTED if name in path.read_text()]
    weeks = names_in(home / "snapshots", names=PLANTED)
    assert {Path(path).stem for path in weeks} <= {"scores", "customers", "vectors", "changes", "movers", "lists"}
    exported = names_in(out, names=VALUES)
    assert exported == {}, "ids go out, and nothing else that names a person"


def test_no_category_of_one_person_stands_in_a_model_or_a_metric(lived_in):
    home, *_ = lived_in
    artefacts = [path for path in (home / "mlflow").rglob("*") if path.name == "features.json"]
    assert artefacts
    (columns,) = (json.loads(path.read_text())["features"] for path in artefacts[:1])
    named = {name for column in columns for name in column["categories"] or ()}
    assert not named & set(PLANTED)
    assert not names_in(*home.glob("snapshots/*/*/metrics.parquet"), names=PLANTED)


def test_all_of_it_is_closed_to_other_users(lived_in):
    home, out, *_ = lived_in
    paths = {path for folder in (home, out) for path in (folder, *folder.rglob("*"))}
    paths -= {home / "logs", *(home / "logs").rglob("*")}  # which this test wrote
    assert {path.lstat().st_mode & 0o7777 for path in paths} == {0o600, 0o700}


def test_nothing_is_left_once_they_are_erased_however_they_are_spelt(lived_in):
    home, out, tables, _ = lived_in
    code, told, warned = vouch(home, "erase", *map(spelt, PEOPLE), "--now", "2026-11-17T06:00:00Z", "--format", "json")
    assert (code, warned) == (0, "")
    receipt = json.loads(told)
    assert len(receipt["hashes"]) == len(PEOPLE)
    assert receipt["left"] == []
    assert names_in(home, out, names=PLANTED) == {}
    code, _, warned = vouch(home, "score", tables, "--now", NOW, "--revision", "--despite", "people were erased")
    assert code == 0, warned
    assert names_in(home, names=PLANTED) == {}, "they do not come back"
