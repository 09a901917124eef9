"""Pairwise accuracy: how often rewards order a pair of attempts as the ground truth does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ranker.ranked import RankedGroup

if TYPE_CHECKING:
    from ranker.statistics import Estimate


def agreeing_pairs(ranked: RankedGroup) -> tuple[float, int]:
    """Pairs that the rewards order as the ground truth does (ties count half), and all pairs whose ground
    truths differ."""
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


def agreement(ranked: Sequence[RankedGroup]) -> Estimate:
    """Pairwise accuracy over all groups, bootstrapped over groups; all None where no pair can be judged."""
    import numpy as np

    from ranker.statistics import ratio  # scipy.stats takes a second to import; `ranker rank` only counts

    agreeing_N, pairs_N = np.array([agreeing_pairs(r) for r in ranked], dtype=float).reshape(-1, 2).T
    return ratio(agreeing_N, pairs_N, share=True)
