"""Attempts that come one by one wait here until their group is complete."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from dataclasses import dataclass

from ranker.errors import GroupError
from ranker.serving.failure import Failure, stopping
from ranker.serving.job import Job
from ranker.serving.openrlhf import Attempt, job_of

MAX_WAITING = 16_384  # attempts whose group is not complete
MEMORY_SECONDS = 30.0  # the client asks again a second after a failure

Member = tuple[Job, int]  # a complete group, and the attempt's place in it


@dataclass(eq=False)
class _Seat:
    query: str
    member: asyncio.Future[Member]


class Gathering:
    """Groups that are not complete, by prompt and size.

    The place of an attempt that could not be sent its reward is remembered for a while: asked about again, it belongs
    to the same group.

    Attributes:
        waiting: attempts whose group is not complete.
    """

    def __init__(self, most: float = math.inf) -> None:
        self._most = most  # characters remembered
        self._seats: dict[tuple[str, int], list[_Seat]] = {}
        self._memory: OrderedDict[tuple[Attempt, int, int], tuple[float, Member]] = OrderedDict()
        self._memory_size = 0
        self._closed = False
        self.waiting = 0

    async def join(self, attempt: Attempt, size: int, seconds: float) -> Member:
        """Wait until `size` attempts of this prompt are here; the group's job, and this attempt's place in it.

        Raises:
            Failure: 504 if that takes longer than `seconds`, 429 where too many wait, 503 while stopping.
            GroupError: no group can be made of the attempts.
        """
        if self._closed:
            raise stopping()
        remembered = self._recall(attempt, size)
        if remembered is not None:
            return remembered
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
            await asyncio.wait({seat.member}, timeout=seconds)
        except asyncio.CancelledError:
            if seat.member.done() and seat.member.exception() is None:
                self.remember(attempt, size, seat.member.result())
            raise
        finally:
            self._leave(attempt.prompt, size, seat)
        if not seat.member.done():
            raise Failure(
                504,
                "GroupIncomplete",
                f"Fewer than {size} attempts of this prompt came within {seconds:g} seconds. group={size} must be "
                "OpenRLHF's n_samples_per_prompt.",
                retryable=True,
                retry_after=1,
            )
        return seat.member.result()

    def remember(self, attempt: Attempt, size: int, member: Member) -> None:
        """Note the place of an attempt that was sent no reward, for when it is asked about again."""
        job, place = member
        self._forget((attempt, size, place))
        self._memory[attempt, size, place] = (time.monotonic() + MEMORY_SECONDS, member)
        self._memory_size += _length(job)
        while self._memory and (len(self._memory) > MAX_WAITING or self._memory_size > self._most):
            self._forget(next(iter(self._memory)))

    def close(self) -> None:
        """Refuse all who wait: their groups cannot be completed any more."""
        self._closed = True
        for seats in self._seats.values():
            for seat in seats:
                if not seat.member.done():
                    seat.member.set_exception(stopping())

    def _recall(self, attempt: Attempt, size: int) -> Member | None:
        now = time.monotonic()
        while self._memory and next(iter(self._memory.values()))[0] < now:
            self._forget(next(iter(self._memory)))
        for place in range(size):
            member = self._forget((attempt, size, place))
            if member is not None:
                return member
        return None

    def _forget(self, key: tuple[Attempt, int, int]) -> Member | None:
        if key not in self._memory:
            return None
        _, member = self._memory.pop(key)
        self._memory_size -= _length(member[0])
        return member

    def _complete(self, prompt: str, size: int) -> None:
        seats = self._seats.pop((prompt, size))
        self.waiting -= len(seats)
        try:
            job = job_of(prompt, [seat.query for seat in seats])
        except GroupError as error:
            for seat in seats:
                seat.member.set_exception(error)
            return
        for i, seat in enumerate(seats):
            seat.member.set_result((job, i))

    def _leave(self, prompt: str, size: int, seat: _Seat) -> None:
        seats = self._seats.get((prompt, size), [])
        if seat in seats:
            seats.remove(seat)
            self.waiting -= 1
            if not seats:
                del self._seats[prompt, size]


def _length(job: Job) -> int:
    """Characters of a group's prompt and responses."""
    responses = sum(len(str(m["content"])) for t in job.group.trajectories for m in t.messages)
    return len(job.group.task or "") + responses
