"""One limit on judge calls and dollars for many processes, kept in a small sqlite file."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sqlite3
import time
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ranker.errors import BudgetExceeded, ConfigurationError, RankerError
from ranker.runtime.budget import Budget, Reservation
from ranker.runtime.transaction import transaction

log = logging.getLogger("ranker")

BEAT = 5.0  # seconds between signs of life of a process that holds reservations
GONE = 30.0  # seconds without one after which nobody waits for its reservations
_POLL = 0.1  # seconds between looks at the file while money is held elsewhere

_SCHEMA = """
CREATE TABLE IF NOT EXISTS spent (one INTEGER PRIMARY KEY CHECK (one = 1), calls INTEGER NOT NULL, cost REAL NOT NULL);
INSERT OR IGNORE INTO spent VALUES (1, 0, 0.0);
CREATE TABLE IF NOT EXISTS held (id INTEGER PRIMARY KEY AUTOINCREMENT, holder TEXT NOT NULL, cost REAL NOT NULL);
CREATE TABLE IF NOT EXISTS holders (holder TEXT PRIMARY KEY, beat REAL NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Spending:
    """What a shared budget's file says.

    Attributes:
        calls: requests made, by all processes so far.
        cost_usd: dollars of the calls that are settled.
        held_usd: dollars held for calls in flight by processes that are alive.
        lost_usd: dollars held by processes that are gone; what their calls cost is not known, so it counts
            as spent.
        waiting: whether a process that is alive has calls in flight.
    """

    calls: int
    cost_usd: float
    held_usd: float
    lost_usd: float
    waiting: bool


class SharedBudget(Budget):
    """A Budget over every process that names the same file, on one machine or on a file system with locks.

    A call is counted when it is reserved, and its highest expected cost is held in the file until it is
    settled. What a killed process held stays held and counts as spent, for its calls may have been charged;
    nobody waits for it. So the limits are never overrun, and a kill costs at most the calls it had in flight.
    The counts last: a later run with the same file goes on from them.

    Args:
        path: the file; made where it is not.
        max_calls, max_cost_usd: the limits over all processes; each process keeps to its own.

    Raises:
        ConfigurationError: the file cannot be used, or no limit is given.
    """

    def __init__(self, path: str | Path, max_calls: int | None = None, max_cost_usd: float | None = None):
        super().__init__(max_calls, max_cost_usd)
        if max_calls is None and max_cost_usd is None:
            raise ConfigurationError("A shared budget needs a limit: --max-cost or --max-calls.")
        self.path = Path(path)
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{time.time_ns()}"
        self._mine = 0  # reservations of this process
        self._beating: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()  # one call at a time asks the file for money
        with self._told():
            self._db = sqlite3.connect(self.path, timeout=60, isolation_level=None, check_same_thread=False)
            weakref.finalize(self, self._db.close)
            # No WAL: it does not work across machines. No waiting for the disk: a kill loses nothing by it.
            self._db.execute("PRAGMA journal_mode = TRUNCATE")
            self._db.execute("PRAGMA synchronous = OFF")
            with transaction(self._db):
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    self._db.execute(statement)

    def spending(self) -> Spending:
        """What the file says now."""
        with self._told():
            (calls, cost), held = (
                self._db.execute("SELECT calls, cost FROM spent").fetchone(),
                self._db.execute(
                    "SELECT held.cost, coalesce(beat, 0) FROM held LEFT JOIN holders USING (holder)"
                ).fetchall(),
            )
        # A beat far in the future is another machine's clock; its process is taken for alive.
        since = time.time() - GONE
        live = [amount for amount, beat in held if beat >= since]
        lost = sum(amount for amount, beat in held if beat < since)
        return Spending(int(calls), float(cost), float(sum(live)), float(lost), bool(live))

    @asynccontextmanager
    async def reserve(self, estimate: float | None) -> AsyncIterator[Reservation]:
        """Hold the place of one call, as `Budget.reserve` does, but in the file.

        Raises:
            BudgetExceeded: the call would exceed a limit, or the file cannot be used any more. Calls in flight end as
                they would: they are paid for.
            ConfigurationError: a dollar limit and a judge without a known price.
        """
        if self.max_cost_usd is not None and estimate is None:
            raise ConfigurationError(
                "--max-cost needs the judge's price, which is unknown; give --price, or limit --max-calls instead."
            )
        async with self._turn:
            while (ticket := self._take(estimate or 0.0)) is None:  # noqa: ASYNC110 - other processes' work
                await asyncio.sleep(_POLL)
        if self._mine == 1 or self._beating is None or self._beating.done():
            self._beating = asyncio.create_task(self._beat())
        reservation = Reservation(estimate or 0.0)
        try:
            yield reservation
        finally:
            self._mine -= 1
            self.cost_usd += reservation.cost_usd
            if self._mine == 0:
                self._beating.cancel()
            self._settle(ticket, reservation.cost_usd)

    def _settle(self, ticket: int, cost_usd: float) -> None:
        """Count what a call cost in the place of what was held for it. Where that cannot be written it stays held,
        which is no less; the call's reply is paid for and must not be lost."""
        try:
            with transaction(self._db):
                self._db.execute("DELETE FROM held WHERE id = ?", (ticket,))
                self._db.execute("UPDATE spent SET cost = cost + ?", (cost_usd,))
                if self._mine == 0:
                    self._db.execute("DELETE FROM holders WHERE holder = ?", (self._holder,))
        except sqlite3.Error as error:
            log.warning("%s: %s; what was held for a call stays held.", self.path, error)

    def _take(self, estimate: float) -> int | None:
        """Hold `estimate` dollars in the file, or None where calls in flight may yet free what lacks."""
        with self._told(BudgetExceeded), transaction(self._db):
            now = self.spending()
            if self.max_calls is not None and now.calls >= self.max_calls:
                raise BudgetExceeded(
                    f"max_calls={self.max_calls} stops here: {now.calls} calls are made by all processes that share "
                    f"{self.path}. What is finished is kept; raise the limit to go on."
                )
            gone = now.cost_usd + now.lost_usd
            if self.max_cost_usd is not None and gone + now.held_usd + estimate > self.max_cost_usd:
                if now.waiting or self._mine:
                    return None
                lost = f" (${now.lost_usd:.4f} of it held by processes that are gone)" if now.lost_usd else ""
                raise BudgetExceeded(
                    f"max_cost_usd={self.max_cost_usd:g} stops here: ${gone:.4f} spent{lost} by all processes that "
                    f"share {self.path}, and the next call may cost ${estimate:.4f}. What is finished is kept; raise "
                    "the limit to go on."
                )
            self._db.execute("UPDATE spent SET calls = calls + 1")
            self._db.execute("INSERT OR REPLACE INTO holders VALUES (?, ?)", (self._holder, time.time()))
            made = self._db.execute("INSERT INTO held (holder, cost) VALUES (?, ?)", (self._holder, estimate))
            ticket = made.lastrowid
        self._mine += 1
        self.calls += 1
        return ticket

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            # Without it others count what is held here as spent, which is on the safe side.
            with suppress(sqlite3.Error), transaction(self._db):
                self._db.execute("INSERT OR REPLACE INTO holders VALUES (?, ?)", (self._holder, time.time()))

    @contextmanager
    def _told(self, kind: type[RankerError] = ConfigurationError) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise kind(
                f"The budget file {self.path} cannot be used ({error}). Nothing more is sent; mend or remove the file."
            ) from None
