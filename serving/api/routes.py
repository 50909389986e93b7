"""Guarded routes: each says what a key needs for it, and checks it itself, where it is matched.

Who may is never decided by the text of a path: one route can be reached by several spellings (`/v1/%61sks/record`, and
Starlette's patterns take a line break at the end), and a list of paths beside the routes would miss some of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.routing import Route, Router

from vouch.serving.api.access import NOTHING, PAGE, address_of
from vouch.serving.api.limits.bodies import MAX_BODY_BYTES, MAX_FORM_BYTES, bounded
from vouch.serving.api.problems import Problem
from vouch.serving.store.keys import SCOPES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.types import Receive, Scope, Send

    from vouch.serving.api.front import MountedApp


class GuardedRoute(Route):
    """A route with the scope that a key needs for it, or NOTHING where it is open to all.

    `is_page`: people see it in a browser, where a session stands for a key and problems are told as pages.
    """

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        needs: str,
        methods: Sequence[str] | None,
        is_page: bool = False,
    ) -> None:
        if needs not in (NOTHING, *SCOPES):
            raise ValueError(f"A route needs {NOTHING} or one of {', '.join(SCOPES)}, and not {needs!r}")
        super().__init__(path, endpoint, methods=methods)
        self.needs, self.is_page = needs, is_page

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer who may, once the body is there; raises the Problem of who may not."""
        site: MountedApp = scope["state"]["site"]
        if site.gate is None or site.follow is None:
            raise Problem("unavailable")
        caller = scope["state"]["caller"] = site.gate.admit(scope, self.needs, is_page=self.is_page)
        who = address_of(scope) if caller is None else caller.key_id or caller.name
        with site.bodies.held(who) as take:
            given = await bounded(scope, receive, take, MAX_FORM_BYTES if self.is_page else MAX_BODY_BYTES)
            await site.follow()
            await super().handle(scope, given, send)


class GuardedRouter(Router):
    """Answers by guarded routes alone. What is none of them needs a key all the same, before that is told."""

    def __init__(self, routes: Sequence[GuardedRoute]) -> None:
        super().__init__(routes, redirect_slashes=False, default=self._elsewhere)
        if not all(isinstance(route, GuardedRoute) for route in routes):
            raise TypeError("Each route says what a key needs for it: a GuardedRoute")
        self.paths = [route.path for route in routes]

    async def _elsewhere(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell that there is no such route: under /app as a page. That is all that the path decides."""
        route = scope["route"] = NO_PAGE if scope["path"].startswith(f"{PAGE}/") else NO_ROUTE
        await route.handle(scope, receive, send)


class _Unknown:
    """The application of a path that is no route."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise Problem("unknown_route")


NO_ROUTE = GuardedRoute("/{path:path}", _Unknown(), needs=SCOPES[0], methods=None)
NO_PAGE = GuardedRoute(f"{PAGE}/{{path:path}}", _Unknown(), needs=SCOPES[0], methods=None, is_page=True)
