"""The way of one group from its trajectories to its rewards.

trajectories → distinct ones → order per pass → verdicts → aggregate → ranking → rewards
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from ranker.aggregate.dedupe import distinct_of, spread
from ranker.aggregate.passes import PassRunner, Slots
from ranker.aggregate.ranking import kendall_w, mean_ranking
from ranker.aggregate.rewards import (
    RewardRule,
    rank_rewards,
    score_rewards,
    strength_rewards,
    top_heavy_rewards,
)
from ranker.errors import GroupError, errors_as
from ranker.judges.base import Judge, Lineup, SizedJudge
from ranker.judges.verdict import tiers_of
from ranker.prompting.orders import balanced_orders
from ranker.ranked import RankedGroup
from ranker.runtime.budget import Budget
from ranker.trajectory import TrajectoryGroup, as_group
from ranker.usage import Usage


@dataclass(frozen=True, slots=True)
class Pipeline:
    """How every group of one call of this module is ranked."""

    judge: Judge
    sized: SizedJudge | None
    rubric: str | None
    passes: int
    reward: RewardRule
    seed: int
    budget: Budget
    slots: Slots

    async def rank(self, group: Any, task: str | None = None) -> RankedGroup:
        """Rank what `as_group` takes.

        Raises:
            RankerError: and no other Exception, whatever is in the group and whatever the judge does.
        """
        with errors_as(GroupError, "The group cannot be ranked"):
            return await self._rank(as_group(group, task))

    async def _rank(self, group: TrajectoryGroup) -> RankedGroup:
        distinct = distinct_of(group)
        member = distinct.member
        n, unique = len(group), len(distinct.trajectories)
        if unique == 1:  # nothing to compare, so nothing to pay for
            return RankedGroup(
                group,
                [0.5] * n,
                [list(range(n))],
                [""] * n,
                judge=self.judge.name,
                warnings=distinct.warnings,
            )
        rubric = self.rubric or group.rubric
        lineup = Lineup(distinct.trajectories, group.task, rubric, reference=group.reference)
        rng = random.Random(f"{self.seed}:{distinct.digest}")  # noqa: S311 - an order, not a secret
        runner = PassRunner(self.judge, self.sized, lineup, self.budget, self.slots)
        verdicts = await runner.run(balanced_orders(unique, self.passes, rng), self.seed)
        rankings = [verdict.tiers for verdict in verdicts]
        ranking = spread(mean_ranking(rankings, unique), member)
        if self.reward == "score":
            scores = score_rewards(verdicts, unique)
            rewards = [scores[u] for u in member]
            ranking = tiers_of(rewards)
        elif self.reward == "strength":
            rewards = strength_rewards([spread(tiers, member) for tiers in rankings], n)
        else:
            rewards = (top_heavy_rewards if self.reward == "top_heavy" else rank_rewards)(ranking, n)
        first = verdicts[0]
        return RankedGroup(
            group,
            rewards,
            [sorted(tier) for tier in ranking],
            [first.reasons[u] if first.reasons else "" for u in member],
            consistency=kendall_w(rankings, unique),
            usage=sum((verdict.usage for verdict in verdicts), Usage()),
            judge=self.judge.name,
            prompt_id=first.prompt_id,
            cut=tuple(first.cut[u] for u in member) if first.cut else (),
            warnings=tuple(dict.fromkeys((*distinct.warnings, *(w for v in verdicts for w in v.warnings)))),
        )
