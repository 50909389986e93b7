"""Channels: each kind of receiver as the operator writes it down, and what it wants to be told."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vouch.features.company_files import Section
from vouch.serving.store.outbox import DIGEST

Kind = Literal["week.published", "week.refused", "run.failed", "owner.digest"]
ALL: tuple[Kind, ...] = ("week.published", "week.refused", "run.failed", "owner.digest")
NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$"


class Channel(Section):
    """What every receiver has: a name, and what it is told."""

    name: str = Field(pattern=NAME)
    events: tuple[Kind, ...] = Field(default=ALL, strict=False)

    def wants(self, kind: str, owner: str | None) -> bool:
        """Whether it is told of this."""
        return kind in self.events


class Webhook(Channel):
    """A system that takes signed messages (Standard Webhooks); the secret stands in the environment."""

    url: str
    secret: str


class Chat(Channel):
    """A channel of Slack or Teams; its address is a secret, and stands in the environment."""

    kind: Literal["slack", "teams"]
    url: str


class Mail(Channel):
    """People by e-mail; owners' digests go to the address of each owner."""

    name: str = Field(default="email", pattern=NAME)
    host: str = ""
    port: int = Field(default=587, ge=1, le=65_535)
    sender: str = ""
    to: tuple[str, ...] = Field(default=(), strict=False)
    owners: dict[str, str] = Field(default_factory=dict)
    user: str = ""
    password: str = ""

    def wants(self, kind: str, owner: str | None) -> bool:
        """Whether there is somebody to be told."""
        return kind in self.events and (owner in self.owners if kind == DIGEST else bool(self.to))
