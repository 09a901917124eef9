"""From hidden states to one score an attempt, and from scores to tiers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch

from ranker.judges.local.read import inner
from ranker.judges.local.ways import LETTERS, Way

Tensor = Any
PRIOR = 4.0
_CHUNK = 256  # rows of logits over the whole vocabulary held at once
NUMBERS = 4.0  # weight of a nat a number token beside a unit of log-odds, in `blend`


@lru_cache(maxsize=256)
def variants(tokenizer: Any, word: str) -> list[int]:
    """The single tokens that spell a word, with a space before it or without, in either case."""
    made = {word, word.lower(), word.upper()} if len(word) > 1 else {word}
    found = [
        tokenizer.encode(f"{space}{w}", add_special_tokens=False) for w in sorted(made) for space in ("", " ")
    ]
    ids = list(dict.fromkeys(ids[0] for ids in found if len(ids) == 1))
    return ids or [tokenizer.encode(word, add_special_tokens=False)[0]]


def words_of(way: Way, n: int) -> tuple[str, ...]:
    """The answers that a way chooses among, for n attempts."""
    if way == "letter":
        return tuple(LETTERS[:n])
    if way == "digits":
        return tuple("0123456789")
    return ("Yes", "No")


def word_logits(model: Any, hidden_NH: Tensor, groups: Sequence[Sequence[int]]) -> Tensor:
    """For each hidden state the logit of each word, shape (N, W), float32: a word's tokens are summed as
    probabilities. Rows of the output embedding are taken in float32, because differences of logits are
    finer than what bfloat16 can hold."""
    head = inner(model).get_output_embeddings()
    flat = torch.tensor([i for ids in groups for i in ids], device=hidden_NH.device)
    logits_NI = hidden_NH.float() @ head.weight[flat].float().T
    if getattr(head, "bias", None) is not None:
        logits_NI = logits_NI + head.bias[flat].float()
    split = _finished(model, logits_NI).split([len(ids) for ids in groups], dim=1)
    return torch.stack([part.logsumexp(1) for part in split], dim=1)


def _finished(model: Any, logits: Tensor) -> Tensor:
    """Logits as the model's own forward would give them: some scale them (Cohere, Granite) or bound them (Gemma)."""
    config = getattr(inner(model).config, "text_config", inner(model).config)
    scale = (getattr(config, "logit_scale", None) or 1.0) / (getattr(config, "logits_scaling", None) or 1.0)
    logits = logits * scale if scale != 1.0 else logits
    cap = getattr(config, "final_logit_softcapping", None)
    return cap * torch.tanh(logits / cap) if cap else logits


def token_logps(model: Any, hidden_NH: Tensor, targets_N: Tensor) -> Tensor:
    """Log-probability of a token after each hidden state, shape (N,), float32; a few rows of logits at a time."""
    head = inner(model).get_output_embeddings()
    made = []
    for part_CH, targets_C in zip(hidden_NH.split(_CHUNK), targets_N.split(_CHUNK), strict=True):
        logits_CV = _finished(model, head(part_CH.to(head.weight.dtype)).float())
        made.append(logits_CV.gather(1, targets_C[:, None])[:, 0] - logits_CV.logsumexp(1))
    return torch.cat(made)


def log_odds(logits_N2: Tensor) -> Tensor:
    """Yes against No, shape (N,)."""
    return logits_N2[:, 0] - logits_N2[:, 1]


def expected_digit(logits_N10: Tensor) -> Tensor:
    """The mean digit over 9, in [0, 1], shape (N,)."""
    return (logits_N10.softmax(1) @ torch.arange(10.0, device=logits_N10.device)) / 9


def likelihood(model: Any, hidden_TH: Tensor, tokens_T: Tensor) -> Tensor:
    """Mean log-probability of a reference's tokens, a scalar: state t foretells token t + 1."""
    return token_logps(model, hidden_TH[:-1], tokens_T[1:]).mean()


@lru_cache(maxsize=8)
def number_ids(tokenizer: Any) -> Tensor:
    """Which token ids are digits and nothing else, boolean, shape (V,)."""
    texts = tokenizer.batch_decode([[i] for i in range(len(tokenizer))])
    return torch.tensor([text.strip().isdecimal() for text in texts])


def number_scores(model: Any, tails: Sequence[Tensor], tokens: Sequence[Tensor], number_V: Tensor) -> Tensor:
    """How likely the model finds the numbers of each attempt, shape (G,): the mean log-probability of its number
    tokens, drawn towards that of the whole group as if it held `PRIOR` more tokens of that. An attempt without
    numbers stands where the group does: leaving numbers out gains nothing.

    Args:
        tails: hidden states of each attempt's tokens, shape (T, H) each.
        tokens: the tokens, shape (T,) each.
        number_V: see `number_ids`.
    """
    states, targets, owners = [], [], []
    for i, (hidden_TH, tokens_T) in enumerate(zip(tails, tokens, strict=True)):
        at = number_V[tokens_T[1:]].nonzero()[:, 0]
        states.append(hidden_TH[at])
        targets.append(tokens_T[1:][at])
        owners.append(torch.full_like(at, i))
    owner_N, target_N = torch.cat(owners), torch.cat(targets)
    n = len(tails)
    if len(owner_N) == 0:
        return torch.zeros(n, device=tails[0].device)
    logps_N = token_logps(model, torch.cat(states), target_N)
    sums_G = torch.zeros(n, device=logps_N.device).index_add(0, owner_N, logps_N)
    counts_G = torch.bincount(owner_N, minlength=n)
    return (sums_G + PRIOR * logps_N.mean()) / (counts_G + PRIOR)


def probabilities(way: Way, scores: Sequence[float]) -> tuple[float, ...]:
    """Scores as numbers in [0, 1]: the probability of Yes, of being named the best, of a token of the reference;
    for digits the mean over 9."""
    if way == "digits":
        return tuple(min(1.0, max(0.0, s)) for s in scores)
    if way == "letter":
        top = max(scores)
        shares = [math.exp(s - top) for s in scores]
        return tuple(s / sum(shares) for s in shares)
    if way in ("reference", "numbers"):
        return tuple(math.exp(min(0.0, s)) for s in scores)
    return tuple(1 / (1 + math.exp(-s)) if s > -700 else 0.0 for s in scores)


def tiers_within(scores: Sequence[float], tolerance: float) -> tuple[tuple[int, ...], ...]:
    """Tiers, best first: an attempt ties with the best of a tier where it is at most `tolerance` behind it."""
    tiers: list[list[int]] = []
    top = math.inf
    for i in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        if tiers and top - scores[i] <= tolerance:
            tiers[-1].append(i)
        else:
            tiers.append([i])
            top = scores[i]
    return tuple(map(tuple, tiers))
