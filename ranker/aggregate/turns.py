"""What verdicts say of turns, put together."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ranker.judges.turn_marks import Marks
from ranker.judges.verdict import Verdict
from ranker.trajectory import Trajectory, assistant_turns


def mean_marks(marks: Sequence[Marks]) -> Marks:
    """The mean for each turn that any of them names; one that does not name it counts as 0."""
    named = sorted({turn for own in marks for turn in own})
    return {turn: math.fsum(own.get(turn, 0.0) for own in marks) / len(marks) for turn in named}


def turn_rewards(verdicts: Sequence[Verdict], trajectories: Sequence[Trajectory]) -> list[list[float | None]]:
    """For each trajectory of a lineup a value in [-1, 1] for each assistant message, None for one that no verdict names."""
    rewards = []
    for i, trajectory in enumerate(trajectories):
        marks = mean_marks([(v.turns[i] if v.turns else None) or {} for v in verdicts]) if verdicts else {}
        rewards.append([marks.get(turn) for turn in range(len(assistant_turns(trajectory)))])
    return rewards
