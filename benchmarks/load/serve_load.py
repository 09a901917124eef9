"""`ranker serve` under load: groups a second, and how long a reply takes.

    python -m benchmarks.load.serve_load --clients 64 --json serve_load.json

The server, the clients and (with `--judge server`) the judge are processes of their own on this machine. The judge
answers at once:

* `function`, the default: a function in the server's process that knows the truth. What is measured is HTTP, reading,
  the turns and the ranking.
* `server`: `ranker.testing.JudgeServer` without latency over HTTP, as an LLM's server would be, and no cache. The
  prompt, the call and reading the verdict come in addition; the judge server shares the cores.

Every group is another one, so that no request is joined to one under way. Each client keeps one connection and sends
its next group when it has its reply.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from benchmarks.harness import add_record, parser, source, write_record
from benchmarks.ruler.groups import small_groups, worth, worths
from benchmarks.ruler.judge_process import judge_process
from ranker import FunctionJudge, Trajectory

WARM = 5  # groups a client sends before the clock starts


def by_case(trajectories: Sequence[Trajectory]) -> list[float]:
    """The instant judge: the hidden truth of each attempt."""
    return [worth(str(t.messages[-1]["content"])) for t in trajectories]


async def _client(
    url: str, groups: Sequence[dict[str, Any]], latencies: list[float], ready: asyncio.Barrier
) -> None:
    import aiohttp

    async with aiohttp.ClientSession(headers={"Content-Type": "application/json"}) as session:
        for place, (body, best) in enumerate([(json.dumps(g).encode(), _best(g)) for g in groups]):
            if place == WARM:
                await ready.wait()
            since = time.perf_counter()
            async with session.post(url + "/rank", data=body) as response:
                reply = await response.json()
            if response.status != 200 or reply["rewards"][best] != 1.0:
                raise RuntimeError(f"HTTP {response.status}: {reply}")
            if place >= WARM:
                latencies.append(time.perf_counter() - since)


def _best(group: dict[str, Any]) -> str:
    truth = worths(group)
    return str(truth.index(max(truth)))


async def load(url: str, clients: int, groups: int, size: int) -> dict[str, float]:
    """Send `groups` groups to a server from `clients` connections at once; what they saw."""
    each = math.ceil(groups / clients)
    latencies: list[float] = []
    ready = asyncio.Barrier(clients + 1)
    every = small_groups(clients * (each + WARM), size)
    shares = [every[c::clients] for c in range(clients)]
    tasks = [asyncio.create_task(_client(url, share, latencies, ready)) for share in shares]
    gate = asyncio.ensure_future(ready.wait())
    await asyncio.wait([gate, *tasks], return_when=asyncio.FIRST_COMPLETED)
    since = time.perf_counter()
    await asyncio.gather(*tasks)
    seconds = time.perf_counter() - since
    latencies.sort()
    return {
        "groups": len(latencies),
        "seconds": round(seconds, 3),
        "groups_per_second": round(len(latencies) / seconds, 1),
        "p50_ms": round(1e3 * latencies[len(latencies) // 2], 2),
        "p99_ms": round(1e3 * latencies[min(len(latencies) - 1, int(len(latencies) * 0.99))], 2),
        "most_ms": round(1e3 * latencies[-1], 2),
    }


@contextmanager
def _server(judge: str, concurrency: int) -> Iterator[str]:
    """The address of a server process."""
    with ExitStack() as stack:
        if judge == "function":
            words = ["-m", "benchmarks.load.serve_load", "--serve", "--concurrency", str(concurrency)]
        else:
            at = stack.enter_context(judge_process("ranking")).base_url
            words = ["-m", "ranker", "serve", "--judge", "sim", "--base-url", at, "--port", "0"]
            words += ["--concurrency", str(concurrency)]
        process = subprocess.Popen(
            [sys.executable, *words],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "RANKER_CACHE": "off"},
        )
        assert process.stderr is not None
        try:
            address = None
            while address is None:
                line = process.stderr.readline()
                if not line:
                    raise RuntimeError("The server did not start.")
                address = re.search(r" at (http://\S+) ", line)
            yield address.group(1)
        finally:
            process.terminate()
            process.wait(30)
            process.stderr.close()


def _serve(concurrency: int) -> None:
    """The server process with the judge in it."""
    from ranker.serving import Limits, Listening, Service, run
    from ranker.serving.metrics import Metrics

    async def main() -> None:
        service = Service(FunctionJudge(by_case), Metrics(), Limits(concurrency=concurrency))
        await run(service, None, Listening(port=0), lambda text: print(text, file=sys.stderr, flush=True))

    asyncio.run(main())


def main() -> None:
    module = "benchmarks.load.serve_load"
    options = parser(module, __doc__)
    options.add_argument("--clients", type=int, default=64)
    options.add_argument("--groups", type=int, default=6_000, help="in all, beyond the warm-up")
    options.add_argument("--size", type=int, default=8, help="attempts in a group")
    options.add_argument("--judge", choices=("function", "server"), default="function")
    options.add_argument("--concurrency", type=int, default=64)
    add_record(options)
    options.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = options.parse_args()
    if args.serve:
        _serve(args.concurrency)
        return
    with _server(args.judge, args.concurrency) as url:
        figures = asyncio.run(load(url, args.clients, args.groups, args.size))
    setting = {"judge": args.judge, "clients": args.clients, "size": args.size}
    record = {**source(module), **setting, **figures}
    write_record(args.json, record)


if __name__ == "__main__":
    main()
