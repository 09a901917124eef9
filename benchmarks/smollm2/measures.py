"""What the checker of the instructions does not see in a reply: whether it is fluent, and whether it echoes its task."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from grpo.model.loading import autocast
from grpo.model.logprobs import plain_logprobs
from grpo.types import TokenSequence

ECHO = 3  # words in a row


def words(text: str) -> list[str]:
    return re.findall(r"[\w'-]+", text.lower())


def echo(reply: str, task: str) -> float | None:
    """The share of a reply's words that stand in a run of three words which its task has too; None for fewer than three."""
    said, asked = words(reply), words(task)
    if len(said) < ECHO:
        return None
    runs = {tuple(asked[i : i + ECHO]) for i in range(len(asked) - ECHO + 1)}
    copied = np.zeros(len(said), dtype=bool)
    for i in range(len(said) - ECHO + 1):
        if tuple(said[i : i + ECHO]) in runs:
            copied[i : i + ECHO] = True
    return float(copied.mean())


def on_subject(reply: str, task: str) -> bool:
    """Whether a reply names what it was to write about: "a mountain" for "Write about mountains."."""
    named = re.match(r"Write about (?:an? |the )?([\w ]+)\.", task)
    assert named is not None, task
    asked = [word.removesuffix("s") for word in words(named.group(1)) if len(word) > 3]
    return any(word.startswith(tuple(asked)) for word in words(reply))


def start_logprobs(model: Any, sequences: Sequence[TokenSequence]) -> list[float]:
    """The mean log-prob of a sampled token under the policy as it was before training, of each sequence: near that of the
    start policy's own replies where a text is as fluent as those."""
    plain = [TokenSequence(s.tokens_T, s.sampled_T, s.logps_T) for s in sequences]
    counts = [int(s.sampled_T.sum()) for s in plain]
    with torch.no_grad(), model.disable_adapter(), autocast(model, bf16=model.dtype == torch.bfloat16):
        logps_N = plain_logprobs(model, plain).float().cpu().numpy()
    return [float(part.mean()) for part in np.split(logps_N, np.cumsum(counts)[:-1])]
