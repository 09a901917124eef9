"""Pairwise accuracy: how often values order a pair of attempts as the ground truth does."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ranker.ranked import RankedGroup

if TYPE_CHECKING:
    from ranker.statistics import Estimate


def agreeing(
    truths_G: Sequence[float | None],
    values_G: Sequence[float | None],
    tolerance: float = 0.0,
    pairs: Iterable[tuple[int, int]] | None = None,
) -> tuple[float, int]:
    """How many pairs of different truth the values order the same way, and how many such pairs there are.

    Args:
        truths_G, values_G: one per attempt, higher is better; attempts whose truth or value is None or NaN do not count.
        tolerance: values at most this far apart are tied; a tie counts half.
        pairs: indices of the pairs to consider; None for all.
    """
    right, count = 0.0, 0
    for i, j in itertools.combinations(range(len(truths_G)), 2) if pairs is None else pairs:
        truth_i, truth_j, value_i, value_j = truths_G[i], truths_G[j], values_G[i], values_G[j]
        if truth_i is None or truth_j is None or value_i is None or value_j is None or truth_i == truth_j:
            continue
        gap = value_i - value_j
        if not math.isnan(gap):
            count += 1
            right += 0.5 if abs(gap) <= tolerance else float((gap > 0) == (truth_i > truth_j))
    return right, count


def agreeing_pairs(ranked: RankedGroup) -> tuple[float, int]:
    """`agreeing` of a group's rewards with its ground truth."""
    return agreeing([t.ground_truth for t in ranked.group.trajectories], ranked.rewards)


def agreement(ranked: Sequence[RankedGroup]) -> Estimate:
    """Pairwise accuracy over all groups, bootstrapped over groups; all None where no pair can be judged."""
    import numpy as np

    from ranker.statistics import ratio  # numpy takes a moment to import; `ranker rank` only counts

    agreeing_N, pairs_N = np.array([agreeing_pairs(r) for r in ranked], dtype=float).reshape(-1, 2).T
    return ratio(agreeing_N, pairs_N, share=True)
