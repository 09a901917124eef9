"""Generation by a vLLM server: the same interface as the engine in this process, over HTTP."""

from __future__ import annotations

import math
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from grpo.errors import ContextError, ReplyError
from grpo.rollouts.engine import Completion
from grpo.rollouts.server import Answer, Server, Weights, context_of
from grpo.sampling import Sampling
from ranker import ConfigurationError

_MASKED = -9999.0  # what vLLM writes for a probability of 0
_TIES = 16  # tokens as likely as the last that top_k keeps; it keeps them all
_SEEDS = 1 << 53  # whole numbers that every JSON reader keeps


class WeightTransfer(Protocol):
    """How servers come by the policy's weights, and answer with no others."""

    async def load(self, server: Server, weights: Weights) -> None:
        """Have a server read weights; those that it has are left as they are. One that dies of it, or while it reads, is
        waited for like any other.

        Raises:
            ConfigurationError: it cannot, with its own words.
            TrainingError: it stayed away.
        """

    async def unload(self, server: Server, weights: Weights, *, wait: bool = True) -> bool:
        """Have it forget weights; whether it did, or had none of that name.

        Args:
            wait: for a server that is away.
        """

    async def complete(self, server: Server, weights: Weights, body: Mapping[str, Any]) -> Answer:
        """A completion by these weights, which are loaded again where the server was started anew.

        Raises:
            TrainingError, ConfigurationError, ReplyError: as `Server.ask` and `load`; or it does not keep them.
        """


@dataclass
class RemoteEngine:
    """Asks vLLM servers for replies, as token ids with their log-probs; no text is tokenised again.

    Attributes:
        servers: requests of one attempt go to one of them, so that it finds its prefix in its cache.
        ends: any of these tokens ends a reply.
        vocabulary: ids from here on do not exist.
        context: tokens the model can hold; a reply is cut off there.
        transfer: how the servers come by weights.
        weights: whose replies are asked for; None for those of the servers' start.
    """

    servers: Sequence[Server]
    ends: Collection[int]
    sampling: Sampling
    vocabulary: int
    transfer: WeightTransfer
    context: int | None = None
    sampled_tokens: int = 0
    weights: Weights | None = None

    async def generate(
        self, prompt: np.ndarray, random: np.random.Generator, most: int | None = None
    ) -> Completion:
        """One reply to a prompt of token ids; `random` gives its seed.

        Raises:
            ContextError: an empty prompt.
            ReplyError: the server failed, or its reply cannot be trained on.
            TrainingError: the server is away or hangs.
            ConfigurationError: it refuses such requests, or gives no token ids.
        """
        if not len(prompt):
            raise ContextError("An empty prompt cannot be continued; give it at least one token.")
        limit = self.sampling.max_completion_length if most is None else most
        origin: Any = random.bit_generator.seed_seq  # the same for all replies of one attempt
        at = zlib.crc32(repr(getattr(origin, "entropy", 0)).encode()) % len(self.servers)
        completion = await self.reply(self.servers[at], prompt, limit, int(random.integers(_SEEDS)))
        self.sampled_tokens += len(completion.tokens)
        return completion

    async def reply(self, server: Server, prompt: np.ndarray, limit: int, seed: int) -> Completion:
        """One reply of a given server."""
        asked = [int(token) for token in prompt]
        weights = self.weights
        while True:
            believed = self.context
            if self.context is not None:
                limit = min(limit, self.context - len(asked))
            if limit < 1:
                return Completion([], [], [], False)
            body = request_body(asked, limit, seed, self.sampling, self.ends)
            if weights is None:
                answer = await server.ask("completions", body)
            else:
                answer = await self.transfer.complete(server, weights, body)
            if answer.status == 200:
                return read_reply(answer.data, asked, limit, self.sampling, self.ends, self.vocabulary)
            context = context_of(answer)
            if context is not None:
                if not context or (believed is not None and believed <= context):
                    return Completion([], [], [], False)  # no room, as far as can be told
                self.context = min(context, self.context or context)  # shorter than was known here
                continue
            advice = f" and --max-logprobs {body['logprobs']}" if self.sampling.truncates else ""
            raise ConfigurationError(
                f"{server.url}/completions refuses the request ({answer.status}: {answer.text}). The trainer needs "
                f"vLLM 0.10.2 or later{advice}."
            )


def request_body(
    prompt: Sequence[int], limit: int, seed: int, sampling: Sampling, ends: Collection[int]
) -> dict[str, Any]:
    """A request to `/v1/completions`. Nothing is left to the defaults that a server reads from the model's
    generation config: they would change the distribution."""
    return {
        "prompt": list(prompt),
        "max_tokens": limit,
        "n": 1,
        "seed": seed,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p or 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "stop_token_ids": sorted(ends),
        "logprobs": sampling.top_k + _TIES if sampling.truncates else 0,
        "return_token_ids": True,
        "return_tokens_as_token_ids": True,
        "skip_special_tokens": False,
        "add_special_tokens": False,
    }


def read_reply(
    data: Mapping[str, Any],
    prompt: Sequence[int],
    limit: int,
    sampling: Sampling,
    ends: Collection[int],
    vocabulary: int,
) -> Completion:
    """The reply in an answer of `/v1/completions`.

    Raises:
        ConfigurationError: there are no token ids or log-probs in it, or it read another prompt.
        ReplyError: tokens and log-probs are not as many as one another or as its count, are none that
            the distribution has, or do not end where a reply ends.
    """
    choices = data.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        raise ReplyError(f"The rollout server's answer holds no reply: it has the fields {sorted(data)}.")
    choice = choices[0]
    tokens, reported = choice.get("token_ids"), choice.get("logprobs")
    if tokens is None:
        raise ConfigurationError(
            "The rollout server returns no token ids, and text is never tokenised again: it must be vLLM 0.10.2 or "
            "later, which knows return_token_ids."
        )
    if not isinstance(reported, dict) or not isinstance(reported.get("token_logprobs"), list):
        raise ConfigurationError(
            "The rollout server returns no log-probs; vLLM does unless it runs with --max-logprobs 0."
        )
    if not isinstance(tokens, list) or not all(type(t) is int and 0 <= t < vocabulary for t in tokens):
        raise ReplyError("The rollout server returned token ids that the model does not have.")
    read = choice.get("prompt_token_ids")
    if read is not None and list(read) != list(prompt):
        raise ConfigurationError(
            f"The rollout server read another prompt ({len(read)} tokens) than it was sent ({len(prompt)} tokens)."
        )
    logps = [_logp(value) for value in reported["token_logprobs"]]
    counted = (data.get("usage") or {}).get("completion_tokens", len(tokens))
    if not len(tokens) == len(logps) == counted or not 0 < len(tokens) <= limit:
        raise ReplyError(
            f"The rollout server returned {len(tokens)} token ids and {len(logps)} log-probs, counted {counted} "
            f"tokens, and was asked for at most {limit}."
        )
    ended = tokens[-1] in ends
    if any(token in ends for token in tokens[:-1]):
        raise ReplyError("The rollout server went on after an end token.")
    reason = choice.get("finish_reason")
    if not ended and reason != "length":
        raise ReplyError(
            f"The rollout server ended a reply ({reason!r}) with token {tokens[-1]}, which does not end replies here; "
            "serve the model with the files it is trained from."
        )
    support = _support(reported.get("top_logprobs"), tokens, vocabulary) if sampling.truncates else []
    return Completion(tokens, logps, support, ended)


def _logp(value: Any) -> float:
    """A log-prob.

    Raises:
        ReplyError: it is none, or that of a token which cannot be drawn.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ReplyError(f"The rollout server returned the log-prob {value!r}.")
    if not _MASKED < value <= 1e-3:
        raise ReplyError(
            f"The rollout server returned the log-prob {value:g}, which no token that was drawn has. Start it with "
            "--logprobs-mode processed_logprobs."
        )
    return min(float(value), 0.0)


def _support(top: Any, tokens: Sequence[int], vocabulary: int) -> list[np.ndarray]:
    """For each token, the ids there were to choose from: those whose log-prob is not masked.

    Raises:
        ReplyError: their probabilities do not add up to 1, so that some are missing.
    """
    if not isinstance(top, list) or len(top) != len(tokens):
        raise ReplyError("The rollout server did not say which tokens truncated sampling left.")
    support = []
    for token, choices in zip(tokens, top, strict=True):
        left: dict[int, float] = {}
        for name, value in (choices or {}).items():
            if str(name).startswith("token_id:") and isinstance(value, (int, float)) and value > _MASKED:
                left[int(str(name)[9:])] = float(value)
        total = math.fsum(math.exp(min(value, 1.0)) for value in left.values())
        if token not in left or abs(total - 1) > 1e-3 or not all(0 <= i < vocabulary for i in left):
            raise ReplyError(
                f"The tokens that truncated sampling left have a probability of {total:.3f} together, not 1. Start "
                "the server with --logprobs-mode processed_logprobs."
            )
        support.append(np.array(sorted(left), dtype=np.int32))
    return support
