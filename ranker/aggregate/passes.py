"""A pass over a lineup: a single call, or overlapping windows if the lineup is too large for one call."""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from ranker.aggregate.ranking import merge
from ranker.aggregate.turns import mean_marks
from ranker.errors import ContextLengthError, JudgeError, RankerError, errors_as
from ranker.judges.base import Judge, Lineup, SizedJudge
from ranker.judges.verdict import Verdict
from ranker.judges.verdict_check import check_verdict
from ranker.prompting.orders import windows
from ranker.runtime.budget import Budget
from ranker.runtime.threads import contained
from ranker.usage import Usage

Order = tuple[int, ...]


class Slots(asyncio.Semaphore):
    """Limits the judge calls in flight; after a fatal error no further one begins.

    Attributes:
        fatal: that error.
    """

    fatal: RankerError | None = None

    async def acquire(self) -> Literal[True]:
        await super().acquire()
        if self.fatal is not None:
            self.release()
            raise copy.copy(self.fatal).spent(Usage())
        return True


@dataclass(slots=True)
class Together:
    """Calls whose verdicts are of use only all together: once one has failed, no further one begins.

    Attributes:
        within: those that they are a part of.
        failed: the error of the first that has.
    """

    within: Together | None = None
    failed: RankerError | None = None

    def fail(self, error: RankerError) -> None:
        """One has failed. What these are a part of fails with them, unless it can take smaller windows. Errors after the first
        change nothing: they may be of calls that did not begin because of it."""
        if self.failed is not None:
            return
        self.failed = error
        if self.within is not None and not isinstance(error, ContextLengthError):
            self.within.fail(error)

    def check(self) -> None:
        """See that another one is of use.

        Raises:
            JudgeError: one has failed, here or in what these are a part of; its own error is what is told.
        """
        if self.failed is not None:
            raise JudgeError("The judge was not asked again, since another call about the group had failed.")
        if self.within is not None:
            self.within.check()


@dataclass(frozen=True, slots=True)
class PassRunner:
    """Runs passes of a judge over one lineup.

    Attributes:
        sized: the same judge if its group size is limited, else None.
        budget: limits on calls and cost, shared with other groups.
        slots: limits the judge calls in flight, shared with other groups.
        split: whether a lineup that is too large for one call is ranked in windows; else it is a ContextLengthError.
    """

    judge: Judge
    sized: SizedJudge | None
    lineup: Lineup
    budget: Budget
    slots: Slots
    split: bool = True

    async def run(self, orders: Iterable[Order], seed: int) -> list[Verdict]:
        """One verdict on the whole lineup per order; verdicts hold positions in the lineup."""
        passes = Together()
        asks = (partial(self._pass, order, seed * 1_000 + k, passes) for k, order in enumerate(orders))
        return await gather(passes, asks)

    async def _pass(self, order: Order, seed: int, passes: Together) -> Verdict:
        size = len(order)
        if self.sized is None:
            return await self._call(order, seed, passes)
        before = Usage()
        if size <= self.sized.max_group:
            try:
                return await self._call(order, seed, passes)
            except ContextLengthError as error:
                if size == 2 or not self.split:
                    raise
                before = error.usage
                size -= 1
        if not self.split:
            raise ContextLengthError(
                f"{size} trajectories are more than the {self.sized.max_group} of one call of {self.judge.name}."
            )
        try:
            size = min(size, await self.sized.capacity(self.lineup))
        except ContextLengthError as error:
            raise error.spent(before) from None
        while True:
            try:
                return await self._windows(order, size, seed, passes, before)
            except ContextLengthError as error:
                # A window shares less text than the whole group: fewer of these attempts fit than of any of its size.
                if size == 2:
                    raise
                size, before = size - 1, error.usage

    async def _call(self, order: Order, seed: int, together: Together) -> Verdict:
        """One call that shows the trajectories in `order`; the verdict's positions are mapped back to the lineup."""
        n = len(self.lineup.trajectories)
        shown = replace(
            self.lineup, trajectories=tuple(self.lineup.trajectories[i] for i in order), seed=seed
        )
        async with self.slots:
            together.check()
            try:
                with errors_as(JudgeError, f"The judge {self.judge.name} failed"), contained():
                    returned = await self.judge.verdict(shown, self.budget)
                    verdict = check_verdict(returned, shown.trajectories, self.judge.name)
            except RankerError as error:
                if error.fatal:
                    self.slots.fatal = error
                raise
        whole = len(order) == n
        return replace(
            verdict,
            tiers=tuple(tuple(order[p] for p in tier) for tier in verdict.tiers),
            reasons=_to_lineup(verdict.reasons, order, n, ""),
            scores=_to_lineup(verdict.scores, order, n, 0.0) if verdict.scores and whole else None,
            cut=_to_lineup(verdict.cut, order, n, 0) if verdict.cut else (),
            turns=_to_lineup(verdict.turns, order, n, None) if verdict.turns else None,
        )

    async def _windows(self, order: Order, size: int, seed: int, passes: Together, spent: Usage) -> Verdict:
        """Rank overlapping windows and merge them.

        Two rounds of about 2n/size calls each: the first ranks windows of the shuffled order; the second
        ranks windows of the resulting ranking, so that close competitors meet. All verdicts are merged.
        """
        n = len(order)
        verdicts: list[Verdict] = []
        shown = order
        for turn in range(2):
            # Reshuffle within each window: the order shown in round two must not reveal the ranking.
            frames = [
                tuple(random.Random(f"{seed}:{turn}:{k}").sample(frame, len(frame)))  # noqa: S311 - not secret
                for k, frame in enumerate(windows(shown, size))
            ]
            calls = Together(within=passes)
            try:
                verdicts += await gather(calls, (partial(self._call, frame, seed, calls) for frame in frames))
            except RankerError as error:
                raise error.spent(sum((v.usage for v in verdicts), spent + error.usage)) from error.__cause__
            merged = merge([v.tiers for v in verdicts], n)
            shown = tuple(i for tier in merged for i in tier)
        reasons = [next((v.reasons[i] for v in verdicts if v.reasons[i]), "") for i in range(n)]
        cut = tuple(max((v.cut[i] for v in verdicts if v.cut), default=0) for i in range(n))
        marks = [[m for v in verdicts if v.turns and (m := v.turns[i]) is not None] for i in range(n)]
        note = f"The group was too large for one call; {len(verdicts)} overlapping windows of {size} were merged."
        return Verdict(
            merged,
            tuple(reasons),
            usage=sum((v.usage for v in verdicts), spent),
            prompt_id=verdicts[0].prompt_id,
            cut=cut,
            warnings=(*dict.fromkeys(w for v in verdicts for w in v.warnings), note),
            turns=tuple(mean_marks(seen) if seen else {} for seen in marks) if any(marks) else None,
        )


async def gather(
    together: Together, asks: Iterable[Callable[[], Coroutine[Any, Any, Verdict]]]
) -> list[Verdict]:
    """Await all; on an error re-raise it with the usage of all of them.

    Calls that are in flight then are let finish: they are paid for, and a later run finds their replies in the cache. No
    further one begins. They are cancelled where all would fail of the error, and where whoever waits for them is cancelled.
    """

    async def one(ask: Callable[[], Coroutine[Any, Any, Verdict]]) -> Verdict:
        try:
            return await ask()
        except RankerError as error:  # at once, before a slot is free for the next
            together.fail(error)
            raise

    tasks = [asyncio.ensure_future(one(ask)) for ask in asks]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException as error:
        first = together.failed if isinstance(error, RankerError) else None
        if first is None or first.fatal:
            for task in tasks:
                task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        if first is None:
            raise
        spent = [e.usage for e in ended if isinstance(e, (RankerError, Verdict))]
        raise first.spent(sum(spent, Usage())) from first.__cause__


def _to_lineup(values: tuple[Any, ...], order: Order, n: int, empty: Any) -> tuple[Any, ...]:
    result = [empty] * n
    for place, value in zip(order, values, strict=True):
        result[place] = value
    return tuple(result)
