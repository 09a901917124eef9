"""Rewards in [0, 1] from rankings. Every rule gives tied trajectories equal rewards and is independent
of the input order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

from ranker.aggregate.ranking import Tiers, average_ranks, strengths
from ranker.errors import ConfigurationError
from ranker.judges.verdict import Verdict
from ranker.usage import Usage

RewardRule = Literal["rank", "score", "strength", "top_heavy", "debiased"]
RULES: tuple[str, ...] = get_args(RewardRule)


def rank_rewards(ranking: Tiers, n: int) -> list[float]:
    """Linear in the average rank r: (n - r) / (n - 1). The sole best gets 1, the sole worst 0, ties share
    their mean; if all tie, and in a group of one, each gets 0.5."""
    if n == 1:
        return [0.5]
    return [(n - rank) / (n - 1) for rank in average_ranks(ranking, n)]


def top_heavy_rewards(ranking: Tiers, n: int) -> list[float]:
    """NDCG's discount 1/log2(1 + rank) (Järvelin & Kekäläinen 2002), scaled so that rank 1 gets 1
    and rank n gets 0; tied trajectories share the mean over the ranks they span."""
    if n == 1:
        return [0.5]
    last = 1 / math.log2(1 + n)
    gains = [(1 / math.log2(1 + rank) - last) / (1 - last) for rank in range(1, n + 1)]
    rewards = [0.0] * n
    before = 0
    for tier in ranking:
        mean = math.fsum(gains[before : before + len(tier)]) / len(tier)
        for i in tier:
            rewards[i] = mean
        before += len(tier)
    return rewards


def strength_rewards(rankings: Sequence[Tiers], n: int) -> list[float]:
    """Softmax of Plackett–Luce log-strengths fitted to all passes; they sum to 1."""
    return strengths(rankings, n)


def score_rewards(verdicts: Sequence[Verdict], n: int) -> list[float]:
    """The judge's own scores, averaged over passes.

    Raises:
        ConfigurationError: it gives none; with what the verdicts cost.
    """
    scored = [v.scores for v in verdicts if v.scores is not None]
    if len(scored) != len(verdicts) or any(len(s) != n for s in scored):
        raise ConfigurationError(
            'reward="score" needs a judge that gives scores for the whole group in one call; '
            'use reward="rank", which works with every judge and any group size.'
        ).spent(sum((v.usage for v in verdicts), Usage()))
    return [math.fsum(column) / len(scored) for column in zip(*scored, strict=True)]
