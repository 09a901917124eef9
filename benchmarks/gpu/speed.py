"""Our trainer's update and its sampling at one size: tokens a second, memory, share of the matrix peak."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks.gpu import flops, measure
from benchmarks.gpu.batch import GENERATIONS, Batch, drawn
from benchmarks.gpu.correctness import attention
from benchmarks.gpu.models import BFLOAT16, MIXED, Precision, built, sized_config
from benchmarks.harness import Json
from grpo.compatibility import compatible_layout
from grpo.config import GRPOConfig
from grpo.model.distributed import Processes
from grpo.model.loading import Reference
from grpo.model.logprobs import Layout
from grpo.rollouts.collect import run_loop
from grpo.rollouts.engine import Completion, Engine
from grpo.sampling import Sampling
from grpo.update import Updater

PRECISIONS = (MIXED, BFLOAT16)
LEARNING_RATE = 1e-6


def rows(size: str, groups: int, prompt: int, completion: int, times: int, matrix: int) -> Iterator[Json]:
    """The peak of matrix products, then an update and sampling in each precision.

    Args:
        groups: in a step; with too little memory, half as many, and so on.
        times: updates that are timed.
        matrix: rows of the matrices whose product gives the peak.
    """
    where, config = measure.device(), sized_config(size)
    peak = measure.matrix_peak(matrix, times)
    yield {"of": "matrix product", "size": matrix, "tflops": round(peak / 1e12, 3)}
    for precision in PRECISIONS:
        for of, work in (("update", update), ("sampling", sampling)):
            torch.compiler.reset()
            fitting = groups
            while True:
                measure.forget()
                try:
                    batch = drawn(fitting, prompt, completion, config.vocab_size)
                    found = work(built(config, precision, where), precision, batch, times)
                    break
                except torch.OutOfMemoryError:
                    if fitting == 1:
                        found = {"error": "one group does not fit into memory"}
                        break
                    fitting //= 2
            yield {
                "of": of,
                "size": size,
                "precision": precision.name,
                **shape(batch),
                **found,
                **({"share_of_peak": found["flops"] / found["seconds"] / peak} if "flops" in found else {}),
            }


def shape(batch: Batch) -> Json:
    """How large a batch is, all groups being alike."""
    return {
        "groups": len(batch.prompts),
        "generations": GENERATIONS,
        "prompt": len(batch.prompts[0]),
        "completion": len(batch.completions[0][0]),
    }


def update(model: Any, precision: Precision, batch: Batch, times: int) -> Json:
    """One optimizer step on the batch, as `GRPOTrainer` takes it."""
    updater, layout, refused = updater_for(model, precision, len(batch.prompts), 2 + times)
    rollouts = batch.rollouts()
    norms: list[float | None] = []

    def step() -> None:
        norms.append(updater.step(rollouts).grad_norm)

    every = measure.seconds(step, times, warm_up=2)
    needed = flops.update(model.config, flops.shared(batch.tokens, batch.completion_tokens))
    return {
        **timed(every, batch.completion_tokens),
        "parameters": model.num_parameters(),
        "flops": needed,
        "layout": str(layout),
        "attention": attention(model, layout),
        "refused": refused,
        "grad_norm": norms[0],
    }


def updater_for(
    model: Any, precision: Precision, groups: int, steps: int, **settings: Any
) -> tuple[Updater, Layout, list[str]]:
    """The trainer's part that holds the optimizer; the layout it found; and what it refused."""
    config = GRPOConfig(
        num_generations=GENERATIONS,
        groups_per_step=groups,
        max_steps=steps,
        lr_scheduler_type="constant",
        bf16=precision.autocast,
        **{"learning_rate": LEARNING_RATE, **settings},
    )
    processes = Processes()
    with measure.remarks() as said:
        layout = compatible_layout(model, config)
    refused = [line for line in said if "does not take" in line]
    return Updater(model, config, layout, Reference(model, needed=False), processes), layout, refused


def sampling(model: Any, precision: Precision, batch: Batch, times: int) -> Json:
    """All completions of the batch's prompts, none of which ends early."""
    groups, length = len(batch.prompts), len(batch.completions[0][0])
    rows_ = groups * GENERATIONS

    def sample(most: int) -> Callable[[], None]:
        def work() -> None:
            engine = Engine(model, [], Sampling(max_completion_length=most), bf16=precision.autocast)

            async def every() -> list[Completion]:
                prompts = np.repeat(np.stack(batch.prompts), GENERATIONS, 0)
                jobs = (engine.generate(p, np.random.default_rng(i)) for i, p in enumerate(prompts))
                return await asyncio.gather(*jobs)

            replies = run_loop(every())
            if {len(reply.tokens) for reply in replies} != {most}:
                raise RuntimeError("a completion has another length than was asked for")

        return work

    measure.seconds(sample(min(8, length)), 1)
    every = measure.seconds(sample(length), 1)
    needed = flops.forward(model.config, flops.sampled(groups, rows_, len(batch.prompts[0]), length))
    return {**timed(every, rows_ * length), "flops": needed}


def timed(every: list[float], completion_tokens: int) -> Json:
    """Seconds of each time and their median, the speed that follows, and the peak of memory."""
    middle = median(every)
    return {
        "seconds": middle,
        "all_seconds": every,
        "completion_tokens_per_second": completion_tokens / middle,
        "peak_memory_gb": measure.peak_memory_gb(),
    }
