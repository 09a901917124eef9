"""What a judge is: given a lineup of trajectories, it returns a verdict."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from ranker.errors import JudgeError
from ranker.judges.verdict import Verdict, check_tiers
from ranker.runtime.budget import Budget
from ranker.trajectory import Trajectory
from ranker.usage import Usage


@dataclass(frozen=True, slots=True)
class Lineup:
    """What one call shows a judge: trajectories in the order they are shown, without their ids,
    ground truth and metadata.

    Attributes:
        trajectories: at least two, all different.
        task: what was asked, where the messages do not say it.
        rubric: what to prefer; None for the template's own.
        seed: draws the opaque ids; the same lineup and seed give the same prompt.
        reference: a right answer, for judges that weigh attempts by it; others never show it.
    """

    trajectories: tuple[Trajectory, ...]
    task: str | None = None
    rubric: str | None = None
    seed: int = 0
    reference: str | None = None


@runtime_checkable
class Judge(Protocol):
    """What orders a lineup. Write your own by giving a class these two members."""

    @property
    def name(self) -> str: ...

    async def verdict(self, lineup: Lineup, budget: Budget) -> Verdict:
        """Rank `lineup`; tiers hold positions in ``lineup.trajectories``.

        Call ``await budget.reserve(cost)`` before every request that is paid for.

        Raises:
            JudgeError: no usable verdict; ``error.usage`` says what was spent.
        """
        ...


@runtime_checkable
class SizedJudge(Judge, Protocol):
    """A judge that cannot take every group in one call."""

    @property
    def max_group(self) -> int:
        """The most trajectories to show in one call."""
        ...

    async def capacity(self, lineup: Lineup) -> int:
        """How many of these trajectories, any of them, fit one call; at least 2.

        Raises:
            ContextLengthError: not even two fit.
        """
        ...


class FunctionJudge:
    """A judge that is a function of yours, sync or async.

    `function` gets the trajectories in a shuffled order and returns tiers of positions, best first
    (``[[2], [0, 1]]``), or one number for each trajectory, higher is better.
    """

    def __init__(self, function: Callable[[Sequence[Trajectory]], Any], name: str | None = None):
        self._function = function
        self.name: str = name or str(getattr(function, "__name__", type(function).__name__))

    async def verdict(self, lineup: Lineup, budget: Budget) -> Verdict:
        import math

        from ranker.judges.verdict import tiers_of

        n = len(lineup.trajectories)
        async with budget.reserve(0.0):
            try:
                answer = self._function(lineup.trajectories)
                if inspect.isawaitable(answer):
                    answer = await answer
            except Exception as error:
                raise JudgeError(f"The judge {self.name} raised {type(error).__name__}: {error}") from error
        spent = Usage(calls=1)
        try:
            items = list(answer)
            if items and not isinstance(items[0], (list, tuple)):
                values = [float(value) for value in items]
                if len(values) != n or not all(map(math.isfinite, values)):
                    raise JudgeError(f"The judge {self.name} must return {n} finite numbers, not {answer!r}.")
                return Verdict(tiers_of(values), ("",) * n, usage=spent)
            return Verdict(check_tiers(items, n), ("",) * n, usage=spent)
        except (TypeError, ValueError) as error:
            raise JudgeError(
                f"The judge {self.name} must return tiers of positions or {n} numbers: {error}"
            ).spent(spent) from None
