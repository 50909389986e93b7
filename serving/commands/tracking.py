"""`vouch mlflow`: MLflow's own page over what training kept, so that runs are compared beside the notebook.

It is for a person at this machine: MLflow asks nobody for a key, so it listens on loopback and nowhere else.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from typing import Annotated

import typer

from vouch.features.errors import UsageError
from vouch.features.shown import redacted
from vouch.serving.output import say

app = typer.Typer()
LOOPBACK = ipaddress.IPv4Address("127.0.0.1")


@app.command("mlflow")
def mlflow_page(
    port: Annotated[int, typer.Option(metavar="P", min=1, max=65_535, help="Port to listen on.")] = 5000,
) -> None:
    """Open MLflow's page over the runs, figures and versions under VOUCH_HOME, on this machine alone.

    Where MLFLOW_TRACKING_URI names a team's server, it says where that is.

    Example: vouch mlflow --port 5000
    """
    from vouch.features.project import environment, home, tracking
    from vouch.models.registry.connection import EXPERIMENT, SWITCHES, answering, connect, database_url, is_tracked
    from vouch.serving.commands.serve import listening

    if team := tracking():
        say(f"Runs are kept by the team's server: {redacted(team)}")
        return
    if not is_tracked(home()):
        raise UsageError("Nothing was trained here yet: `vouch train all DATA` keeps its runs, and this shows them")
    listening(LOOPBACK, port).close()
    with answering(home(), None):
        _, client = connect(home())
        experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None, "it was made when the client connected"
    say(f"http://{LOOPBACK}:{port}/#/experiments/{experiment.experiment_id}/runs?workflowType=machine_learning")
    arguments = ["server", "--backend-store-uri", database_url(home()), "--host", str(LOOPBACK), "--port", str(port)]
    command = [sys.executable, "-m", "mlflow", *arguments, "--workers", "1"]
    sys.stdout.flush()
    os.execve(command[0], command, environment(**SWITCHES))
