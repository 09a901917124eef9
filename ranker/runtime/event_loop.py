"""Resources that belong to one event loop, and the loop behind the sync functions."""

from __future__ import annotations

import asyncio
import atexit
import queue
import threading
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class PerLoop(Generic[T]):
    """One `T` for each event loop, made on first use and closed when the loop shuts down or the PerLoop
    is dropped, whichever is first.

    HTTP connections cannot move between loops. An event loop closes its open async generators at its
    end (`asyncio.run` does), so a generator held open is where the closing hangs. `make` and `close`
    must not refer to the owner of the PerLoop, or it would never be dropped.
    """

    def __init__(self, make: Callable[[], T], close: Callable[[T], Awaitable[Any]] | None = None):
        self._make = make
        self._close = close
        self._made: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, T] = weakref.WeakKeyDictionary()

    async def get(self) -> T:
        loop = asyncio.get_running_loop()
        if loop not in self._made:
            for ended in [past for past in self._made if past.is_closed()]:
                del self._made[ended]  # its connections hold it, so it would stay for good
            self._made[loop] = made = self._make()
            keeper = _keep(made, self._close)
            # The finaliser holds the generator, so what it keeps outlives any tangle of references (an
            # exception's frames, say) in which the PerLoop itself is collected.
            weakref.finalize(self, _drop, weakref.ref(loop), keeper).atexit = False
            await anext(keeper)
        return self._made[loop]


def _drop(loop: weakref.ref[asyncio.AbstractEventLoop], keeper: AsyncGenerator[Any, None]) -> None:
    running = loop()
    if running is not None and not running.is_closed():
        running.call_soon_threadsafe(lambda: running.create_task(keeper.aclose()))


async def _keep(made: T, close: Callable[[T], Awaitable[Any]] | None) -> AsyncGenerator[T, None]:
    try:
        yield made
    finally:
        if close is not None:
            await close(made)


_AHEAD = 256
_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def _background() -> asyncio.AbstractEventLoop:
    """A loop in a daemon thread: sync calls work inside running loops too (notebooks), and judges
    keep their connections between calls."""
    global _loop
    with _lock:
        if _loop is None or _loop.is_closed():
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="ranker", daemon=True).start()
            atexit.register(_shut, _loop)
        return _loop


def _shut(loop: asyncio.AbstractEventLoop) -> None:
    if loop.is_running():
        asyncio.run_coroutine_threadsafe(loop.shutdown_asyncgens(), loop).result(5)


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end from sync code; Ctrl-C cancels it."""
    future = asyncio.run_coroutine_threadsafe(coroutine, _background())
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def iterate_sync(items: AsyncGenerator[T, None]) -> Iterator[T]:
    """Iterate over an async generator from sync code, closing it when the caller stops.

    One task in the background loop pulls items into a queue, at most _AHEAD of what the caller took:
    crossing threads for each item would cost as much as ranking a small group does.
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
        except Exception as error:
            ready.put(("error", error))
        finally:
            await items.aclose()
            ready.put(("end", None))

    task = asyncio.run_coroutine_threadsafe(pump(), loop)
    kind = ""
    try:
        while True:
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
        while kind != "end":  # until what was in flight is cancelled and closed
            kind, _ = ready.get(timeout=30)
