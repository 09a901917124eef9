"""One run of the study, from its plan to its numbers. The same run gives the same numbers, but for `seconds`."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from benchmarks.study.attempts import sample
from benchmarks.turns.judging import Judge
from benchmarks.turns.plan import Unit
from grpo.config_file import read_settings
from grpo.demo import quick
from grpo.runs.metrics import mean_truth
from grpo.trainer import GRPOTrainer
from ranker.suites import desk_world as desk

HELD_OUT = 256  # letters of the examination


def train(unit: Unit) -> dict[str, Any]:
    """Train, and let the policy answer held-out letters."""
    began = time.monotonic()
    arm, setting = unit.arm, unit.setting
    model, tokenizer = quick.policy()
    config = dataclasses.replace(
        read_settings("quick").config,
        **{"max_steps": setting.steps, "save_steps": 0, **setting.settings},
        seed=unit.seed,
        credit=arm.credit,
        turn_weight=arm.weight,
    )
    trainer = GRPOTrainer(
        model,
        tokenizer=tokenizer,
        dataset=quick.rows(),
        reward_fn=Judge(unit.seed, arm.noise, arm.marks, arm.outcome),
        rollout=quick.rollout,
        checker=quick.checker,
        config=config,
    )
    history = trainer.train()
    return {
        "curve": _column(history, "ground_truth_mean"),
        "signal_share": _column(history, "turn_signal_share") if arm.credit != "trajectory" else None,
        "judge_accuracy": _column(history, "judge_accuracy"),
        "final": examined((model, tokenizer), unit.seed),
        "seconds": round(time.monotonic() - began, 1),
    }


def examined(policy: Any, seed: int) -> float:
    """Mean true reward on held-out letters."""
    return round(mean_truth(sample(policy, desk.rows(HELD_OUT, held_out=True), 1, 1_000_003 + seed)), 6)


def _column(history: Any, key: str) -> list[float | None]:
    return [None if line.get(key) is None else round(line[key], 6) for line in history]
