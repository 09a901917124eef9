"""Request bodies: read within limits, parsed, and given up where the client goes away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from ranker.serving.failure import Failure, malformed

Admit = Callable[[], AbstractContextManager[None]]
Room = Callable[[], AbstractContextManager[Callable[[int], None]]]

_READ_SECONDS = 120.0  # for the whole body


class JsonRequest(Request):
    """A request whose body has been read and parsed before FastAPI asks for it."""

    def __init__(self, request: Request, content: bytes, fields: Any):
        super().__init__(request.scope, request.receive)
        self._content = content
        self._fields = fields

    async def body(self) -> bytes:
        return self._content

    async def json(self) -> Any:
        return self._fields


def json_route(max_body: int, room: Room, admit: Admit) -> type[APIRoute]:
    """A route class for JSON bodies of at most `max_body` bytes.

    `room` lets a request in and counts the bytes that have come of its body, until the reply; `admit` holds what else
    it takes of the server, from when the body is there: a client that is slow to send takes nothing from the others.
    A client that goes away cancels its request.
    """

    class JsonRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def handle_json(request: Request) -> Response:
                with ExitStack() as held:
                    take = held.enter_context(room())
                    with admit():
                        pass  # refused before it is read
                    content = await _read(request, max_body, take)
                    fields = _parse(content)
                    held.enter_context(admit())
                    async with _cancelled_on_disconnect(request.receive):
                        return await handle(JsonRequest(request, content, fields))

            return handle_json

    return JsonRoute


def _parse(content: bytes) -> Any:
    try:
        return json.loads(content.decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError:
        raise malformed("The body is nested too deeply.") from None
    except ValueError as error:
        raise malformed(f"The body is not JSON: {error}.") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


async def _read(request: Request, limit: int, take: Callable[[int], None]) -> bytes:
    """The body, never more of it than the limit; `take` is called with the size of each piece.

    Raises:
        Failure: 415 not JSON, 413 too large, 408 too slow, 429 no room.
        ClientDisconnect: the client went away.
    """
    # Required because a browser sends it across origins only after asking, and the answer is no.
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Failure(415, "NotJSON", "Send `Content-Type: application/json`.")
    too_large = Failure(413, "TooLarge", f"The body is larger than {limit:,} bytes (--max-body).")
    if int(request.headers.get("content-length", 0)) > limit:  # a number: the parser has seen to it
        raise too_large
    chunks, size = [], 0
    try:
        async with asyncio.timeout(_READ_SECONDS):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise too_large
                take(len(chunk))
                chunks.append(chunk)
    except TimeoutError:
        raise Failure(408, "TooSlow", f"The body did not come in {_READ_SECONDS:g} seconds.") from None
    return b"".join(chunks)


@asynccontextmanager
async def _cancelled_on_disconnect(receive: Receive) -> AsyncIterator[None]:
    """Cancel the block where the client goes away (uvicorn only says so).

    Raises:
        ClientDisconnect: it did.
    """
    handler = asyncio.current_task()
    assert handler is not None

    async def watch() -> bool:
        while (await receive())["type"] != "http.disconnect":
            pass
        return handler.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if watcher.done() and handler.uncancel() == 0:
            raise ClientDisconnect from None
        raise
    finally:
        watcher.cancel()
