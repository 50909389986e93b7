"""`/v1/score` beside FastAPI on uvicorn, `mlflow models serve` and the bare booster: the same model of 300 trees."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import hand_scoring
import httpx
from loading import rate, server
from measuring import FOLDER, ROOT, Row
from needs import WRK

from support import published_weeks as hand_company
from vouch.models.predictor import _load_pyfunc
from vouch.serving.api.handlers.score import score_request
from vouch.serving.api.schemas import ScoreRequest
from vouch.serving.api.state import ServingState
from vouch.serving.commands.serve import SETTINGS
from vouch.serving.store import keys
from vouch.serving.store.connection import Database

IS_LONG = True
NEEDS = (WRK,)
HERE = FOLDER / "scoring"
PORTS = {"vouch": 3411, "plain": 3412, "mlflow": 3413}
ROUNDS, NOW, MANY = 3, 1_800_000_000_000_000, 1_000
ONE = [{"vectors": [vector], "models": ["churn"], "reasons": False} for vector in hand_scoring.vectors(50)]
BATCH = {"vectors": hand_scoring.vectors(MANY, seed=3), "models": ["churn"], "reasons": False}


def commands(home: Path) -> dict[str, list[str]]:
    """How each server is started, with the same champion."""
    import mlflow

    bundle, model = home / "champions" / "churn" / "bundle", HERE / "mlflow-model"
    if not model.exists():
        example = hand_scoring.frame(5)[[column.name for column in hand_scoring.columns()]]
        scored = mlflow.models.infer_signature(example, _load_pyfunc(str(bundle)).predict(example))
        mlflow.pyfunc.save_model(  # with a signature, as `vouch train` logs it
            model, loader_module="vouch.models.predictor", data_path=str(bundle.resolve()), signature=scored
        )
    plain = [sys.executable, "-m", "uvicorn", "plain_app:app", "--no-access-log", "--log-level", "error", "--port"]
    served = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model), "--env-manager", "local", "-p"]
    return {
        "vouch": [str(Path(sys.executable).with_name("vouch")), "serve", "--port", str(PORTS["vouch"])],
        "plain": [*plain, str(PORTS["plain"])],
        "mlflow": [*served, str(PORTS["mlflow"]), "-h", "127.0.0.1"],
    }


def seconds_of(work: Callable[[], object], times: int = 15) -> float:
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return median(found)


def rows() -> Iterator[Row]:
    """One vector by rate; a thousand by time."""
    home = hand_company.fresh(HERE / "home")
    hand_company.write_company(home, 100)
    predictor = hand_scoring.write_champion(home)
    (home / "policy.toml").write_text("[limits]\nrequests_per_minute = 1000000000\n")
    database = Database(home)
    key = keys.create(database, "bench", "write", NOW)
    database.close()
    settings = {**SETTINGS, "VOUCH_HOME": str(home), "MLFLOW_DISABLE_TELEMETRY": "true"}
    settings["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # MLflow looks for uvicorn there
    settings["PYTHONPATH"] = f"{ROOT}/tests/benchmarks/peers:{ROOT}"
    names = [column.name for column in hand_scoring.columns()]
    wire = [{"dataframe_records": [{name: of["vectors"][0]["features"][name] for name in names}]} for of in ONE]
    with ExitStack() as stack:
        at = {
            name: stack.enter_context(server(words, PORTS[name], HERE / f"{name}.log", **settings))
            for name, words in commands(home).items()
        }
        found: dict[str, list[float]] = {name: [] for name in at}
        for _ in range(ROUNDS):
            found["vouch"].append(rate(at["vouch"], "/v1/score", ONE, key, HERE))
            found["plain"].append(rate(at["plain"], "/v1/score", ONE, key, HERE))
            found["mlflow"].append(rate(at["mlflow"], "/invocations", wire, key, HERE))
        middle = {name: median(values) for name, values in found.items()}
        note = ", ".join(f"{name} {value:,.0f}/s" for name, value in middle.items())
        yield Row("one vector", "mlflow models serve", middle["vouch"] / middle["mlflow"], at_least=15, note=note)
        yield Row("one vector", "FastAPI on uvicorn", middle["vouch"] / middle["plain"], at_least=0.7, note=note)
        yield from thousand(at["vouch"], home, key, predictor.scorer, names)


def thousand(address: str, home: Path, key: str, scorer: object, names: list[str]) -> Iterator[Row]:
    """A thousand vectors in one request, with reading and without."""
    matrix = hand_scoring.frame(MANY, seed=3)[names].to_numpy()
    bare = seconds_of(lambda: scorer._booster.predict(matrix, num_threads=1))
    content, store = json.dumps(BATCH), ServingState(home)
    store.refresh()
    head = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    with httpx.Client(base_url=address, headers=head, timeout=60) as client:
        client.post("/v1/score", content=content).raise_for_status()
        whole = seconds_of(lambda: client.post("/v1/score", content=content))
    read = ScoreRequest.model_validate_json(content)
    without = seconds_of(lambda: score_request(store, read))
    store.stop()
    note = f"bare {1000 * bare:.1f} ms, whole {1000 * whole:.1f} ms, without reading {1000 * without:.1f} ms"
    yield Row("1,000 vectors", "bare Booster.predict", bare / whole, at_least=0.15, note=note)
    yield Row("1,000 vectors, reading left out", "bare Booster.predict", bare / without, at_least=0.5, note=note)
