"""What others wrote is shown without secrets, without values of customers, and without what steers where it is read."""

from __future__ import annotations

import csv
import io

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from vouch.features.engines import first_line
from vouch.features.shown import csv_line, markdown, plain_text, printable, redacted, shape

SECRET = "s3cr3tPGpw"
SCHEMES = ("postgres", "postgresql", "postgresql+psycopg", "mysql", "mysql+pymysql", "http", "https", "redis", "ftp")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("form", ["{}", "names {}: a URL is needed", "'{}'", '("{}",)', "<{}>", "first {}, then {}"])
@pytest.mark.parametrize("password", [SECRET, f"{SECRET}@x", f"a/{SECRET}", f"é:{SECRET}", f"'{SECRET}", f"?{SECRET}"])
def test_no_password_of_a_url_is_shown_whatever_its_scheme(scheme, form, password):
    url = f"{scheme}://ann:{password}@db.example:5433/shop"
    assert SECRET not in redacted(form.format(url, url))
    assert "db.example:5433/shop" in redacted(form.format(url, url))


@pytest.mark.parametrize(
    "text",
    [
        f"postgres://db/shop?password={SECRET}",
        f"https://store.example/a?page=2&X-Amz-Signature={SECRET}",
        f"https://store.example/a?api_key={SECRET}#part",
        f"https://{SECRET}@git.example/repository",
        f"host=db user=ann password={SECRET} dbname=shop",
        f"MLFLOW_TRACKING_PASSWORD='{SECRET} {SECRET}'",
        f"postgresql://ann:{SECRET} {SECRET}@db/shop",
        f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={SECRET};EndpointSuffix=core",
        f"abfss://a@store.example/?SharedKey={SECRET}",
        f"Authorization: Bearer {SECRET}",
        f"{{'authorization': 'Basic {SECRET}'}}",
        f"sent with bearer {SECRET}{SECRET}",
    ],
)
def test_no_secret_parameter_is_shown(text):
    assert SECRET not in redacted(text)


@pytest.mark.parametrize(
    "text",
    [
        "/data/tables",
        "http://127.0.0.1:3000/app/customer?id=c1&page=2",
        "a.b@example.com asks at 10:30",
        "postgresql://ann@db/shop",
        "vouch export --to csv: 3 = 4",
        "significance=0.05",
        "the bearer of news, of the plan Basic subscription",
        "Send it as: Authorization: Bearer KEY",
    ],
)
def test_what_holds_no_secret_is_shown_as_it_is(text):
    assert redacted(text) == text


@given(st.text())
def test_redacting_twice_is_redacting_once(text):
    assert redacted(redacted(text)) == redacted(text)


@given(st.text())
def test_nothing_that_steers_a_terminal_is_sent(text):
    shown = printable(text)
    assert not [sign for sign in shown if not (" " <= sign <= "~" or ord(sign) >= 0xA0 or sign in "\n\t")]
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\u2028\u2029")
    if text.isprintable():
        assert shown == text


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_a_text_in_a_csv_is_one_cell_whatever_the_separator_and_no_formula(texts):
    line = csv_line(map(plain_text, texts))
    (row,) = csv.reader(io.StringIO(line, newline=""))
    assert row == [plain_text(text) for text in texts]
    assert not any(cell.startswith(tuple("=+-@\t\r\0")) for cell in row)
    for separator in ";\t|":
        cells = next(csv.reader(io.StringIO(line, newline=""), delimiter=separator))
        assert not [cell for cell in cells if cell.lstrip(' "').startswith(tuple("=+-@"))]
    assert line.startswith('"')
    assert line.endswith('"\n')


HOSTILE = [
    "a|b",
    "x\n# Passed",
    "<img src=x>",
    "[a](http://evil.example)",
    "**b** _c_ `d`",
    "http://evil.example",
    "1. x",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_in_a_table_of_markdown_stays_in_its_cell_and_makes_nothing(text):
    table = f"| a | b |\n| --- | --- |\n| {markdown(text)} | 2 |\n"
    shown = MarkdownIt("commonmark", {"html": True, "linkify": False}).enable("table").render(table)
    assert shown.count("<td>") == 2
    assert not [tag for tag in ("<img", "<a ", "<h1", "<strong", "<em", "<code") if tag in shown]
    assert text.replace("\n", " ").replace("<", "&lt;").replace(">", "&gt;") in shown


VALUE = "ana.planted42@mail7.example"
QUERIES = [
    f"SELECT CAST('{VALUE}' AS INTEGER)",
    f"SELECT CAST('O''{VALUE}' AS DATE)",
    f"SELECT strptime('{VALUE}', '%Y')",
    f"SELECT '{VALUE}'::UUID",
    f"SELECT error('{VALUE}')",
    f"SELECT json_extract('{{{VALUE}', '$.a')",
    "SELECT 72155501::INTEGER * 72155501::INTEGER",
    "SELECT CAST(72155501999 AS INTEGER)",
]


@pytest.mark.parametrize("query", QUERIES)
def test_what_an_engine_says_of_a_value_is_told_without_the_value(query):
    with duckdb.connect() as connection, pytest.raises(duckdb.Error) as raised:
        connection.execute(query).fetchall()
    told = first_line(raised.value)
    assert "ana" not in told
    assert "mail" not in told
    assert "72155501" not in told
    assert told


def test_polars_too():
    with pytest.raises(pl.exceptions.PolarsError) as raised:
        pl.DataFrame({"a": [VALUE]}).select(pl.col("a").cast(pl.Int64))
    assert VALUE not in first_line(raised.value)


def test_a_name_that_the_engine_quotes_is_told():
    with duckdb.connect() as connection, pytest.raises(duckdb.Error) as raised:
        connection.execute("SELECT mispelt FROM range(3)")
    assert "mispelt" in first_line(raised.value)


@given(st.text(min_size=3))
def test_the_shape_of_a_value_holds_none_of_its_letters_and_digits(text):
    like = shape(text).partition(" like ")[2]
    assert not [sign for sign in like if (sign.isalpha() and sign != "a") or (sign.isdigit() and sign != "9")]
