"""Many items at once, their results as a stream."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

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
    tasks: deque[asyncio.Task[T]] = deque()  # at most `ahead`, as they came
    finished: deque[asyncio.Task[T]] = deque()  # of these, where results need not keep the order
    news, room = asyncio.Event(), asyncio.Event()
    fatal: RankerError | None = None

    def end(task: asyncio.Task[Any]) -> None:
        if not ordered and task is not reader:
            finished.append(task)
        news.set()

    async def read() -> None:
        with contained():
            async for item in source:
                started = asyncio.create_task(one(item))
                tasks.append(started)
                started.add_done_callback(end)
                while len(tasks) >= ahead:
                    room.clear()
                    await room.wait()

    reader = asyncio.create_task(read())
    reader.add_done_callback(end)
    try:
        while tasks or not reader.done():
            if ordered:
                done = tasks[0] if tasks and tasks[0].done() else None
            else:
                done = finished.popleft() if finished else None
            if done is None:
                news.clear()
                await news.wait()
                continue
            tasks.remove(done)
            try:
                if done.cancelled():
                    raise RankerError(CANCELLED)
                ranked = done.result()
            except RankerError as error:
                reader.cancel()
                if raises:
                    if isinstance(error, BudgetExceeded):
                        await asyncio.gather(*tasks, return_exceptions=True)
                    raise
                fatal = error if fatal is None else fatal.spent(fatal.usage + error.usage)
                continue
            yield ranked
            room.set()
            await asyncio.sleep(0)  # so that another begins even where many have ended
    finally:
        for task in (reader, *tasks):
            task.cancel()
        await asyncio.gather(reader, *tasks, return_exceptions=True)
    if fatal is not None:
        raise fatal
    if reader.cancelled():
        raise RankerError(CANCELLED)
    reader.result()
