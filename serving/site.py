"""The API and the page as one site over one store: what a worker answers with."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import anyio.to_thread

from vouch.features.errors import StoreError
from vouch.serving.api.access import AccessGate
from vouch.serving.api.application import api_routes
from vouch.serving.api.routes import GuardedRouter
from vouch.serving.api.shared import SharedNumbers
from vouch.serving.api.state import now_us
from vouch.serving.api.telemetry import Telemetry
from vouch.serving.web.routes import Pages

if TYPE_CHECKING:
    from vouch.serving.api.front import MountedApp
    from vouch.serving.api.state import ServingState


def open_site(site: MountedApp, store: ServingState, *, is_local: bool) -> MountedApp:
    """Answer from a store from now on. `is_local`: only this machine reaches the service."""
    rate = f"{store.policy.limits.requests_per_minute}/minute"
    shared = site.shared = store.shared = site.shared or SharedNumbers()
    site.gate = AccessGate(store, is_local, rate, now_us, shared)
    pages, telemetry = Pages(store, site.gate), Telemetry(store, now_us, shared)
    app = GuardedRouter([*api_routes(store, telemetry), *pages.routes()])
    telemetry.learn(app.paths)
    site.app, site.tell, site.watch = app, pages.tell, telemetry.watch
    site.follow = partial(_follow, store)
    shared.note_ready()
    return site


async def _follow(store: ServingState) -> None:
    """Take what other workers have recorded, so that whoever recorded it finds it, whichever of them answers next."""
    if store.is_behind:
        with suppress(StoreError):  # it does not answer: what is in memory still serves
            await anyio.to_thread.run_sync(store.follow)
