"""Processes of one training run that tell each other what they hold."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ranker.errors import RankerError, scrub

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Failure:
    """What a process tells the others in the place of a value, so that none waits for it in vain."""

    error: RankerError


class Ranks:
    """The processes of torch's default group, in order, linked by a gloo group of their own.

    Of its own, because a reward function runs in a thread while the trainer's own group belongs to the main
    one, because several reward functions at once would mix up their messages in one group, and because NCCL
    would need a device in that thread. Make it at the same point in every process.

    What happens when a process is lost: gloo notices a closed connection at once, so when a process dies the
    others raise within a second or so. One that lives and does not answer is given up after torch's timeout for
    gloo, 30 minutes.
    """

    def __init__(self) -> None:
        from torch import distributed

        self._distributed = distributed
        self._world = distributed.group.WORLD
        self._group = distributed.new_group(backend="gloo")
        self.rank: int = distributed.get_rank()
        self.size: int = distributed.get_world_size()

    @property
    def current(self) -> bool:
        """Whether torch's default group is still the one these processes were found in."""
        return self._world is self._distributed.group.WORLD

    async def share(self, value: T | Failure) -> list[T]:
        """Everyone's values in the order of ranks; every process must call this equally often.

        Raises:
            RankerError: a process told a failure instead, or was lost.
        """
        told: list[Any] = [None] * self.size
        try:
            await _in_thread(lambda: self._distributed.all_gather_object(told, value, group=self._group))
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise RankerError(
                f"Process {self.rank} of {self.size} lost another one while sharing what was to be judged, so "
                f"there are no rewards; what the others printed last says why. (torch: {reason})"
            ) from None
        for rank, one in enumerate(told):
            if isinstance(one, Failure) and rank != self.rank:
                raise type(one.error)(f"In process {rank} of {self.size}: {one.error}")
        return told


def ranks() -> Ranks | None:
    """This run's processes; None where there is only this one."""
    from torch import distributed

    alone = not (distributed.is_available() and distributed.is_initialized())
    return None if alone or distributed.get_world_size() == 1 else Ranks()


def failure_of(error: Exception) -> Failure:
    """The failure to tell of, of a kind that every process can read, without credentials."""
    if isinstance(error, RankerError):
        return Failure(type(error)(str(error)))
    return Failure(RankerError(scrub(f"{type(error).__name__}: {error}")))


async def _in_thread(call: Callable[[], Any]) -> None:
    """Run a blocking call in a daemon thread, so that an interrupted program need not wait for it to end."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def tell(error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def work() -> None:
        caught: BaseException | None = None
        try:
            call()
        except BaseException as error:
            caught = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, caught)

    threading.Thread(target=work, name="ranker-ranks", daemon=True).start()
    await done
