"""Whatever can be made of the OpenAPI document, sent to the service: every answer is one that the document tells of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.champions import write_champions
from support.handwritten_weeks import publish
from support.servers.on_loopback import on_loopback
from vouch.serving.api.front import Middleware, MountedApp
from vouch.serving.api.state import ServingState
from vouch.serving.site import open_site
from vouch.serving.store import keys

NOW = 1_800_000_000_000_000
ROWS = """
# A schema cannot say which rows the contract takes, nor that an instant has passed: they may be refused.
[[operations]]
include-path = "/v1/score"
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "409", "422", "429", "5xx"]

# Nor which fields an answer has, or that a correction corrects something.
[[operations]]
include-path-regex = "^/v1/(a[cds]|customers|overrides|objections|metrics|lists|references|tables|week)"
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "409", "410", "422", "429", "5xx"]
"""
SCHEMATHESIS = str(Path(sys.executable).with_name("schemathesis"))


@pytest.fixture
def service(tmp_path, monkeypatch):
    """A service with a key, and how schemathesis reaches it; it may send as many wrong keys as it likes."""
    monkeypatch.setattr("vouch.serving.api.access.WRONG_KEYS", "100000000/minute")
    write_champions(tmp_path)
    publish(tmp_path)
    (tmp_path / "policy.toml").write_text("[limits]\nrequests_per_minute = 100000000\n")
    store = ServingState(tmp_path)
    key = keys.create(store.database, "schemathesis", "admin", NOW)
    store.refresh()
    site = open_site(MountedApp(), store, is_local=False)
    with on_loopback(Middleware(site, site)) as address:
        yield ["run", f"{address}/openapi.json", "--header", f"Authorization: Bearer {key}"]
    store.stop()


def check(service: list[str], tmp_path: Path, examples: int) -> None:
    """All phases and all checks."""
    (tmp_path / "schemathesis.toml").write_text(ROWS)
    asked = [
        "--phases",
        "examples,coverage,fuzzing,stateful",
        "--checks",
        "all",
        "--exclude-checks",
        "ensure_resource_availability",  # a search by POST makes nothing that another request would find
        "--max-examples",
        str(examples),
    ]
    same = ["--generation-deterministic", "--no-color", "--max-failures", "5"]
    command = [SCHEMATHESIS, *service, *asked, *same]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout[-6_000:]


@pytest.mark.slow
def test_every_answer_is_one_that_the_document_tells_of(service, tmp_path):
    check(service, tmp_path, 5)


@pytest.mark.nightly
def test_many_more_answers_are_as_the_document_tells(service, tmp_path):
    check(service, tmp_path, 200)
