"""`vouch serve`: BentoML started the way this service wants it, on loopback unless told otherwise."""

from __future__ import annotations

import ipaddress
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from vouch.features.errors import Refused
from vouch.serving.output import warn

app = typer.Typer()

GRACE_SECONDS = 30
SERVICE = "vouch.serving.service:Vouch"
ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {
    "PYTHONSAFEPATH": "1",  # workers do not import from the current folder either
    "BENTOML_DO_NOT_TRACK": "True",  # no telemetry
    "DO_NOT_TRACK": "1",
    "OTEL_SDK_DISABLED": "true",  # a span would be made for every request
}


@app.command()
def serve(
    host: Annotated[str, typer.Option(metavar="H", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="P", min=1, max=65_535, help="Port to listen on.")] = 3000,
    log_requests: Annotated[bool, typer.Option("--log-requests", help="Write a line for every request.")] = False,
) -> None:
    """Serve the newest snapshot and the champions over HTTP.

    On loopback without any key it is open to this machine; on any other address it needs keys.

    Example: vouch serve --port 3000
    """
    from vouch.features.project import LOCAL, LOG_REQUESTS, environment, home, store_url
    from vouch.serving.store.connection import Database
    from vouch.serving.store.keys import everyone

    address = ip_address(host)
    with Database(home(), store_url()).reading() as connection:
        known = everyone(connection)
    shown = f"http://{_in_url(str(address))}:{port}"
    if not known and not address.is_loopback:
        raise Refused(
            f"On {host} others would reach the service, and there is no key yet. Make one with `vouch keys create "
            "NAME`, or serve on 127.0.0.1."
        )
    who = "Every request needs a key" if known else "Open to everybody on this machine: no keys"
    warn(f"{who}. {shown}/openapi.json says what it does.")
    sys.stderr.flush()
    chosen = {LOCAL: "1" if address.is_loopback else "0", **({LOG_REQUESTS: "1"} if log_requests else {})}
    os.execve(sys.executable, command(str(address), port), environment(**SETTINGS, **chosen))


def command(address: str, port: int) -> list[str]:
    """What is run: BentoML on one address, for it would take all of them; and with an end to waiting at shutdown.

    It works from the folder that holds our packages: from the current one, it would import what lies there.
    """
    options = ["--host", address, "--port", str(port), "--timeout-graceful-shutdown", str(GRACE_SECONDS)]
    return [sys.executable, "-P", "-m", "bentoml", "serve", SERVICE, "--working-dir", str(ROOT), *options]


def ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the address to listen on; raises Refused for a name."""
    try:
        return ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError as error:
        raise Refused(f"{host!r} is no address. Give 127.0.0.1, ::1, or an address of this machine.") from error


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address
