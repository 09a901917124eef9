"""Packing: token sequences that begin alike become one tree, in which every shared token stands once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Tree:
    """Sequences as the paths of a forest, its tokens laid out depth first.

    L counts the tokens of the forest. Token j is an ancestor of token i (and may be attended to by it)
    exactly when ``j <= i < ends_L[j]``.

    Attributes:
        tokens_L: token ids.
        positions_L: distance from the start of its sequence.
        ends_L: index just past the last token of the subtree below each token.
        paths: for each sequence, the index in the tree of each of its tokens.
    """

    tokens_L: np.ndarray
    positions_L: np.ndarray
    ends_L: np.ndarray
    paths: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return len(self.tokens_L)


def pack(sequences: Sequence[np.ndarray]) -> Tree:
    """Lay sequences out as a tree: shared beginnings once, then the branches.

    Works for any sharing: a group's prompt, the system prompt of several groups, turns that two
    trajectories have in common, whole trajectories that are equal.
    """
    order = sorted(range(len(sequences)), key=lambda i: sequences[i].tolist())
    tokens: list[np.ndarray] = []
    positions: list[np.ndarray] = []
    paths: list[np.ndarray] = [np.zeros(0, np.int64)] * len(sequences)
    path = np.zeros(0, np.int64)  # of the sequence before
    before = np.zeros(0, np.int64)
    size = 0
    runs: list[tuple[int, int, int]] = []  # start in the tree, position of its first token, length
    for i in order:  # in lexicographic order, a sequence shares most with its neighbour
        sequence = np.asarray(sequences[i], dtype=np.int64)
        shared = _common(before, sequence)
        own = sequence[shared:]
        if len(own):
            runs.append((size, shared, len(own)))
        tokens.append(own)
        positions.append(np.arange(shared, len(sequence)))
        path = np.concatenate([path[:shared], np.arange(size, size + len(own))])
        paths[i], before = path, sequence
        size += len(own)
    ends_L = np.full(size, size, dtype=np.int64)
    for k, (start, first, length) in enumerate(runs):
        # A token's subtree ends where a later run begins at its position or before it.
        for start_later, first_later, _ in runs[k + 1 :]:
            cut = max(0, first_later - first)
            if cut < length:
                open_ = ends_L[start + cut : start + length]
                open_[open_ == size] = start_later
            if first_later <= first:
                break
    return Tree(
        np.concatenate([*tokens, np.zeros(0, np.int64)]),
        np.concatenate([*positions, np.zeros(0, np.int64)]),
        ends_L,
        tuple(paths),
    )


def _common(a: np.ndarray, b: np.ndarray) -> int:
    length = min(len(a), len(b))
    differ = np.flatnonzero(a[:length] != b[:length])
    return int(differ[0]) if len(differ) else length


_ENOUGH = 512


def batches(sequences: Sequence[np.ndarray], most: int, width: int | None = None) -> list[list[int]]:
    """Cut sequences, in order, into runs whose trees have at most `most` tokens each (a single
    sequence may have more). Neighbours that share a beginning should stand side by side.

    Args:
        width: size of the model's hidden states, where a mask hides tokens from attention without sparing
            the work. A tree of some hundred tokens then takes in a further branch only if reading its
            beginning again would cost more: with r own tokens, s shared and t in the tree, about
            8·r·(t - s)·width operations a layer against 24·s·width², attention running at half the speed
            of matrix products. None: hidden tokens cost nothing.
    """
    made: list[list[int]] = []
    size = 0
    for i, sequence in enumerate(sequences):
        if made:
            shared = max(_common(np.asarray(sequences[j]), np.asarray(sequence)) for j in made[-1])
            own = len(sequence) - shared
            worth = width is None or size < _ENOUGH or own * (size - shared) <= 1.5 * shared * width
            if size + own <= most and worth:
                made[-1].append(i)
                size += own
                continue
        made.append([i])
        size = len(sequence)
    return made
