"""Rewards to advantages, group by group."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

ScaleRewards = Literal["group", "batch", "none"]
Aggregation = Literal["sum_then_normalize", "normalize_then_sum"]
EPSILON = 1e-4  # added to the deviation, as TRL does
TIED = 1e-9  # rewards that are no further apart are equal


@dataclass(frozen=True, slots=True)
class Advantages:
    """The advantages of one group.

    Attributes:
        values: one per trajectory; None where the reward is missing, or the whole group says nothing.
        tied: no two rewards of the group differ, or fewer than two are there: nothing to learn from.
        mean, spread: what was subtracted, and what divided.
        turns: what the turns of each trajectory add: one array for each of its token sequences, a value for each sampled
            token. Empty where they add nothing. See `grpo.credit`.
    """

    values: list[float | None]
    tied: bool
    mean: float = 0.0
    spread: float = 1.0
    turns: tuple[tuple[np.ndarray, ...], ...] = ()


def group_advantages(
    groups: Sequence[Sequence[float | None]], scale_rewards: ScaleRewards = "group"
) -> list[Advantages]:
    """Advantage = (reward - mean of its group) / (deviation + 1e-4), over the rewards that are there.

    A missing reward (None) leaves mean and deviation alone and gets no advantage. A group with fewer
    than two rewards, or with all of them equal, contributes nothing.

    Args:
        groups: the rewards of each group, one list a group. Which list a reward stands in is all that
            counts; groups may differ in size.
        scale_rewards: divide by the deviation of the "group" (GRPO, arXiv 2402.03300), by that of all
            rewards given ("batch", arXiv 2508.08221), or not at all ("none", Dr. GRPO, 2503.20783).
            Deviations are unbiased (n - 1), as in TRL.
    """
    present = [np.array([r for r in rewards if r is not None], dtype=np.float64) for rewards in groups]
    together = np.concatenate(present) if present else np.zeros(0)
    batch = deviation(together)
    advantages = []
    for rewards, values in zip(groups, present, strict=True):
        if len(values) < 2 or float(np.ptp(values)) <= TIED:
            advantages.append(Advantages([None] * len(rewards), tied=True))
            continue
        mean = float(values.mean())
        spread = {"group": deviation(values) + EPSILON, "batch": batch + EPSILON, "none": 1.0}[scale_rewards]
        advantages.append(
            Advantages([None if r is None else (r - mean) / spread for r in rewards], False, mean, spread)
        )
    return advantages


def corrected(judge: Advantages, auditor: Advantages, weight: float) -> Advantages:
    """What a group is trained on whose judge was audited: the judge's advantages, and `weight` times what the auditor's differ
    from them; with 1 just the auditor's.

    Where a share q of the groups is audited at random and the weight is 1 / q, the expectation over which these are is the auditor's
    advantage, though it saw few groups: the judge's errors cancel, and the judge only takes variance out (a control
    variate; prediction-powered inference, arXiv 2301.09633). A smaller weight cancels less of its errors, with less
    variance (PPI++, 2311.01453).
    """

    def both(a: float | None, b: float | None) -> float:
        a, b = a or 0.0, b or 0.0  # what is tied, or has no reward, is no better and no worse
        return a + weight * (b - a)

    if weight == 1 or (judge.tied and auditor.tied):
        return auditor
    unknown = [a is None for a in (judge if auditor.tied else auditor).values]
    values = [
        None if gone else both(a, b) for gone, a, b in zip(unknown, judge.values, auditor.values, strict=True)
    ]
    turns = auditor.turns
    if judge.turns or auditor.turns:
        like = judge.turns or auditor.turns
        nothing = tuple(tuple(np.zeros_like(x) for x in own) for own in like)
        turns = tuple(
            tuple(a + weight * (b - a) for a, b in zip(mine, theirs, strict=True))
            for mine, theirs in zip(judge.turns or nothing, auditor.turns or nothing, strict=True)
        )
    return Advantages(values, False, auditor.mean, auditor.spread, turns)


def deviation(values: np.ndarray) -> float:
    """Unbiased standard deviation; 0 for fewer than two values."""
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def mix(
    rewards: Sequence[Sequence[float | None]],
    weights: Sequence[float],
    aggregation: Aggregation = "sum_then_normalize",
) -> list[float | None]:
    """One reward per trajectory of a group from several reward functions.

    Args:
        rewards: for each function, one value per trajectory, None where it has none.
        weights: one for each function.
        aggregation: "sum_then_normalize" adds the weighted rewards; "normalize_then_sum" first brings
            each function to mean 0 and deviation 1 in the group, so that its weight is its influence
            whatever its scale (GDPO, arXiv 2601.05242).

    A function of weight 0, or one that gave no value for the whole group, is left out. Where a
    function that does apply has no value for one trajectory, a sum would compare unlike things, so with
    "sum_then_normalize" that trajectory has no reward; with "normalize_then_sum" the function stays
    silent on it (0, its mean), unless no function speaks of it.
    """
    count = len(rewards[0])
    applying = [(w, r) for w, r in zip(weights, rewards, strict=True) if w and any(v is not None for v in r)]
    if not applying:
        return [None] * count
    if aggregation == "normalize_then_sum":
        applying = [(w, _normalised(r)) for w, r in applying]
        return [
            math.fsum(w * v for w, r in applying if (v := r[i]) is not None)
            if any(r[i] is not None for _, r in applying)
            else None
            for i in range(count)
        ]
    return [
        math.fsum(w * v for w, r in applying if (v := r[i]) is not None)
        if all(r[i] is not None for _, r in applying)
        else None
        for i in range(count)
    ]


def _normalised(rewards: Sequence[float | None]) -> list[float | None]:
    (normalised,) = group_advantages([rewards])
    return [
        None if r is None else (0.0 if a is None else a)
        for r, a in zip(rewards, normalised.values, strict=True)
    ]
