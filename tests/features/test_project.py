"""A project file is read whole, strictly and once; what it says wrong is told with the place and the mend."""

from __future__ import annotations

import pytest

from vouch.features.errors import ConfigurationError, UsageError, VouchError
from vouch.features.project import Project, load_project
from vouch.features.shown import redacted

WHOLE = """
data = "tables"
[source]
orders = "orders.csv"
[tables.transactions]
from = "orders"
columns = { occurred_at = "order_ts", amount = "total" }
constants = { kind = "purchase" }
epoch = { occurred_at = "ms" }
[tables.customers]
query = "select customer_id, min(order_ts) as created_at from orders group by 1"
[feedback]
sources = ["trustpilot", "support"]
[engine]
memory_limit = "1GB"
threads = 1
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "tables").mkdir()
    (tmp_path / "orders.csv").write_text("customer_id\n")
    monkeypatch.setenv("VOUCH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def project_file(folder, text):
    (folder / "vouch.toml").write_text(text)
    return load_project(str(folder / "vouch.toml"))


def test_a_whole_file_is_read(folder):
    project = project_file(folder, WHOLE)
    assert project.location == str(folder / "tables")
    assert project.sources == {"orders": str(folder / "orders.csv")}
    transactions = project.tables["transactions"]
    assert (transactions.source, transactions.query) == ("orders", None)
    assert transactions.columns == {"occurred_at": "order_ts", "amount": "total"}
    assert transactions.constants == {"kind": "purchase"}
    assert transactions.epoch == {"occurred_at": "ms"}
    assert project.tables["customers"].query.startswith("select")
    assert project.feedback_sources == ("trustpilot", "support")
    assert (project.memory_limit, project.threads) == ("1GB", 1)


def test_without_data_the_file_of_the_current_folder_is_read(folder):
    project_file(folder, WHOLE)
    assert load_project().sources == {"orders": str(folder / "orders.csv")}


def test_a_folder_stands_for_itself(folder):
    project = load_project("tables")
    assert project == Project(home=folder / "home", location=str(folder / "tables"))


def test_settings_of_a_team_are_taken_along(folder, monkeypatch):
    monkeypatch.setenv("VOUCH_STORE_URL", "postgresql://ann:pw@db/store")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking")
    for project in (load_project("tables"), project_file(folder, WHOLE)):
        assert (project.store, project.tracking) == ("postgresql://ann:pw@db/store", "http://tracking")


def test_variables_are_filled_in_where_a_place_is_named(folder, monkeypatch):
    monkeypatch.setenv("COMPANY_DATA", str(folder / "tables"))
    assert project_file(folder, 'data = "${COMPANY_DATA}"').location == str(folder / "tables")
    monkeypatch.setenv("DATABASE_URL", "postgresql://ann:pw@db/shop?schema=crm")
    assert project_file(folder, 'data = "${DATABASE_URL}"').location == "postgresql://ann:pw@db/shop?schema=crm"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data = ", "not valid TOML"),
        ("dta = 'tables'", "unknown key 'dta' (did you mean 'data'?)"),
        ("data = 3", "'data' must be a text"),
        ("source = 3", "'source' must be a table"),
        ("data = 'nowhere'", "there is no file or folder"),
        ("data = '${NOT_SET_ANYWHERE}'", "the variable in '${NOT_SET_ANYWHERE}' is not set"),
        ("[source]\norders = 'nowhere.csv'", "there is no file or folder"),
        ("[source]\norders = 3", "'orders' must be a text"),
        ("[tables.customer]\nfrom = 'x'", "(did you mean 'customers'?)"),
        ("[tables]\ncustomers = 3", "[tables.customers] must be a table"),
        ("[tables.customers]\nform = 'x'", "unknown key 'form' (did you mean 'from'?)"),
        ("[tables.customers]\nfrom = 3", "'from' must be a text"),
        ("[tables.customers]\ncolumns = {}", "needs `from` or `query`, and not both"),
        ("[tables.customers]\nfrom = 'x'\nquery = 'select 1'", "needs `from` or `query`, and not both"),
        ("[tables.customers]\nfrom = 'x'\ncolumns = { custmer_id = 'y' }", "(did you mean 'customer_id'?)"),
        ("[tables.customers]\nfrom = 'x'\ncolumns = { customer_id = 3 }", "'customer_id' must be a text"),
        ("[tables.customers]\nfrom = 'x'\nconstants = { segment = [1] }", "'segment' must be a text, a number"),
        ("[tables.customers]\nfrom = 'x'\ncolumns = {plan = 'p'}\nconstants = {plan = 'a'}", "stands in columns, too"),
        ("[tables.customers]\nfrom = 'x'\nepoch = { created_at = 'h' }", "one of s, ms, us are needed"),
        ("[tables.customers]\nfrom = 'x'\nepoch = { plan = 's' }", "a time column"),
        ("[feedback]\nsources = ['yelp']", "'yelp' is none of amazon, google"),
        ("[feedback]\nsource = ['google']", "(did you mean 'sources'?)"),
        ("[engine]\nthreads = true", "'threads' must be a whole number"),
        ("[engine]\nthreads = 0", "at least 1"),
        ("[engine]\nmemory = '1GB'", "(did you mean 'memory_limit'?)"),
    ],
)
def test_what_a_file_says_wrong_is_told_with_the_place(folder, text, message):
    with pytest.raises(ConfigurationError) as told:
        project_file(folder, text)
    assert message in str(told.value)
    assert str(folder / "vouch.toml") in str(told.value)


@pytest.mark.parametrize("data", ["nowhere", "nowhere.toml", "orders.csv", None])
def test_what_is_not_there_is_an_error_of_use(folder, data):
    with pytest.raises(UsageError):
        load_project(data)


def test_a_file_that_is_not_utf8_is_told(folder):
    (folder / "vouch.toml").write_bytes(b'data = "caf\xe9"')
    with pytest.raises(ConfigurationError, match="not valid TOML"):
        load_project(str(folder / "vouch.toml"))


def test_a_password_is_never_printed(folder):
    url = "postgresql://ann:secret@db.example:5433/shop?schema=crm&password=secret"
    assert redacted(url) == "postgresql://ann:***@db.example:5433/shop"
    assert redacted("postgresql://db/shop") == "postgresql://db/shop"
    assert redacted("/data/tables") == "/data/tables"
    project = Project(home=folder, location=url, store=url, tracking=url)
    assert "secret" not in repr(project)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("population = 0", "at least 1"),
        ('attribution = "middle"', "first, last, linear"),
        ("counts_voices = 1", "true or false"),
        ("[metrics.act_weights]\nrevue = 2", "did you mean .review."),
        ("[metrics.act_weights]\nreview = -1", "from 0 to 1000"),
        ("[metrics.act_weights]\nreview = nan", "from 0 to 1000"),
    ],
)
def test_settings_of_metrics_that_make_no_sense_are_refused(tmp_path, line, said):
    path = tmp_path / "vouch.toml"
    path.write_text(f'data = "{tmp_path}"\n[metrics]\n{line}\n', encoding="utf-8")
    with pytest.raises(ConfigurationError, match=said):
        load_project(str(path))


def test_settings_of_metrics_are_read(tmp_path):
    path = tmp_path / "vouch.toml"
    path.write_text(f'data = "{tmp_path}"\n[metrics]\npopulation = 90\nattribution = "last"\n', encoding="utf-8")
    found = load_project(str(path))
    assert (found.population, found.hidden_below, found.attribution, found.counts_voices) == (90, None, "last", False)
    path.write_text(f'data = "{tmp_path}"\n[metrics.act_weights]\ncase_study = 5\n', encoding="utf-8")
    assert load_project(str(path)).act_weights == {"case_study": 5.0}


@pytest.mark.parametrize("scheme", ["postgres", "postgresql+psycopg", "mysql", "https"])
def test_a_url_that_is_none_of_ours_is_refused_without_its_password(folder, scheme):
    url = f"{scheme}://ann:s3cr3tPGpw@db.example/shop"
    (folder / "vouch.toml").write_text(f'data = "{url}"')
    for data in (url, str(folder / "vouch.toml")):
        with pytest.raises(VouchError, match=r"db\.example/shop") as raised:
            load_project(data)
        assert "s3cr3t" not in str(raised.value)


def test_no_location_stands_in_the_repr_of_a_project(folder):
    url = "postgresql://ann:s3cr3tPGpw@db.example/shop"
    project = Project(home=folder, location=url, sources={"orders": url}, store=url, tracking=url)
    assert "s3cr3t" not in repr(project)
