"""One unit of the study, from its plan to its numbers. The same unit gives the same numbers, but for `seconds`."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from benchmarks.study import judges, online
from benchmarks.study.attempts import reference
from benchmarks.study.dpo import train_dpo
from benchmarks.study.plan import JudgeSpec, Unit
from grpo.cli.train import quiet
from grpo.demo import quick
from ranker import rank_groups
from ranker.aggregate.agreement import agreement


def run(unit: Unit) -> dict[str, Any]:
    """Do a unit.

    Raises:
        RankerError, RuntimeError: it could not be done.
    """
    quiet()
    began = time.monotonic()
    if unit.kind == "judge":
        found = measure(unit.arm.judge or JudgeSpec())
    elif unit.arm.method == "dpo":
        found = train_dpo(unit)
    else:
        found = online.train(unit)
    return {**found, "seconds": round(time.monotonic() - began, 2)}


def measure(spec: JudgeSpec) -> dict[str, Any]:
    """The judge's accuracy on the untrained policy's groups, through the same path as in training."""
    noise = online.noise_of(spec)
    with judges.server(spec, noise, 0) as server:
        ranked = rank_groups(
            reference(),
            "openai/simulated",
            quick.RUBRIC,
            base_url=server.base_url,
            cache="off",
            passes=spec.passes,
            reward=spec.reward,
            progress=False,
        )
        found = agreement(list(ranked))
    accuracy = {k: round(v, 6) for k, v in asdict(found).items()}
    return {"noise": online.told(noise), "accuracy": accuracy}
