"""Ranker and RULER as processes that rank every group of a file: what both report, and how they are started."""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import Json, peer_python, run_json, versions

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

RankAll = Callable[[Sequence[Any]], Awaitable[Json]]


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two.

    Attributes:
        python: that has it.
        module: what to run.
        answers: the format that its judge must answer in.
        options: of the module.
    """

    python: str
    module: str
    answers: Answers
    options: tuple[str, ...] = ()

    def run(self, groups: Path, judge: JudgeProcess, *, warm_up: int = 0) -> Json:
        """Rank the groups of a file with a judge."""
        limits = ("--in-flight", str(IN_FLIGHT), "--warm-up", str(warm_up))
        arguments = (*self.options, str(groups), "--base-url", judge.base_url, *limits)
        return run_json(self.python, self.module, *arguments)


def ranker_side(*options: str, answers: Answers = "ranking") -> Side:
    return Side(sys.executable, "benchmarks.ruler.ranker_side", answers, options)


def ruler_side(python: Path | str) -> Side:
    return Side(str(python), "benchmarks.ruler.ruler_side", "ruler")


def ruler_python() -> Path:
    """The Python that has RULER, whose dependencies must not mix with ours."""
    return peer_python(f"ruler-{RULER_VERSION}", _RULER_NEEDS, (f"openpipe-art=={RULER_VERSION}",))


def side_options(about: str | None) -> argparse.ArgumentParser:
    """The options that both modules have."""
    options = argparse.ArgumentParser(description=about)
    options.add_argument("groups", type=Path, help="a group file")
    options.add_argument("--base-url", required=True)
    options.add_argument("--in-flight", type=int, default=IN_FLIGHT)
    options.add_argument("--warm-up", type=int, default=0, help="so many groups come first, untimed")
    return options


async def measure(path: Path, warm_up: int, rank_all: RankAll, distributions: Sequence[str]) -> Json:
    """Rank the groups of a file; what `rank_all` reports of those after the warm-up, the time they took, and
    the versions of distributions."""
    groups = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    await rank_all(groups[:warm_up])
    timed = groups[warm_up:]
    gc.collect()
    gc.freeze()  # the input, all of it in memory, is not what is measured
    cpu, started = time.process_time(), time.perf_counter()
    report = await rank_all(timed)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    return {"groups": len(timed), "seconds": seconds, "cpu_seconds": cpu_seconds, **report,
            "versions": versions(*distributions)}  # fmt: skip
