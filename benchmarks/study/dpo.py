"""Offline preference learning for comparison: DPO (arXiv 2305.18290) on the judge's rankings of the start's attempts.

It spends as many judge calls as the online run: one group of the untrained policy for each group of that run. From
every ranking come all pairs of different reward. The learning rate and the number of epochs are chosen by true reward
on training letters, which no online run is allowed; that favours DPO.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from benchmarks.study.attempts import examine, examined_start, sample
from benchmarks.study.online import finite, noise_of, rewards, values_of
from benchmarks.study.plan import Unit
from grpo.demo import quick
from grpo.model.logprobs import token_logprobs
from grpo.rollouts.collect import example_order
from grpo.runs.metrics import mean_truth
from grpo.types import Rollout
from ranker import RankedGroup

LEARNING_RATES = (3e-4, 1e-3, 3e-3)
EPOCHS = 2
BETA = 0.1
GROUPS = 8  # of an update, as in the online runs
_CHOOSING = 128  # training letters by which the learning rate is chosen

Tensor = Any


def dpo_loss(
    logps_S: Tensor, start_S: Tensor, rewards_S: Sequence[float | None], beta: float = BETA
) -> Tensor:
    """Mean over all pairs of different reward of -log σ(β·((π(w) - π₀(w)) - (π(l) - π₀(l)))); None without a pair.

    Args:
        logps_S: log-prob of each attempt, the sum over its sampled tokens.
        start_S: the same under the policy at its start.
    """
    pairs = [
        (w, l)
        for w, better in enumerate(rewards_S)
        for l, worse in enumerate(rewards_S)  # noqa: E741
        if better is not None and worse is not None and better > worse
    ]
    if not pairs:
        return None
    gain_S = logps_S - start_S
    winners, losers = (list(side) for side in zip(*pairs, strict=True))
    return -torch.nn.functional.logsigmoid(beta * (gain_S[winners] - gain_S[losers])).mean()


def attempt_logps(model: Any, rollouts: Sequence[Rollout]) -> Tensor:
    """Log-prob of each attempt under the model, summed over what it sampled."""
    logps_N = token_logprobs(model, [s for r in rollouts for s in r.sequences]).logps_N
    counts = [r.sampled_tokens for r in rollouts]
    return torch.stack([part.sum() for part in logps_N.split(counts)])


def train_dpo(unit: Unit) -> dict[str, Any]:
    """Sample, judge, learn under each learning rate, keep the best, examine it."""
    arm = unit.arm
    start, tokenizer = quick.policy()
    rows = quick.rows()
    order = example_order(rows, True, unit.seed)
    count = unit.steps * GROUPS
    sampled = sample((start, tokenizer), [order(i) for i in range(count)], arm.generations, unit.seed)
    judged, calls = [], 0
    with rewards(arm, unit.seed) as function:
        for group in sampled:
            ranked = function(group.for_judge())
            judged.append(values_of(ranked))
            calls += ranked.usage.calls if isinstance(ranked, RankedGroup) else 0
    usable = [
        ([r for r in g.rollouts if r.trajectory is not None], values)
        for g, values in zip(sampled, judged, strict=True)
    ]
    with torch.no_grad():
        starts = [attempt_logps(start, rollouts) for rollouts, _ in usable]
    letters = rows[: min(_CHOOSING, len(rows))]
    best: tuple[float, Any, dict[str, Any]] | None = None
    for rate in LEARNING_RATES:
        model = copy.deepcopy(start)
        optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=0.0)
        for epoch in range(EPOCHS):
            _epoch(model, optimizer, usable, starts, np.random.default_rng((unit.seed, epoch)))
            reached = mean_truth(sample((model, tokenizer), letters, 1, 2_000_003 + unit.seed))
            if best is None or reached > best[0]:
                best = reached, copy.deepcopy(model), {"learning_rate": rate, "epochs": epoch + 1}
    assert best is not None
    truths = [t for g in sampled for t in g.ground_truths if t is not None]
    return {
        "noise": finite(noise_of(arm.judge)) if arm.judge else 0.0,
        "before": asdict(examined_start(unit.seed)),
        "after": asdict(examine((best[1], tokenizer), start, unit.seed)),
        "chosen": best[2],
        "sampled_truth": round(float(np.mean(truths)), 6),
        "judge_calls": calls,
        "failed_groups": 0,
    }


def _epoch(
    model: Any,
    optimizer: torch.optim.Optimizer,
    groups: Sequence[tuple[list[Rollout], list[float | None]]],
    starts: Sequence[Tensor],
    rng: np.random.Generator,
) -> None:
    order = rng.permutation(len(groups))
    for begin in range(0, len(order), GROUPS):
        batch = order[begin : begin + GROUPS]
        for i in batch:
            rollouts, values = groups[i]
            if len({v for v in values if v is not None}) > 1:
                loss = dpo_loss(attempt_logps(model, rollouts), starts[i], values)
                (loss / len(batch)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
