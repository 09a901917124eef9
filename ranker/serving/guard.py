"""What every request passes: the token, limits on its head, the counts, and failures as JSON."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Set as AbstractSet

from fastapi import Response
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ranker.serving.failure import Failure, failure_of, malformed
from ranker.serving.service import Service
from ranker.serving.token import allowed, from_here

_PROTECTED = {"/rank", "/openrlhf", "/metrics"}
_MAX_FIELD = 8_190  # bytes of one header field
_LINGER_SECONDS = 10.0


class Guard:
    """ASGI middleware around the routes.

    Args:
        routes: method and path of each; requests for anything else are counted as ``other``.
        token: what ``Authorization`` must carry on the protected routes; None lets everyone in.
    """

    def __init__(
        self, app: ASGIApp, service: Service, token: str | None, routes: AbstractSet[tuple[str, str]]
    ):
        self._app = app
        self._service = service
        self._token = token
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        since = time.perf_counter()
        if scope["method"] == "HEAD":  # as GET; the server leaves the body out
            scope = {**scope, "method": "GET"}
        path = scope["path"] if (scope["method"], scope["path"]) in self._routes else "other"
        headers = Headers(scope=scope)
        body_left = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        replied = False

        async def tracked_receive() -> Message:
            nonlocal body_left
            message = await receive()
            body_left = message.get("more_body", False)
            return message

        async def marked_send(message: Message) -> None:
            nonlocal replied
            if message["type"] == "http.response.start":
                replied = True
                self._count(path, str(message["status"]), since)
                marks = [(b"x-content-type-options", b"nosniff")]
                if self._service.stopping or body_left:
                    marks.append((b"connection", b"close"))
                message = {**message, "headers": [*message["headers"], *marks]}
            elif body_left and not message.get("more_body"):
                # A client that is still sending would not see the reply if the connection were closed on it.
                await send({**message, "more_body": True})
                try:
                    async with asyncio.timeout(_LINGER_SECONDS):
                        while body_left:
                            await tracked_receive()
                except TimeoutError:
                    pass
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        try:
            self._check(path, headers)
            await self._app(scope, tracked_receive, marked_send)
        except ClientDisconnect:
            pass
        except Exception as error:
            failure = failure_of(error)
            if replied:
                raise  # half a reply was sent; the server closes the connection
            response = Response(failure.body(), failure.status, failure.headers, "application/json")
            await response(scope, tracked_receive, marked_send)
        finally:
            if not replied:
                self._count(path, "gone", since)

    def _count(self, path: str, status: str, since: float) -> None:
        self._service.metrics.answered(path, status, time.perf_counter() - since)

    def _check(self, path: str, headers: Headers) -> None:
        if any(len(value) > _MAX_FIELD for _, value in headers.raw):
            raise malformed(f"A header field is longer than {_MAX_FIELD:,} bytes.")
        if path in _PROTECTED and self._token is None:
            _check_local(headers)
        if path in _PROTECTED and not allowed(headers.get("authorization"), self._token):
            raise Failure(
                401,
                "Unauthorized",
                "The token is missing or wrong: send `Authorization: Bearer TOKEN`.",
                headers={"WWW-Authenticate": 'Bearer realm="ranker"'},
            )


def _check_local(headers: Headers) -> None:
    """Without a token, whoever reaches the server is trusted: no page of another site may, through a browser here.

    Raises:
        Failure: 403, by the name that the request was sent to (a site may point its own at this machine), or by the
            page that sent it.
    """
    if from_here(headers.get("host"), headers.get("origin")):
        return
    raise Failure(
        403,
        "Forbidden",
        "This server has no token, so it answers only requests that name localhost or a loopback address as Host, and "
        "none from another site's page. Put a token into $RANKER_SERVE_TOKEN for the server, and send it.",
    )
