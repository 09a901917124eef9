"""Process labels: what is known of the parts of an attempt, as a second training signal.

The order of a group is only a few bits for hundreds of tokens. Where the source of the groups knows which points of the
task an attempt meets, or which of its passages are correct, the adapter learns from each of them too: the log-odds of
Yes are read at the digit that stands for the point at the end of the template, and at the last token of the passage.

Source: process supervision (Lightman et al. 2023, arXiv 2305.20050), with labels from the groups' checkers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from ranker.judges.local.model import Loaded
from ranker.judges.local.scores import log_odds, variants, word_logits
from ranker.judges.local.tree_attention import Segment

Tensor = Any


@dataclass(frozen=True, slots=True)
class ProcessLabels:
    """Attributes:
    points: how far each point of the task is met, in [0, 1].
    passages: parts of the text, verbatim and in order, and how correct each is, in [0, 1].
    """

    points: tuple[float, ...] = ()
    passages: tuple[tuple[str, float], ...] = ()

    def __repr__(self) -> str:
        # The digest of a tuning run includes it: the class's first name keeps earlier runs resumable.
        return f"Marks(points={self.points!r}, passages={self.passages!r})"


def labels_of(metadata: Mapping[str, Any] | None) -> ProcessLabels | None:
    """The key "marks" of a trajectory's metadata: `{"points": [1, 0.5], "passages": [["text", 1]]}`. None where it holds something
    else, such as the marks that a school gives."""
    fields = (metadata or {}).get("marks") or {}
    if not isinstance(fields, Mapping) or (fields and not {"points", "passages"} & fields.keys()):
        return None
    points, passages = (fields.get(name) or () for name in ("points", "passages"))
    if not isinstance(points, (list, tuple)) or not isinstance(passages, (list, tuple)):
        return None
    if not all(isinstance(p, (list, tuple)) and len(p) == 2 and isinstance(p[0], str) for p in passages):
        return None
    if not all(
        isinstance(v, (int, float)) and 0 <= v <= 1 for v in (*points, *(label for _, label in passages))
    ):
        return None
    return ProcessLabels(tuple(map(float, points)), tuple((text, float(label)) for text, label in passages))


def label_loss(
    loaded: Loaded,
    tails: Sequence[Tensor],
    segments: Sequence[Segment],
    texts: Sequence[str],
    labels: Sequence[ProcessLabels],
) -> Tensor | None:
    """Mean cross-entropy of Yes at every labelled position of a group; None if there is none.

    Args:
        tails: hidden states of all tokens of each attempt, shape (T, H) each.
        segments: the tokens, in the same order.
        texts: the attempts, as they stand in the segments.
    """
    states, targets = [], []
    for hidden_TH, segment, text, one in zip(tails, segments, texts, labels, strict=True):
        for at, label in places(loaded, segment.tokens_T.tolist(), text, one):
            states.append(hidden_TH[at])
            targets.append(label)
    if not states:
        return None
    words = [variants(loaded.tokenizer, word) for word in ("Yes", "No")]
    odds_N = log_odds(word_logits(loaded.model, torch.stack(states), words))
    return functional.binary_cross_entropy_with_logits(odds_N, odds_N.new_tensor(targets))


def places(
    loaded: Loaded, tokens: Sequence[int], text: str, labels: ProcessLabels
) -> list[tuple[int, float]]:
    """Positions in a segment's tokens, and the label of each; none in a text that was truncated."""
    positions: list[tuple[int, float]] = []
    coded = loaded.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    own, offsets = coded["input_ids"], coded["offset_mapping"]
    n = len(own)
    start = next((i for i in range(len(tokens) - n + 1) if tokens[i : i + n] == own), None)
    if start is None:
        return positions
    cursor = token = 0
    for passage, label in labels.passages:
        at = text.find(passage, cursor)
        if at < 0:
            continue
        cursor = at + len(passage)
        while token + 1 < len(offsets) and offsets[token][1] < cursor:
            token += 1
        positions.append((start + token, label))
    after = start + n
    for k, label in enumerate(labels.points, start=1):
        digit = loaded.encode(str(k))
        matches = (i for i in range(after, len(tokens)) if len(digit) == 1 and tokens[i] == digit[0])
        positions += [(i, label) for i in [next(matches, None)] if i is not None]
    return positions
