"""A side of the comparisons with TRL's trainer: takes the steps, and reports their times.

Each runs in a process of its own, so that its peak of memory is that trainer's alone; TRL's under the Python that
has it, importing nothing of Ranker but where `rank_reward` is what is measured.
"""

from __future__ import annotations

import importlib
import json
import math
import site
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import Json, print_json, run_json, versions
from benchmarks.trainer import work as common
from benchmarks.trainer.work import TRL_DISTRIBUTIONS, Work

KINDS = ("plain", "function", "server")  # of reward functions, for `trl_rewarded`


def run_side(python: Path | str, side: str, work: Work, **options: Any) -> Json:
    """What a side reports of some work, in a process of its own.

    This process loads no model: on Linux a child's peak of memory starts at what its parent held.
    """
    return run_json(python, "benchmarks.trainer.sides", side=side, work=vars(work), **options)


def ours(work: Work, latency: float, pending: int) -> Json:
    """Our trainer's timed steps, a list for every part of a step.

    Args:
        latency: seconds that a group's rewards take.
        pending: groups that may await rewards.
    """
    import torch

    from grpo import GRPOConfig, GRPOTrainer

    def rewards(group: Any) -> list[float]:
        time.sleep(latency)
        return by_reward(group.trajectories)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trainer = GRPOTrainer(
            common.build_model(work),
            tokenizer=common.build_tokenizer(),
            dataset=common.prompts(work),
            reward_fn=rewards,
            config=GRPOConfig(
                num_generations=common.GENERATIONS,
                groups_per_step=common.GROUPS,
                max_completion_length=work.completion,
                max_steps=work.warm_up + work.steps,
                learning_rate=common.LEARNING_RATE,
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
    parts = ("step_seconds", "generate_seconds", "update_seconds", "judge_wait_seconds")
    return {
        **{part: [step[part] for step in steps[work.warm_up :]] for part in parts},
        "peak_rss_gb": common.peak_gb(),
        "threads": torch.get_num_threads(),
        "settings": {"max_pending_groups": pending, "judge_latency": latency},
        "versions": versions("transformers", "torch"),
    }


def trl(work: Work, checkpointing: bool, micro_batch: int, completions_only: bool) -> Json:
    """TRL's timed steps, and their parts."""
    import torch

    if completions_only:  # let the head skip the prompt's positions, as TRL does where its Triton kernels run
        utils: Any = importlib.import_module("trl.trainer.utils")
        utils._use_triton = lambda device: True
    generating: list[float] = []
    before_update: list[float] = []

    def time_parts(trainer: Any) -> None:
        trainer._generate = _timed(trainer._generate, generating)
        trainer._generate_and_score_completions = _timed(
            trainer._generate_and_score_completions, before_update
        )

    trainer, seconds = _train(work, plain_reward, checkpointing, micro_batch, time_parts)
    update = [step - before for step, before in zip(seconds, before_update, strict=True)]
    return {
        "step_seconds": seconds[work.warm_up :],
        "generate_seconds": generating[work.warm_up :],
        "update_seconds": update[work.warm_up :],
        "peak_rss_gb": common.peak_gb(),
        "threads": torch.get_num_threads(),
        "settings": {
            "gradient_checkpointing": checkpointing,
            "micro_batch": micro_batch,
            "head_on_completions_only": completions_only,
            "loss_type": trainer.args.loss_type,
            "optim": str(trainer.args.optim.value),
        },
        "versions": versions(*TRL_DISTRIBUTIONS),
    }


def trl_rewarded(work: Work, kind: str, base_url: str, also: Sequence[str]) -> Json:
    """TRL's timed steps under one kind of reward function.

    Args:
        kind: one of `KINDS`: a function that costs nothing, or `rank_reward` with a judge that is such a function or is
            asked over HTTP.
        base_url: the judge's, for the kind "server".
        also: folders with what Ranker needs beyond TRL's Python; they come after its own.
    """
    for folder in also:
        site.addsitedir(folder)
    reward: Any = plain_reward
    if kind != "plain":
        from ranker.integrations.trl import rank_reward

        if kind == "function":
            reward = rank_reward(by_reward)
        else:
            reward = rank_reward("sim", base_url=base_url, cache="off")
    trainer, seconds = _train(work, reward)
    unrewarded = sum(math.isnan(value) for values in trainer._logs["rewards"].values() for value in values)
    if unrewarded:
        raise RuntimeError(f"{unrewarded} completions have no reward")
    return {"step_seconds": seconds[work.warm_up :], "versions": versions(*TRL_DISTRIBUTIONS)}


def by_reward(trajectories: Any) -> list[float]:
    """A judge in this process that ranks by the plain reward."""
    return [common.reward(trajectory.messages[-1]["content"]) for trajectory in trajectories]


def plain_reward(completions: list[str], **_: Any) -> list[float]:
    """A reward that costs nothing."""
    return [common.reward(text) for text in completions]


def _timed(call: Callable[..., Any], seconds: list[float]) -> Callable[..., Any]:
    """The call, which adds the seconds that it takes to a list."""

    def timed(*args: Any, **named: Any) -> Any:
        started = time.perf_counter()
        try:
            return call(*args, **named)
        finally:
            seconds.append(time.perf_counter() - started)

    return timed


def _train(
    work: Work,
    reward: Any,
    checkpointing: bool = False,
    micro_batch: int = common.GROUPS * common.GENERATIONS,
    prepare: Callable[[Any], None] = lambda trainer: None,
) -> tuple[Any, list[float]]:
    """Take the steps; TRL's trainer after them, and the seconds of each from its first micro-batch to the end of the
    optimizer's step, warm-up included.

    What the work does not fix stays as TRL's defaults have it: loss `dapo`, no reference model, AdamW, clipping
    of the gradient's norm. Every generated batch must have the lengths that were asked for.

    Args:
        prepare: called with the trainer before the first step.
    """
    common.silence_trl()
    trl, datasets, transformers = map(importlib.import_module, ("trl", "datasets", "transformers"))
    seconds: list[float] = []

    class Timer(transformers.TrainerCallback):  # type: ignore[misc, name-defined]
        def on_step_begin(self, *args: Any, **named: Any) -> None:
            self.started = time.perf_counter()

        def on_step_end(self, *args: Any, **named: Any) -> None:
            seconds.append(time.perf_counter() - self.started)

    with tempfile.TemporaryDirectory() as folder:
        config = trl.GRPOConfig(
            output_dir=folder,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=checkpointing,
            per_device_train_batch_size=micro_batch,
            gradient_accumulation_steps=common.GROUPS * common.GENERATIONS // micro_batch,
            num_generations=common.GENERATIONS,
            max_completion_length=work.completion,
            max_steps=work.warm_up + work.steps,
            learning_rate=common.LEARNING_RATE,
            temperature=1.0,
            seed=work.seed,
            report_to="none",
            logging_strategy="no",
            save_strategy="no",
            disable_tqdm=True,
        )
        trainer = trl.GRPOTrainer(
            model=common.build_model(work),
            reward_funcs=reward,
            args=config,
            train_dataset=datasets.Dataset.from_list(common.prompts(work)),
            processing_class=common.build_tokenizer(),
        )
        generate = trainer._generate

        def checked(texts: list[Any]) -> Any:
            batch = generate(texts)
            if [{len(ids) for ids in part} for part in batch[:2]] != [{work.prompt}, {work.completion}]:
                raise RuntimeError("a prompt or completion has another length than was asked for")
            return batch

        trainer._generate = checked
        prepare(trainer)
        trainer.add_callback(Timer())
        trainer.train()
    return trainer, seconds


def main(side: str, work: Json, **options: Any) -> Json:
    sides: dict[str, Callable[..., Json]] = {"ours": ours, "trl": trl, "trl_rewarded": trl_rewarded}
    return sides[side](Work(**work), **options)


if __name__ == "__main__":
    print_json(main)
