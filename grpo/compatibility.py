"""What a model can take, found out on real tokens before training starts."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import numpy as np
import torch

from grpo.config import GRPOConfig
from grpo.errors import TrainingError
from grpo.model.loading import autocast, context_length
from grpo.model.logprobs import Layout, check_layout, plain_logps, score
from grpo.rollouts.collect import run_loop
from grpo.rollouts.engine import Engine
from grpo.sampling import Sampling
from grpo.types import Sequence
from ranker import ConfigurationError
from ranker.judges.local.read import CANNOT, inner

log = logging.getLogger("ranker")


def probe(model: Any, tokenizer: Any, config: GRPOConfig) -> Layout:
    """Find the layout in which both trainer and sampler agree with the model's plain forward.

    Raises:
        ConfigurationError: the sampler's log-probs are not the model's in any layout; the model is another
            one in train mode, which `gradient_checkpointing` needs.
    """
    context = context_length(model)
    sequences = _sequences(model, min(48, (context or 64) // 2))
    layout = check_layout(model, sequences, longest=context or 1 << 30)
    if config.gradient_checkpointing:
        _check_train_mode(model, sequences, layout)
    for shares in (True, False):
        if shares and not (layout.tree and layout.head):
            continue
        worst = _gap(model, sequences, shares, context, config.bf16)
        if worst is not None and worst <= (0.2 if config.bf16 or model.dtype != torch.float32 else 1e-3):
            return layout if shares or not layout.tree else Layout(tree=False, head=layout.head)
        log.info("%s does not take shared prompts in sampling (%s)", type(inner(model)).__name__, worst)
    raise ConfigurationError(
        f"The log-probs of {type(inner(model)).__name__} while sampling are not those of its plain forward (they "
        f"differ by {worst}); training on them would be wrong. Try another attn_implementation or dtype."
    )


def _check_train_mode(model: Any, sequences: list[Sequence], layout: Layout) -> None:
    """Activation checkpointing needs train mode; a model that is another one there cannot be trained so."""
    with torch.no_grad():
        expected_N = score(model, sequences, layout=layout).logps_N
        model.train()
        found_N = score(model, sequences, layout=layout).logps_N
        model.eval()
    worst = float((found_N - expected_N).abs().max())
    if worst > (0.15 if model.dtype != torch.float32 else 1e-3):
        raise ConfigurationError(
            f"In train mode the log-probs of {type(inner(model)).__name__} differ by {worst:.2g} from those it samples "
            "with (its router, say, is noisy there), and gradient_checkpointing needs train mode: leave it out."
        )


def _sequences(model: Any, length: int) -> list[Sequence]:
    """Three sequences of ordinary ids that share half of their tokens."""
    rng = np.random.default_rng(0)
    vocabulary = inner(model).config.vocab_size
    start = rng.integers(0, vocabulary, max(1, length // 2))
    made = []
    for more in (length // 2, length // 3, length // 2):
        tokens_T = np.concatenate([start, rng.integers(0, vocabulary, max(1, more))])
        sampled_T = np.arange(len(tokens_T)) >= len(start)
        made.append(Sequence(tokens_T, sampled_T, np.zeros(len(tokens_T), np.float32)))
    return made


def _gap(
    model: Any, sequences: list[Sequence], shares: bool, context: int | None, bf16: bool
) -> float | None:
    """Largest difference between the sampler's log-probs and the plain forward's; None where it cannot run."""
    engine = Engine(model, [], Sampling(max_completion_length=6), context=context, shares=shares, bf16=bf16)
    prompts = [s.tokens_T[:n] for s, n in zip(sequences, (8, 5, 8), strict=True)]

    async def work() -> list[Any]:
        return await asyncio.gather(
            *(engine.generate(p, np.random.default_rng(i)) for i, p in enumerate(prompts))
        )

    try:
        made = run_loop(work())
        read = [
            Sequence(
                np.concatenate([p, c.tokens]).astype(np.int64),
                np.arange(len(p) + len(c.tokens)) >= len(p),
                np.concatenate([np.zeros(len(p)), c.logps]).astype(np.float32),
            )
            for p, c in zip(prompts, made, strict=True)
        ]
        with torch.no_grad(), autocast(model, bf16):
            expected_N = plain_logps(model, read)
    except (TrainingError, *CANNOT) as error:
        log.info("%s", error)
        return None
    found_N = np.concatenate([s.logps_T[s.sampled_T] for s in read])
    return float(np.abs(expected_N.float().cpu().numpy() - found_N).max())
