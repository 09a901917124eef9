"""Groups of random tokens with a shared prompt, as the trainer and as TRL take them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from grpo.types import Rollout, TokenSequence
from grpo.update import WeightedRollout

GENERATIONS = 8
FIRST = 4  # ids below it are special


@dataclass(frozen=True)
class Batch:
    """Attributes:
    prompts: one a group.
    completions: of each group, GENERATIONS.
    advantages_GN: each group's with mean 0 and deviation 1.
    """

    prompts: Sequence[np.ndarray]
    completions: Sequence[Sequence[np.ndarray]]
    advantages_GN: np.ndarray

    @property
    def sequences(self) -> list[TokenSequence]:
        """Group by group; log-probs of the sampler are not known."""
        return self._sequences(0.0)

    @property
    def completion_tokens(self) -> int:
        return sum(len(completion) for group in self.completions for completion in group)

    @property
    def tokens(self) -> list[np.ndarray]:
        return [sequence.tokens_T for sequence in self.sequences]

    def rollouts(self, sampled_at: float | None = None) -> list[WeightedRollout]:
        """For `grpo.update.Updater`.

        Args:
            sampled_at: the log-prob with which other weights sampled each token; None: the present ones did.
        """
        sequences = self._sequences(sampled_at or 0.0)
        advantages = self.advantages_GN.flatten().tolist()
        return [
            WeightedRollout(
                Rollout(None, (sequence,)),
                (np.full(int(sequence.sampled_T.sum()), advantage),),
                on_policy=sampled_at is None,
            )
            for sequence, advantage in zip(sequences, advantages, strict=True)
        ]

    def tensors(self) -> dict[str, Any]:
        """For TRL's `_compute_loss`, where all completions are equally long."""
        prompt_ids = torch.from_numpy(np.repeat(np.stack(self.prompts), GENERATIONS, axis=0))
        completion_ids = torch.from_numpy(np.stack([c for group in self.completions for c in group]))
        return {
            "prompt_ids": prompt_ids,
            "prompt_mask": torch.ones_like(prompt_ids),
            "completion_ids": completion_ids,
            "completion_mask": torch.ones_like(completion_ids),
            "advantages": torch.from_numpy(self.advantages_GN.flatten()).float(),
        }

    def _sequences(self, logp: float) -> list[TokenSequence]:
        return [
            TokenSequence.of_reply(prompt, completion.tolist(), [logp] * len(completion))
            for prompt, group in zip(self.prompts, self.completions, strict=True)
            for completion in group
        ]


def drawn(
    groups: int, prompt: int, completion: int, vocabulary: int, *, even: bool = True, seed: int = 0
) -> Batch:
    """Random groups.

    Args:
        even: every completion has `completion` tokens; else 1 to so many.
    """
    rng = np.random.default_rng(seed)

    def tokens(count: int) -> np.ndarray:
        return rng.integers(FIRST, vocabulary, count)

    lengths = np.full((groups, GENERATIONS), completion)
    if not even:
        lengths = rng.integers(1, completion + 1, lengths.shape)
    prompts = [tokens(prompt) for _ in range(groups)]
    completions = [[tokens(int(n)) for n in row] for row in lengths]
    rewards_GN = rng.random((groups, GENERATIONS))
    centred_GN = rewards_GN - rewards_GN.mean(1, keepdims=True)
    return Batch(prompts, completions, centred_GN / rewards_GN.std(1, ddof=1, keepdims=True))
