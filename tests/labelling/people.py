"""Group files for people to rank, and `ranker label` as a process."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from ranker.labelling.order import shuffled
from tests.local_page import command, served

TRUTHS = ("t0", "t1", "t2", "t3")


def group(i: int, n: int = 4, **more: Any) -> dict[str, Any]:
    """A group whose attempt k is the k-th best: its id, its truth and its metadata say so, its text says it in words."""
    question = {"role": "user", "content": f"Question {i}: which number?"}
    return {
        "id": f"g{i}",
        "trajectories": [
            {
                "id": f"secret-{k}",
                "messages": [question, {"role": "assistant", "content": f"It is number <{k}> of {i}."}],
                "ground_truth": (k * 7 % n) / n,
                "metadata": {"hidden": f"hush-{k}"},
            }
            for k in range(n)
        ],
        **more,
    }


def write(path: Path, groups: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(g) + "\n" for g in groups))
    return path


def right(i: int, n: int = 4, seed: int = 0, *, again: bool = False) -> str:
    """What a person types who orders the attempts of group i by their numbers."""
    shown = shuffled(n, seed, f"g{i}", again=again)
    return ">".join("ABCDEFGH"[shown.index(k)] for k in range(n))


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def label(source: Path, out: Path, typed: str, *args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("label", source, "--out", out, *args),
        input=typed, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "COLUMNS": "200", "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip


@dataclass
class Page:
    process: subprocess.Popen[str]
    address: str

    @property
    def base(self) -> str:
        return self.address.partition("?")[0]

    @property
    def token(self) -> str:
        return self.address.partition("token=")[2]

    async def ask(
        self, method: str, path: str, *, token: str | None = None, **request: Any
    ) -> tuple[int, Any, Any]:
        """Status, headers and body (JSON where it is)."""
        headers = {"Authorization": f"Bearer {token or self.token}", **request.pop("headers", {})}
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session,
            session.request(method, self.base + path, headers=headers, **request) as reply,
        ):
            raw = await reply.read()
            is_json = reply.headers.get("content-type") == "application/json"
            return reply.status, reply.headers, json.loads(raw) if is_json else raw.decode()

    async def get(self) -> Any:
        return (await self.ask("GET", "state"))[2]

    async def post(self, path: str, **body: Any) -> tuple[int, Any]:
        status, _, told = await self.ask("POST", path, json=body)
        return status, told


@contextmanager
def page(source: Path, out: Path, *args: object) -> Iterator[Page]:
    with served("label", source, "--out", out, "--browser", "--no-open", *args) as (process, address):
        yield Page(process, address)
