"""What comes in and what goes out: bodies to groups, results and errors to JSON. No I/O."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ranker.errors import (
    BudgetExceeded,
    ContextLengthError,
    GroupError,
    JudgeCallError,
    JudgeError,
    RankerError,
)
from ranker.jsonl.group_file import dump_line, group_from_dict
from ranker.ranked import RankedGroup
from ranker.trajectory import TrajectoryGroup

MAX_PASSES = 64
_SOON = 5.0  # seconds until asking again where a judge failed and said nothing of when


class Failure(Exception):
    """A request that gets no reward: an HTTP status and what the reply says.

    Attributes:
        status: HTTP status.
        kind: what the reply calls it, e.g. ``QueueFull``.
        retryable: whether the same request may work later.
        retry_after: seconds to wait until then, or None.
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
        told = {"type": self.kind, "message": str(self), "retryable": self.retryable}
        return dump_line({"error": told})


@dataclass(frozen=True, slots=True)
class Job:
    """A group to rank.

    Attributes:
        key: equal for equal requests: one that is under way is not started again.
        rubric: None for the server's own.
        passes: None for the server's own, as is `seed`.
    """

    key: str
    group: TrajectoryGroup
    rubric: str | None = None
    passes: int | None = None
    seed: int | None = None


def key_of(route: str, *parts: bytes) -> str:
    digest = hashlib.sha256(route.encode())
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body.

    Raises:
        Failure: 400; the body is none.
    """
    try:
        fields = json.loads(body.decode("utf-8"), parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise _malformed(f"The body is not UTF-8: {error.reason} at byte {error.start}.") from None
    except RecursionError:
        raise _malformed("The body is nested too deeply.") from None
    except ValueError as error:
        raise _malformed(f"The body is not JSON: {error}.") from None
    if not isinstance(fields, dict):
        raise _malformed(f"The body is a {type(fields).__name__}, not an object.")
    return fields


def read_job(body: bytes) -> Job:
    """The body of POST /rank: a group as in group files, with `rubric`, `passes` and `seed` if wanted.

    Raises:
        Failure: 400; a field is missing or wrong.
    """
    fields = read_object(body)
    given = fields.get("id")
    if given is not None and (not isinstance(given, str) or not given.isprintable() or not given):
        raise _malformed("A group's id must be printable text.")
    passes, seed = fields.get("passes"), fields.get("seed")
    if passes is not None and (type(passes) is not int or not 1 <= passes <= MAX_PASSES):
        raise _malformed(f'"passes" must be a whole number from 1 to {MAX_PASSES}.')
    if seed is not None and (type(seed) is not int or abs(seed) >= 2**63):
        raise _malformed('"seed" must be a whole number of 64 bits.')
    try:
        group = group_from_dict(fields)
    except GroupError as error:
        raise failure_of(error) from None
    if group.rubric is not None and not group.rubric.strip():
        raise _malformed("The rubric is empty; say what to prefer, or leave it out.")
    return Job(key_of("rank", body), group, group.rubric, passes, seed)


def ranked_reply(ranked: RankedGroup) -> bytes:
    """The reply of POST /rank: the group's id, and what ranking added, by trajectory id."""
    named = {} if ranked.group.id is None else {"id": ranked.group.id}
    return dump_line({**named, **ranked.to_dict()})


def failure_of(error: RankerError) -> Failure:
    """The HTTP status of each of Ranker's errors."""
    kind, message = type(error).__name__, str(error)
    if isinstance(error, GroupError):
        return Failure(400, kind, message)
    if isinstance(error, ContextLengthError):
        return Failure(422, kind, message)
    if isinstance(error, BudgetExceeded):
        return Failure(402, kind, message)
    if isinstance(error, JudgeCallError) and error.retryable:
        wait = _SOON if error.retry_after is None else error.retry_after
        return Failure(502, kind, message, retryable=True, retry_after=wait)
    if isinstance(error, JudgeError):
        return Failure(502, kind, message)
    return Failure(500, kind, message)


def _malformed(message: str) -> Failure:
    return Failure(400, "MalformedRequest", message)


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")
