"""What the reward functions said of a group, and a group's rewards that are still to come."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from typing import Any, TypeVar

from grpo.reward_values import Turns
from ranker.usage import Usage

T = TypeVar("T")


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
        judges: by function the judge that ranked the group, where it has one.
        consistency: agreement between the judge's passes, mean over the functions that tell it; None where none does.
        lift: what the functions said of the group with an edited copy, as JSON; None where they were not asked. See
            `grpo.lifting`.
        turns: the mixed rewards of each attempt's turns, aligned with `ranker.trajectory.assistant_turns`, None for an attempt
            that has none. Empty where no function said anything of turns.
        turn_parts: what each function said of turns, by its name; functions that said nothing of them are not there.
        judged: where a judge's rewards are mixed with those of other functions, the judges' alone; else empty.
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
    judges: Mapping[str, str] = field(default_factory=dict)
    consistency: float | None = None
    lift: Mapping[str, Any] | None = None
    turns: list[Turns] = field(default_factory=list)
    turn_parts: Mapping[str, list[Turns]] = field(default_factory=dict)
    judged: list[float | None] = field(default_factory=list)

    @property
    def by_judge(self) -> Sequence[float | None] | None:
        """What the judge said, or all functions together where none of them is a judge, also where an auditor's values stand in
        its place; None where it failed."""
        said = None if self.error is not None else (self.audit or {}).get("judge", self.values)
        return said if said is None else self.judged or said

    @property
    def wins(self) -> list[float | None]:
        """Whether each attempt got more than the anchor (1), as much (0.5) or less (0); None where one of the two got
        nothing. Empty where there is no anchor."""
        if not self.anchored_values:
            return []
        *attempts, anchor = self.anchored_values
        return wins_over(anchor, attempts)


@dataclass(slots=True)
class PendingReward:
    """A group's rewards to come.

    Attributes:
        timeout: seconds from the start after which they are waited for no longer.
        size: rollouts of the group.
        keep: called once with the rewards, when they are there.
    """

    timeout: float
    size: int
    keep: Callable[[GroupReward], None] | None = None
    future: Future[GroupReward] = field(default_factory=Future)
    started: float = field(default_factory=time.monotonic)
    _known: GroupReward | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def known(self, reward: GroupReward) -> None:
        """Say what the rewards are while something else is still asked of the judge."""
        self._known = reward

    def finish(self, reward: GroupReward) -> None:
        """These are the rewards, unless they were taken already."""
        with self._lock:
            if not self.future.done():
                if self.keep is not None:
                    self.keep(reward)
                self.future.set_result(reward)

    def fail(self, error: BaseException) -> None:
        """There are none."""
        with self._lock:
            if not self.future.done():
                self.future.set_exception(error)

    def result(self) -> GroupReward:
        """Wait for them; a function that does not return in time is a failed group."""
        left = self.started + self.timeout - time.monotonic()
        try:
            return self.future.result(min(max(0.0, left), threading.TIMEOUT_MAX))
        except FutureTimeoutError:
            if self._known is not None:
                self.finish(self._known)
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


def placed(count: int, alive: Sequence[int], values: Sequence[T | None]) -> list[T | None]:
    """One entry for each of `count` rollouts from the values of those that came to an end."""
    spread: list[T | None] = [None] * count
    for place, value in zip(alive, values, strict=True):
        spread[place] = value
    return spread


def failed(count: int, why: str, usage: Usage | None = None) -> GroupReward:
    return GroupReward([None] * count, usage=usage or Usage(), error=why)
