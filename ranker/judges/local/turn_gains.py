"""Which turns helped and which hurt, from a judge that scores each attempt by itself: what each did to the score.

An attempt cut off behind its k-th turn has a score s_k of its own, and the turn gained s_k - s_(k-1); the first gained s_1. What
a turn is worth is its gain beside the mean gain of the same turn in the attempts that have one: that takes out how scores
grow with length, whatever is done. Differences of a value from turn to turn are how process rewards are commonly made of a value
of states (Math-Shepherd, arXiv 2312.08935; potential-based shaping, Ng et al. 1999). Pure functions.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

from ranker.judges.turn_marks import Marks
from ranker.trajectory import Trajectory

CLEAR = 3.0  # times the noise of a score's differences: a worth is made of four scores, and of means of them


def beginnings(trajectory: Trajectory) -> list[Trajectory]:
    """The attempt up to the end of each of its turns (`ranker.trajectory.assistant_turns`), what the tools returned
    included. The last is the whole attempt."""
    attempts = []
    streams = (trajectory.messages, *trajectory.histories)
    for s, messages in enumerate(streams):
        turns = [i for i, message in enumerate(messages) if message["role"] == "assistant"]
        ends = [*turns[1:], len(messages)] if turns else []
        for end in ends:
            first, *histories = (*streams[:s], messages[:end])
            attempts.append(replace(trajectory, messages=first, histories=tuple(histories)))
    return [*attempts[:-1], trajectory] if attempts else []


def marks_of(scores: Sequence[Sequence[float]], noise: float) -> tuple[Marks, ...]:
    """For each attempt the turns that gained clearly more (1) or less (-1) than the same turn of others did.

    Args:
        scores: for each attempt its score after each of its turns, in a unit whose differences mean the same everywhere, as
            log-odds do.
        noise: differences of scores of at most this say nothing.
    """
    gains = [[own[0], *(b - a for a, b in itertools.pairwise(own))] if own else [] for own in scores]
    turns = range(max(map(len, gains), default=0))
    means = [_mean([own[turn] for own in gains if turn < len(own)]) for turn in turns]
    return tuple(
        {
            turn: math.copysign(1.0, gain - means[turn])
            for turn, gain in enumerate(own)
            if abs(gain - means[turn]) > CLEAR * noise
        }
        for own in gains
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
