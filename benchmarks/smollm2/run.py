"""One run: SmolLM2-135M learns to follow instructions from one kind of judge."""

from __future__ import annotations

import hashlib
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Json, print_json
from benchmarks.smollm2.measures import echo, start_logprobs, words
from grpo import GRPOTrainer
from grpo.cli.train import quiet
from grpo.config_file import read_settings
from grpo.demo.instructions import checker, rows
from grpo.types import RolloutGroup
from ranker import Trajectory, TrajectoryGroup, rank_group

HELD_OUT = 96  # rows, none of them among those that are trained on
RUBRIC = (
    "Prefer the reply that keeps to every instruction of the task; among those that do, the better written."
)
Rewards = Callable[[TrajectoryGroup], Any]


def truths(group: TrajectoryGroup) -> list[float]:
    return [checker(t, group.metadata) for t in group.trajectories]


def noisy(group: TrajectoryGroup, *, deviation: float, seed: int) -> Any:
    """Rank rewards of a judge that sees the truth through noise, drawn for each group and attempt."""
    digest = hashlib.sha256(f"{seed}/{group.id}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))

    def judge(shown: Sequence[Trajectory]) -> list[float]:
        return [checker(t, group.metadata) + rng.normal(0.0, deviation) for t in shown]

    return rank_group(group, judge=judge)


def rewards(judge: str, seed: int, deviation: float | None, tuned: str | None) -> Rewards:
    """The reward function of an arm: "truth", "noise" (with its deviation), "tuned" (with its folder), or a judge's name as
    `--judge` takes it."""
    if judge == "truth":
        return truths
    if judge == "noise":
        assert deviation is not None
        return partial(noisy, deviation=deviation, seed=seed)
    return partial(rank_group, judge=judge_named(judge, tuned), rubric=RUBRIC)


def judge_named(name: str, tuned: str | None) -> str:
    """As Ranker takes it: "tuned" is the judge in the folder `tuned`."""
    return f"local:{tuned}" if name == "tuned" else name


def trainer_for(reward_fn: Rewards, seed: int, steps: int, dtype: str, out: Path | None) -> GRPOTrainer:
    """The trainer of every arm: the packaged config, with another seed and length."""
    bf16 = "true" if dtype == "bfloat16" else "false"
    changes = [f"seed={seed}", f"max_steps={steps}", "save_steps=0", f"dtype={dtype}", f"bf16={bf16}"]
    settings = read_settings("smollm2", changes)
    model, tokenizer = settings.model()
    return GRPOTrainer(
        model, tokenizer=tokenizer, dataset=rows(), reward_fn=reward_fn, checker=checker, config=settings.config, out=out
    )  # fmt: skip


def run(judge: str, seed: int, steps: int, deviation: float | None, dtype: str, tuned: str | None) -> Json:
    """Train, and measure on held-out rows before and after."""
    quiet()
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_for(
            rewards(judge, seed, deviation, tuned), seed, steps, dtype, Path(folder) / "run"
        )
        began = time.perf_counter()
        held_out = rows(HELD_OUT, seed=1)
        before = measured(trainer, trainer.evaluate(held_out))
        history = trainer.train(
            lambda line: print(f"{judge} {seed} {line['step']}", file=sys.stderr, flush=True)
        )
        after = measured(trainer, trainer.evaluate(held_out))
        trainer.close()
    kept = ("step", "ground_truth_mean", "judge_accuracy", "entropy", "words_mean", "step_seconds")
    return {
        "judge": judge,
        "seed": seed,
        "steps": steps,
        "deviation": deviation,
        "dtype": dtype,
        "before": before,
        "after": after,
        "history": [{name: line[name] for name in kept} for line in history],
        "seconds": round(time.perf_counter() - began, 1),
    }


def measured(trainer: GRPOTrainer, groups: Sequence[RolloutGroup]) -> Json:
    """Of one reply to each held-out row: truth, length, fluency, echo, and the first replies themselves."""
    done = [(g, r) for g in groups for r in g.rollouts if r.trajectory is not None]
    tasks = [g.example["prompt"][-1]["content"] for g, _ in done]
    replies = [str(r.trajectory.messages[-1]["content"]) for _, r in done if r.trajectory is not None]
    echoes = [e for e in map(echo, replies, tasks) if e is not None]
    fluent = start_logprobs(trainer.model, [r.sequences[-1] for _, r in done])
    return {
        "truths": [g.ground_truths[0] for g, _ in done],
        "words": [len(words(reply)) for reply in replies],
        "start_logprobs": [round(value, 4) for value in fluent],
        "echoes": [round(value, 4) for value in echoes],
        "samples": [
            {"task": task, "reply": reply} for task, reply in zip(tasks[:8], replies[:8], strict=True)
        ],
    }


if __name__ == "__main__":
    print_json(run)
