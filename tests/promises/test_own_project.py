"""A data scientist's own project: it has folders of our names, and whatever runs in it runs our code all the same.

Python puts the folder that it is started in at the front of its path, and a notebook or `PYTHONPATH` does, too. So each
door is opened there, with folders that speak up where somebody takes them for ours.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import httpx
import nbformat
import pytest
from nbclient import NotebookClient

from support.capabilities import free_port
from support.champions import write_champions
from support.servers.running_service import VOUCH, is_up, wait_for
from vouch.features.project import environment
from vouch.models.predictor import champion_folder

OWN = ("features", "models", "training", "serving")
LOUD = "raise AssertionError(__name__ + ' of the project was taken for that of vouch')\n"
TABLES = {
    "customers": "customer_id,created_at\nada,2025-01-01\nbo,2025-02-01\ncy,2025-03-01\n",
    "usage_events": "event_id,customer_id,occurred_at,event\n"
    + "".join(f"e{day},{who},2026-10-{day:02d},login\n" for day, who in enumerate(("ada", "bo", "cy") * 9, start=1)),
}
DOORS = ((VOUCH,), (sys.executable, "-c", "from vouch.serving.cli import main; main()"))
SCORED = ("score", "data", "--as-of", "2026-11-02", "--now", "2026-11-02T06:00:00Z", "--despite", "three customers")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project whose own folders are loud, on the path of every Python that is started from here."""
    for name in OWN:
        folder = tmp_path / name
        folder.mkdir()
        for module in ("__init__", "churn", "families", "contract", "predictor", "run", "cli", "service"):
            (folder / f"{module}.py").write_text(LOUD, encoding="utf-8")
    (tmp_path / "data").mkdir()
    for name, rows in TABLES.items():
        (tmp_path / "data" / f"{name}.csv").write_text(rows, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delenv("PYSPARK_PYTHON", raising=False)
    monkeypatch.setenv("VOUCH_HOME", str(tmp_path / "home"))
    write_champions(tmp_path / "home")
    return tmp_path


def ran(*words) -> str:
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, env=environment(), timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_folders_of_the_project_are_what_its_own_python_imports(project):
    done = subprocess.run([sys.executable, "-c", "import models"], capture_output=True, text=True, env=environment())
    assert "AssertionError: models of the project" in done.stderr


@pytest.mark.parametrize("door", DOORS, ids=["vouch", "python"])
def test_the_command_line_reads_the_project_s_data_with_our_features(door, project):
    ran(*door, "features", "data", "--as-of", "2026-11-02", "--out", "vectors.parquet")
    assert (project / "vectors.parquet").is_file()


def test_the_batch_and_the_service_score_with_our_champions(project):
    ran(VOUCH, *SCORED)
    port = free_port()
    with (project / "log").open("wb") as log:
        server = subprocess.Popen([VOUCH, "serve", "--port", str(port)], env=environment(), stdout=log, stderr=log)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        try:
            wait_for(lambda: is_up(client), 120)
            assert client.post("/v1/customers/get", json={"customer_id": "ada"}).json()["customer_id"] == "ada"
        finally:
            server.terminate()
            server.wait(40)


def test_mlflow_serves_our_champion(project):
    import mlflow  # not above: it would report to its makers before the tests have said that it may not

    bundle = champion_folder(project / "home", "churn") / "bundle"
    mlflow.pyfunc.save_model("churn", loader_module="vouch.models.predictor", data_path=str(bundle))
    port = free_port()
    words = [
        sys.executable,
        "-m",
        "mlflow",
        "models",
        "serve",
        "-m",
        "churn",
        "--env-manager",
        "local",
        "-p",
        str(port),
    ]
    at = environment(PATH=f"{VOUCH.parent}{os.pathsep}{os.environ['PATH']}")  # it starts uvicorn by its name
    with (project / "log").open("wb") as log:
        server = subprocess.Popen(words, env=at, stdout=log, stderr=log)
    row = {"days_since_activity": 3.0, "tenure_days": 100.0, "nps_last": 9.0}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        try:
            wait_for(lambda: answers(client), 60)
            answer = client.post("/invocations", json={"dataframe_records": [row]})
            assert 0 < answer.json()["predictions"][0]["probability"] < 1, answer.text
        finally:
            server.terminate()
            server.wait(40)


def answers(client) -> bool:
    try:
        return client.get("/ping").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.slow
@pytest.mark.spark
def test_spark_s_workers_score_with_our_champions(project):
    ran(VOUCH, *SCORED, "--engine", "spark")


def test_a_notebook_of_the_project_imports_ours_by_their_name(project):
    cell = (
        "import json, sys\n"
        "import vouch\n"
        "from vouch.features.vectors.declare import load_families\n"
        "from vouch.models import load\n"
        "print(json.dumps([len(load_families()), load('churn').name, sys.path[0]]))"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute(cwd=str(project))
    features, model, _ = json.loads(notebook.cells[0].outputs[0]["text"])
    assert features > 100
    assert model == "churn"
