"""The way of one group from its trajectories to its rewards.

trajectories → distinct ones → order per pass → verdicts → aggregate → ranking → rewards
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from ranker.aggregate.dedupe import Distinct, distinct_of, spread
from ranker.aggregate.passes import PassRunner, Slots
from ranker.aggregate.ranking import Tiers, kendall_w, mean_ranking
from ranker.aggregate.rewards import (
    RewardRule,
    rank_rewards,
    score_rewards,
    strength_rewards,
    top_heavy_rewards,
)
from ranker.aggregate.turns import turn_rewards
from ranker.errors import (
    ContextLengthError,
    GroupError,
    JudgeCallError,
    JudgeError,
    RankerError,
    errors_as,
    scrub,
)
from ranker.judges.base import Judge, Lineup, SizedJudge
from ranker.judges.credit import Credit
from ranker.judges.verdict import Verdict, tiers_of
from ranker.prompting.orders import balanced_orders
from ranker.ranked import RankedGroup
from ranker.runtime.budget import Budget
from ranker.runtime.threads import contained
from ranker.trajectory import TrajectoryGroup, as_group
from ranker.usage import Usage

if TYPE_CHECKING:
    from ranker.debias.debiaser import Debiaser

_ONE_CALL = (
    'reward="score" needs the whole group in one call: use smaller groups, or reward="rank", which ranks larger ones in '
    "several calls."
)

Judged: TypeAlias = tuple[Sequence[int], Sequence[Tiers], Sequence[Sequence[int]]]
"""For each trajectory which distinct one it is, and for each pass the ranking of those and the order shown."""


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
    debiaser: Debiaser | None = None
    credit: Credit | None = None

    async def rank(self, group: Any, task: str | None = None) -> RankedGroup:
        """Rank what `as_group` takes; with a debiaser, the result holds what the judge said of it and its copies.

        Raises:
            RankerError: and no other Exception, whatever is in the group and whatever the judge does.
        """
        with errors_as(GroupError, "The group cannot be ranked"), contained():
            if self.debiaser is None:
                return (await self._rank(as_group(group, task)))[0]
            return await self._with_copies(as_group(group, task), self.debiaser)

    async def _with_copies(self, group: TrajectoryGroup, debiaser: Debiaser) -> RankedGroup:
        lineup = debiaser.lineup(group)
        spent = Usage()
        warnings: tuple[str, ...] = ()
        copied = lineup.group is not group
        try:
            ranked, judged = await self._rank(lineup.group, split=not copied)
        except (ContextLengthError, JudgeError) as error:
            # A wrong key, or a server that may answer later, says nothing of the copies.
            if not copied or error.fatal or (isinstance(error, JudgeCallError) and error.retryable):
                raise
            why = "they do not fit one call" if isinstance(error, ContextLengthError) else scrub(str(error))
            spent = error.usage
            warnings = (f"The group was ranked without counterfactual copies: {why[:200]}",)
            lineup = debiaser.alone(group)
            try:
                ranked, judged = await self._rank(group)
            except RankerError as second:
                raise second.spent(spent + second.usage) from second.__cause__
        n = len(group)
        return replace(
            ranked,
            group=group,
            rewards=ranked.rewards[:n],
            ranking=[tier for whole in ranked.ranking if (tier := [i for i in whole if i < n])],
            reasons=ranked.reasons[:n],
            usage=spent + ranked.usage,
            cut=ranked.cut[:n],
            warnings=(*ranked.warnings, *warnings),
            comparisons=None if judged is None else debiaser.compare(lineup, *judged),
            turn_rewards=None if ranked.turn_rewards is None else ranked.turn_rewards[:n],
        )

    async def _rank(self, group: TrajectoryGroup, split: bool = True) -> tuple[RankedGroup, Judged | None]:
        """A group with its rewards; and what the judge said, None where there was nothing to ask. With `split`, one that
        does not fit one call is ranked in windows, unless rewards are scores: windows have none of the whole group."""
        distinct = distinct_of(group)
        member = distinct.member
        n, unique = len(group), len(distinct.trajectories)
        if unique == 1:  # nothing to compare, so nothing to pay for
            alone = RankedGroup(
                group,
                [0.5] * n,
                [list(range(n))],
                [""] * n,
                judge=self.judge.name,
                warnings=distinct.warnings,
                turn_rewards=None if self.credit is None else turn_rewards([], group.trajectories),
            )
            return alone, None
        rubric = self.rubric or group.rubric
        lineup = Lineup(distinct.trajectories, group.task, rubric, reference=group.reference)
        rng = random.Random(f"{self.seed}:{distinct.digest}")  # noqa: S311 - an order, not a secret
        whole = self.reward == "score"
        runner = PassRunner(self.judge, self.sized, lineup, self.budget, self.slots, split and not whole)
        orders = balanced_orders(unique, self.passes, rng)
        try:
            verdicts = await runner.run(orders, self.seed)
        except ContextLengthError as error:
            if whole and unique > 2:
                error.args = (f"{error} {_ONE_CALL}",)
            raise
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
        turns, silent = self._turns(verdicts, distinct)
        first = verdicts[0]
        ranked = RankedGroup(
            group,
            rewards,
            [sorted(tier) for tier in ranking],
            [first.reasons[u] if first.reasons else "" for u in member],
            consistency=kendall_w(rankings, unique),
            usage=sum((verdict.usage for verdict in verdicts), Usage()),
            judge=self.judge.name,
            prompt_id=first.prompt_id,
            cut=tuple(first.cut[u] for u in member) if first.cut else (),
            warnings=tuple(
                dict.fromkeys((*distinct.warnings, *(w for v in verdicts for w in v.warnings), *silent))
            ),
            turn_rewards=turns,
        )
        return ranked, (member, rankings, orders)

    def _turns(
        self, verdicts: Sequence[Verdict], distinct: Distinct
    ) -> tuple[list[list[float | None]] | None, list[str]]:
        """The rewards of turns where they are asked for, and a warning where no verdict says anything of them."""
        if self.credit is None:
            return None, []
        rewards = turn_rewards(verdicts, distinct.trajectories)
        silent = all(verdict.turns is None for verdict in verdicts)
        note = f"The judge {self.judge.name} was asked for turns and returned none."
        return [list(rewards[u]) for u in distinct.member], [note] if silent else []
