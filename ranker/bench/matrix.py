"""Every judge on every group of every suite; each observation is saved to a file as soon as it is made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ranker.bench.conditions import RunOptions, Trial, ask, prepare
from ranker.bench.judge_spec import JudgeSpec
from ranker.bench.observation import ATTACKED, CONDITIONS, Observation, digest
from ranker.errors import BudgetExceeded, ConfigurationError, JudgeCallError, RankerError
from ranker.jsonl.appender import Appender, read_records
from ranker.judges.base import Judge
from ranker.runtime.budget import Budget
from ranker.suites import Suite

RETRIED = {
    JudgeCallError.__name__,
    BudgetExceeded.__name__,
}  # not the judge's fault: tried again in the next run
LOST = 8  # consecutive failed calls after which a judge is given up


@dataclass(frozen=True, slots=True)
class Matrix:
    """What is to be measured.

    Attributes:
        conditions: all of `CONDITIONS`, or the plain one only.
        concurrency: trials in flight per judge.
        limits: by judge and suite, the number of the suite's groups; without, all of them.
    """

    judges: tuple[JudgeSpec, ...]
    suites: tuple[Suite, ...]
    options: RunOptions = field(default_factory=RunOptions)
    conditions: tuple[str, ...] = CONDITIONS
    concurrency: int = 16
    limits: Mapping[tuple[str, str], int] = field(default_factory=dict)

    def cells(self) -> Iterator[tuple[JudgeSpec, Suite]]:
        every = ((judge, suite) for judge in self.judges for suite in self.suites)
        return ((judge, suite) for judge, suite in every if self.limits.get((judge.name, suite.name)) != 0)

    def plan(self, judge: JudgeSpec, suite: Suite) -> list[Trial]:
        """The trials of one judge on one suite, the plain ones first."""
        options = self.options
        settings = digest(
            passes=options.passes, seed=options.seed, rubric=options.rubric, judge=judge.shape()
        )
        return [
            prepare(judge.name, suite.name, i, condition, settings, group)
            for condition in self.conditions
            for i, group in enumerate(suite.groups[: self.limits.get((judge.name, suite.name))])
        ]


class Log:
    """The observations file of a folder.

    Trials that failed because there was no reply are retried in a new run; unusable verdicts stay.

    Attributes:
        seen: observations by id.
        spent: dollars, including trials that are retried, and what lost replies may have cost.
        lost: ids of the trials that failed in earlier runs.
    """

    def __init__(self, path: Path):
        self._file = Appender(path)
        self.seen: dict[str, Observation] = {}
        self.spent = 0.0
        self.lost: set[str] = set()
        try:
            for record in read_records(path):
                seen = Observation.from_record(record)
                self.spent += (seen.usage.cost_usd or 0.0) + seen.usage.unconfirmed_usd
                if (seen.error or {}).get("type") in RETRIED:
                    self.lost.add(seen.id)
                else:
                    self.seen[seen.id] = seen
        except (KeyError, TypeError, ValueError) as error:
            self._file.close()
            raise ConfigurationError(
                f"{path} holds something other than observations of this version ({error}); move it away or name "
                "another folder."
            ) from None

    def add(self, seen: Observation) -> None:
        self._file.write(seen.to_record())
        if (seen.error or {}).get("type") != BudgetExceeded.__name__:  # incomplete, not an observation
            self.seen[seen.id] = seen

    def of(self, trial: Trial) -> Observation | None:
        """The observation of a trial, under the current names."""
        seen = self.seen.get(trial.id)
        if seen is None:
            return None
        return replace(seen, judge=trial.judge, suite=trial.suite, index=trial.index)

    def close(self) -> None:
        self._file.close()


Advance = Callable[[JudgeSpec, Observation | None], None]


async def run(matrix: Matrix, log: Log, budget: Budget, advance: Advance) -> dict[str, RankerError]:
    """Run the trials that the log lacks; returns, by judge, the error that ended its part early.

    Judges behind APIs run concurrently; those on this machine run one after the other, so that their timing is
    meaningful.
    """
    stopped: dict[str, RankerError] = {}

    async def one(judge: JudgeSpec) -> None:
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
    spec: JudgeSpec, suite: Suite, matrix: Matrix, log: Log, budget: Budget, advance: Advance
) -> None:
    todo = []
    for trial in matrix.plan(spec, suite):
        if log.of(trial) is None:
            todo.append(trial)
        else:
            advance(spec, None)
    if not todo:
        return
    # Trials that failed before come last: they must not end the run again before the others have run.
    todo.sort(key=lambda trial: trial.id in log.lost)
    async with spec.judge(suite, matrix.options.seed, ATTACKED in matrix.conditions) as judge:
        worker = _Worker(spec, judge, matrix, log, budget, advance)
        # One trial first: a wrong key, name or address shows before hundreds are sent.
        await worker.do(todo[0])
        await worker.all(todo[1:])


@dataclass
class _Worker:
    """One judge at work on one suite."""

    spec: JudgeSpec
    judge: Judge
    matrix: Matrix
    log: Log
    budget: Budget
    advance: Advance
    lost: int = 0

    async def all(self, trials: Sequence[Trial]) -> None:
        waiting = iter(trials)
        ended: list[RankerError] = []

        async def worker() -> None:
            for trial in waiting:
                if ended:
                    return
                try:
                    await self.do(trial)
                except RankerError as error:  # trials in flight are paid for: they finish and are saved
                    ended.append(error)

        at_once = 1 if self.spec.local else self.matrix.concurrency
        await asyncio.gather(*(worker() for _ in range(min(at_once, len(trials)))))
        if ended:
            raise ended[0]

    async def do(self, trial: Trial) -> None:
        """Run one trial; raises the error that ends the judge's part."""
        seen = await ask(trial, self.judge, self.matrix.options, self.budget)
        error = seen.error or {}
        if error.get("type") == BudgetExceeded.__name__:
            if seen.usage.calls:  # its cost so far counts in the next run
                self.log.add(seen)
            raise BudgetExceeded(error["message"])
        self.log.add(seen)
        self.advance(self.spec, seen)
        if error.get("type") != JudgeCallError.__name__:
            self.lost = 0
            return
        self.lost += 1
        if error.get("fatal"):
            raise ConfigurationError(f"{self.spec.name}: {error['message']}")
        if self.lost >= LOST:
            raise JudgeCallError(
                f"{self.spec.name}: the last {LOST} calls got no reply. The last error: {error['message']} "
                "Nothing more was sent to it. Run the same command again to continue."
            )
