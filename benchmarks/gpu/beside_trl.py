"""TRL's update on the batch of `speed`, with the same weights: its own trainer, loss and optimizer, without its sampling."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.gpu import flops, measure
from benchmarks.gpu.batch import FIRST, GENERATIONS, Batch, drawn
from benchmarks.gpu.models import Precision, built, sized_config
from benchmarks.gpu.parts import Skipped
from benchmarks.gpu.speed import LEARNING_RATE, PRECISIONS, shape, timed
from benchmarks.harness import Json
from benchmarks.trainer import trl_losses
from benchmarks.trainer.trl_losses import Case
from benchmarks.trainer.work import build_tokenizer, silence_trl

# Ways in which its users can have it: rows of a micro-batch (0: all at once), and whether it keeps few activations, its
# default.
WAYS = {
    "a group at a time": (GENERATIONS, False),
    "all rows at once": (0, False),
    "a group at a time, gradient checkpointing": (GENERATIONS, True),
}


def rows(size: str, groups: int, prompt: int, completion: int, times: int) -> Iterator[Json]:
    """A row for each way in each precision."""
    silence_trl()
    try:
        importlib.import_module("trl.trainer.grpo_trainer")
    except (ImportError, RuntimeError) as error:  # transformers turns an error of import into the latter
        raise Skipped(f"TRL cannot be imported: {str(error).strip().splitlines()[-1]}") from error
    config = sized_config(size)
    tokenizer = build_tokenizer(
        config.vocab_size, dict(zip(("<pad>", "<s>", "</s>", "<unk>"), range(FIRST), strict=True))
    )
    batch = drawn(groups, prompt, completion, config.vocab_size)
    for precision in PRECISIONS:
        for way, (micro, checkpointing) in WAYS.items():
            measure.forget()
            about = {"of": "update", "size": size, "precision": precision.name, "way": way, **shape(batch)}
            try:
                found = update(
                    built(
                        config, precision, measure.device()
                    ),  # nothing else holds it, so its memory comes back
                    tokenizer,
                    precision,
                    batch,
                    times,
                    micro or len(batch.sequences),
                    checkpointing,
                )
            except torch.OutOfMemoryError:
                found = {"error": "it does not fit into memory"}
            yield about | found


def update(
    model: Any,
    tokenizer: Any,
    precision: Precision,
    batch: Batch,
    times: int,
    micro: int,
    checkpointing: bool,
) -> Json:
    """One optimizer step on the batch, with TRL's default loss, as ours has it."""
    count = len(batch.sequences)
    case = Case("dapo", micro_batches=count // micro)
    inputs = {name: tensor.to(model.device) for name, tensor in batch.tensors().items()}
    with tempfile.TemporaryDirectory() as folder:
        trainer = trl_losses.build(
            case,
            model,
            folder,
            tokenizer,
            rows=count,
            use_cpu=model.device.type == "cpu",
            bf16=precision.autocast,
            gradient_checkpointing=checkpointing,
            num_generations=GENERATIONS,
            max_completion_length=len(batch.completions[0][0]),
            learning_rate=LEARNING_RATE,
        )
    if checkpointing:  # its training loop does this
        trainer.model.gradient_checkpointing_enable({"use_reentrant": False})
    optimizer = trainer.create_optimizer()
    weights = [weight for weight in trainer.model.parameters() if weight.requires_grad]
    norms: list[float] = []

    def step() -> None:
        for part in trl_losses.micro_batches(case, inputs):
            trainer._compute_loss(trainer.model, part).backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(weights, trainer.args.max_grad_norm)))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    every = measure.seconds(step, times, warm_up=2)
    return {
        **timed(every, batch.completion_tokens),
        "flops": flops.update(model.config, flops.apart(batch.tokens, batch.completion_tokens)),
        "attention": str(model.config._attn_implementation),
        "optimizer": str(trainer.args.optim.value),
        "mixed_precision": trainer.accelerator.mixed_precision,
        "grad_norm": norms[0],
    }
