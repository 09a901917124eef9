"""Signs that a judge may have stopped being right which need nobody else's opinion, and no more calls."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from grpo.runs.metrics import ScoredGroup
from ranker.aggregate.ranking import average_ranks
from ranker.debias.covariates import POSITION, own_words, turns
from ranker.debias.model import Comparisons

FIRST = 5  # steps that drift is measured against
_SAME = 1e-9  # rewards that are no further apart are equal


@dataclass(slots=True)
class Signs:
    """The signs of each step; what the first `FIRST` steps were like is remembered.

    Attributes:
        words: words of an attempt on average, in each of the first steps.
        entropy: of the policy, in each of the first steps that learned something.
    """

    words: list[float] = field(default_factory=list)
    entropy: list[float] = field(default_factory=list)

    def metrics(
        self, groups: Sequence[ScoredGroup], words_mean: float | None, entropy: float | None
    ) -> dict[str, float | None]:
        """The signs of a step; None where one is not defined.

        * `judge_consistency`: Kendall's W between the passes over a group, mean over groups; None for one pass.
        * `tied_pairs_share`: of all pairs of attempts of a group, those with the same reward.
        * `reward_length_correlation`, `reward_turns_correlation`: Spearman's correlation of the rewards of a group with the
          words that each attempt's agent wrote, and with its messages; mean over the groups in which both vary.
        * `reward_position_correlation`: that of a group's ranking in each pass with the place in which an attempt was shown,
          1 for the first and 0 for the last; mean over passes and groups. Known with ``reward="debiased"`` and the covariate
          "position" alone.
        * `length_drift`: words of an attempt, as a multiple of the mean of the first `FIRST` steps (this one included, as
          long as there are no more).
        * `entropy_drift`: entropy in nats less the mean of the first `FIRST` steps.
        """
        whole = [j for j in groups if j.reward.error is None]
        passes = [j.reward.consistency for j in whole if j.reward.consistency is not None]
        return {
            "judge_consistency": _mean(passes),
            "tied_pairs_share": _tied(whole),
            "reward_length_correlation": _mean([r for j in whole if (r := _with(j, own_words)) is not None]),
            "reward_turns_correlation": _mean([r for j in whole if (r := _with(j, turns)) is not None]),
            "reward_position_correlation": _mean([r for j in whole if (r := _with_position(j)) is not None]),
            "length_drift": _against(
                self.words, words_mean, lambda now, start: now / start if start else None
            ),
            "entropy_drift": _against(self.entropy, entropy, lambda now, start: now - start),
        }

    def to_dict(self) -> dict[str, list[float]]:
        """As JSON, for a checkpoint."""
        return {"words": self.words, "entropy": self.entropy}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Signs:
        """What `to_dict` wrote; of a checkpoint without signs, a fresh start."""
        return cls(*(list(map(float, state.get(name, ()))) for name in ("words", "entropy")))


def rank_correlation(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Spearman's rho: Pearson's correlation of the ranks, ties at their mean; None where one of the two does not vary."""
    x, y = (np.array(_ranks(values)) for values in (xs, ys))
    x, y = x - x.mean(), y - y.mean()
    product = math.sqrt(float(x @ x) * float(y @ y))
    return float(x @ y) / product if product > 0 else None


def _ranks(values: Sequence[float]) -> list[float]:
    levels: dict[float, list[int]] = {}
    for i, value in enumerate(values):
        levels.setdefault(value, []).append(i)
    return average_ranks([levels[value] for value in sorted(levels)], len(values))


def _tied(groups: Sequence[ScoredGroup]) -> float | None:
    pairs = [pair for j in groups for pair in itertools.combinations(_known(j.reward.values), 2)]
    return sum(abs(a - b) <= _SAME for a, b in pairs) / len(pairs) if pairs else None


def _with(scored: ScoredGroup, measure: Any) -> float | None:
    """The correlation of a group's rewards with a measure of its attempts."""
    both = [
        (value, measure(rollout.trajectory))
        for value, rollout in zip(scored.reward.values, scored.group.rollouts, strict=True)
        if value is not None and rollout.trajectory is not None
    ]
    if len(both) < 2:
        return None
    return rank_correlation([value for value, _ in both], [measured for _, measured in both])


def _with_position(scored: ScoredGroup) -> float | None:
    found = []
    for fields in scored.reward.comparisons.values():
        said = Comparisons.from_dict(dict(fields))
        if POSITION not in said.names_K:
            continue
        k = said.names_K.index(POSITION)
        for x_NK, tiers in zip(said.covariates_PNK, said.tiers_P, strict=True):
            worth = [-rank for rank in average_ranks(tiers, len(x_NK))]
            rho = rank_correlation(worth, [x_K[k] for x_K in x_NK])
            found += [] if rho is None else [rho]
    return _mean(found)


def _against(first: list[float], now: float | None, compare: Any) -> float | None:
    """Remember one of the first steps, and compare with their mean."""
    if now is None:
        return None
    if len(first) < FIRST:
        first.append(now)
    value: float | None = compare(now, math.fsum(first) / len(first))
    return value


def _known(values: Sequence[float | None]) -> list[float]:
    return [v for v in values if v is not None]


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
