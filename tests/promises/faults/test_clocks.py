"""Clocks: weeks that local time makes shorter or longer, leap days, offsets, rows of the future, and where the machine
stands. An instant is an instant: nothing that is published hangs on how it was spelt, or on whose clock read it."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import time_machine

from support.champions import write_champions
from support.faults import COMMAND, settings
from support.rows.table_files import company, row, staged, write_csv
from vouch.features.contract.tables import DAY_US
from vouch.features.ingest.stage import open_tables, stage
from vouch.features.instants import instant_text, microseconds, parse_instant
from vouch.features.project import Project, load_project
from vouch.features.vectors.build import vectors
from vouch.serving.batch.run import score_weeks
from vouch.serving.snapshots import files

HOUR_US = DAY_US // 24
WEEKS = {
    "clocks go forward in Berlin": ("2025-03-31", "Europe/Berlin"),
    "clocks go back in Berlin": ("2025-10-27", "Europe/Berlin"),
    "clocks go forward in New York": ("2025-03-10", "America/New_York"),
    "clocks go back in New York": ("2025-11-03", "America/New_York"),
    "the week of 29 February": ("2024-03-04", "Asia/Kathmandu"),
    "the 53rd week of a year": ("2021-01-04", "Asia/Tokyo"),
}
"""The Monday after a week that is not like others, and a zone to write its times in."""


def us(text):
    return microseconds(datetime.fromisoformat(text).replace(tzinfo=UTC))


def written(first, hours, spell):
    """One event in the middle of each hour from an instant on, its time spelt somehow."""
    times = [first + timedelta(hours=hour, minutes=30) for hour in range(hours)]
    return company(
        customers=[row("customers", created_at="2015-06-01")],
        usage_events=[row("usage_events", occurred_at=spell(moment)) for moment in times],
    )


def vector(found, as_of_us, engine="polars"):
    """The one vector of a company with one customer."""
    (one,) = vectors(open_tables(found, engine), as_of_us).collect("pyarrow").to_native().to_pylist()
    return one


def monday_of(week):
    return datetime.fromisoformat(WEEKS[week][0]).replace(tzinfo=UTC)


@pytest.mark.parametrize("week", WEEKS)
def test_every_week_has_seven_days_of_utc_and_no_event_stands_in_two(tmp_path, week):
    monday, zone = monday_of(week), ZoneInfo(WEEKS[week][1])
    first = monday - timedelta(days=14)
    folder = write_csv(tmp_path / "t", written(first, 21 * 24, lambda moment: moment.astimezone(zone).isoformat()))
    found = staged(folder, now_us=microseconds(monday + timedelta(days=8)))
    for engine in ("polars", "duckdb"):
        weeks = [vector(found, microseconds(monday + timedelta(days=days)), engine) for days in (-7, 0, 7)]
        assert [of["usage_events_7d"] for of in weeks] == [168, 168, 168], engine
        assert [of["active_days_7d"] for of in weeks] == [7, 7, 7], engine
        assert [of["usage_events_lifetime"] for of in weeks] == [168, 336, 504], engine
    assert found.default_as_of_us(microseconds(monday + timedelta(days=7))) == us(WEEKS[week][0]) + 7 * DAY_US


@pytest.mark.parametrize("week", WEEKS)
def test_local_offsets_utc_and_naive_times_give_the_same_vector(tmp_path, week):
    monday, zone = monday_of(week), ZoneInfo(WEEKS[week][1])
    spellings = {
        "z": lambda moment: moment.isoformat().replace("+00:00", "Z"),
        "local": lambda moment: moment.astimezone(zone).isoformat(),
        "nine": lambda moment: moment.astimezone(ZoneInfo("Asia/Seoul")).strftime("%Y-%m-%d %H:%M:%S%z"),
        "naive": lambda moment: moment.replace(tzinfo=None).isoformat(sep=" "),
    }
    found = []
    for name, spell in spellings.items():
        folder = write_csv(tmp_path / name, written(monday - timedelta(days=9), 9 * 24, spell))
        found.append(vector(staged(folder, tmp_path / f"home-{name}", microseconds(monday)), microseconds(monday)))
    assert all(one == found[0] for one in found)
    assert (found[0]["usage_events_7d"], found[0]["usage_events_lifetime"]) == (168, 216)


def test_typed_times_with_and_without_a_zone_are_the_same_instant(tmp_path):
    moments = [datetime(2025, 10, 26, hour, 30, tzinfo=UTC) for hour in range(24)]
    kinds = {
        "naive": pa.array([moment.replace(tzinfo=None) for moment in moments], pa.timestamp("us")),
        "utc": pa.array(moments, pa.timestamp("us", tz="UTC")),
        "berlin": pa.array(moments, pa.timestamp("us", tz="Europe/Berlin")),
    }
    found = []
    for name, times in kinds.items():
        folder = write_csv(tmp_path / name, {"customers": [row("customers")]})
        events = {"customer_id": ["c1"] * 24, "occurred_at": times, "event": ["login"] * 24}
        pq.write_table(pa.table(events), folder / "usage_events.parquet")
        now_us = us("2025-10-27")
        found.append(vector(staged(folder, tmp_path / f"home-{name}", now_us), now_us))
    assert found[0] == found[1] == found[2]
    assert (found[0]["usage_events_7d"], found[0]["active_days_7d"]) == (24, 1)


def test_a_company_whose_clocks_have_no_zone_declares_it_in_its_project_file(tmp_path):
    """The hour that clocks skip is not lost, and of the hour that they read twice no event is."""
    texts = [f"2025-03-30 {hour:02}:30:00" for hour in (0, 1, 3, 4)]
    texts += [f"2025-10-26 {hour:02}:30:00" for hour in (1, 2, 2, 3)]
    write_csv(tmp_path / "raw", {"log": [{"who": "c1", "local": text} for text in texts], **company()})
    (tmp_path / "raw" / "usage_events.csv").unlink()
    (tmp_path / "vouch.toml").write_text(
        'data = "raw"\n[tables.usage_events]\n'
        "query = \"select who as customer_id, 'login' as event, "
        "cast(local as timestamp) at time zone 'Europe/Berlin' as occurred_at from log\"\n"
    )
    found = stage(load_project(str(tmp_path / "vouch.toml")), us("2025-11-01"))
    berlin = ZoneInfo("Europe/Berlin")
    wanted = [microseconds(datetime.fromisoformat(text).replace(tzinfo=berlin, fold=1)) for text in texts]
    staged_us = pl.read_parquet(found.folder / "usage_events.parquet")["occurred_us"].sort().to_list()
    assert len(staged_us) == len(texts)
    assert [at - staged_us[0] for at in staged_us[:4]] == [0, HOUR_US, 2 * HOUR_US, 3 * HOUR_US]
    assert staged_us == sorted(wanted)


@pytest.mark.parametrize(
    ("as_of", "tenure", "month", "week"),
    [
        ("2024-02-29", {"leapling": 1461, "new": None, "old": 366}, 28, 7),
        ("2024-03-01", {"leapling": 1462, "new": 1, "old": 367}, 28, 7),
        ("2024-03-18", {"leapling": 1479, "new": 18, "old": 384}, 23, 2),
        ("2025-03-01", {"leapling": 1827, "new": 366, "old": 732}, 0, 0),
        ("2028-02-29", {"leapling": 2922, "new": 1461, "old": 1827}, 0, 0),
    ],
)
def test_the_leap_day_is_a_day_like_any_other(tmp_path, as_of, tenure, month, week):
    born = {"leapling": "2020-02-29", "new": "2024-02-29", "old": "2023-02-28"}
    noons = [datetime(2024, 2, 1, 12, tzinfo=UTC) + timedelta(days=number) for number in range(41)]
    folder = write_csv(
        tmp_path / "tables",
        {
            "customers": [row("customers", customer_id=name, created_at=date) for name, date in born.items()],
            "usage_events": [row("usage_events", customer_id="old", occurred_at=at.isoformat()) for at in noons],
        },
    )
    frame = vectors(open_tables(staged(folder, now_us=us("2028-03-01")), "polars"), us(as_of))
    rows = {one["customer_id"]: one for one in frame.collect("pyarrow").to_native().to_pylist()}
    assert {name: rows[name]["tenure_days"] if name in rows else None for name in born} == tenure
    assert (rows["old"]["usage_events_28d"], rows["old"]["active_days_7d"]) == (month, week)


def test_rows_from_the_future_are_refused_and_those_of_tomorrow_are_no_facts_yet(tmp_path):
    now, as_of = "2025-10-27T06:00:00Z", us("2025-10-27")
    facts = [row("usage_events", occurred_at=at) for at in ("2025-10-25T10:00:00Z", "2025-10-26T23:59:59Z")]
    ahead = ["2025-10-27T00:00:00Z", "2025-10-28T05:59:59Z", "2025-10-28T06:00:01Z", "2026-03-01", "2999-12-31"]
    later = [row("usage_events", occurred_at=at) for at in ahead]
    people = [row("customers"), row("customers", customer_id="c2", created_at="2025-10-27T00:00:00Z")]
    first = staged(
        write_csv(tmp_path / "a", {"customers": people[:1], "usage_events": facts}), tmp_path / "ha", parse_instant(now)
    )
    second = staged(
        write_csv(tmp_path / "b", {"customers": people, "usage_events": facts + later}),
        tmp_path / "hb",
        parse_instant(now),
    )
    told = second.counted["tables"]["usage_events"]
    assert (told["quarantined"], told["reasons"]) == (3, {"in_the_future": 3})
    assert pl.read_parquet(second.folder / "quarantine" / "usage_events.parquet")["row"].to_list() == [4, 5, 6]
    for engine in ("polars", "duckdb"):
        assert vector(first, as_of, engine) == vector(second, as_of, engine)
    assert vector(second, as_of)["usage_events_lifetime"] == 2
    assert second.default_as_of_us(parse_instant(now)) == as_of, "and they move no week"


@pytest.fixture
def local_company(tmp_path):
    """A company with the days around the end of summer time in every spelling, and champions to score it."""
    berlin = ZoneInfo("Europe/Berlin")
    monday = datetime(2025, 10, 27, tzinfo=UTC)
    spellings = (str, lambda at: at.astimezone(berlin).isoformat(), lambda at: at.replace(tzinfo=None).isoformat())
    people, events, terms = [], [], []
    for number in range(24):
        name, spell = f"c{number:02}", spellings[number % 3]
        people.append(row("customers", customer_id=name, created_at=spell(monday - timedelta(days=200 + number))))
        terms.append(
            row(
                "subscriptions", subscription_id=f"s{number}", customer_id=name,
                started_at=spell(monday - timedelta(days=150)),
            )
        )  # fmt: skip
        moments = [monday - timedelta(hours=hour, minutes=17) for hour in range(0, 24 * 16, number + 3)]
        events += [row("usage_events", customer_id=name, occurred_at=spell(at)) for at in moments]
    tables = {"customers": people, "subscriptions": terms, "usage_events": events}
    return write_csv(tmp_path / "company", tables)


def published(home, as_of="2025-10-27"):
    return files.read_snapshot(home, parse_instant(as_of)).manifest["files"]


def scored(home, folder, now, as_of="2025-10-27"):
    write_champions(home)
    return score_weeks(Project(home=home, location=str(folder)), [parse_instant(as_of)], parse_instant(now))


def test_a_week_with_a_change_of_clocks_is_scored_once_and_to_the_same_bytes(local_company, tmp_path):
    now = "2025-10-27T06:00:00Z"
    (first,) = scored(tmp_path / "home", local_company, now)
    assert (first.outcome, first.customers) == ("published", 24)
    wanted = published(tmp_path / "home")
    (again,) = scored(tmp_path / "home", local_company, now)
    assert (again.outcome, again.revision) == ("left_alone", 1)
    (elsewhere,) = scored(tmp_path / "other", local_company, "2025-10-30T06:00:00Z")
    assert elsewhere.outcome == "published"
    assert published(tmp_path / "other") == wanted, "a run of Thursday gives the week of Monday"


def test_the_clock_of_the_machine_moves_the_run_and_not_the_week(local_company, tmp_path, vouch):
    write_champions(tmp_path / "home")
    found = []
    for days in (-3, 0, 3):
        with time_machine.travel(datetime(2025, 10, 31, 6, tzinfo=UTC) + timedelta(days=days), tick=False):
            code, _, err = vouch("score", local_company, "--as-of", "2025-10-27T00:00:00")
        assert code == 0, err
        found.append(files.read_snapshot(tmp_path / "home"))
    assert [one.revision for one in found] == [1, 1, 1]
    with time_machine.travel(datetime(2025, 10, 26, 22, tzinfo=UTC)):
        code, _, err = vouch("score", local_company, "--as-of", "2025-10-27")
    assert (code, err.count("\n")) == (2, 1)
    assert "lies after now" in err


@pytest.mark.parametrize(
    "zone",
    ["Asia/Kathmandu", *(pytest.param(name, marks=pytest.mark.nightly) for name in ("America/New_York", "Japan"))],
)
def test_where_the_machine_stands_changes_no_byte(local_company, tmp_path, zone):
    """Naive times, in the tables and on the command line, are UTC wherever the command runs."""
    scored(tmp_path / "here", local_company, "2025-10-27T06:00:00Z")
    home = tmp_path / "there"
    write_champions(home)
    words = ["score", str(local_company), "--as-of", "2025-10-27T00:00:00", "--now", "2025-10-27T06:00:00"]
    done = subprocess.run([*COMMAND, *words], env=settings(home, TZ=zone), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert published(home) == published(tmp_path / "here")
    assert instant_text(files.published(home)[0]) == "2025-10-27"
