"""Rewards of OpenRLHF's attempts: whole rollouts, or attempts that come one by one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ranker.errors import RankerError
from ranker.serving.failure import Failure
from ranker.serving.gathering import Gathering
from ranker.serving.openrlhf import Attempt, groups_in, job_of, reply_of, reward_at
from ranker.serving.service import Service

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rewarder:
    """Answers a request of attempts within `seconds`."""

    service: Service
    gathering: Gathering
    seconds: float

    async def rollout(self, attempts: Sequence[Attempt]) -> dict[str, Any]:
        """The reply where everything is in one request: a group for each prompt. One that fails fails the request;
        asked again, the others come from the cache."""
        groups = groups_in(attempts)
        jobs = [job_of(attempts[g[0]].prompt, [attempts[i].query for i in g]) for g in groups]
        ranked_groups = await _all([self.service.rank(job, self.seconds) for job in jobs])
        rewards = [0.0] * len(attempts)
        for members, ranked in zip(groups, ranked_groups, strict=True):
            for place, i in enumerate(members):
                rewards[i] = reward_at(ranked, place)
        return reply_of(rewards, None)

    async def singles(self, attempts: Sequence[Attempt], size: int) -> dict[str, Any]:
        """The reply where the rest of each attempt's group comes in other requests."""
        until = time.monotonic() + self.seconds
        results = await _all([self._single(attempt, size, until) for attempt in attempts])
        return reply_of([reward for reward, _ in results], [tied for _, tied in results])

    async def _single(self, attempt: Attempt, size: int, until: float) -> tuple[float, bool]:
        """The reward of one attempt, once its group is complete and ranked; whether all of the group tied."""
        job, place = await self.gathering.join(attempt, size, until - time.monotonic())
        try:
            ranked = await self.service.rank(job, max(1.0, until - time.monotonic()))
        except (asyncio.CancelledError, Failure, RankerError):
            self.gathering.remember(attempt, size, (job, place))
            raise
        return reward_at(ranked, place), len(ranked.ranking) == 1


async def _all(coroutines: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Await all, to the end of each; then raise the first failure. Verdicts of the others are paid for and cached."""
    results = await asyncio.gather(*coroutines, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]
