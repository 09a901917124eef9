"""Attempts of a policy: sampled, graded, and compared with those of the policy at its start."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch

from benchmarks.study.judges import deed, detail
from grpo.demo import quick
from grpo.model.loading import context_length, end_tokens
from grpo.model.logprobs import token_logprobs
from grpo.rollouts.collect import Collector, run_loop
from grpo.rollouts.engine import Engine
from grpo.runs.metrics import mean_truth
from grpo.sampling import Sampling
from grpo.types import RolloutGroup
from ranker import Trajectory, TrajectoryGroup
from ranker.prompting.transcript import transcribe
from ranker.suites import desk_world as desk

REFERENCE_GROUPS = 200
HELD_OUT = 256
_LENGTH = 32  # tokens of a reply, as in the config quick
_CHUNK = 8  # groups that are sampled together


def sample(
    policy: tuple[Any, Any], rows: Sequence[Mapping[str, Any]], size: int, seed: int, first: int = 0
) -> list[RolloutGroup]:
    """Groups of `size` attempts at temperature 1, each with its ground truths.

    Args:
        first: index of the first group; index and seed together draw the sampling.
    """
    model, tokenizer = policy
    engine = Engine(
        model,
        end_tokens(model, tokenizer),
        Sampling(max_completion_length=_LENGTH),
        64,
        context_length(model),
    )
    collector = Collector(engine, tokenizer, rows.__getitem__, None, quick.rollout, quick.checker, size, seed)

    async def some(start: int) -> list[RolloutGroup]:
        groups = enumerate(rows[start : start + _CHUNK * 8 // size], start=first + start)
        return list(await asyncio.gather(*(collector.group(i, row, size, 0) for i, row in groups)))

    step = _CHUNK * 8 // size
    return [g for start in range(0, len(rows), step) for g in run_loop(some(start))]


@cache
def reference() -> tuple[TrajectoryGroup, ...]:
    """Groups of the untrained policy, the same ones always: on them judges are calibrated and measured."""
    rows = desk.rows(REFERENCE_GROUPS, seed=1)
    return tuple(graded(group) for group in sample(quick.policy(), rows, 8, 0))


def graded(group: RolloutGroup) -> TrajectoryGroup:
    """A group as a judge gets it, with ground truths for whoever compares."""
    judged = group.for_judge()
    truths = [t for t, r in zip(group.ground_truths, group.rollouts, strict=True) if r.trajectory is not None]
    members = [replace(t, ground_truth=truth) for t, truth in zip(judged.trajectories, truths, strict=True)]
    return TrajectoryGroup(members, id=judged.id)


def truths_of(groups: Sequence[TrajectoryGroup]) -> list[list[float]]:
    return [[t.ground_truth for t in g.trajectories if t.ground_truth is not None] for g in groups]


@dataclass(frozen=True, slots=True)
class Exam:
    """How a policy does on held-out letters, one attempt each.

    Attributes:
        truth: mean true reward.
        pleased: share of attempts that did what the customer wished.
        boasted: share that told the customer of an action that was not done.
        pretended: share that did so and did nothing at all.
        words: mean words the policy wrote to the customer.
        detail: mean of what its last replies say, 0 to 1 (`judges.detail`).
        kl: log-prob of what it sampled, less that under the policy at its start: mean over its tokens, in nats.
    """

    truth: float
    pleased: float
    boasted: float
    pretended: float
    words: float
    kl: float
    detail: float


def examine(policy: tuple[Any, Any], start: Any, seed: int) -> Exam:
    """Let a policy answer held-out letters.

    Args:
        start: the model before training.
        seed: draws the sampling; the letters are the same.
    """
    groups = sample(policy, desk.rows(HELD_OUT, held_out=True), 1, 1_000_003 + seed)
    attempts = [r.trajectory for g in groups for r in g.rollouts if r.trajectory is not None]
    deeds = [deed(transcribe(t).text) for t in attempts]
    said = [
        " ".join(m.get("content") or "" for m in t.messages if m["role"] == "assistant").split()
        for t in attempts
    ]
    return Exam(
        round(mean_truth(groups), 6),
        round(float(np.mean([d.pleased for d in deeds])), 6),
        round(float(np.mean([d.boasted for d in deeds])), 6),
        round(float(np.mean([d.pretended for d in deeds])), 6),
        round(float(np.mean([len(words) for words in said])), 6),
        round(divergence(policy[0], start, groups[: HELD_OUT // 2]), 6),
        round(float(np.mean([detail(last_reply(t)) for t in attempts])), 6),
    )


def last_reply(trajectory: Trajectory) -> str:
    """What the attempt ends with in words; empty where it ends otherwise."""
    last = trajectory.messages[-1]
    return last.get("content") or "" if last["role"] == "assistant" else ""


@cache
def examined_start(seed: int) -> Exam:
    """How the untrained policy does."""
    policy = quick.policy()
    return examine(policy, policy[0], seed)


def divergence(model: Any, start: Any, groups: Sequence[RolloutGroup]) -> float:
    """KL(model ‖ start) a token, estimated on attempts of the model."""
    if model is start:
        return 0.0
    total, tokens = 0.0, 0
    with torch.no_grad():
        for begin in range(0, len(groups), 32):
            sequences = [s for g in groups[begin : begin + 32] for r in g.rollouts for s in r.sequences]
            gap_N = token_logprobs(model, sequences).logps_N - token_logprobs(start, sequences).logps_N
            total += float(gap_N.double().sum())
            tokens += len(gap_N)
    return total / max(1, tokens)
