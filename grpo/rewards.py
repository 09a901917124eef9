"""Reward functions: called in the background as soon as a group is complete, checked, and mixed."""

from __future__ import annotations

import contextlib
import inspect
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field, replace
from typing import Any

from grpo.advantages import mix
from grpo.errors import RewardError
from grpo.types import RolloutGroup
from ranker import ConfigurationError, JudgeCallError, RankedGroup, RankerError, TrajectoryGroup
from ranker.errors import scrub
from ranker.runtime.event_loop import run_sync
from ranker.usage import Usage

RewardFunction = Callable[[TrajectoryGroup], Any]


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


@dataclass(frozen=True, slots=True)
class GroupReward:
    """What the reward functions said of a group; lists have one entry per rollout of the group.

    Attributes:
        values: the mixed reward; None where there is none.
        parts: the values of each function, by its name.
        reasons: the judge's sentence on each, where there is one.
        usage: what judging cost.
        error: why there are no rewards; None where there are.
    """

    values: list[float | None]
    parts: Mapping[str, list[float | None]] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "values": self.values,
            "parts": dict(self.parts),
            "reasons": self.reasons,
            "usage": self.usage.to_dict(),
            "error": self.error,
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> GroupReward:
        return cls(**{**fields, "usage": Usage(**fields["usage"])})


def as_rewards(given: Any) -> list[Reward]:
    """What `reward_fn` may be: a function, a Reward, or a list of them.

    Raises:
        ConfigurationError: it is something else.
    """
    if isinstance(given, Reward):
        return [given]
    listed = isinstance(given, Sequence) and not isinstance(given, str)
    if listed and all(isinstance(r, Reward) for r in given):
        return list(given)
    if callable(given):
        return [Reward(given)]
    raise ConfigurationError(
        f"reward_fn is a {type(given).__name__}; give a function of a group, such as partial(rank_group, judge=…), "
        "or a list of Reward(function, name, weight)."
    )


class Rewarder:
    """Calls the reward functions of each group in threads of its own.

    Threads are daemons: a function that hangs holds up neither the other groups nor the end of the
    process.
    """

    def __init__(self, rewards: Sequence[Reward], aggregation: Any, timeout: float):
        names = [r.name for r in rewards]
        if not rewards or len(names) != len(set(names)):
            raise ConfigurationError(
                "Give at least one reward function, each with a name of its own" + f"; got {names}."
            )
        if not any(r.weight for r in rewards):
            raise ConfigurationError("Every reward has weight 0; give at least one another weight.")
        self._rewards = tuple(rewards)
        self._aggregation = aggregation
        self._timeout = timeout

    def start(self, group: RolloutGroup, then: Callable[[GroupReward], None]) -> Job:
        """Begin; `then` is called with the result in the background when it is there."""
        job = Job(self._timeout, len(group.rollouts))

        def work() -> None:
            try:
                made = self.reward(group)
                then(made)
                job.future.set_result(made)
            except BaseException as error:
                job.future.set_exception(error)

        threading.Thread(target=work, name=f"reward-{group.index}", daemon=True).start()
        return job

    def reward(self, group: RolloutGroup) -> GroupReward:
        """Call every function on the group's finished attempts.

        Raises:
            ConfigurationError: a setting is wrong (no such judge, a refused key): no group would succeed.
        """
        count, alive = len(group.rollouts), group.alive
        if len(alive) < 2:
            reasons = {r.error for r in group.rollouts if r.error}
            return failed(
                count, f"{len(alive)} of {count} rollouts came to an end: {'; '.join(sorted(reasons))}"
            )
        parts: dict[str, list[float | None]] = {}
        reasons_G = [""] * count
        usage = Usage()
        for reward in self._rewards:
            try:
                given = group.for_judge()
                ranked = _call(reward, given)
            except ConfigurationError:
                raise
            except JudgeCallError as error:
                if error.status_code in (401, 403, 404):
                    raise
                return failed(count, f"{reward.name}: {error}", usage + error.usage)
            except Exception as error:
                spent = error.usage if isinstance(error, RankerError) else Usage()
                return failed(count, scrub(f"{reward.name}: {type(error).__name__}: {error}"), usage + spent)
            spread: list[float | None] = [None] * count
            for place, value in zip(alive, ranked.rewards, strict=True):
                spread[place] = value
            parts[reward.name] = spread
            usage += ranked.usage
            for place, reason in zip(alive, ranked.reasons, strict=False):
                reasons_G[place] = reason or reasons_G[place]
        weights = [r.weight for r in self._rewards]
        values = mix([parts[r.name] for r in self._rewards], weights, self._aggregation)
        return GroupReward(values, parts, reasons_G, usage)


@dataclass(slots=True)
class Job:
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


def failed(count: int, why: str, usage: Usage | None = None) -> GroupReward:
    return GroupReward([None] * count, usage=usage or Usage(), error=why)


def _call(reward: Reward, group: TrajectoryGroup) -> RankedGroup:
    made = reward.function(group)
    if inspect.isawaitable(made):
        made = run_sync(_awaited(made))
    if isinstance(made, RankedGroup):
        if made.error is not None:
            raise made.error
        return replace(made, rewards=_checked(made.rewards, group))  # type: ignore[arg-type]
    return RankedGroup(group, _checked(made, group), [], [])  # type: ignore[arg-type]


async def _awaited(made: Any) -> Any:
    return await made


def _checked(made: Any, group: TrajectoryGroup) -> list[float | None]:
    if hasattr(made, "tolist"):
        made = made.tolist()
    if isinstance(made, (str, bytes, Mapping)) or not isinstance(made, Sequence):
        raise RewardError(
            f"returned a {type(made).__name__}; return a list with one float (or None) per trajectory."
        )
    if len(made) != len(group):
        raise RewardError(f"returned {len(made)} rewards for {len(group)} trajectories; return one for each.")
    return [
        number(
            value, f"returned {value!r} for trajectory {i}; return a finite number, or None for no reward."
        )
        for i, value in enumerate(made)
    ]


def number(value: Any, otherwise: str) -> float | None:
    """A finite number as a float, None as it is; for anything else a RewardError that says `otherwise`."""
    if value is None:
        return None
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        if not isinstance(value, (str, bytes)) and math.isfinite(made := float(value)):
            return made
    raise RewardError(otherwise)
