"""The commands of the documentation, run page after page in an empty folder, the service called as they say."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from vouch.serving.docs.pages import documentation

ROOT = Path(__file__).parents[3]
TOLD = "\n".join(page.path.read_text(encoding="utf-8") for page in documentation().values())
VOUCH = Path(sys.executable).with_name("vouch")
SERVE = "vouch serve --port 3000"
PORT = "3000"

pytestmark = [pytest.mark.slow, pytest.mark.curl]


def lines() -> list[str]:
    """The commands of all `sh` blocks in order, continued lines joined."""
    text = "\n".join(re.findall(r"^```sh\n(.*?)^```$", TOLD, re.MULTILINE | re.DOTALL)).replace("\\\n", " ")
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def write_files(folder: Path) -> None:
    """The files that the pages give whole: their first line names them."""
    for name, text in re.findall(r"^```toml\n# (\S+\.toml)\n(.*?)^```$", TOLD, re.MULTILINE | re.DOTALL):
        (folder / name).write_text(text, encoding="utf-8")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def typed(tmp_path_factory):
    """What each command printed, run one after another as the pages have them; the service runs from its line on."""
    folder = tmp_path_factory.mktemp("readme")
    write_files(folder)
    port = str(free_port())
    settings = {**os.environ, "VOUCH_HOME": str(folder / ".vouch"), "PATH": f"{VOUCH.parent}:{os.environ['PATH']}"}
    found, service = {}, None
    try:
        for line in lines():
            words = shlex.split(line.replace(PORT, port))
            if line == SERVE:
                with (folder / "log").open("wb") as log:
                    service = subprocess.Popen(words, cwd=folder, env=settings, stdout=log, stderr=log)
                wait_until_ready(f"http://127.0.0.1:{port}/readyz", service)
                continue
            done = subprocess.run(words, cwd=folder, env=settings, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
            found[line] = done.stdout
    finally:
        if service is not None:
            service.terminate()
            service.wait(60)
    return found


def wait_until_ready(url: str, service: subprocess.Popen) -> None:
    for _ in range(240):
        assert service.poll() is None, "the service ended"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                assert answer.status == 200
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise AssertionError("the service was not ready within two minutes")


def test_every_command_of_the_documentation_ends_well(typed):
    assert {line.split()[0] for line in typed} == {"vouch", "curl"}


def test_each_call_of_the_documentation_is_answered_with_what_it_promises(typed):
    answers = {line: json.loads(out) for line, out in typed.items() if line.startswith("curl")}
    (candidates,) = [answer for line, answer in answers.items() if "advocates/search" in line]
    (metrics,) = [answer for line, answer in answers.items() if "metrics/query" in line]
    assert len(candidates["candidates"]) == 3
    assert [row["metric_id"] for row in metrics["metrics"]] == ["nps"]
    assert any(answer.get("openapi", "").startswith("3.") for answer in answers.values())


def test_the_models_of_the_documentation_end_as_champions(typed):
    (shown,) = [out for line, out in typed.items() if line == "vouch models"]
    assert len(re.findall(r"\bchampion\b", shown)) == 3, "churn, advocacy and value"
