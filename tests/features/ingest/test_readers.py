"""Files of any form: encodings, separators, headers, decimal signs, dates and values of a company's own."""

from __future__ import annotations

import gzip
import json

import polars as pl
import pytest

from vouch.features.errors import ConfigurationError, SourceUnreadable
from vouch.features.ingest.stage import open_tables, stage
from vouch.features.instants import parse_instant
from vouch.features.project import load_project

NOW_US = parse_instant("2025-06-01")
ROWS = [("ä1", "03.01.2025", "1.234,50", "VERKAUF"), ("ä2", "28.02.2025", "-7,25", "Gutschrift")]
MAPPING = """
[tables.customers]
query = "select Kunde as customer_id, min(Datum) as created_at from verkauf group by 1"
[tables.transactions]
from = "verkauf"
columns = { transaction_id = "Nr", customer_id = "Kunde", occurred_at = "Datum", amount = "Betrag", kind = "Art" }
[tables.transactions.values]
kind = { Verkauf = "purchase", Gutschrift = "refund" }
"""
HEADER = ["Nr", "Kunde", "Datum", "Betrag", "Art"]
READER = """
[source.verkauf]
file = "{file}"
decimal = ","
numbers = ["Betrag"]
dates = {{ Datum = "%d.%m.%Y" }}
"""


def lines(separator: str = ";", *, has_header: bool = True) -> str:
    rows = [[str(number), *row] for number, row in enumerate(ROWS)]
    return "\n".join(separator.join(row) for row in ([HEADER] if has_header else []) + rows) + "\n"


def objects() -> list[dict[str, str]]:
    return [dict(zip(HEADER, [str(number), *row], strict=True)) for number, row in enumerate(ROWS)]


def amounts(folder, text: str, name: str = "verkauf.csv") -> list[tuple[str, str, float, str]]:
    path = folder / "vouch.toml"
    path.write_text(READER.format(file=name) + text + MAPPING, encoding="utf-8")
    tables = open_tables(stage(load_project(str(path)), NOW_US), "polars")
    rows = tables.frames["transactions"].to_native().collect().sort("transaction_id")
    days = pl.from_epoch(rows["occurred_us"], "us").dt.date().cast(pl.String)
    return list(zip(rows["customer_id"], days, rows["amount"].cast(pl.Float64), rows["kind"], strict=True))


MEANT = [("ä1", "2025-01-03", 1234.5, "purchase"), ("ä2", "2025-02-28", -7.25, "refund")]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("VOUCH_HOME", str(tmp_path / "home"))


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16", "cp1250"])
@pytest.mark.parametrize("separator", [";", "\t", "|", "~"])
def test_a_text_is_read_in_its_encoding_and_by_its_separator(tmp_path, encoding, separator):
    (tmp_path / "verkauf.csv").write_text(lines(separator), encoding=encoding)
    assert amounts(tmp_path, f'encoding = "{encoding}"\nseparator = {json.dumps(separator)}\n') == MEANT


def test_a_text_without_a_header_has_the_names_that_the_reader_gives(tmp_path):
    (tmp_path / "verkauf.csv").write_text(lines(has_header=False), encoding="utf-8")
    assert amounts(tmp_path, f"header = false\nnames = {HEADER}\n") == MEANT


@pytest.mark.parametrize("name", ["verkauf.jsonl", "verkauf.json", "verkauf.ndjson.gz"])
def test_json_is_read_by_lines_or_as_one_list(tmp_path, name):
    found = objects()
    text = json.dumps(found) if name.endswith(".json") else "\n".join(map(json.dumps, found))
    (tmp_path / name).write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    assert amounts(tmp_path, "", name) == MEANT


def test_numbers_and_dates_of_a_parquet_file_are_read_as_told(tmp_path):
    pl.DataFrame(objects()).write_parquet(tmp_path / "verkauf.parquet")
    assert amounts(tmp_path, "", "verkauf.parquet") == MEANT


def test_what_is_not_of_the_form_is_refused_as_a_row_and_not_guessed(tmp_path):
    (tmp_path / "verkauf.csv").write_text(lines() + "9;ä3;13/14/2025;1,00;Verkauf\n", encoding="utf-8")
    assert amounts(tmp_path, "") == MEANT
    refused = pl.read_parquet(tmp_path / "home" / "quarantine" / "transactions.parquet")
    assert refused["reason"].to_list() == ["not_a_time"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('encoding = "latin-99"', "there is no encoding 'latin-99'"),
        ('names = ["a"]', "add `header = false`"),
        ('separator = ";;"', "one sign"),
        ("sheets = 1", "unknown key 'sheets' (did you mean 'sheet'?)"),
    ],
)
def test_a_reader_that_cannot_be_meant_is_told_with_its_place(tmp_path, text, message):
    (tmp_path / "verkauf.csv").write_text(lines(), encoding="utf-8")
    with pytest.raises(ConfigurationError) as told:
        amounts(tmp_path, text + "\n")
    assert message in str(told.value)
    assert "[source.verkauf]" in str(told.value)


def test_a_column_of_the_reader_that_is_not_there_is_told_with_those_that_are(tmp_path):
    (tmp_path / "verkauf.csv").write_text(lines().replace("Betrag", "Summe"), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"no column 'Betrag'.*there are: Nr, Kunde, Datum, Summe, Art"):
        amounts(tmp_path, "")


def test_a_text_of_another_encoding_than_told_is_refused(tmp_path):
    (tmp_path / "verkauf.csv").write_bytes("Nr;Kunde\n1;\x81\n".encode("latin-1"))
    with pytest.raises(SourceUnreadable, match="not cp1252"):
        amounts(tmp_path, 'encoding = "cp1252"\n')


def test_a_folder_with_a_project_file_is_read_as_that_says(tmp_path):
    (tmp_path / "verkauf.csv").write_text(lines(), encoding="utf-8")
    (tmp_path / "vouch.toml").write_text(READER.format(file="verkauf.csv") + MAPPING, encoding="utf-8")
    assert load_project(str(tmp_path)) == load_project(str(tmp_path / "vouch.toml"))
