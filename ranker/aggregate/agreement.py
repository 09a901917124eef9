"""How often rewards order a pair of attempts as the ground truth does."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from ranker.ranked import RankedGroup


@dataclass(frozen=True, slots=True)
class Agreement:
    """Pairwise accuracy with a 95 % interval; NaN where no pair can be judged.

    Attributes:
        pairs: pairs of attempts of one group with different truth.
    """

    value: float
    low: float
    high: float
    pairs: int


def agreeing_pairs(ranked: RankedGroup) -> tuple[float, int]:
    """Pairs of different ground truth that the rewards order the same way (ties half), and all such."""
    truths = [t.ground_truth for t in ranked.group.trajectories]
    agreeing, pairs = 0.0, 0
    for i, a in enumerate(truths):
        for j, b in enumerate(truths[:i]):
            x, y = ranked.rewards[i], ranked.rewards[j]
            if a is None or b is None or a == b or x is None or y is None:
                continue
            pairs += 1
            agreeing += 0.5 if x == y else float((x > y) == (a > b))
    return agreeing, pairs


def agreement(ranked: Sequence[RankedGroup], draws: int = 2_000, seed: int = 0) -> Agreement:
    """Pairwise accuracy over all groups; the interval is a percentile bootstrap over groups."""
    counts = [agreeing_pairs(r) for r in ranked]
    pairs = sum(n for _, n in counts)
    if pairs == 0:
        return Agreement(math.nan, math.nan, math.nan, 0)
    rng = random.Random(seed)  # noqa: S311 - resampling
    drawn = []
    for _ in range(draws):
        again = rng.choices(counts, k=len(counts))
        total = sum(n for _, n in again)
        if total:
            drawn.append(sum(a for a, _ in again) / total)
    drawn.sort()
    low, high = drawn[int(0.025 * len(drawn))], drawn[min(len(drawn) - 1, int(0.975 * len(drawn)))]
    return Agreement(sum(a for a, _ in counts) / pairs, low, high, pairs)
