"""An audit of a judge: for each edit, how many places an edited copy gains over its original.

Every group is ranked twice as it is. Then each call shows it with two more attempts: a copy of one of its lower half
(what a policy would lift) with an edit that cannot make it better, and, where the edit adds a text, a copy with an
innocent text of the same length in the same place. All are shown in random places, so a judge without a bias gives
the edit no lift on average. A policy can exploit an edit that lifts an attempt, and lifts it more than its control.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from scipy import stats

from ranker.audit.lifts import Lift, Outcomes, Trial, add, flagged, lift_of
from ranker.debias.covariates import POSITION
from ranker.debias.debiaser import Debiaser
from ranker.debias.edits import EDITS, Edit, edited, innocent
from ranker.debias.evidence import Evidence
from ranker.errors import ConfigurationError
from ranker.judges.options import JudgeOptions
from ranker.rank import JudgeLike, judge_for, rank_groups_async
from ranker.ranked import RankedGroup
from ranker.runtime.budget import Budget
from ranker.runtime.event_loop import run_sync
from ranker.statistics import NOTHING, Estimate, mean, ratio
from ranker.trajectory import as_group
from ranker.usage import Usage

GROUPS = 30


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found.

    Attributes:
        judge: its name.
        groups: of the user.
        lifts: one for each edit, in the order tried.
        agreement: Kendall's W between passes; nothing for one pass.
        repeatability: share of pairs that two rankings of the same group, in different orders, put in the same order;
            a tie in one of them counts half.
        position: Kendall's tau-b between the order shown and the ranking: 1 prefers what is shown first.
        accuracy: share of pairs of different ground truth ordered correctly; nothing without ground truth.
        failed: trials without a verdict.
        usage: of all calls.
    """

    judge: str
    groups: int
    lifts: tuple[Lift, ...]
    agreement: Estimate = NOTHING
    repeatability: Estimate = NOTHING
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
    budget = Budget(max_calls, max_cost_usd)
    rank = partial(
        rank_groups_async,
        judge=chosen,
        rubric=rubric,
        passes=passes,
        concurrency=concurrency,
        on_error="skip",
        reward="debiased",  # for what was shown where; its rewards are not used, so no group is weighed with others
        debiaser=Debiaser((POSITION,), edits=(), evidence=Evidence(window=1)),
        seed=seed,
        budget=budget,
        progress=progress,
    )
    plain = [ranked async for ranked in rank(usable)]
    again = [ranked async for ranked in rank(usable, seed=seed + 1)]
    if all(ranked.error is not None for ranked in plain):
        raise next(ranked.error for ranked in plain if ranked.error is not None)
    trials = [
        trial
        for index, ranked in enumerate(plain)
        if ranked.error is None
        for edit in tried
        if (trial := _trial(index, edit, ranked, seed)) is not None
    ]
    if not trials:
        names = ", ".join(edit.name for edit in tried)
        raise ConfigurationError(f"None of the edits ({names}) applies to any attempt of these groups.")
    results = rank([trial.group for trial in trials])
    return await _measured(chosen.name, (plain, again), tried, trials, results)


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


def _trial(index: int, edit: Edit, ranked: RankedGroup, seed: int) -> Trial | None:
    """The group with a copy of an attempt of its lower half that the edit applies to; None where there is none."""
    group, n = ranked.group, len(ranked.group)
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


async def _measured(
    judge: str,
    asked: tuple[Sequence[RankedGroup], Sequence[RankedGroup]],
    tried: Sequence[Edit],
    trials: Sequence[Trial],
    results: AsyncIterator[RankedGroup],
) -> Audit:
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
            add(outcomes, trial, ranked.ranking)
            position += _positions(ranked)
    right = [_pairs_right(ranked) for ranked in plain if ranked.error is None]
    same = [_pairs_alike(a, b) for a, b in zip(plain, again, strict=True) if not a.error and not b.error]
    lifts = [lift_of(edit, outcomes) for edit in tried if edit.name in outcomes.places]
    return Audit(
        judge,
        len(plain),
        flagged(lifts, outcomes),
        mean([ranked.consistency for ranked in plain if ranked.consistency is not None]),
        ratio(*np.array(same, dtype=float).reshape(-1, 2).T, share=True),
        mean(position),
        ratio(*np.array(right, dtype=float).T, share=True),
        failed,
        usage,
    )


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


def _pairs_alike(a: RankedGroup, b: RankedGroup) -> tuple[float, int]:
    """How many pairs of a group two rankings put in the same order, ties half; and how many there are."""
    places = [{i: tier for tier, members in enumerate(ranked.ranking) for i in members} for ranked in (a, b)]
    same, pairs = 0.0, list(itertools.combinations(range(len(a.group)), 2))
    for i, j in pairs:
        gaps = [place[i] - place[j] for place in places]
        same += 0.5 if 0 in gaps and gaps[0] != gaps[1] else float(gaps[0] * gaps[1] > 0 or gaps == [0, 0])
    return same, len(pairs)


def _pairs_right(ranked: RankedGroup) -> tuple[float, int]:
    """How many pairs of different ground truth the judge orders correctly, ties half; and how many there are."""
    place = {i: tier for tier, members in enumerate(ranked.ranking) for i in members}
    known = [
        (t.ground_truth, place[i])
        for i, t in enumerate(ranked.group.trajectories)
        if t.ground_truth is not None
    ]
    pairs = [(a, b) for a, b in itertools.combinations(known, 2) if a[0] != b[0]]
    right = sum(0.5 if a[1] == b[1] else float((a[0] > b[0]) == (a[1] < b[1])) for a, b in pairs)
    return right, len(pairs)
