"""Many items at once, their results as a stream."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

from ranker.errors import BudgetExceeded, RankerError

T = TypeVar("T")


async def at_once(
    source: AsyncIterator[Any],
    one: Callable[[Any], Coroutine[Any, Any, T]],
    ahead: int,
    ordered: bool,
    raises: bool,
) -> AsyncGenerator[T, None]:
    """What `one` makes of each item of `source`, `ahead` of them at a time.

    Raises:
        RankerError: the first that `one` raises; with `raises` false, after the groups whose calls were in flight, which
            are paid for. Where a limit was met they are let finish in any case, so that the cache has their replies.
    """
    tasks: deque[asyncio.Task[T]] = deque()
    finished: asyncio.Queue[asyncio.Task[T]] = asyncio.Queue()
    more = True
    fatal: RankerError | None = None
    try:
        while True:
            while more and len(tasks) < ahead:
                try:
                    item = await anext(source)
                except StopAsyncIteration:
                    more = False
                    break
                started = asyncio.create_task(one(item))
                tasks.append(started)
                if not ordered:
                    started.add_done_callback(finished.put_nowait)
            if not tasks:
                break
            done = tasks[0] if ordered else await finished.get()
            ranked = None
            try:
                ranked = await done
            except RankerError as error:
                if raises:
                    if isinstance(error, BudgetExceeded):
                        await asyncio.gather(*tasks, return_exceptions=True)
                    raise
                fatal = error if fatal is None else fatal.spent(fatal.usage + error.usage)
                more = False
            tasks.remove(done)
            if ranked is not None:
                yield ranked
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if fatal is not None:
        raise fatal
