"""What the registry keeps, and how the champion on this machine follows its alias."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from support.small_model import LOGISTIC, vectors, written
from vouch.features.errors import BundleError, UsageError
from vouch.features.project import tracking
from vouch.models.predictor import champion_folder, load_champion
from vouch.models.registry import connection, versions
from vouch.models.registry.champions import UNFINISHED, history, install, promoted_at_us, promotion
from vouch.models.registry.recovery import mark_interrupted
from vouch.serving.store.connection import Database
from vouch.serving.store.keys import create, everyone

ROOT = Path(__file__).parents[3]


def logged(home, folder, base=-1.5, gate="passed"):
    """A version whose score depends on `base`, registered."""
    predictor = written(folder / f"bundle{base}", "logistic", {**LOGISTIC, "base": base})
    run = versions.TrainingRun(
        model="churn",
        bundle=folder / f"bundle{base}",
        example=vectors(5, seed=1)[list(predictor.names)],
        parameters={"seed": 0},
        metrics={"roc_auc": 0.8, "log_loss": float("nan")},
        tags={"gate": gate, "as_of": "2026-11-16", "figures": json.dumps({"roc_auc": 0.8})},
        files={"card.md": f"# churn {base}\n".encode(), "report.json": b"{}"},
        trials=[{"trial": 0, "loss": 0.2, "is_cut": False, "num_leaves": 8}] if gate == "refused" else [],
    )
    return versions.register(home, run), predictor


def crown(home, folder, base, at_us=0):
    version, predictor = logged(home, folder, base)
    entry = {"action": "pass", "reason": "the gate passed", "at_us": at_us}
    versions.promote_version(home, "churn", version.version, folder / f"bundle{base}", f"# churn {base}\n", entry)
    return version.version, predictor


@pytest.fixture(scope="module")
def reigns(tmp_path_factory):
    """A home in which version 1 and then 2 became champion, 3 was refused, and 2 was rolled back."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("bundles")
    first, one = crown(home, folder, -1.5)
    second, two = crown(home, folder, -2.5)
    third, _ = logged(home, folder, -3.5, gate="refused")
    versions.refuse(home, "churn", third.version, {"action": "refuse", "reason": "baseline: worse", "at_us": 5})
    held = load_champion(home, "churn").content_hash
    back = versions.rollback(home, "churn", "alerts doubled", 7)
    return {
        "home": home,
        "one": one,
        "two": two,
        "held": held,
        "versions": (first, second, third.version),
        "back": back,
    }


def test_versions_are_listed_with_alias_gate_and_figures(reigns):
    rows = versions.list_models(reigns["home"])
    assert [(row["version"], row["gate"], row["alias"]) for row in rows] == [
        (3, "refused", None),
        (2, "passed", None),
        (1, "passed", "champion"),
    ]
    assert rows[0]["roc_auc"] == 0.8
    assert rows[2]["content_hash"] == reigns["one"].content_hash


def test_each_trial_of_a_search_is_a_run_within_the_run(reigns):
    mlflow, client = versions.connect(reigns["home"])
    version = client.get_model_version("churn", str(reigns["versions"][2]))
    runs = mlflow.search_runs(experiment_names=[versions.EXPERIMENT], output_format="list")
    within = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == version.run_id]
    assert [(run.data.params["num_leaves"], run.data.metrics["log_loss"]) for run in within] == [("8", 0.2)]
    assert within[0].info.status == "FINISHED"


def test_a_run_tells_by_itself_what_it_is_what_it_learned_from_and_who_made_it_for_what(tmp_path):
    home, bundle = tmp_path / "home", tmp_path / "bundle"
    predictor = written(bundle, "logistic", LOGISTIC)
    run = versions.TrainingRun(
        model="churn", bundle=bundle, example=vectors(5, seed=1)[list(predictor.names)], parameters={"seed": 0},
        metrics={"roc_auc": 0.8}, tags={"gate": "passed"}, files={"card.md": b"# churn\n"},
        name="churn 2026-11-16 logistic", description="Who will leave?",
        learned_from={"digest": "f" * 64, "rows": 40, "instants": ["2026-08-03"]},
    )  # fmt: skip
    labels = versions.RunLabels("pricing study", {"ticket": "CS-12", "who": "Mona"})
    made = versions.register(home, run, labels=labels)
    _, client = versions.connect(home)
    kept = client.get_run(made.run_id)
    experiment = client.get_experiment(kept.info.experiment_id)
    assert (experiment.name, experiment.tags["mlflow.experimentKind"]) == ("pricing study", "custom_model_development")
    assert (kept.info.run_name, kept.data.tags["mlflow.note.content"]) == (run.name, run.description)
    assert {name: kept.data.tags[name] for name in labels.tags} == labels.tags
    assert client.get_model_version("churn", "1").description == run.description
    (dataset,) = kept.inputs.dataset_inputs
    assert dataset.dataset.digest == "f" * 36
    assert json.loads(dataset.dataset.profile) == run.learned_from


@pytest.mark.parametrize("tag", ["gate", "content_hash", "mlflow.user", "vouch.training"])
def test_nobody_but_vouch_says_what_a_version_is(tag):
    with pytest.raises(UsageError, match=tag):
        versions.RunLabels(tags={tag: "passed"})


@pytest.mark.parametrize(
    ("name", "value"), [("", "a"), ("..", "a"), ("a/b", "a"), ("a" * 251, "a"), ("a", "b" * 8_001)]
)
def test_a_tag_that_cannot_be_kept_is_refused_before_anything_is_trained(name, value):
    with pytest.raises(UsageError, match="at most"):
        versions.RunLabels(tags={name: value})


def test_a_tag_that_is_taken_is_kept(tmp_path):
    _, client = versions.connect(tmp_path)
    run = client.create_run("1").info.run_id
    for name, value in (("a", "b" * 8_000), ("a" * 250, ""), ("고객 1.2-b_c", "값")):
        versions.RunLabels(tags={name: value})
        client.set_tag(run, name, value)
        assert client.get_run(run).data.tags[name] == value


def test_the_champion_on_this_machine_is_the_verified_bundle(reigns):
    assert reigns["held"] == reigns["two"].content_hash
    champion = load_champion(reigns["home"], "churn")
    assert champion.content_hash == reigns["one"].content_hash
    np.testing.assert_array_equal(champion.score(vectors(9)).raw, reigns["one"].score(vectors(9)).raw)
    assert (champion_folder(reigns["home"], "churn") / "card.md").read_text() == "# churn -1.5\n"


def test_a_rollback_gives_the_alias_back_and_keeps_the_reason(reigns):
    assert reigns["back"] == reigns["versions"][0]
    told = [(entry["action"], entry["version"], entry["reason"]) for entry in history(reigns["home"], "churn")]
    assert told == [
        ("pass", 1, "the gate passed"),
        ("pass", 2, "the gate passed"),
        ("refuse", 3, "baseline: worse"),
        ("rollback", 1, "alerts doubled"),
    ]


def test_there_is_nothing_to_roll_back_to_before_the_first_champion(reigns):
    with pytest.raises(UsageError, match="no champion before 1"):
        versions.rollback(reigns["home"], "churn", "again", 8)


def test_a_version_that_is_not_there_is_not_promoted(reigns):
    with pytest.raises(UsageError, match=r"no version 9.*\[3, 2, 1\]"):
        versions.promote(reigns["home"], "churn", 9, "typo", 9)


def test_mlflow_loads_a_version_without_pickle_and_without_a_copy_of_our_code(reigns):
    mlflow, _ = versions.connect(reigns["home"])
    model = mlflow.pyfunc.load_model("models:/churn/2")
    frame = vectors(20, seed=3)[list(reigns["two"].names)]
    np.testing.assert_array_equal(model.predict(frame)["raw"], reigns["two"].score(frame).raw)
    stored = [path.name for path in (reigns["home"] / "mlflow" / "artifacts").rglob("*") if path.is_file()]
    assert not [name for name in stored if name.endswith((".pkl", ".pickle", ".joblib", ".py"))]
    assert {"MLmodel", "manifest.json", "model.json", "golden.json", "card.md", "report.json"} <= set(stored)


def test_what_mlflow_would_do_by_itself_is_switched_off(reigns):
    versions.connect(reigns["home"])
    from mlflow import environment_variables as switches
    from mlflow.telemetry import get_telemetry_client

    assert switches.MLFLOW_ALLOW_PICKLE_DESERIALIZATION.get() is False
    assert switches.MLFLOW_SERVER_ENABLE_JOB_EXECUTION.get() is False
    assert get_telemetry_client() is None


def test_a_bundle_that_was_changed_in_the_registry_is_not_promoted(tmp_path):
    home = tmp_path / "home"
    version, _ = crown(home, tmp_path, -1.5)
    second, _ = logged(home, tmp_path, -2.5)
    stored = next((home / "mlflow" / "artifacts").rglob(f"*/{second.run_id}*"), None)
    changed = [path for path in (home / "mlflow" / "artifacts").rglob("model.json") if b"-2.5" in path.read_bytes()]
    assert changed, stored
    for path in changed:
        path.write_bytes(path.read_bytes().replace(b"-2.5", b"-0.5"))
    with pytest.raises(BundleError, match="damaged"):
        versions.promote(home, "churn", second.version, "by hand", 3)
    assert load_champion(home, "churn").name == "churn"
    assert [row["alias"] for row in versions.list_models(home)] == [None, "champion"]
    assert history(home, "churn")[-1]["version"] == version


class Killed(BaseException):
    """What no handler catches: as far as files go, the same as kill -9."""


def test_a_run_that_was_cut_off_is_marked_in_whatever_experiment_it_was(tmp_path):
    _, client = versions.connect(tmp_path, None, "pricing study")
    started = {name: client.get_experiment_by_name(name).experiment_id for name in ("vouch", "pricing study")}
    started["another's"] = client.create_experiment("another's")
    runs = {name: client.create_run(identity, start_time=1) for name, identity in started.items()}
    assert mark_interrupted(tmp_path, 2_000, 0)["runs"] == 2
    found = {name: client.get_run(run.info.run_id).info.status for name, run in runs.items()}
    assert found == {"vouch": "KILLED", "pricing study": "KILLED", "another's": "RUNNING"}


@pytest.mark.parametrize(
    ("at", "by"),
    [("copy", "clean"), ("alias", "clean"), ("history", "clean"), ("card", "promotion")],
)
def test_a_promotion_that_was_cut_off_anywhere_is_none_or_is_finished(tmp_path, monkeypatch, at, by):
    home = tmp_path / "home"
    _, one = crown(home, tmp_path, -1.5)
    places = {
        "copy": "vouch.models.registry.champions.copy_files",
        "card": "vouch.models.registry.champions._prune",
        "alias": "mlflow.MlflowClient.set_registered_model_alias",
        "history": "vouch.models.registry.champions.note",
    }

    def killed(*_, **__):
        raise Killed

    version, two = logged(home, tmp_path, -2.5)
    entry = {"action": "pass", "reason": "the gate passed", "at_us": 1}
    monkeypatch.setattr(places[at], killed)
    with pytest.raises(Killed):
        versions.promote_version(home, "churn", version.version, tmp_path / "bundle-2.5", "# churn -2.5\n", entry)
    monkeypatch.undo()
    serving = load_champion(home, "churn").content_hash
    assert serving == (one if at == "copy" else two).content_hash
    if by == "clean":
        marked = mark_interrupted(home, 0, 0)
        assert marked["promotions"] == (at != "copy")
        assert mark_interrupted(home, 0, 0)["promotions"] == 0
        wanted = [1, 2][: 1 + (at != "copy")]
    else:
        _, two = crown(home, tmp_path, -3.5, at_us=2)
        serving = two.content_hash
        wanted = [1, 2, 3]
    assert [entry["version"] for entry in history(home, "churn")] == wanted
    (champion,) = [row for row in versions.list_models(home) if row["alias"] == "champion"]
    assert (champion["version"], champion["content_hash"]) == (wanted[-1], serving)
    assert load_champion(home, "churn").content_hash == serving
    base = {1: "-1.5", 2: "-2.5", 3: "-3.5"}[wanted[-1]]
    assert (champion_folder(home, "churn") / "card.md").read_text() == f"# churn {base}\n"
    assert not (champion_folder(home, "churn") / UNFINISHED).exists()


def files_under(folder):
    return {path.relative_to(folder): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def test_a_wrong_hash_in_the_registry_touches_nothing(tmp_path):
    home = tmp_path / "deep" / "home"
    _, one = crown(home, tmp_path, -1.5)
    version, two = logged(home, tmp_path, -2.5)
    _, client = versions.connect(home)
    champion = champion_folder(home, "churn")
    before = files_under(champion / "versions")
    outside = {path for path in tmp_path.rglob("*") if home not in path.parents}
    same_start, another = one.content_hash[:16] + "f" * 48, "f" * 64
    for tag in (same_start, another, "../../../../pwnd" + "f" * 48, "..", "/" * 64, two.content_hash[:16], "", None):
        client.set_model_version_tag("churn", str(version.version), "content_hash", tag or "")
        if tag is None:
            client.delete_model_version_tag("churn", str(version.version), "content_hash")
        for _ in range(2):  # the second finds what the first left
            with pytest.raises(BundleError, match=r"64 hexadecimal|has the hash"):
                versions.promote(home, "churn", version.version, "by hand", 1)
        assert load_champion(home, "churn").content_hash == one.content_hash
        assert files_under(champion / "versions") == before
        assert {path for path in tmp_path.rglob("*") if home not in path.parents} == outside
    assert [row["alias"] for row in versions.list_models(home)] == [None, "champion"]
    assert [entry["version"] for entry in history(home, "churn")] == [1]
    client.set_model_version_tag("churn", str(version.version), "content_hash", two.content_hash)
    versions.promote(home, "churn", version.version, "by hand", 1)
    assert load_champion(home, "churn").content_hash == two.content_hash


def test_a_bundle_that_was_damaged_where_it_stands_is_put_right_by_promoting_it_again(tmp_path):
    home = tmp_path / "home"
    version, one = crown(home, tmp_path, -1.5)
    model = champion_folder(home, "churn") / "bundle" / "model.json"
    model.write_bytes(model.read_bytes()[:-9])
    with pytest.raises(BundleError, match="damaged"):
        load_champion(home, "churn")
    versions.promote(home, "churn", version, "again", 1)
    assert load_champion(home, "churn").content_hash == one.content_hash


def test_only_the_files_that_a_bundle_lists_are_taken_over(tmp_path):
    _, predictor = logged(tmp_path / "home", tmp_path, -1.5)
    (tmp_path / "bundle-1.5" / "more.txt").symlink_to("/etc/hostname")
    with promotion(tmp_path, "churn") as folder:
        install(folder, tmp_path / "bundle-1.5", "card", predictor.content_hash)
    there = {path.name for path in (champion_folder(tmp_path, "churn") / "bundle").iterdir()}
    assert "more.txt" not in there
    assert "model.json" in there


@pytest.mark.parametrize(
    "content", ["{}", "[1]", '[{"action": 1}]', "null", '[{"at_us": 1e30, "action": "pass"}]', "["]
)
def test_a_history_of_another_form_is_one_message(tmp_path, content):
    crown(tmp_path / "home", tmp_path, -1.5)
    (champion_folder(tmp_path / "home", "churn") / "gate.json").write_text(content)
    with pytest.raises(BundleError, match=r"gate\.json is damaged"):
        history(tmp_path / "home", "churn")
    assert promoted_at_us(tmp_path / "home", "churn") is None


def test_a_version_without_a_bundle_is_one_message(tmp_path):
    version, _ = logged(tmp_path / "home", tmp_path, -1.5)
    for manifest in (tmp_path / "home" / "mlflow").rglob("manifest.json"):
        manifest.unlink()
    with pytest.raises(BundleError, match="holds no bundle"):
        versions.promote(tmp_path / "home", "churn", version.version, "by hand", 1)


def test_nothing_is_listed_before_the_first_run_and_mlflow_stays_unimported(tmp_path):
    code = (
        "import sys; from pathlib import Path; from vouch.models.registry.versions import list_models; "
        f"print(list_models(Path({str(tmp_path)!r})), 'mlflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["[]", "False"]


def test_a_first_use_by_many_at_once_makes_one_database(tmp_path):
    def touch(_):
        _, client = versions.connect(tmp_path)
        return client.get_experiment_by_name(versions.EXPERIMENT).experiment_id

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(touch, range(4)))) == 1
    with sqlite3.connect(tmp_path / "mlflow" / "mlflow.db") as database:
        assert database.execute("select count(*) from experiments where name = 'vouch'").fetchone() == (1,)


def test_old_bundles_are_thinned(tmp_path):
    from vouch.models.registry.champions import MOST_VERSIONS

    for number in range(MOST_VERSIONS + 2):
        predictor = written(tmp_path / "b", "logistic", {**LOGISTIC, "base": float(-number)})
        with promotion(tmp_path, "churn") as folder:
            install(folder, tmp_path / "b", "card", predictor.content_hash)
    kept = list((champion_folder(tmp_path, "churn") / "versions").iterdir())
    assert len(kept) == MOST_VERSIONS
    assert load_champion(tmp_path, "churn").content_hash == predictor.content_hash


def test_where_one_project_logs_says_nothing_of_the_next(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    versions.connect(tmp_path / "one")
    assert tracking() is None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    versions.connect(tmp_path / "other")
    assert tracking() == "http://127.0.0.1:9"


SIGNS = """a?b%2Flogin#c d'e"f[a-z]*g=h+i&j;k 가:@"""
"""A name of a folder that addresses, patterns and queries read otherwise than a file system does."""


def test_homes_whose_names_differ_after_a_sign_share_nothing(tmp_path):
    for name in ("a?b", "a?c"):
        Database(tmp_path / name).check()
    create(Database(tmp_path / "a?b"), "crm", "read", 0)
    for name, known in (("a?b", ["crm"]), ("a?c", [])):
        with Database(tmp_path / name).reading() as connection:
            assert [key.name for key in everyone(connection).values()] == known
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a?b", "a?c"]


def test_a_home_in_a_folder_of_any_name_works_and_goes_on_where_it_is_moved_to(tmp_path):
    before, after = tmp_path / "around" / SIGNS / ".vouch", tmp_path / "other place" / "after"
    first, _ = crown(before, tmp_path, -1.5)
    second, predictor = crown(before, tmp_path, -2.5)
    assert load_champion(before, "churn").content_hash == predictor.content_hash
    assert (before / "mlflow" / "mlflow.db").exists()
    assert [path.name for path in (tmp_path / "around").iterdir()] == [SIGNS]
    after.parent.mkdir()
    before.rename(after)
    assert [row["version"] for row in versions.list_models(after)] == [second, first]
    assert versions.rollback(after, "churn", "moved", 7) == first
    third, predictor = crown(after, tmp_path, -3.5, at_us=9)
    assert (third, load_champion(after, "churn").content_hash) == (3, predictor.content_hash)
    assert not before.exists()
    with closing(sqlite3.connect(after / "mlflow" / "mlflow.db")) as database:
        for table, columns in connection.PLACES.items():
            for column in columns:
                places = database.execute(f"SELECT {column} FROM {table} WHERE {column} LIKE '%/around/%'")
                assert places.fetchall() == []


def test_what_a_job_around_us_says_of_its_run_is_not_ours(tmp_path, monkeypatch):
    theirs = "0123456789abcdef0123456789abcdef"
    for name in connection.SURROUNDING:
        monkeypatch.setenv(name, theirs)
    version, _ = crown(tmp_path / "home", tmp_path, -1.5)
    assert version == 1
    assert {os.environ[name] for name in connection.SURROUNDING} == {theirs}
    assert versions.list_models(tmp_path / "home")[0]["run_id"] != theirs
