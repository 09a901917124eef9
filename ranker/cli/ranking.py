"""The work behind `ranker rank`: read, rank, append, sum up."""

from __future__ import annotations

import sys
import time
from array import array
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ranker.cli.tally import Tally, show
from ranker.errors import BudgetExceeded, ConfigurationError, GroupError, JudgeCallError, RankerError
from ranker.files import (
    FAILED,
    Appender,
    BeingWritten,
    Line,
    dump_line,
    print_of,
    ranked_record,
    read_lines,
)
from ranker.jsonl.id_index import Known
from ranker.jsonl.shards import Plan, Shard, mark_of, set_mark, state_of
from ranker.judges.base import Judge
from ranker.rank import rank_groups_async
from ranker.runtime.budget import Budget
from ranker.runtime.progress import Progress

# A key or a name that is wrong is wrong for every group.
_FATAL_STATUS = {401, 403, 404}


@dataclass(frozen=True, slots=True)
class Job:
    plan: Plan
    out: Path | None
    stop_at_failure: bool
    retry_failed: bool
    quiet: bool
    judge: Callable[[], Judge]
    budget: Callable[[], Budget]
    options: Mapping[str, Any]


class _Sink(Protocol):
    @property
    def done(self) -> Known: ...

    def write(self, record: Mapping[str, Any]) -> None: ...

    def close(self) -> None: ...


class _Stdout:
    def __init__(self) -> None:
        self.done = Known()

    def write(self, record: Mapping[str, Any]) -> None:
        sys.stdout.buffer.write(dump_line(record))
        sys.stdout.buffer.flush()

    def close(self) -> None:
        self.done.close()


@dataclass(frozen=True, slots=True)
class Checked:
    """What the first reading of an input found.

    Attributes:
        groups: how many groups there are to rank, bad lines included.
        repeats: line numbers of groups whose id an earlier line has, in order.
        firsts: for each of them the earlier line.
    """

    groups: int
    repeats: array[int] = field(default_factory=lambda: array("Q"))
    firsts: array[int] = field(default_factory=lambda: array("Q"))


async def run(job: Job) -> int:
    """Do the job; the exit code."""
    run = _Run(job)
    started = time.monotonic()
    stopped = await (run.shards() if job.plan.folder else run.file())
    tally = run.tally
    if not job.quiet:
        show(tally, time.monotonic() - started, run.judge, str(job.out or "standard output"))
    if stopped is not None:
        return _explain(stopped)
    failed = tally.failed + tally.failed_before
    if failed:
        again = " Run it again with --retry-failed to try them again." if job.out else ""
        print(f"ranker: {failed} of {tally.lines} groups failed.{again}", file=sys.stderr)
    return 1 if failed or tally.unreadable else 0


class _Run:
    def __init__(self, job: Job):
        self.job = job
        self.tally = Tally()
        self.budget = job.budget()
        self.judge: Judge | None = None

    async def file(self) -> RankerError | None:
        """Rank one file; the error that ended it early, if one did."""
        (shard,) = self.job.plan.shards
        checked = self._check(shard)
        if checked is None:
            raise ConfigurationError(f"{shard.groups} holds no groups.")
        sink: _Sink = _Stdout() if shard.out is None else Appender(shard.out)
        try:
            return await self._fill(shard, checked, sink)
        finally:
            sink.close()

    async def shards(self) -> RankerError | None:
        """Rank whatever shards nobody else is ranking, until none is left."""
        waiting: list[Shard] = list(self.job.plan.shards)
        while waiting:
            busy: list[Shard] = []
            taken = False
            for shard in waiting:
                if self._finished(shard):
                    continue
                try:
                    sink = _open(shard)
                except BeingWritten:
                    busy.append(shard)
                    continue
                try:
                    if self._finished(shard):  # by another process, between the look and the lock
                        continue
                    taken = True
                    stopped = await self._shard(shard, sink)
                finally:
                    sink.close()
                if stopped is not None:
                    return stopped
            waiting = busy
            if not taken:  # another look only after some work: a process that was killed leaves its shard
                break
        self.tally.elsewhere = len(waiting)
        return None

    def _finished(self, shard: Shard) -> bool:
        mark = mark_of(shard)
        if mark is None or (mark.failed and self.job.retry_failed):
            return False
        self.tally.lines += mark.groups
        self.tally.skipped += mark.groups
        self.tally.failed_before += mark.failed
        return True

    async def _shard(self, shard: Shard, sink: Appender) -> RankerError | None:
        try:
            read = state_of(shard)
            checked = self._check(shard) or Checked(0)
        except ConfigurationError as error:
            if self.job.stop_at_failure:
                raise
            print(f"ranker: {error}", file=sys.stderr)
            self.tally.unreadable += 1
            return None
        stopped = await self._fill(shard, checked, sink)
        if stopped is None:
            sink.sync()
            set_mark(shard, read, checked.groups, sink.done.count(FAILED))
        return stopped

    def _check(self, shard: Shard) -> Checked | None:
        """Read a whole input once before anything is paid for; None where it holds no groups."""
        checked = Checked(0)
        groups = bad = lines = 0
        told: list[str] = []
        seen = Known()
        try:
            for line in read_lines(shard.groups, self.job.plan.part, others=True):
                lines += 1
                mine = line.group is not None or line.error is not None
                groups += mine
                first = seen.first(line.id, line.number)
                if mine and first != line.number:
                    checked.repeats.append(line.number)
                    checked.firsts.append(first)
                error = line.error or (_repeated(line, first) if mine and first != line.number else None)
                if error is not None:
                    bad += 1
                    if len(told) < 5:
                        told.append(str(error))
        finally:
            seen.close()
        if bad and self.job.stop_at_failure:
            more = f" (and {bad - 5} more lines)" if bad > 5 else ""
            raise ConfigurationError(
                f"{shard.groups} has bad lines: {' '.join(told)}{more} Nothing was sent to the judge. Mend them, "
                "or use --on-error skip to record them as failed and rank the rest."
            )
        return Checked(groups, checked.repeats, checked.firsts) if lines else None

    async def _fill(self, shard: Shard, checked: Checked, sink: _Sink) -> RankerError | None:
        """Rank what the output lacks; the error that ended it early, if one did."""
        tally = self.tally
        if isinstance(sink, Appender) and self.job.retry_failed:
            sink.drop_failed()
        before, failed = len(sink.done), tally.failed
        if self.judge is None:
            self.judge = self.job.judge()
        stopped = await self._rank(shard, checked, sink, max(0, checked.groups - before))
        tally.lines += checked.groups
        tally.skipped += min(before, checked.groups)
        if shard.out is not None:
            tally.failed_before += max(0, sink.done.count(FAILED) - (tally.failed - failed))
        return stopped

    async def _rank(self, shard: Shard, checked: Checked, sink: _Sink, left: int) -> RankerError | None:
        job, tally = self.job, self.tally
        waiting: dict[str, Line] = {}
        stopped: list[RankerError] = []

        async def pending() -> AsyncIterator[Any]:
            at = 0
            for line in read_lines(shard.groups, job.plan.part):
                if stopped:
                    return
                name, error = line.id, line.error
                if at < len(checked.repeats) and checked.repeats[at] == line.number:
                    name = f"line:{line.number}"
                    error = error or _repeated(line, checked.firsts[at])
                    at += 1
                kept = sink.done.get(name)
                if kept is not None:
                    if kept not in (0, FAILED) and error is None and kept != print_of(line.fields):
                        stopped.append(_changed(line, shard))
                        return
                    continue
                if error is not None:
                    told = {"type": "GroupError", "message": str(error)}
                    sink.write({"id": name, "line": line.number, "error": told})
                    tally.fail(error)
                    continue
                if name in waiting:
                    raise ConfigurationError(
                        f"{shard.groups} changed while it was being read: the id {name!r} stands on line {line.number} "
                        "too. Run the same command again."
                    )
                waiting[name] = line
                yield line.group

        results = rank_groups_async(
            pending(),
            self.judge,
            on_error="skip",
            progress=False,
            ordered=False,
            budget=self.budget,
            **job.options,
        )
        async with aclosing(results):
            with Progress(left, shown=not job.quiet) as bar:
                async for ranked in results:
                    line = waiting.pop(str(ranked.group.id))
                    error = ranked.error
                    if error is not None and (_ends_run(error) or job.stop_at_failure):
                        # What is in flight is paid for: let it end and keep it, but start no more.
                        if not stopped:
                            stopped.append(_named(error, line, shard if job.plan.folder else None))
                        tally.usage += ranked.usage
                        continue
                    sink.write(ranked_record(line, ranked))
                    tally.add(ranked)
                    bar.advance(ranked)
        return stopped[0] if stopped else None


def _open(shard: Shard) -> Appender:
    assert shard.out is not None
    try:
        shard.out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{shard.out.parent} cannot be made: {error.strerror}.") from None
    return Appender(shard.out)


def _changed(line: Line, shard: Shard) -> ConfigurationError:
    hint = (
        ""
        if line.fields.get("id")
        else " Groups without an id of their own are known by their line's number."
    )
    return ConfigurationError(
        f"{shard.groups}, line {line.number}: {shard.out} holds a ranking of a group {line.id!r} with other attempts, "
        f"or another task or rubric.{hint} Give the changed group another id, or name another --out."
    )


def _repeated(line: Line, first: int) -> GroupError:
    return GroupError(f"Line {line.number}: the id {line.id!r} stands on line {first} already.")


def _ends_run(error: RankerError) -> bool:
    wrong = isinstance(error, JudgeCallError) and error.status_code in _FATAL_STATUS
    return wrong or isinstance(error, BudgetExceeded)


def _named(error: RankerError, line: Line, shard: Shard | None) -> RankerError:
    if not isinstance(error, BudgetExceeded):
        where = f"line {line.number}" + (f" of {shard.groups}" if shard else "")
        error.args = (f"Group {line.id!r} ({where}): {error}",)
    return error


def _explain(error: RankerError) -> int:
    print(f"ranker: {error}", file=sys.stderr)
    if isinstance(error, JudgeCallError) and error.status_code in _FATAL_STATUS:
        return 2
    if isinstance(error, ConfigurationError):
        return 2
    if not isinstance(error, BudgetExceeded):
        print("ranker: stopped at the first failed group; --on-error skip goes on.", file=sys.stderr)
    return 1
