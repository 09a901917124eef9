"""Ranker and RULER as processes that rank every group of a file.

A side runs under the Python that has it, RULER's without anything of Ranker.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import Json, peer_python, print_json, run_json, versions

if TYPE_CHECKING:
    from benchmarks.ruler.judge_process import Answers, JudgeProcess

IN_FLIGHT = 64
RULER_VERSION = "0.5.18"
# What `art.rewards.ruler` imports, within the limits openpipe-art names; its trainer needs far more.
# LiteLLM 1.82.7 and 1.82.8, malicious releases, lie above those limits.
_RULER_NEEDS = (
    "litellm>=1.71.1,<=1.82.0", "openai>=2.14", "polars>=1.26", "python-dotenv", "httpx", "pydantic", "rich",
    "tqdm", "typer>=0.15.2", "weave>=0.52.24", "tblib>=3", "nest-asyncio>=1.6", "setproctitle>=1.3.6",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two.

    Attributes:
        name: "ranker" or "ruler".
        python: that has it.
        answers: the format that its judge must answer in.
        options: of `rank_groups_async`.
    """

    name: str
    python: str
    answers: Answers
    options: Json = field(default_factory=dict)

    def run(self, groups: Path, judge: JudgeProcess, *, warm_up: int = 0) -> Json:
        """Rank the groups of a file with a judge; the first `warm_up` come untimed."""
        return run_json(self.python, "benchmarks.ruler.sides", side=self.name, path=str(groups),
                        base_url=judge.base_url, warm_up=warm_up, options=self.options)  # fmt: skip


def ranker_side(answers: Answers = "ranking", **options: Any) -> Side:
    return Side("ranker", sys.executable, answers, options)


def ruler_side(python: Path | str) -> Side:
    return Side("ruler", str(python), "ruler")


def ruler_python() -> Path:
    """The Python that has RULER, whose dependencies must not mix with ours."""
    return peer_python(f"ruler-{RULER_VERSION}", _RULER_NEEDS, (f"openpipe-art=={RULER_VERSION}",))


async def by_ranker(groups: Sequence[Json], base_url: str, **options: Any) -> Json:
    """Rank the groups, from the objects of a group file on, failed ones included; the results are let go."""
    from ranker import rank_groups_async
    from ranker.trajectory import group_from_dict
    from ranker.usage import Usage

    stream = rank_groups_async(
        map(group_from_dict, groups),
        "openai/sim",
        base_url=base_url,
        concurrency=IN_FLIGHT,
        on_error="skip",
        progress=False,
        **{"cache": "off", **options},
    )
    rewards: list[list[float] | list[None] | None] = []
    errors: Counter[str] = Counter()
    usage, cut, rewards_of_failed = Usage(), 0, 0
    async for ranked in stream:
        usage += ranked.usage
        cut += any(ranked.cut)
        rewards.append(None if ranked.error else ranked.rewards)
        if ranked.error is not None:
            errors[type(ranked.error).__name__] += 1
            rewards_of_failed += any(reward is not None for reward in ranked.rewards)
    return {
        "rewards": rewards,
        "rewards_of_failed_groups": rewards_of_failed,
        "cut_groups": cut,
        "errors": dict(errors),
        "usage": usage.to_dict(),
    }


async def by_ruler(groups: Sequence[Json], base_url: str) -> Json:
    """Scores of each group, or None where RULER raised; and the exceptions by name.

    RULER has no limit of its own on calls in flight; a semaphore around it sets one.
    """
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # no look at the network
    ruler = importlib.import_module("art.rewards.ruler").ruler
    slots = asyncio.Semaphore(IN_FLIGHT)
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

    rewards = await asyncio.gather(*map(score, groups))
    return {"rewards": rewards, "errors": dict(errors)}


_SIDES = {
    "ranker": (by_ranker, ("ranker-rl", "openai", "aiohttp")),
    "ruler": (by_ruler, ("openpipe-art", "litellm", "openai")),
}


async def measure(side: str, path: str, base_url: str, warm_up: int, options: Json) -> Json:
    """Rank the groups of a file; what the side reports of those after the warm-up, the time they took, and versions."""
    rank_all, distributions = _SIDES[side]
    groups = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
    await rank_all(groups[:warm_up], base_url, **options)
    timed = groups[warm_up:]
    gc.collect()
    gc.freeze()  # the input, all of it in memory, is not what is measured
    cpu, started = time.process_time(), time.perf_counter()
    report = await rank_all(timed, base_url, **options)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    return {"groups": len(timed), "seconds": seconds, "cpu_seconds": cpu_seconds, **report,
            "versions": versions(*distributions)}  # fmt: skip


if __name__ == "__main__":
    print_json(lambda **settings: asyncio.run(measure(**settings)))
