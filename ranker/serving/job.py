"""Groups as the service ranks them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from ranker.files import group_from_dict
from ranker.serving import schemas
from ranker.serving.failure import malformed
from ranker.trajectory import TrajectoryGroup


@dataclass(frozen=True, slots=True)
class Job:
    """A group to rank.

    Attributes:
        key: equal for equal requests: one in progress is not started again.
        rubric: None for the server's own.
        passes: None for the server's own, as is `seed`.
    """

    key: str
    group: TrajectoryGroup
    rubric: str | None = None
    passes: int | None = None
    seed: int | None = None


def key_of(route: str, body: bytes) -> str:
    return hashlib.sha256(route.encode() + b"\0" + body).hexdigest()


def rank_job(request: schemas.Group, body: bytes) -> Job:
    """The job of POST /rank.

    Raises:
        GroupError: no group can be made of it.
        Failure: 400; the rubric is empty.
    """
    if request.rubric is not None and not request.rubric.strip():
        raise malformed("The rubric is empty; say what to prefer, or leave it out.")
    group = group_from_dict({**dict(request), "trajectories": [dict(t) for t in request.trajectories]})
    return Job(key_of("rank", body), group, request.rubric, request.passes, request.seed)
