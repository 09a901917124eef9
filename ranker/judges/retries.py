"""A request that failed of what may pass is sent again, after growing pauses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from ranker.errors import JudgeCallError

T = TypeVar("T")


async def retried(ask: Callable[[], Awaitable[T]], first: JudgeCallError, most: int) -> T:
    """Ask again, at most so many times. Set up only after a first failure, which it replays: the set-up costs a fifth of
    what a good call does.

    Raises:
        JudgeCallError: the last, or the first that will not pass.
    """
    from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt

    retrying = AsyncRetrying(
        stop=stop_after_attempt(most + 1),
        wait=_pause,
        retry=retry_if_exception(lambda e: isinstance(e, JudgeCallError) and e.retryable),
        reraise=True,
    )
    async for attempt in retrying:
        with attempt:
            if attempt.retry_state.attempt_number == 1:
                raise first
            return await ask()
    raise AssertionError("unreachable")


def _pause(state: Any) -> float:
    """Seconds before the next attempt: what the server asked for, else exponential with jitter."""
    from tenacity import wait_random_exponential

    error = state.outcome.exception() if state.outcome else None
    asked = getattr(error, "retry_after", None)
    drawn = float(wait_random_exponential(multiplier=0.25, max=30)(state))
    return drawn if asked is None else min(asked, 120.0) + drawn / 10
