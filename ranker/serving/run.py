"""From the first request to the last: listen, hear signals, finish what is under way."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from ranker.errors import ConfigurationError
from ranker.serving.app import GATHERING, application
from ranker.serving.service import Service

# What aiohttp says of a request that is not HTTP quotes it, and the token may stand in it. Failures of requests that
# are have been logged by the application.
_SILENT = logging.getLogger("ranker.serving.http")
_SILENT.disabled = True


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the server listens; port 0 takes a free one. `grace`: seconds for what is under way, once told to stop."""

    host: str = "127.0.0.1"
    port: int = 8000
    grace: float = 30.0


async def run(
    service: Service, token: str | None, at: Listening, say: Callable[[str], None]
) -> tuple[int, int]:
    """Serve until SIGTERM or Ctrl-C, then finish what is under way; a second signal ends the process at once.

    Returns:
        The exit code (0 after SIGTERM, 1 where groups were cut off, 130 after Ctrl-C), and how many groups were.

    Raises:
        ConfigurationError: the address cannot be listened on.
    """
    app = application(service, token)
    runner = web.AppRunner(
        app, access_log=None, logger=_SILENT, handler_cancellation=True, shutdown_timeout=2.0
    )
    await runner.setup()
    heard: asyncio.Future[signal.Signals] = asyncio.get_running_loop().create_future()
    try:
        address = await _listen(runner, at)
        _hear(heard, say)
        say(f"serving {service.name} at {address} (what it speaks: {address}/docs)")
        first = await heard
        service.stop()
        app[GATHERING].close()
        under_way = service.queued + service.in_flight
        say(f"stopping; {under_way} groups are finished first, for at most {at.grace:g} seconds")
        try:
            async with asyncio.timeout(at.grace):
                await service.drained()
        except TimeoutError:
            pass
        cut = service.cut()
    finally:
        await runner.cleanup()
    if cut:
        say(f"{cut} groups were cut off; verdicts that came before are in the cache")
    if first == signal.SIGINT:
        return 130, cut
    return (1 if cut else 0), cut


async def _listen(runner: web.AppRunner, at: Listening) -> str:
    try:
        await web.TCPSite(runner, at.host, at.port, backlog=1024).start()
    except OSError as error:
        raise ConfigurationError(
            f"{at.host}, port {at.port}, cannot be listened on: {error.strerror or error}. Give another --port or --host."
        ) from None
    host, port = runner.addresses[0][:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _hear(heard: asyncio.Future[signal.Signals], say: Callable[[str], None]) -> None:
    def on(number: signal.Signals) -> None:
        if not heard.done():
            heard.set_result(number)
            return
        say("stopped at once; verdicts that came before are in the cache")
        sys.stderr.flush()
        os._exit(130 if number == signal.SIGINT else 1)  # threads of a local model may be deep in work

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on, number)
