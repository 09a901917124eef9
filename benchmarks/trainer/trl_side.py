"""TRL's side of the trainers' speed comparison: takes the steps, and prints their times as JSON.

It runs under the Python that has TRL and imports nothing of Ranker. What the work does not fix stays
as TRL's defaults have it: loss `dapo`, no reference model, AdamW, clipping of the gradient's norm.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
speed_model: Any = importlib.import_module("speed_model")


class Clock:
    """Seconds spent inside wrapped calls, one entry a call."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def wrap(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **named: Any) -> Any:
            started = time.perf_counter()
            try:
                return call(*args, **named)
            finally:
                self.seconds.append(time.perf_counter() - started)

        return timed


def step_timer(clock: Clock) -> Any:
    """A callback that times each step, from its first micro-batch to the end of the optimizer's step."""
    transformers = importlib.import_module("transformers")

    class Timer(transformers.TrainerCallback):  # type: ignore[misc, name-defined]
        def on_step_begin(self, *args: Any, **named: Any) -> None:
            self.started = time.perf_counter()

        def on_step_end(self, *args: Any, **named: Any) -> None:
            clock.seconds.append(time.perf_counter() - self.started)

    return Timer()


def build(work: Any, checkpointing: bool, micro_batch: int, folder: str) -> Any:
    """TRL's trainer for this work."""
    trl = importlib.import_module("trl")
    datasets = importlib.import_module("datasets")
    batch = speed_model.GROUPS * speed_model.GENERATIONS
    config = trl.GRPOConfig(
        output_dir=folder,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=checkpointing,
        per_device_train_batch_size=micro_batch,
        gradient_accumulation_steps=batch // micro_batch,
        num_generations=speed_model.GENERATIONS,
        max_completion_length=work.completion,
        max_steps=work.warm_up + work.steps,
        learning_rate=speed_model.LEARNING_RATE,
        temperature=1.0,
        seed=work.seed,
        report_to="none",
        logging_strategy="no",
        save_strategy="no",
        disable_tqdm=True,
    )

    def rewards(completions: list[str], **_: Any) -> list[float]:
        return [speed_model.reward(text) for text in completions]

    return trl.GRPOTrainer(
        model=speed_model.build_model(work),
        reward_funcs=rewards,
        args=config,
        train_dataset=datasets.Dataset.from_list(speed_model.prompts(work)),
        processing_class=speed_model.build_tokenizer(),
    )


def score_completions_only() -> None:
    """Let the head skip the prompt's positions, which TRL does only where its Triton kernels run."""
    utils: Any = importlib.import_module("trl.trainer.utils")
    utils._use_triton = lambda device: True


def check_lengths(trainer: Any, work: Any) -> None:
    """Make every generated batch prove that it is the work asked for."""
    generate = trainer._generate

    def checked(texts: list[Any]) -> Any:
        told = generate(texts)
        if {len(ids) for ids in told[0]} != {work.prompt} or {len(ids) for ids in told[1]} != {
            work.completion
        }:
            raise RuntimeError("a prompt or completion has another length than was asked for")
        return told

    trainer._generate = checked


def measure(work: Any, checkpointing: bool, micro_batch: int, completions_only: bool) -> dict[str, Any]:
    import torch

    if completions_only:
        score_completions_only()
    whole, generating, before_update = Clock(), Clock(), Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = build(work, checkpointing, micro_batch, folder)
        check_lengths(trainer, work)
        trainer._generate = generating.wrap(trainer._generate)
        trainer._generate_and_score_completions = before_update.wrap(trainer._generate_and_score_completions)
        trainer.add_callback(step_timer(whole))
        trainer.train()
    return {
        "step_seconds": whole.seconds[work.warm_up :],
        "generate_seconds": generating.seconds[work.warm_up :],
        "update_seconds": [
            step - before for step, before in zip(whole.seconds, before_update.seconds, strict=True)
        ][work.warm_up :],
        "peak_rss_gb": speed_model.peak_gb(),
        "threads": torch.get_num_threads(),
        "settings": {
            "gradient_checkpointing": checkpointing,
            "micro_batch": micro_batch,
            "head_on_completions_only": completions_only,
            "loss_type": trainer.args.loss_type,
            "optim": str(trainer.args.optim.value),
        },
        "versions": {name: importlib.metadata.version(name) for name in ("trl", "transformers", "torch")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    speed_model.add_work(parser)
    parser.add_argument("--checkpointing", action="store_true", help="gradient checkpointing, TRL's default")
    parser.add_argument(
        "--micro-batch", type=int, default=16, help="completions a backward pass (default 16)"
    )
    parser.add_argument("--completions-only", action="store_true", help="the head skips prompts")
    given = parser.parse_args()
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    warnings.simplefilter("ignore")
    with redirect_stdout(sys.stderr):
        told = measure(
            speed_model.work_of(given), given.checkpointing, given.micro_batch, given.completions_only
        )
    print(json.dumps(told))


if __name__ == "__main__":
    main()
