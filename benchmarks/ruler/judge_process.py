"""A judge server in a process of its own, so that it does not slow the client it is measured with.

    with judge_process("ranking", latency=0.2) as judge:
        ... judge.base_url ...
        judge.stats()

It listens on loopback, writes its port as its first line, and ends when its standard input closes.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from aiohttp import web
from aiohttp.typedefs import Handler

from benchmarks.ruler.groups import worth
from benchmarks.ruler.score_server import RulerServer, ScoreServer
from ranker.testing import Behaviour, JudgeServer

Answers = Literal["ranking", "scores", "ruler"]
"""What it answers in: our ranking (`ranker.testing.JudgeServer`), our scores, or RULER's scores."""


@dataclass(frozen=True, slots=True)
class JudgeProcess:
    port: int

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def stats(self) -> dict[str, Any]:
        """`requests`, `counts` (how each was answered) and `cpu_seconds` of the server so far; with `capture` also
        `bodies`, those of the chat requests."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/process", timeout=60) as response:
            return dict(json.load(response))


@contextmanager
def judge_process(
    answers: Answers,
    *,
    latency: float = 0.0,
    faults: Mapping[str, float] | None = None,
    bias: float = 0.0,
    capture: bool = False,
    seed: int = 0,
) -> Iterator[JudgeProcess]:
    """Run a judge server that answers `latency` seconds after a request came; `faults` and `seed` are
    those of `JudgeServer` and `ScoreServer`, `bias` is how much it favours what is shown first."""
    settings = {"answers": answers, "latency": latency, "faults": dict(faults or {}), "bias": bias,
                "capture": capture, "seed": seed}  # fmt: skip
    command = [sys.executable, "-m", "benchmarks.ruler.judge_process", json.dumps(settings)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line.strip():
                raise RuntimeError("the judge server did not start")
            yield JudgeProcess(int(line))
        finally:
            process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


async def serve(
    *, answers: Answers, latency: float, faults: Mapping[str, float], bias: float, capture: bool, seed: int
) -> None:
    """Serve until standard input ends."""
    server = JudgeServer if answers == "ranking" else RulerServer if answers == "ruler" else ScoreServer
    judge = server(worth, Behaviour(position_bias=bias), faults=faults, seed=seed)
    bodies: list[str] = []

    @web.middleware
    async def keep(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method == "POST":
            bodies.append(await request.text())
        return await handler(request)

    @web.middleware
    async def hold(request: web.Request, handler: Handler) -> web.StreamResponse:
        # The time the simulation itself takes is part of the latency, not added to it.
        due = time.monotonic() + latency
        response = await handler(request)
        await asyncio.sleep(due - time.monotonic())
        return response

    async def send_process(request: web.Request) -> web.Response:
        usage = {"requests": judge.requests, "counts": dict(judge.counts), "cpu_seconds": time.process_time()}
        return web.json_response({**usage, "bodies": bodies})

    app = judge.app()
    app.middlewares.extend([keep] * capture + [hold] * bool(latency))
    app.router.add_get("/process", send_process)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(**json.loads(sys.argv[1])))
