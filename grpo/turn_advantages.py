"""Advantages of single turns: from rewards of turns, or from what the attempts of a group have in common.

Both are added to the advantage of the whole attempt, A = (R - mean of the group) / spread:

* process supervision (DeepSeekMath, arXiv 2402.03300, section 4.1.3): each turn has a reward r. With R the rewards of all
  turns of a group, r' = (r - mean(R)) / std(R), and a turn's process advantage is the sum of r' over itself and the later turns
  of its attempt. A later turn may count less, by a factor `discount` for each turn between; the paper's is 1.
* branches, without rewards of turns: where attempts have come to the same state, that is, have read and written the same
  tokens, the mean reward of those attempts is the state's value V, and what follows is compared with it: (R - V(state)) /
  spread. The state is the last at which the attempt was not yet alone. This is GiGPO's anchor state (arXiv 2505.10978,
  section 4.2) in the place of its step-relative part, and the tree's value in Tree-GRPO (arXiv 2509.21240) and TreeRPO (arXiv
  2506.05183). Of the attempts that share a turn from state a to state b, the mean of this advantage is
  (V(b) - V(a)) / spread, what the turn changed in value; as the turn's tokens are the same in all of them, so is their
  gradient. Where attempts part in their first turn only, it is the ordinary advantage of each.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np

from grpo.advantages import EPSILON, TIED, ScaleRewards, deviation

CreditBy = Literal["trajectory", "process", "branch"]


def process_advantages(
    groups: Sequence[Sequence[Sequence[float | None]]],
    scale_rewards: ScaleRewards = "group",
    discount: float = 1.0,
) -> list[list[list[float]] | None]:
    """The process advantage of every turn; None for a group whose turns say nothing.

    A missing reward (None) leaves mean and deviation alone and counts as 0 in the sums. A group in which fewer than two turns
    have a reward, or all the same one, says nothing.

    Args:
        groups: for each group and attempt, the rewards of its turns in the order in which they were taken.
        scale_rewards: as for `grpo.advantages.group_advantages`, over rewards of turns.
        discount: from 0, each turn for itself, to 1.
    """
    present = [np.array([r for turns in g for r in turns if r is not None], np.float64) for g in groups]
    batch = deviation(np.concatenate([np.zeros(0), *present]))
    made: list[list[list[float]] | None] = []
    for group, values in zip(groups, present, strict=True):
        if len(values) < 2 or float(np.ptp(values)) <= TIED:
            made.append(None)
            continue
        mean = float(values.mean())
        spread = {"group": deviation(values) + EPSILON, "batch": batch + EPSILON, "none": 1.0}[scale_rewards]
        scaled = [[0.0 if r is None else (r - mean) / spread for r in turns] for turns in group]
        made.append([_sums_to_come(turns, discount) for turns in scaled])
    return made


def _sums_to_come(values: Sequence[float], discount: float) -> list[float]:
    """Of each value and the later ones."""
    sums: list[float] = []
    for value in reversed(values):
        sums.append(value + discount * (sums[-1] if sums else 0.0))
    return sums[::-1]


def state_values(
    attempts: Sequence[Sequence[Sequence[Hashable]]], rewards: Sequence[float | None]
) -> list[list[list[float | None]]]:
    """For each state that an attempt came to, the value V of the last state up to there at which it was not alone; None where
    it had been alone from the start, or has no reward.

    Args:
        attempts: for each its ways, of which it has more than one where its conversation was rewritten; and for each way the
            states in order. Equal states are the same one; an attempt that comes to one twice counts once.
        rewards: of each attempt. Those without one are not there for the others.
    """
    through: dict[Hashable, set[int]] = {}
    for i, (ways, reward) in enumerate(zip(attempts, rewards, strict=True)):
        for state in itertools.chain.from_iterable(ways if reward is not None else ()):
            through.setdefault(state, set()).add(i)
    value = {
        state: float(np.array([rewards[i] for i in sorted(there)], np.float64).mean())
        for state, there in through.items()
        if len(there) > 1
    }
    return [
        [_latest([value.get(state) if reward is not None else None for state in way]) for way in ways]
        for ways, reward in zip(attempts, rewards, strict=True)
    ]


def _latest(values: Sequence[float | None]) -> list[float | None]:
    """Each value or, where there is none, the one before it."""
    last: float | None = None
    return [last := last if value is None else value for value in values]


def signal_share(outcome: Sequence[np.ndarray], turns: Sequence[np.ndarray]) -> float | None:
    """How much of the signal came from turns: Σ|turns' part| / (Σ|turns' part| + Σ|the attempt's own|) over tokens; None where
    there is none."""
    own, added = (math.fsum(float(np.abs(part).sum()) for part in parts) for parts in (outcome, turns))
    return added / (own + added) if own + added else None
