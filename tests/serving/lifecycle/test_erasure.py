"""The right to erasure: a planted customer is first found in every kind of file, and afterwards in none."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import sys
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import insert

from support.handwritten_weeks import BEFORE, EARLIER, MONDAY, WEEK, customer, publish
from support.table_files import row, write_csv
from vouch.features.errors import ConfigurationError
from vouch.features.ingest import erased as tombstones
from vouch.features.ingest.stage import stage
from vouch.features.instants import parse_instant
from vouch.features.project import Project
from vouch.serving.api.state import Store
from vouch.serving.lifecycle.erasure import erase
from vouch.serving.lifecycle.inventory import HOLDINGS
from vouch.serving.lifecycle.scrubbing import ERASED, scrub_text
from vouch.serving.snapshots import files as snapshot
from vouch.serving.store import audit as audit_log
from vouch.serving.store.connection import Database
from vouch.serving.store.recorded import with_recorded
from vouch.serving.store.tables import asks, audit, overrides
from vouch.serving.store.weeks import bring

WHO, STAYS = "planted-4711", "c1"
NOW = parse_instant("2026-11-17T06:00:00Z")


def in_parquet(path: Path, who: str) -> int:
    table = pq.read_table(path)
    return sum(who in str(value) for name in table.column_names for value in table[name].to_pylist())


def in_arrow(path: Path, who: str) -> int:
    table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    return sum(who in str(row) for row in table.to_pylist())


def in_sqlite(path: Path, who: str) -> int:
    """In rows of all tables, Arrow batches decoded, and in the bytes of the database and its write-ahead log."""
    found = 0
    with sqlite3.connect(path) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for values in connection.execute(f"SELECT * FROM {table}"):
                for value in values:
                    if isinstance(value, bytes) and value[:4] == b"\xff\xff\xff\xff":
                        value = pa.ipc.open_stream(value).read_all().to_pylist()
                    found += who in str(value)
    connection.close()
    files = [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal"))]
    return found + sum(file.read_bytes().count(who.encode()) for file in files if file.exists())


def in_text(path: Path, who: str) -> int:
    return path.read_text(encoding="utf-8", errors="replace").count(who)


DECODERS = {".parquet": in_parquet, ".arrow": in_arrow, ".building": in_arrow, ".sqlite": in_sqlite}


def found_in(*folders: Path, who: str = WHO) -> dict[str, int]:
    """How often a customer stands in each file, decoded as what it is."""
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    counted = {
        str(path): DECODERS.get(path.suffix, in_text)(path, who)
        for path in files
        if path.suffix not in (".sqlite-wal", ".sqlite-shm")
    }
    return {path: times for path, times in counted.items() if times}


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
def lived_in(tmp_path, tables, vouch) -> Path:
    """A home where everything that vouch writes names the planted customer, and a folder of what it wrote elsewhere."""
    home, out = tmp_path / "home", tmp_path / "out"
    stage(Project(home=home, location=str(tables)), NOW)
    planted = (*WEEK, customer(WHO, 0.9, 0.99, mrr=1000.0))
    publish(home, BEFORE, (*EARLIER, customer(WHO, 0.2, 0.3)))
    publish(home, MONDAY, planted, now="2026-11-16T05:00:00Z")
    publish(home, MONDAY, planted)
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
        assert found_in(home / "serving")
    held.close()
    database.close()
    with_recorded(Project(home=home, location=str(tables)))
    service = Store(home)
    service.refresh()
    service.stop()
    for path in sorted((home / "serving" / "weeks").glob("*.arrow")):  # a service that was killed as it wrote
        shutil.copy(path, path.with_suffix(".building"))
    for target in ("salesforce", "hubspot", "csv", "parquet"):
        assert vouch("export", "--to", target, "--out", out)[0] == 0
    assert vouch("report", "--out", out / "week.html", "--text", out / "week.txt")[0] == 0
    (home / "logs").mkdir()
    (home / "logs" / "serve.log").write_text(f'{{"customer": "{WHO}"}}\nasked {WHO}, not {WHO}-b\n')
    (home / "runs").mkdir()
    (home / "runs" / "score-1.json").write_text(json.dumps({"error": f"row of {WHO}"}))
    draft = home / "snapshots" / "as_of=2026-11-16" / "draft-left"
    draft.mkdir()
    shutil.copy(snapshot.read_snapshot(home).folder / "scores.parquet", draft)
    return home


PLANTED = (
    r"snapshots/as_of=2026-11-09/revision-1/scores\.parquet",
    r"snapshots/as_of=2026-11-16/revision-1/customers\.parquet",
    r"snapshots/as_of=2026-11-16/revision-2/scores\.parquet",
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
    planted = found_in(home, out)
    missing = [place for place in PLANTED if not any(re.search(place + "$", path) for path in planted)]
    assert not missing, "the test would not see what it is to see"
    others = found_in(out, who=STAYS)
    code, printed, err = vouch("erase", WHO, "--now", "2026-11-17T06:00:00Z", "--format", "json")
    assert (code, err) == (0, "")
    assert found_in(home, out) == {f"{home}/logs/serve.log": 1}, "only the longer name of somebody else is left"
    assert f"{WHO}-b" in (home / "logs" / "serve.log").read_text()

    receipt = json.loads(printed)
    assert WHO not in printed
    assert receipt["hashes"] == [tombstones.load(home).hash_of(WHO)]
    assert json.loads(Path(receipt["path"]).read_text()) == receipt
    places = {place["place"] for place in receipt["places"]}
    assert {"staged", "quarantine", "snapshots/as_of=2026-11-16/revision-2", str(out / "week.html")} <= places
    assert found_in(out, who=STAYS) == others, "the rows of others stay"

    staged = stage(Project(home=home, location=str(tables)), NOW)
    assert not found_in(home / "staged", home / "quarantine")
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
        tombstones.bury(project.home, [WHO])
    assert found.counted["tables"]["usage_events"]["rows"] == 4


def test_what_was_published_is_whole_afterwards_and_says_how_many_went(lived_in, tmp_path, vouch):
    assert vouch("erase", WHO, STAYS)[0] == 0
    for as_of_us, people in ((BEFORE, EARLIER), (MONDAY, WEEK)):
        found = snapshot.read_snapshot(lived_in, as_of_us)
        left = [one["customer_id"] for one in people if one["customer_id"] != STAYS]
        assert found.table("scores")["customer_id"].to_pylist() == left
        assert found.manifest["rows_out"]["scores"] == len(left)
        assert found.manifest["erased"] == 2
    assert snapshot.read_snapshot(lived_in, MONDAY).revision == 3
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
        erased, listed, *exported = audit_log.entries(connection, 6)
    database.close()
    assert (erased["at"], erased["actor"], erased["rows"]) == ("2026-11-17T06:00:00Z", "command line", 2)
    assert [line["action"] for line in (erased, listed, *exported)] == ["erased", "listed", *["exported"] * 4]
    assert listed["route"] == "vouch report"
    targets = ("parquet", "csv", "hubspot", "salesforce")
    assert [line["route"] for line in exported] == [f"vouch export --to {target}" for target in targets]
    assert {(line["actor"], line["rows"]) for line in exported} == {("command line", len(WEEK) + 1)}
    assert {line["customer_id"] for line in (erased, listed, *exported)} == {None}


def test_erasing_again_or_somebody_unknown_finds_nothing_and_keeps_the_tombstone(lived_in, vouch, monkeypatch):
    assert vouch("erase", WHO)[0] == 0
    before = snapshot.read_snapshot(lived_in)
    code, _, err = vouch("erase", WHO)
    assert code == 0
    assert "found nowhere" in err
    assert snapshot.read_snapshot(lived_in) == before
    monkeypatch.setattr(sys, "stdin", __import__("io").StringIO("x1\n\nx2\n"))
    assert vouch("erase", "-")[0] == 0
    assert all(who in tombstones.load(lived_in) for who in (WHO, "x1", "x2"))
    assert "x3" not in tombstones.load(lived_in)


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
        tombstones.prepare(connection, known)
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


def test_everything_under_the_home_is_listed(lived_in, vouch):
    assert vouch("erase", WHO)[0] == 0
    assert {path.name for path in lived_in.iterdir()} <= {holding.name for holding in HOLDINGS}
    assert not list(lived_in.rglob("*.next"))


def test_erasing_waits_for_no_run_that_writes(lived_in, vouch):
    with snapshot.lock(lived_in, "train"):
        code, _, err = vouch("erase", WHO)
    assert code == 3
    assert "`vouch train`" in err
