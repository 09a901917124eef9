"""Every audit over every recorded run, on several processes."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

from benchmarks.watch.losses import Course, course
from benchmarks.watch.plan import AUDITORS, Setting
from benchmarks.watch.recording import Run
from benchmarks.watch.replay import Outcome, audits, noise_for, replay


@dataclass(frozen=True, slots=True)
class Seen:
    """A replay beside what the run did."""

    run: Run
    course: Course
    outcome: Outcome

    @property
    def in_time(self) -> bool:
        """Whether the alarm came before a quarter was lost."""
        return self.before(self.course.lost)

    def before(self, step: int | None) -> bool:
        """Whether there was an alarm before a step."""
        alarm = self.outcome.alarm
        return alarm is not None and (step is None or alarm.step < step)


def replays(
    runs: Sequence[Run],
    settings: Iterable[Setting],
    draws: int,
    workers: int = 1,
    tell: Callable[[], None] = lambda: None,
) -> dict[Setting, list[Seen]]:
    """Every setting over every run and draw.

    Args:
        workers: processes that share the work.
        tell: called after each sort of audit.
    """
    noises = {a: noise_for(runs, a) for a in AUDITORS}
    alike: dict[Setting, list[Setting]] = {}  # settings whose audits are the same
    for setting in settings:
        sort = (
            setting if setting.waiting == "suspicion" else replace(setting, min_agreement=0.0, max_drop=1.0)
        )
        alike.setdefault(sort, []).append(setting)
    jobs = [(sort, several, noises.get(sort.auditor, 0.0), draws) for sort, several in alike.items()]
    courses = [course(run) for run in runs]
    seen: dict[Setting, list[Seen]] = {}
    with contextlib.ExitStack() as stack:
        if workers > 1:
            pool = stack.enter_context(
                ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _hold, (list(runs),))
            )
            done = pool.map(_held_outcomes, jobs)
        else:
            done = (_outcomes(runs, *job) for job in jobs)
        for (_, several, _, _), outcomes in zip(jobs, done, strict=True):
            for setting, of_setting in zip(several, outcomes, strict=True):
                each = iter(of_setting)
                seen[setting] = [
                    Seen(run, its, next(each))
                    for run, its in zip(runs, courses, strict=True)
                    for _ in range(draws)
                ]
            tell()
    return seen


def _outcomes(
    runs: Sequence[Run], sort: Setting, several: Sequence[Setting], noise: float, draws: int
) -> list[list[Outcome]]:
    """For each setting, all of whose audits are those of `sort`, the outcome of each draw of each run."""
    found: list[list[Outcome]] = [[] for _ in several]
    for run in runs:
        for draw in range(draws):
            its = audits(run, sort, draw, noise)
            for setting, outcomes in zip(several, found, strict=True):
                outcomes.append(replay(its, setting))
    return found


_RUNS: list[Run] = []  # of a process of the pool


def _hold(runs: list[Run]) -> None:
    _RUNS[:] = runs


def _held_outcomes(job: tuple[Setting, list[Setting], float, int]) -> list[list[Outcome]]:
    return _outcomes(_RUNS, *job)
