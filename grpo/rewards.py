"""Reward functions: called in the background as soon as a group is complete, checked, and mixed."""

from __future__ import annotations

import copy
import inspect
import math
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from grpo.advantages import Aggregation, mix
from grpo.group_reward import GroupReward, PendingReward, failed, placed
from grpo.reward_values import ProcessRewards, Turns, checked, checked_turns, mix_turns, neutral, split
from grpo.types import RolloutGroup
from ranker import (
    BudgetExceeded,
    ConfigurationError,
    RankedGroup,
    RankerError,
    TrajectoryGroup,
    rank_group,
    rank_group_async,
)
from ranker.aggregate.rewards import rank_rewards, top_heavy_rewards
from ranker.errors import scrub
from ranker.runtime.event_loop import run_sync
from ranker.usage import Usage
from ranker.watch.audit import Answer

if TYPE_CHECKING:
    from grpo.auditing import Auditing
    from grpo.lifting import Lifting

T = TypeVar("T")
RewardValues = RankedGroup | ProcessRewards | Sequence[float | None] | Sequence[Turns] | np.ndarray
RewardFunction = Callable[[TrajectoryGroup], RewardValues | Awaitable[RewardValues]]


@dataclass(frozen=True, slots=True)
class Reward:
    """A reward function with its weight.

    Attributes:
        function: takes a TrajectoryGroup; returns a `RankedGroup`, or a list with a float or None for
            each trajectory; or, where turns have rewards, `ProcessRewards`, or a list with a list of floats or Nones for
            each trajectory. Sync or async. None means: no reward for this trajectory, or turn.
        name: under which it is logged.
        weight: of its rewards in the sum.
    """

    function: RewardFunction
    name: str = "reward"
    weight: float = 1.0

    @property
    def ranks(self) -> bool:
        """Whether the function is `rank_group`, or a partial of it: its rewards are relative to the group."""
        function = self.function
        while isinstance(function, partial):
            function = function.func
        return function is rank_group or function is rank_group_async


def as_rewards(rewards: RewardFunction | Reward | Sequence[Reward]) -> list[Reward]:
    """What `reward_fn` may be: a function, a Reward, or a list of them.

    Raises:
        ConfigurationError: it is something else.
    """
    if isinstance(rewards, Reward):
        return [rewards]
    if (
        isinstance(rewards, Sequence)
        and not isinstance(rewards, str)
        and all(isinstance(r, Reward) for r in rewards)
    ):
        return list(rewards)
    if callable(rewards):
        return [Reward(rewards)]
    raise ConfigurationError(
        f"reward_fn is a {type(rewards).__name__}; give a function of a group, such as partial(rank_group, judge=…), "
        "or a list of Reward(function, name, weight)."
    )


class Rewarder:
    """Calls the reward functions of each group in threads of its own.

    Threads are daemons: a function that hangs holds up neither the other groups nor the end of the
    process.
    """

    def __init__(
        self,
        rewards: Sequence[Reward],
        aggregation: Aggregation,
        timeout: float,
        auditing: Auditing | None = None,
        lifting: Lifting | None = None,
    ):
        names = [r.name for r in rewards]
        if not rewards or len(names) != len(set(names)):
            raise ConfigurationError(
                f"Give at least one reward function, each with a name of its own; got {names}."
            )
        if not any(r.weight for r in rewards):
            raise ConfigurationError("Every reward has weight 0; give at least one another weight.")
        self.rewards = tuple(rewards)
        self._aggregation = aggregation
        self._timeout = timeout
        self._auditing, self._lifting = auditing, lifting

    def start(self, group: RolloutGroup, then: Callable[[GroupReward], None]) -> PendingReward:
        """Begin; `then` is called with the result in the background when it is there."""
        pending = PendingReward(self._timeout, len(group.rollouts), then)
        lifting = self._lifting
        asks = copy.copy(self)  # as it is now: the judge may be another one when the thread comes to it
        tries = [] if lifting is None else lifting.order(group)
        asked = asks._asked(group)

        def work() -> None:
            try:
                reward = asked(pending)
                if lifting is not None and tries and reward.error is None:
                    pending.known(reward)
                    reward = lifting.added(group, reward, tries, asks)
                pending.finish(reward)
            except BaseException as error:
                pending.fail(error)

        threading.Thread(target=work, name=f"reward-{group.index}", daemon=True).start()
        return pending

    def _asked(self, group: RolloutGroup) -> Callable[[PendingReward], GroupReward]:
        """What asks the reward functions and, where this group is audited, the auditor."""
        auditing = self._auditing
        if auditing is None or not auditing.wants(group.index) or len(group.alive) < 2:
            return lambda pending: self.reward(group)
        escalated = auditing.escalated

        def both(pending: PendingReward) -> GroupReward:
            answer = _beside(partial(auditing.answer, group), f"audit-{group.index}")
            reward = self.reward(group)
            late = Answer([], error=f"no answer within reward_timeout = {self._timeout:g} seconds")
            pending.known(auditing.added(group, reward, late, escalated, self.corrected))
            return auditing.added(group, reward, answer.result(), escalated, self.corrected)

        return both

    def reward(self, group: RolloutGroup) -> GroupReward:
        """Call every function on the group's finished attempts.

        Raises:
            RankerError: one that is fatal (no such judge, a refused key, no credit): no group would succeed.
            BudgetExceeded: a limit was reached: further steps would learn nothing.
        """
        count, alive = len(group.rollouts), group.alive
        if len(alive) < 2:
            reasons = {r.error for r in group.rollouts if r.error}
            return failed(
                count, f"{len(alive)} of {count} rollouts came to an end: {'; '.join(sorted(reasons))}"
            )
        parts: dict[str, list[float | None]] = {}
        anchored: dict[str, list[float | None]] = {}
        anchor_reason = ""
        turn_parts: dict[str, list[Turns]] = {}
        marks: dict[str, list[Turns]] = {}
        comparisons: dict[str, Mapping[str, Any]] = {}
        reasons_G = [""] * count
        passes: list[float] = []
        judges: dict[str, str] = {}
        usage = Usage()
        for reward in self.rewards:
            try:
                ranked = _call(reward, group.for_judge())
            except Exception as error:
                if isinstance(error, BudgetExceeded) or (isinstance(error, RankerError) and error.fatal):
                    raise
                spent = error.usage if isinstance(error, RankerError) else Usage()
                return failed(count, scrub(f"{reward.name}: {type(error).__name__}: {error}"), usage + spent)
            if group.anchor is None:
                parts[reward.name] = placed(count, alive, ranked.rewards)
            else:
                parts[reward.name] = placed(count, alive, _without_last(ranked))
                *values, value = ranked.rewards
                anchored[reward.name] = [*placed(count, alive, values), value]
                anchor_reason = (ranked.reasons[-1] if ranked.reasons else "") or anchor_reason
            if ranked.turn_rewards is not None:
                own = turn_parts[reward.name] = placed(count, alive, ranked.turn_rewards[: len(alive)])
                marks[reward.name] = neutral(own) if ranked.ranking else own
            usage += ranked.usage
            judges |= {reward.name: ranked.judge} if ranked.judge else {}
            passes += [] if ranked.consistency is None else [ranked.consistency]
            if ranked.comparisons is not None:
                comparisons[reward.name] = {**ranked.comparisons.to_dict(), "judge": ranked.judge}
            for place, reason in zip(alive, ranked.reasons, strict=False):
                reasons_G[place] = reason or reasons_G[place]
        return GroupReward(
            self.mixed(parts),
            parts,
            reasons_G,
            usage,
            comparisons=comparisons,
            anchored_values=self.mixed(anchored) if anchored else [],
            anchored_parts=anchored,
            anchor_reason=anchor_reason,
            judges=judges,
            consistency=math.fsum(passes) / len(passes) if passes else None,
            turns=self._mixed_turns(marks),
            turn_parts=turn_parts,
            judged=self._judged(parts, judges),
        )

    def _mixed_turns(self, parts: Mapping[str, list[Turns]]) -> list[Turns]:
        spoken = [r for r in self.rewards if r.name in parts]
        return (
            mix_turns([parts[r.name] for r in spoken], [r.weight for r in spoken], self._aggregation)
            if spoken
            else []
        )

    def asked(self, group: TrajectoryGroup) -> list[RankedGroup]:
        """What each function says of a group, in their order. Raises whatever one of them raises."""
        return [_call(reward, group) for reward in self.rewards]

    @property
    def names(self) -> list[str]:
        """Of the functions, in their order."""
        return [reward.name for reward in self.rewards]

    def mixed(self, parts: Mapping[str, list[float | None]]) -> list[float | None]:
        """The rewards of a group from those of each function, by its name; functions that are not there are left out."""
        given = [r for r in self.rewards if r.name in parts]
        return mix([parts[r.name] for r in given], [r.weight for r in given], self._aggregation)

    def _judged(
        self, parts: Mapping[str, list[float | None]], judges: Mapping[str, str]
    ) -> list[float | None]:
        if not 0 < len(judges) < len(parts):
            return []
        values = self.mixed({name: parts[name] for name in judges})
        return [] if all(v is None for v in values) else values  # a judge of weight 0 is only logged

    def corrected(self, reward: GroupReward, values: list[float | None]) -> GroupReward | None:
        """The rewards with an auditor's values in the judges' place, mixed with those of the other functions; in the place of all
        where none of them is a judge. None where that cannot be said: one of several functions failed."""
        if reward.error is not None and len(self.rewards) > 1:
            return None
        judges = reward.judges
        kept = {name: own for name, own in reward.turn_parts.items() if judges and name not in judges}
        # The auditor said nothing of turns, and what the judge said of them is as doubtful as its ranking.
        return replace(
            reward,
            values=self.mixed({**reward.parts, **dict.fromkeys(judges, values)}) if judges else values,
            parts={**reward.parts, "auditor": values},
            error=None,
            comparisons={},
            turns=self._mixed_turns(kept),
            turn_parts=kept,
        )


def _beside(call: Callable[[], T], name: str) -> Future[T]:
    """What a call returns, made in a thread of its own, for which neither the caller nor the end of the process waits."""
    done: Future[T] = Future()

    def work() -> None:
        try:
            done.set_result(call())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=work, name=name, daemon=True).start()
    return done


def _without_last(ranked: RankedGroup) -> Sequence[float | None]:
    """The rewards of all trajectories but the last.

    Those that follow from the ranking alone are what they were if the last had not been in it. Otherwise the place that it
    takes would set its neighbours further apart, and their mean would tell of it.
    """
    n = len(ranked.rewards)
    for rule in (rank_rewards, top_heavy_rewards):
        tiers = tuple(map(tuple, ranked.ranking))
        if tiers and ranked.rewards == rule(tiers, n):
            others = [tuple(i for i in tier if i < n - 1) for tier in tiers]
            return rule(tuple(tier for tier in others if tier), n - 1)
    return ranked.rewards[:-1]


def _call(reward: Reward, group: TrajectoryGroup) -> RankedGroup:
    result = reward.function(group)
    if inspect.isawaitable(result):
        result = run_sync(_resolve(result))
    if isinstance(result, RankedGroup):
        if result.error is not None:
            raise result.error
        turns = result.turn_rewards
        values, ranked = result.rewards, result
    else:
        values, turns = split(result, group)
        ranked = RankedGroup(group, [], [], [])
    return replace(
        ranked,
        rewards=checked(values, group),  # type: ignore[arg-type]
        turn_rewards=None if turns is None else checked_turns(turns, group),
    )


async def _resolve(awaitable: Awaitable[RewardValues]) -> RewardValues:
    return await awaitable
