"""How far a rollout server's log-probs are from the trainer's, on a few short replies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from grpo.config import GRPOConfig
from grpo.model.loading import autocast
from grpo.model.logprobs import Layout, token_logprobs
from grpo.rollouts.collect import run_loop
from grpo.rollouts.remote import RemoteEngine
from grpo.rollouts.server import Server
from grpo.types import TokenSequence
from ranker import ConfigurationError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TOLERANCE = 0.1  # mean difference of log-probs; bfloat16 kernels differ by 0.005 to 0.05
_TEXTS = (
    "The harbour was quiet that morning, and the first boats came in with",
    "To sort a list of numbers, begin with the smallest one and",
)
_TOKENS = 32  # of each reply that is checked
Gaps = Callable[[Sequence[TokenSequence], float], np.ndarray]


@dataclass(frozen=True, slots=True)
class MismatchCheck:
    """Compares servers with the trainer's own forward."""

    engine: RemoteEngine
    tokenizer: PreTrainedTokenizerBase
    config: GRPOConfig
    layout: Layout

    def __call__(self, model: Any) -> float | None:
        """The mean difference of log-probs, of the server where it is largest; None where a reply has no room.

        Raises:
            ConfigurationError: it is more than rounding, with what it looks like.
        """
        every = run_loop(self._ask())
        if not every:
            return None

        def gaps(sequences: Sequence[TokenSequence], temperature: float) -> np.ndarray:
            sampled_N = np.concatenate([s.logps_T[s.sampled_T] for s in sequences])
            with torch.no_grad(), autocast(model, self.config.bf16):
                logps_N = token_logprobs(model, sequences, temperature, self.layout).logps_N
            gaps_N: np.ndarray = np.abs(logps_N.float().cpu().numpy() - sampled_N)
            return gaps_N

        # Each by itself: many that are right must not hide one that is not.
        whose_N = np.concatenate([np.full(int(s.sampled_T.sum()), i) for i, s in every])
        gap_N = gaps([s for _, s in every], self.config.temperature)
        answered = sorted({i for i, _ in every})
        means = [float(gap_N[whose_N == i].mean()) for i in answered]
        most = int(np.argmax(means))  # of one that is no number too
        mean, worst = means[most], answered[most]
        if mean <= TOLERANCE:
            return mean
        difference = f"The log-probs of {self.engine.servers[worst].url} differ from the trainer's by {mean:.3g} on average"
        raise self._unlike(model, difference, [s for i, s in every if i == worst], gaps)

    def _unlike(
        self, model: Any, difference: str, asked: Sequence[TokenSequence], gaps: Gaps
    ) -> ConfigurationError:
        """What a difference looks like."""
        plain = [TokenSequence(s.tokens_T, s.sampled_T, s.logps_T) for s in asked]
        if gaps(plain, 1.0).mean() <= TOLERANCE:
            return ConfigurationError(
                f"{difference}: they are those before temperature, top_k, top_p and min_p. Start it with --logprobs-mode "
                "processed_logprobs."
            )
        without = ""
        if hasattr(model, "peft_config"):
            with model.disable_adapter():
                base = gaps(asked, self.config.temperature).mean()
            if base <= TOLERANCE:
                return ConfigurationError(
                    f"{difference}, and are those of the model without its adapter: the server does not use what it "
                    "loaded."
                )
            without = f" ({base:.3g} without the adapter)"
        return ConfigurationError(
            f"{difference} (at most {TOLERANCE} is rounding): it serves another model, other weights, or a coarser "
            f"quantisation than the one that is trained{without}. Serve the same files, in the same precision."
        )

    async def _ask(self) -> list[tuple[int, TokenSequence]]:
        """Replies to check, each with the index of its server."""
        replies = await asyncio.gather(
            *(
                self._reply(server, self._prompt(text, k), len(_TEXTS) * i + k)
                for i, server in enumerate(self.engine.servers)
                for k, text in enumerate(_TEXTS)
            )
        )
        return [(i // len(_TEXTS), s) for i, s in enumerate(replies) if s is not None]

    def _prompt(self, text: str, seed: int) -> np.ndarray:
        """Ids of a text; of ordinary tokens where the tokenizer does not know its words."""
        ids = list(self.tokenizer(text)["input_ids"])
        if len(set(ids)) < 6:
            ordinary = sorted(set(range(len(self.tokenizer))) - set(self.tokenizer.all_special_ids))
            ids = np.random.default_rng(seed).choice(ordinary, 12).tolist()
        most = len(ids) if self.engine.context is None else max(1, self.engine.context // 2)
        return np.array(ids[:most], dtype=np.int64)

    async def _reply(self, server: Server, prompt: np.ndarray, seed: int) -> TokenSequence | None:
        completion = await self.engine.reply(server, prompt, _TOKENS, seed)
        if not completion.tokens:
            return None
        return TokenSequence.of_reply(prompt, completion.tokens, completion.logps, completion.support)
