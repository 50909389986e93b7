"""The bulk route over HTTP: ranges, entity tags and chunks (RFC 9110 sections 13 and 14), off the event loop.

One file is made at a time, in turn; what is ready is read from its disk in chunks, so that memory does not grow with a
week. The tag is the digest of the bytes: whoever was cut off goes on with `Range` and `If-Range`.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

import anyio.to_thread
from starlette.responses import Response, StreamingResponse

from vouch.serving.api.access import caller_of
from vouch.serving.api.bulk.files import BulkFiles
from vouch.serving.api.limits.bodies import give_back
from vouch.serving.api.limits.turns import Turns
from vouch.serving.api.problems import Problem
from vouch.serving.api.state import now_us
from vouch.serving.store.audit import entry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.datastructures import QueryParams
    from starlette.requests import Request

    from vouch.serving.api.bulk.files import BulkFile, BulkGet
    from vouch.serving.api.state import ServingState

BULK = "/v1/week/scores"
BULK_SCOPE = "admin"
CHUNK = 2**18
"""Bytes that are read at once."""
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def bulk_endpoint(store: ServingState, asked: Callable[[QueryParams], BulkGet]) -> Callable[[Request], object]:
    """Return the endpoint; `asked` reads what an address asks for, and raises the problem of who asks otherwise."""
    turns = Turns(1)

    async def endpoint(request: Request) -> Response:
        caller, wanted = caller_of(request.scope), asked(request.query_params)
        make = partial(_ready_file, store, wanted)
        file = await turns.run(caller.key_id or caller.name, make, request.is_disconnected)
        headers = {"etag": f'"{file.tag}"', "accept-ranges": "bytes"}
        if _is_known(request.headers.get("if-none-match", ""), file.tag):
            return Response(status_code=304, headers=headers)
        line = entry(now_us(), caller.name, "exported", key_id=caller.key_id, route=BULK, status=200)
        store.journal.note({**line, "customer_id": None, "rows": file.rows})
        return _answer(request, file, headers)

    return endpoint


def _ready_file(store: ServingState, wanted: BulkGet) -> BulkFile:
    """The file; those that are ready go with all that was made of weeks, where one was published or somebody erased."""
    try:
        ready: BulkFiles = store.counted.setdefault(BulkFiles, BulkFiles())
        return ready.get(store, wanted)
    finally:
        give_back()


def _answer(request: Request, file: BulkFile, headers: dict[str, str]) -> Response:
    """The file, or the part of it that is asked for."""
    given = request.headers.get("range", "")
    is_same = request.headers.get("if-range", headers["etag"]) == headers["etag"]
    part = part_of(given, file.size) if given and is_same else None
    start, end = part or (0, file.size)
    headers = {
        **headers,
        "content-length": str(end - start),
        "content-type": file.media_type,
        "content-disposition": f'attachment; filename="{file.name}"',
        "vouch-as-of": file.as_of,
        "vouch-revision": str(file.revision),
        "vouch-rows": str(file.rows),
        **({} if part is None else {"content-range": f"bytes {start}-{end - 1}/{file.size}"}),
    }
    status = 200 if part is None else 206
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    return StreamingResponse(_chunks(file, start, end), status, headers)


async def _chunks(file: BulkFile, start: int, end: int) -> AsyncIterator[bytes]:
    while start < end:
        content = await anyio.to_thread.run_sync(file.read, start, min(CHUNK, end - start))
        if not content:
            return
        start += len(content)
        yield content


def part_of(header: str, size: int) -> tuple[int, int] | None:
    """Return the first byte and the one after the last that a header `Range` asks for, None where it asks for all.

    What is no single range of bytes is passed over, as the standard lets one. Raises the problem
    `range_not_satisfiable` where the file does not reach there.

    >>> part_of("bytes=0-3", 10), part_of("bytes=4-", 10), part_of("bytes=-3", 10), part_of("bytes=0-1,4-5", 10)
    ((0, 4), (4, 10), (7, 10), None)
    """
    match = _RANGE.fullmatch(header.replace(" ", ""))
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":
        start, end = max(size - int(match[2]), 0), size
    else:
        start, end = int(match[1]), min(int(match[2]) + 1, size) if match[2] else size
        if match[2] and int(match[2]) < start:
            return None
    if start >= end:
        problem = Problem("range_not_satisfiable")
        problem.headers["content-range"] = f"bytes */{size}"
        raise problem
    return start, end


def _is_known(header: str, tag: str) -> bool:
    given = [one.strip().removeprefix("W/") for one in header.split(",")]
    return "*" in given or f'"{tag}"' in given
