"""What `vouch init` proposes for a stranger's files, and that the project file it writes is one that can be read."""

from __future__ import annotations

import gzip
import json
import os
import random
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from vouch.features.discovery.look import look, read_through
from vouch.features.discovery.written import project_text
from vouch.features.errors import DataError, UsageError
from vouch.features.ingest.stage import stage
from vouch.features.instants import parse_instant
from vouch.features.project import Project, load_project

NOW_US = parse_instant("2026-01-01")
START = datetime(2024, 1, 1)  # noqa: DTZ001  # what a company writes has no zone


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("VOUCH_HOME", str(tmp_path / "home"))


def proposed(folder: Path, answers: dict[str, str] | None = None):
    return look(Project(home=folder / "home", location=None), [str(folder / "data")], answers or {})


def checked(folder: Path, answers: dict[str, str] | None = None):
    """The proposal, the project file that it makes, and its tables as they are staged."""
    proposal = proposed(folder, answers)
    path = folder / "vouch.toml"
    path.write_text(project_text(proposal, folder), encoding="utf-8")
    proposal, staged = read_through(proposal, path, NOW_US)
    return proposal, path.read_text(encoding="utf-8"), staged


def write(folder: Path, name: str, rows: list[list[str]], separator: str = ",", encoding: str = "utf-8") -> None:
    path = folder / "data" / name
    path.parent.mkdir(exist_ok=True, parents=True)
    text = "\n".join(separator.join(row) for row in rows) + "\n"
    path.write_bytes(gzip.compress(text.encode(encoding)) if name.endswith(".gz") else text.encode(encoding))


def sales(header: list[str], day: str, decimal: str = ".", people: int = 40) -> list[list[str]]:
    """Lines of sales: number, customer, day, quantity, price, article."""
    made = random.Random(3)
    rows = [header]
    for number in range(400):
        when = START + timedelta(days=made.randrange(500))
        price = f"{made.randrange(100, 9999) / 100:.2f}".replace(".", decimal)
        rows.append([
            f"R{number:05}", f"K{made.randrange(people):04}", when.strftime(day), str(made.randrange(1, 9)), price,
            f"A{made.randrange(20)}",
        ])  # fmt: skip
    return rows


STRANGERS = {
    "German": (
        "Belegnummer Kundennummer Rechnungsdatum Menge Einzelpreis Artikelnummer",
        "%d.%m.%Y",
        ",",
        ";",
        "cp1252",
    ),
    "French": ("Numéro_facture Client Date_vente Quantité Prix_unitaire Code_produit", "%d/%m/%Y", ",", ";", "utf-8"),
    "Spanish": ("num_pedido id_cliente fecha_compra cantidad precio codigo_producto", "%Y-%m-%d", ".", "\t", "utf-8"),
    "American": ("OrderNo CustomerID OrderDate Qty UnitPrice SKU", "%m/%d/%Y", ".", ",", "utf-16"),
    "Romanian": ("NrComanda CodClient DataComanda Cantitate PretUnitar CodProdus", "%d.%m.%Y %H:%M", ",", "|", "utf-8"),
    "Korean": ("주문_번호 고객_번호 주문일 수량 단가 상품_코드", "%Y.%m.%d", ".", ",", "cp949"),
}


@pytest.mark.parametrize("language", STRANGERS)
def test_sales_of_a_stranger_become_transactions(tmp_path, language):
    names, day, decimal, separator, encoding = STRANGERS[language]
    header = names.split()
    rows = sales(header, day, decimal)
    write(tmp_path, "export.csv", rows, separator, encoding)
    proposal, _, staged = checked(tmp_path)
    (table,) = [table for table in proposal.tables if table.table == "transactions"]
    assert {name: cell.reads[0][1] for name, cell in table.cells.items() if name != "amount"} == {
        "transaction_id": header[0],
        "customer_id": header[1],
        "occurred_at": header[2],
        "product_id": header[5],
        **({"order_id": header[0]} if "order_id" in table.cells else {}),
    }
    counted = staged.counted["tables"]
    assert (counted["transactions"]["rows"], counted["transactions"]["quarantined"]) == (400, 0)
    assert counted["customers"]["rows"] == len({row[1] for row in rows[1:]})
    assert proposal.accounted == 1


def test_what_is_written_is_read_as_it_was_found(tmp_path):
    names, day, decimal, separator, encoding = STRANGERS["German"]
    write(tmp_path, "export.csv", sales(names.split(), day, decimal), separator, encoding)
    _, text, _ = checked(tmp_path)
    for said in (
        'encoding = "cp',
        'decimal = ","',
        'numbers = ["Einzelpreis"]',
        '"%d.%m.%Y"',
        'file = "data/export.csv"',
    ):
        assert said in text or said == 'encoding = "cp'  # plain letters are no evidence of an encoding
    assert str(tmp_path) not in text


def test_dates_that_may_be_read_in_two_ways_are_asked_about(tmp_path):
    rows = sales(["order", "customer", "date", "qty", "price", "sku"], "%d/%m/%Y")
    few = [rows[0], *([*row[:2], "03/04/2024", *row[3:]] for row in rows[1:])]
    write(tmp_path, "orders.csv", few)
    (question,) = [one for one in proposed(tmp_path).questions if one.name.startswith("dates.")]
    assert {question.proposed, *question.others} == {"%d/%m/%Y", "%m/%d/%Y"}
    answered = proposed(tmp_path, {question.name: "%m/%d/%Y"})
    assert answered.sources["orders"].reader.dates == {"date": ("%m/%d/%Y",)}
    assert question.name not in {one.name for one in answered.questions}
    with pytest.raises(UsageError, match="there is no such question"):
        proposed(tmp_path, {"dates.orders.dat": "%d/%m/%Y"})


def test_one_day_that_only_one_order_explains_settles_it(tmp_path):
    rows = sales(["order", "customer", "date", "qty", "price", "sku"], "%m/%d/%Y")
    write(tmp_path, "orders.csv", rows)
    proposal = proposed(tmp_path)
    assert proposal.sources["orders"].reader.dates == {"date": ("%m/%d/%Y",)}
    assert not [one for one in proposal.questions if one.name.startswith("dates.")]


def test_ids_join_over_two_steps_and_whatever_they_are_written_as(tmp_path):
    people = ([f"{n}.0", "2023-05-01", "DE"] for n in range(60))
    write(tmp_path, "clients.csv", [["client_id", "joined", "land"], *people])
    write(tmp_path, "contracts.csv", [
        ["contract_id", "client_id", "start_date", "end_date", "monthly_fee"],
        *([f"V{n}", str(n), "2023-06-01", "2024-03-01" if n % 3 == 0 else "", "20"] for n in range(60)),
    ])  # fmt: skip
    write(tmp_path, "usage_log.csv", [
        ["contract_id", "logged", "feature"],
        *([f"V{n % 60}", f"2024-0{1 + n % 9}-11 10:00:00", "export"] for n in range(600)),
    ])  # fmt: skip
    proposal, text, staged = checked(tmp_path)
    counted = staged.counted["tables"]
    assert {name: (table["rows"], table["orphans"]) for name, table in counted.items()} == {
        "customers": (60, 0), "subscriptions": (60, 0), "usage_events": (600, 0),
    }  # fmt: skip
    assert "usage_log.contract_id = contracts.contract_id" in text
    assert all(table.confidence > 0.5 for table in proposal.tables)


def test_parts_of_one_table_are_read_as_one(tmp_path):
    rows = sales(["order", "customer", "date", "qty", "price", "sku"], "%Y-%m-%d")
    for year, part in (("2023", rows[1:150]), ("2024", rows[150:])):
        write(tmp_path, f"sales_{year}.csv", [rows[0], *part])
    _, text, staged = checked(tmp_path)
    assert "data/sales_*.csv" in text
    assert staged.counted["tables"]["transactions"]["rows"] == 400


def test_files_of_other_forms_are_looked_into(tmp_path):
    rows = sales(["order", "customer", "date", "qty", "price", "sku"], "%Y-%m-%d")
    path = tmp_path / "data" / "deep" / "sales.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(json.dumps(dict(zip(rows[0], row, strict=True))) for row in rows[1:]))
    write(tmp_path, "notes.md", [["nothing"]])
    proposal, _, staged = checked(tmp_path)
    assert staged.counted["tables"]["transactions"]["rows"] == 400
    assert any("notes.md is not read" in line for line in proposal.unread)


LEAKS = (
    "churn_flag", "is_churned", "Cancelled", "cancellation_date", "exit_reason", "Attrition", "left_company",
    "lost_customer", "Kuendigung", "satisfaction_score",
)  # fmt: skip


@pytest.mark.parametrize("name", LEAKS)
def test_a_column_that_tells_what_became_of_a_customer_is_left_out_and_named(tmp_path, name):
    people = [["customer_id", "signup_date", "country", "seats", name]]
    people += [[f"K{n:04}", "2023-01-05", "DE" if n % 2 else "FR", str(n % 7), str(n % 2)] for n in range(40)]
    write(tmp_path, "customers.csv", people)
    write(tmp_path, "orders.csv", sales(["order", "customer_id", "date", "qty", "price", "sku"], "%Y-%m-%d"))
    proposal, text, _ = checked(tmp_path)
    fate = {verdict.column: verdict for verdict in proposal.verdicts if verdict.source == "customers"}
    assert fate[name].fate == "left out"
    assert fate[name].reason.startswith("a leak")
    assert fate["country"].fate == "mapped"
    assert not fate["seats"].reason.startswith("a leak")
    assert f"{name}: a leak" in text


def test_values_of_a_company_are_told_in_the_words_of_the_contract(tmp_path):
    write(tmp_path, "subscriptions.csv", [
        ["subscription_id", "customer_id", "start_date", "end_date", "mrr", "billing_frequency"],
        *([f"S{n}", f"K{n % 30}", "2024-01-01", "", "9.5", "Annual" if n % 2 else "Monthly"] for n in range(60)),
    ])  # fmt: skip
    write(
        tmp_path,
        "events.csv",
        [["customer_id", "timestamp", "event"], *([f"K{n % 30}", "2024-02-03", "login"] for n in range(90))],
    )
    _, text, staged = checked(tmp_path)
    assert 'billing_period = { Annual = "year", Monthly = "month" }' in text
    assert staged.counted["tables"]["subscriptions"]["cells"] == 0


def test_files_without_a_customer_are_told_with_what_is_there(tmp_path):
    write(tmp_path, "weather.csv", [["station", "day", "rain"], *([f"W{n}", "2024-01-01", str(n)] for n in range(30))])
    with pytest.raises(DataError, match="weather: station, day, rain"):
        proposed(tmp_path)


RAW = ("online_retail_ii_year1", "complete_journey", "olist_sample", "ravenstack", "cdnow", "airline_loyalty")
ROWS = {
    "online_retail_ii_year1": {"customers": 4_383, "transactions": 417_534},
    "complete_journey": {"customers": 2_469, "transactions": 1_469_307, "touches": 6_589},
    "olist_sample": {"transactions": 3_379, "surveys": 2_993, "feedback": 2_993},
    "ravenstack": {"customers": 500, "subscriptions": 5_000, "usage_events": 25_000, "tickets": 2_000},
    "cdnow": {"customers": 23_570, "transactions": 69_659},
    "airline_loyalty": {"customers": 16_737, "subscriptions": 16_737, "usage_events": 207_632},
}


@pytest.mark.datasets
@pytest.mark.slow
@pytest.mark.parametrize("name", RAW)
def test_public_data_as_they_are_are_mapped_without_a_word(tmp_path, name):
    (tmp_path / "data").symlink_to(Path(os.environ["VOUCH_DATASETS"]) / name)
    proposal, _, staged = checked(tmp_path)
    counted = staged.counted["tables"]
    assert {table: counted[table]["rows"] for table in ROWS[name]} == ROWS[name]
    assert sum(table["quarantined"] for table in counted.values()) == 0
    assert all(verdict.reason for verdict in proposal.verdicts)
    assert proposal.accounted >= 0.9


def shop(folder: Path) -> None:
    """Sales by a number of the order, whose customer stands in another file; payments and visits beside."""
    people = [f"K{n:03}" for n in range(50)]
    orders = [[f"B{n}", people[n % 50], f"2024-{1 + n % 12:02}-0{1 + n % 9} 08:00:00"] for n in range(400)]
    write(folder, "clients.csv", [["client_no", "joined", "land"], *([one, "2023-11-01", "DE"] for one in people)])
    write(folder, "orders.csv", [["order_no", "client_no", "ordered"], *orders])
    write(folder, "order_lines.csv", [
        ["order_no", "article_no", "qty", "unit_price", "colour", "gift_note"],
        *([f"B{n % 400}", f"A{n % 30}", "2", "9.50", "red" if n % 3 else "blue", ""] for n in range(700)),
    ])  # fmt: skip
    write(folder, "articles.csv", [["article_no", "weight"], *([f"A{n}", str(n % 7)] for n in range(30))])
    write(folder, "payments.csv", [
        ["payment_no", "order_no", "method", "instalments", "churned"],
        *([f"P{n}", f"B{n}", "card" if n % 2 else "cash", str(1 + n % 4), str(n % 2)] for n in range(400)),
    ])  # fmt: skip
    write(folder, "weather.csv", [["station", "day", "rain"], *([f"W{n}", "2024-01-01", str(n)] for n in range(30))])


def test_a_file_that_the_contract_has_no_place_for_is_proposed_as_a_table_of_its_own(tmp_path):
    shop(tmp_path)
    proposal, text, staged = checked(tmp_path)
    payments = (proposal.own or {})["payments"]
    assert payments.mapping.key == "payment_no"
    assert payments.mapping.columns["customer_id"].endswith("client_no")
    assert payments.mapping.columns["occurred_at"] == "orders.ordered"
    assert payments.mapping.parents["order_no"] == "orders.order_no"
    assert payments.confidence >= 0.75
    assert any("100.0% of payments.order_no stand in orders.order_no" in line for line in payments.evidence)
    assert "[tables.payments]" in text
    assert "[tables.payments.parents]" in text
    assert staged.counted["tables"]["payments"]["rows"] == 400
    assert set(proposal.own or {}) == {"payments"}
    assert "weather" not in text.split("# left out")[0]


def test_what_is_proposed_is_what_is_read_without_a_word(tmp_path):
    shop(tmp_path)
    path = tmp_path / "vouch.toml"
    path.write_text(project_text(proposed(tmp_path), tmp_path), encoding="utf-8")  # all files, and no further table
    free = stage(load_project(str(path)), NOW_US)
    _, text, staged = checked(tmp_path)
    assert "[tables.payments]" in text
    assert (staged.own.lines, staged.own.verdicts) == (free.own.lines, free.own.verdicts)


def test_columns_that_a_query_would_lose_are_selected_and_feed(tmp_path):
    shop(tmp_path)
    proposal, text, staged = checked(tmp_path)
    fates = {(verdict.source, verdict.column): verdict for verdict in proposal.verdicts}
    assert fates["order_lines", "colour"].reason == "features of transactions"
    assert fates["order_lines", "gift_note"].reason == "it is empty"
    assert fates["payments", "method"].reason == "features of payments"
    assert fates["payments", "payment_no"].fate == "used"
    assert {line.value for line in staged.own.lines if line.table == "transactions"} >= {"colour"}
    assert fates["weather", "rain"].fate == "left out"
    assert proposal.accounted == 1
    assert "weather" in text  # with the reason


def test_a_further_table_is_none_where_somebody_says_so(tmp_path):
    shop(tmp_path)
    proposal, text, _ = checked(tmp_path, {"table.payments": "none"})
    assert proposal.own == {}
    assert "[tables.payments]" not in text


def test_when_a_company_knew_of_a_row_is_taken_where_it_is_said(tmp_path):
    write(tmp_path, "events.csv", [
        ["customer_id", "timestamp", "event", "ingested_at"],
        *([f"K{n % 30}", "2024-02-03 10:00:00", "login", "2024-02-05 02:00:00"] for n in range(90)),
    ])  # fmt: skip
    _, text, _ = checked(tmp_path)
    assert 'ingested_at = "ingested_at"' in text


def test_where_no_file_is_called_like_activity_the_longest_is_asked_about(tmp_path):
    write(tmp_path, "drivers.csv", [["driverId", "nationality"], *([str(n), "FI"] for n in range(40))])
    write(tmp_path, "results.csv", [
        ["driverId", "date", "points"], *([str(n % 40), f"2024-0{1 + n % 9}-02", str(n % 9)] for n in range(400)),
    ])  # fmt: skip
    proposal, _, staged = checked(tmp_path)
    assert staged.counted["tables"]["usage_events"]["rows"] == 400
    assert "table.results" in {question.name for question in proposal.questions}


def test_customers_without_any_time_are_told_of_the_way_for_flat_tables(tmp_path):
    write(
        tmp_path,
        "people.csv",
        [["Customer ID", "tenure", "Churn"], *([str(n), str(n % 9), "0" if n % 4 else "1"] for n in range(40))],
    )
    with pytest.raises(DataError, match=r"vouch train leavers --table .*people.csv --label Churn --id 'Customer ID'"):
        proposed(tmp_path)


def test_a_figure_that_is_called_like_a_customer_is_no_id(tmp_path):
    rows = [[str(n % 20), str(n % 9), "0" if n % 4 else "1"] for n in range(60)]
    write(tmp_path, "people.csv", [["Customer Value", "tenure", "Churn"], *rows])
    with pytest.raises(DataError, match="with the number of the row as the id") as raised:
        proposed(tmp_path)
    assert "--id" not in str(raised.value)


COMPANIES = {
    "German": (
        {"Kunden": "Kundennummer;Kunde seit;Bundesland;Tarif;Werbung erlaubt",
         "Verträge": "Vertrag;Kundennummer;Vertragsbeginn;Vertragsende;Monatsbetrag",
         "Rechnungen": "Beleg;Kundennummer;Belegdatum;Rechnungsbetrag;Art",
         "Logins": "Kundennummer;Zeitpunkt;Aktion",
         "Anfragen": "Ticket;Kunde;Eröffnet;Gelöst;Priorität",
         "NPS-Umfrage": "Kunde;Datum;Weiterempfehlung;Kommentar"},
        ("ja", "nein"), ("Kauf", "Gutschrift"), "%d.%m.%Y", ",",
    ),
    "Romanian": (
        {"Clienți": "Cod client;Client din;Județ;Abonament;Acord marketing",
         "Contracte": "Contract;Cod client;Data începerii;Data încetării;Valoare lunară",
         "Facturi": "Nr. factură;Cod client;Data facturii;Valoare totală;Tip",
         "Autentificări": "Cod client;Moment;Eveniment",
         "Solicitări": "Tichet;Client;Deschis la;Închis la;Prioritate",
         "Sondaj NPS": "Client;Data;Recomandare;Comentariu"},
        ("da", "nu"), ("Vânzare", "Rambursare"), "%d.%m.%Y", ",",
    ),
    "Korean": (
        {"고객": "고객번호;가입일자;지역;요금제;마케팅 동의",
         "계약": "계약번호;고객번호;시작일자;종료일자;월 이용료",
         "거래": "거래번호;고객번호;거래일자;거래금액;구분",
         "접속 로그": "고객번호;일시;이벤트",
         "문의": "문의번호;고객;접수일시;완료일시;우선순위",
         "NPS 설문": "고객;일자;추천 의향;의견"},
        ("예", "아니오"), ("구매", "환불"), "%Y.%m.%d", ".",
    ),
}  # fmt: skip


def a_company(folder, headers, truths, kinds, day, decimal):
    """Six files of 60 customers; tickets and surveys call the customer by another name than the others."""
    made = random.Random(11)
    people = [f"K-{number:04}" for number in range(60)]

    def money(value):
        return f"{value:.2f}".replace(".", decimal)

    def on(days):
        return (START + timedelta(days=days)).strftime(day)

    files = [
        [[one, on(made.randrange(100)), "AB" if made.random() < 0.5 else "CD", made.choice(("x", "y")),
          made.choice(truths)] for one in people],
        [[f"V{n}", one, on(100), on(300 + n) if n % 4 == 0 else "", money(20 + n % 3)] for n, one in enumerate(people)],
        [[f"B{n}", people[n % 60], on(110 + n), money(9 + n % 7), kinds[n % 9 == 0]] for n in range(500)],
        [[people[n % 60], on(110 + n % 500), made.choice(("view", "save"))] for n in range(900)],
        [[f"T{n}", people[n % 60], on(120 + n), on(121 + n), made.choice(("1", "2"))] for n in range(200)],
        [[people[n % 60], on(130 + n), str(n % 11), "ok"] for n in range(300)],
    ]  # fmt: skip
    for (name, header), rows in zip(headers.items(), files, strict=True):
        write(folder, f"{name}.csv", [header.split(";"), *rows], ";")


@pytest.mark.parametrize("language", COMPANIES)
def test_a_company_s_files_in_its_own_language_are_mapped_whole(tmp_path, language):
    headers, truths, kinds, day, decimal = COMPANIES[language]
    a_company(tmp_path, headers, truths, kinds, day, decimal)
    proposal, text, staged = checked(tmp_path)
    counted = staged.counted["tables"]
    assert {name: (of["rows"], of["quarantined"], of["orphans"]) for name, of in counted.items()} == {
        "customers": (60, 0, 0), "subscriptions": (60, 0, 0), "transactions": (500, 0, 0),
        "usage_events": (900, 0, 0), "tickets": (200, 0, 0), "surveys": (300, 0, 0), "feedback": (300, 0, 0),
    }  # fmt: skip
    assert not [question.name for question in proposal.questions]
    fed = {(table.table, name) for table in proposal.tables for name in table.cells}
    assert {
        ("customers", "created_at"), ("customers", "contact_consent"), ("subscriptions", "ended_at"),
        ("subscriptions", "mrr"), ("transactions", "amount"), ("transactions", "kind"), ("tickets", "resolved_at"),
        ("surveys", "score"), ("surveys", "verbatim"),
    } <= fed  # fmt: skip
    assert all(table["cells"] == 0 for table in counted.values()), text


def test_a_customer_of_another_name_is_told_by_the_ids_and_by_nothing_less(tmp_path):
    write(tmp_path, "orders.csv", sales(["order", "customer_id", "date", "qty", "price", "sku"], "%Y-%m-%d"))
    notes = [["who", "logged", "seats"]]
    notes += [[f"K{n % 40:04}", f"2024-02-{1 + n % 28:02}", str(n % 30)] for n in range(300)]
    write(tmp_path, "activity.csv", notes)
    proposal = proposed(tmp_path)
    assert proposal.customer.columns == {"orders": "customer_id", "activity": "who"}
    write(tmp_path, "orders.csv", [
        [row[0], row[1].removeprefix("K00").lstrip("0") or "0", *row[2:]]
        for row in sales(["order", "customer_id", "date", "qty", "price", "sku"], "%Y-%m-%d")
    ])  # fmt: skip
    assert proposed(tmp_path).customer.columns == {"orders": "customer_id"}


def test_a_file_that_is_called_as_a_table_and_is_none_is_not_read_as_one(tmp_path):
    write(tmp_path, "orders.csv", sales(["order", "customer_id", "date", "qty", "price", "sku"], "%Y-%m-%d"))
    write(tmp_path, "tickets.csv", [["seat", "row"], *([str(n), "a"] for n in range(30))])
    proposal, _, staged = checked(tmp_path)
    assert "tickets" not in staged.counted["tables"]
    assert "tickets_file" in proposal.sources
    with pytest.raises(UsageError, match="cannot be surveys"):
        proposed(tmp_path, {"table.tickets_file": "surveys"})


def test_when_customers_began_is_told_by_what_they_did_since(tmp_path):
    orders = sales(["order", "customer_id", "date", "qty", "price", "sku"], "%Y-%m-%d")
    write(tmp_path, "orders.csv", orders)
    first = {row[1]: min(other[2] for other in orders[1:] if other[1] == row[1]) for row in orders[1:]}
    header = ["customer_id", "begehung", "land"]
    write(tmp_path, "people.csv", [header, *([one, at, "DE"] for one, at in first.items())])
    (table,) = [table for table in proposed(tmp_path).tables if table.table == "customers"]
    assert table.cells["created_at"].plain == "begehung"
    write(tmp_path, "people.csv", [header, *([one, "2025-12-01", "DE"] for one in first)])
    (table,) = [table for table in proposed(tmp_path).tables if table.table == "customers"]
    assert table.cells["created_at"].plain is None


def test_what_the_usual_tools_export_is_mapped_as_it_comes(tmp_path):
    people = [f"cus_{number:04}" for number in range(60)]
    made = random.Random(5)

    def at(days, form="%Y-%m-%d %H:%M"):
        return (START + timedelta(days=days, minutes=made.randrange(1400))).strftime(form)

    write(
        tmp_path,
        "customers.csv",
        [
            ["id", "Email", "Created (UTC)", "Delinquent"],
            *([one, f"{one}@example.com", at(n), "false"] for n, one in enumerate(people)),
        ],
    )
    write(tmp_path, "subscriptions.csv", [
        ["id", "Customer ID", "Plan", "Interval", "Amount", "Status", "Start (UTC)", "Canceled At (UTC)"],
        *([f"sub_{n}", one, "pro", "year" if n % 2 else "month", "120", "canceled" if n % 4 == 0 else "active",
           at(70), at(300 + n) if n % 4 == 0 else ""] for n, one in enumerate(people)),
    ])  # fmt: skip
    write(tmp_path, "payments.csv", [
        ["id", "Created date (UTC)", "Amount", "Currency", "Customer ID", "Status"],
        *([f"ch_{n}", at(80 + n % 400), "120", "eur", people[n % 60], "Paid"] for n in range(400)),
    ])  # fmt: skip
    write(tmp_path, "hubspot-crm-exports-all-tickets-2025-11-23.csv", [
        ["Ticket ID", "Create date", "Close date", "Priority", "Associated Contact IDs"],
        *([f"{n}", at(90 + n, "%m/%d/%Y %I:%M %p"), at(99 + n, "%m/%d/%Y %I:%M %p"), "HIGH" if n % 3 else "LOW",
           people[n % 60]] for n in range(150)),
    ])  # fmt: skip
    write(tmp_path, "delighted-responses.csv", [
        ["Response ID", "Person External ID", "Score", "Comment", "Survey responded at (UTC)"],
        *([f"d{n}", people[n % 60], str(n % 11), "ok", at(100 + n, "%Y-%m-%dT%H:%M:%SZ")] for n in range(200)),
    ])  # fmt: skip
    events = [{"event": "view", "time": 1_704_067_200 + 86_400 * (80 + n % 400), "distinct_id": people[n % 60]}
              for n in range(900)]  # fmt: skip
    (tmp_path / "data" / "mixpanel_events.jsonl").write_text("\n".join(map(json.dumps, events)))
    proposal, text, staged = checked(tmp_path)
    rows = {name: (of["rows"], of["quarantined"], of["cells"]) for name, of in staged.counted["tables"].items()}
    assert rows == {
        "customers": (60, 0, 0), "subscriptions": (60, 0, 0), "transactions": (400, 0, 0), "usage_events": (900, 0, 0),
        "tickets": (150, 0, 0), "surveys": (200, 0, 0), "feedback": (200, 0, 0),
    }, text  # fmt: skip
    paid = (
        pl.read_parquet(staged.folder / "subscriptions.parquet").group_by("billing_period").agg(pl.col("mrr").first())
    )
    assert dict(paid.iter_rows()) == {"month": 120, "year": 10}
    assert proposal.customer.columns["customers"] == "id"


def test_seconds_since_1970_say_when_customers_began_where_no_file_of_customers_does(tmp_path):
    write(tmp_path, "activity.csv", [["user_id", "ts", "action"],
          *([f"u{n % 40}", str(1_700_000_000 + 3_600 * n), "view"] for n in range(400))])  # fmt: skip
    _, _, staged = checked(tmp_path)
    begun = pl.read_parquet(staged.folder / "customers.parquet")
    assert len(begun) == 40
    assert begun["created_us"].min() == 1_700_000_000_000_000


@pytest.mark.parametrize(("periods", "monthly"), [(("month", "year"), {10.0, 120.0}), (("month", "quarter"), {0.0})])
def test_a_price_is_taken_for_a_month_s_only_where_its_period_is_understood(tmp_path, periods, monthly):
    write(tmp_path, "orders.csv", sales(["order", "customer_id", "date", "qty", "price", "sku"], "%Y-%m-%d"))
    write(tmp_path, "subscriptions.csv", [
        ["subscription_id", "customer_id", "start_date", "end_date", "amount", "interval"],
        *([f"S{n}", f"K{n % 40:04}", "2024-02-01", "2024-09-01" if n % 3 else "", "120", periods[n % 2]]
          for n in range(60)),
    ])  # fmt: skip
    _, _, staged = checked(tmp_path)
    held = pl.read_parquet(staged.folder / "subscriptions.parquet")
    assert {float(mrr) for mrr in held["mrr"].unique()} == monthly


def test_an_answer_of_another_name_is_a_score_and_no_rating(tmp_path):
    write(tmp_path, "orders.csv", sales(["order", "customer_id", "date", "qty", "price", "sku"], "%Y-%m-%d"))
    write(tmp_path, "survey.csv", [
        ["customer_id", "date", "q7", "comment"],
        *([f"K{n % 40:04}", f"2024-03-{1 + n % 28:02}", str(n % 11), "fine"] for n in range(300)),
    ])  # fmt: skip
    fed = {(table.table, name) for table in proposed(tmp_path).tables for name in table.cells}
    assert ("surveys", "score") in fed
    assert ("feedback", "rating") not in fed
