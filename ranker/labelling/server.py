"""The page's server: on this machine alone, for whoever has the token in the page's address."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jinja2
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field, StrictInt

from ranker.errors import RankerError
from ranker.jsonl.group_file import dump_line
from ranker.labelling.order import OrderError, parse_order, render_order
from ranker.labelling.session import Session
from ranker.serving.body import json_route
from ranker.serving.failure import Failure, failure_of
from ranker.serving.run import Listening, SilentServer, bind
from ranker.serving.token import allowed, from_here

_BODY = 100_000  # bytes of the largest request
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class About(BaseModel):
    """The task that a request is about: it may be answered already, in another window."""

    task: StrictInt


class Answer(About):
    order: str = Field(max_length=10_000)


def run(session: Session, port: int, *, shown: bool) -> None:
    """Serve the page until everything is labelled or the person stops; print its address first.

    Raises:
        ConfigurationError: the port is taken.
        KeyboardInterrupt: Ctrl-C.
    """
    asyncio.run(_serve(session, port, shown=shown))


async def _serve(session: Session, port: int, *, shown: bool) -> None:
    token = secrets.token_urlsafe(24)
    ended = asyncio.Event()
    server = SilentServer(application(session, token, ended.set))
    with bind(Listening(port=port)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/?token={token}"
        serving = asyncio.create_task(server.serve([listener]))
        try:
            print(address, flush=True)  # noqa: T201 - what the command is asked for
            if shown:
                _open(address)
            if not session.ended:
                await ended.wait()
        finally:
            server.should_exit = True
            await serving


def _open(address: str) -> None:
    """Open a browser with windows, where there may be one; one in this terminal would take it."""
    if sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()


def application(session: Session, token: str, end: Callable[[], None]) -> FastAPI:
    """The ASGI application.

    Args:
        token: what requests must carry.
        end: called when everything is labelled or the person stops.
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
    async def page() -> Response:
        nonce = secrets.token_urlsafe(16)
        return HTMLResponse(page_of(nonce), headers={**_HEADERS, "Content-Security-Policy": policy(nonce)})

    @app.get("/state")
    async def state() -> Response:
        session.refresh()
        return _json(state_of(session))

    app.include_router(_answers(session, end))
    return app


def _answers(session: Session, end: Callable[[], None]) -> APIRouter:
    """The routes that change something."""
    router = APIRouter(route_class=json_route(_BODY, _room, nullcontext))

    def current(about: About) -> Any:
        task = session.current
        if task is None or task.number != about.task:
            raise Failure(409, "Answered", "This group was answered already, perhaps in another window.")
        return task

    def changed(said: str) -> Response:
        if session.ended:
            end()
        return _json({**state_of(session), "said": said})

    @router.post("/order")
    async def order(answer: Answer) -> Response:
        task = current(answer)
        try:
            tiers = parse_order(answer.order, task.names)
        except OrderError as error:
            raise Failure(400, "OrderError", str(error)) from None
        session.label(tiers)
        return changed(f"Saved {render_order(tiers, task.names)}.")

    @router.post("/skip")
    async def skip(about: About) -> Response:
        current(about)
        session.skip()
        return changed("Skipped.")

    @router.post("/undo")
    async def undo() -> Response:
        return changed("Taken back." if session.undo() else "Nothing was answered in this session yet.")

    @router.post("/stop")
    async def stop() -> Response:
        end()
        return _json({"state": "stopped", "said": "Stopped.", "progress": asdict(session.progress)})

    return router


def state_of(session: Session) -> dict[str, Any]:
    """What the page shows."""
    task = session.current
    common = {"progress": asdict(session.progress), "undo": session.can_undo}
    if task is None:
        return {**common, "state": "done" if session.ended else "waiting"}
    shown = {"task": task.number, "names": task.names, "again": task.again, "view": asdict(task.view)}
    return {**common, **shown, "state": "group"}


def policy(nonce: str) -> str:
    """The page's own script and style, requests to its server, and nothing else."""
    return (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def page_of(nonce: str) -> str:
    """The page; what it shows comes from /state."""
    env = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True)
    return env.get_template("page.html.j2").render(nonce=nonce)


@contextmanager
def _room() -> Iterator[Callable[[int], None]]:
    yield lambda _: None


def _json(body: Any) -> Response:
    return Response(dump_line(body), headers=_HEADERS, media_type="application/json")
