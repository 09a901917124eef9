"""Reading segments with a model: hidden states where they are wanted, every token read once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ranker.judges.local.segments import Segment, packs, paths, positions, seen, visible

Tensor = Any
# How models say that they cannot be run in some way.
CANNOT = (TypeError, ValueError, RuntimeError, AttributeError, IndexError, KeyError, NotImplementedError)
# Tokens of one forward. A mask hides tokens from each other without sparing the work, so branches that are long
# enough to fill the cores by themselves are read one after the other.
PACK = 320


def inner(model: Any) -> Any:
    """The causal LM itself, adapters and all, without peft's wrapper."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def trunk(model: Any) -> Any:
    """The part below the output embedding."""
    causal = inner(model)
    return causal.get_decoder() if hasattr(causal, "get_decoder") else causal.base_model


def mask_for(model: Any, allowed: Tensor) -> Tensor:
    """A 4-D mask as the model's attention takes it: boolean for SDPA, added to the scores for eager."""
    if inner(model).config._attn_implementation == "sdpa":
        return allowed
    least = torch.finfo(model.dtype).min
    return torch.zeros(allowed.shape, dtype=model.dtype, device=allowed.device).masked_fill_(~allowed, least)


def hidden_tails(model: Any, segments: Sequence[Segment], most: int = PACK) -> list[Tensor]:
    """Last hidden states of the last `tail` tokens of each segment that wants any, shape (tail, H) each.

    Runs are read one after the other; keys and values of what is seen later are kept, the others dropped.
    Carries a gradient where the model has one.
    """
    from transformers import DynamicCache

    device = model.device
    wanted = seen(segments)
    past = DynamicCache()
    kept: list[int] = []
    found: list[Tensor] = []
    for run in packs(segments, most):
        lengths = [len(segments[i]) for i in run]
        tokens_Q = np.concatenate([segments[i].tokens_T for i in run])
        causal = not kept and len(run) == 1  # the plain case: no mask to write out
        mask = None
        if not causal:
            allowed_QK = torch.from_numpy(visible(segments, kept, run)).to(device)
            mask = mask_for(model, allowed_QK[None, None])
        output = trunk(model)(
            input_ids=torch.from_numpy(tokens_Q)[None].to(device),
            position_ids=torch.from_numpy(positions(segments, run))[None].to(device),
            attention_mask=mask,
            past_key_values=past,
            use_cache=True,
        )
        ends = np.cumsum(lengths)
        for i, end in zip(run, ends, strict=True):
            if segments[i].tail:
                found.append(output.last_hidden_state[0, end - segments[i].tail : end])
        if run[-1] in wanted:
            kept += run
        else:
            past.crop(-int(ends[-1]))
    return found


def plain_tails(model: Any, segments: Sequence[Segment]) -> list[Tensor]:
    """The same, each sequence alone and in full; for models whose attention takes no mask of ours.

    Raises:
        ValueError: the segments are no plain sequences.
    """
    sequences = paths(segments)
    if sequences is None:
        raise ValueError("these segments cannot be read one sequence at a time")
    tails = [s.tail for s in segments if s.tail]
    return [
        trunk(model)(
            input_ids=torch.from_numpy(sequence)[None].to(model.device), use_cache=False
        ).last_hidden_state[0, -tail:]
        for sequence, tail in zip(sequences, tails, strict=True)
    ]
