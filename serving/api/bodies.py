"""Bodies of requests, limited in bytes and in time while they arrive: BentoML limits neither."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from vouch.serving.api.problems import Problem

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope

MAX_BODY_BYTES = 8 * 2**20
BODY_SECONDS = 20.0
"""How long the body of a request may take to arrive."""


async def bounded(scope: Scope, receive: Receive) -> Receive:
    """Read the whole body, as far as it may be read, and return what gives it and then the end of the connection."""
    waiting: list[Message] = [{"type": "http.request", "body": await _whole_body(scope, receive), "more_body": False}]

    async def replayed() -> Message:
        return waiting.pop() if waiting else await receive()

    return replayed


async def _whole_body(scope: Scope, receive: Receive) -> bytes:
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    if not declared.isdigit() or int(declared) > MAX_BODY_BYTES:
        raise Problem("too_large", f"A body holds at most {MAX_BODY_BYTES} bytes")
    chunks, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                if size > MAX_BODY_BYTES:
                    raise Problem("too_large", f"A body holds at most {MAX_BODY_BYTES} bytes")
                if not message.get("more_body", False):
                    return b"".join(chunks)
    except TimeoutError as error:
        raise Problem("too_slow", f"A body has {BODY_SECONDS:.0f} s to arrive") from error
