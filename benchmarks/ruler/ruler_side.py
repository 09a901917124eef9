"""RULER's side of the comparison: scores every group of a file, and prints what came of it as JSON.

It runs under the Python that has RULER (openpipe-art) and imports nothing of Ranker. RULER has no
limit of its own on calls in flight; a semaphore around it sets one.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import importlib.metadata
import json
import os
import sys
import time
from collections import Counter
from contextlib import redirect_stdout
from typing import Any

Group = dict[str, Any]


async def score_all(groups: list[Group], base_url: str, in_flight: int) -> tuple[list[Any], Counter[str]]:
    """Scores of each group, or None where RULER raised; and the exceptions by name."""
    ruler = importlib.import_module("art.rewards.ruler").ruler
    reach = {"api_base": base_url, "api_key": "none"}
    slots = asyncio.Semaphore(in_flight)
    errors: Counter[str] = Counter()

    async def one(group: Group) -> list[float] | None:
        members = group["trajectories"]
        async with slots:
            try:
                found = await ruler(
                    [member["messages"] for member in members],
                    judge_model="openai/sim",
                    extra_litellm_params=reach,
                    tools=members[0].get("tools"),
                )
            except Exception as error:
                errors[type(error).__name__] += 1
                return None
        return [entry.score for entry in found]

    return list(await asyncio.gather(*(one(group) for group in groups))), errors


async def measure(groups: list[Group], base_url: str, in_flight: int, warm_up: int) -> dict[str, Any]:
    await score_all(groups[:warm_up], base_url, in_flight)
    timed = groups[warm_up:]
    gc.collect()
    gc.freeze()  # the input, all of it in memory, is not what is measured
    cpu, started = time.process_time(), time.perf_counter()
    rewards, errors = await score_all(timed, base_url, in_flight)
    return {
        "groups": len(timed),
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu,
        "rewards": rewards,
        "errors": dict(errors),
        "versions": {
            name: importlib.metadata.version(name) for name in ("openpipe-art", "litellm", "openai")
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", help="a group file")
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--warm-up", type=int, default=0, help="so many groups come first, untimed")
    given = parser.parse_args()
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # no look at the network
    with open(given.groups, encoding="utf-8") as file:
        groups = [json.loads(line) for line in file]
    with redirect_stdout(sys.stderr):  # RULER and LiteLLM print remarks
        told = asyncio.run(measure(groups, given.base_url, given.in_flight, given.warm_up))
    print(json.dumps(told))


if __name__ == "__main__":
    main()
