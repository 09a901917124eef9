"""A simulated judge that ranks attempts and marks turns, each right as often as is wanted; in this process."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.turns.truths import turn_truths
from grpo import ProcessRewards
from grpo.demo import quick
from ranker import TrajectoryGroup
from ranker.aggregate.rewards import rank_rewards
from ranker.judges.verdict import tiers_of
from ranker.trajectory import Trajectory

_BAD = -1e-6  # a turn that is worth less was not the best


@dataclass(frozen=True, slots=True)
class Judge:
    """Ranks by the truth plus noise, as the judge of the config quick does, and marks every turn as helpful or harmful.

    As in `rank_group`, attempts that are equal are one to it. Its noise depends on the seed and the group alone: with and
    without marks, the rankings of equal groups are the same.

    Attributes:
        noise: deviation of what it sees around the truth.
        marks: probability that a mark is right; None where it marks nothing.
        ranks: whether its ranking counts; otherwise its marks are all there is.
    """

    seed: int
    noise: float = quick.NOISE
    marks: float | None = None
    ranks: bool = True

    def __call__(self, group: TrajectoryGroup) -> ProcessRewards | list[float]:
        by_noise = random.Random(f"noise/{self.seed}/{group.id}")
        by_mark = random.Random(f"marks/{self.seed}/{group.id}")
        seen: dict[str, tuple[float, list[float | None]]] = {}
        for attempt in group.trajectories:
            if _key(attempt) not in seen:
                worth = quick.checker(attempt, group.metadata) + by_noise.gauss(0.0, self.noise)
                seen[_key(attempt)] = worth, self._marks(turn_truths(attempt, group.metadata), by_mark)
        worths, marks = zip(*(seen[_key(t)] for t in group.trajectories), strict=True)
        values = rank_rewards(tiers_of(list(worths)), len(worths))
        if self.marks is None:
            return values
        return ProcessRewards(list(marks), values if self.ranks else None)

    def _marks(self, truths: Sequence[float], chance: random.Random) -> list[float | None]:
        good = [1.0 if truth > _BAD else -1.0 for truth in truths]
        return [mark if chance.random() < (self.marks or 0.0) else -mark for mark in good]


def _key(attempt: Trajectory) -> Any:
    return repr(attempt.messages)
