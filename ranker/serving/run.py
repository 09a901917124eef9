"""From the first request to the last: listen, hear signals, finish what is in progress."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn

from ranker.errors import ConfigurationError
from ranker.serving.app import application
from ranker.serving.connections import Connection, Connections, most_connections
from ranker.serving.gathering import Gathering
from ranker.serving.service import Service

_BACKLOG = 4096  # connections that wait to be accepted
_KEEP_ALIVE_SECONDS = 75
_CLOSE_SECONDS = 2  # for connections, once everything is answered


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the server listens; port 0 takes a free one. `grace`: seconds for what is in progress, after a signal."""

    host: str = "127.0.0.1"
    port: int = 8000
    grace: float = 30.0


class SilentServer(uvicorn.Server):
    """Serves an application in plain HTTP/1.1 and says nothing; uvicorn's own log is about its own steps, and requests that are not HTTP."""

    def __init__(self, application: Any, **settings: Any):
        logging.getLogger("uvicorn.error").disabled = True
        super().__init__(
            uvicorn.Config(
                application,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=_CLOSE_SECONDS,
                **settings,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None: uvicorn would refuse connections at once, where its caller first finishes what is in progress."""
        yield


async def run(
    service: Service, token: str | None, at: Listening, say: Callable[[str], None]
) -> tuple[int, int]:
    """Serve until SIGTERM or Ctrl-C, then finish what is in progress; a second signal ends the process at once.

    Returns:
        The exit code (0 after SIGTERM, 1 where groups were cut off, 130 after Ctrl-C), and how many groups were.

    Raises:
        ConfigurationError: the address cannot be listened on.
    """
    gathering = Gathering(service.limits.held)
    server = SilentServer(
        application(service, token, gathering), http=Connection, timeout_keep_alive=_KEEP_ALIVE_SECONDS
    )
    listener = bind(at)
    host, port = listener.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    first_signal = _first_signal(say)
    serving = asyncio.create_task(server.serve([]))
    connections = Connections(
        lambda them, head: Connection(server.config, server.server_state, {}, connections=them, head=head),
        most_connections(service.limits.concurrency),
    )
    connections.listen(listener)
    say(f"serving {service.name} at {address} (its API: {address}/docs)")
    number = await first_signal
    service.stop()
    gathering.close()
    in_progress = service.queued + service.in_flight
    say(f"stopping; {in_progress} groups are finished first, for at most {at.grace:g} seconds")
    try:
        async with asyncio.timeout(at.grace):
            await service.drained()
    except TimeoutError:
        pass
    cut = service.cut()
    connections.close()
    server.should_exit = True
    await serving
    if cut:
        say(f"{cut} groups were cut off; verdicts that came before are in the cache")
    if number == signal.SIGINT:
        return 130, cut
    return (1 if cut else 0), cut


def bind(at: Listening) -> socket.socket:
    """The listening socket.

    Raises:
        ConfigurationError: the address is not this machine's, or the port is taken.
    """
    family = socket.AF_INET6 if ":" in at.host else socket.AF_INET
    try:
        return socket.create_server((at.host, at.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigurationError(
            f"{at.host}, port {at.port}, cannot be listened on: {error.strerror or error}. Give another --port or --host."
        ) from None


def _first_signal(say: Callable[[str], None]) -> asyncio.Future[signal.Signals]:
    loop = asyncio.get_running_loop()
    first: asyncio.Future[signal.Signals] = loop.create_future()

    def on(number: signal.Signals) -> None:
        if not first.done():
            first.set_result(number)
            return
        say("stopped at once; verdicts that came before are in the cache")
        sys.stderr.flush()
        os._exit(130 if number == signal.SIGINT else 1)  # threads of a local model may be deep in work

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on, number)
    return first
