"""Our side of the trainers' speed comparison: takes the steps, and prints their times as JSON.

A process of its own, so that its peak of memory is this trainer's alone.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from benchmarks.trainer import speed_model
from benchmarks.trainer.speed_model import Work

PARTS = ("step_seconds", "generate_seconds", "update_seconds", "judge_wait_seconds")


def rewards_after(latency: float) -> Any:
    """A reward function over a group that answers after so many seconds."""

    def rewards(group: Any) -> list[float]:
        if latency:
            time.sleep(latency)
        return [speed_model.reward(trajectory.messages[-1]["content"]) for trajectory in group.trajectories]

    return rewards


def measure(work: Work, latency: float, pending: int) -> dict[str, Any]:
    """The timed steps of one run, a list for every part of a step."""
    import torch

    from grpo import GRPOConfig, GRPOTrainer

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trainer = GRPOTrainer(
            speed_model.build_model(work),
            tokenizer=speed_model.build_tokenizer(),
            dataset=speed_model.prompts(work),
            reward_fn=rewards_after(latency),
            config=GRPOConfig(
                num_generations=speed_model.GENERATIONS,
                groups_per_step=speed_model.GROUPS,
                max_completion_length=work.completion,
                max_steps=work.warm_up + work.steps,
                learning_rate=speed_model.LEARNING_RATE,
                temperature=1.0,
                max_pending_groups=pending,
                seed=work.seed,
            ),
            out=folder,
        )
        trainer.train()
        lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    steps = [json.loads(line) for line in lines]
    if len(steps) != work.warm_up + work.steps:
        raise RuntimeError(f"{len(steps)} steps were taken, not {work.warm_up + work.steps}")
    if {step["completion_tokens_mean"] for step in steps} != {work.completion}:
        raise RuntimeError("a completion has another length than was asked for")
    return {
        **{part: [step[part] for step in steps[work.warm_up :]] for part in PARTS},
        "peak_rss_gb": speed_model.peak_gb(),
        "threads": torch.get_num_threads(),
        "settings": {"max_pending_groups": pending, "judge_latency": latency},
        "versions": {name: importlib.metadata.version(name) for name in ("transformers", "torch")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trainer.speed_ours", description=__doc__)
    speed_model.add_work(parser)
    parser.add_argument("--judge-latency", type=float, default=0.0, help="seconds a group's rewards take")
    parser.add_argument("--pending", type=int, default=0, help="groups that may await rewards (default 0)")
    given = parser.parse_args()
    with redirect_stdout(sys.stderr):
        told = measure(speed_model.work_of(given), given.judge_latency, given.pending)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
