"""Threads for what users wrote, functions and iterators: it may wait, or rank by itself, while the event loop goes on."""

from __future__ import annotations

import asyncio
import inspect
import threading
import weakref
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from queue import SimpleQueue
from typing import Any, TypeVar

from ranker.runtime.event_loop import PerLoop

T = TypeVar("T")

_END: Any = object()
# How many functions of the user's, each called within the one before, this is called within.
_depth: ContextVar[int] = ContextVar("depth", default=0)


class Worker:
    """A thread that makes one call after the other. It starts with the first, and ends when nobody refers to the Worker.

    It is a daemon: a program can end while a call still waits for something.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._started = False

    async def run(self, call: Callable[[], T]) -> T:
        """What `call` returns or raises; what would end the event loop (SystemExit, say) is raised as a RuntimeError."""
        if not self._started:
            self._started = True
            threading.Thread(target=_work, args=(self._calls,), name="ranker-user", daemon=True).start()
            weakref.finalize(self, self._calls.put, None)
        done: Future[T] = Future()
        self._calls.put((done, call))
        return await asyncio.wrap_future(done)


def _work(calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]) -> None:
    while (job := calls.get()) is not None:
        done, call = job
        if done.set_running_or_notify_cancel():
            try:
                done.set_result(call())
            except (StopIteration, CancelledError) as error:  # no future takes these for errors
                done.set_exception(RuntimeError(f"{type(error).__name__}: {error}"))
            except Exception as error:
                done.set_exception(error)
            except BaseException as error:
                done.set_exception(RuntimeError(f"{type(error).__name__}: {error}"))
        del job, done, call  # nothing of the user's is held while waiting


@contextmanager
def contained() -> Iterator[None]:
    """Around an await of what users wrote: what would end more than that is raised as a RuntimeError. That is a cancellation
    from within, and not by whoever cancels the task that waits, and what would end the event loop (SystemExit, say). Ctrl-C,
    which comes in the main thread, stays what it is."""
    try:
        yield
    except (Exception, GeneratorExit):
        raise
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise RuntimeError(
            "it cancelled itself, or waited for something that was cancelled; catch the CancelledError there"
        ) from error
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
            raise
        raise RuntimeError(f"{type(error).__name__}: {error}") from error


_workers: weakref.WeakKeyDictionary[Any, PerLoop[defaultdict[int, Worker]]] = weakref.WeakKeyDictionary()


async def called(function: Callable[..., Any], *args: Any) -> Any:
    """What a function of the user's returns, sync or async; an iterator as a list.

    A sync one runs in a thread, which stays the same for all its calls from one event loop: one after the other, as in
    the loop itself. One that is called within another, or within itself, has a thread for that depth, since the outer
    one waits for it.
    """
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
        with contained():
            return await function(*args)
    depth = _depth.get()
    context = copy_context()
    context.run(_depth.set, depth + 1)
    workers = await _workers_of(function).get()
    answer = await workers[depth].run(lambda: context.run(_answer, function, *args))
    if not inspect.isawaitable(answer):
        return answer
    with contained():
        return await answer


def _answer(function: Callable[..., Any], *args: Any) -> Any:
    answer = function(*args)
    return list(answer) if isinstance(answer, Iterator) else answer


def _workers_of(function: Callable[..., Any]) -> PerLoop[defaultdict[int, Worker]]:
    made: PerLoop[defaultdict[int, Worker]] = PerLoop(lambda: defaultdict(Worker), _drop)
    try:  # a method is another object each time it is looked up
        return _workers.setdefault(getattr(function, "__self__", function), made)
    except TypeError:  # neither hashable nor weakly referable
        return made


async def _drop(workers: dict[int, Worker]) -> None:
    workers.clear()


async def iterated(items: Iterable[T]) -> AsyncGenerator[T, None]:
    """The items of an iterable, taken one by one in a thread of its own; of a list or tuple, in none."""
    if isinstance(items, (list, tuple)):
        for item in items:
            yield item
        return
    worker, context = Worker(), copy_context()
    iterator = await worker.run(lambda: context.run(iter, items))
    while (item := await worker.run(lambda: context.run(next, iterator, _END))) is not _END:
        yield item
