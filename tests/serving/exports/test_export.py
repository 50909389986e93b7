"""Exports: what the CRM takes, and what a spreadsheet does not compute."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.handwritten_weeks import BEFORE, EARLIER, HOSTILE, MONDAY, REASON, WEEK, customer, publish
from vouch.features.errors import Refused, SnapshotError, UsageError
from vouch.features.instants import parse_instant
from vouch.features.shown import plain_text, visible_text
from vouch.serving.api.state import now_us
from vouch.serving.asking.candidates import askable_now
from vouch.serving.asking.ranking import EXCLUSIONS
from vouch.serving.exports.cells import cell, check_file
from vouch.serving.exports.export import export
from vouch.serving.exports.targets import FIELDS, RULES, Target
from vouch.serving.snapshots.read import at_or_before

WEEK_US = MONDAY - BEFORE
TEXTS = [field for field in FIELDS if field.kind in ("key", "text")]
CRMS = [Target.CSV, Target.SALESFORCE, Target.HUBSPOT]


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def week(tmp_path):
    return publish(tmp_path / "home")


@pytest.mark.parametrize("target", list(Target))
def test_every_target_takes_what_is_written(week, tmp_path, target):
    done = export(week, target, tmp_path / "out")
    (name,) = [file["name"] for file in done.files]
    assert check_file(target, tmp_path / "out" / name) == []
    assert (done.rows, done.customers, done.without_contact_consent) == (6, 6, 1)
    assert json.loads((tmp_path / "out" / f"vouch-{target}-2026-11-16.json").read_text())["files"] == done.files
    assert sorted(path.suffix for path in (tmp_path / "out").iterdir()) == sorted([name[name.index(".") :], ".json"])


def test_salesforce_sees_its_own_names_and_null(week, tmp_path):
    export(week, Target.SALESFORCE, tmp_path)
    raw = (tmp_path / "vouch-salesforce-2026-11-16-001.csv").read_bytes()
    assert raw.startswith(b'"Vouch_Customer_Id__c","Vouch_As_Of__c","Vouch_Contact_Consent__c",')
    assert b"\r" not in raw
    found = {row["Vouch_Customer_Id__c"]: row for row in table(tmp_path / "vouch-salesforce-2026-11-16-001.csv")}
    first, gone = found["c1"], found["c5"]
    assert first["Vouch_Churn_Probability__c"] == "0.6"
    assert first["Vouch_Churn_Reason__c"] == "raises it: Used on 3 days in 4 weeks"
    assert first["Vouch_As_Of__c"] == "2026-11-16"
    assert gone["Vouch_Churn_Probability__c"] == gone["Vouch_Churn_Reason__c"] == "#N/A"


def test_the_list_of_files_says_what_the_job_that_uploads_them_declares(week, tmp_path):
    for target in Target:
        export(week, target, tmp_path)
    told = json.loads((tmp_path / "vouch-salesforce-2026-11-16.json").read_text())
    assert told["job"] == {
        "operation": "upsert",
        "externalIdFieldName": "Vouch_Customer_Id__c",
        "contentType": "CSV",
        "columnDelimiter": "COMMA",
        "lineEnding": "LF",
    }
    raw = (tmp_path / told["files"][0]["name"]).read_bytes()
    assert raw.split(b"\n", 1)[0].split(b",")[0].decode() == f'"{told["job"]["externalIdFieldName"]}"'
    assert (raw.count(b"\n"), raw.count(b"\r")) == (len(WEEK) + 1, 0)
    assert json.loads((tmp_path / "vouch-hubspot-2026-11-16.json").read_text())["job"] is None


def test_ids_that_a_crm_may_take_for_one_are_told(tmp_path):
    week = publish(
        tmp_path / "home", people=[customer("AbC"), customer("STRASSE"), customer("abc"), customer("straße")]
    )
    done = export(week, Target.SALESFORCE, tmp_path)
    assert (done.rows, done.alike_ids) == (4, 2)
    assert "2 customer ids differ from another by upper and lower case alone" in done.warnings()[0]
    assert export(week, Target.CSV, tmp_path).warnings() == []


def test_hubspot_sees_lower_case_names_and_empty_cells(week, tmp_path):
    export(week, Target.HUBSPOT, tmp_path)
    rows = table(tmp_path / "vouch-hubspot-2026-11-16-001.csv")
    assert all(name == name.lower() for name in rows[0])
    assert next(row for row in rows if row["vouch_customer_id"] == "c5")["vouch_churn_probability"] == ""


def test_the_figures_are_those_of_the_snapshot(week, tmp_path):
    export(week, Target.PARQUET, tmp_path)
    found = pq.read_table(tmp_path / "vouch-parquet-2026-11-16-001.parquet")
    scores = week.table("scores")
    for name in set(found.column_names) & set(scores.column_names):
        assert found[name].equals(scores[name]), name


def test_everybody_is_there_and_a_missing_consent_is_none(week, tmp_path):
    export(week, Target.CSV, tmp_path)
    consents = {
        row["customer_id"]: row["contact_consent"] + " " + row["advocacy_consent"]
        for row in table(tmp_path / "vouch-csv-2026-11-16-001.csv")
    }
    assert len(consents) == len(WEEK)
    assert consents["c4"] == "false false"
    assert consents["c1"] == "true true"


@pytest.mark.parametrize("target", CRMS)
def test_no_customer_id_is_computed_by_a_spreadsheet(tmp_path, target):
    signs = ["=", "+", "-", "@", "\t", "\r", "\n", "\0", "\uff1d", " ="]
    people = [customer(f'{sign}HYPERLINK("{place}","y")') for place, sign in enumerate(signs)]
    done = export(publish(tmp_path / "home", people=[*people, customer("c9")]), target, tmp_path)
    path = tmp_path / f"vouch-{target}-2026-11-16-001.csv"
    keys = [row[FIELDS[0].name(target)] for row in table(path)]
    assert all(key.startswith("'") for key in keys[:-1])
    assert keys[-1] == "c9"
    assert check_file(target, path) == []
    assert done.altered_ids == len(signs)
    assert "match no record" in done.warnings()[0]


@given(text=st.text(max_size=40), target=st.sampled_from(CRMS))
def test_no_text_at_all_is_computed_hidden_or_taken_for_null(text, target):
    for field in TEXTS:
        shown = cell(field, text, RULES[target])
        assert shown[:1] not in set("=+-@\t\r\n\0")
        assert visible_text(shown) == shown
        assert not shown or shown != RULES[target].null


@given(number=st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12))
def test_numbers_are_plain_decimals(number):
    for field in FIELDS:
        if field.kind == "number":
            shown = cell(field, number, RULES[Target.CSV])
            assert "e" not in shown.lower()
            assert shown != "-0"
            assert float(shown) == pytest.approx(number, abs=0.5001 * 10**-field.decimals)


@pytest.mark.parametrize("target", [Target.SALESFORCE, Target.HUBSPOT])
def test_the_names_of_fields_keep_the_rules(week, tmp_path, target):
    export(week, target, tmp_path)
    names = [field.name(target) for field in FIELDS]
    assert len(set(names)) == len(names)
    if target is Target.SALESFORCE:
        assert all(name.endswith("__c") and len(name) <= 43 for name in names)


def test_large_exports_are_split_into_numbered_files(week, tmp_path):
    rules = dataclasses.replace(RULES[Target.SALESFORCE], file_bytes=1500)
    done = export(week, Target.SALESFORCE, tmp_path, rules=rules)
    assert len(done.files) > 1
    assert all(file["bytes"] <= 1500 and file["rows"] for file in done.files)
    paths = sorted(tmp_path.glob("*.csv"))
    assert [path.name for path in paths] == [file["name"] for file in done.files]
    whole = [row["Vouch_Customer_Id__c"] for path in paths for row in table(path)]
    assert whole == week.table("scores")["customer_id"].to_pylist()
    export(week, Target.SALESFORCE, tmp_path)
    assert len(list(tmp_path.glob("*.csv"))) == 1, "the files of the larger set are gone"


def test_a_limit_of_rows_counts_the_titles(week, tmp_path):
    done = export(week, Target.HUBSPOT, tmp_path, rules=dataclasses.replace(RULES[Target.HUBSPOT], file_rows=4))
    assert [file["rows"] for file in done.files] == [3, 3]


def test_a_row_that_fits_nowhere_is_refused_and_leaves_nothing(week, tmp_path):
    export(week, Target.HUBSPOT, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("vouch-*")}
    with pytest.raises(Refused, match="more than a file"):
        export(week, Target.HUBSPOT, tmp_path, rules=dataclasses.replace(RULES[Target.HUBSPOT], file_bytes=600))
    with pytest.raises(Refused, match="would not take"):
        export(week, Target.HUBSPOT, tmp_path, rules=dataclasses.replace(RULES[Target.HUBSPOT], columns=3))
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*vouch-*")} == before


def test_the_same_snapshot_gives_the_same_bytes(week, tmp_path):
    for target in Target:
        first, second = (export(week, target, tmp_path / name).files for name in "ab")
        assert first == second


def test_only_changed_rows_on_request(week, tmp_path):
    earlier = publish(tmp_path / "home", BEFORE, EARLIER)
    done = export(week, Target.SALESFORCE, tmp_path, earlier=earlier)
    (path,) = tmp_path.glob("vouch-salesforce-2026-11-16-since-2026-11-09-*.csv")
    assert [row["Vouch_Customer_Id__c"] for row in table(path)] == [HOSTILE, "c1", "c5"]
    assert (done.rows, done.unchanged, done.gone) == (3, 3, 1)
    assert "changed since 2026-11-09 (1 are gone since)" in done.summary()


def test_noise_behind_the_written_decimals_is_no_change(tmp_path):
    earlier = publish(tmp_path, BEFORE, [customer("c1", 0.25, 0.25)])
    later = publish(tmp_path, people=[customer("c1", 0.25 + 1e-9, 0.25)])
    assert export(later, Target.CSV, tmp_path / "out", earlier=earlier).rows == 0
    assert (tmp_path / "out" / "vouch-csv-2026-11-16-since-2026-11-09-001.csv").read_text().count("\n") == 1


def test_changes_are_looked_for_in_an_earlier_snapshot(week, tmp_path):
    with pytest.raises(UsageError, match="does not lie before"):
        export(week, Target.CSV, tmp_path, earlier=week)
    assert at_or_before(tmp_path / "home", parse_instant("2026-11-20")).as_of_us == MONDAY
    with pytest.raises(SnapshotError, match="No snapshot as of 2026-11-01"):
        at_or_before(tmp_path / "home", parse_instant("2026-11-01"))


def test_an_instant_that_is_no_midnight_is_written_in_utc(tmp_path):
    moment = parse_instant("2026-11-16T06:30:00Z")
    for target in Target:
        export(publish(tmp_path, moment), target, tmp_path / "out")
    rows = table(tmp_path / "out" / "vouch-csv-2026-11-16T063000Z-001.csv")
    assert rows[0]["as_of"] == "2026-11-16T06:30:00Z"


def test_long_reasons_are_cut(tmp_path):
    reason = {"family": "usage", "feature": "x" * 400, "value": "1", "contribution": 0.5}
    week = publish(tmp_path, people=[customer("c1", churn_reasons=[reason])])
    export(week, Target.SALESFORCE, tmp_path / "out")
    shown = table(tmp_path / "out" / "vouch-salesforce-2026-11-16-001.csv")[0]["Vouch_Churn_Reason__c"]
    assert len(shown) == 255
    assert shown.endswith("…")


ODD = ["\u202e", "c" * 256, "cx\x07", "cx\x1b"]
"""Ids that no CRM can hold: hidden altogether, too long, and alike once nothing in them is hidden."""


@pytest.mark.parametrize("target", CRMS)
def test_an_odd_id_is_left_out_and_told_by_its_row_and_everybody_else_is_exported(tmp_path, target):
    people = [customer(who) for who in sorted([*ODD, "c1", "c9"])]
    earlier = publish(tmp_path / "home", BEFORE, people=people)
    done = export(publish(tmp_path / "home", people=people), target, tmp_path, earlier=None)
    places = {one["customer_id"]: place for place, one in enumerate(people)}
    keys = [row[FIELDS[0].name(target)] for row in table(tmp_path / f"vouch-{target}-2026-11-16-001.csv")]
    limit = RULES[target].text_characters
    assert keys == ["c1", "c9", *(["c" * 256] if limit > 256 else []), "cx "]
    left_out = [places["\u202e"], places["cx\x1b"], *([places["c" * 256]] if limit < 256 else [])]
    assert sorted(place for of in done.refused.values() for place in of) == sorted(left_out)
    told = " ".join(done.warnings())
    assert all(f"{place}" in told for place in left_out)
    assert "ccc" not in told
    assert done.rows == len(keys)
    again = export(publish(tmp_path / "home", people=people), target, tmp_path / "since", earlier=earlier)
    assert (again.rows, again.gone) == (0, 0)


def test_every_cell_is_quoted_so_that_no_locale_cuts_it_in_two(tmp_path):
    week = publish(tmp_path / "home", people=[customer("x;=cmd|' /C calc'!A0;y"), customer("c1;-2")])
    for target in CRMS:
        export(week, target, tmp_path)
        text = (tmp_path / f"vouch-{target}-2026-11-16-001.csv").read_text(encoding="utf-8")
        for cells in csv.reader(io.StringIO(text), delimiter=";"):
            assert not [cell for cell in cells if cell.lstrip('" ').startswith(tuple("=+-@"))]


FAULTS = {
    "a byte order mark": (lambda raw: b"\xef\xbb\xbf" + raw, "byte order mark"),
    "line ends of another system": (lambda raw: raw.replace(b"\n", b"\r\n"), "LF alone"),
    "no last line end": (lambda raw: raw[:-1], "LF alone"),
    "another encoding": (lambda raw: raw + "c9é".encode("latin-1") + raw[-200:], "UTF-8"),
    "a cell too few": (lambda raw: raw + b"c9,2026-11-16\n", f"2 cells under {len(FIELDS)} names"),
    "a formula": (lambda raw: raw.replace(b'\n"c1",', b'\n"=c1",'), "computed by a spreadsheet"),
    "no key": (lambda raw: raw.replace(b'\n"c1",', b'\n"",'), "Vouch_Customer_Id__c is empty"),
    "a key that is null": (lambda raw: raw.replace(b'\n"c1",', b'\n"#N/A",'), "Vouch_Customer_Id__c is empty"),
    "a key twice": (lambda raw: raw.replace(b'\n"c1",', b'\n"c2",'), "stands there twice"),
    "a day as people write it": (lambda raw: raw.replace(b"2026-11-16", b"16/11/2026", 1), "no ISO date"),
    "a decimal comma": (lambda raw: raw.replace(b',"0.6",', b',"0,6",'), "is no number"),
    "another word for true": (lambda raw: raw.replace(b',"true",', b',"yes",', 1), "neither true nor false"),
    "an empty cell": (lambda raw: raw.replace(b',"#N/A",', b',"",', 1), "is empty"),
    "a name of no field": (lambda raw: raw.replace(b"Vouch_Customer_Id__c", b"Other__c"), "unknown fields"),
    "a name that cannot be": (lambda raw: raw.replace(b"Vouch_As_Of__c", b"Vouch__As_Of__c"), "cannot be the name"),
    "a name twice": (lambda raw: raw.replace(b"Vouch_As_Of__c", b"Vouch_Customer_Id__c"), "or one twice"),
    "an unclosed quote": (lambda raw: raw + b'"c9,', "unexpected end of data"),
    "nothing": (lambda raw: b"", "no names of fields"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_the_check_finds(week, tmp_path, fault):
    export(week, Target.SALESFORCE, tmp_path)
    path = tmp_path / "vouch-salesforce-2026-11-16-001.csv"
    spoil, words = FAULTS[fault]
    path.write_bytes(spoil(path.read_bytes()))
    assert any(words in found for found in check_file(Target.SALESFORCE, path))


def test_the_check_finds_a_damaged_or_foreign_parquet_file(week, tmp_path):
    export(week, Target.PARQUET, tmp_path)
    path = tmp_path / "vouch-parquet-2026-11-16-001.parquet"
    found = pq.read_table(path)
    pq.write_table(pa.concat_tables([found, found]), path)
    assert check_file(Target.PARQUET, path) == ["customer_id is not the key: null or repeated"]
    pq.write_table(found.drop(["as_of"]), path)
    assert check_file(Target.PARQUET, path) == ["the columns are others"]
    path.write_bytes(b"PAR1")
    assert "no sound Parquet file" in check_file(Target.PARQUET, path)[0]


@pytest.mark.parametrize("limits", [{"title_characters": 100}, {"row_characters": 40}, {"name_characters": 12}])
def test_every_limit_of_a_target_is_held(week, tmp_path, limits):
    with pytest.raises(Refused, match="salesforce would not take the export: line"):
        export(week, Target.SALESFORCE, tmp_path, rules=dataclasses.replace(RULES[Target.SALESFORCE], **limits))


def test_a_folder_that_cannot_be_written_to_is_named(week, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="Cannot write into"):
        export(week, Target.CSV, tmp_path / "file")


def test_a_folder_may_be_named_from_here(week, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = export(week, Target.CSV, Path("made/here"))
    assert [(tmp_path / "made" / "here" / file["name"]).exists() for file in done.files] == [True]


def test_what_a_killed_run_left_is_swept(week, tmp_path):
    (tmp_path / ".vouch-export-old").mkdir()
    (tmp_path / ".vouch-export-old" / "half.csv").write_text("c1")
    export(week, Target.CSV, tmp_path)
    assert not (tmp_path / ".vouch-export-old").exists()


def test_a_table_that_was_damaged_since_is_noticed(week, tmp_path):
    path = week.folder / "scores.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:200] + bytes([whole[200] ^ 1]) + whole[201:])
    with pytest.raises(SnapshotError, match="cannot be read"):
        export(week, Target.CSV, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_the_command_says_in_one_line_what_it_wrote(week, vouch, tmp_path):
    code, out, err = vouch("export", "--to", "hubspot", "--out", tmp_path / "crm")
    assert (code, err) == (0, "")
    assert out.startswith("6 of 6 customers as of 2026-11-16 for hubspot, 1 without contact_consent, in 1 files: ")
    assert out.count("\n") == 1


def test_a_scheduler_reads_one_document(week, vouch, tmp_path):
    publish(tmp_path / "home", BEFORE - WEEK_US, EARLIER)
    publish(tmp_path / "home", BEFORE, [customer("=1"), *EARLIER])
    words = ["--to", "salesforce", "--out", tmp_path / "crm", "--format", "json"]
    code, out, _ = vouch("export", *words, "--changed-since", "2026-11-12")
    told = json.loads(out)
    assert (code, told["rows"], told["unchanged"], told["gone"], told["since"]) == (0, 3, 3, 2, "2026-11-09")
    code, out, err = vouch("export", *words, "--as-of", "2026-11-09")
    assert (code, json.loads(out)["altered_ids"]) == (0, 1)
    assert err.startswith("warning: 1 customer ids look like formulas")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--to", "oracle"], 2, "oracle"),
        (["--to", "csv", "--as-of", "2026-01-05"], 1, "No snapshot as of 2026-01-05"),
        (["--to", "csv", "--as-of", "soon"], 2, "Cannot read 'soon'"),
        (["--to", "csv", "--changed-since", "2026-11-20"], 2, "does not lie before"),
        (["--to", "csv", "--changed-since", "2020-01-06"], 1, "No snapshot as of 2020-01-06"),
    ],
)
def test_what_cannot_be_is_told_without_a_traceback(week, vouch, tmp_path, words, code, told):
    ended, out, err = vouch("export", "--out", tmp_path / "crm", *words)
    assert (ended, out) == (code, "")
    assert told in err
    assert "Traceback" not in err


def test_a_sign_inside_a_text_is_left_alone():
    assert plain_text("a=b-c@d") == "a=b-c@d"


def test_noise_behind_the_point_and_wording_cause_no_writes(tmp_path):
    people = [customer(f"c{number}", 0.301, 0.402) for number in range(9)]
    home = tmp_path / "home"
    earlier = publish(home, BEFORE, people)
    noisy = [{**row, "churn_probability": 0.3013, "health_score": 50.2, "churn_model": "d" * 64} for row in people]
    noisy[0] |= {"churn_reasons": [{**REASON, "value": "4"}]}
    noisy[1] |= {"churn_band": "high"}
    noisy[2] |= {"churn_probability": 0.34}
    done = export(publish(home, MONDAY, noisy), Target.SALESFORCE, tmp_path / "crm", earlier=earlier)
    assert (done.rows, done.unchanged) == (2, 7)


def test_the_file_says_of_each_customer_what_the_service_would_say(week, vouch, tmp_path):
    code, _, err = vouch("export", "--to", "csv", "--out", tmp_path / "crm")
    assert code == 0, err
    (path,) = (tmp_path / "crm").glob("*.csv")
    rows = {row["customer_id"]: row for row in table(path)}
    found = askable_now(tmp_path / "home", None, week, now_us())
    ranks = []
    for place in range(len(found.ranked)):
        row = rows[plain_text(found.ranked.customer_id(place))]
        why = found.ranked.category("exclusion", place) or found.asking.why(place)
        assert row["not_asked_because"] == ("" if why is None else EXCLUSIONS[why])
        assert row["can_be_asked"] == ("true" if why is None else "false")
        assert row["ask_for"] == ((found.ranked.category("ask_for", place) or "") if why is None else "")
        ranks += [int(row["ask_rank"])] if why is None else []
    assert ranks == list(range(1, len(ranks) + 1))
    assert len(ranks) > 0
    assert rows["c1"]["revenue_at_risk"] == "180"
    assert rows["c5"]["revenue_at_risk"] == ""


def test_a_probability_stands_beside_the_days_that_it_looks_ahead(week, tmp_path):
    export(week, Target.CSV, tmp_path)
    rows = {row["customer_id"]: row for row in table(tmp_path / "vouch-csv-2026-11-16-001.csv")}
    days = {who: (row["churn_horizon_days"], row["advocacy_horizon_days"]) for who, row in rows.items()}
    assert days["c1"] == ("28", "90")
    assert days["c5"] == ("", ""), "of who has left nothing is foretold"


def test_what_has_moved_since_the_week_before_stands_beside_the_probability(week, vouch, tmp_path):
    publish(tmp_path / "home", BEFORE, EARLIER)
    vouch("export", "--to", "csv", "--out", tmp_path / "crm")
    (path,) = (tmp_path / "crm").glob("*.csv")
    rows = {row["customer_id"]: row for row in table(path)}
    assert rows["c1"]["churn_change"] == "0.5"
    assert rows["c2"]["churn_change"] == "0"
    assert rows["c5"]["churn_change"] == "", "who has left has no probability to compare"


def test_salesforce_gets_a_field_for_every_column_and_nobody_may_edit_them(vouch, tmp_path):
    code, out, _ = vouch("export", "--to", "salesforce", "--out", tmp_path, "--fields", "--format", "json")
    assert code == 0
    paths = {Path(name).name: Path(name) for name in json.loads(out)["files"]}
    names = [field.salesforce for field in FIELDS]
    fields = list(ElementTree.parse(paths["Account.object"]).getroot())
    tag = "{http://soap.sforce.com/2006/04/metadata}"
    assert [field.findtext(f"{tag}fullName") for field in fields] == names
    assert all(len(field.findtext(f"{tag}label")) <= 40 for field in fields), "a label has at most 40 characters"
    allowed = ElementTree.parse(paths["Vouch.permissionset"]).getroot().findall(f"{tag}fieldPermissions")
    assert [one.findtext(f"{tag}field") for one in allowed] == [f"Account.{name}" for name in names]
    assert {one.findtext(f"{tag}editable") for one in allowed} == {"false"}
    members = [one.text for one in ElementTree.parse(paths["package.xml"]).getroot().iter(f"{tag}members")]
    assert members == [*(f"Account.{name}" for name in names), "Vouch"]


def test_hubspot_gets_a_property_for_every_column_and_updates_whom_it_knows(vouch, tmp_path):
    code, _, _ = vouch("export", "--to", "hubspot", "--out", tmp_path, "--fields", "--object", "contacts")
    assert code == 0
    names = [field.hubspot for field in FIELDS]
    properties = json.loads((tmp_path / "properties.json").read_text())["inputs"]
    assert [one["name"] for one in properties] == names
    assert [one["name"] for one in properties if one.get("hasUniqueValue")] == [names[0]]
    asked = json.loads((tmp_path / "import-request.json").read_text())
    assert asked["importOperations"] == {"0-1": "UPDATE"}
    mapped = asked["files"][0]["fileImportPage"]["columnMappings"]
    assert [one["propertyName"] for one in mapped] == names


def test_files_for_everybody_need_no_fields(vouch, tmp_path):
    code, _, err = vouch("export", "--to", "csv", "--out", tmp_path, "--fields")
    assert code == 2
    assert "salesforce, hubspot" in err
