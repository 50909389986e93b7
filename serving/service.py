"""The BentoML service: the routes mounted, the store watched, the process told how to behave.

The only file that imports BentoML. It reads published snapshots and champions, and never the tracking server. BentoML's
master loads this file as well as each worker, and serves nothing: what is heavy is imported when a worker starts.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys

import bentoml

from vouch.features.errors import Refused
from vouch.features.project import home, listens_here_alone, logs_requests, store_url
from vouch.serving.api.problems import Front, Site

PR_SET_PDEATHSIG = 1
SWITCH_SECONDS = 0.0005
"""How long threads that watch and write may keep the one that answers waiting; Python's own 5 ms show in the tail."""


routes = Site()
"""Stands for the application until a worker has made it. It takes every path but the few that BentoML answers better,
so that BentoML's own pages, which load scripts from other hosts, are not served."""


@bentoml.asgi_app(routes)
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
        from vouch.serving.api.application import open_site
        from vouch.serving.api.state import Store

        die_with_parent()
        logs.configure(with_requests=logs_requests())
        self._store = Store(home(), store_url())
        self._store.refresh()
        is_local = listens_here_alone()
        if not self._store.keys and not is_local:
            raise Refused("There is no key yet, and others reach the service: `vouch keys create NAME` makes one.")
        self._store.watch()
        open_site(routes, self._store, is_local=is_local)
        settle()

    async def __is_ready__(self) -> bool:
        """Whether there is a snapshot to answer from."""
        return self._store.is_ready

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]  # BentoML does not say its type
    def stop(self) -> None:
        """Let go of the watch."""
        self._store.stop()


Vouch.add_asgi_middleware(Front, site=routes)  # type: ignore[attr-defined]  # the decorator makes a Service of it


def die_with_parent() -> None:
    """Ask the system to stop this worker when its master dies: else it lives on as an orphan that holds the port."""
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
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
