"""TRL's trainer on the work of the speed comparison; the sides that run under TRL's Python share it."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.harness import peer_python
from benchmarks.trainer import speed_model
from benchmarks.trainer.speed_model import Work

VERSION = "1.16"
NAMED = "RANKER_TRL_PYTHON"
DISTRIBUTIONS = ("trl", "transformers", "torch")


def trl_python() -> Path:
    """The Python that has TRL, with the torch and transformers of this one.

    In this order: the one named by the variable `RANKER_TRL_PYTHON`; this one, where it has TRL; one in
    the user's cache folder, created on first use.
    """
    if named := os.environ.get(NAMED):
        return Path(named)
    installed = {}
    for name in DISTRIBUTIONS:
        try:
            installed[name] = importlib.metadata.version(name).split("+")[0]
        except importlib.metadata.PackageNotFoundError:
            pass
    if installed.get("trl", "").startswith(f"{VERSION}."):
        return Path(sys.executable)
    same = [f"{name}=={installed[name]}" if name in installed else name for name in ("torch", "transformers")]
    return peer_python(f"trl-{VERSION}", [*same, f"trl=={VERSION}.*"])


def silence() -> None:
    """Turn off TRL's remarks."""
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    warnings.simplefilter("ignore")


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


def plain_reward(completions: list[str], **_: Any) -> list[float]:
    """A reward that costs nothing."""
    return [speed_model.reward(text) for text in completions]


def train(
    work: Work,
    reward: Any = plain_reward,
    *,
    checkpointing: bool = False,
    micro_batch: int = speed_model.GROUPS * speed_model.GENERATIONS,
    prepare: Callable[[Any], None] = lambda trainer: None,
) -> tuple[Any, list[float]]:
    """Take the steps; TRL's trainer after them, and the seconds of each, warm-up included.

    What the work does not fix stays as TRL's defaults have it: loss `dapo`, no reference model, AdamW, clipping
    of the gradient's norm. Every generated batch must have the lengths that were asked for.

    Args:
        prepare: called with the trainer before the first step.
    """
    trl, datasets = importlib.import_module("trl"), importlib.import_module("datasets")
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        config = trl.GRPOConfig(
            output_dir=folder,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=checkpointing,
            per_device_train_batch_size=micro_batch,
            gradient_accumulation_steps=speed_model.GROUPS * speed_model.GENERATIONS // micro_batch,
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
        trainer = trl.GRPOTrainer(
            model=speed_model.build_model(work),
            reward_funcs=reward,
            args=config,
            train_dataset=datasets.Dataset.from_list(speed_model.prompts(work)),
            processing_class=speed_model.build_tokenizer(),
        )
        _check_lengths(trainer, work)
        prepare(trainer)
        trainer.add_callback(step_timer(clock))
        trainer.train()
    return trainer, clock.seconds


def _check_lengths(trainer: Any, work: Work) -> None:
    generate = trainer._generate

    def checked(texts: list[Any]) -> Any:
        batch = generate(texts)
        lengths = [{len(ids) for ids in part} for part in batch[:2]]
        if lengths != [{work.prompt}, {work.completion}]:
            raise RuntimeError("a prompt or completion has another length than was asked for")
        return batch

    trainer._generate = checked
