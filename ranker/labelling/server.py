"""The page's server: on this machine alone, for whoever has the token in the page's address."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Response
from pydantic import BaseModel, Field, StrictInt

from ranker.labelling.order import OrderError, parse_order, render_order
from ranker.labelling.session import Session
from ranker.pages import with_script
from ranker.serving.body import json_route
from ranker.serving.failure import Failure
from ranker.serving.local_page import guarded, json_reply, serve

_BODY = 100_000  # bytes of the largest request


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

    async def until_ended() -> None:
        ended = asyncio.Event()
        if session.ended:
            ended.set()
        await serve(lambda token: application(session, token, ended.set), port, ended, shown=shown)

    asyncio.run(until_ended())


def application(session: Session, token: str, end: Callable[[], None]) -> FastAPI:
    """The ASGI application.

    Args:
        token: what requests must carry.
        end: called when everything is labelled or the person stops.
    """
    app = guarded(token, lambda nonce: with_script(Path(__file__).parent, nonce=nonce))

    @app.get("/state")
    async def state() -> Response:
        session.refresh()
        return json_reply(state_of(session))

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
        return json_reply({**state_of(session), "said": said})

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
        return json_reply({"state": "stopped", "said": "Stopped.", "progress": asdict(session.progress)})

    return router


def state_of(session: Session) -> dict[str, Any]:
    """What the page shows."""
    task = session.current
    common = {"progress": asdict(session.progress), "undo": session.can_undo}
    if task is None:
        return {**common, "state": "done" if session.ended else "waiting"}
    shown = {"task": task.number, "names": task.names, "again": task.again, "view": asdict(task.view)}
    return {**common, **shown, "state": "group"}


@contextmanager
def _room() -> Iterator[Callable[[int], None]]:
    yield lambda _: None
