"""A page of a server on this machine alone, for whoever has the token in the page's address."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import threading
import webbrowser
from collections.abc import Callable
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse

from ranker.errors import RankerError
from ranker.jsonl.group_file import dump_line
from ranker.serving.failure import Failure, failure_of
from ranker.serving.run import Listening, SilentServer, bind
from ranker.serving.token import allowed, from_here

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


async def serve(
    application: Callable[[str], FastAPI], port: int, ended: asyncio.Event, *, shown: bool
) -> None:
    """Serve an application until the event is set; print the address of its page first.

    Args:
        application: makes it, given the token that requests must carry.
        shown: whether a browser is opened.

    Raises:
        ConfigurationError: the port is taken.
    """
    token = secrets.token_urlsafe(24)
    server = SilentServer(application(token))
    with bind(Listening(port=port)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/?token={token}"
        serving = asyncio.create_task(server.serve([listener]))
        try:
            print(address, flush=True)  # noqa: T201 - what the command is asked for
            if shown:
                _open(address)
            await ended.wait()
        finally:
            server.should_exit = True
            await serving


def _open(address: str) -> None:
    """Open a browser with windows, where there may be one; one in this terminal would take it."""
    if sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()


def guarded(token: str, page: Callable[[str], str]) -> FastAPI:
    """An application that answers only requests of this machine that carry the token, and serves the page at ``/``.

    Args:
        page: the page, given the nonce that its script and style must carry.
    """

    async def check(request: Request) -> None:
        if not from_here(request.headers.get("host"), request.headers.get("origin")):
            raise Failure(
                403, "Forbidden", "The page answers only to localhost or a loopback address, and to itself."
            )
        header = request.headers.get("authorization")
        if request.url.path == "/":
            header = f"Bearer {request.query_params.get('token', '')}"
        if not allowed(header, token):
            raise Failure(
                401, "Unauthorized", "The token is missing or wrong: use the address that was printed."
            )

    async def fail(_: Request, error: Exception) -> Response:
        failure = failure_of(error)
        return Response(failure.body(), failure.status, {**failure.headers, **_HEADERS}, "application/json")

    app = FastAPI(
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(check)],
        exception_handlers={Failure: fail, RankerError: fail, RequestValidationError: fail},
    )

    @app.get("/")
    async def root() -> Response:
        nonce = secrets.token_urlsafe(16)
        return HTMLResponse(page(nonce), headers={**_HEADERS, "Content-Security-Policy": policy(nonce)})

    return app


def policy(nonce: str) -> str:
    """The page's own script and style, requests to its server, and nothing else."""
    return (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def json_reply(body: Any) -> Response:
    return Response(dump_line(body), headers=_HEADERS, media_type="application/json")
