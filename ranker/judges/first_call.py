"""The first request to a server goes alone."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ranker.errors import RankerError
from ranker.usage import Usage

T = TypeVar("T")


class FirstCall:
    """Lets one request go alone, until one was answered: a wrong key or name, or no credit, then costs one request, however
    many wait; those fail of the same error.

    Attributes:
        answered: whether the server has answered one, be it with an error that others may not meet.
    """

    def __init__(self) -> None:
        self.answered = False
        self._ahead: asyncio.Future[RankerError | None] | None = None  # the request in flight

    async def of(self, ask: Callable[[], Awaitable[T]], check: Callable[[], None]) -> T:
        """What `ask` gives, asked after `check` and when no other is in flight.

        Raises:
            RankerError: what either raises, or a fatal one of the request that went ahead.
        """
        loop = asyncio.get_running_loop()
        while not self.answered and self._ahead is not None and self._ahead.get_loop() is loop:
            fatal = await asyncio.shield(self._ahead)
            if fatal is not None:
                raise copy.copy(fatal).spent(Usage())
        if self.answered:
            return await ask()
        fatal = None
        mine = self._ahead = loop.create_future()
        try:
            check()
            reply = await ask()
            self.answered = True
            return reply
        except RankerError as error:
            fatal = error if error.fatal else None
            self.answered = fatal is None
            raise
        finally:
            self._ahead = None
            mine.set_result(fatal)
