"""A group as segments of one sequence: each token is read once, whoever looks at it.

A segment is a run of tokens that sees itself from its beginning, and the whole of some earlier segments.
A shared opening with four attempts behind it is five segments, of which the last four see the first and
not each other: the "tree" of a packed prefix with branches (as in SGLang's RadixAttention, arXiv 2312.07104).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Segment:
    """Attributes:
    tokens_T: token ids, at least one.
    start: position of the first of them.
    sees: earlier segments, by index, that it may attend to; all of each.
    tail: of how many of its last tokens the hidden state is wanted.
    """

    tokens_T: np.ndarray
    start: int = 0
    sees: tuple[int, ...] = ()
    tail: int = 0

    def __len__(self) -> int:
        return len(self.tokens_T)


def seen(segments: Sequence[Segment]) -> frozenset[int]:
    """The segments that a later one looks at."""
    return frozenset(j for s in segments for j in s.sees)


def packs(segments: Sequence[Segment], most: int) -> list[list[int]]:
    """Cut segments, in order, into runs of at most `most` tokens (a single segment may have more) that are
    read in one forward each. What is seen later never shares a run with what is not: a run's keys and
    values are kept, or dropped, as a whole."""
    wanted = seen(segments)
    made: list[list[int]] = []
    size = 0
    for i, segment in enumerate(segments):
        alike = bool(made) and (made[-1][-1] in wanted) == (i in wanted)
        if alike and size + len(segment) <= most:
            made[-1].append(i)
            size += len(segment)
        else:
            made.append([i])
            size = len(segment)
    return made


def visible(segments: Sequence[Segment], kept: Sequence[int], run: Sequence[int]) -> np.ndarray:
    """Who sees whom: boolean, shape (tokens of `run`, tokens of `kept` and then of `run`)."""
    query_Q = np.repeat(run, [len(segments[i]) for i in run])
    columns = [*kept, *run]
    key_K = np.repeat(columns, [len(segments[j]) for j in columns])
    table = np.zeros((len(segments), len(segments)), dtype=bool)
    for i in run:
        table[i, list(segments[i].sees)] = True
    allowed_QK: np.ndarray = table[query_Q][:, key_K]
    before = len(key_K) - len(query_Q)
    own_QQ = query_Q[:, None] == query_Q[None, :]
    allowed_QK[:, before:] |= own_QQ & np.tri(len(query_Q), dtype=bool)
    return allowed_QK


def positions(segments: Sequence[Segment], run: Sequence[int]) -> np.ndarray:
    """Positions of a run's tokens."""
    return np.concatenate([np.arange(segments[i].start, segments[i].start + len(segments[i])) for i in run])


def paths(segments: Sequence[Segment]) -> list[np.ndarray] | None:
    """Each wanted segment as a plain sequence of its own with what it sees before it, for models that take no
    mask; None where the positions do not allow that."""
    made = []
    for segment in segments:
        if not segment.tail:
            continue
        parts = [*(segments[j] for j in segment.sees), segment]
        at = 0
        for part in parts:
            if part.start != at:
                return None
            at += len(part)
        made.append(np.concatenate([part.tokens_T for part in parts]))
    return made
