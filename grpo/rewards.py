"""Reward functions: called in the background as soon as a group is complete, checked, and mixed."""

from __future__ import annotations

import contextlib
import inspect
import math
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from grpo.advantages import Aggregation, mix
from grpo.errors import RewardError
from grpo.types import RolloutGroup
from ranker import (
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

if TYPE_CHECKING:
    from grpo.auditing import Auditing

RewardValues = RankedGroup | Sequence[float | None] | np.ndarray
RewardFunction = Callable[[TrajectoryGroup], RewardValues | Awaitable[RewardValues]]


@dataclass(frozen=True, slots=True)
class Reward:
    """A reward function with its weight.

    Attributes:
        function: takes a TrajectoryGroup; returns a `RankedGroup`, or a list with a float or None for
            each trajectory; sync or async. None means: no reward for this trajectory.
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


@dataclass(frozen=True, slots=True)
class GroupReward:
    """What the reward functions said of a group; lists have one entry per rollout of the group.

    The anchor of a group has no part in `values` and `parts`. In the fields that are named after it, it is the last entry.

    Attributes:
        values: the mixed reward; None where there is none.
        parts: the values of each function, by its name.
        reasons: the judge's sentence on each, where there is one.
        usage: what judging cost.
        error: why there are no rewards; None where there are.
        comparisons: by function what its judge said of the attempts and their copies (`ranker.debias`), and the judge's
            name, as JSON. The anchor is the last attempt there.
        anchored_values: the mixed rewards of the attempts and the anchor, compared with one another; empty where there is
            no anchor.
        anchored_parts: the same from each function, by its name.
        anchor_reason: the judge's sentence on the anchor.
        audit: what the auditor said, as JSON; None where it was not asked. See `grpo.auditing`.
    """

    values: list[float | None]
    parts: Mapping[str, list[float | None]] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    error: str | None = None
    comparisons: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    anchored_values: list[float | None] = field(default_factory=list)
    anchored_parts: Mapping[str, list[float | None]] = field(default_factory=dict)
    anchor_reason: str = ""
    audit: Mapping[str, Any] | None = None

    @property
    def wins(self) -> list[float | None]:
        """Whether each attempt got more than the anchor (1), as much (0.5) or less (0); None where one of the two got
        nothing. Empty where there is no anchor."""
        if not self.anchored_values:
            return []
        *attempts, anchor = self.anchored_values
        return wins_over(anchor, attempts)


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
    ):
        names = [r.name for r in rewards]
        if not rewards or len(names) != len(set(names)):
            raise ConfigurationError(
                f"Give at least one reward function, each with a name of its own; got {names}."
            )
        if not any(r.weight for r in rewards):
            raise ConfigurationError("Every reward has weight 0; give at least one another weight.")
        self._rewards = tuple(rewards)
        self._aggregation = aggregation
        self._timeout = timeout
        self._auditing = auditing

    def start(self, group: RolloutGroup, then: Callable[[GroupReward], None]) -> PendingReward:
        """Begin; `then` is called with the result in the background when it is there."""
        pending = PendingReward(self._timeout, len(group.rollouts))
        auditing = self._auditing
        asked = auditing is not None and auditing.wants(group.index) and len(group.alive) > 1
        escalated = auditing is not None and auditing.escalated

        def work() -> None:
            try:
                if auditing is not None and asked:
                    with ThreadPoolExecutor(1) as beside:  # the auditor is asked while the judge is
                        answer = beside.submit(auditing.answer, group)
                        reward = auditing.added(group, self.reward(group), answer.result(), escalated)
                else:
                    reward = self.reward(group)
                then(reward)
                pending.future.set_result(reward)
            except BaseException as error:
                pending.future.set_exception(error)

        threading.Thread(target=work, name=f"reward-{group.index}", daemon=True).start()
        return pending

    def reward(self, group: RolloutGroup) -> GroupReward:
        """Call every function on the group's finished attempts.

        Raises:
            RankerError: one that is fatal (no such judge, a refused key, no credit): no group would succeed.
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
        comparisons: dict[str, Mapping[str, Any]] = {}
        reasons_G = [""] * count
        usage = Usage()
        for reward in self._rewards:
            try:
                ranked = _call(reward, group.for_judge())
            except Exception as error:
                if isinstance(error, RankerError) and error.fatal:
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
            usage += ranked.usage
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
        )

    def mixed(self, parts: Mapping[str, list[float | None]]) -> list[float | None]:
        """The rewards of a group from those of each function, by its name."""
        weights = [r.weight for r in self._rewards]
        return mix([parts[r.name] for r in self._rewards], weights, self._aggregation)


@dataclass(slots=True)
class PendingReward:
    """A group's rewards to come."""

    timeout: float
    size: int
    future: Future[GroupReward] = field(default_factory=Future)
    started: float = field(default_factory=time.monotonic)

    def result(self) -> GroupReward:
        """Wait for them; a function that does not return in time is a failed group."""
        left = self.started + self.timeout - time.monotonic()
        try:
            return self.future.result(min(max(0.0, left), threading.TIMEOUT_MAX))
        except FutureTimeoutError:
            if self.future.done():  # it came just now, or the function itself raised a TimeoutError
                return self.future.result()
            return failed(
                self.size,
                f"the reward function did not return within reward_timeout = {self.timeout:g} seconds",
            )


def wins_over(anchor: float | None, attempts: Sequence[float | None]) -> list[float | None]:
    """Whether each attempt has more than the anchor (1), as much (0.5) or less (0); None where one of the two has nothing."""
    return [
        None if value is None or anchor is None else (1.0 if value > anchor else 0.5 * (value == anchor))
        for value in attempts
    ]


def placed(count: int, alive: Sequence[int], values: Sequence[float | None]) -> list[float | None]:
    """One entry for each of `count` rollouts from the values of those that came to an end."""
    spread: list[float | None] = [None] * count
    for place, value in zip(alive, values, strict=True):
        spread[place] = value
    return spread


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


def failed(count: int, why: str, usage: Usage | None = None) -> GroupReward:
    return GroupReward([None] * count, usage=usage or Usage(), error=why)


def _call(reward: Reward, group: TrajectoryGroup) -> RankedGroup:
    result = reward.function(group)
    if inspect.isawaitable(result):
        result = run_sync(_resolve(result))
    if isinstance(result, RankedGroup):
        if result.error is not None:
            raise result.error
        return replace(result, rewards=_checked(result.rewards, group))  # type: ignore[arg-type]
    return RankedGroup(group, _checked(result, group), [], [])  # type: ignore[arg-type]


async def _resolve(awaitable: Awaitable[RewardValues]) -> RewardValues:
    return await awaitable


def _checked(values: Any, group: TrajectoryGroup) -> list[float | None]:
    if hasattr(values, "tolist"):
        values = values.tolist()
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Sequence):
        raise RewardError(
            f"returned a {type(values).__name__}; return a list with one float (or None) per trajectory."
        )
    if len(values) != len(group):
        raise RewardError(
            f"returned {len(values)} rewards for {len(group)} trajectories; return one for each."
        )
    return [
        number(
            value, f"returned {value!r} for trajectory {i}; return a finite number, or None for no reward."
        )
        for i, value in enumerate(values)
    ]


def number(value: Any, otherwise: str) -> float | None:
    """A finite number as a float, None as it is; for anything else a RewardError that says `otherwise`."""
    if value is None:
        return None
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        if not isinstance(value, (str, bytes)) and math.isfinite(result := float(value)):
            return result
    raise RewardError(otherwise)
