"""Requests that get no reward: every error as an HTTP status and a JSON body."""

from __future__ import annotations

import http
import logging
import math
from collections.abc import Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from ranker.errors import (
    BudgetExceeded,
    ContextLengthError,
    GroupError,
    JudgeCallError,
    JudgeError,
    RankerError,
)
from ranker.files import dump_line
from ranker.serving import schemas

log = logging.getLogger("ranker")

_RETRY_SECONDS = 5.0  # where a judge failed and did not say when to ask again
_GROUP_FIELDS = {"trajectories", "task", "rubric", "reference", "metadata"}
_JSON_TYPES = {"str": "a string", "dict": "an object"}

_DESCRIPTIONS = {
    400: "The body is malformed, or no group can be made of it.",
    401: "The token is missing or wrong.",
    403: "The server has no token, and the request came by another name than localhost or from another site's page.",
    402: "--max-cost or --max-calls is reached.",
    408: "The body came too slowly.",
    413: "The body is larger than --max-body.",
    415: "The body is not declared as JSON.",
    422: "The group does not fit the judge's context window.",
    429: "The queue is full; Retry-After says when to ask again.",
    500: "The server failed.",
    502: "The judge failed. If retryable, Retry-After says when to ask again.",
    503: "The server is stopping.",
    504: "No verdict in time. Ask again: one in progress is joined, a finished one comes from the cache.",
}


class Failure(Exception):
    """A request that gets no reward: an HTTP status and what the reply says.

    Attributes:
        status: HTTP status.
        kind: what the reply calls it, e.g. ``QueueFull``.
        retryable: whether the same request may work later.
        headers: of the reply; `retry_after` seconds become ``Retry-After``.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        retryable: bool = False,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ):
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.retryable = retryable
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(max(1, math.ceil(retry_after)))

    def body(self) -> bytes:
        return dump_line({"error": {"type": self.kind, "message": str(self), "retryable": self.retryable}})


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The failures of a route as FastAPI documents them: those named, or all."""
    return {
        status: {"model": schemas.Error, "description": _DESCRIPTIONS[status]}
        for status in statuses or _DESCRIPTIONS
    }


def malformed(message: str) -> Failure:
    return Failure(400, "MalformedRequest", message)


def stopping(message: str = "The server is stopping; ask again.") -> Failure:
    return Failure(503, "ShuttingDown", message, retryable=True, retry_after=5)


def failure_of(error: Exception) -> Failure:
    """What a client is sent for any exception; one that nobody foresaw is logged."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, RankerError):
        return _of_ranker(error)
    if isinstance(error, RequestValidationError):
        return _of_validation(error)
    if isinstance(error, HTTPException):
        phrase = http.HTTPStatus(error.status_code).phrase
        return Failure(
            error.status_code, phrase.replace(" ", ""), f"{phrase}. See /docs.", headers=error.headers
        )
    # The traceback names code, never what was sent.
    log.error("A request failed.", exc_info=error)
    return Failure(500, "InternalError", "The server failed; its log says where.")


def _of_ranker(error: RankerError) -> Failure:
    kind, message = type(error).__name__, str(error)
    if isinstance(error, JudgeCallError) and error.retryable:
        asked = error.retry_after
        wait = asked if asked is not None and math.isfinite(asked) else _RETRY_SECONDS
        return Failure(502, kind, message, retryable=True, retry_after=wait)
    for family, status in (
        (GroupError, 400),
        (ContextLengthError, 422),
        (BudgetExceeded, 402),
        (JudgeError, 502),
    ):
        if isinstance(error, family):
            return Failure(status, kind, message)
    return Failure(500, kind, message)


def _of_validation(error: RequestValidationError) -> Failure:
    """The first fault that pydantic reports, with the path of its field; values of the request are not repeated."""
    faults = error.errors()
    fault = faults[0]
    path = [str(part) for part in fault["loc"][1:]]
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "is_instance_of":
        message = f"Input should be {_JSON_TYPES[fault['ctx']['class']]}"
    where = f'"{".".join(path)}"' if path else "The body"
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    kind = "GroupError" if path and path[0] in _GROUP_FIELDS else "MalformedRequest"
    return Failure(400, kind, f"{where}: {message}{more}. /docs lists the fields.")
