"""The work of `ranker rank`: read, rank, append, summarize."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ranker.cli.standard_output import StandardOutput
from ranker.cli.summary import Summary, show
from ranker.errors import BudgetExceeded, ConfigurationError, JudgeCallError, RankerError
from ranker.jsonl.appender import FAILED, Appender, BeingWritten
from ranker.jsonl.group_file import Line, print_of, ranked_record, read_lines
from ranker.jsonl.id_index import IdIndex
from ranker.jsonl.input_check import InputCheck, check_input, repeated
from ranker.jsonl.shards import Plan, Shard, finished, mark_finished, state_of
from ranker.judges.base import Judge
from ranker.printing import tell
from ranker.rank import rank_groups_async
from ranker.ranked import RankedGroup
from ranker.runtime.budget import Budget
from ranker.runtime.outputs import make_folder
from ranker.runtime.progress import Progress


@dataclass(frozen=True, slots=True)
class RankSettings:
    """What `ranker rank` was asked to do; the judge and the budget are created once the inputs have been checked."""

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
    def done(self) -> IdIndex: ...

    def write(self, record: Mapping[str, Any]) -> object: ...

    def close(self) -> None: ...


async def run(settings: RankSettings) -> int:
    """Rank what the settings name; returns the exit code."""
    run = _Run(settings)
    started = time.monotonic()
    stopped = await (run.folder() if settings.plan.folder else run.file())
    summary = run.summary
    if not settings.quiet:
        show(summary, time.monotonic() - started, run.judge, str(settings.out or "standard output"))
    if stopped is not None:
        return _explain(stopped)
    failed = summary.failed + summary.failed_before
    if failed:
        again = " Run it again with --retry-failed to retry them." if settings.out else ""
        tell(f"{failed} of {summary.lines} groups failed.{again}")
    return 1 if failed or summary.unreadable else 0


class _Run:
    def __init__(self, settings: RankSettings):
        self.settings = settings
        self.summary = Summary()
        self.budget = settings.budget()
        self.judge: Judge | None = None

    async def file(self) -> RankerError | None:
        """Rank one file; returns the error that ended it early, if one did."""
        (shard,) = self.settings.plan.shards
        check = self._check_input(shard)
        if check is None:
            raise ConfigurationError(f"{shard.groups} holds no groups.")
        sink: _Sink = StandardOutput() if shard.out is None else Appender(shard.out)
        try:
            return await self._fill(shard, check, sink)
        finally:
            sink.close()

    async def folder(self) -> RankerError | None:
        """Rank the shards that no other process is ranking, until none is left."""
        waiting: list[Shard] = list(self.settings.plan.shards)
        while waiting:
            busy: list[Shard] = []
            worked = False
            for shard in waiting:
                if self._skip_finished(shard):
                    continue
                try:
                    sink = _open(shard)
                except BeingWritten:
                    busy.append(shard)
                    continue
                try:
                    if self._skip_finished(shard):  # finished by another process before it was locked
                        continue
                    worked = True
                    stopped = await self._shard(shard, sink)
                finally:
                    sink.close()
                if stopped is not None:
                    return stopped
            waiting = busy
            if not worked:  # look again only after some work: a process that was killed leaves its shard
                break
        self.summary.elsewhere = len(waiting)
        return None

    def _skip_finished(self, shard: Shard) -> bool:
        mark = finished(shard)
        if mark is None or (mark.failed and self.settings.retry_failed):
            return False
        self.summary.lines += mark.groups
        self.summary.skipped += mark.groups
        self.summary.failed_before += mark.failed
        return True

    async def _shard(self, shard: Shard, sink: Appender) -> RankerError | None:
        try:
            state = state_of(shard)
            check = self._check_input(shard) or InputCheck()
        except ConfigurationError as error:
            if self.settings.stop_at_failure:
                raise
            tell(str(error))
            self.summary.unreadable += 1
            return None
        stopped = await self._fill(shard, check, sink)
        if stopped is None:
            sink.sync()
            mark_finished(shard, state, check.groups, sink.done.count(FAILED))
        return stopped

    def _check_input(self, shard: Shard) -> InputCheck | None:
        return check_input(shard.groups, self.settings.plan.part, strict=self.settings.stop_at_failure)

    async def _fill(self, shard: Shard, check: InputCheck, sink: _Sink) -> RankerError | None:
        """Rank what the output lacks; returns the error that ended it early, if one did."""
        summary = self.summary
        if isinstance(sink, Appender) and self.settings.retry_failed:
            sink.drop_failed()
        before, failed = len(sink.done), summary.failed
        if self.judge is None:
            self.judge = self.settings.judge()
        stopped = await self._rank(shard, check, sink, max(0, check.groups - before))
        summary.lines += check.groups
        summary.skipped += min(before, check.groups)
        if shard.out is not None:
            summary.failed_before += max(0, sink.done.count(FAILED) - (summary.failed - failed))
        return stopped

    async def _rank(self, shard: Shard, check: InputCheck, sink: _Sink, left: int) -> RankerError | None:
        settings, summary = self.settings, self.summary
        waiting: dict[str, Line] = {}
        stopped: list[RankerError] = []

        async def pending() -> AsyncIterator[Any]:
            at = seen = 0
            for line in read_lines(shard.groups, settings.plan.part):
                if stopped:
                    return
                seen += 1
                name, error = line.id, line.error
                if at < len(check.repeats) and check.repeats[at] == line.number:
                    name = f"line:{line.number}"
                    error = error or repeated(line, check.firsts[at])
                    at += 1
                state = sink.done.get(name)
                if state is not None:
                    if state not in (0, FAILED) and error is None and state != print_of(line.fields):
                        stopped.append(_changed(line, shard))
                        return
                elif error is not None:
                    fault = {"type": "GroupError", "message": str(error)}
                    if not self._save(sink, {"id": name, "line": line.number, "error": fault}, stopped):
                        return
                    summary.fail(error)
                elif name in waiting:
                    stopped.append(_moved(line, shard))
                    return
                else:
                    waiting[name] = line
                    yield line.group
            if seen < check.groups:
                stopped.append(_shorter(shard, check.groups, seen))

        def take(ranked: RankedGroup) -> bool:
            """Write a ranked group; False if it is not written, because a failure ends the run."""
            line = waiting.pop(str(ranked.group.id))
            error = ranked.error
            if error is not None and (isinstance(error, BudgetExceeded) or settings.stop_at_failure):
                # Calls in flight are paid for: let them finish and save them, but start no more.
                if not stopped:
                    stopped.append(_named(error, line, shard if settings.plan.folder else None))
                summary.usage += ranked.usage
                return False
            if not self._save(sink, ranked_record(line.fields, ranked), stopped):
                summary.usage += ranked.usage
                return False
            summary.add(ranked)
            return True

        results = rank_groups_async(
            pending(), self.judge, on_error="skip", progress=False, ordered=False, budget=self.budget,
            **settings.options,
        )  # fmt: skip
        try:
            async with aclosing(results):
                with Progress(left, shown=not settings.quiet) as bar:
                    async for ranked in results:
                        if take(ranked):
                            bar.advance(ranked)
        except JudgeCallError as error:  # every group would fail of it
            summary.usage += error.usage
            stopped.insert(0, error)
        return stopped[0] if stopped else None

    def _save(self, sink: _Sink, record: Mapping[str, Any], stopped: list[RankerError]) -> bool:
        """Write a record; False if the output takes no more, which ends the run."""
        try:
            sink.write(record)
        except ConfigurationError as error:
            # Calls in flight are paid for: let them finish, since the cache may keep their replies, but send no more.
            self.budget.max_calls = 0
            if not (stopped and stopped[0].fatal):
                stopped.insert(0, error)
            return False
        return True


def _open(shard: Shard) -> Appender:
    assert shard.out is not None
    make_folder(shard.out.parent)
    return Appender(shard.out)


def _changed(line: Line, shard: Shard) -> ConfigurationError:
    hint = "" if line.fields.get("id") else " Groups without an id are identified by line number."
    return ConfigurationError(
        f"{shard.groups}, line {line.number}: {shard.out} holds a ranking of a group {line.id!r} with other attempts, "
        f"or another task or rubric.{hint} Give the changed group another id, or name another --out."
    )


def _moved(line: Line, shard: Shard) -> ConfigurationError:
    return ConfigurationError(
        f"{shard.groups} changed while it was being read: the id {line.id!r} is on line {line.number} too. Run the same "
        "command again."
    )


def _shorter(shard: Shard, before: int, now: int) -> ConfigurationError:
    return ConfigurationError(
        f"{shard.groups} held {before} groups when it was checked and {now} when they were ranked: it changed meanwhile. Run "
        "the same command again."
    )


def _named(error: RankerError, line: Line, shard: Shard | None) -> RankerError:
    if not isinstance(error, BudgetExceeded):
        where = f"line {line.number}" + (f" of {shard.groups}" if shard else "")
        error.args = (f"Group {line.id!r} ({where}): {error}",)
    return error


def _explain(error: RankerError) -> int:
    tell(str(error))
    if error.fatal:
        return 2
    if not isinstance(error, BudgetExceeded):
        tell("stopped at the first failed group; --on-error skip continues.")
    return 1
