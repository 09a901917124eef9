"""Every judge on every group of every suite, each asking once and kept in a file as soon as it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ranker.bench.conditions import Asking, Way, ask, prepare
from ranker.bench.judge_spec import Contestant
from ranker.bench.observation import ASKINGS, ATTACKED, Observation, digest
from ranker.errors import BudgetExceeded, ConfigurationError, JudgeCallError, RankerError
from ranker.files import Appender, read_records
from ranker.judges.base import Judge
from ranker.runtime.budget import Budget
from ranker.suites import Suite

FATAL_STATUS = {401, 403, 404}  # a wrong key or name is wrong for every group
NEXT_TIME = {JudgeCallError.__name__, BudgetExceeded.__name__}  # say nothing of a judge: asked again
LOST = 8  # calls of a judge that fail one after the other, after which it is not asked any more


@dataclass(frozen=True, slots=True)
class Matrix:
    """What is to be measured.

    Attributes:
        askings: kinds of asking, all of `ASKINGS` or the plain one only.
        concurrency: askings in flight, of each judge.
        limits: by judge and suite, how many of the suite's groups; without, all of them.
    """

    judges: tuple[Contestant, ...]
    suites: tuple[Suite, ...]
    way: Way = field(default_factory=Way)
    askings: tuple[str, ...] = ASKINGS
    concurrency: int = 16
    limits: Mapping[tuple[str, str], int] = field(default_factory=dict)

    def cells(self) -> Iterator[tuple[Contestant, Suite]]:
        every = ((judge, suite) for judge in self.judges for suite in self.suites)
        return ((judge, suite) for judge, suite in every if self.limits.get((judge.name, suite.name)) != 0)

    def plan(self, judge: Contestant, suite: Suite) -> list[Asking]:
        """Every asking of a cell, the plain ones first."""
        way = self.way
        settings = digest(passes=way.passes, seed=way.seed, rubric=way.rubric, judge=judge.shape())
        return [
            prepare(judge.name, suite.name, i, kind, settings, group)
            for kind in self.askings
            for i, group in enumerate(suite.groups[: self.limits.get((judge.name, suite.name))])
        ]


class Log:
    """The observations file of a folder: what is answered already, and where answers are kept.

    Askings that failed because no reply came are tried again in a new run; verdicts that were unusable stay.

    Attributes:
        spent: dollars, those of askings that are tried again included.
        lost: ids of the askings that failed in earlier runs.
    """

    def __init__(self, path: Path):
        self._file = Appender(path)
        self.seen: dict[str, Observation] = {}
        self.spent = 0.0
        self.lost: set[str] = set()
        try:
            for record in read_records(path):
                seen = Observation.from_record(record)
                self.spent += seen.usage.cost_usd or 0.0
                if (seen.error or {}).get("type") in NEXT_TIME:
                    self.lost.add(seen.id)
                else:
                    self.seen[seen.id] = seen
        except (KeyError, TypeError, ValueError) as error:
            self._file.close()
            raise ConfigurationError(
                f"{path} holds something else than observations of this version ({error}); move it away or name "
                "another folder."
            ) from None

    def add(self, seen: Observation) -> None:
        self._file.write(seen.to_record())
        if (seen.error or {}).get("type") != BudgetExceeded.__name__:  # cut short, it is no answer
            self.seen[seen.id] = seen

    def of(self, asking: Asking) -> Observation | None:
        """What is known of an asking, under the names that things have now."""
        seen = self.seen.get(asking.id)
        if seen is None:
            return None
        return replace(seen, judge=asking.judge, suite=asking.suite, index=asking.index)

    def close(self) -> None:
        self._file.close()


Advance = Callable[[Contestant, Observation | None], None]


async def run(matrix: Matrix, log: Log, budget: Budget, advance: Advance) -> dict[str, RankerError]:
    """Ask whatever the log has no answer to; by judge, the error that ended its part early.

    Judges behind APIs are asked side by side; what computes on this machine goes one after the other, so that
    seconds a group mean something.
    """
    stopped: dict[str, RankerError] = {}

    async def one(judge: Contestant) -> None:
        for suite in matrix.suites:
            try:
                await _cell(judge, suite, matrix, log, budget, advance)
            except RankerError as error:
                stopped[judge.name] = error
                return

    async def here() -> None:
        for judge in matrix.judges:
            if not judge.paid:
                await one(judge)

    await asyncio.gather(here(), *(one(judge) for judge in matrix.judges if judge.paid))
    return stopped


async def _cell(
    contestant: Contestant, suite: Suite, matrix: Matrix, log: Log, budget: Budget, advance: Advance
) -> None:
    todo = []
    for asking in matrix.plan(contestant, suite):
        if log.of(asking) is None:
            todo.append(asking)
        else:
            advance(contestant, None)
    if not todo:
        return
    # Those that failed before come last: they must not end it again before the others are asked.
    todo.sort(key=lambda asking: asking.id in log.lost)
    async with contestant.judge(suite, matrix.way.seed, ATTACKED in matrix.askings) as judge:
        shift = _Shift(contestant, judge, matrix, log, budget, advance)
        # One asking alone: what is wrong with a key, a name or an address shows before hundreds are sent.
        await shift.do(todo[0])
        await shift.all(todo[1:])


@dataclass
class _Shift:
    """One judge at work on one suite."""

    contestant: Contestant
    judge: Judge
    matrix: Matrix
    log: Log
    budget: Budget
    advance: Advance
    lost: int = 0

    async def all(self, askings: Sequence[Asking]) -> None:
        waiting = iter(askings)
        ended: list[RankerError] = []

        async def worker() -> None:
            for asking in waiting:
                if ended:
                    return
                try:
                    await self.do(asking)
                except RankerError as error:  # what others have in flight is paid for: they end and are kept
                    ended.append(error)

        at_once = 1 if self.contestant.local else self.matrix.concurrency
        await asyncio.gather(*(worker() for _ in range(min(at_once, len(askings)))))
        if ended:
            raise ended[0]

    async def do(self, asking: Asking) -> None:
        """Raises what ends the judge's part."""
        seen = await ask(asking, self.judge, self.matrix.way, self.budget)
        error = seen.error or {}
        if error.get("type") == BudgetExceeded.__name__:
            if seen.usage.calls:  # what it had cost by then counts in the next run
                self.log.add(seen)
            raise BudgetExceeded(error["message"])
        self.log.add(seen)
        self.advance(self.contestant, seen)
        if error.get("type") != JudgeCallError.__name__:
            self.lost = 0
            return
        self.lost += 1
        if error.get("status") in FATAL_STATUS:
            raise ConfigurationError(f"{self.contestant.name}: {error['message']}")
        if self.lost >= LOST:
            raise JudgeCallError(
                f"{self.contestant.name}: the last {LOST} askings got no reply. The last error: {error['message']} "
                "Nothing more was sent to it. The same command goes on where this one stopped."
            )
