"""Callers: the name and the scope of a key, as what was recorded keeps it."""

from __future__ import annotations

from dataclasses import dataclass

from vouch.serving.store.keys import SCOPES


@dataclass(frozen=True)
class Caller:
    """Who calls: the name and the scope of a key."""

    key_id: str | None
    name: str
    scope: str

    def may(self, scope: str) -> bool:
        """Whether this caller may what needs a scope."""
        return SCOPES.index(self.scope) >= SCOPES.index(scope)


EVERYBODY = Caller(None, "everybody on this machine", "admin")
"""Who calls where no key was ever made."""
