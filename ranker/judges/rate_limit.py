"""Requests and tokens a minute."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ranker.runtime.event_loop import PerLoop

if TYPE_CHECKING:
    from aiolimiter import AsyncLimiter


class RateLimit:
    """Waits until a request may be sent (leaky buckets of one minute).

    Args:
        rpm: requests a minute, or None.
        tpm: tokens a minute, or None.
    """

    def __init__(self, rpm: float | None, tpm: float | None):
        self._rpm = None if rpm is None else PerLoop(lambda: _bucket(rpm))
        self._tpm = None if tpm is None else PerLoop(lambda: _bucket(tpm))
        self._most = tpm or 0.0

    async def wait(self, tokens: int) -> None:
        if self._rpm is not None:
            await (await self._rpm.get()).acquire()
        if self._tpm is not None:
            await (await self._tpm.get()).acquire(min(tokens, self._most))


def _bucket(rate: float) -> AsyncLimiter:
    from aiolimiter import AsyncLimiter

    return AsyncLimiter(rate, 60.0)
