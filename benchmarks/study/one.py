"""One unit of the study, from its plan to its numbers. The same unit gives the same numbers, but for `seconds`."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.study import judges, online
from benchmarks.study.attempts import reference
from benchmarks.study.dpo import train_dpo
from benchmarks.study.plan import JudgeSpec, Unit
from grpo.cli.train import quiet
from grpo.demo import quick
from ranker import rank_groups
from ranker.aggregate.agreement import agreeing_pairs, agreement


def run(unit: Unit) -> dict[str, Any]:
    """Do a unit.

    Raises:
        RankerError, RuntimeError: it could not be done.
    """
    quiet()
    began = time.monotonic()
    if unit.kind == "judge":
        numbers = measure(unit.arm.judge or JudgeSpec())
    elif unit.arm.method == "dpo":
        numbers = train_dpo(unit)
    else:
        numbers = online.train(unit)
    return {**numbers, "seconds": round(time.monotonic() - began, 2)}


def measure(spec: JudgeSpec) -> dict[str, Any]:
    """The judge's accuracy on the untrained policy's groups, through the same path as in training."""
    noise = online.noise_of(spec)
    with judges.server(spec, noise, 0) as server:
        ranked = list(
            rank_groups(
                reference(),
                "openai/simulated",
                quick.RUBRIC,
                base_url=server.base_url,
                cache="off",
                passes=spec.passes,
                reward=spec.reward,
                progress=False,
            )
        )
    pairs = sum(agreeing_pairs(r)[1] for r in ranked)
    return {"noise": online.finite(noise), "accuracy": {**agreement(ranked).to_dict(6), "pairs": pairs}}
