"""The right to erasure: a planted customer is first found in every kind of file, and afterwards in none."""

from __future__ import annotations

import bz2
import gzip
import html
import json
import lzma
import os
import re
import shutil
import sqlite3
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, quote_plus

import duckdb
import pyarrow.parquet as pq
import pytest
from sqlalchemy import insert

from support.handwritten_weeks import BEFORE, EARLIER, MONDAY, WEEK, customer, publish
from support.rows.table_files import row, write_csv
from support.searching import found_in
from vouch.features.errors import ConfigurationError
from vouch.features.ingest import erased as tombstones
from vouch.features.ingest.stage import stage
from vouch.features.instants import parse_instant
from vouch.features.project import Project
from vouch.serving.api.state import ServingState
from vouch.serving.lifecycle.erasure import erase
from vouch.serving.lifecycle.inventory import HOLDINGS
from vouch.serving.lifecycle.pages import page_mentions
from vouch.serving.lifecycle.scrubbing import ERASED, scrub_text
from vouch.serving.lifecycle.spelling import Spelling
from vouch.serving.snapshots import files as snapshot
from vouch.serving.store import audit as audit_log
from vouch.serving.store.connection import Database
from vouch.serving.store.recorded import with_recorded
from vouch.serving.store.tables import asks, audit, overrides
from vouch.serving.store.weeks import bring

WHO, STAYS = "planted-4711", "c1"
DAY = "2025-02-01"
NOW = parse_instant("2026-11-17T06:00:00Z")


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> tuple[Path, Path]:
    """Where each test of this module works, for files that were written name their place; and what is kept of it."""
    return tmp_path_factory.mktemp("erasure"), tmp_path_factory.mktemp("kept") / "whole"


@pytest.fixture
def tmp_path(places) -> Path:
    """The same folder for each test, empty."""
    shutil.rmtree(places[0])
    places[0].mkdir()
    return places[0]


@pytest.fixture
def tables(tmp_path) -> Path:
    """A company's tables in which the planted customer stands in good rows, broken ones, and as somebody's friend."""
    rows = {
        "customers": [
            row("customers", customer_id=WHO),
            row("customers", customer_id=STAYS, referred_by=WHO),
            row("customers", customer_id="c2"),
        ],
        "usage_events": [
            row("usage_events", customer_id=WHO),
            row("usage_events", customer_id=STAYS),
            row("usage_events", customer_id=WHO, occurred_at="soon"),
            row("usage_events", customer_id=STAYS, occurred_at="later"),
        ],
        "referrals": [
            row("referrals", referral_id="r1", advocate_id=STAYS, prospect_id=WHO),
            row("referrals", referral_id="r2", advocate_id=STAYS, prospect_id="c2"),
        ],
    }
    return write_csv(tmp_path / "tables", rows)


@pytest.fixture
def lived_in(tmp_path, places, tables, vouch) -> Path:
    """A home where everything that vouch writes names the planted customer, and a folder of what it wrote elsewhere.

    It is made once, and put back for each test.
    """
    whole = places[1]
    if not whole.exists():
        live_in(tmp_path / "home", tmp_path / "out", tables, vouch)
        shutil.copytree(tmp_path, whole, symlinks=True)
    else:
        shutil.copytree(whole, tmp_path, symlinks=True, dirs_exist_ok=True)
    return tmp_path / "home"


def live_in(home: Path, out: Path, tables: Path, vouch) -> None:
    """Let everything that vouch writes name the planted customer."""
    stage(Project(home=home, location=str(tables)), NOW)
    planted = (*WEEK, customer(WHO, 0.9, 0.99, mrr=1000.0))
    publish(home, BEFORE, (*EARLIER, customer(WHO, 0.2, 0.3)))
    publish(home, MONDAY, planted, now="2026-11-16T05:00:00Z")
    publish(home, MONDAY, planted, lists={"care_needs": [{"customer_id": who} for who in (STAYS, WHO, "c2")]})
    database = Database(home)
    assert bring(database, home, NOW) == []
    with database.writing() as connection:
        asked = {"kind": "review", "asked_us": NOW, "recorded_us": NOW}
        connection.execute(insert(asks).values(ask_id="a1", customer_id=WHO, **asked))
        connection.execute(insert(asks).values(ask_id="a2", customer_id=STAYS, **asked))
        said = {"score": 10.0, "reason": "call", "set_by": "Ada", "set_us": NOW, "expires_us": NOW, "recorded_us": NOW}
        connection.execute(insert(overrides).values(customer_id=WHO, **said))
        connection.execute(insert(audit).values(at_us=NOW, actor="ui", action="get", customer_id=WHO))
    with sqlite3.connect(home / "serving" / "store.sqlite") as held:  # a reader keeps the write-ahead log alive
        assert found_in(home / "serving", who=WHO)
    held.close()
    database.close()
    with_recorded(Project(home=home, location=str(tables)))
    service = ServingState(home)
    service.refresh()
    service.stop()
    for path in sorted((home / "serving" / "weeks").glob("*.arrow")):  # a service that was killed as it wrote
        shutil.copy(path, path.with_suffix(".building"))
    for target in ("salesforce", "hubspot", "csv", "parquet"):
        assert vouch("export", "--to", target, "--out", out)[0] == 0
    assert vouch("report", "--out", out / "week.html", "--text", out / "week.txt")[0] == 0
    (home / "logs").mkdir()
    (home / "logs" / "serve.log").write_text(f'{{"customer": "{WHO}"}}\nasked {WHO}, not {WHO}-b\n')
    (home / "runs").mkdir(exist_ok=True)
    (home / "runs" / "score-1.json").write_text(json.dumps({"error": f"row of {WHO}"}))
    draft = home / "snapshots" / "as_of=2026-11-16" / "draft-left"
    draft.mkdir()
    shutil.copy(snapshot.read_snapshot(home).folder / "scores.parquet", draft)


def rows_of(folder: Path, who: str = STAYS) -> dict[str, int]:
    """Where somebody else stands; lists of files hold digests, in which an id may stand by chance."""
    return {path: times for path, times in found_in(folder, who=who).items() if not path.endswith(".json")}


PLANTED = (
    r"snapshots/as_of=2026-11-09/revision-1/scores\.parquet",
    r"snapshots/as_of=2026-11-16/revision-1/customers\.parquet",
    r"snapshots/as_of=2026-11-16/revision-2/scores\.parquet",
    r"snapshots/as_of=2026-11-16/revision-2/lists\.parquet",
    r"snapshots/as_of=2026-11-16/draft-left/scores\.parquet",
    r"staged/\w+/usage_events\.parquet",
    r"staged/\w+/referrals\.parquet",
    r"staged/\w+/quarantine/usage_events\.parquet",
    r"quarantine/usage_events\.parquet",
    r"serving/store\.sqlite",
    r"serving/weeks/\w+\.arrow",
    r"serving/weeks/\w+\.building",
    r"recorded/asks\.parquet",
    r"recorded/health_overrides\.parquet",
    r"logs/serve\.log",
    r"runs/score-1\.json",
    r"out/vouch-salesforce-2026-11-16-001\.csv",
    r"out/vouch-hubspot-2026-11-16-001\.csv",
    r"out/vouch-csv-2026-11-16-001\.csv",
    r"out/vouch-parquet-2026-11-16-001\.parquet",
    r"out/week\.html",
    r"out/week\.txt",
)


def test_a_customer_leaves_every_file_and_does_not_come_back(lived_in, tables, tmp_path, vouch):
    home, out = lived_in, tmp_path / "out"
    planted = found_in(home, out, who=WHO)
    missing = [place for place in PLANTED if not any(re.search(place + "$", path) for path in planted)]
    assert not missing, "the test would not see what it is to see"
    others = rows_of(out)
    code, printed, err = vouch("erase", WHO, "--now", "2026-11-17T06:00:00Z", "--format", "json")
    assert (code, err) == (0, "")
    assert found_in(home, out, who=WHO) == {f"{home}/logs/serve.log": 1}, (
        "only the longer name of somebody else is left"
    )
    assert f"{WHO}-b" in (home / "logs" / "serve.log").read_text()

    receipt = json.loads(printed)
    assert WHO not in printed
    assert receipt["hashes"] == [tombstones.load(home).hash_of(WHO)]
    assert json.loads(Path(receipt["path"]).read_text()) == receipt
    places = {place["place"] for place in receipt["places"]}
    assert {"staged", "quarantine", "snapshots/as_of=2026-11-16/revision-2", str(out / "week.html")} <= places
    assert rows_of(out) == others, "the rows of others stay"

    staged = stage(Project(home=home, location=str(tables)), NOW)
    assert not found_in(home / "staged", home / "quarantine", who=WHO)
    assert pq.read_table(staged.folder / "customers.parquet")["customer_id"].to_pylist() == [STAYS, "c2"]
    assert pq.read_table(staged.folder / "referrals.parquet")["referral_id"].to_pylist() == ["r2"]
    assert staged.counted["tables"]["usage_events"]["quarantined"] == 1


def test_rows_keep_their_numbers_where_others_before_them_were_erased(tmp_path):
    broken = row("usage_events", customer_id=STAYS, occurred_at="later")
    good = row("usage_events", customer_id=STAYS)
    files = {name: [row("usage_events", customer_id=WHO), broken, good] for name in ("1", "2")}
    folder = write_csv(tmp_path / "tables", {"customers": [row("customers", customer_id=STAYS)]})
    write_csv(folder / "usage_events", files)
    project = Project(home=tmp_path / "home", location=str(folder))
    for _ in range(2):
        found = stage(project, NOW)
        refused = pq.read_table(found.folder / "quarantine" / "usage_events.parquet")
        assert refused["row"].to_pylist() == [1, 4]
        tombstones.add(project.home, [WHO])
    assert found.counted["tables"]["usage_events"]["rows"] == 4


def test_what_was_published_is_whole_afterwards_and_says_how_many_went(lived_in, tmp_path, vouch):
    assert vouch("erase", WHO, STAYS)[0] == 0
    for as_of_us, people in ((BEFORE, EARLIER), (MONDAY, WEEK)):
        found = snapshot.read_snapshot(lived_in, as_of_us)
        left = [one["customer_id"] for one in people if one["customer_id"] != STAYS]
        assert found.table("scores")["customer_id"].to_pylist() == left
        assert found.manifest["rows_out"]["scores"] == len(left)
        assert found.manifest["erased"] == 2
    newest = snapshot.read_snapshot(lived_in, MONDAY)
    assert newest.revision == 3
    assert newest.manifest["lists"] == {"care_needs": {"total": 1}}
    assert newest.table("lists")["customer_id"].to_pylist() == ["c2"]
    assert sorted(snapshot.revisions(found.folder.parent)) == [1, 3]
    snapshot.open_revision(found.folder.parent / "revision-1")
    listing = json.loads((tmp_path / "out" / "vouch-csv-2026-11-16.json").read_text())
    (file,) = listing["files"]
    assert file["rows"] == listing["rows"] == len(left)
    assert file["sha256"] == snapshot.file_digest(tmp_path / "out" / file["name"])


def test_the_audit_log_tells_of_exports_reports_and_the_erasure_without_a_name(lived_in, vouch):
    assert vouch("erase", WHO, "c0", "--now", "2026-11-17T06:00:00Z")[0] == 0
    database = Database(lived_in)
    with database.reading() as connection:
        erased, listed, *exported = audit_log.newest_entries(connection, 6)
    database.close()
    assert (erased["at"], erased["actor"], erased["rows"]) == ("2026-11-17T06:00:00Z", "command line", 2)
    assert [line["action"] for line in (erased, listed, *exported)] == ["erased", "listed", *["exported"] * 4]
    assert listed["route"] == "vouch report"
    targets = ("parquet", "csv", "hubspot", "salesforce")
    assert [line["route"] for line in exported] == [f"vouch export --to {target}" for target in targets]
    assert {(line["actor"], line["rows"]) for line in exported} == {("command line", len(WEEK) + 1)}
    assert {line["customer_id"] for line in (erased, listed, *exported)} == {None}


def receipts(home: Path) -> list[Path]:
    return sorted((home / "erasure" / "receipts").glob("*"))


def test_erasing_again_changes_nothing_and_tells_the_receipt_of_then(lived_in, vouch):
    _, first, _ = vouch("erase", WHO, "--format", "json")
    before = snapshot.read_snapshot(lived_in)
    code, again, err = vouch("erase", WHO, "--format", "json")
    assert (code, again, err) == (0, first, "")
    assert snapshot.read_snapshot(lived_in) == before
    assert len(receipts(lived_in)) == 1


def test_who_stands_nowhere_is_refused_without_a_receipt(lived_in, vouch):
    before = snapshot.read_snapshot(lived_in)
    code, out, err = vouch("erase", "nobody-1", "nobody-2")
    assert (code, out) == (1, "")
    assert "2 ids were found nowhere (number 1, 2 of 2)" in err
    assert "--in-advance" in err
    assert "nobody" not in err
    assert not receipts(lived_in)
    assert tombstones.load(lived_in) is None
    assert snapshot.read_snapshot(lived_in) == before


def test_among_several_those_who_are_there_are_erased_and_the_others_told(lived_in, vouch):
    code, out, err = vouch("erase", "nobody-1", WHO, "--format", "json")
    assert code == 1
    assert "The id was found nowhere (number 1 of 2)" in err
    assert json.loads(out)["hashes"] == [tombstones.load(lived_in).hash_of(WHO)]
    assert not found_in(lived_in / "snapshots", who=WHO)
    assert "nobody-1" not in tombstones.load(lived_in)


def test_who_is_yet_to_come_is_kept_out_in_advance(lived_in, tables, vouch, monkeypatch):
    monkeypatch.setattr(sys, "stdin", __import__("io").StringIO("x1\n\nx2\r\n"))
    code, out, _ = vouch("erase", "--in-advance", "--format", "json", "-")
    assert (code, json.loads(out)["in_advance"], json.loads(out)["places"]) == (0, 2, [])
    assert all(who in tombstones.load(lived_in) for who in ("x1", "x2"))
    assert "x3" not in tombstones.load(lived_in)
    write_csv(tables, {"customers": [row("customers", customer_id=who) for who in ("x1", "x3", " x2 ")]})
    staged = stage(Project(home=lived_in, location=str(tables)), NOW)
    assert pq.read_table(staged.folder / "customers.parquet")["customer_id"].to_pylist() == ["x3"]


def test_an_id_of_nothing_is_no_customer(lived_in, vouch):
    for who in ("", "  ", "\u00a0"):
        assert vouch("erase", who)[0] == 2
    assert not receipts(lived_in)


def test_a_file_that_somebody_changed_since_is_named_and_left(lived_in, tmp_path, vouch):
    changed = tmp_path / "out" / "vouch-csv-2026-11-16-001.csv"
    changed.write_text(changed.read_text() + "note\n")
    code, _, err = vouch("erase", WHO)
    assert code == 0
    assert f"{changed}: changed since it was written" in err
    assert WHO in changed.read_text()


def test_a_damaged_revision_goes_because_nobody_can_search_it(lived_in, vouch):
    folder = snapshot.read_snapshot(lived_in, BEFORE).folder
    (folder / "scores.parquet").write_bytes(b"PAR1")
    code, out, _ = vouch("erase", WHO, "--format", "json")
    assert code == 0
    assert not folder.exists()
    assert any("damaged" in place["how"] for place in json.loads(out)["places"])


def test_models_that_may_have_learned_from_them_are_listed(lived_in):
    asked = []

    def models_since(date):
        asked.append(date)
        return [{"model": "churn", "version": 2, "alias": "champion", "as_of": "2026-11-02"}]

    receipt = erase(Project(home=lived_in, location=None), {WHO}, NOW, models_since)
    assert asked == [str(row("customers")["created_at"])[:10]]
    assert receipt.models[0]["version"] == 2


def test_lost_tombstones_stop_every_reading(lived_in, tables, vouch):
    assert vouch("erase", WHO)[0] == 0
    (lived_in / "erasure" / "key").unlink()
    with pytest.raises(ConfigurationError, match="would come back"):
        stage(Project(home=lived_in, location=str(tables)), NOW)
    assert vouch("check", tables)[0] == 1
    assert vouch("erase", "c2")[0] == 1


def test_the_hash_in_the_engine_is_the_hash_in_python():
    found = tombstones.Tombstones(b"k" * 32, frozenset())
    names = ["a", "", "é", "고객", "'; DROP", "x" * 1000]
    known = tombstones.Tombstones(found.key, frozenset(map(found.hash_of, names)))
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA vouch_staging")
        tombstones.register_hashes(connection, known)
        connection.execute("CREATE TABLE people AS SELECT unnest($1::VARCHAR[]) AS name", [[*names, "b", "z"]])
        erased = connection.execute(tombstones._erased("SELECT name FROM people")).fetchall()
    assert {name for (name,) in erased} == set(names)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("seen 7 times by 77", f"seen {ERASED} times by 77"),
        ('{"id": "7", "n": 17}', f'{{"id": "{ERASED}", "n": 17}}'),
        ("7-a and a-7 stay", "7-a and a-7 stay"),
    ],
)
def test_a_name_is_struck_out_where_it_stands_by_itself(tmp_path, text, wanted):
    path = tmp_path / "a.log"
    path.write_text(text)
    assert scrub_text(path, {"7"}) == wanted.count(ERASED)
    assert path.read_text() == wanted


LOG = f"GET /app/customer?id={WHO}&x=1 took 7 ms\nnext=%2Fapp%2Fcustomer%3Fid%3D{WHO} asked {WHO}\n"


@pytest.mark.parametrize("packed", [gzip.open, bz2.open, lzma.open, open])
def test_logs_that_were_packed_are_searched_and_stay_packed(lived_in, vouch, packed):
    path = lived_in / "logs" / "serve.log.1.packed"
    with packed(path, "wb") as file:
        file.write(LOG.encode() * 100)
    os.utime(path, (1, 1))
    code, out, _ = vouch("erase", WHO, "--format", "json")
    assert code == 0
    with packed(path, "rb") as file:
        assert file.read().decode() == LOG.replace(WHO, ERASED) * 100
    assert path.stat().st_mtime == 1, "how long it stays hangs on its age"
    assert {"place": "logs/serve.log.1.packed", "rows": 300, "how": "names struck out"} in json.loads(out)["places"]


CUT_SHORT = gzip.compress(b"x" * 99)[:-9]


@pytest.mark.parametrize(
    "content", [b"PK\x03\x04\0\0zip", b"\x28\xb5\x2f\xfd\0zstd", CUT_SHORT], ids=["zip", "zstd", "gzip cut short"]
)
def test_what_cannot_be_searched_is_told(lived_in, vouch, content):
    (lived_in / "logs" / "old.log.zip").write_bytes(content)
    code, out, _ = vouch("erase", WHO, "--format", "json")
    assert code == 0
    (left,) = json.loads(out)["left"]
    assert left == "logs/old.log.zip: no text that can be searched, look through it by hand"
    assert (lived_in / "logs" / "old.log.zip").read_bytes() == content


NAMES = {
    "accents": "Zo\u00eb-J\u00e1nosn\u00e9",
    "Hangul": "\uae40\ubbfc\uc900",
    "a blank within": "Ana Ionescu",
    "a sign of HTML": "Fothergill & <Sons>",
    "a number": "4711",
    "an address": "ana.planted@mail7.example",
}


def spellings(name: str) -> list[str]:
    """How one id may come from a person, a Mac, a form or a table that was not trimmed."""
    apart = unicodedata.normalize("NFD", name)
    return [name, apart, f" {name}", f"{apart}  ", f"\u00a0{name}\u2003"]


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_erasing_finds_whom_it_is_told_however_the_id_is_spelt(tmp_path, vouch, name):
    home = tmp_path / "home"
    people = [row("customers", customer_id=who) for who in (spellings(name)[-1], "c1")]
    events = [row("usage_events", customer_id=who, occurred_at=day) for who in spellings(name) for day in ("soon", DAY)]
    tables = write_csv(tmp_path / "tables", {"customers": people, "usage_events": events})
    escaped = json.dumps(name)[1:-1]
    upper = re.sub(r"(?<=\\u)\w{4}", lambda found: found[0].upper(), escaped)
    octets = quote(name, safe="")
    texts = [name, unicodedata.normalize("NFD", name), escaped, upper, octets]
    lower = re.sub(r"%\w\w", lambda found: found[0].lower(), octets)
    texts += [lower, quote(octets), quote_plus(name), html.escape(name)]
    for given in spellings(name)[1::3]:
        shutil.rmtree(home, ignore_errors=True)
        stage(Project(home=home, location=str(tables)), NOW)
        (home / "logs").mkdir()
        (home / "runs").mkdir(exist_ok=True)
        (home / "logs" / "a.log").write_text("".join(f'id={text} and "{text}", {text}.\n' for text in texts))
        (home / "runs" / "score-1.json").write_text(json.dumps({"error": name, "rows": 4711, "id": 4711}))
        code, _, err = vouch("erase", given)
        assert (code, err) == (0, "")
        left = (home / "logs" / "a.log").read_text()
        assert left == f'id={ERASED} and "{ERASED}", {ERASED}.\n' * len(texts)
        told = json.loads((home / "runs" / "score-1.json").read_text())
        assert (told["error"], told["rows"], told["id"]) == (ERASED, 4711, ERASED if name == "4711" else 4711)
        staged = stage(Project(home=home, location=str(tables)), NOW)
        assert pq.read_table(staged.folder / "customers.parquet")["customer_id"].to_pylist() == ["c1"]
        assert staged.counted["tables"]["usage_events"]["rows"] == 0
        assert not list(home.glob("quarantine/*"))


def test_a_number_is_struck_out_where_it_is_a_customer_and_not_where_it_is_a_figure(lived_in, tables, tmp_path, vouch):
    publish(lived_in, MONDAY, (*WEEK, customer("50", 0.9, 0.5)))
    out = tmp_path / "out"
    for target in ("salesforce", "csv"):
        assert vouch("export", "--to", target, "--out", out)[0] == 0
    others = {path: path.read_text().splitlines() for path in out.glob("*.csv")}
    run = {"week": {"revision": 50, "rows": {"50": 50}}, "ids": ["50"], "customer_id": 50, "told": "50 of 60"}
    (lived_in / "runs" / "score-2.json").write_text(json.dumps(run, indent=2))
    line = {"status": 50, "route": "50", "ms": 50.5}
    (lived_in / "logs" / "serve.log").write_text(json.dumps(line) + "\nlooked at 50, 50.5 ms\n")
    assert vouch("erase", "50")[0] == 0
    told = json.loads((lived_in / "runs" / "score-2.json").read_text())
    assert told == {**run, "ids": [ERASED], "customer_id": ERASED}
    first, second = (lived_in / "logs" / "serve.log").read_text().splitlines()
    assert json.loads(first) == {**line, "route": ERASED}
    assert second == f"looked at {ERASED}, 50.5 ms"
    for path, lines in others.items():
        assert path.read_text().splitlines() == [kept for kept in lines if not kept.startswith('"50"')]
    assert vouch("erase", "60")[0] == 1, "a figure in a text is nobody"


@pytest.mark.parametrize("holding", [holding.name for holding in HOLDINGS if holding.nobody is None])
def test_an_erasure_that_was_cut_off_is_finished_by_the_next_with_one_true_receipt(
    lived_in, tmp_path, vouch, monkeypatch, holding
):
    shutil.copytree(lived_in, tmp_path / "whole")
    kept = shutil.copytree(tmp_path / "out", tmp_path / "kept")
    now = ("--now", "2026-11-17T06:00:00Z", "--format", "json")
    _, whole, _ = vouch("erase", WHO, *now)
    shutil.rmtree(lived_in)
    shutil.copytree(tmp_path / "whole", lived_in)
    shutil.copytree(kept, tmp_path / "out", dirs_exist_ok=True)

    class Killed(BaseException):
        pass

    def cut(subject, name):
        raise Killed

    entries = tuple(replace(one, erase=cut) if one.name == holding else one for one in HOLDINGS)
    with monkeypatch.context() as patched:
        patched.setattr("vouch.serving.lifecycle.erasure.HOLDINGS", entries)
        with pytest.raises(Killed):
            vouch("erase", WHO, *now)
    assert not receipts(lived_in)
    code, again, _ = vouch("erase", "c2", "--now", "2026-11-18", "--format", "json")
    assert code == 0, "the next one finishes it, whomever that is for"
    assert not found_in(lived_in / "snapshots", lived_in / "serving", tmp_path / "out", who=WHO)
    told, once = json.loads(again), json.loads(whole)
    assert told["at"] == once["at"]
    assert set(once["hashes"]) == {tombstones.load(lived_in).hash_of(WHO)} or len(told["hashes"]) == 2
    before = {place["place"]: place["rows"] for place in once["places"]}
    after = {place["place"]: place["rows"] for place in told["places"]}
    assert before.keys() <= after.keys()
    assert all(after[place] >= rows for place, rows in before.items())
    assert len(receipts(lived_in)) == 1
    assert WHO not in "".join(path.read_text() for path in (lived_in / "erasure").rglob("*") if path.is_file())


def test_everything_under_the_home_is_listed(lived_in, vouch):
    assert vouch("erase", WHO)[0] == 0
    assert {path.name for path in lived_in.iterdir()} <= {holding.name for holding in HOLDINGS}
    assert not list(lived_in.rglob("*.next"))


def test_erasing_waits_for_no_run_that_writes(lived_in, vouch):
    with snapshot.lock(lived_in, "train"):
        code, _, err = vouch("erase", WHO)
    assert code == 3
    assert "`vouch train`" in err


def test_a_page_is_searched_for_what_it_says_and_not_for_how_it_is_drawn(tmp_path):
    page = tmp_path / "week.html"
    drawn = '<style>.x2{color:red}</style><svg><line x1="4"/><text class="n">c1</text></svg>'
    page.write_text(f'{drawn}<a href="https://crm.example/a%20b">Anna</a> &lt;b&gt;')
    assert {name for name, _ in page_mentions(page, Spelling(["x1", "x2", "n", "c1", "a b", "<b>", "zz"]))} == {
        "c1", "a b", "<b>",
    }  # fmt: skip
