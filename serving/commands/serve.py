"""`vouch serve`: the service on one address, on loopback unless told otherwise."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from contextlib import closing
from typing import Annotated

import typer

from vouch.features.errors import ConfigurationError, Refused, VouchError
from vouch.serving.output import warn

app = typer.Typer()

BACKLOG, MOST_WORKERS = 2_048, 64
SETTINGS = {
    "PYTHONSAFEPATH": "1",  # workers do not import from the current folder
    "BENTOML_DO_NOT_TRACK": "True",  # no telemetry
    "DO_NOT_TRACK": "1",
    "MALLOC_ARENA_MAX": "2",  # heavy requests come on whatever thread: what one has freed the next one takes
    "OTEL_SDK_DISABLED": "true",  # a span would be made for every request
}
_WRONG = {
    errno.EADDRINUSE: "is in use: name another with --port",
    errno.EACCES: "is not for this user to open: name one above 1023 with --port",
    errno.EADDRNOTAVAIL: "cannot be: the address is none of this machine. Name another with --host",
}


@app.command()
def serve(
    host: Annotated[str, typer.Option(metavar="H", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="P", min=1, max=65_535, help="Port to listen on.")] = 3000,
    workers: Annotated[
        int, typer.Option(metavar="N", min=1, max=MOST_WORKERS, help="Processes that answer, each with what it needs.")
    ] = 1,
    require_keys: Annotated[
        bool, typer.Option("--require-keys", help="Do not start without keys, on loopback neither: behind a proxy.")
    ] = False,
    log_requests: Annotated[bool, typer.Option("--log-requests", help="Write a line for every request.")] = False,
) -> None:
    """Serve the newest snapshot and the champions over HTTP.

    On loopback without any key it is open to this machine, and to nothing that came through a proxy; on any other
    address it needs keys. VOUCH_TRUSTED_PROXIES names proxies whose X-Forwarded-For is believed.

    Example: vouch serve --port 3000
    """
    from vouch.features.project import LOCAL, LOG_REQUESTS, environment, home, store_url, trusted_proxies
    from vouch.serving.api.logs import configure
    from vouch.serving.commands.workers import Workers
    from vouch.serving.store.connection import Database
    from vouch.serving.store.keys import everyone

    address = ip_address(host)
    with closing(Database(home(), store_url())) as database, database.reading() as connection:
        known = everyone(connection)
    trusted_proxies()
    is_local = address.is_loopback and not require_keys
    if not known and not is_local:
        why = f"On {host} others would reach the service" if not address.is_loopback else "Keys are required"
        mend = ", or serve on 127.0.0.1" if not address.is_loopback else ""
        raise Refused(f"{why}, and there is no key yet. Make one with `vouch keys create NAME`{mend}.")
    listener = listening(address, port)
    who = "Every request needs a key" if known else "Open to everybody on this machine: no keys"
    warn(f"{who}. http://{_in_url(str(address))}:{port}/openapi.json says what it does.")
    configure()
    chosen = {LOCAL: "1" if is_local else "0", **({LOG_REQUESTS: "1"} if log_requests else {})}
    if not Workers(listener, workers, environment(**SETTINGS, **chosen)).run():
        raise VouchError("The service could not start. What is written above says why.")


def listening(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> socket.socket:
    """Return a socket that listens; raises ConfigurationError where it cannot."""
    listener = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((str(address), port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        why = _WRONG.get(error.errno or 0, f"cannot be listened on ({os.strerror(error.errno or 0)})")
        raise ConfigurationError(f"Port {port} of {address} {why}") from error
    return listener


def ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the address to listen on; raises Refused for a name."""
    try:
        return ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError as error:
        raise Refused(f"{host!r} is no address. Give 127.0.0.1, ::1, or an address of this machine.") from error


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address
