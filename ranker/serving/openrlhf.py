"""OpenRLHF's remote reward protocol.

Read from OpenRLHF 0.8.11, 0.9.10, 0.10.4 and 0.11.2 (`--remote_rm_url`, later `--reward.remote_url`). All of them POST
``{"query": [...], "prompts": [...], "labels": [...]}``, a query being the whole text (prompt and response), and read
``rewards``, ``scores`` and ``extra_logs`` from the reply. They send a failed request again, 5 times, a second apart,
each with 180 seconds, and look at nothing but the status: after that 0.8 stops the run, and later ones go on to a
sample without reward, which stops it too.

Up to 0.8 one request holds the whole rollout, so groups are found in it by equal prompts. From 0.9 on every request
holds one attempt. An attempt alone cannot be ranked: the address then says how many form a group
(``/openrlhf?group=8``), and each waits here for its like.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ranker.errors import GroupError
from ranker.ranked import RankedGroup
from ranker.serving.protocol import Failure, Job, failure_of, key_of, read_object
from ranker.trajectory import TrajectoryGroup

MAX_WAITING = 16_384  # attempts whose group is not complete
CLIENT_SECONDS = 170.0  # the client gives up after 180
KEPT_SECONDS = 30.0  # the client asks again a second after a failure
_LEAD = 64  # characters a tokenizer may put before the prompt (a start token)


@dataclass(frozen=True, slots=True)
class Attempt:
    prompt: str
    query: str


def read_attempts(body: bytes) -> list[Attempt]:
    """The attempts of a request; labels are ground truth or metadata, and no judge sees them.

    Raises:
        Failure: 400; a field is missing or wrong.
    """
    fields = read_object(body)
    queries, prompts, labels = (fields.get(name) for name in ("query", "prompts", "labels"))
    if not isinstance(queries, list) or not queries or not all(isinstance(q, str) for q in queries):
        raise _wrong('"query" must be a list of texts, at least one.')
    if not isinstance(prompts, list) or not all(isinstance(p, str) for p in prompts):
        raise _wrong('"prompts" must be a list of texts: groups are found by equal prompts.')
    if len(prompts) != len(queries) or (isinstance(labels, list) and len(labels) != len(queries)):
        raise _wrong(
            f'"query" holds {len(queries)} entries and "prompts" {len(prompts)}; one of each (and of "labels", if '
            "given) belongs to an attempt."
        )
    return [Attempt(p, q) for p, q in zip(prompts, queries, strict=True)]


def groups_in(attempts: Sequence[Attempt]) -> list[list[int]]:
    """The indices of attempts with equal prompts.

    Raises:
        Failure: 400; an attempt has no like, so there is nothing to rank it against.
    """
    found: dict[str, list[int]] = {}
    for i, attempt in enumerate(attempts):
        found.setdefault(attempt.prompt, []).append(i)
    alone = sum(len(members) == 1 for members in found.values())
    if alone:
        raise Failure(
            400,
            "AttemptAlone",
            f"{alone} of {len(found)} prompts have one attempt only, and a reward comes of comparing attempts. OpenRLHF "
            "0.9 and later sends them one by one: add ?group=N to the address, N being its n_samples_per_prompt.",
        )
    return list(found.values())


def job_of(prompt: str, queries: Sequence[str]) -> Job:
    """The group of one prompt, in the order of `queries`.

    Raises:
        Failure: 400; no group can be made of it.
    """
    told = json.dumps([prompt, *queries]).encode()
    try:
        group = TrajectoryGroup([response_of(prompt, query) for query in queries], task=prompt)  # type: ignore[misc]
    except GroupError as error:
        raise failure_of(error) from None
    return Job(key_of("openrlhf", told), group)


def response_of(prompt: str, query: str) -> str:
    """The query without its prompt; the whole query where the prompt is not how it starts (it was cut)."""
    at = query.find(prompt, 0, len(prompt) + _LEAD)
    return query if at < 0 or not prompt else query[at + len(prompt) :]


def reply_of(rewards: Sequence[float], tied: Sequence[bool] | None) -> dict[str, Any]:
    """The reply: `scores` are the rewards. Up to 0.8 the client takes no logs over HTTP (it concatenates what it
    gets as tensors), so that there are none for a whole rollout."""
    logs = {} if tied is None else {"ranker_tied": [float(t) for t in tied]}
    return {"rewards": list(rewards), "scores": list(rewards), "extra_logs": logs}


def reward_at(ranked: RankedGroup, i: int) -> float:
    reward = ranked.rewards[i]
    assert reward is not None  # a group that failed has raised
    return reward


@dataclass(eq=False)
class _Seat:
    query: str
    found: asyncio.Future[tuple[Job, int]]


class Gathering:
    """Attempts that came one by one, until their group is complete.

    What was found for an attempt that could not be answered is kept for a while: asked about again, it is of the same
    group.
    """

    def __init__(self, most: float = math.inf) -> None:
        self._most = most  # characters kept
        self._seats: dict[tuple[str, int], list[_Seat]] = {}
        self._kept: OrderedDict[tuple[Attempt, int, int], tuple[float, Job, int]] = OrderedDict()
        self._kept_size = 0
        self._closed = False
        self.waiting = 0

    async def join(self, attempt: Attempt, size: int, seconds: float) -> tuple[Job, int]:
        """Wait until `size` attempts of this prompt are here; the group's job, and this attempt's place in it.

        Raises:
            Failure: 504 if that takes longer than `seconds`, 429 where too many wait, 503 while stopping.
        """
        if self._closed:
            raise _stopping()
        kept = self._kept_for(attempt, size)
        if kept is not None:
            return kept
        if self.waiting >= MAX_WAITING:
            raise Failure(
                429,
                "QueueFull",
                f"{self.waiting} attempts wait for the rest of their groups; no more are taken.",
                retryable=True,
                retry_after=1,
            )
        seat = _Seat(attempt.query, asyncio.get_running_loop().create_future())
        seats = self._seats.setdefault((attempt.prompt, size), [])
        seats.append(seat)
        self.waiting += 1
        if len(seats) == size:
            self._complete(attempt.prompt, size)
        try:
            await asyncio.wait({seat.found}, timeout=seconds)
        except asyncio.CancelledError:
            if seat.found.done() and seat.found.exception() is None:
                self.keep(attempt, size, seat.found.result())
            raise
        finally:
            self._leave(attempt.prompt, size, seat)
        if not seat.found.done():
            raise Failure(
                504,
                "GroupIncomplete",
                f"Fewer than {size} attempts of this prompt came within {seconds:g} seconds. group={size} must be "
                "OpenRLHF's n_samples_per_prompt.",
                retryable=True,
                retry_after=1,
            )
        return seat.found.result()

    def keep(self, attempt: Attempt, size: int, found: tuple[Job, int]) -> None:
        """Remember what could not be told, for the attempt to be asked about again."""
        job, place = found
        self._unkeep((attempt, size, place))
        self._kept[attempt, size, place] = (time.monotonic() + KEPT_SECONDS, job, place)
        self._kept_size += _length(job)
        while self._kept and (len(self._kept) > MAX_WAITING or self._kept_size > self._most):
            self._unkeep(next(iter(self._kept)))

    def close(self) -> None:
        """Send away all who wait: their groups cannot be completed any more."""
        self._closed = True
        for seats in list(self._seats.values()):
            for seat in seats:
                if not seat.found.done():
                    seat.found.set_exception(_stopping())

    def _kept_for(self, attempt: Attempt, size: int) -> tuple[Job, int] | None:
        now = time.monotonic()
        while self._kept and next(iter(self._kept.values()))[0] < now:
            self._unkeep(next(iter(self._kept)))
        for place in range(size):
            kept = self._unkeep((attempt, size, place))
            if kept is not None:
                return kept[1], kept[2]
        return None

    def _unkeep(self, name: tuple[Attempt, int, int]) -> tuple[float, Job, int] | None:
        kept = self._kept.pop(name, None)
        if kept is not None:
            self._kept_size -= _length(kept[1])
        return kept

    def _complete(self, prompt: str, size: int) -> None:
        seats = self._seats.pop((prompt, size))
        self.waiting -= len(seats)
        try:
            job = job_of(prompt, [seat.query for seat in seats])
        except Failure as error:
            for seat in seats:
                seat.found.set_exception(error)
            return
        for i, seat in enumerate(seats):
            seat.found.set_result((job, i))

    def _leave(self, prompt: str, size: int, seat: _Seat) -> None:
        seats = self._seats.get((prompt, size), [])
        if seat in seats:
            seats.remove(seat)
            self.waiting -= 1
            if not seats:
                del self._seats[prompt, size]


def _length(job: Job) -> int:
    """Characters of a group's prompt and responses."""
    said = sum(len(str(m["content"])) for t in job.group.trajectories for m in t.messages)
    return len(job.group.task or "") + said


def _stopping() -> Failure:
    return Failure(503, "ShuttingDown", "The server is stopping.", retryable=True, retry_after=5)


def _wrong(message: str) -> Failure:
    return Failure(400, "MalformedRequest", message)
