"""One worker of `vouch serve`: the BentoML service on uvicorn, on a socket that was opened before it.

It is started with the descriptors of that socket and of the numbers that the workers share, with its place among them,
and with the process that started it. BentoML's own start is not used: the process manager in it (Circus) takes commands
on a loopback port from whoever connects.
"""

from __future__ import annotations

import contextlib
import socket
import sys

from uvicorn import Config, Server
from uvicorn.config import STARTUP_FAILURE

from vouch.features.errors import VouchError
from vouch.serving.output import warn

GRACE_SECONDS = 30
"""How long whoever is in flight is waited for when the service stops."""


def main() -> None:
    """Answer until told to stop; exits with STARTUP_FAILURE where it could not begin to."""
    listener, numbers, place, parent = map(int, sys.argv[1:])
    try:
        from vouch.serving.service import application, die_with

        die_with(parent)
        app = application(numbers, place)
    except Exception as error:
        warn(f"vouch: {error}" if isinstance(error, VouchError) else f"vouch: {type(error).__name__}: {error}")
        sys.exit(STARTUP_FAILURE)
    config = Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        ws="none",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    with contextlib.suppress(KeyboardInterrupt):  # it has stopped, and says so again
        Server(config).run(sockets=[socket.socket(fileno=listener)])


if __name__ == "__main__":
    main()
