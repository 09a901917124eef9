"""Groups ranked for many askers: turns, a bounded queue, one budget, and nothing paid for twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ranker.aggregate.rewards import RewardRule
from ranker.errors import RankerError
from ranker.judges.base import Judge, Lineup, SizedJudge
from ranker.judges.verdict import Verdict
from ranker.rank import rank_group_async
from ranker.runtime.budget import Budget
from ranker.serving.protocol import Failure, Job, failure_of

if TYPE_CHECKING:
    from ranker.ranked import RankedGroup
    from ranker.serving.metrics import Metrics


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


@dataclass(eq=False)
class _Running:
    """A group under way, and how many requests await it."""

    task: asyncio.Task[RankedGroup] = field(init=False)
    askers: int = 0
    started: bool = False


class Service:
    """Ranks groups with one judge.

    A request that is under way already is joined, not started again. What has reached the judge is finished even
    where every asker has gone: it is paid for, and its verdict goes into the cache. What has not, and is awaited by
    nobody, leaves the queue.
    """

    def __init__(
        self,
        judge: Judge,
        metrics: Metrics,
        limits: Limits | None = None,
        defaults: Defaults | None = None,
        budget: Budget | None = None,
    ):
        self.limits = limits or Limits()
        self.metrics = metrics
        self.stopping = False
        self._defaults = defaults or Defaults()
        self._budget = budget or Budget()
        self._judge = _bounded(judge, asyncio.Semaphore(self.limits.concurrency))
        self._turns = asyncio.Semaphore(self.limits.concurrency)
        self._running: dict[str, _Running] = {}
        self._before_judge = 0
        self._places = 0
        self._bytes = 0
        self._requests = 0
        self._typical = 1.0  # seconds before the judge, a moving average
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def name(self) -> str:
        return self._judge.name

    @property
    def queued(self) -> int:
        return len(self._running) - self._before_judge

    @property
    def in_flight(self) -> int:
        return self._before_judge

    @contextmanager
    def request(self) -> Iterator[None]:
        """A request that asks for rewards: none is let in while the server stops, and those inside are waited for.

        Raises:
            Failure: 503 while stopping.
        """
        if self.stopping:
            raise Failure(
                503, "ShuttingDown", "The server is stopping; ask again.", retryable=True, retry_after=5
            )
        self._requests += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._requests -= 1
            self._look()

    @contextmanager
    def place(self) -> Iterator[None]:
        """One of the bounded places, held from before the body is read until the reply.

        Raises:
            Failure: 429 where all are taken.
        """
        if self._places >= self.limits.concurrency + self.limits.queue:
            raise Failure(
                429,
                "QueueFull",
                f"{self._places} requests are being served or wait; no more are taken. Ask again later, or raise "
                "--queue or --concurrency.",
                retryable=True,
                retry_after=min(60.0, self._typical),
            )
        self._places += 1
        try:
            yield
        finally:
            self._places -= 1

    @contextmanager
    def room(self, size: int) -> Iterator[None]:
        """Memory for a body of `size` bytes, held until the reply: attempts wait for their like by the thousand,
        and have no place.

        Raises:
            Failure: 429 where there is none left.
        """
        if self._bytes + size > self.limits.held:
            raise Failure(
                429,
                "QueueFull",
                f"The attempts that wait take {self._bytes:,} bytes; no more are taken. Ask again later, or raise "
                "--queue.",
                retryable=True,
                retry_after=min(60.0, self._typical),
            )
        self._bytes += size
        try:
            yield
        finally:
            self._bytes -= size

    async def rank(self, job: Job, seconds: float | None = None) -> RankedGroup:
        """Rank a group, or join the request that is ranking it.

        Raises:
            Failure: 504 after `seconds` (None: those of the limits); else what the judge's error becomes.
        """
        running = self._running.get(job.key) or self._start(job)
        running.askers += 1
        try:
            done, _ = await asyncio.wait({running.task}, timeout=seconds or self.limits.seconds)
        finally:
            running.askers -= 1
            if not running.askers and not running.started:
                self._forget(job.key, running)
                running.task.cancel()
        if not done:
            raise Failure(
                504,
                "TimedOut",
                "The judge is still at it. Ask again: the verdict under way is joined, and a finished one comes from "
                "the cache."
                if running.started
                else "The group's turn did not come in time, and nothing was paid for. Ask again later.",
                retryable=True,
                retry_after=min(60.0, self._typical),
            )
        if running.task.cancelled():
            raise Failure(
                503,
                "ShuttingDown",
                "The server stopped before the verdict; ask again.",
                retryable=True,
                retry_after=5,
            )
        try:
            return running.task.result()
        except RankerError as error:
            raise failure_of(error) from error

    def stop(self) -> None:
        """Take no new requests."""
        self.stopping = True

    async def drained(self) -> None:
        """Wait until nothing is under way and every request is answered."""
        self._look()
        await self._idle.wait()

    def cut(self) -> int:
        """Cancel what is under way; how many groups that were before the judge or in the queue."""
        for running in self._running.values():
            running.task.cancel()
        return len(self._running)

    def _look(self) -> None:
        if self._requests or self._running:
            self._idle.clear()
        else:
            self._idle.set()

    def _start(self, job: Job) -> _Running:
        running = self._running[job.key] = _Running()
        running.task = asyncio.create_task(self._rank(job, running))
        running.task.add_done_callback(lambda task: self._ended(job.key, running, task))
        self._idle.clear()
        return running

    def _forget(self, key: str, running: _Running) -> None:
        if self._running.get(key) is running:
            del self._running[key]

    async def _rank(self, job: Job, running: _Running) -> RankedGroup:
        async with self._turns:
            running.started = True
            self._before_judge += 1
            since = time.monotonic()
            try:
                return await rank_group_async(
                    job.group,
                    self._judge,
                    job.rubric or self._defaults.rubric,
                    job.passes or self._defaults.passes,
                    reward=self._defaults.reward,
                    seed=self._defaults.seed if job.seed is None else job.seed,
                    budget=self._budget,
                )
            finally:
                self._before_judge -= 1
                self._typical += 0.1 * (time.monotonic() - since - self._typical)

    def _ended(self, key: str, running: _Running, task: asyncio.Task[RankedGroup]) -> None:
        self._forget(key, running)
        self._look()
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self.metrics.ranked.inc()
            self.metrics.spent(task.result().usage)
            return
        self.metrics.failed.labels(type(error).__name__).inc()
        if isinstance(error, RankerError):
            self.metrics.spent(error.usage)


class _Bounded:
    """A judge with at most so many calls in flight, over all groups and their passes."""

    def __init__(self, judge: Judge, slots: asyncio.Semaphore):
        self._inner = judge
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


def _bounded(judge: Judge, slots: asyncio.Semaphore) -> Judge:
    return _BoundedSized(judge, slots) if isinstance(judge, SizedJudge) else _Bounded(judge, slots)
