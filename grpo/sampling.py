"""From logits to tokens: the distribution that is sampled from, and its log-probs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from grpo.errors import TrainingError


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn, with TRL's names.

    Attributes:
        temperature: divides the logits; 0 takes the most likely token (for evaluation only: its
            log-probs are 0).
        top_k: keep so many of the most likely tokens; 0 keeps all.
        top_p: keep the smallest set of most likely tokens with this much probability.
        min_p: drop tokens less likely than this share of the most likely one's probability.
        max_completion_length: tokens of one reply.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float | None = None
    max_completion_length: int = 256

    @property
    def truncates(self) -> bool:
        return self.temperature > 0 and (self.top_k > 0 or self.top_p < 1.0 or bool(self.min_p))


@dataclass(frozen=True, slots=True)
class Drawn:
    """One token for each of B rows.

    Attributes:
        tokens_B: the ids drawn.
        logps_B: their log-probs under the distribution drawn from.
        support: the ids there were to choose from, for each row; None where nothing was cut off.
    """

    tokens_B: Tensor
    logps_B: Tensor
    support: list[np.ndarray] | None


def distribution(logits_BV: Tensor, sampling: Sampling) -> Tensor:
    """Probabilities after temperature, top-k, top-p and min-p, in this order, as transformers applies
    them; each row sums to 1."""
    if sampling.temperature == 0:
        return torch.nn.functional.one_hot(logits_BV.argmax(1), logits_BV.shape[1]).to(torch.float32)
    scaled_BV = logits_BV.float() / sampling.temperature
    vocabulary = scaled_BV.shape[1]
    if 0 < sampling.top_k < vocabulary:
        least_B1 = scaled_BV.topk(sampling.top_k, dim=1).values[:, -1:]
        scaled_BV = scaled_BV.masked_fill(scaled_BV < least_B1, -torch.inf)
    if sampling.top_p < 1.0:
        ascending_BV, order_BV = scaled_BV.sort(dim=1)
        below_BV = ascending_BV.softmax(1).cumsum(1) <= 1 - sampling.top_p
        below_BV[:, -1] = False  # the most likely token always stays
        scaled_BV = scaled_BV.masked_fill(below_BV.scatter(1, order_BV, below_BV), -torch.inf)
    if sampling.min_p:
        probs_BV = scaled_BV.softmax(1)
        weak_BV = probs_BV < sampling.min_p * probs_BV.amax(1, keepdim=True)
        scaled_BV = scaled_BV.masked_fill(weak_BV, -torch.inf)
    return scaled_BV.softmax(1)


def draw(logits_BV: Tensor, uniforms_B: Tensor, sampling: Sampling) -> Drawn:
    """Draw a token for each row by inverting the cumulative distribution at the row's uniform number.

    Each row brings its own number from its own generator, so what a row draws depends neither on the
    rows beside it nor on how many there are.

    Raises:
        TrainingError: logits that are not finite.
    """
    probs_BV = distribution(logits_BV, sampling)
    cumulative_BV = probs_BV.cumsum(1, dtype=torch.float64)
    if not bool(torch.isfinite(cumulative_BV[:, -1]).all()):
        raise TrainingError(
            "The model's logits are not finite (NaN or infinite): the weights are broken. Go on from an earlier "
            "checkpoint with a lower learning_rate, or load the model in float32."
        )
    at_B1 = uniforms_B.to(torch.float64)[:, None] * cumulative_BV[:, -1:]
    tokens_B1 = torch.searchsorted(cumulative_BV, at_B1, right=True)
    # Rounding may point past the last token that can be drawn.
    last_B1 = (cumulative_BV < cumulative_BV[:, -1:]).sum(1, keepdim=True)
    tokens_B1 = torch.minimum(tokens_B1, last_B1)
    logps_B = probs_BV.gather(1, tokens_B1)[:, 0].log()
    support = None
    if sampling.truncates:
        support = [row.nonzero()[:, 0].to(torch.int32).cpu().numpy() for row in probs_BV]
    return Drawn(tokens_B1[:, 0], logps_B, support)
