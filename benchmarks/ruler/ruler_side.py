"""RULER's side of the comparison: scores every group of a file, and prints the outcome as JSON.

It runs under the Python that has RULER (openpipe-art) and imports nothing of Ranker. RULER has no
limit of its own on calls in flight; a semaphore around it sets one.
"""

from __future__ import annotations

import asyncio
import importlib
import os
from collections import Counter
from collections.abc import Sequence

from benchmarks.harness import Json, print_json
from benchmarks.ruler.sides import measure, side_options

DISTRIBUTIONS = ("openpipe-art", "litellm", "openai")


async def score_all(groups: Sequence[Json], base_url: str, in_flight: int) -> Json:
    """Scores of each group, or None where RULER raised; and the exceptions by name."""
    ruler = importlib.import_module("art.rewards.ruler").ruler
    slots = asyncio.Semaphore(in_flight)
    errors: Counter[str] = Counter()

    async def score(group: Json) -> list[float] | None:
        members = group["trajectories"]
        async with slots:
            try:
                entries = await ruler(
                    [member["messages"] for member in members],
                    judge_model="openai/sim",
                    extra_litellm_params={"api_base": base_url, "api_key": "none"},
                    tools=members[0].get("tools"),
                )
            except Exception as error:
                errors[type(error).__name__] += 1
                return None
        return [entry.score for entry in entries]

    rewards = await asyncio.gather(*(score(group) for group in groups))
    return {"rewards": rewards, "errors": dict(errors)}


def main() -> None:
    args = side_options(__doc__).parse_args()
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # no look at the network

    async def score(groups: Sequence[Json]) -> Json:
        return await score_all(groups, args.base_url, args.in_flight)

    print_json(lambda: asyncio.run(measure(args.groups, args.warm_up, score, DISTRIBUTIONS)))


if __name__ == "__main__":
    main()
