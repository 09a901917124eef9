"""From rankings to lifts: places gained, intervals, flags."""

from __future__ import annotations

import itertools
import math
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ranker.aggregate.agreement import agreeing
from ranker.aggregate.ranking import average_ranks
from ranker.audit.result import AuditResult, Lift
from ranker.audit.trials import Trial
from ranker.debias.edits import Edit
from ranker.distributions import student_tail, tau_b
from ranker.ranked import RankedGroup
from ranker.statistics import Estimate, mean, ratio
from ranker.usage import Usage

LEVEL = 0.05  # of all flags of an audit together


@dataclass(slots=True)
class Outcomes:
    """By edit, a number for each trial."""

    places: dict[str, list[float]] = field(default_factory=dict)
    control: dict[str, list[float]] = field(default_factory=dict)
    wins: dict[str, list[float]] = field(default_factory=dict)
    sizes: dict[str, list[int]] = field(default_factory=dict)


async def measured(
    judge: str,
    asked: tuple[Sequence[RankedGroup], Sequence[RankedGroup]],
    tried: Sequence[Edit],
    trials: Sequence[Trial],
    results: AsyncIterator[RankedGroup],
) -> AuditResult:
    """The audit: of the groups, each ranked twice as it is, and of its trials."""
    plain, again = asked
    outcomes = Outcomes()
    position = [tau for ranked in plain for tau in _positions(ranked)]
    usage = sum((ranked.usage for ranked in (*plain, *again)), Usage())
    failed = sum(ranked.error is not None for ranked in (*plain, *again))
    waiting = iter(trials)
    async for ranked in results:
        trial = next(waiting)
        usage += ranked.usage
        failed += ranked.error is not None
        if ranked.error is None:
            _add(outcomes, trial, ranked.ranking)
            position += _positions(ranked)
    right = [_pairs_right(ranked) for ranked in plain if ranked.error is None]
    twice = [(a, b) for a, b in zip(plain, again, strict=True) if not a.error and not b.error]
    lifts = [_lift(edit, outcomes) for edit in tried if edit.name in outcomes.places]
    return AuditResult(
        judge,
        len(plain),
        _flagged(lifts, outcomes),
        mean([ranked.consistency for ranked in plain if ranked.consistency is not None], (0.0, 1.0)),
        _share(_pairs_alike(a, b) for a, b in twice),
        mean(position, (-1.0, 1.0)),
        _share(right),
        failed,
        usage,
        _share(_pairs_alike(a, b, tied=0.5) for a, b in twice),
    )


def _share(counts: Iterable[tuple[float, int]]) -> Estimate:
    return ratio(*np.array(list(counts), dtype=float).reshape(-1, 2).T, share=True)


def _add(outcomes: Outcomes, trial: Trial, ranking: Sequence[Sequence[int]]) -> None:
    place = average_ranks(ranking, sum(map(len, ranking)))
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


def _lift(edit: Edit, outcomes: Outcomes) -> Lift:
    places = outcomes.places[edit.name]
    most = float(max(outcomes.sizes[edit.name]))  # from last to first, its original passed
    effects = _effects(edit.name, outcomes)
    # A copy and its control that stand at the two ends of a group differ by one place more.
    reach = most + bool(outcomes.control.get(edit.name))
    return Lift(
        edit.name,
        edit.worth,
        len(places),
        mean(places, (-most, most)),
        mean(outcomes.control.get(edit.name, []), (-most, most)),
        mean(effects, (-reach, reach)),
        ratio(np.array(outcomes.wins[edit.name]), np.ones(len(places)), share=True),
        float(np.mean(outcomes.sizes[edit.name])),
    )


def _effects(name: str, outcomes: Outcomes) -> list[float]:
    places, control = outcomes.places[name], outcomes.control.get(name)
    return places if control is None else [a - b for a, b in zip(places, control, strict=True)]


def _flagged(lifts: Sequence[Lift], outcomes: Outcomes) -> tuple[Lift, ...]:
    """Holm's step-down test, for all edits together, of places > 0 and effect > 0 at once."""
    p_values = [max(_p_value(outcomes.places[x.edit]), _p_value(_effects(x.edit, outcomes))) for x in lifts]
    flagged: set[int] = set()
    for step, i in enumerate(np.argsort(p_values)):
        if p_values[i] > LEVEL / (len(lifts) - step):
            break
        flagged.add(int(i))
    return tuple(replace(lift, flagged=i in flagged) for i, lift in enumerate(lifts))


def _p_value(values: Sequence[float]) -> float:
    """Of a mean that is not above 0, by Student's t; without spread, the chance that so many agree by luck."""
    if float(np.ptp(values)) == 0.0:
        return float(0.5 ** len(values)) if values[0] > 0 else 1.0
    n = len(values)
    return student_tail(float(np.mean(values)) / (float(np.std(values, ddof=1)) / math.sqrt(n)), n - 1)


def _positions(ranked: RankedGroup) -> list[float]:
    """Kendall's tau-b between the order shown and the ranking, over the passes of a group."""
    compared = ranked.comparisons
    if compared is None:
        return []
    taus = []
    for x_NK, tiers in zip(compared.covariates_PNK, compared.tiers_P, strict=True):
        worth_N = [-rank for rank in average_ranks(tiers, len(x_NK))]
        tau = tau_b([x_K[0] for x_K in x_NK], worth_N)
        if np.isfinite(tau):
            taus.append(tau)
    return [float(np.mean(taus))] if taus else []


def _pairs_alike(a: RankedGroup, b: RankedGroup, tied: float = 1.0) -> tuple[float, int]:
    """How many pairs of a group two rankings put in the same order, and how many there are; a tie in one of them counts half,
    one in both `tied`."""
    places = [average_ranks(ranked.ranking, len(ranked.group)) for ranked in (a, b)]
    same, pairs = 0.0, list(itertools.combinations(range(len(a.group)), 2))
    for i, j in pairs:
        gaps = [place[i] - place[j] for place in places]
        same += tied if gaps == [0, 0] else 0.5 if 0 in gaps else float(gaps[0] * gaps[1] > 0)
    return same, len(pairs)


def _pairs_right(ranked: RankedGroup) -> tuple[float, int]:
    """How many pairs of different ground truth the judge orders correctly, ties half; and how many there are."""
    truths_G = [t.ground_truth for t in ranked.group.trajectories]
    return agreeing(truths_G, [-rank for rank in average_ranks(ranked.ranking, len(truths_G))])
