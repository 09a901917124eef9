"""Trials: one group shown to one judge under one of the `CONDITIONS`."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ranker.aggregate.dedupe import distinct_of
from ranker.aggregate.passes import PassRunner, Slots
from ranker.aggregate.ranking import mean_ranking
from ranker.aggregate.rewards import rank_rewards
from ranker.bench.attacks import KINDS, attacked, controlled
from ranker.bench.observation import AGAIN, ATTACKED, CONTROL, REVERSED, Observation, digest
from ranker.errors import BudgetExceeded, ContextLengthError, JudgeError, scrub
from ranker.judges.base import Judge, Lineup, SizedJudge
from ranker.prompting.orders import balanced_orders
from ranker.prompting.transcript import transcript_of
from ranker.runtime.budget import Budget
from ranker.trajectory import TrajectoryGroup
from ranker.usage import Usage

Order = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How every group is ranked; all of it affects the verdicts.

    Attributes:
        passes: orders aggregated into one verdict.
        seed: for the orders and the ids.
        rubric: instead of the groups' own.
    """

    passes: int = 1
    seed: int = 0
    rubric: str | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """A group to be shown to a judge.

    Attributes:
        judge, suite: names.
        index: of the group in its suite.
        condition: one of `CONDITIONS`.
        settings: digest of the run's options and of the judge's.
        group: with the attack or its control inserted, if the condition has one.
    """

    judge: str
    suite: str
    index: int
    condition: str
    settings: str
    group: TrajectoryGroup
    attack: str | None = None

    @property
    def id(self) -> str:
        attempts = [(transcript_of(t).text, t.ground_truth) for t in self.group.trajectories]
        # Not the suite's name: a file that was moved is the same suite.
        shown = [self.group.id, self.group.task, self.group.rubric, attempts]
        if self.group.reference is not None:
            shown.append(self.group.reference)
        return digest(judge=self.judge, settings=self.settings, kind=self.condition, shown=shown)


def prepare(
    judge: str, suite: str, index: int, condition: str, settings: str, group: TrajectoryGroup
) -> Trial:
    kind = KINDS[index % len(KINDS)]
    if condition == ATTACKED:
        return Trial(judge, suite, index, condition, settings, attacked(group, kind), kind)
    shown = controlled(group, kind) if condition == CONTROL else group
    return Trial(judge, suite, index, condition, settings, shown)


def firsts(group: TrajectoryGroup) -> tuple[int, ...]:
    """For each trajectory the index of the first that is identical to a judge."""
    seen: dict[int, int] = {}
    return tuple(seen.setdefault(member, i) for i, member in enumerate(distinct_of(group).member))


def orders(group: TrajectoryGroup, condition: str, options: RunOptions) -> list[Order]:
    """Orders of the distinct trajectories, as indices into the group.

    They depend on the group's name, not its text, so that an attack changes only the attacked trajectory.
    """
    distinct = set(firsts(group))
    rng = random.Random(f"{options.seed}/{group.id}/{len(group)}")
    whole = balanced_orders(len(group), options.passes, rng)
    shown = [tuple(i for i in order if i in distinct) for order in whole]
    return [order[::-1] for order in shown] if condition == REVERSED else shown


async def ask(trial: Trial, judge: Judge, options: RunOptions, budget: Budget) -> Observation:
    """Run a trial; a failed verdict is an observation too.

    Raises:
        ConfigurationError: a setting that cannot work.
    """
    group = trial.group
    shown = orders(group, trial.condition, options)
    same = firsts(group)
    rewards: tuple[float, ...] | None = None
    reasons: tuple[str, ...] = ()
    error: dict[str, Any] | None = None
    usage = Usage()
    started = time.perf_counter()
    if len(set(same)) == 1:  # nothing to compare, as in rank_group
        rewards = (0.5,) * len(group)
    else:
        try:
            rewards, reasons, usage = await _verdict(trial, shown, judge, options, budget)
        except (JudgeError, ContextLengthError, BudgetExceeded) as failure:
            error = {"type": type(failure).__name__, "message": scrub(str(failure))[:500]}
            status = getattr(failure, "status_code", None)
            error |= {} if status is None else {"status": status}
            error |= {"fatal": True} if failure.fatal else {}
            usage = failure.usage
    return Observation(
        id=trial.id,
        judge=trial.judge,
        suite=trial.suite,
        group=group.id or str(trial.index),
        index=trial.index,
        condition=trial.condition,
        settings=trial.settings,
        truths=tuple(float(t.ground_truth or 0.0) for t in group.trajectories),
        lengths=tuple(len(transcript_of(t).text) for t in group.trajectories),
        same=same,
        places=tuple(sum(order.index(first) for order in shown) / len(shown) for first in same),
        rewards=rewards,
        usage=usage,
        seconds=round(time.perf_counter() - started, 4),
        reasons=reasons,
        attack=trial.attack,
        error=error,
    )


async def _verdict(
    trial: Trial, shown: Sequence[Order], judge: Judge, options: RunOptions, budget: Budget
) -> tuple[tuple[float, ...], tuple[str, ...], Usage]:
    group, same = trial.group, firsts(trial.group)
    different = sorted(set(same))
    place = {i: p for p, i in enumerate(different)}
    distinct = distinct_of(group)
    attempts = tuple(distinct.trajectories[distinct.member[i]] for i in different)
    lineup = Lineup(attempts, group.task, options.rubric or group.rubric, reference=group.reference)
    sized = judge if isinstance(judge, SizedJudge) else None
    # The caller limits concurrency: the passes of a group need no limit of their own.
    runner = PassRunner(judge, sized, lineup, budget, Slots(options.passes * 64))
    seed = 2 * options.seed + (trial.condition == AGAIN)
    verdicts = await runner.run([tuple(place[i] for i in order) for order in shown], seed)
    tiers = mean_ranking([v.tiers for v in verdicts], len(different))
    # Back to the whole group: identical trajectories share a tier.
    whole = tuple(tuple(i for i in range(len(group)) if place[same[i]] in tier) for tier in tiers)
    reasons = verdicts[0].reasons
    by_member = tuple(reasons[place[i]] for i in same) if any(reasons) else ()
    return tuple(rank_rewards(whole, len(group))), by_member, sum((v.usage for v in verdicts), Usage())
