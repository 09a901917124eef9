"""A budget shared by several processes through a small sqlite file."""

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
from ranker.runtime.transaction import check_database, is_busy, transaction

log = logging.getLogger("ranker")

BEAT = 5.0  # seconds between heartbeats of a process that holds reservations
GONE = 30.0  # seconds without a heartbeat after which nobody waits for its reservations
_POLL = 0.1  # seconds between polls of the file while other processes hold reservations, or have locked it
_AT_ONCE = 0.05  # seconds that an event loop waits for a lock
_PATIENCE = 60.0  # seconds that a call waits for one

_SCHEMA = """
CREATE TABLE IF NOT EXISTS spent (one INTEGER PRIMARY KEY CHECK (one = 1), calls INTEGER NOT NULL, cost REAL NOT NULL);
INSERT OR IGNORE INTO spent VALUES (1, 0, 0.0);
CREATE TABLE IF NOT EXISTS held (id INTEGER PRIMARY KEY AUTOINCREMENT, holder TEXT NOT NULL, cost REAL NOT NULL);
CREATE TABLE IF NOT EXISTS holders (holder TEXT PRIMARY KEY, beat REAL NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Spending:
    """The state of a shared budget.

    Attributes:
        calls: requests so far, by all processes.
        cost_usd: US dollars of the calls that have settled.
        held_usd: US dollars reserved for calls in flight by live processes.
        lost_usd: US dollars reserved by dead processes; the actual cost of their calls is unknown, so the
            reservations count as spent.
        waiting: whether a live process has calls in flight.
    """

    calls: int
    cost_usd: float
    held_usd: float
    lost_usd: float
    waiting: bool


class SharedBudget(Budget):
    """A Budget shared by all processes that use the same file, on one machine or a file system with locks.

    A call is counted when it is reserved, and its maximum expected cost is held in the file until it
    settles. The reservations of a killed process stay and count as spent, because its calls may have been
    billed; nobody waits for them. So the limits are never exceeded, and a kill costs at most the calls in
    flight. The totals persist: a later run with the same file continues from them.

    Args:
        path: the file; created if it does not exist.
        max_calls, max_cost_usd: limits on the totals over all processes; each process checks its own limits.

    Raises:
        ConfigurationError: the file cannot be used, or there is no limit.
    """

    def __init__(self, path: str | Path, max_calls: int | None = None, max_cost_usd: float | None = None):
        super().__init__(max_calls, max_cost_usd)
        if max_calls is None and max_cost_usd is None:
            raise ConfigurationError("A shared budget needs a limit: --max-cost or --max-calls.")
        self.path = Path(path)
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{time.time_ns()}"
        self._mine = 0  # reservations of this process
        self._heartbeat: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()  # one call at a time reserves
        # By holder whose heartbeat lies in the future: that heartbeat, and when it was first seen (by the monotonic clock).
        self._ahead: dict[str, tuple[float, float]] = {}
        with self._errors_as(ConfigurationError):
            self._db = sqlite3.connect(
                self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
            )
            weakref.finalize(self, self._db.close)
            check_database(self._db, self.path, "spent")
            # No WAL: it does not work across machines. No sync to disk: a killed process loses nothing without it.
            self._db.execute("PRAGMA journal_mode = TRUNCATE")
            self._db.execute("PRAGMA synchronous = OFF")
            with transaction(self._db):
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    self._db.execute(statement)
            self._wait_for_locks(_AT_ONCE)

    def spending(self) -> Spending:
        """The current state of the file."""
        with self._errors_as(ConfigurationError):
            self._wait_for_locks(_PATIENCE)
            try:
                return self._read()
            finally:
                self._wait_for_locks(_AT_ONCE)

    def _read(self) -> Spending:
        calls, cost = self._db.execute("SELECT calls, cost FROM spent").fetchone()
        held = self._db.execute(
            "SELECT held.cost, holder, coalesce(beat, 0) FROM held LEFT JOIN holders USING (holder)"
        ).fetchall()
        alive = [self._is_alive(holder, beat) for _, holder, beat in held]
        live = sum(amount for (amount, _, _), lives in zip(held, alive, strict=True) if lives)
        lost = sum(amount for (amount, _, _), lives in zip(held, alive, strict=True) if not lives)
        return Spending(int(calls), float(cost), float(live), float(lost), any(alive))

    def _is_alive(self, holder: str, beat: float) -> bool:
        """Whether a process still gives signs of life. One in the future comes from another clock: there it tells that
        it changes."""
        if beat <= time.time():
            return beat >= time.time() - GONE
        seen, since = self._ahead.get(holder, (None, 0.0))
        if seen != beat:
            self._ahead[holder] = (beat, time.monotonic())
            return True
        return time.monotonic() - since < GONE

    def _wait_for_locks(self, seconds: float) -> None:
        self._db.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")

    @asynccontextmanager
    async def reserve(self, estimate: float | None) -> AsyncIterator[Reservation]:
        """Reserve one call as `Budget.reserve` does, but in the file.

        Raises:
            BudgetExceeded: the call would exceed a limit, or the file can no longer be used. Calls in flight still
                complete, because they are paid for.
            ConfigurationError: there is a cost limit, but the price of the judge is unknown.
        """
        if self.max_cost_usd is not None and estimate is None:
            raise ConfigurationError(
                "--max-cost needs the judge's price, which is unknown; pass --price, or limit --max-calls instead."
            )
        async with self._turn:
            until = time.monotonic() + _PATIENCE
            while (ticket := self._take(estimate or 0.0, until)) is None:  # noqa: ASYNC110 - waits for other processes
                await asyncio.sleep(_POLL)
        if self._mine == 1 or self._heartbeat is None or self._heartbeat.done():
            self._heartbeat = asyncio.create_task(self._send_heartbeats())
        reservation = Reservation(estimate or 0.0)
        try:
            yield reservation
        finally:
            self._mine -= 1
            self.cost_usd += reservation.cost_usd
            if self._mine == 0:
                self._heartbeat.cancel()
            await self._settle(ticket, reservation.cost_usd)

    async def _settle(self, ticket: int, cost_usd: float) -> None:
        """Replace the reservation of a call by its cost. If that cannot be written the reservation stays, which is
        at least as much; the reply is paid for and must not be lost."""
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                with transaction(self._db):
                    self._db.execute("DELETE FROM held WHERE id = ?", (ticket,))
                    self._db.execute("UPDATE spent SET cost = cost + ?", (cost_usd,))
                    if self._mine == 0:
                        self._db.execute("DELETE FROM holders WHERE holder = ?", (self._holder,))
                return
            except sqlite3.Error as error:
                if not is_busy(error) or time.monotonic() > until:
                    log.warning("%s: %s; the reservation of a call stays.", self.path, error)
                    return
            await asyncio.sleep(_POLL)

    def _take(self, estimate: float, until: float) -> int | None:
        """Reserve `estimate` US dollars in the file; None if calls in flight may still free enough, or if another
        process has locked the file and `until` has not come."""
        with self._errors_as(BudgetExceeded):
            try:
                return self._reserve(estimate)
            except sqlite3.Error as error:
                if not is_busy(error) or time.monotonic() > until:
                    raise
                return None

    def _reserve(self, estimate: float) -> int | None:
        with transaction(self._db):
            state = self._read()
            if self.max_calls is not None and state.calls >= self.max_calls:
                raise BudgetExceeded(
                    f"max_calls={self.max_calls} stops here: {state.calls} calls were made by all processes that share "
                    f"{self.path}. Finished work is saved; raise the limit to continue."
                )
            spent = state.cost_usd + state.lost_usd
            if self.max_cost_usd is not None and spent + state.held_usd + estimate > self.max_cost_usd:
                if state.waiting or self._mine:
                    return None
                lost = (
                    f" (${state.lost_usd:.4f} of it held by processes that are gone)"
                    if state.lost_usd
                    else ""
                )
                raise BudgetExceeded(
                    f"max_cost_usd={self.max_cost_usd:g} stops here: ${spent:.4f} spent{lost} by all processes that "
                    f"share {self.path}, and the next call may cost ${estimate:.4f}. Finished work is saved; raise "
                    "the limit to continue."
                )
            self._db.execute("UPDATE spent SET calls = calls + 1")
            self._db.execute("INSERT OR REPLACE INTO holders VALUES (?, ?)", (self._holder, time.time()))
            ticket = self._db.execute(
                "INSERT INTO held (holder, cost) VALUES (?, ?)", (self._holder, estimate)
            ).lastrowid
        self._mine += 1
        self.calls += 1
        return ticket

    async def _send_heartbeats(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            # On failure other processes count these reservations as spent, which is safe.
            with suppress(sqlite3.Error), transaction(self._db):
                self._db.execute("INSERT OR REPLACE INTO holders VALUES (?, ?)", (self._holder, time.time()))

    @contextmanager
    def _errors_as(self, kind: type[RankerError]) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise kind(
                f"The budget file {self.path} cannot be used ({error}). Nothing more is sent; repair or remove the file."
            ) from None
