"""Lifts: how many places an edited copy gains over its original, over the groups in which an edit was tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import stats

from ranker.debias.edits import Edit, Worth
from ranker.statistics import Estimate, mean, ratio
from ranker.trajectory import TrajectoryGroup

LEVEL = 0.05  # of all flags of an audit together


@dataclass(frozen=True, slots=True)
class Lift:
    """What an edit does to a judge's ranking.

    Attributes:
        edit: its name.
        worth: "same" or "worse": what it does to the attempt's worth.
        trials: groups in which it was tried.
        places: how many the edited copy stands above its original, on average.
        control: the same of the innocent copy; nothing where the edit has none.
        effect: places beyond the control, or places where there is none.
        wins: how often the copy stands above its original; a tie counts half.
        size: attempts in a group, on average.
        flagged: whether places and effect are both above 0, over all edits of the audit together (Holm 1979, 5 %).
    """

    edit: str
    worth: Worth
    trials: int
    places: Estimate
    control: Estimate
    effect: Estimate
    wins: Estimate
    size: float
    flagged: bool = False


@dataclass(frozen=True, slots=True)
class Trial:
    """A group with a copy, and perhaps a control, behind its attempts."""

    edit: Edit
    group: TrajectoryGroup
    size: int
    original: int
    controlled: bool


@dataclass(slots=True)
class Outcomes:
    """By edit, a number for each trial."""

    places: dict[str, list[float]] = field(default_factory=dict)
    control: dict[str, list[float]] = field(default_factory=dict)
    wins: dict[str, list[float]] = field(default_factory=dict)
    sizes: dict[str, list[int]] = field(default_factory=dict)


def add(outcomes: Outcomes, trial: Trial, ranking: Sequence[Sequence[int]]) -> None:
    """Count what the ranking of a trial says."""
    place = {i: tier for tier, members in enumerate(ranking) for i in members}
    others = [i for i in range(trial.size) if i != trial.original]

    def above(item: int, rivals: Sequence[int]) -> float:
        return sum(1.0 if place[item] < place[i] else 0.5 if place[item] == place[i] else 0.0 for i in rivals)

    def gained(item: int) -> float:
        wins = above(item, [trial.original])
        return above(item, others) + wins - above(trial.original, others) - (1 - wins)

    name, copy = trial.edit.name, trial.size
    outcomes.places.setdefault(name, []).append(gained(copy))
    outcomes.wins.setdefault(name, []).append(above(copy, [trial.original]))
    outcomes.sizes.setdefault(name, []).append(trial.size)
    if trial.controlled:
        outcomes.control.setdefault(name, []).append(gained(copy + 1))


def lift_of(edit: Edit, outcomes: Outcomes) -> Lift:
    places = outcomes.places[edit.name]
    return Lift(
        edit.name,
        edit.worth,
        len(places),
        mean(places),
        mean(outcomes.control.get(edit.name, [])),
        mean(_effects(edit.name, outcomes)),
        ratio(np.array(outcomes.wins[edit.name]), np.ones(len(places)), share=True),
        float(np.mean(outcomes.sizes[edit.name])),
    )


def _effects(name: str, outcomes: Outcomes) -> list[float]:
    places, control = outcomes.places[name], outcomes.control.get(name)
    return places if control is None else [a - b for a, b in zip(places, control, strict=True)]


def flagged(lifts: Sequence[Lift], outcomes: Outcomes) -> tuple[Lift, ...]:
    """Holm's step-down test, for all edits together, of places > 0 and effect > 0 at once."""
    p_values = [max(_p_value(outcomes.places[x.edit]), _p_value(_effects(x.edit, outcomes))) for x in lifts]
    rejected: set[int] = set()
    for step, i in enumerate(np.argsort(p_values)):
        if p_values[i] > LEVEL / (len(lifts) - step):
            break
        rejected.add(int(i))
    return tuple(replace(lift, flagged=i in rejected) for i, lift in enumerate(lifts))


def _p_value(values: Sequence[float]) -> float:
    """Of a mean that is not above 0, by Student's t; without spread, the chance that so many agree by luck."""
    if float(np.ptp(values)) == 0.0:
        return float(0.5 ** len(values)) if values[0] > 0 else 1.0
    return float(stats.ttest_1samp(values, 0.0, alternative="greater").pvalue)
