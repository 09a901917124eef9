"""What a judge returned, checked: a Verdict on just the trajectories it was shown, or a VerdictError."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from operator import index
from typing import Any, TypeVar

from ranker.errors import VerdictError
from ranker.judges.turn_marks import Marks
from ranker.judges.verdict import Verdict, check_tiers, in_order
from ranker.trajectory import Trajectory, assistant_turns

T = TypeVar("T")


def check_verdict(verdict: Any, shown: Sequence[Trajectory], judge: str) -> Verdict:
    """The verdict, if it says of each trajectory in `shown` what a Verdict promises. Anyone may write a judge, and what is
    wrong with a verdict must not become a reward.

    Args:
        judge: its name, for the message.

    Raises:
        VerdictError: with the usage of the verdict.
    """
    if not isinstance(verdict, Verdict):
        raise VerdictError(
            f"The judge {judge} must return a Verdict, not a {type(verdict).__name__}.",
            raw_text=repr(verdict),
        )
    n = len(shown)
    try:
        return replace(
            verdict,
            tiers=check_tiers(verdict.tiers, n),
            reasons=_each("reasons", verdict.reasons, n, _reason) or ("",) * n,
            scores=_each("scores", verdict.scores, n, _score) or None,
            cut=_each("cut", verdict.cut, n, _cut),
            turns=_turns(verdict.turns, shown),
        )
    except (TypeError, ValueError, OverflowError, VerdictError) as error:
        raise VerdictError(
            f"The judge {judge} returned a verdict that cannot be used: {error}", raw_text=repr(verdict)
        ).spent(verdict.usage) from None


def _each(what: str, values: Any, n: int, one: Callable[[Any], T]) -> tuple[T, ...]:
    """What `one` makes of each of `values`: one for each of n trajectories, or none at all."""
    listed = () if values is None else in_order(values)
    if listed and len(listed) != n:
        raise ValueError(f"{what} must have one entry for each of {n} trajectories, not {len(listed)}.")
    return tuple(map(one, listed))


def _reason(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a reason must be text, not {value!r}.")
    return value


def _score(value: Any) -> float:
    score = float(value)
    if not 0 <= score <= 1:
        raise ValueError(f"a score must be a number from 0 to 1, not {value!r}.")
    return score


def _cut(value: Any) -> int:
    characters = index(value)
    if characters < 0:
        raise ValueError(f"no trajectory can be cut by {value!r} characters.")
    return characters


def _turns(values: Any, shown: Sequence[Trajectory]) -> tuple[Marks | None, ...] | None:
    listed = _each("turns", values, len(shown), _named)
    return tuple(map(_within, listed, shown)) or None


def _named(value: Any) -> Marks | None:
    """The turns that are named of a trajectory; None for one that was not asked about."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise TypeError(f"the turns of a trajectory must be a mapping from turn to worth, not {value!r}.")
    named = {index(turn): float(worth) for turn, worth in value.items()}
    if not all(-1 <= worth <= 1 for worth in named.values()):
        raise ValueError(f"the worth of a turn must be a number from -1 to 1, not {value!r}.")
    return named


def _within(named: Marks | None, trajectory: Trajectory) -> Marks | None:
    count = len(assistant_turns(trajectory))
    if named is not None and not all(0 <= turn < count for turn in named):
        raise ValueError(f"turns {sorted(named)} are named of a trajectory that has {count}, counted from 0.")
    return named
