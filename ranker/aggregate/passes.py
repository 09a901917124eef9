"""One pass over a lineup: one call, or overlapping windows where one call cannot take it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, replace
from typing import Any

from ranker.aggregate.ranking import merge
from ranker.errors import ContextLengthError, RankerError
from ranker.judges.base import Judge, Lineup, SizedJudge
from ranker.judges.verdict import Verdict
from ranker.prompting.orders import windows
from ranker.runtime.budget import Budget
from ranker.usage import Usage

Order = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Hearing:
    """A lineup before a judge.

    Attributes:
        sized: the judge again if it cannot take every group in one call, else None.
        budget: limits on calls and dollars, shared with other groups.
        slots: judge calls in flight, shared with other groups.
    """

    judge: Judge
    sized: SizedJudge | None
    lineup: Lineup
    budget: Budget
    slots: asyncio.Semaphore

    async def passes(self, orders: Iterable[Order], seed: int) -> list[Verdict]:
        """One verdict on the whole lineup for each order, positions being those of the lineup."""
        return await gather(self._one(order, seed * 1_000 + k) for k, order in enumerate(orders))

    async def _one(self, order: Order, seed: int) -> Verdict:
        size = len(order)
        if self.sized is None:
            return await self._seen(order, seed)
        before = Usage()
        if size <= self.sized.max_group:
            try:
                return await self._seen(order, seed)
            except ContextLengthError as error:
                if size == 2:
                    raise
                before = error.usage
                size -= 1
        try:
            size = min(size, await self.sized.capacity(self.lineup))
        except ContextLengthError as error:
            raise error.spent(before) from None
        return await self._windowed(order, size, seed, before)

    async def _seen(self, order: Order, seed: int) -> Verdict:
        """Show the trajectories in `order`, and translate the verdict's positions back."""
        n = len(self.lineup.trajectories)
        shown = replace(
            self.lineup, trajectories=tuple(self.lineup.trajectories[i] for i in order), seed=seed
        )
        async with self.slots:
            verdict = await self.judge.verdict(shown, self.budget)
        whole = len(order) == n
        return replace(
            verdict,
            tiers=tuple(tuple(order[p] for p in tier) for tier in verdict.tiers),
            reasons=_back(verdict.reasons, order, n, ""),
            scores=_back(verdict.scores, order, n, 0.0) if verdict.scores and whole else None,
            cut=_back(verdict.cut, order, n, 0) if verdict.cut else (),
        )

    async def _windowed(self, order: Order, size: int, seed: int, spent: Usage) -> Verdict:
        """Rank overlapping windows and merge them.

        Two rounds of about 2n/size calls: windows of the shuffled order, merged into a first ranking;
        then windows of that ranking, in which near equals meet, merged with the verdicts of both.
        """
        n = len(order)
        verdicts: list[Verdict] = []
        shown = order
        for turn in range(2):
            # Within a window the order is drawn anew: the second round's must not show the ranking.
            frames = [
                tuple(random.Random(f"{seed}:{turn}:{k}").sample(frame, len(frame)))  # noqa: S311 - not secret
                for k, frame in enumerate(windows(shown, size))
            ]
            try:
                verdicts += await gather(self._seen(frame, seed) for frame in frames)
            except RankerError as error:
                raise error.spent(sum((v.usage for v in verdicts), spent + error.usage)) from error.__cause__
            merged = merge([v.tiers for v in verdicts], n)
            shown = tuple(i for tier in merged for i in tier)
        reasons = [next((v.reasons[i] for v in verdicts if v.reasons[i]), "") for i in range(n)]
        cut = tuple(max((v.cut[i] for v in verdicts if v.cut), default=0) for i in range(n))
        told = f"The group was too large for one call; {len(verdicts)} overlapping windows of {size} were merged."
        return Verdict(
            merged,
            tuple(reasons),
            usage=sum((v.usage for v in verdicts), spent),
            prompt_id=verdicts[0].prompt_id,
            cut=cut,
            warnings=(*dict.fromkeys(w for v in verdicts for w in v.warnings), told),
        )


async def gather(coroutines: Iterable[Coroutine[Any, Any, Verdict]]) -> list[Verdict]:
    """Await all; on an error cancel the rest and raise it with what all of them spent."""
    tasks = [asyncio.ensure_future(c) for c in coroutines]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException as error:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        if isinstance(error, RankerError):
            spent = [e.usage for e in ended if isinstance(e, (RankerError, Verdict))]
            raise error.spent(sum(spent, Usage())) from error.__cause__
        raise


def _back(values: tuple[Any, ...], order: Order, n: int, empty: Any) -> tuple[Any, ...]:
    made = [empty] * n
    for place, value in zip(order, values, strict=False):
        made[place] = value
    return tuple(made)
