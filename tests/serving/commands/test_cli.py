"""The command line as it is typed: exit codes, what goes to standard output, what to standard error."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer.testing

from support.capabilities import free_port
from support.champions import write_champions
from support.rows.table_files import company as made_of
from support.rows.table_files import row as one
from support.rows.table_files import write_csv
from vouch.features.errors import BundleError, DataError, Locked, Refused, UsageError, VouchError
from vouch.features.home_format import FILE, RESTORING
from vouch.features.instants import parse_instant
from vouch.features.shown import aligned
from vouch.features.vectors.declare import load_families
from vouch.features.vectors.lines import use_lines
from vouch.serving import cli
from vouch.serving.commands.serve import ip_address, listening
from vouch.serving.snapshots.files import lock, read_snapshot

NOW = "2026-11-16T06:00:00Z"
COMMANDS = (
    *("demo", "simulate", "init", "check", "features", "train", "models"),
    *("promote", "rollback", "score", "runs", "metrics", "report", "export", "serve", "clean", "erase", "about"),
    *("backup", "restore", "mcp", "mlflow", "push", "pull", "notify"),
)
HEAVY = ("pandas", "numpy", "pyarrow", "duckdb", "polars", "narwhals", "mlflow", "lightgbm", "sklearn", "bentoml")


@pytest.fixture
def home(tmp_path) -> Path:
    return tmp_path / "home"


def registered() -> dict[str, typer.models.CommandInfo]:
    found = list(cli.app.registered_commands)
    for group in cli.app.registered_groups:
        found += group.typer_instance.registered_commands
    return {info.name or info.callback.__name__: info for info in found}


def test_the_commands_are_those_of_the_interface():
    assert sorted(registered()) == sorted(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name):
    shown = typer.testing.CliRunner().invoke(cli.app, [name, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert f"Example: vouch {name}" in shown.output


@pytest.mark.parametrize("name", ["check", "features", "train", "models", "score", "metrics"])
def test_every_command_that_prints_data_takes_a_format(name):
    shown = typer.testing.CliRunner().invoke(cli.app, [name, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert "--format" in shown.output


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom serving import cli\nsys.argv = ['vouch', '--help']\n"
        "try:\n    cli.main()\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("meant otherwise"), 2),
        (DataError("not as the contract says"), 1),
        (BundleError("damaged"), 1),
        (Locked("at work"), 3),
        (Refused("no"), 4),
    ],
)
def test_an_error_is_one_line_on_standard_error_and_an_exit_code(vouch, monkeypatch, error, code):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("vouch.features.ingest.stage.stage", fail)
    assert vouch("check", ".") == (code, "", f"vouch: {error}\n")


def test_an_error_that_nobody_foresaw_is_one_line_unless_debug(tmp_path):
    code = (
        "from vouch.features.ingest import stage\nfrom vouch.serving import cli\n"
        "def fail(*_): raise KeyError('what')\nstage.stage = fail\ncli.main()"
    )
    settings = {**os.environ, "VOUCH_HOME": str(tmp_path)}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, *words], capture_output=True, text=True, env=settings, check=False
        )

    brief = run("check", ".")
    assert (brief.returncode, brief.stdout) == (1, "")
    assert brief.stderr == "vouch: KeyError: 'what' (--debug shows where)\n"
    whole = run("check", ".", "--debug")
    assert whole.returncode == 1
    assert "Traceback" in whole.stderr


@pytest.mark.parametrize("words", [["nothing"], ["check", "--nothing"], ["score", "--engine", "abacus"], ["simulate"]])
def test_what_cannot_be_meant_exits_with_two(vouch, words):
    code, out, _ = vouch(*words)
    assert (code, out) == (2, "")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["check", "nowhere"], "There is no file or folder"),
        (["check"], "no vouch.toml in this folder"),
        (["score", ".", "--as-of", "yesterday"], "Cannot read 'yesterday'"),
        (["score", ".", "--from", "2026-11-02"], "both --from and --to"),
        (["score", ".", "--from", "2026-11-03", "--to", "2026-11-05"], "There is no Monday"),
        (["score", ".", "--as-of", "2026-11-02", "--from", "2026-11-02", "--to", "2026-11-02"], "--as-of for one week"),
        (["features", "."], "Name the file to write"),
        (["metrics", "--describe", "--format", "json"], None),
    ],
)
def test_a_wrong_request_says_what_is_wrong(vouch, tmp_path, monkeypatch, words, says):
    monkeypatch.chdir(tmp_path)
    code, out, err = vouch(*words)
    if says is None:
        assert (code, err) == (0, "")
        assert {"nps", "churn_rate"} <= {row["metric_id"] for row in json.loads(out)}
    else:
        assert (code, out) == (2, "")
        assert says in err
        assert err.count("\n") == 1


def test_simulate_writes_a_company(vouch, tmp_path):
    code, out, err = vouch("simulate", "--out", tmp_path / "made", "--customers", 60, "--weeks", 10)
    assert (code, err) == (0, "")
    assert "60 customers by 10 weeks" in out
    assert (tmp_path / "made" / "customers.parquet").exists()


def test_simulate_writes_companies_of_other_worlds(vouch, tmp_path):
    small = ("--customers", 60, "--weeks", 10)
    drawn = ("--world", 3, "--no-signal", "--prior-shift", 1.3, "--shifted", 4)
    code, _, err = vouch("simulate", "--out", tmp_path / "made", *small, *drawn)
    assert (code, err) == (0, "")
    kept = json.loads((tmp_path / "made" / "truth" / "parameters.json").read_text())
    assert (kept["world"], kept["has_signal"], kept["prior_shift"], kept["prior_shift_weeks_ago"]) == (3, False, 1.3, 4)
    code, _, err = vouch("simulate", "--out", tmp_path / "other", *small, "--prior-shift", 0)
    assert code == 2
    assert "A prior shifts by a factor of 0.2 to 5, not 0" in err


def test_check_prints_the_report_in_each_format(vouch, company):
    code, out, err = vouch("check", company, "--now", NOW, "--format", "json")
    report = json.loads(out)
    assert (code, err) == (0, "")
    assert report.keys() == {"tables", "absent", "warnings", "readiness", "own"}
    assert {row["output"] for row in report["readiness"]} >= {"churn", "advocacy"}
    _, out, _ = vouch("check", company, "--now", NOW, "--format", "csv")
    rows = {row["table"]: row for row in csv.DictReader(io.StringIO(out))}
    assert {name: int(row["rows"]) for name, row in rows.items()} == {n: t["rows"] for n, t in report["tables"].items()}
    _, out, _ = vouch("check", company, "--now", NOW)
    assert out.splitlines()[0].split()[:3] == ["table", "rows", "quarantined"]


def test_features_writes_one_row_per_customer(vouch, company, tmp_path):
    out = tmp_path / "deep" / "vectors.parquet"
    code, printed, err = vouch("features", company, "--as-of", "2026-11-09", "--out", out, "--now", NOW)
    assert (code, printed) == (0, "")
    assert "as of 2026-11-09" in err
    table = pq.read_table(out)
    assert table.column_names == ["customer_id", "as_of", *load_families()]
    assert str(table["as_of"][0]) == "2026-11-09"
    customers = table["customer_id"].to_pylist()
    assert customers == sorted(set(customers))
    assert not list(out.parent.glob(".*"))


def test_features_describes_every_feature(vouch):
    code, out, _ = vouch("features", "--describe", "--format", "json")
    assert code == 0
    assert [row["name"] for row in json.loads(out)] == list(load_families())
    _, out, _ = vouch("features", "--describe")
    assert len(out.splitlines()) == 1 + len(load_families())


def test_features_describes_those_of_own_columns_that_the_last_reading_made(vouch, tmp_path, home):
    names, at = ["a", "b", "c"], [datetime(2025, 6, day, tzinfo=UTC) for day in (1, 2, 3)]
    people = {"customer_id": names, "created_at": at, "hat": ["s", "m", "l"]}
    (tmp_path / "shop").mkdir()
    pq.write_table(pa.table(people), tmp_path / "shop" / "customers.parquet")
    used = {"customer_id": names, "occurred_at": at, "event": names}
    pq.write_table(pa.table(used), tmp_path / "shop" / "usage_events.parquet")
    assert vouch("check", tmp_path / "shop", "--now", "2025-09-01")[0] == 0
    use_lines((), {})
    _, out, _ = vouch("features", "--describe", "--format", "json")
    use_lines((), {})
    assert json.loads(out)[-1]["name"] == "customer_hat"


def test_score_publishes_a_week_and_tells_a_scheduler(vouch, company, home):
    write_champions(home)
    code, out, err = vouch("score", company, "--now", NOW, "--format", "json")
    assert (code, err) == (0, "")
    (week,) = json.loads(out)["weeks"]
    assert (week["as_of"], week["outcome"]) == ("2026-11-16", "published")
    assert read_snapshot(home).revision == 1
    code, out, _ = vouch("score", company, "--now", NOW)
    assert code == 0
    assert "published before, left alone" in out


def test_score_says_on_standard_error_what_is_missing(vouch, company):
    code, out, err = vouch("score", company, "--now", NOW, "--format", "csv")
    assert code == 0
    assert [row["as_of"] for row in csv.DictReader(io.StringIO(out))] == ["2026-11-16"]
    assert "No champion of churn" in err


def test_score_exits_with_three_where_another_run_is_at_work(vouch, company, home):
    with lock(home, "score"):
        code, out, err = vouch("score", company, "--now", NOW)
    assert (code, out) == (3, "")
    assert "Another `vouch score` is at work" in err


def test_score_tells_a_scheduler_in_one_document_how_it_ended_and_leaves_it(vouch, company, home):
    with lock(home, "score"):
        code, out, err = vouch("score", company, "--now", NOW, "--format", "json")
    document = json.loads(out)
    assert (code, document["exit_code"], document["outcome"]) == (3, 3, "failed")
    assert document["error"]["code"] == "locked"
    assert document["error"]["message"] in err
    assert [json.loads(path.read_text()) for path in (home / "runs").iterdir()] == [document]


def test_score_exits_with_four_and_the_figures_where_guards_refuse(vouch, monkeypatch, tmp_path):
    from vouch.serving.batch.outcome import WeekOutcome

    warnings = ["rows_lost of tickets is 0.5, above its hard limit of 0.2 (rows)"]
    week = WeekOutcome(parse_instant("2026-11-16"), None, "refused", None, 10, {}, warnings)
    monkeypatch.setattr("vouch.serving.weekly_run.score_weeks", lambda *_, **__: [week])
    code, out, err = vouch("score", tmp_path, "--now", NOW, "--format", "json")
    document = json.loads(out)
    assert (code, document["outcome"], document["weeks"][0]["outcome"]) == (4, "refused", "refused")
    assert "0.5, above its hard limit" in err
    assert "--despite" in err


def test_metrics_come_as_one_document(vouch, company):
    code, out, err = vouch("metrics", company, "nps", "retention_rate", "--now", NOW, "--format", "json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["as_of"] == "2026-11-16"
    assert [row["metric_id"] for row in document["metrics"]] == ["nps", "retention_rate"]


def test_a_metric_is_no_place_of_data(vouch, company, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vouch.toml").write_text(f'data = "{company}"\n', encoding="utf-8")
    code, out, _ = vouch("metrics", "nps", "--now", NOW, "--format", "json")
    assert code == 0
    assert [row["metric_id"] for row in json.loads(out)["metrics"]] == ["nps"]
    code, _, err = vouch("metrics", "npss", "--now", NOW)
    assert code == 2
    assert "'npss'" in err


def test_metrics_come_by_segment(vouch, company):
    code, out, _ = vouch("metrics", company, "nps", "--by", "region", "--now", NOW, "--format", "csv")
    assert code == 0
    assert {row["by"] for row in csv.DictReader(io.StringIO(out))} == {"region"}


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        (["nps", "--since", "2026-10-19"], "metrics"),
        (["nps", "--against", "2026-08-17", "--by", "plan"], "changes"),
        (["activity_share", "--scan"], "findings"),
        (["--sensitivity", "--no-bootstraps"], "readings"),
        (["--list", "churn_reasons"], "churn_reasons"),
    ],
)
def test_metrics_are_looked_at_in_other_ways(vouch, company, asked, name):
    code, out, err = vouch("metrics", company, *asked, "--now", NOW, "--format", "json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert set(document) == {"as_of", name}
    assert document[name]


def test_only_one_look_at_a_time(vouch, company):
    code, _, err = vouch("metrics", company, "--scan", "--sensitivity")
    assert code == 2
    assert "at a time" in err


def test_the_catalogue_comes_as_a_page_and_lists_say_what_they_hold(vouch):
    code, out, _ = vouch("metrics", "--describe", "--format", "markdown")
    assert code == 0
    assert out.startswith("# Catalogue of metrics")
    code, out, _ = vouch("metrics", "--list", "names", "--format", "json")
    assert code == 0
    assert {"say_do_gap", "hidden_advocates", "health_overrides"} <= {row["list"] for row in json.loads(out)}
    assert vouch("metrics", "--format", "markdown")[0] == 2


class Report:
    """Stands for what training found."""

    def __init__(self, model: str, passed: bool, is_applicable: bool = True) -> None:
        self.model, self.passed, self.is_refused = model, passed, is_applicable and not passed
        self.is_promoted = passed

    def text(self) -> str:
        return f"{self.model}: as text"

    def figure_rows(self) -> list[dict]:
        return [{"model": self.model, "log_loss": 0.5}]

    def as_json(self) -> dict:
        return {"model": self.model, "passed": self.passed}


@pytest.mark.parametrize(("passed", "code"), [(True, 0), (False, 4)])
def test_train_exits_with_four_where_the_gate_refuses_a_model_that_could_be_fitted(
    vouch, company, monkeypatch, passed, code
):
    seen = []

    def fit(project, name, as_of_us, now_us, *_):
        seen.append((name, as_of_us, now_us))
        return [Report("churn", passed), Report("advocacy", False, is_applicable=False)]

    monkeypatch.setattr("vouch.training.run.train", fit)
    ended, out, err = vouch("train", "churn", company, "--as-of", "2026-11-09", "--now", NOW, "--format", "json")
    assert ended == code
    assert json.loads(out)["models"][0] == {"model": "churn", "passed": passed}
    assert ("Not promoted: churn; see why" in err) is not passed
    assert seen == [("churn", parse_instant("2026-11-09"), parse_instant(NOW))]


def test_a_refusal_says_whose_champion_stays_who_has_none_and_who_was_promoted(tmp_path):
    from support.champions import write_champion
    from vouch.serving.commands.train import refusal

    write_champion(tmp_path, "churn")
    reports = [
        Report("churn", False),
        Report("value", False),
        Report("advocacy", True),
        Report("upgrade", False, False),
    ]
    assert refusal(tmp_path, reports) == (
        "Not promoted: churn, value; see why above. The champion of before stays: churn. There is no champion yet: "
        "value. Promoted: advocacy."
    )
    assert refusal(tmp_path, reports[2:]) == ""


def test_models_are_none_before_training(vouch):
    assert vouch("models", "--format", "json")[:2] == (0, "[]\n")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com", ""])
def test_serve_refuses_an_address_that_others_reach(vouch, host):
    code, out, err = vouch("serve", "--host", host)
    assert (code, out) == (4, "")
    assert err.startswith("vouch: ")


@pytest.mark.parametrize(("host", "address"), [("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1"), ("::1", "::1")])
def test_serve_takes_an_address_that_only_this_machine_reaches(host, address):
    assert str(ip_address(host)) == address
    with listening(ip_address(host), free_port()) as listener:
        assert listener.getsockname()[0] == address


def test_a_table_for_machines_is_aligned_and_nothing_is_cut():
    rows = [{"name": "x" * 300, "n": 1, "is": True, "none": None, "of": ["a", "b"]}]
    title, line = aligned(rows)
    assert line.startswith("x" * 300)
    assert line.split()[1:] == ["1", "yes", "a,", "b"]
    assert title.split() == ["name", "n", "is", "none", "of"]
    assert aligned([]) == []


SECRET = "s3cr3tPGpw"


@pytest.mark.parametrize(
    ("setting", "arguments", "scheme"),
    [
        *(("VOUCH_STORE_URL", ["keys", "list"], f"postgres{of}") for of in ("", "ql", "ql+psycopg")),
        *(("MLFLOW_TRACKING_URI", ["models"], scheme) for scheme in ("postgres", "mysql", "http")),
        *((None, ["check"], scheme) for scheme in ("postgres", "postgresql", "mysql", "http")),
    ],
)
def test_no_password_is_printed_whatever_goes_wrong(vouch, monkeypatch, setting, arguments, scheme):
    url = f"{scheme}://ann:{SECRET}@127.0.0.1:9/shop?password={SECRET}"
    if setting:
        monkeypatch.setenv(setting, url)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    else:
        arguments = [*arguments, url]
    code, out, err = vouch(*arguments)
    assert code != 0
    assert "127.0.0.1:9" in err
    assert SECRET not in out + err


def test_control_characters_are_shown_and_not_sent_in_any_format(tmp_path, vouch):
    segment, column = "\x1b[31mred\x9b2J\u202e", "odd\x1b]0;pwn\x07"
    people = [one("customers", customer_id=f"c{n}", segment=segment, **{column: "x"}) for n in range(9)]
    events = [one("usage_events", customer_id=f"c{n}") for n in range(9)]
    folder = write_csv(tmp_path / "tables", made_of(customers=people, usage_events=events))
    for arguments in (["check", folder], ["metrics", folder, "retention_rate", "--by", "segment"]):
        for form in ("table", "json", "csv"):
            code, out, err = vouch(*arguments, "--format", form)
            assert not set(out + err) & set("\x1b\x07\x9b\u202e"), (arguments, form)
            assert code == 0


def test_csv_holds_no_formula_in_any_locale(tmp_path, vouch):
    segment = "x;=cmd|' /C calc'!A0"
    people = [one("customers", customer_id=f"c{n}", segment=("=1+1", segment)[n % 2]) for n in range(20)]
    events = [one("usage_events", customer_id=f"c{n}") for n in range(20)]
    folder = write_csv(tmp_path / "tables", made_of(customers=people, usage_events=events))
    code, out, _ = vouch("metrics", folder, "retention_rate", "--by", "segment", "--format", "csv")
    assert code == 0
    assert "=1+1" in out
    assert "=cmd" in out
    for line in out.splitlines():
        for separator in ",;\t":
            cells = next(csv.reader([line], delimiter=separator))
            assert not [cell for cell in cells if cell.lstrip(' "').startswith(tuple("=+-@"))]


def test_the_traceback_of_a_debugged_error_holds_no_password_either(vouch, monkeypatch, capsys):
    monkeypatch.setenv("VOUCH_STORE_URL", f"mysql://ann:{SECRET}@db.example/shop")
    monkeypatch.setattr(sys, "argv", ["vouch", "--debug", "keys", "list"])
    with pytest.raises(VouchError) as raised:
        cli.main()
    sys.excepthook(raised.type, raised.value, raised.tb)
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "db.example" in err
    assert SECRET not in err


def test_too_little_memory_is_told_with_the_mend(vouch, capsys):
    assert vouch("keys", "list")[0] == 0
    sys.excepthook(MemoryError, MemoryError(), None)
    assert "too little memory" in capsys.readouterr().err


def test_a_key_is_revoked_whatever_else_of_the_home_is_damaged(vouch):
    assert vouch("keys", "create", "crm")[0] == 0
    home = Path(os.environ["VOUCH_HOME"])
    whole = (home / FILE).read_bytes()
    for damage in (b"broken", b'{"format": 99, "release": "9.0.0"}'):
        (home / FILE).write_bytes(damage)
        assert vouch("keys", "list")[0] == 1, "all else is refused"
        (home / FILE).write_bytes(whole)
        assert vouch("keys", "create", "other")[0] == 0
        (home / FILE).write_bytes(damage)
        assert vouch("keys", "revoke", "other")[0] == 0
        (home / FILE).write_bytes(whole)
    out = vouch("keys", "list", "--format", "json")[1]
    assert {key["name"]: key["revoked_at"] is None for key in json.loads(out)["keys"]} == {"crm": True, "other": False}


def test_what_was_half_restored_is_refused_by_all_but_the_next_restore(vouch, tmp_path):
    home = Path(os.environ["VOUCH_HOME"])
    assert vouch("keys", "create", "crm")[0] == 0
    assert vouch("backup", "--out", tmp_path / "b.tar")[0] == 0
    (home / RESTORING).mkdir()
    for words in (["keys", "list"], ["runs"]):
        status, _, err = vouch(*words)
        assert (status, "vouch restore" in err) == (1, True)
    assert vouch("restore", str(tmp_path / "b.tar"))[0] == 0
    assert "crm" in vouch("keys", "list")[1]
