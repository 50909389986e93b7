"""Handlers of receivers of messages: which there are and how they do, and a rest for one that is in trouble.

Their addresses stand in the home alone: nothing over HTTP names or changes one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from vouch.features.errors import ConfigurationError
from vouch.serving.api.problems import Problem
from vouch.serving.api.schemas import Request, Text
from vouch.serving.api.state import now_us
from vouch.serving.reach.destinations import FILE, load_destinations
from vouch.serving.reach.messages.sending import channels_of
from vouch.serving.store.outbox import set_paused, standing_of_destinations

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.serving.api.state import ServingState
    from vouch.serving.reach.messages.settings import Channel
    from vouch.serving.store.callers import Caller


class WebhooksList(Request):
    """All receivers."""


class WebhookName(Request):
    """One receiver: a webhook, a chat, or `email`."""

    name: Text = Field(description="As destinations.toml of the home names it.")


class WebhookTold(BaseModel):
    """One receiver, how many messages wait for it, arrived and were given up, and whose key lets it rest."""

    name: str = Field(description="As destinations.toml of the home names it.")
    waiting: int = Field(description="Messages that are still to arrive.")
    delivered: int = Field(description="Messages of the last 90 days that arrived.")
    dead: int = Field(description="Messages that were given up.")
    paused_by: str | None = Field(description="The name of the key that lets it rest; null where it does not.")


class WebhooksAnswer(BaseModel):
    """All receivers by name."""

    receivers: list[WebhookTold] = Field(description="By name.")


class WebhookAnswer(BaseModel):
    """The receiver as it stands; `is_new` is false where it stood so already."""

    name: str = Field(description="As destinations.toml of the home names it.")
    is_paused: bool = Field(description="Whether it rests now.")
    is_new: bool = Field(description="False where it stood so already.")


def list_webhooks(store: ServingState, _: WebhooksList, __: Caller) -> dict[str, Any]:
    """Return every receiver that the home names."""
    with store.database.reading() as connection:
        rows = {row["destination"]: row for row in standing_of_destinations(connection)}
    none = {"waiting": 0, "delivered": 0, "dead": 0, "paused_by": None}
    columns = ("waiting", "delivered", "dead", "paused_by")
    return {
        "receivers": [
            {"name": name, **{column: rows.get(name, none)[column] for column in columns}}
            for name in sorted(_receivers(store))
        ]
    }


def pause_webhook(store: ServingState, request: WebhookName, caller: Caller) -> dict[str, Any]:
    """Let a receiver rest: what it is to be told waits."""
    return _set(store, request.name, True, caller)


def resume_webhook(store: ServingState, request: WebhookName, caller: Caller) -> dict[str, Any]:
    """Send to a receiver again, what has waited included."""
    return _set(store, request.name, False, caller)


def _set(store: ServingState, name: str, paused: bool, caller: Caller) -> dict[str, Any]:
    if name not in _receivers(store):
        raise Problem("unknown_webhook", "The home names no such receiver", "name")
    is_new = set_paused(store.database, name, paused, caller, now_us())
    return {"name": name, "is_paused": paused, "is_new": is_new}


def _receivers(store: ServingState) -> Mapping[str, Channel]:
    """The receivers by name; raises the problem `unavailable` where the file of the home is wrong."""
    try:
        return channels_of(load_destinations(store.home))
    except ConfigurationError as error:
        raise Problem("unavailable", f"{FILE} of the home is wrong: `vouch notify` says where") from error
