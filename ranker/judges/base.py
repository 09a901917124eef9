"""The judge protocol: a judge takes a lineup of trajectories and returns a verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from ranker.errors import JudgeError, errors_as
from ranker.judges.credit import Credit
from ranker.judges.turn_marks import Marks
from ranker.judges.verdict import Verdict, check_tiers
from ranker.plain import unarrayed
from ranker.runtime.budget import Budget
from ranker.trajectory import Trajectory, assistant_turns
from ranker.usage import Usage


@dataclass(frozen=True, slots=True)
class Lineup:
    """The input of one judge call: trajectories in the order shown, without ids, ground truth and
    metadata.

    Attributes:
        trajectories: at least two, all different.
        task: the task, if the messages do not state it.
        rubric: what to prefer; None for the default of the template.
        seed: seed of the opaque ids; the same lineup and seed give the same prompt.
        reference: a correct answer, for judges that compare attempts with it; others ignore it.
    """

    trajectories: tuple[Trajectory, ...]
    task: str | None = None
    rubric: str | None = None
    seed: int = 0
    reference: str | None = None


@runtime_checkable
class Judge(Protocol):
    """Ranks a lineup. Any class with these two members is a judge.

    One whose verdicts say which turns helped and which hurt has an attribute ``credit`` that is ``"turns"``.
    """

    @property
    def name(self) -> str: ...

    async def verdict(self, lineup: Lineup, budget: Budget) -> Verdict:
        """Rank `lineup`; tiers hold positions in ``lineup.trajectories``.

        Wrap every paid request in ``async with budget.reserve(cost)``.

        Raises:
            JudgeError: no usable verdict; ``error.usage`` holds the cost.
        """
        ...


@runtime_checkable
class SizedJudge(Judge, Protocol):
    """A judge with a limited group size per call."""

    @property
    def max_group(self) -> int:
        """Maximum number of trajectories per call."""
        ...

    async def capacity(self, lineup: Lineup) -> int:
        """How many of these trajectories, in any selection, fit into one call; at least 2.

        Raises:
            ContextLengthError: not even two fit.
        """
        ...


class FunctionJudge:
    """A judge backed by a function, sync or async.

    `function` takes the trajectories in shuffled order and returns either tiers of positions, best first
    (``[[2], [0, 1]]``), or one number per trajectory, higher is better, as lists or arrays. Or a pair of one of these and the worth of turns:
    for each trajectory a list with a number from -1 (hurt) to 1 (helped), or None, for each of its assistant messages
    (`ranker.trajectory.assistant_turns`), or None for the whole list.

    A sync function runs in a thread beside the event loop, one call after the other, and may call `rank_group` itself.
    """

    credit: Credit | None = "turns"

    def __init__(self, function: Callable[[Sequence[Trajectory]], Any], name: str | None = None):
        self._function = function
        self.name: str = name or str(getattr(function, "__name__", type(function).__name__))

    async def verdict(self, lineup: Lineup, budget: Budget) -> Verdict:
        from ranker.runtime.threads import called

        n = len(lineup.trajectories)
        async with budget.reserve(0.0):
            with errors_as(JudgeError, f"The judge {self.name} failed"):
                answer = await called(self._function, lineup.trajectories)
        usage = Usage(calls=1)
        try:
            with errors_as(
                JudgeError, f"The judge {self.name} must return tiers of positions or {n} numbers"
            ):
                tiers, turns = _read(answer, lineup.trajectories)
        except JudgeError as error:
            raise error.spent(usage) from error.__cause__
        return Verdict(tiers, ("",) * n, usage=usage, turns=turns)


def _read(
    answer: Any, trajectories: Sequence[Trajectory]
) -> tuple[tuple[tuple[int, ...], ...], tuple[Marks, ...] | None]:
    """The tiers that a function returned, or those of its scores, and the turns.

    Raises:
        TypeError, ValueError, VerdictError: it returned something else.
    """
    import math

    from ranker.judges.verdict import in_order, tiers_of

    n = len(trajectories)
    answer, turns = _divided(answer, trajectories)
    items = tuple(map(unarrayed, in_order(answer)))  # a row of an array is a tier, as a list is
    if not items or isinstance(items[0], (list, tuple)):
        return check_tiers(items, n), turns
    values = [float(value) for value in items]
    if len(values) != n or not all(map(math.isfinite, values)):
        raise ValueError(f"not {n} finite numbers: {answer!r}")
    return tiers_of(values), turns


def _divided(answer: Any, trajectories: Sequence[Trajectory]) -> tuple[Any, tuple[Marks, ...] | None]:
    """The ranking or scores that a function returned, and the turns, None where it returned none.

    Raises:
        ValueError: turns that are not one number from -1 to 1, or None, for each assistant message.
    """
    if not (isinstance(answer, tuple) and len(answer) == 2 and _is_turns(answer[1], len(trajectories))):
        return answer, None
    marks = []
    for trajectory, values in zip(trajectories, answer[1], strict=True):
        count = len(assistant_turns(trajectory))
        if values is not None and len(values) != count:
            raise ValueError(f"{len(values)} values for the {count} turns of an attempt")
        named = {k: float(value) for k, value in enumerate(values or ()) if value is not None}
        if not all(-1 <= value <= 1 for value in named.values()):
            raise ValueError(f"the values of turns must be from -1 to 1, not {values!r}")
        marks.append(named)
    return answer[0], tuple(marks)


def _is_turns(value: Any, n: int) -> bool:
    """Whether this is a list of lists for n trajectories: no tier, which holds numbers, and no number."""
    listed = isinstance(value, (list, tuple)) and len(value) == n
    return listed and all(item is None or isinstance(item, (list, tuple)) for item in value)
