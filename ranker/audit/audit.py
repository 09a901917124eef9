"""An audit of a judge: for each edit, how many places an edited copy gains over its original.

Each call shows a group with two more attempts: a copy of one of them with an edit that cannot make it better, and,
where the edit adds a text, a copy with an innocent text of the same length in the same place. The copy, the control
and the original are shown in random places, so a judge without a bias gives the edit no lift on average.
"""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from scipy import stats

from ranker.debias.covariates import POSITION
from ranker.debias.debiaser import Debiaser
from ranker.debias.edits import EDITS, Edit, Worth, edited, innocent
from ranker.errors import ConfigurationError, RankerError
from ranker.judges.options import JudgeOptions
from ranker.rank import JudgeLike, judge_for, rank_groups_async
from ranker.ranked import RankedGroup
from ranker.runtime.budget import Budget
from ranker.runtime.event_loop import run_sync
from ranker.statistics import NOTHING, Estimate, mean, ratio
from ranker.trajectory import TrajectoryGroup, as_group
from ranker.usage import Usage

GROUPS = 30
LEVEL = 0.05  # of all flags of an audit together


@dataclass(frozen=True, slots=True)
class Lift:
    """What an edit does to a judge's ranking.

    Attributes:
        edit: its name.
        worth: "same" or "worse": what it does to the attempt's worth.
        trials: groups in which it was tried.
        places: of the other attempts, how many more the edited copy beats than its original does, on average.
        control: the same of the innocent copy; nothing where the edit has none.
        effect: places beyond the control, or places where there is none.
        wins: how often the copy stands above its original; a tie counts half.
        size: other attempts in a group, on average.
        flagged: whether the effect is above 0, over all edits of the audit together (Holm 1979, 5 %).
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
class Audit:
    """What an audit found.

    Attributes:
        judge: its name.
        groups: of the user.
        lifts: one for each edit, in the order tried.
        agreement: Kendall's W between passes; nothing for one pass.
        position: Kendall's tau-b between the order shown and the ranking: 1 prefers what is shown first.
        accuracy: share of pairs of different ground truth ordered correctly; nothing without ground truth.
        failed: trials without a verdict.
        usage: of all calls.
    """

    judge: str
    groups: int
    lifts: tuple[Lift, ...]
    agreement: Estimate = NOTHING
    position: Estimate = NOTHING
    accuracy: Estimate = NOTHING
    failed: int = 0
    usage: Usage = field(default_factory=Usage)

    def lift(self, edit: str) -> Lift | None:
        """Of an edit by its name."""
        return next((lift for lift in self.lifts if lift.edit == edit), None)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"schema_version": 1, **asdict(self), "usage": self.usage.to_dict()}


@dataclass(frozen=True, slots=True)
class _Trial:
    """A group with a copy, and perhaps a control, behind its attempts."""

    index: int
    edit: Edit
    group: TrajectoryGroup
    size: int
    original: int
    controlled: bool


@dataclass(slots=True)
class _Outcomes:
    """By edit, a number for each trial."""

    places: dict[str, list[float]] = field(default_factory=dict)
    control: dict[str, list[float]] = field(default_factory=dict)
    wins: dict[str, list[float]] = field(default_factory=dict)
    sizes: dict[str, list[int]] = field(default_factory=dict)


async def audit_judge_async(
    groups: Iterable[Any],
    judge: JudgeLike = None,
    rubric: str | Path | None = None,
    passes: int = 1,
    *,
    edits: Sequence[Edit] | None = None,
    seed: int = 0,
    concurrency: int = 16,
    base_url: str | None = None,
    api_key: str | None = None,
    max_calls: int | None = None,
    max_cost_usd: float | None = None,
    progress: bool = True,
    **options: Unpack[JudgeOptions],
) -> Audit:
    """Audit a judge. See `audit_judge`."""
    chosen = judge_for(judge, "rank", base_url, api_key, options)
    members = [as_group(group) for group in groups]
    usable = [group for group in members if len(group) > 1]
    if not usable:
        raise ConfigurationError("An audit needs groups of at least two attempts; none was given.")
    tried = tuple(EDITS.values()) if edits is None else tuple(edits)
    trials = [
        trial for g, group in enumerate(usable) for edit in tried if (trial := _trial(g, edit, group, seed))
    ]
    if not trials:
        names = ", ".join(edit.name for edit in tried)
        raise ConfigurationError(f"None of the edits ({names}) applies to any attempt of these groups.")
    budget = Budget(max_calls, max_cost_usd)
    results = rank_groups_async(
        [trial.group for trial in trials],
        chosen,
        rubric,
        passes,
        concurrency=concurrency,
        on_error="skip",
        reward="debiased",
        debiaser=Debiaser((POSITION,), edits=()),
        seed=seed,
        budget=budget,
        progress=progress,
    )
    return await _measured(chosen.name, len(usable), tried, trials, results)


def audit_judge(
    groups: Iterable[Any],
    judge: JudgeLike = None,
    rubric: str | Path | None = None,
    passes: int = 1,
    *,
    edits: Sequence[Edit] | None = None,
    seed: int = 0,
    concurrency: int = 16,
    base_url: str | None = None,
    api_key: str | None = None,
    max_calls: int | None = None,
    max_cost_usd: float | None = None,
    progress: bool = True,
    **options: Unpack[JudgeOptions],
) -> Audit:
    """Measure what a judge can be talked into, on groups of yours; no ground truth is needed.

    Args:
        groups: a few dozen, each as `rank_group` takes it.
        judge, rubric, passes, base_url, api_key, options: as in `rank_group`.
        edits: default `ranker.debias.edits.EDITS`, all of them; each costs a call for each group and pass.
        seed: draws the attempts that are edited, the wording, and the orders.
        max_calls, max_cost_usd: limits; trials beyond them count as failed.

    Raises:
        ConfigurationError: no group of two attempts, or no edit applies; a setting or judge that cannot work.
        RankerError: every call failed; the first error.
    """
    return run_sync(
        audit_judge_async(
            groups,
            judge,
            rubric,
            passes,
            edits=edits,
            seed=seed,
            concurrency=concurrency,
            base_url=base_url,
            api_key=api_key,
            max_calls=max_calls,
            max_cost_usd=max_cost_usd,
            progress=progress,
            **options,
        )
    )


def _trial(index: int, edit: Edit, group: TrajectoryGroup, seed: int) -> _Trial | None:
    """The group with a copy of a random attempt that the edit applies to; None where there is none."""
    n = len(group)
    rng = random.Random(f"{seed}/{edit.name}/{index}")  # noqa: S311
    for i in rng.sample(range(n), n):
        copy = edited(edit, group.trajectories[i], seed)
        if copy is None:
            continue
        control = innocent(edit, group.trajectories[i], seed)
        members = [replace(t, id=name) for t, name in zip(group.trajectories, group.ids, strict=True)]
        more = [copy] if control is None else [copy, control]
        return _Trial(index, edit, replace(group, trajectories=(*members, *more)), n, i, control is not None)
    return None


async def _measured(
    judge: str,
    groups: int,
    tried: Sequence[Edit],
    trials: Sequence[_Trial],
    results: AsyncIterator[RankedGroup],
) -> Audit:
    outcomes = _Outcomes()
    agreement, position = [], []
    right, pairs = np.zeros(groups), np.zeros(groups)
    usage, failed, first = Usage(), 0, None
    waiting = iter(trials)
    async for ranked in results:
        trial = next(waiting)
        usage += ranked.usage
        if ranked.error is not None:
            failed += 1
            first = first or ranked.error
            continue
        _add(outcomes, trial, ranked.ranking)
        if ranked.consistency is not None:
            agreement.append(ranked.consistency)
        position += _positions(ranked)
        correct, known = _pairs_right(trial, ranked.ranking)
        right[trial.index] += correct
        pairs[trial.index] += known
    if failed == len(trials) and first is not None:
        raise first
    lifts = [_lift(edit, outcomes) for edit in tried if edit.name in outcomes.places]
    return Audit(
        judge,
        groups,
        _flagged(lifts, outcomes),
        mean(agreement),
        mean(position),
        ratio(right, pairs, share=True),
        failed,
        usage,
    )


def _add(outcomes: _Outcomes, trial: _Trial, ranking: Sequence[Sequence[int]]) -> None:
    place = {i: tier for tier, members in enumerate(ranking) for i in members}
    others = [i for i in range(trial.size) if i != trial.original]

    def beaten(item: int) -> float:
        return sum(1.0 if place[item] < place[i] else 0.5 if place[item] == place[i] else 0.0 for i in others)

    name, copy = trial.edit.name, trial.size
    outcomes.places.setdefault(name, []).append(beaten(copy) - beaten(trial.original))
    above = place[trial.original] - place[copy]
    outcomes.wins.setdefault(name, []).append(1.0 if above > 0 else 0.5 if above == 0 else 0.0)
    outcomes.sizes.setdefault(name, []).append(len(others))
    if trial.controlled:
        outcomes.control.setdefault(name, []).append(beaten(copy + 1) - beaten(trial.original))


def _lift(edit: Edit, outcomes: _Outcomes) -> Lift:
    places = outcomes.places[edit.name]
    return Lift(
        edit.name,
        edit.worth,
        len(places),
        mean(places),
        mean(outcomes.control.get(edit.name, [])),
        mean(_effects(edit.name, outcomes)),
        mean(outcomes.wins[edit.name]),
        float(np.mean(outcomes.sizes[edit.name])),
    )


def _effects(name: str, outcomes: _Outcomes) -> list[float]:
    control = outcomes.control.get(name)
    places = outcomes.places[name]
    return places if control is None else [a - b for a, b in zip(places, control, strict=True)]


def _flagged(lifts: Sequence[Lift], outcomes: _Outcomes) -> tuple[Lift, ...]:
    """Holm's step-down test of effect > 0 for all edits together."""
    p_values = []
    for lift in lifts:
        effects = np.array(_effects(lift.edit, outcomes))
        if len(effects) < 2 or float(np.ptp(effects)) == 0.0:
            # Without spread, the chance that as many trials agree by luck.
            p_values.append(0.5 ** len(effects) if float(effects.mean()) > 0 else 1.0)
        else:
            p_values.append(float(stats.ttest_1samp(effects, 0.0, alternative="greater").pvalue))
    order = np.argsort(p_values)
    flagged: set[int] = set()
    for step, i in enumerate(order):
        if p_values[i] > LEVEL / (len(lifts) - step):
            break
        flagged.add(int(i))
    return tuple(replace(lift, flagged=i in flagged) for i, lift in enumerate(lifts))


def _positions(ranked: RankedGroup) -> list[float]:
    """Kendall's tau-b between the order shown and the ranking, over the passes of a group."""
    compared = ranked.comparisons
    if compared is None:
        return []
    taus = []
    for x_NK, tiers in zip(compared.covariates_PNK, compared.tiers_P, strict=True):
        place = {i: tier for tier, members in enumerate(tiers) for i in members}
        tau = stats.kendalltau([x_K[0] for x_K in x_NK], [-place[i] for i in range(len(x_NK))]).statistic
        if np.isfinite(tau):
            taus.append(float(tau))
    return [float(np.mean(taus))] if taus else []


def _pairs_right(trial: _Trial, ranking: Sequence[Sequence[int]]) -> tuple[float, int]:
    truths = [t.ground_truth for t in trial.group.trajectories[: trial.size]]
    place = {i: tier for tier, members in enumerate(ranking) for i in members}
    right, known = 0.0, 0
    for i, a in enumerate(truths):
        for j, b in enumerate(truths[:i]):
            if a is not None and b is not None and a != b:
                known += 1
                right += 0.5 if place[i] == place[j] else float((a > b) == (place[i] < place[j]))
    return right, known


def write_audit(path: Path, audit: Audit) -> None:
    """Write an audit as JSON, whole or not at all. Raises RankerError where it cannot."""
    from ranker.runtime.outputs import replace_file

    try:
        replace_file(path, (json.dumps(audit.to_dict(), indent=1) + "\n").encode())
    except OSError as error:
        raise RankerError(f"{path} cannot be written: {error.strerror}.") from None
