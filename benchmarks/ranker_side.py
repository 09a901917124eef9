"""Our side of the comparison: ranks every group of a file, and prints what came of it as JSON."""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ranker.benchmarks.beside_groups import Fields, load_groups

from ranker import rank_groups_async
from ranker.files import group_from_dict
from ranker.ranked import RankedGroup
from ranker.usage import Usage


async def rank_all(
    groups: Sequence[Fields], base_url: str, in_flight: int, **options: Any
) -> list[RankedGroup]:
    """Rank the groups, from the objects of a group file on, failed ones included."""
    made = (group_from_dict(fields) for fields in groups)
    stream = rank_groups_async(
        made,
        "openai/sim",
        base_url=base_url,
        concurrency=in_flight,
        on_error="skip",
        progress=False,
        **options,
    )
    return [ranked async for ranked in stream]


async def measure(
    groups: Sequence[Fields], base_url: str, in_flight: int, warm_up: int, **options: Any
) -> dict[str, Any]:
    await rank_all(groups[:warm_up], base_url, in_flight, **options)
    timed = groups[warm_up:]
    cpu, started = time.process_time(), time.perf_counter()
    ranked = await rank_all(timed, base_url, in_flight, **options)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    errors = Counter(type(r.error).__name__ for r in ranked if r.error is not None)
    made_up = sum(r.error is not None and any(x is not None for x in r.rewards) for r in ranked)
    return {
        "groups": len(timed),
        "seconds": seconds,
        "cpu_seconds": cpu,
        "rewards": [None if r.error is not None else r.rewards for r in ranked],
        "rewards_of_failed_groups": made_up,
        "cut_groups": sum(any(r.cut) for r in ranked),
        "errors": dict(errors),
        "usage": sum((r.usage for r in ranked), Usage()).to_dict(),
        "versions": {name: importlib.metadata.version(name) for name in ("ranker-rl", "openai")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", type=Path, help="a group file")
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--warm-up", type=int, default=0, help="so many groups come first, untimed")
    parser.add_argument("--cache", default="off", help="a path, or off")
    parser.add_argument("--reward", default="rank")
    given = parser.parse_args()
    work = measure(
        load_groups(given.groups),
        given.base_url,
        given.in_flight,
        given.warm_up,
        cache=given.cache,
        reward=given.reward,
    )
    print(json.dumps(asyncio.run(work)))


if __name__ == "__main__":
    main()
