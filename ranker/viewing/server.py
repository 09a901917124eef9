"""The viewer's server: on this machine alone, for whoever has the token in the page's address. It only reads."""

from __future__ import annotations

import asyncio
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from fastapi import FastAPI, Query, Response
from pydantic import BaseModel, Field

from ranker.pages import with_script
from ranker.serving.failure import Failure
from ranker.serving.local_page import guarded, json_reply, serve
from ranker.viewing.export import document
from ranker.viewing.find import Cursor, Filter, Order
from ranker.viewing.records import State
from ranker.viewing.shown import Shown

_FOLDER = Path(__file__).parent
_SWITCH = (
    0.0005  # seconds after which indexing lets a reply go on: each row that sqlite finds would wait for it
)


class Asked(BaseModel):
    """Which groups, as the page's address says it.

    Attributes:
        sort: a leading minus turns the order around.
        value, line: where the last page ended.
    """

    words: str = Field("", max_length=1_000)
    judge: str | None = Field(None, max_length=10_000)
    state: State | None = None
    agreement_low: float | None = None
    agreement_high: float | None = None
    spread_low: float | None = None
    spread_high: float | None = None
    step: int | None = None
    alarm: bool = False
    sort: Literal["file", "agreement", "spread", "step", "-file", "-agreement", "-spread", "-step"] = "file"
    value: float | None = None
    line: int | None = None

    def filter(self, shown: Shown) -> Filter:
        """The filter."""
        order = cast("Order", self.sort.removeprefix("-"))
        found = Filter(
            words=self.words,
            judge=self.judge,
            state=self.state,
            agreement=(self.agreement_low, self.agreement_high),
            spread=(self.spread_low, self.spread_high),
            steps=None if self.step is None else [self.step],
            order=order,
            descending=self.sort.startswith("-"),
        )
        if not self.alarm:
            return found
        steps = shown.steps_of_alarm()
        return replace(found, steps=[s for s in steps if self.step in (None, s)])

    @property
    def after(self) -> Cursor | None:
        return None if self.line is None else (self.value, self.line)


def run(shown: Shown, port: int, *, opened: bool) -> None:
    """Serve the page until Ctrl-C or SIGTERM; print its address first.

    Raises:
        ConfigurationError: the port is taken.
        KeyboardInterrupt: Ctrl-C.
    """

    async def until_ended() -> None:
        ended = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
        if shown.groups is not None:
            sys.setswitchinterval(_SWITCH)
            shown.groups.follow()
        await serve(lambda token: application(shown, token), port, ended, shown=opened)

    asyncio.run(until_ended())


def application(shown: Shown, token: str) -> FastAPI:
    """The ASGI application.

    Args:
        token: what requests must carry.
    """
    app = guarded(token, lambda nonce: with_script(_FOLDER, nonce=nonce, data=None, policy=None))

    # Not async: what reads files is done in threads.
    @app.get("/state")
    def state() -> Response:
        return json_reply(shown.state())

    @app.get("/groups")
    def groups(asked: Annotated[Asked, Query()]) -> Response:
        return json_reply(shown.page(asked.filter(shown), asked.after))

    @app.get("/group/{line}")
    def group(line: int) -> Response:
        card = shown.card(line)
        if card is None:
            raise Failure(404, "NoGroup", f"Line {line} holds no group, or is not indexed yet.")
        return json_reply(card)

    @app.get("/curves")
    def curves() -> Response:
        if shown.curves is None:
            raise Failure(404, "NoRun", "There are no curves: this is no run.")
        shown.curves.read()
        return json_reply(shown.curves.to_dict())

    @app.get("/export")
    def export(asked: Annotated[Asked, Query()], only: int | None = None) -> Response:
        lines: list[Any] = [only] if only is not None else []
        return Response(document(shown, asked.filter(shown), lines), media_type="text/html; charset=utf-8")

    return app
