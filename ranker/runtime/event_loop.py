"""Per-event-loop resources, and the background event loop behind the sync functions."""

from __future__ import annotations

import asyncio
import atexit
import os
import queue
import threading
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any, Generic, TypeVar

from ranker.errors import ConfigurationError, RankerError

T = TypeVar("T")


class PerLoop(Generic[T]):
    """One `T` per event loop, created on first use and closed when the loop shuts down or the PerLoop is
    garbage-collected, whichever comes first.

    HTTP connections cannot move between loops. An event loop closes its open async generators when it
    ends (`asyncio.run` does), so each resource is owned by a suspended generator that closes it. `make`
    and `close` must not refer to the owner of the PerLoop, or it would never be collected.
    """

    def __init__(self, make: Callable[[], T], close: Callable[[T], Awaitable[Any]] | None = None):
        self._make = make
        self._close = close
        self._resources: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, T] = weakref.WeakKeyDictionary()

    async def get(self) -> T:
        loop = asyncio.get_running_loop()
        if loop not in self._resources:
            for closed in [other for other in self._resources if other.is_closed()]:
                del self._resources[closed]  # its connections refer to it, so it would never be collected
            self._resources[loop] = resource = self._make()
            owner = _own(resource, self._close)
            # The finalizer holds the generator, so the resource outlives any reference cycle (of an
            # exception's frames, say) with which the PerLoop itself is collected.
            weakref.finalize(self, _close_owner, weakref.ref(loop), owner).atexit = False
            await anext(owner)
        return self._resources[loop]


def _close_owner(loop: weakref.ref[asyncio.AbstractEventLoop], owner: AsyncGenerator[Any, None]) -> None:
    running = loop()
    if running is not None and not running.is_closed():
        running.call_soon_threadsafe(lambda: running.create_task(owner.aclose()))


async def _own(resource: T, close: Callable[[T], Awaitable[Any]] | None) -> AsyncGenerator[T, None]:
    try:
        yield resource
    finally:
        if close is not None:
            await close(resource)


_AHEAD = 256
_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_thread: threading.Thread | None = None


def _background() -> asyncio.AbstractEventLoop:
    """An event loop in a daemon thread: sync functions also work inside running loops (notebooks), and
    judges keep their connections between calls."""
    global _loop, _thread
    with _lock:
        if _loop is None or _loop.is_closed() or _thread is None or not _thread.is_alive():
            _loop = asyncio.new_event_loop()
            _thread = threading.Thread(target=_run, args=(_loop,), name="ranker", daemon=True)
            _thread.start()
            atexit.register(_shut, _loop)
        return _loop


def _run(loop: asyncio.AbstractEventLoop) -> None:
    """Run a loop as long as there is one: others wait for it. A SystemExit in a task reaches who waits for that task, and
    does not end the loop; nor does a call of its `stop`."""
    while not loop.is_closed():
        with suppress(SystemExit, KeyboardInterrupt):
            loop.run_forever()


def _forget() -> None:
    """In a forked process: the parent's thread is not here, so neither is its loop; and its lock may have been held."""
    global _lock, _loop, _thread
    _lock, _loop, _thread = threading.Lock(), None, None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _shut(loop: asyncio.AbstractEventLoop) -> None:
    if loop is _loop and loop.is_running():
        asyncio.run_coroutine_threadsafe(loop.shutdown_asyncgens(), loop).result(5)


def _runs_here(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether this is called on the thread of a loop, by what runs in it: to wait for the loop would be to wait forever."""
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


_WAITS_FOR_ITSELF = (
    "rank_group, rank_groups and other sync functions of Ranker cannot be called in an async function, async iterator or "
    "covariate that a sync one of them runs: they would wait for themselves. Await rank_group_async or iterate over "
    "rank_groups_async there, or make the function a sync one."
)
CANCELLED = (
    "The call was cancelled before it had ended, by something that runs in it: a judge, an iterator or another function "
    "that cancels tasks which it has not started. Have it cancel its own only."
)


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to completion from sync code; Ctrl-C cancels it.

    Raises:
        ConfigurationError: called by what runs in the background loop.
        RankerError: what runs in the coroutine cancelled it.
    """
    loop = _background()
    if _runs_here(loop):
        coroutine.close()
        raise ConfigurationError(_WAITS_FOR_ITSELF)
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    try:
        return future.result()
    except CancelledError:
        raise RankerError(CANCELLED) from None
    except BaseException:
        future.cancel()
        raise


def iterate_sync(items: AsyncGenerator[T, None]) -> Iterator[T]:
    """Iterate over an async generator from sync code, closing it when the caller stops.

    One task in the background loop prefetches up to _AHEAD items into a queue: switching threads for every
    item would cost as much as ranking a small group.

    Raises:
        ConfigurationError: called by what runs in the background loop.
        RankerError: what runs in the generator cancelled it.
    """
    ready: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
    room = threading.BoundedSemaphore(_AHEAD)
    freed = asyncio.Event()
    loop = _background()

    async def pump() -> None:
        try:
            async for item in items:
                while not room.acquire(blocking=False):
                    freed.clear()
                    if room.acquire(blocking=False):  # freed just before the event was cleared
                        break
                    await freed.wait()
                ready.put(("item", item))
        except asyncio.CancelledError:  # for a caller who has not stopped it is no end
            ready.put(("error", RankerError(CANCELLED)))
        except BaseException as error:
            ready.put(("error", error))
        finally:
            try:
                await items.aclose()
            finally:
                ready.put(("end", None))

    if _runs_here(loop):
        raise ConfigurationError(_WAITS_FOR_ITSELF)
    task = asyncio.run_coroutine_threadsafe(pump(), loop)
    kind = ""
    try:
        while True:
            if _runs_here(loop):
                raise ConfigurationError(_WAITS_FOR_ITSELF)
            kind, value = ready.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            room.release()
            if not freed.is_set():
                loop.call_soon_threadsafe(freed.set)
            yield value
    finally:
        task.cancel()
        # Until everything in flight is cancelled and closed; the loop itself may drop the last reference to this iterator.
        while kind != "end" and not _runs_here(loop):
            kind, _ = ready.get(timeout=30)
