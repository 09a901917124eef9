"""Many items at once, their results as a stream."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from typing import Any, Generic, TypeVar

from ranker.errors import BudgetExceeded, RankerError
from ranker.runtime.event_loop import CANCELLED
from ranker.runtime.threads import contained

T = TypeVar("T")


async def at_once(
    source: AsyncIterator[Any],
    one: Callable[[Any], Coroutine[Any, Any, T]],
    ahead: int,
    ordered: bool,
    raises: bool,
) -> AsyncGenerator[T, None]:
    """What `one` makes of each item of `source`, `ahead` of them at a time. A result is there as soon as it can be, whether or
    not the source has given more: it may wait for results.

    Raises:
        RankerError: the first that `one` raises; with `raises` false, after the groups whose calls were in flight, which
            are paid for. Where a limit was met they are let finish in any case, so that the cache has their replies.
        Exception: what `source` raises, after the results of all items before.
    """
    work = _Work(source, one, ahead, ordered)
    fatal: RankerError | None = None
    try:
        while (done := await work.ended()) is not None:
            try:
                ranked = _result(done)
            except RankerError as error:
                work.reader.cancel()
                if raises:
                    if isinstance(error, BudgetExceeded):
                        await asyncio.gather(*work.tasks, return_exceptions=True)
                    raise
                fatal = error if fatal is None else fatal.spent(fatal.usage + error.usage)
                continue
            yield ranked
            await work.go_on()
    finally:
        await work.cancel()
    if fatal is not None:
        raise fatal
    _result(work.reader)


class _Work(Generic[T]):
    """A task for each item of a source, which is read by a task of its own, so that both can be waited for.

    Attributes:
        tasks: of which no result was taken, at most `ahead`, as their items came.
        reader: starts them, with the variables of the source's context.
    """

    def __init__(
        self,
        source: AsyncIterator[Any],
        one: Callable[[Any], Coroutine[Any, Any, T]],
        ahead: int,
        ordered: bool,
    ):
        self.tasks: deque[asyncio.Task[T]] = deque()
        self._ended: deque[asyncio.Task[T]] | None = None if ordered else deque()
        self._ahead = ahead
        self._news, self._room = asyncio.Event(), asyncio.Event()
        self.reader = asyncio.create_task(self._read(source, one))
        self.reader.add_done_callback(lambda _: self._news.set())

    async def _read(self, source: AsyncIterator[Any], one: Callable[[Any], Coroutine[Any, Any, T]]) -> None:
        with contained():
            async for item in source:
                task = asyncio.create_task(one(item))
                task.add_done_callback(self._note)
                self.tasks.append(task)
                while len(self.tasks) >= self._ahead:
                    self._room.clear()
                    await self._room.wait()

    def _note(self, task: asyncio.Task[T]) -> None:
        if self._ended is not None:
            self._ended.append(task)
        self._news.set()

    async def ended(self) -> asyncio.Task[T] | None:
        """The next task that has ended, which is then none of `tasks`; None after the last."""
        while self.tasks or not self.reader.done():
            if self._ended:
                done = self._ended.popleft()
                self.tasks.remove(done)
                return done
            if self._ended is None and self.tasks and self.tasks[0].done():
                return self.tasks.popleft()
            self._news.clear()
            await self._news.wait()
        return None

    async def go_on(self) -> None:
        """Have another item read where there is room, also where many tasks have ended and nothing is waited for."""
        self._room.set()
        await asyncio.sleep(0)

    async def cancel(self) -> None:
        """Cancel whatever has not ended."""
        left = (self.reader, *self.tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def _result(task: asyncio.Task[T]) -> T:
    """What a task returned.

    Raises:
        RankerError: somebody else has cancelled it.
        Exception: what it raised.
    """
    if task.cancelled():
        raise RankerError(CANCELLED)
    return task.result()
