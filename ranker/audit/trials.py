"""The trials of an audit: groups with an edited copy and its control."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ranker.debias.debiaser import Debiaser
from ranker.debias.edits import Edit, edited, innocent
from ranker.ranked import RankedGroup
from ranker.trajectory import TrajectoryGroup


class Shown(Debiaser):
    """Notes which attempt was shown where, and weighs nothing."""

    __slots__ = ()

    def reward(self, ranked: RankedGroup) -> RankedGroup:
        return ranked


@dataclass(frozen=True, slots=True)
class Trial:
    """A group with a copy, and perhaps a control, behind its attempts."""

    edit: Edit
    group: TrajectoryGroup
    size: int
    original: int
    controlled: bool


def trials_of(plain: Sequence[RankedGroup], edits: Sequence[Edit], seed: int) -> list[Trial]:
    """Every edit on every ranked group that it applies to."""
    return [
        trial
        for index, ranked in enumerate(plain)
        if ranked.error is None
        for edit in edits
        if (trial := trial_of(index, edit, ranked, seed)) is not None
    ]


def trial_of(index: int, edit: Edit, ranked: RankedGroup, seed: int) -> Trial | None:
    """The group with a copy of an attempt of its lower half that the edit applies to; None where there is none,
    or the task is not one of the edit's.

    Raises:
        GroupError: the edit failed.
    """
    group, n = ranked.group, len(ranked.group)
    if not edit.fits(group):
        return None
    rng = random.Random(f"{seed}/{edit.name}/{index}")  # noqa: S311
    drawn = [i for tier in ranked.ranking for i in rng.sample(tier, len(tier))]
    for i in rng.sample(drawn[n // 2 :], n - n // 2):
        copy = edited(edit, group.trajectories[i], seed)
        if copy is None:
            continue
        control = innocent(edit, group.trajectories[i], seed)
        members = [replace(t, id=name) for t, name in zip(group.trajectories, group.ids, strict=True)]
        more = [copy] if control is None else [copy, control]
        return Trial(edit, replace(group, trajectories=(*members, *more)), n, i, control is not None)
    return None
