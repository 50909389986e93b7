"""Problem documents (RFC 9457): what goes wrong with a request, said alike by every route and layer.

Nothing that came with a request is repeated, neither in an answer nor in a log line.
"""

from __future__ import annotations

import json
import re
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from vouch.features.errors import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import ValidationError

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class ProblemKind:
    """One kind of problem: the status it is sent with, and its title."""

    status: int
    title: str


KINDS: Mapping[str, ProblemKind] = {
    "malformed": ProblemKind(400, "The body is not JSON"),
    "malformed_request": ProblemKind(400, "The request is no HTTP"),
    "malformed_path": ProblemKind(400, "The path holds what no path may"),
    "unauthorised": ProblemKind(401, "A key is needed"),
    "forbidden": ProblemKind(403, "The key may not do this"),
    "unknown_customer": ProblemKind(404, "No such customer"),
    "unknown_account": ProblemKind(404, "No such account"),
    "unknown_ask": ProblemKind(404, "No such ask"),
    "unknown_action": ProblemKind(404, "No such action"),
    "unknown_webhook": ProblemKind(404, "No such receiver"),
    "unknown_override": ProblemKind(404, "No such override"),
    "unknown_reference": ProblemKind(404, "No such request for a reference"),
    "unknown_cursor": ProblemKind(404, "No such page of the list"),
    "unknown_metric": ProblemKind(404, "No such metric"),
    "unknown_week": ProblemKind(404, "No such week was published"),
    "unknown_route": ProblemKind(404, "No such route"),
    "method_not_allowed": ProblemKind(405, "The route takes another method"),
    "too_slow": ProblemKind(408, "The request did not arrive in time"),
    "conflict": ProblemKind(409, "It stands otherwise already"),
    "not_to_be_asked": ProblemKind(409, "The customer must not be asked now"),
    "week_gone": ProblemKind(410, "That week is no longer kept"),
    "too_large": ProblemKind(413, "The body is too large"),
    "unsupported_media_type": ProblemKind(415, "The body must be application/json"),
    "range_not_satisfiable": ProblemKind(416, "The file does not reach there"),
    "invalid_value": ProblemKind(422, "A value is not what the route takes"),
    "too_many_requests": ProblemKind(429, "Too many requests"),
    "headers_too_large": ProblemKind(431, "The headers are too large"),
    "internal": ProblemKind(500, "Something went wrong here"),
    "no_snapshot": ProblemKind(503, "No snapshot is published yet"),
    "store_unavailable": ProblemKind(503, "The store does not answer now"),
    "keys_unknown": ProblemKind(503, "Which keys stand is not known now"),
    "busy": ProblemKind(503, "More is asked than can be answered now"),
    "unavailable": ProblemKind(503, "The service cannot answer now"),
}
RETRY_SECONDS = {
    "store_unavailable": "5",
    "keys_unknown": "5",
    "busy": "2",
    "unavailable": "5",
    "no_snapshot": "30",
    "too_many_requests": "1",
}
"""How long to wait at least before the same is worth another try."""


class Problem(Exception):
    """A request that is answered with a problem document. `field` names a field of ours, never what was sent in it."""

    def __init__(self, code: str, detail: str = "", field: str | None = None) -> None:
        super().__init__(code)
        self.code, self.detail, self.field = code, detail, field
        self.headers: dict[str, str] = {}
        self.exclusion: str | None = None
        self.goes_to: str | None = None
        """Where a person is sent instead of being told."""

    @property
    def status(self) -> int:
        """HTTP status."""
        return KINDS[self.code].status

    def document(self) -> dict[str, Any]:
        """The problem document; `type` points to its description in the OpenAPI document."""
        kind = KINDS[self.code]
        return {
            "type": f"/openapi.json#/components/responses/{self.code}",
            "title": kind.title,
            "status": kind.status,
            "detail": self.detail or kind.title,
            "code": self.code,
            "field": self.field,
            **({} if self.exclusion is None else {"exclusion": self.exclusion}),
        }


def from_validation(error: ValidationError, names: frozenset[str]) -> Problem:
    """Return the problem of a request that its model refuses; of what was sent only names like ours are told.

    An unknown field is named where it reads like a name, with the one of ours that it may stand for.
    """
    first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        return Problem("malformed", first["msg"])
    path = [str(part) for part in first["loc"] if isinstance(part, int) or part in names]
    sent = first["loc"][-1] if first["loc"] else None
    if first["type"] == "extra_forbidden" and isinstance(sent, str) and NAME.fullmatch(sent):
        return Problem("invalid_value", f"There is no such field{did_you_mean(sent, names)}", ".".join([*path, sent]))
    message = str(first["msg"])
    if first["type"] == "literal_error" and isinstance(first["input"], str):
        known = re.findall(r"'([^']*)'", str(first["ctx"]["expected"]))
        message += did_you_mean(first["input"], known)
    return Problem("invalid_value", message, ".".join(path) or None)


NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
"""How a field is called; whatever else stands in its place is not repeated."""


def answer_of(problem: Problem) -> Response:
    """Return a problem document as an answer."""
    if problem.goes_to is not None:
        return Response(status_code=303, headers={"location": problem.goes_to})
    headers = dict(problem.headers)
    if problem.code in RETRY_SECONDS:
        headers.setdefault("retry-after", RETRY_SECONDS[problem.code])
    if problem.status == 401:
        headers["www-authenticate"] = "Bearer"
    if problem.status in {408, 413}:
        headers["connection"] = "close"  # the rest of the body is not read
    body = json.dumps(problem.document()).encode()
    return Response(body, problem.status, headers, media_type=MEDIA_TYPE)


def where(error: BaseException) -> str:
    """Name an error and the place that raised it, without its text: that may hold what was sent."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name}" if frames else "nowhere"
    return f"{type(error).__name__} at {place}"
