"""How much a server takes on, and how it ranks where a request does not say."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from ranker.aggregate.rewards import RewardRule
from ranker.judges.base import Judge, Lineup, SizedJudge
from ranker.judges.credit import Credit
from ranker.judges.verdict import Verdict
from ranker.runtime.budget import Budget


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is taken on.

    Attributes:
        concurrency: judge calls in flight, and groups before the judge.
        queue: requests that may wait beyond those; one more is refused with 429.
        seconds: until a request that has no answer gets 504.
        body: bytes of the largest request.
    """

    concurrency: int = 16
    queue: int = 256
    seconds: float = 600.0
    body: int = 20_000_000

    @property
    def held(self) -> int:
        """Bytes of all requests together."""
        return (self.concurrency + self.queue) * self.body


@dataclass(frozen=True, slots=True)
class Defaults:
    """How groups are ranked where the request does not say it."""

    rubric: str | None = None
    passes: int = 1
    reward: RewardRule = "rank"
    seed: int = 0
    credit: Credit | None = None


class _Bounded:
    """A judge with a bounded number of calls in flight, over all groups and their passes."""

    def __init__(self, judge: Judge, slots: asyncio.Semaphore):
        self._inner = judge
        self.credit = getattr(judge, "credit", None)
        self._slots = slots

    @property
    def name(self) -> str:
        return self._inner.name

    async def verdict(self, lineup: Lineup, budget: Budget) -> Verdict:
        async with self._slots:
            return await self._inner.verdict(lineup, budget)


class _BoundedSized(_Bounded):
    """The same for a judge that cannot take every group in one call."""

    def __init__(self, judge: SizedJudge, slots: asyncio.Semaphore):
        super().__init__(judge, slots)
        self._sized = judge

    @property
    def max_group(self) -> int:
        return self._sized.max_group

    async def capacity(self, lineup: Lineup) -> int:
        return await self._sized.capacity(lineup)


def bounded(judge: Judge, calls: int) -> Judge:
    """The judge, with at most so many calls in flight."""
    slots = asyncio.Semaphore(calls)
    return _BoundedSized(judge, slots) if isinstance(judge, SizedJudge) else _Bounded(judge, slots)
