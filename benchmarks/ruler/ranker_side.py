"""Our side of the comparison: ranks every group of a file, and prints the outcome as JSON."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from benchmarks.harness import Json, print_json
from benchmarks.ruler.groups import Fields
from benchmarks.ruler.sides import measure, side_options
from ranker import rank_groups_async
from ranker.trajectory import group_from_dict
from ranker.usage import Usage

DISTRIBUTIONS = ("ranker-rl", "openai", "aiohttp")


async def rank_all(groups: Sequence[Fields], base_url: str, in_flight: int, **options: Any) -> Json:
    """Rank the groups, from the objects of a group file on, failed ones included; the results are let go."""
    stream = rank_groups_async(
        (group_from_dict(fields) for fields in groups),
        "openai/sim",
        base_url=base_url,
        concurrency=in_flight,
        on_error="skip",
        progress=False,
        **options,
    )
    rewards: list[list[float] | list[None] | None] = []
    errors: Counter[str] = Counter()
    usage, cut, rewards_of_failed = Usage(), 0, 0
    async for ranked in stream:
        usage += ranked.usage
        cut += any(ranked.cut)
        if ranked.error is None:
            rewards.append(ranked.rewards)
        else:
            rewards.append(None)
            errors[type(ranked.error).__name__] += 1
            rewards_of_failed += any(reward is not None for reward in ranked.rewards)
    return {
        "rewards": rewards,
        "rewards_of_failed_groups": rewards_of_failed,
        "cut_groups": cut,
        "errors": dict(errors),
        "usage": usage.to_dict(),
    }


def main() -> None:
    parser = side_options(__doc__)
    parser.add_argument("--cache", default="off", help="a path, or off")
    parser.add_argument("--reward", default="rank")
    parser.add_argument("--passes", type=int, default=1)
    args = parser.parse_args()
    options = {"cache": args.cache, "reward": args.reward, "passes": args.passes}

    async def rank(groups: Sequence[Fields]) -> Json:
        return await rank_all(groups, args.base_url, args.in_flight, **options)

    print_json(lambda: asyncio.run(measure(args.groups, args.warm_up, rank, DISTRIBUTIONS)))


if __name__ == "__main__":
    main()
