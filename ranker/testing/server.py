"""The HTTP side of the simulated judge."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

from ranker.prompting.images import words_of
from ranker.testing.faults import FAULTS, completion, failure
from ranker.testing.simulated import Behaviour, Truth, answer, shows_attempts
from ranker.trajectory import TrajectoryGroup

Dress = Literal["plain", "fenced", "think", "prose"]
# Loop iterations until aiohttp has registered a newly accepted connection; it leaks younger ones on cleanup.
_ACCEPTING = 5
_DRESSES: dict[str, str] = {
    "plain": "{reply}",
    "fenced": "```json\n{reply}\n```",
    "think": "<think>\nThe ranking could be [[]] or {{...}}.\n</think>\n\n{reply}",
    "prose": "Here is my verdict:\n\n{reply}\n\nI hope this helps!",
}


@dataclass
class JudgeServer:
    """An OpenAI-compatible server on loopback whose model ranks by a hidden truth.

    Use it as a context manager; it runs in its own thread.

    Args:
        source: groups with ground truth, or a function from the text of a block to its truth.
        turns: with a function, another from the text of a block to what each of its turns is worth; of groups, that stands
            in ``metadata["turn_truths"]`` of the trajectories.
        behaviour: noise, biases and ties of the judge.
        faults: fraction of requests with each fault, by name (see `FAULTS`); the sum is at most 1.
        latency: seconds before each reply.
        dress: how the reply is wrapped: fenced code, a `<think>` prefix, prose around it.
        formats: supported response formats; the server answers 400 to others.
        api_key: the required API key, if any.
        model: the only model name accepted; None accepts any.
        window: context window in tokens of 4 characters; longer prompts get an error.
        cuts_at: maximum prompt tokens reported, as if longer prompts were silently truncated.
        seed: seed of the faults, which are drawn in order of arrival.
        keep_prompts: whether to store the messages of every request.
        port: port to listen on; 0 chooses a free one.

    Attributes:
        requests: chat requests received.
        counts: number of requests that showed attempts by outcome: "ok" or the name of the fault.
        prompts: the messages of every request, with `keep_prompts`.
    """

    source: Iterable[TrajectoryGroup] | Callable[[str], float]
    behaviour: Behaviour = field(default_factory=Behaviour)
    faults: Mapping[str, float] = field(default_factory=dict)
    latency: float = 0.0
    dress: Dress = "plain"
    formats: tuple[str, ...] = ("json_schema", "json_object", "text")
    api_key: str | None = None
    model: str | None = None
    window: int | None = None
    cuts_at: int | None = None
    seed: int = 0
    keep_prompts: bool = False
    port: int = 0
    turns: Callable[[str], Sequence[float]] | None = None

    def __post_init__(self) -> None:
        unknown = set(self.faults) - FAULTS.keys()
        if unknown or sum(self.faults.values()) > 1 + 1e-9:
            raise ValueError(f"faults must be fractions of {', '.join(FAULTS)} that add up to at most 1")
        self.truth = Truth(self.source, self.turns)
        self.requests = 0
        self.counts: Counter[str] = Counter()
        self.prompts: list[list[dict[str, Any]]] = []
        self._rng = random.Random(self.seed)  # noqa: S311 - simulation
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def app(self) -> web.Application:
        """The aiohttp application, for serving it elsewhere."""
        app = web.Application(client_max_size=1 << 28)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._models)
        return app

    def __enter__(self) -> JudgeServer:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the judge server did not start")
        return self

    def __exit__(self, *exc: object) -> None:
        if self._loop is not None and self._stop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread is not None:
            self._thread.join(10)
        self._ready.clear()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        runner = web.AppRunner(self.app(), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        await web.SockSite(runner, listener).start()
        self.port = listener.getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        self._loop.remove_reader(listener)
        for _ in range(_ACCEPTING):
            await asyncio.sleep(0)
        await runner.cleanup()

    async def _models(self, request: web.Request) -> web.Response:
        model: dict[str, Any] = {"id": self.model or "sim", "object": "model"}
        return web.json_response({"object": "list", "data": [model]})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        due = time.monotonic() + self.latency
        body = await request.json()
        self.requests += 1
        messages = body["messages"]
        if self.keep_prompts:
            self.prompts.append(messages)
        refused = self._refusal(request, body)
        if refused is not None:
            self.counts["refused"] += 1
            return refused
        if not shows_attempts(messages):
            return completion("Hello.", model=body["model"])
        fault = self._draw()
        try:
            ids, reply = answer(messages, self.truth, self.behaviour)
        except KeyError as error:
            self.counts["unknown"] += 1
            return failure(400, f"sim: {error}")
        if self.latency:
            await asyncio.sleep(due - time.monotonic())  # since arrival, including its own processing time
        self.counts[fault or "ok"] += 1
        if fault is not None:
            return await FAULTS[fault](request, ids, reply)
        size = sum(len(words_of(m["content"])) for m in messages) // 4
        size = min(size, self.cuts_at or size)
        return completion(_DRESSES[self.dress].format(reply=reply), prompt=size, model=body["model"])

    def _draw(self) -> str | None:
        point = self._rng.random()
        for name, fraction in self.faults.items():
            if point < fraction:
                return name
            point -= fraction
        return None

    def _unauthorized(self, request: web.Request) -> web.Response | None:
        if self.api_key is None or request.headers.get("Authorization") == f"Bearer {self.api_key}":
            return None
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return failure(401, f"Incorrect API key provided: {key}")

    def _refusal(self, request: web.Request, body: dict[str, Any]) -> web.Response | None:
        unauthorized = self._unauthorized(request)
        if unauthorized is not None:
            return unauthorized
        if self.model is not None and body["model"] != self.model:
            return failure(404, f"The model {body['model']!r} does not exist")
        format_ = body.get("response_format", {}).get("type", "text")
        if format_ not in self.formats:
            return failure(400, f"response_format {format_} is not supported")
        size = sum(len(words_of(m["content"])) for m in body["messages"]) // 4
        if self.window is not None and size > self.window:
            return failure(400, f"This model's maximum context length is {self.window} tokens, got {size}")
        return None
