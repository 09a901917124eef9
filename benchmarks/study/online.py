"""The reward of an arm, and an online run with it."""

from __future__ import annotations

import contextlib
import copy
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np

from benchmarks.study import judges
from benchmarks.study.attempts import examine, examined_start, last_reply, reference, truths_of
from benchmarks.study.plan import Arm, JudgeSpec, Unit
from grpo.advantages import deviation
from grpo.config_file import read_settings
from grpo.demo import quick
from grpo.trainer import GRPOTrainer
from ranker import Debiaser, RankedGroup, Trajectory, TrajectoryGroup, rank_group
from ranker.debias.edits import chosen

COVARIATES = ("length", "position")  # of the debiased arms
FIRST = 10  # steps whose groups' deviations are kept
Rewards = RankedGroup | list[float]
RewardFunction = Callable[[TrajectoryGroup], Rewards]


def noise_of(spec: JudgeSpec) -> float:
    """The deviation of a judge's random error."""
    if spec.accuracy is None:
        return 0.0
    return judges.calibrate(judges.differences(truths_of(reference())), spec.accuracy)


def finite(noise: float) -> float | None:
    """As JSON can hold it: None where nothing but noise is seen."""
    return None if math.isinf(noise) else round(noise, 6)


@contextlib.contextmanager
def rewards(arm: Arm, seed: int) -> Iterator[RewardFunction]:
    """The reward function of an arm: the checker, or a judge over HTTP for as long as the context lasts."""
    spec = arm.judge
    if spec is None:
        yield partial(truth, arm=arm)
        return
    with judges.server(spec, noise_of(spec), seed) as server:

        def ranked(group: TrajectoryGroup) -> RankedGroup:
            return rank_group(
                group,
                "openai/simulated",
                quick.RUBRIC,
                base_url=server.base_url,
                cache="off",
                seed=seed,
                passes=spec.passes,
                reward=spec.reward,
                # of this group alone: the trainer weighs a step's groups together
                debiaser=debiaser(spec, seed),
            )

        yield ranked


def debiaser(spec: JudgeSpec, seed: int) -> Debiaser | None:
    """For the rewards of a judge; None where they are as it gives them."""
    return Debiaser(COVARIATES, chosen(spec.edits), seed=seed) if spec.reward == "debiased" else None


def graded(trajectory: Trajectory, metadata: Mapping[str, Any], arm: Arm) -> float:
    """The ground truth of an arm."""
    value = float(quick.checker(trajectory, metadata))
    return value + arm.detail * judges.detail(last_reply(trajectory)) if arm.detail else value


def truth(group: TrajectoryGroup, arm: Arm) -> list[float]:
    """The checker as a reward function."""
    return [graded(t, group.metadata, arm) for t in group.trajectories]


class Spreads:
    """A reward function that keeps, of the first groups, how far their rewards and their truths are apart."""

    def __init__(self, function: RewardFunction, arm: Arm, groups: int):
        self._function, self._arm, self._groups = function, arm, groups
        self._lock = threading.Lock()
        self._deviations: dict[int, tuple[float, float]] = {}

    def __call__(self, group: TrajectoryGroup) -> Rewards:
        ranked = self._function(group)
        index = int(group.id or 0)  # rows have no id of their own: it is the group's number
        if index < self._groups:
            with self._lock:
                self._deviations[index] = (
                    deviation(_array(truth(group, self._arm))),
                    deviation(_array(values_of(ranked))),
                )
        return ranked

    def means(self) -> tuple[float | None, float | None]:
        """Mean deviation of truths, and of rewards."""
        spreads = [self._deviations[i] for i in sorted(self._deviations)]
        if not spreads:
            return None, None
        of_truth, of_reward = zip(*spreads, strict=True)
        return round(math.fsum(of_truth) / len(spreads), 6), round(math.fsum(of_reward) / len(spreads), 6)


def values_of(ranked: Rewards) -> list[float | None]:
    """One reward for each attempt."""
    return list(ranked.rewards if isinstance(ranked, RankedGroup) else ranked)


def _array(values: Sequence[float | None]) -> Any:
    return np.array(values, dtype=np.float64)


def train(unit: Unit) -> dict[str, Any]:
    arm = unit.arm
    base = read_settings("quick").config
    changes: dict[str, Any] = {**arm.settings, "max_steps": unit.steps, "seed": unit.seed, "save_steps": 0}
    debiased = arm.judge is not None and arm.judge.reward == "debiased"
    if debiased:
        changes["scale_rewards"] = "batch"
    config = replace(base, **changes)
    model, tokenizer = quick.policy()
    start = copy.deepcopy(model)
    with rewards(arm, unit.seed) as function:
        spreads = Spreads(function, arm, FIRST * config.groups_per_step)
        trainer = GRPOTrainer(
            model,
            tokenizer=tokenizer,
            dataset=quick.rows(),
            reward_fn=spreads,
            rollout=quick.rollout,
            checker=partial(graded, arm=arm),
            config=config,
        )
        history = trainer.train()
    after = examine((model, tokenizer), start, unit.seed)
    of_truth, of_reward = spreads.means()
    return {
        "noise": finite(noise_of(arm.judge)) if arm.judge else 0.0,
        "before": asdict(examined_start(unit.seed)),
        "after": asdict(after),
        "curve": column(history, "ground_truth_mean"),
        "judge_accuracy": column(history, "judge_accuracy"),
        "grad_norm": column(history, "grad_norm"),
        "truth_deviation": of_truth,
        "reward_deviation": of_reward,
        "judge_calls": sum(line["judge_calls"] for line in history),
        "failed_groups": sum(line["failed_groups"] for line in history),
        "bias": {name: column(history, f"bias/{name}") for name in (*COVARIATES, "explained")}
        if debiased
        else {},
    }


def column(history: Sequence[Mapping[str, Any]], key: str) -> list[float | None]:
    return [None if line[key] is None else round(line[key], 6) for line in history]
