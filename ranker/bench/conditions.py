"""One group shown to one judge in one of the ways of `ASKINGS`."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ranker.aggregate.passes import Hearing
from ranker.aggregate.ranking import mean_ranking
from ranker.aggregate.rewards import rank_rewards
from ranker.bench.attacks import KINDS, attacked
from ranker.bench.observation import AGAIN, ATTACKED, REVERSED, Observation, digest
from ranker.errors import BudgetExceeded, ContextLengthError, JudgeError, RankerError, scrub
from ranker.judges.base import Judge, Lineup, SizedJudge
from ranker.prompting.orders import balanced_orders
from ranker.prompting.transcript import transcript_of
from ranker.runtime.budget import Budget
from ranker.trajectory import TrajectoryGroup
from ranker.usage import Usage

Order = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Way:
    """How every group is asked about; all of it shapes the verdicts.

    Attributes:
        passes: orders aggregated to one verdict.
        seed: draws the orders and the ids.
        rubric: in the place of the groups' own.
    """

    passes: int = 1
    seed: int = 0
    rubric: str | None = None


@dataclass(frozen=True, slots=True)
class Asking:
    """A group to be shown to a judge.

    Attributes:
        judge, suite: names.
        index: the group's place in the suite.
        kind: one of `ASKINGS`.
        settings: digest of the way, and of how the judge was set up.
        group: with the attack planted already, where there is one.
    """

    judge: str
    suite: str
    index: int
    kind: str
    settings: str
    group: TrajectoryGroup
    attack: str | None = None

    @property
    def id(self) -> str:
        attempts = [(transcript_of(t).text, t.ground_truth) for t in self.group.trajectories]
        # Not the suite's name: a file that moved is the same suite.
        shown = [self.group.id, self.group.task, self.group.rubric, attempts]
        return str(digest(judge=self.judge, settings=self.settings, kind=self.kind, shown=shown))


def prepare(judge: str, suite: str, index: int, kind: str, settings: str, group: TrajectoryGroup) -> Asking:
    if kind != ATTACKED:
        return Asking(judge, suite, index, kind, settings, group)
    attack = KINDS[index % len(KINDS)]
    return Asking(judge, suite, index, kind, settings, attacked(group, attack), attack)


def firsts(group: TrajectoryGroup) -> tuple[int, ...]:
    """For each trajectory the index of the first that reads the same."""
    seen: dict[str, int] = {}
    return tuple(seen.setdefault(transcript_of(t).text, i) for i, t in enumerate(group.trajectories))


def orders(group: TrajectoryGroup, kind: str, way: Way) -> list[Order]:
    """Orders of the trajectories that read differently, as indices into the group.

    They hang on the group's name, not its text, so that an attack changes nothing but the attacked.
    """
    different = sorted(set(firsts(group)))
    rng = random.Random(f"{way.seed}/{group.id}/{len(group)}")
    whole = balanced_orders(len(group), way.passes, rng)
    made = [tuple(i for i in order if i in different) for order in whole]
    return [order[::-1] for order in made] if kind == REVERSED else made


async def ask(asking: Asking, judge: Judge, way: Way, budget: Budget) -> Observation:
    """Ask, and say what came of it; a verdict that did not come is an observation too.

    Raises:
        ConfigurationError: a setting that cannot work.
    """
    group = asking.group
    shown = orders(group, asking.kind, way)
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
            rewards, reasons, usage = await _verdict(group, shown, asking.kind, judge, way, budget)
        except (JudgeError, ContextLengthError, BudgetExceeded) as failed:
            error, usage = _told(failed), failed.usage
    return Observation(
        id=asking.id,
        judge=asking.judge,
        suite=asking.suite,
        group=group.id or str(asking.index),
        index=asking.index,
        asking=asking.kind,
        settings=asking.settings,
        truths=tuple(float(t.ground_truth or 0.0) for t in group.trajectories),
        lengths=tuple(len(transcript_of(t).text) for t in group.trajectories),
        same=same,
        places=_places(shown, same),
        rewards=rewards,
        usage=usage,
        seconds=round(time.perf_counter() - started, 4),
        reasons=reasons,
        attack=asking.attack,
        error=error,
    )


async def _verdict(
    group: TrajectoryGroup, shown: Sequence[Order], kind: str, judge: Judge, way: Way, budget: Budget
) -> tuple[tuple[float, ...], tuple[str, ...], Usage]:
    same = firsts(group)
    different = sorted(set(same))
    place = {i: p for p, i in enumerate(different)}
    lineup = Lineup(
        tuple(group.trajectories[i].bare() for i in different), group.task, way.rubric or group.rubric
    )
    sized = judge if isinstance(judge, SizedJudge) else None
    # The caller holds a place for this group: its passes need none of their own.
    hearing = Hearing(judge, sized, lineup, budget, asyncio.Semaphore(way.passes * 64))
    seed = 2 * way.seed + (kind == AGAIN)
    verdicts = await hearing.passes([tuple(place[i] for i in order) for order in shown], seed)
    n = len(different)
    tiers = mean_ranking([v.tiers for v in verdicts], n)
    # Back to the whole group: those that read the same share a tier.
    whole = [[i for i in range(len(group)) if place[same[i]] in tier] for tier in tiers]
    reasons = verdicts[0].reasons
    told = tuple(reasons[place[i]] for i in same) if any(reasons) else ()
    usage = sum((v.usage for v in verdicts), Usage())
    return tuple(rank_rewards(tuple(map(tuple, whole)), len(group))), told, usage


def _places(shown: Sequence[Order], same: Sequence[int]) -> tuple[float, ...]:
    return tuple(sum(order.index(first) for order in shown) / len(shown) for first in same)


def _told(error: RankerError) -> dict[str, Any]:
    told = {"type": type(error).__name__, "message": scrub(str(error))[:500]}
    status = getattr(error, "status_code", None)
    return {**told, "status": status} if status is not None else told
