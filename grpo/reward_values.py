"""What a reward function may return, checked: rewards of trajectories, and of their turns."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grpo.advantages import Aggregation, mix
from grpo.errors import RewardError
from ranker.plain import unarrayed
from ranker.trajectory import TrajectoryGroup, assistant_turns

Turns = list[float | None] | None
"""The rewards of an attempt's turns; None where it broke off."""


@dataclass(frozen=True, slots=True)
class ProcessRewards:
    """What a reward function returns that knows of turns.

    Attributes:
        turns: for each trajectory a list with a float or None for each of its assistant turns (those of `messages` first, then
            those of each of `histories`), or None for a trajectory of which nothing is known.
        values: a float or None for each trajectory as a whole; None where only turns have rewards.
    """

    turns: Sequence[Sequence[float | None] | None]
    values: Sequence[float | None] | None = None


def split(result: Any, group: TrajectoryGroup) -> tuple[Any, Any]:
    """What a function returned as the values of trajectories and the rewards of turns, both unchecked; None for no rewards of
    turns."""
    if isinstance(result, ProcessRewards):
        values = [None] * len(group) if result.values is None else result.values
        return values, result.turns
    listed = unarrayed(result)
    if _is_list(listed) and any(_is_list(unarrayed(member)) for member in listed):
        return [None] * len(group), listed
    return result, None


def checked(values: Any, group: TrajectoryGroup) -> list[float | None]:
    """A reward for each trajectory.

    Raises:
        RewardError: they are too few or too many, or no numbers.
    """
    values = unarrayed(values)
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


def checked_turns(turns: Any, group: TrajectoryGroup) -> list[list[float | None]]:
    """Rewards of turns, one list for each trajectory.

    Raises:
        RewardError: they do not fit the turns of the group, or are no numbers.
    """
    listed = unarrayed(turns)
    if not _is_list(listed) or len(listed) != len(group):
        count = f"{len(listed)} lists" if _is_list(listed) else f"a {type(listed).__name__}"
        raise RewardError(
            f"returned {count} of rewards of turns for {len(group)} trajectories; return one list for each, or None."
        )
    return [_checked(unarrayed(own), group, i) for i, own in enumerate(listed)]


def _checked(own: Any, group: TrajectoryGroup, i: int) -> list[float | None]:
    count = len(assistant_turns(group.trajectories[i]))
    if own is None:
        return [None] * count
    if not _is_list(own):
        raise RewardError(
            f"returned {own!r} as the rewards of the turns of trajectory {i}; return a list with a float or None for each of its "
            f"{count} assistant turns, for every trajectory of the group."
        )
    if len(own) != count:
        raise RewardError(
            f"returned {len(own)} rewards of turns for trajectory {i}, which has {count} assistant turns; return one for each."
        )
    return [
        number(
            v,
            f"returned {v!r} for turn {k} of trajectory {i}; return a finite number, or None for no reward.",
        )
        for k, v in enumerate(own)
    ]


def neutral(turns: Sequence[Turns]) -> list[Turns]:
    """A judge's marks, where a turn of which it said nothing is neither good nor bad: 0, between helped and hurt."""
    return [None if own is None else [0.0 if v is None else v for v in own] for own in turns]


def mix_turns(
    parts: Sequence[Sequence[Turns]], weights: Sequence[float], aggregation: Aggregation
) -> list[Turns]:
    """One reward for each turn of a group from several reward functions, as `grpo.advantages.mix` does it for trajectories.

    Args:
        parts: of each function that gave any, one list for each trajectory.
    """
    lengths = [
        max((len(own) for p in parts if (own := p[i]) is not None), default=0) for i in range(len(parts[0]))
    ]
    flat = [[v for i, n in enumerate(lengths) for v in (p[i] or [None] * n)] for p in parts]
    mixed = iter(mix(flat, weights, aggregation))
    spoken = [any(p[i] is not None for p in parts) for i in range(len(lengths))]
    return [
        [next(mixed) for _ in range(n)] if said else None for n, said in zip(lengths, spoken, strict=True)
    ]


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, Mapping))
