"""Which ways of running a model agree with its plain forward, measured on real tokens before training starts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grpo.config import GRPOConfig
from grpo.errors import TrainingError
from grpo.model.loading import autocast, context_length
from grpo.model.logprobs import Layout, plain_logprobs, token_logprobs
from grpo.rollouts.collect import run_loop
from grpo.rollouts.engine import Completion, Engine
from grpo.sampling import Sampling
from grpo.types import TokenSequence
from ranker import ConfigurationError
from ranker.judges.local.hidden_states import CANNOT, inner

log = logging.getLogger("ranker")
# Settings by which models change logits after the output embedding (Gemma, Granite, Cohere).
_LOGIT_CHANGES = ("final_logit_softcapping", "logits_scaling", "logit_scale")


def compatible_layout(model: Any, config: GRPOConfig) -> Layout:
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
        if shares and not (layout.packed and layout.head):
            continue
        worst = _gap(model, sequences, shares, context, config.bf16)
        if worst is not None and worst <= (0.2 if config.bf16 or model.dtype != torch.float32 else 1e-3):
            return layout if shares or not layout.packed else Layout(packed=False, head=layout.head)
        log.info("%s does not take shared prompts in sampling (%s)", type(inner(model)).__name__, worst)
    raise ConfigurationError(
        f"The log-probs of {type(inner(model)).__name__} while sampling are not those of its plain forward (they "
        f"differ by {worst}); training on them would be wrong. Try another attn_implementation or dtype."
    )


def check_layout(model: Any, sequences: Sequence[TokenSequence], longest: int) -> Layout:
    """Find out on real tokens how this model can be run, and log it.

    Every layout must give the log-probs of the plain forward of each sequence alone, to a tolerance
    for the dtype; the first that does is taken. A model whose attention has a window shorter than
    `longest` tokens cannot share prompts by a mask, whatever a short check says.

    Args:
        sequences: a few that share a beginning; short ones will do.
        longest: tokens of the longest sequence to come.
    """
    half = model.dtype in (torch.bfloat16, torch.float16)
    tolerance = 0.15 if half else 1e-4
    config = inner(model).config
    # Layers that carry a causal mask of their own (GPT-Neo) count places in the packed row instead of positions.
    masked = any(b.dim() == 4 and b.shape[-1] == b.shape[-2] > 1 for b in inner(model).buffers())
    windowed = _window(config) < longest or masked
    name = type(inner(model)).__name__
    # An adapter on the head is more than a weight.
    scaled = type(inner(model).get_output_embeddings()) is not torch.nn.Linear or any(
        getattr(config, change, None) not in (None, 1, 1.0) for change in _LOGIT_CHANGES
    )
    flex = [Layout(flex=True)] if model.device.type == "cuda" else []
    with torch.no_grad():
        expected_N = plain_logprobs(model, sequences)
        for layout in (*flex, Layout(), Layout(packed=False)):
            if scaled or (layout.packed and windowed):
                continue
            why = _fault(model, sequences, layout, expected_N, tolerance)
            if why is None:
                log.info("%s: %s", name, layout)
                return layout
            log.info("%s does not take: %s (%s)", name, layout, why)
    layout = Layout(packed=False, head=False)
    log.info("%s: %s", name, layout)
    return layout


def _fault(
    model: Any, sequences: Sequence[TokenSequence], layout: Layout, expected_N: Tensor, tolerance: float
) -> str | None:
    try:
        logps_N = token_logprobs(model, sequences, layout=layout).logps_N
    except CANNOT as error:
        return str(error).partition("\n")[0]
    worst = float((logps_N - expected_N).abs().max())
    return None if worst <= tolerance else f"log-probs differ by {worst:.2g}"


def _window(config: Any) -> float:
    """Tokens that the narrowest attention layer sees; infinite where all see everything."""
    if getattr(config, "keep_window_size", None):  # Doge: a window chosen by content
        return float(config.keep_window_size)
    kinds = getattr(config, "layer_types", None)
    if kinds is not None and "sliding_attention" not in kinds:
        return float("inf")
    if getattr(config, "use_sliding_window", True) is False:
        return float("inf")
    return float(getattr(config, "sliding_window", None) or "inf")


def _check_train_mode(model: Any, sequences: list[TokenSequence], layout: Layout) -> None:
    """Activation checkpointing needs train mode; a model that is another one there cannot be trained so."""
    with torch.no_grad():
        expected_N = token_logprobs(model, sequences, layout=layout).logps_N
        model.train()
        train_N = token_logprobs(model, sequences, layout=layout).logps_N
        model.eval()
    worst = float((train_N - expected_N).abs().max())
    if worst > (0.15 if model.dtype != torch.float32 else 1e-3):
        raise ConfigurationError(
            f"In train mode the log-probs of {type(inner(model)).__name__} differ by {worst:.2g} from those it samples "
            "with (its router, say, is noisy there), and gradient_checkpointing needs train mode: leave it out."
        )


def _sequences(model: Any, length: int) -> list[TokenSequence]:
    """Three sequences of ordinary ids that share half of their tokens."""
    rng = np.random.default_rng(0)
    vocabulary = inner(model).config.vocab_size
    start = rng.integers(0, vocabulary, max(1, length // 2))
    lengths = [max(1, more) for more in (length // 2, length // 3, length // 2)]
    return [
        TokenSequence.of_reply(start, rng.integers(0, vocabulary, n).tolist(), [0.0] * n) for n in lengths
    ]


def _gap(
    model: Any, sequences: list[TokenSequence], shares: bool, context: int | None, bf16: bool
) -> float | None:
    """Largest difference between the sampler's log-probs and the plain forward's; None where it cannot run."""
    engine = Engine(model, [], Sampling(max_completion_length=6), context=context, shares=shares, bf16=bf16)
    prompts = [s.tokens_T[:n] for s, n in zip(sequences, (8, 5, 8), strict=True)]

    async def work() -> list[Completion]:
        replies = (engine.generate(p, np.random.default_rng(i)) for i, p in enumerate(prompts))
        return await asyncio.gather(*replies)

    try:
        completions = run_loop(work())
        pairs = zip(prompts, completions, strict=True)
        read = [TokenSequence.of_reply(prompt, c.tokens, c.logps) for prompt, c in pairs]
        with torch.no_grad(), autocast(model, bf16):
            expected_N = plain_logprobs(model, read)
    except (TrainingError, *CANNOT) as error:
        log.info("%s", error)
        return None
    sampled_N = np.concatenate([s.logps_T[s.sampled_T] for s in read])
    return float(np.abs(expected_N.float().cpu().numpy() - sampled_N).max())
