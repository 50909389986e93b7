"""The BentoML service: the routes mounted, the store watched, the process told how to behave.

The only file that imports BentoML. It reads published snapshots and champions, and never the tracking server. `vouch
serve` runs its application in workers of its own; `bentoml serve` runs a Bento of it, and there BentoML's master loads
this file as well, and serves nothing: what is heavy is imported when a worker starts.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import shutil
import signal
import sys
import tempfile
from typing import TYPE_CHECKING, Any

import bentoml

from vouch.features.errors import Refused, VouchError
from vouch.features.private import keep_private
from vouch.features.project import (
    home,
    is_shared_home,
    listens_here_alone,
    logs_requests,
    store_url,
    trusted_proxies,
)
from vouch.features.project import (
    settle as set_for_libraries,
)
from vouch.serving.api.front import Middleware, MountedApp
from vouch.serving.api.limits.connections import bound_servers
from vouch.serving.api.problems import where
from vouch.serving.api.shared import SharedNumbers

if TYPE_CHECKING:
    from starlette.types import ASGIApp

PR_SET_PDEATHSIG = 1
SWITCH_SECONDS = 0.0005
"""How long threads that watch and write may keep the one that answers waiting; Python's own 5 ms show in the tail."""
_log = logging.getLogger("vouch.serving")
routes = MountedApp()
"""Stands for the application until a worker has made it. It takes every path, so that BentoML's own pages, which load
scripts from other hosts, are not served."""
# Before there is a server, whoever makes it: BentoML asks nobody how it is to be.
set_for_libraries(FORWARDED_ALLOW_IPS=",".join(map(str, trusted_proxies())))
bound_servers(trusted_proxies())


@bentoml.service(
    name="vouch",
    workers=1,
    traffic={"timeout": 120},
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},  # its labels hold addresses as they came, and it would count our own routes twice
    http={"cors": {"enabled": False}},
)
class Vouch:
    """Which customers are about to leave, which would speak up, and why."""

    def __init__(self) -> None:
        from vouch.serving.api import logs
        from vouch.serving.api.state import ServingState
        from vouch.serving.site import open_site

        die_with(os.getppid())
        keep_private(home(), is_shared_home())
        logs.configure(with_requests=logs_requests())
        try:
            self._store = ServingState(home(), store_url())
            self._store.refresh()
            is_local = listens_here_alone()
            if not self._store.keys and not is_local:
                raise Refused("There is no key yet, and others reach the service: `vouch keys create NAME` makes one.")
            self._store.watch()
            open_site(routes, self._store, is_local=is_local)
        except Exception as error:
            _log.critical("a worker cannot start: %s", error if isinstance(error, VouchError) else where(error))
            raise
        settle()

    @bentoml.on_deployment  # type: ignore[untyped-decorator]  # as below
    def close_manager() -> None:
        """Before `bentoml serve` starts its workers: let its process manager take commands from nobody.

        Circus would take them on a loopback port from whoever connects, without asking who that is.
        """
        from bentoml._internal.utils.circus import Arbiter

        within(Arbiter)

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]  # BentoML does not say its type
    def stop(self) -> None:
        """Let go of the watch."""
        self._store.stop()


Vouch.add_asgi_middleware(Middleware, site=routes)  # type: ignore[attr-defined]  # the decorator makes a Service of it


def application(numbers: int, place: int) -> ASGIApp:
    """Return what a worker serves: its place among the workers, and the descriptor of the numbers that they share."""
    routes.shared = SharedNumbers(numbers, place)
    app: ASGIApp = Vouch.to_asgi(is_main=True)  # type: ignore[attr-defined]  # as above
    return app


def within(arbiter: Any) -> None:
    """Have an arbiter of Circus listen to its own process alone, or to what `--reload` starts, in a private folder."""
    start = arbiter.__init__

    def listen_within(self: Any, *given: Any, **settings: Any) -> None:
        folder = tempfile.mkdtemp(prefix="vouch-") if settings.get("plugins") else None
        place = f"ipc://{folder}/" if folder else "inproc://vouch-"
        start(self, *given, **settings | {"endpoint": f"{place}commands", "pubsub_endpoint": f"{place}events"})
        if folder:
            self.exit_stack.callback(shutil.rmtree, folder, ignore_errors=True)

    arbiter.__init__ = listen_within


def die_with(parent: int) -> None:
    """Ask the system to stop this worker when its master dies: else it lives on as an orphan that holds the port."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before we asked
        os.kill(os.getpid(), signal.SIGTERM)


def settle() -> None:
    """Keep the collector off what was imported: full collections over it make the tail (measured: 20 times as long).

    Threads take turns more often than Python has it, for the same reason.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)
    sys.setswitchinterval(SWITCH_SECONDS)
