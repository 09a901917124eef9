"""What is known of the parts of an attempt, as a second thing to learn from.

The order of a group is a few bits for hundreds of tokens. Where the source of the groups knows which points of the
task an attempt meets, or which of its passages are right, each of them teaches too: the log-odds of Yes are read
at the digit that stands for the point in the ending of the template, and at the last token of the passage.

Source: process supervision (Lightman et al. 2023, arXiv 2305.20050), with labels from the checkers of the groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from ranker.judges.local.model import Loaded
from ranker.judges.local.scores import log_odds, variants, word_logits
from ranker.judges.local.segments import Segment

Tensor = Any


@dataclass(frozen=True, slots=True)
class Marks:
    """Attributes:
    points: how far each point of the task is met, in [0, 1].
    passages: parts of the text, word for word and in their order, and how right each is, in [0, 1].
    """

    points: tuple[float, ...] = ()
    passages: tuple[tuple[str, float], ...] = ()


def marks_of(metadata: Mapping[str, Any] | None) -> Marks:
    """What the key "marks" of a trajectory's metadata holds: `{"points": [1, 0.5], "passages": [["text", 1]]}`."""
    told = (metadata or {}).get("marks") or {}
    return Marks(
        tuple(float(p) for p in told.get("points", ())),
        tuple((str(text), float(good)) for text, good in told.get("passages", ())),
    )


def mark_loss(
    loaded: Loaded,
    tails: Sequence[Tensor],
    segments: Sequence[Segment],
    texts: Sequence[str],
    marks: Sequence[Marks],
) -> Tensor | None:
    """Mean cross-entropy of Yes at every marked place of a group; None where nothing is marked.

    Args:
        tails: hidden states of each attempt's tokens, all of them, shape (T, H) each.
        segments: the tokens, in the same order.
        texts: the attempts, as they stand in the segments.
    """
    states, wanted = [], []
    for hidden_TH, segment, text, known in zip(tails, segments, texts, marks, strict=True):
        tokens = segment.tokens_T.tolist()
        for at, good in places(loaded, tokens, text, known):
            states.append(hidden_TH[at])
            wanted.append(good)
    if not states:
        return None
    words = [variants(loaded.tokenizer, word) for word in ("Yes", "No")]
    odds_N = log_odds(word_logits(loaded.model, torch.stack(states), words))
    return functional.binary_cross_entropy_with_logits(odds_N, odds_N.new_tensor(wanted))


def places(loaded: Loaded, tokens: Sequence[int], text: str, known: Marks) -> list[tuple[int, float]]:
    """Positions in a segment's tokens, and what is known there. A text that was cut has no passages."""
    made: list[tuple[int, float]] = []
    coded = loaded.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    own, offsets = coded["input_ids"], coded["offset_mapping"]
    start = _find(tokens, own)
    if start is None:
        return made
    cursor = token = 0
    for passage, good in known.passages:
        found = text.find(passage, cursor)
        if found < 0:
            continue
        cursor = found + len(passage)
        while token + 1 < len(offsets) and offsets[token][1] < cursor:
            token += 1
        made.append((start + token, good))
    after = start + len(own)
    for k, good in enumerate(known.points, start=1):
        digit = loaded.encode(str(k))
        at = next((i for i in range(after, len(tokens)) if len(digit) == 1 and tokens[i] == digit[0]), None)
        if at is not None:
            made.append((at, good))
    return made


def _find(tokens: Sequence[int], own: Sequence[int]) -> int | None:
    n = len(own)
    return next((i for i in range(len(tokens) - n + 1) if tokens[i : i + n] == own), None)
