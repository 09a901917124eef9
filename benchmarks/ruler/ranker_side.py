"""Our side of the comparison: ranks every group of a file, and prints what came of it as JSON."""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.metadata
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.ruler.groups import Fields, load_groups
from ranker import rank_groups_async
from ranker.files import group_from_dict
from ranker.ranked import RankedGroup
from ranker.usage import Usage


@dataclass
class Tally:
    """What came of a run of groups; the groups themselves are let go."""

    rewards: list[list[float] | list[None] | None] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    usage: Usage = field(default_factory=Usage)
    cut_groups: int = 0
    rewards_of_failed_groups: int = 0

    def add(self, ranked: RankedGroup) -> None:
        self.usage += ranked.usage
        self.cut_groups += any(ranked.cut)
        if ranked.error is None:
            self.rewards.append(ranked.rewards)
            return
        self.rewards.append(None)
        self.errors[type(ranked.error).__name__] += 1
        self.rewards_of_failed_groups += any(reward is not None for reward in ranked.rewards)


async def rank_all(groups: Sequence[Fields], base_url: str, in_flight: int, **options: Any) -> Tally:
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
    tally = Tally()
    async for ranked in stream:
        tally.add(ranked)
    return tally


async def measure(
    groups: Sequence[Fields], base_url: str, in_flight: int, warm_up: int, **options: Any
) -> dict[str, Any]:
    await rank_all(groups[:warm_up], base_url, in_flight, **options)
    timed = groups[warm_up:]
    gc.collect()
    gc.freeze()  # the input, all of it in memory, is not what is measured
    cpu, started = time.process_time(), time.perf_counter()
    tally = await rank_all(timed, base_url, in_flight, **options)
    return {
        "groups": len(timed),
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu,
        "rewards": tally.rewards,
        "rewards_of_failed_groups": tally.rewards_of_failed_groups,
        "cut_groups": tally.cut_groups,
        "errors": dict(tally.errors),
        "usage": tally.usage.to_dict(),
        "versions": {name: importlib.metadata.version(name) for name in ("ranker-rl", "openai", "aiohttp")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", type=Path, help="a group file")
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--warm-up", type=int, default=0, help="so many groups come first, untimed")
    parser.add_argument("--cache", default="off", help="a path, or off")
    parser.add_argument("--reward", default="rank")
    parser.add_argument("--passes", type=int, default=1)
    given = parser.parse_args()
    work = measure(
        load_groups(given.groups),
        given.base_url,
        given.in_flight,
        given.warm_up,
        cache=given.cache,
        reward=given.reward,
        passes=given.passes,
    )
    print(json.dumps(asyncio.run(work)))


if __name__ == "__main__":
    main()
