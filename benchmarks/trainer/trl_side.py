"""TRL's side of the trainers' speed comparison: takes the steps, and prints their times as JSON.

It runs under the Python that has TRL and imports nothing of Ranker.
"""

from __future__ import annotations

import argparse
import importlib
from typing import Any

from benchmarks.harness import Json, print_json, versions
from benchmarks.trainer import speed_model
from benchmarks.trainer.speed_model import Work
from benchmarks.trainer.trl_runs import DISTRIBUTIONS, Clock, silence, train


def measure(work: Work, checkpointing: bool, micro_batch: int, completions_only: bool) -> Json:
    """Seconds of the timed steps and of their parts."""
    import torch

    if completions_only:  # let the head skip the prompt's positions, as TRL does where its Triton kernels run
        utils: Any = importlib.import_module("trl.trainer.utils")
        utils._use_triton = lambda device: True
    generating, before_update = Clock(), Clock()

    def time_parts(trainer: Any) -> None:
        trainer._generate = generating.wrap(trainer._generate)
        trainer._generate_and_score_completions = before_update.wrap(trainer._generate_and_score_completions)

    trainer, seconds = train(work, checkpointing=checkpointing, micro_batch=micro_batch, prepare=time_parts)
    update = [step - before for step, before in zip(seconds, before_update.seconds, strict=True)]
    return {
        "step_seconds": seconds[work.warm_up :],
        "generate_seconds": generating.seconds[work.warm_up :],
        "update_seconds": update[work.warm_up :],
        "peak_rss_gb": speed_model.peak_gb(),
        "threads": torch.get_num_threads(),
        "settings": {
            "gradient_checkpointing": checkpointing,
            "micro_batch": micro_batch,
            "head_on_completions_only": completions_only,
            "loss_type": trainer.args.loss_type,
            "optim": str(trainer.args.optim.value),
        },
        "versions": versions(*DISTRIBUTIONS),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    speed_model.add_work(parser)
    parser.add_argument("--checkpointing", action="store_true", help="gradient checkpointing, TRL's default")
    parser.add_argument(
        "--micro-batch", type=int, default=16, help="completions a backward pass (default 16)"
    )
    parser.add_argument("--completions-only", action="store_true", help="the head skips prompts")
    args = parser.parse_args()
    silence()
    work = speed_model.work_of(args)
    print_json(lambda: measure(work, args.checkpointing, args.micro_batch, args.completions_only))


if __name__ == "__main__":
    main()
