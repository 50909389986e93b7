"""Alert rules and the board: a real Prometheus loads them, and each of their queries finds what a service tells."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
import yaml

from support.capabilities import free_port
from support.page_home import write_home
from support.servers.running_service import serving, wait_for
from vouch.features.errors import Refused
from vouch.features.instants import parse_instant
from vouch.serving.batch.run_records import recording

FOLDER = Path(__file__).parents[3] / "serving" / "deployment"
MONDAY = parse_instant("2026-11-16T02:15:00Z")
SCRAPED = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: vouch
    static_configs:
      - targets: ["127.0.0.1:{port}"]
"""
RARE = {"vouch_problems_total"}
"""What a service that answers everybody has nothing to tell of."""


def alerts() -> dict[str, str]:
    (group,) = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    return {rule["alert"]: rule["expr"] for rule in group["rules"]}


def board() -> list[str]:
    panels = json.loads((FOLDER / "grafana.json").read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    """A Prometheus that scrapes a service of which a job was refused; a client of its API."""
    folder = tmp_path_factory.mktemp("alerts")
    home = write_home(folder / "home")
    with recording(home, "score", MONDAY):
        pass
    with pytest.raises(Refused), recording(home, "score", MONDAY + 1):
        raise Refused("too few rows")
    with serving(home, folder / "log") as (_, service):
        service.post("/v1/advocates/search", json={"limit": 1})
        port = free_port()
        config = folder / "prometheus.yml"
        config.write_text(SCRAPED.format(rules=FOLDER / "alerts.yaml", port=service.base_url.port))
        words = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
        with (folder / "prometheus.log").open("wb") as log:
            server = subprocess.Popen([*words, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=30) as client:
            try:
                wait_for(lambda: is_scraped(client), 60)
                service.post("/v1/advocates/search", json={"limit": 1})
                wait_for(lambda: found(client, "rate(vouch_request_seconds_count[5m]) > 0"), 60)
                yield client
            finally:
                server.terminate()
                server.wait(30)


def is_scraped(client) -> bool:
    try:
        return bool(found(client, "vouch_ready"))
    except httpx.TransportError:
        return False


def found(client, expression: str) -> list:
    answer = client.get("/query", params={"query": expression})
    return answer.json()["data"]["result"] if answer.status_code == 200 else []


@pytest.mark.prometheus
@pytest.mark.parametrize("expression", board())
def test_every_panel_of_the_board_shows_something(expression, prometheus):
    if not set(re.findall(r"vouch_\w+", expression)) & RARE:
        assert found(prometheus, expression)
    else:
        assert prometheus.get("/query", params={"query": expression}).status_code == 200


@pytest.mark.prometheus
@pytest.mark.parametrize("alert", alerts())
def test_every_alert_asks_for_what_the_service_tells(alert, prometheus):
    for name in re.findall(r"\b(?:vouch_\w+|up)\b", alerts()[alert]):
        assert found(prometheus, name), name
    assert prometheus.get("/query", params={"query": alerts()[alert]}).status_code == 200


@pytest.mark.prometheus
def test_a_refused_run_raises_its_alert_and_nothing_calls_the_service_down(prometheus):
    wait_for(lambda: found(prometheus, 'ALERTS{alertname="VouchRunFailed"}'), 60)
    assert not found(prometheus, 'ALERTS{alertname=~"VouchIsDown|VouchIsNotReady|VouchFails"}')


@pytest.mark.prometheus
def test_the_rules_are_what_promtool_takes():
    done = subprocess.run([shutil.which("promtool"), "check", "rules", FOLDER / "alerts.yaml"], capture_output=True)
    assert done.returncode == 0, done.stderr
