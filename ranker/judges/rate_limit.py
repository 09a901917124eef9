"""Rate limits in requests and tokens per minute."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ranker.runtime.event_loop import PerLoop

if TYPE_CHECKING:
    from aiolimiter import AsyncLimiter


class RateLimit:
    """Delays requests to stay within rate limits (leaky buckets over one minute).

    Args:
        rpm: requests per minute; None for no limit.
        tpm: tokens per minute; None for no limit.
    """

    def __init__(self, rpm: float | None, tpm: float | None):
        self._rpm = None if rpm is None else PerLoop(lambda: _bucket(rpm))
        self._tpm = None if tpm is None else PerLoop(lambda: _bucket(tpm))
        self._max_tokens = tpm or 0.0

    async def wait(self, tokens: int) -> None:
        if self._rpm is not None:
            await (await self._rpm.get()).acquire()
        if self._tpm is not None:
            await (await self._tpm.get()).acquire(min(tokens, self._max_tokens))


def _bucket(rate: float) -> AsyncLimiter:
    from aiolimiter import AsyncLimiter

    return AsyncLimiter(rate, 60.0)
