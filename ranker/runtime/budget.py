"""A limit on judge calls and dollars that is never overrun, however many calls are in flight."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from ranker.errors import BudgetExceeded, ConfigurationError


@dataclass
class Reservation:
    """What one call may cost until it is known: set ``cost_usd`` to what it did cost."""

    cost_usd: float


@dataclass
class Budget:
    """Shared by every call of one run.

    A call reserves its highest expected cost before it is sent. Where the money left does not cover
    that, it waits for the calls in flight to settle, and fails only when nothing is in flight.

    Attributes:
        max_calls: requests, retries included; None for no limit.
        max_cost_usd: dollars; None for no limit. Needs a judge whose prices are known.
    """

    max_calls: int | None = None
    max_cost_usd: float | None = None
    calls: int = 0
    cost_usd: float = 0.0
    _reserved: float = field(default=0.0, repr=False)
    _waiting: list[asyncio.Future[None]] = field(default_factory=list, repr=False)

    @asynccontextmanager
    async def reserve(self, estimate: float | None) -> AsyncIterator[Reservation]:
        """Hold the place of one call that may cost `estimate` dollars (None: price unknown).

        Raises:
            BudgetExceeded: the call would exceed a limit.
            ConfigurationError: a dollar limit, and a judge without a known price.
        """
        if self.max_cost_usd is not None:
            if estimate is None:
                raise ConfigurationError(
                    "max_cost_usd needs the judge's price, which is unknown; give the judge "
                    "price=(dollars per million input tokens, per million output tokens), "
                    "or limit max_calls instead."
                )
            while self.cost_usd + self._reserved + estimate > self.max_cost_usd:
                self._check_calls()
                if self._reserved == 0.0:
                    raise BudgetExceeded(
                        f"max_cost_usd={self.max_cost_usd:g} stops here: ${self.cost_usd:.4f} spent, and "
                        f"the next call may cost ${estimate:.4f}. What is finished is kept; raise the "
                        "limit to go on."
                    )
                place = asyncio.get_running_loop().create_future()
                self._waiting.append(place)
                await place
        self._check_calls()
        self.calls += 1
        held = estimate or 0.0
        self._reserved += held
        reservation = Reservation(held)
        try:
            yield reservation
        finally:
            self._reserved = max(0.0, self._reserved - held)
            self.cost_usd += reservation.cost_usd
            if abs(self._reserved) < 1e-12:
                self._reserved = 0.0
            waiting, self._waiting = self._waiting, []
            for place in waiting:
                if not place.done():
                    place.set_result(None)

    def _check_calls(self) -> None:
        if self.max_calls is not None and self.calls >= self.max_calls:
            raise BudgetExceeded(
                f"max_calls={self.max_calls} stops here: that many calls are made. What is finished "
                "is kept; raise the limit to go on."
            )
