"""`vouch mlflow` shows what training kept, to this machine alone."""

from __future__ import annotations

import os
import signal
import subprocess
import urllib.request

from support.capabilities import free_port
from support.faults import command, settings
from support.servers.running_service import wait_for
from vouch.models.registry.connection import connect

START_SECONDS = 30


def running(home, port):
    """The command in a group of its own; what it says can be read."""
    return subprocess.Popen(
        command(("mlflow", "--port", str(port))),
        env=settings(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def is_healthy(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return answer.read() == b"OK"
    except OSError:
        return False


def test_the_page_of_mlflow_is_of_this_home_and_on_loopback(tmp_path):
    connect(tmp_path)
    port = free_port()
    process = running(tmp_path, port)
    try:
        told = process.stdout.readline()
        assert told.startswith(f"http://127.0.0.1:{port}/#/experiments/1/")
        wait_for(lambda: process.poll() is not None or is_healthy(port), START_SECONDS)
        assert process.poll() is None, process.stdout.read()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_where_nothing_was_trained_it_says_so(vouch, tmp_path, monkeypatch):
    monkeypatch.setenv("VOUCH_HOME", str(tmp_path))
    code, out, err = vouch("mlflow")
    assert (code, out) == (2, "")
    assert "vouch train all DATA" in err


def test_a_teams_server_is_named_without_its_password(vouch, tmp_path, monkeypatch):
    monkeypatch.setenv("VOUCH_HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mona:secret@mlflow.example")
    code, out, _ = vouch("mlflow")
    assert code == 0
    assert "mlflow.example" in out
    assert "secret" not in out
