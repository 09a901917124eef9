"""How many operations a model needs for some tokens, counted from its config."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from grpo.model.packing import pack


@dataclass(frozen=True)
class Tokens:
    """What a forward pass reads.

    Attributes:
        read: tokens that go through the layers.
        scored: hidden states that go through the output embedding.
        pairs: of a token and one that it attends to, itself included.
    """

    read: int
    scored: int
    pairs: int


def shared(sequences: Sequence[np.ndarray], scored: int) -> Tokens:
    """Every token that sequences share read once, as the trainer does."""
    tree = pack(sequences)
    return Tokens(len(tree), scored, int((tree.positions_L + 1).sum()))


def apart(sequences: Sequence[np.ndarray], scored: int) -> Tokens:
    """Every sequence read by itself."""
    lengths = [len(sequence) for sequence in sequences]
    return Tokens(sum(lengths), scored, sum(n * (n + 1) // 2 for n in lengths))


def sampled(groups: int, rows: int, prompt: int, completion: int) -> Tokens:
    """Prompts read once a group, then a token for every row until each has its completion; the last token of a row
    is drawn, not read."""
    read = groups * prompt + rows * (completion - 1)
    seen = range(prompt + 1, prompt + completion)
    return Tokens(
        read, groups + rows * (completion - 1), groups * prompt * (prompt + 1) // 2 + rows * sum(seen)
    )


def layer_weights(config: Any) -> int:
    """Weights of all layers that a token is multiplied by: attention's four products and the gated MLP's three. Norms
    and biases do not count."""
    hidden, heads = config.hidden_size, config.num_attention_heads
    head = getattr(config, "head_dim", None) or hidden // heads
    attention = 2 * hidden * heads * head + 2 * hidden * config.num_key_value_heads * head
    return int(config.num_hidden_layers * (attention + 3 * hidden * config.intermediate_size))


def forward(config: Any, tokens: Tokens) -> float:
    """Operations of a forward pass: two for each weight and token, and four for each pair and each of a head's
    numbers (the score, and the sum of values)."""
    heads = config.num_attention_heads
    head = getattr(config, "head_dim", None) or config.hidden_size // heads
    products = layer_weights(config) * tokens.read + config.vocab_size * config.hidden_size * tokens.scored
    return float(2 * products + 4 * config.num_hidden_layers * heads * head * tokens.pairs)


def update(config: Any, tokens: Tokens) -> float:
    """Operations of a forward and a backward pass, which costs twice as much (Kaplan et al. 2020, arXiv 2001.08361,
    2.1). Work that is done again to save memory does not count, nor does the optimizer's step."""
    return 3.0 * forward(config, tokens)
