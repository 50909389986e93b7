"""Structured logs of the service: one JSON document per line, and nothing personal in any of them.

Our own lines name routes, codes and places in the code, never what was sent. Lines of libraries pass through the same
formatter: the text of an error is left out (it may hold what was sent), and what looks like an e-mail address or a
telephone number is struck out.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING, Any

import structlog

from vouch.features.shown import STRUCK, redacted
from vouch.serving.api.problems import where

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

OURS = "vouch"
SLOW_SECONDS = 1.0
_PERSONAL = re.compile(r"[^\s@<>\"']+@[^\s@<>\"']+\.\w+|(?<![\w.:-])(?:\+|0)\d[\d ()/-]{6,}\d(?![\w.:-])")
_log = logging.getLogger(f"{OURS}.requests")


def configure(*, with_requests: bool = False) -> None:
    """Write all that is logged in this process as lines of JSON to standard error.

    `with_requests` writes a line for every request, otherwise for those that failed here or took long.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter())
    root = logging.getLogger()
    root.handlers, root.level = [handler], logging.WARNING
    for name in list(logging.root.manager.loggerDict):  # libraries bring handlers of their own
        known = logging.getLogger(name)
        known.handlers.clear()
        known.propagate = True
    logging.getLogger(OURS).setLevel(logging.INFO)
    _log.setLevel(logging.INFO if with_requests else logging.WARNING)


def _formatter() -> structlog.stdlib.ProcessorFormatter:
    processors: list[Processor] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(("route", "method", "status", "ms", "code", "key_id")),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=processors,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            without_error_text,
            redacted_line,
            without_personal_data,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
    )


def without_error_text(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """Replace an error that came with a line by its kind and the place that raised it."""
    error = line.pop("exc_info", None)
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        line["error"] = where(error)
    line.pop("exception", None)
    line.pop("stack_info", None)
    return line


def redacted_line(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """Strike out passwords of URLs and parameters that are secret."""
    return {name: redacted(value) if isinstance(value, str) else value for name, value in line.items()}


def without_personal_data(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """Strike out what looks like an e-mail address or a telephone number.

    >>> without_personal_data(None, "", {"event": "2026-11-16: a.b@example.com, +40 721 000 000, 010-1234-5678"})
    {'event': '2026-11-16: ***, ***, ***'}
    """
    for name, value in line.items():
        if isinstance(value, str) and name != "timestamp":
            line[name] = _PERSONAL.sub(STRUCK, value)
    return line


def log_request(route: str, method: str, status: int, seconds: float, code: str | None, key_id: str | None) -> None:
    """Write the line of one request, where such lines are wanted or this one matters."""
    is_fault = status >= 500 and code not in {"no_snapshot", "busy"}
    level = logging.ERROR if is_fault else logging.WARNING if seconds >= SLOW_SECONDS else logging.INFO
    if _log.isEnabledFor(level):
        of: dict[str, Any] = {"route": route, "method": method, "status": status, "ms": round(1_000 * seconds, 1)}
        _log.log(level, "request", extra={**of, "code": code, "key_id": key_id})
