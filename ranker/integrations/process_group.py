"""Object exchange between the processes of a training run."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from ranker.errors import RankerError, scrub

T = TypeVar("T")


class ProcessGroup:
    """The processes of torch's default group, connected by a separate gloo group.

    It is separate because a reward function runs in its own thread while the trainer's group belongs to the main
    thread, because concurrent reward functions would interleave their messages in one group, and because NCCL
    would need a device in that thread. Create it at the same point in every process.

    If a process dies, gloo notices the closed connection, and the others raise within about a second. A process
    that is alive but unresponsive is given up after torch's gloo timeout of 30 minutes.
    """

    def __init__(self) -> None:
        from torch import distributed

        self._distributed = distributed
        self._world = distributed.group.WORLD
        self._group = distributed.new_group(backend="gloo")
        self.rank: int = distributed.get_rank()
        self.size: int = distributed.get_world_size()

    @property
    def is_current(self) -> bool:
        """Whether torch's default group is still the one this object was created from."""
        return self._world is self._distributed.group.WORLD

    async def all_gather(self, value: T | RankerError) -> list[T]:
        """The values of all processes in rank order. Collective: every process must make the same calls.

        Raises:
            RankerError: a process sent an error in place of a value, so that the others do not wait for it; or was lost.
        """
        values: list[Any] = [None] * self.size
        try:
            await _in_thread(lambda: self._distributed.all_gather_object(values, value, group=self._group))
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise RankerError(
                f"Process {self.rank} of {self.size} lost contact with another process, so there are no rewards; "
                f"see the last output of the other processes for the cause. (torch: {reason})"
            ) from None
        for rank, received in enumerate(values):
            if isinstance(received, RankerError) and rank != self.rank:
                raise type(received)(f"In process {rank} of {self.size}: {received}")
        return values


def process_group() -> ProcessGroup | None:
    """The process group of this run; None if there is a single process."""
    from torch import distributed

    initialized = distributed.is_available() and distributed.is_initialized()
    return ProcessGroup() if initialized and distributed.get_world_size() > 1 else None


def bare(error: Exception) -> RankerError:
    """The error as one of a type that every process can unpickle, without credentials."""
    if isinstance(error, RankerError):
        return type(error)(str(error))
    return RankerError(scrub(f"{type(error).__name__}: {error}"))


async def _in_thread(call: Callable[[], Any]) -> None:
    """Run a blocking call in a daemon thread, so that an interrupted program need not wait for it."""
    done: Future[None] = Future()
    done.set_running_or_notify_cancel()

    def work() -> None:
        try:
            call()
            done.set_result(None)
        except BaseException as error:
            done.set_exception(error)

    thread = threading.Thread(target=work, name="ranker-gather", daemon=True)
    thread.start()
    try:
        await asyncio.wrap_future(done)
    finally:
        if done.done():  # a thread that is still about to end when the process ends may take it down
            thread.join()
