"""A trial in the course of a run: a group with an edited copy and a control behind its attempts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ranker.audit.trials import Trial, trial_of
from ranker.debias.edits import EDITS, PLACEBO, Edit, edited
from ranker.ranked import RankedGroup
from ranker.trajectory import Trajectory, TrajectoryGroup

USUAL = tuple(edit for name, edit in EDITS.items() if not name.startswith("attack_"))
"""What a policy may come upon by itself. Attacks are tried before training, by `ranker audit`."""


def controlled_trial(
    index: int, edit: Edit, group: TrajectoryGroup, values_G: Sequence[float | None], seed: int
) -> Trial | None:
    """The group with a copy of an attempt of its lower half that the edit applies to, and a control; None where there is
    no such attempt, or the task is not one of the edit's.

    An attempt of the lower half may stand there by an error of the judge. Where that error clings to its text, any change
    draws another, and lets it rise; so an edit that has no control of its own gets `PLACEBO`.

    Args:
        index: of the group; with `seed` it draws the attempt and the wording.
        values_G: of the attempts, higher is better; those without a value are not edited.

    Raises:
        GroupError: the edit failed.
    """
    if edit.control:
        trial = trial_of(index, edit, _ranked(group, values_G), seed)
        return trial if trial is not None and trial.controlled else None
    with_placebo = replace(edit, apply=_Placebo(edit, seed))
    trial = trial_of(index, with_placebo, _ranked(group, values_G), seed)
    if trial is None:
        return None
    control = edited(PLACEBO, group.trajectories[trial.original], seed)
    assert control is not None
    members = (*trial.group.trajectories, control)
    return replace(trial, edit=edit, group=replace(trial.group, trajectories=members), controlled=True)


@dataclass(frozen=True, slots=True)
class _Placebo:
    """The edit where the placebo applies too."""

    edit: Edit
    seed: int

    def __call__(self, trajectory: Trajectory, rng: random.Random) -> Trajectory | None:
        return (
            self.edit.apply(trajectory, rng) if edited(PLACEBO, trajectory, self.seed) is not None else None
        )


def _ranked(group: TrajectoryGroup, values_G: Sequence[float | None]) -> RankedGroup:
    """The group in the order of these values; attempts without one stand first, where none is edited."""
    levels: dict[float, list[int]] = {}
    for i, value in enumerate(values_G):
        levels.setdefault(float("inf") if value is None else value, []).append(i)
    ranking = [levels[value] for value in sorted(levels, reverse=True)]
    return RankedGroup(group, [0.0] * len(group), ranking, [])
