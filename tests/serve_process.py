"""`ranker serve` as a process on a free loopback port, and a client for it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from ranker import TrajectoryGroup


def body_of(group: TrajectoryGroup, **more: Any) -> dict[str, Any]:
    members = [{"id": t.id, "messages": list(t.messages)} for t in group.trajectories]
    return {"id": group.id, "trajectories": members, **more}


@dataclass
class Reply:
    status: int
    headers: Any
    raw: bytes

    @property
    def told(self) -> Any:
        return json.loads(self.raw)

    @property
    def error(self) -> str:
        return str(self.told["error"]["type"])


@dataclass
class Served:
    process: subprocess.Popen[str]
    url: str
    said: list[str] = field(default_factory=list)

    async def ask(self, method: str, path: str, *, seconds: float = 120.0, **request: Any) -> Reply:
        timeout = aiohttp.ClientTimeout(total=seconds)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(method, self.url + path, **request) as response,
        ):
            return Reply(response.status, response.headers, await response.read())

    async def rank(self, body: Any, *, seconds: float = 120.0, **request: Any) -> Reply:
        return await self.ask("POST", "/rank", json=body, seconds=seconds, **request)

    async def metric(self, name: str) -> float:
        """The sum of a metric's samples, whatever their labels."""
        text = (await self.ask("GET", "/metrics")).raw.decode()
        found = re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE)
        return sum(map(float, found))

    async def until(self, name: str, value: float) -> None:
        while await self.metric(name) != value:
            await asyncio.sleep(0.02)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self) -> int:
        return await asyncio.to_thread(self.process.wait, 120)


def command(*args: object) -> list[str]:
    return [sys.executable, "-m", "ranker", "serve", "--port", "0", *map(str, args)]


@contextmanager
def served(*args: object, files: int | None = None, **env: str) -> Iterator[Served]:
    """A server, started with these arguments, that may have so many files open; killed at the end where it still runs."""
    limit = [] if files is None else ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh"]
    process = subprocess.Popen(
        [*limit, *command(*args)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "RANKER_CACHE": "off", **env},
    )
    assert process.stderr is not None
    said: list[str] = []
    try:
        found = None
        while found is None:
            line = process.stderr.readline()
            assert line, f"it ended: {''.join(said)}"
            said.append(line)
            found = re.search(r" at (http://\S+) ", line)
        reader = threading.Thread(target=lambda: said.extend(process.stderr or ()), daemon=True)
        reader.start()
        yield Served(process, found.group(1), said)
    finally:
        process.kill()
        process.wait()
        if "reader" in locals():
            reader.join(10)
        process.stderr.close()


def refused(*args: object, **env: str) -> subprocess.CompletedProcess[str]:
    """A start that must fail."""
    return subprocess.run(
        command(*args), capture_output=True, text=True, timeout=120, env={**os.environ, **env}, check=False
    )
