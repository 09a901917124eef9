"""Connections of clients that keep the server waiting: bounded in time and in number, so that others get in."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

_AT_ONCE = 256  # clients let in before others are served
_TURNS = 2  # clients whose heads are read before others are served
_LONGEST_HEAD = 16_384  # bytes; h11 refuses longer ones
_HEAD_SECONDS = 15.0  # for a request's head, from its first byte or the connection's beginning
_MOST = 10_000
_OWN_FILES = 128  # listener, cache, records, libraries that are loaded late
_LEAST = 16


class Connections:
    """Those that are open, the longest waiting for its client first.

    A new one costs next to nothing until its client has sent the head of a request. Where there are more than `most`,
    the first that waits for its client is closed; one whose request is being ranked never is. Of heads that came at
    once, those of requests without a body are read first, such as for /health, and the newest: they are the likeliest
    to be awaited still.

    Args:
        make: an HTTP connection for a client that has sent so much.
        most: bound on their number.
    """

    def __init__(self, make: Callable[[Connections, bytes], Connection], most: int):
        self._make = make
        self._most = most
        self._open: dict[_Guest | Connection, None] = {}
        self._asking: list[_Guest] = []  # without a body
        self._sending: list[_Guest] = []
        self._turns: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.get_running_loop()
        self._listener: socket.socket | None = None
        self._sweeping: asyncio.TimerHandle | None = None

    def listen(self, listener: socket.socket) -> None:
        """Let clients in."""
        listener.setblocking(False)
        self._listener = listener
        self._loop.add_reader(listener, self._accept, listener)
        self._sweep()

    def close(self) -> None:
        """Let no more in."""
        if self._listener is not None and self._sweeping is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._sweeping.cancel()
        for guest in [c for c in self._open if isinstance(c, _Guest)]:
            self._dismiss(guest)

    def add(self, connection: _Guest | Connection) -> None:
        """Count one, or one that waits for its client anew."""
        self._open.pop(connection, None)
        self._open[connection] = None
        if len(self._open) > self._most:
            self._dismiss(next(c for c in self._open if c.waits_for_client))

    def remove(self, connection: _Guest | Connection) -> None:
        self._open.pop(connection, None)

    def _dismiss(self, connection: _Guest | Connection) -> None:
        self.remove(connection)
        if isinstance(connection, _Guest):
            connection.gone = True
            self._loop.remove_reader(connection.socket)
            connection.socket.close()
        else:
            connection.transport.abort()

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                accepted, _address = listener.accept()
            except OSError as error:
                if error.errno in {errno.EMFILE, errno.ENFILE} and self._open:
                    self._dismiss(next((c for c in self._open if c.waits_for_client), next(iter(self._open))))
                return  # no more for now, or one that has left
            accepted.setblocking(False)
            guest = _Guest(accepted, self._loop.time() + _HEAD_SECONDS)
            self._loop.add_reader(accepted, self._speaks, guest)
            self.add(guest)

    def _speaks(self, guest: _Guest) -> None:
        try:
            words = guest.socket.recv(_LONGEST_HEAD)
        except OSError:
            words = b""
        guest.head += words
        if not words:
            self._dismiss(guest)
        elif b"\r\n\r\n" in guest.head or len(guest.head) >= _LONGEST_HEAD or not guest.head[:1].isupper():
            self._loop.remove_reader(guest.socket)
            if not self._asking and not self._sending:
                self._loop.call_soon(self._take_turns)
            (self._asking if guest.head.startswith((b"GET ", b"HEAD ")) else self._sending).append(guest)

    def _take_turns(self) -> None:
        for _ in range(_TURNS):
            waiting = self._asking or self._sending
            if not waiting:
                return
            guest = waiting.pop()
            if guest.gone:
                continue
            self.remove(guest)
            turn = self._loop.create_task(
                self._loop.connect_accepted_socket(partial(self._make, self, guest.head), guest.socket)
            )
            self._turns.add(turn)
            turn.add_done_callback(self._turns.discard)
        self._loop.call_soon(self._take_turns)

    def _sweep(self) -> None:
        now = self._loop.time()
        for guest in [c for c in self._open if isinstance(c, _Guest) and c.due < now]:
            self._dismiss(guest)
        self._sweeping = self._loop.call_later(1.0, self._sweep)


@dataclass(eq=False, slots=True)
class _Guest:
    """A client that has not sent a whole head yet; closed when `due`."""

    socket: socket.socket
    due: float
    head: bytes = b""
    gone: bool = False
    waits_for_client: ClassVar[bool] = True


class Connection(H11Protocol):
    """uvicorn's, begun by what a guest has sent, with a time limit for later heads too."""

    def __init__(self, *args: Any, connections: Connections, head: bytes, **more: Any):
        super().__init__(*args, **more)
        self._connections = connections
        self._head = head
        self._head_due: float | None = None

    @property
    def waits_for_client(self) -> bool:
        """For a request, the rest of one, or that the client takes its reply."""
        cycle = self.cycle
        return (
            cycle is None
            or cycle.more_body
            or cycle.response_started
            or cycle.disconnected
            or self.transport.is_closing()
        )

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._connections.add(self)
        self.data_received(self._head)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)  # stops the timer
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self._await_head()
        else:
            self._head_due = None

    def on_response_complete(self) -> None:
        self._connections.add(self)
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.remove(self)
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def _await_head(self) -> None:
        if self._head_due is None:
            self._head_due = self.loop.time() + _HEAD_SECONDS
        self.timeout_keep_alive_task = self.loop.call_at(self._head_due, self.timeout_keep_alive_handler)


def most_connections(judge_calls: int) -> int:
    """How many connections fit into this process's open files, beside those to the judge."""
    try:
        import resource
    except ImportError:  # Windows bounds sockets by memory alone
        return _MOST
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return _MOST
    return max(_LEAST, min(_MOST, files - _OWN_FILES - judge_calls))
