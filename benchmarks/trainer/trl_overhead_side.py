"""TRL's side of `trl_overhead`: takes steps with one kind of reward function and prints their times as JSON.

It runs under the Python that has TRL. What Ranker needs beyond that may lie in folders named by `--also`; they
come after the Python's own.
"""

from __future__ import annotations

import argparse
import math
import site
from typing import Any

from benchmarks.harness import Json, print_json, versions
from benchmarks.trainer import speed_model
from benchmarks.trainer.speed_model import Work
from benchmarks.trainer.trl_runs import DISTRIBUTIONS, plain_reward, silence, train

KINDS = ("plain", "function", "server")


def by_reward(trajectories: Any) -> list[float]:
    """A judge in this process that ranks by the plain reward."""
    return [speed_model.reward(trajectory.messages[-1]["content"]) for trajectory in trajectories]


def reward_of(kind: str, base_url: str | None) -> Any:
    """The reward function of a kind."""
    if kind == "plain":
        return plain_reward
    from ranker.integrations.trl import rank_reward

    if kind == "function":
        return rank_reward(by_reward)
    return rank_reward("sim", base_url=base_url, cache="off")


def measure(work: Work, reward: Any) -> Json:
    """Seconds of the timed steps."""
    trainer, seconds = train(work, reward)
    unrewarded = sum(math.isnan(value) for values in trainer._logs["rewards"].values() for value in values)
    if unrewarded:
        raise RuntimeError(f"{unrewarded} completions have no reward")
    return {"step_seconds": seconds[work.warm_up :], "versions": versions(*DISTRIBUTIONS)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    speed_model.add_work(parser)
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--base-url", help="the judge's, for the kind `server`")
    parser.add_argument("--also", action="append", default=[], help="a folder with packages")
    args = parser.parse_args()
    for folder in args.also:
        site.addsitedir(folder)
    silence()
    print_json(lambda: measure(speed_model.work_of(args), reward_of(args.kind, args.base_url)))


if __name__ == "__main__":
    main()
