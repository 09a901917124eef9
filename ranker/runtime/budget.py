"""Limits on judge calls and cost that are never exceeded, however many calls are in flight."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from ranker.errors import BudgetExceeded, ConfigurationError
from ranker.validation import check_number

# Of all budgets: one of its own would keep a budget from being pickled and copied.
_lock = threading.Lock()


@dataclass
class Reservation:
    """The cost of one call: an estimate until ``cost_usd`` is set to the actual cost."""

    cost_usd: float


@dataclass
class Budget:
    """A budget shared by all calls of a run, in whichever threads and event loops.

    A call reserves its maximum expected cost before it is sent. If the remaining budget does not cover
    it, the call waits for those in flight to settle, and fails only when none is in flight.

    Attributes:
        max_calls: requests, including retries; None for no limit.
        max_cost_usd: US dollars; None for no limit. Requires a judge with known prices.
        calls: requests so far.
        cost_usd: US dollars of the calls that have settled.

    Raises:
        ConfigurationError: a limit that is no number, or less than 0.
    """

    max_calls: int | None = None
    max_cost_usd: float | None = None
    calls: int = 0
    cost_usd: float = 0.0
    _reserved: float = field(default=0.0, repr=False)
    _waiting: list[asyncio.Future[None]] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        if self.max_calls is not None:
            check_number("max_calls", self.max_calls, 0, whole=True)
        if self.max_cost_usd is not None:
            check_number("max_cost_usd", self.max_cost_usd, 0)

    @asynccontextmanager
    async def reserve(self, estimate: float | None) -> AsyncIterator[Reservation]:
        """Reserve one call that may cost up to `estimate` US dollars; None if its price is unknown.

        Raises:
            BudgetExceeded: the call would exceed a limit.
            ConfigurationError: there is a cost limit, but the price of the judge is unknown.
        """
        if self.max_cost_usd is not None and estimate is None:
            raise ConfigurationError(
                "max_cost_usd needs the judge's price, which is unknown; pass "
                "price=(dollars per million input tokens, per million output tokens), "
                "or limit max_calls instead."
            )
        reserved = estimate or 0.0
        while (turn := self._hold(reserved)) is not None:
            await turn
        reservation = Reservation(reserved)
        try:
            yield reservation
        finally:
            self._release(reserved, reservation.cost_usd)

    def _hold(self, estimate: float) -> asyncio.Future[None] | None:
        """Reserve a call; or, where those in flight may leave enough, what to wait for before another try.

        Raises:
            BudgetExceeded: the call would exceed a limit.
        """
        with _lock:
            self._check_calls()
            # Not `>`: NaN is no cost that fits.
            if (
                self.max_cost_usd is not None
                and not self.cost_usd + self._reserved + estimate <= self.max_cost_usd
            ):
                if self._reserved == 0.0:
                    raise BudgetExceeded(
                        f"max_cost_usd={self.max_cost_usd:g} stops here: ${self.cost_usd:.4f} spent, and "
                        f"the next call may cost ${estimate:.4f}. Finished work is saved; raise the "
                        "limit to continue."
                    )
                turn = asyncio.get_running_loop().create_future()
                self._waiting.append(turn)
                return turn
            self.calls += 1
            self._reserved += estimate
            return None

    def _release(self, reserved: float, cost_usd: float) -> None:
        with _lock:
            self._reserved = max(0.0, self._reserved - reserved)
            self.cost_usd += cost_usd
            if abs(self._reserved) < 1e-12:
                self._reserved = 0.0
            waiting, self._waiting = self._waiting, []
        for turn in waiting:
            with suppress(RuntimeError):  # its event loop has ended
                turn.get_loop().call_soon_threadsafe(_wake, turn)

    def _check_calls(self) -> None:
        if self.max_calls is not None and self.calls >= self.max_calls:
            raise BudgetExceeded(
                f"max_calls={self.max_calls} stops here: that many calls were made. Finished work "
                "is saved; raise the limit to continue."
            )


def _wake(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)


def _forget() -> None:
    """In a forked process: the lock may have been held."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
