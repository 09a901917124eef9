"""Groups ranked for many clients: turns, a bounded queue, one budget, and nothing paid for twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ranker.errors import RankerError
from ranker.judges.base import Judge
from ranker.rank import rank_group_async
from ranker.runtime.budget import Budget
from ranker.serving.failure import Failure, stopping
from ranker.serving.job import Job
from ranker.serving.limits import Defaults, Limits, bounded

if TYPE_CHECKING:
    from ranker.ranked import RankedGroup
    from ranker.serving.metrics import Metrics


@dataclass(eq=False)
class _Running:
    """A group in progress, and how many requests await it."""

    task: asyncio.Task[RankedGroup] = field(init=False)
    waiters: int = 0
    started: bool = False


class Service:
    """Ranks groups with one judge.

    A request equal to one in progress joins it and is not started again. What has reached the judge is finished even
    where every client has gone: it is paid for, and its verdict goes into the cache. What has not, and is awaited by
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
        self._judge = bounded(judge, self.limits.concurrency)
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
    def request(self) -> Iterator[Callable[[int], None]]:
        """A request that asks for rewards: none is let in while the server stops, and those inside are waited for.
        What is yielded takes memory for so many more bytes of it, until the reply.

        Raises:
            Failure: 503 while stopping, 429 where there is no memory left.
        """
        if self.stopping:
            raise stopping()
        self._requests += 1
        self._idle.clear()
        size = 0

        def take(more: int) -> None:
            nonlocal size
            if self._bytes + more > self.limits.held:
                raise self._full(f"The requests that are here take {self._bytes:,} bytes", "--queue")
            self._bytes += more
            size += more

        try:
            yield take
        finally:
            self._bytes -= size
            self._requests -= 1
            self._update_idle()

    @contextmanager
    def place(self) -> Iterator[None]:
        """One of the bounded places for groups, held until the reply. Attempts wait for their groups by the thousand,
        and have none.

        Raises:
            Failure: 429 where all are taken.
        """
        if self._places >= self.limits.concurrency + self.limits.queue:
            raise self._full(f"{self._places} requests are being served or wait", "--queue or --concurrency")
        self._places += 1
        try:
            yield
        finally:
            self._places -= 1

    def _full(self, what: str, option: str) -> Failure:
        message = f"{what}; no more are taken. Ask again later, or raise {option}."
        return Failure(429, "QueueFull", message, retryable=True, retry_after=min(60.0, self._typical))

    async def rank(self, job: Job, seconds: float | None = None) -> RankedGroup:
        """Rank a group, or join the request that is ranking it.

        Raises:
            Failure: 504 after `seconds` (None: those of the limits), 503 where the server stopped.
            RankerError: the judge's.
        """
        running = self._running.get(job.key) or self._start(job)
        running.waiters += 1
        try:
            done, _ = await asyncio.wait({running.task}, timeout=seconds or self.limits.seconds)
        finally:
            running.waiters -= 1
            if not running.waiters and not running.started:
                self._forget(job.key, running)
                running.task.cancel()
        if not done:
            raise Failure(
                504,
                "TimedOut",
                "The judge is not done. Ask again: the verdict in progress is joined, and a finished one comes from "
                "the cache."
                if running.started
                else "The group's turn did not come in time, and nothing was paid for. Ask again later.",
                retryable=True,
                retry_after=min(60.0, self._typical),
            )
        if running.task.cancelled():
            raise stopping("The server stopped before the verdict; ask again.")
        return running.task.result()

    def stop(self) -> None:
        """Take no new requests."""
        self.stopping = True

    async def drained(self) -> None:
        """Wait until nothing is in progress and every request is answered."""
        self._update_idle()
        await self._idle.wait()

    def cut(self) -> int:
        """Cancel what is in progress; how many groups that were before the judge or in the queue."""
        for running in self._running.values():
            running.task.cancel()
        return len(self._running)

    def _update_idle(self) -> None:
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
                    credit=self._defaults.credit,
                    seed=self._defaults.seed if job.seed is None else job.seed,
                    budget=self._budget,
                )
            finally:
                self._before_judge -= 1
                self._typical += 0.1 * (time.monotonic() - since - self._typical)

    def _ended(self, key: str, running: _Running, task: asyncio.Task[RankedGroup]) -> None:
        self._forget(key, running)
        self._update_idle()
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
