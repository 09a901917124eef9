"""What a step's line of metrics says."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from grpo.advantages import Advantages, deviation
from grpo.group_reward import GroupReward
from grpo.types import RolloutGroup
from grpo.update import Step
from ranker.aggregate.agreement import agreeing
from ranker.debias.covariates import own_words, turns
from ranker.usage import Usage


@dataclass(frozen=True, slots=True)
class ScoredGroup:
    """A group with its rewards and advantages."""

    group: RolloutGroup
    reward: GroupReward
    advantages: Advantages = field(default_factory=lambda: Advantages([], True))


class Clock:
    """Seconds spent on each part of a step."""

    def __init__(self) -> None:
        self.seconds = {"generate": 0.0, "judge_wait": 0.0, "update": 0.0}

    @contextlib.contextmanager
    def time(self, part: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[part] += time.perf_counter() - began

    def fields(self, step_seconds: float, tokens: int) -> dict[str, float]:
        """The fields that differ from run to run; all others are the same in a resumed run."""
        parts = {f"{part}_seconds": round(spent, 4) for part, spent in self.seconds.items()}
        speed = tokens / step_seconds if step_seconds else 0.0
        return {"tokens_per_second": round(speed, 1), "step_seconds": round(step_seconds, 4), **parts}


def line(step: int, groups: Sequence[ScoredGroup], done: Step, learning_rate: float) -> dict[str, Any]:
    """The metrics of a step over all its groups, dropped ones included in the counts.

    `reward_mean` and `reward_std` are over rewards of groups that did not fail; the deviation is the mean
    of the groups' own. A value that could not be measured is null.
    """
    whole = [j for j in groups if j.reward.error is None]
    rollouts = [r for j in groups for r in j.group.rollouts]
    attempts = [r.trajectory for r in rollouts if r.trajectory is not None]
    rewards = [_present(j.reward.values) for j in whole]
    usage = sum((j.reward.usage for j in groups), Usage())
    failed = sum(j.reward.error is not None for j in groups)
    tied = sum(j.advantages.tied for j in whole)
    record: dict[str, Any] = {
        "step": step,
        "reward_mean": _mean([v for values in rewards for v in values]),
        "reward_std": _mean([deviation(np.array(values)) for values in rewards]),
        "ground_truth_mean": _mean([t for j in groups for t in j.group.ground_truths if t is not None]),
        "judge_accuracy": judge_accuracy(whole),
        "kl": done.kl,
        "entropy": done.entropy,
        "loss": done.loss,
        "grad_norm": done.grad_norm,
        "clip_fraction": done.clip_fraction,
        "learning_rate": learning_rate,
        "groups": len(groups),
        "tied_groups": tied,
        "failed_groups": failed,
        "tied_share": tied / len(groups),
        "failed_share": failed / len(groups),
        "broken_rollouts": sum(r.trajectory is None for r in rollouts),
        "truncated_share": _mean([float(r.truncated) for r in rollouts]),
        "words_mean": _mean([own_words(t) for t in attempts]),
        "turns_mean": _mean([turns(t) for t in attempts]),
        "completion_tokens_mean": _mean([float(r.sampled_tokens) for r in rollouts]),
        "loss_tokens": done.tokens,
        "sampler_mismatch": done.mismatch,
        "lag": max((step - 1 - j.group.version for j in groups), default=0),
        "judge_calls": usage.calls,
        "judge_cached_calls": usage.cached_calls,
        "judge_cost_usd": usage.cost_usd,
    }
    for name in sorted({name for j in whole for name in j.reward.parts}):
        values = [v for j in whole for v in _present(j.reward.parts.get(name, []))]
        record[f"rewards/{name}"] = _mean(values)
    return record


def judge_accuracy(groups: Sequence[ScoredGroup]) -> float | None:
    """Share of pairs with different ground truth that the judge orders as the truth does, ties half. Groups whose rewards
    come from an auditor count with what the judge said, and so do those with rewards of other functions beside it."""
    counts = [agreeing(j.group.ground_truths, v) for j in groups if (v := j.reward.by_judge) is not None]
    pairs = sum(n for _, n in counts)
    return sum(right for right, _ in counts) / pairs if pairs else None


def mean_truth(groups: Sequence[RolloutGroup]) -> float:
    """Mean ground truth over all rollouts that have one; NaN where none has."""
    truths = [t for g in groups for t in g.ground_truths if t is not None]
    return float(np.mean(truths)) if truths else float("nan")


def _present(values: Sequence[float | None]) -> list[float]:
    return [v for v in values if v is not None]


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
