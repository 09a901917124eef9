"""The work behind `ranker rank`: read, rank, append, sum up."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ranker.agreement import agreeing_pairs
from ranker.errors import BudgetExceeded, ConfigurationError, GroupError, JudgeCallError, RankerError
from ranker.files import Appender, Line, dump_line, ranked_record, read_lines
from ranker.judge import Judge
from ranker.progress import Progress
from ranker.rank import rank_groups_async
from ranker.ranked import RankedGroup
from ranker.usage import Usage

# A key or a name that is wrong is wrong for every group.
_FATAL_STATUS = {401, 403, 404}


@dataclass(frozen=True, slots=True)
class Job:
    groups: Path
    out: Path | None
    stop_at_failure: bool
    retry_failed: bool
    quiet: bool
    judge: Callable[[], Judge]
    options: Mapping[str, Any]


@dataclass
class Tally:
    """What the final table says."""

    lines: int = 0
    skipped: int = 0
    ranked: int = 0
    failed: int = 0
    tied: int = 0
    agreeing: float = 0.0
    pairs: int = 0
    usage: Usage = field(default_factory=Usage)
    failures: dict[str, int] = field(default_factory=dict)

    def fail(self, error: RankerError) -> None:
        self.failed += 1
        kind = type(error).__name__
        self.failures[kind] = self.failures.get(kind, 0) + 1

    def add(self, ranked: RankedGroup) -> None:
        self.usage += ranked.usage
        if ranked.error is not None:
            self.fail(ranked.error)
            return
        self.ranked += 1
        self.tied += len(ranked.ranking) == 1
        agreeing, pairs = agreeing_pairs(ranked)
        self.agreeing += agreeing
        self.pairs += pairs


class _Sink(Protocol):
    done: dict[str, bool]

    def write(self, record: Mapping[str, Any]) -> None: ...

    def close(self) -> None: ...


class _Stdout:
    def __init__(self) -> None:
        self.done: dict[str, bool] = {}

    def write(self, record: Mapping[str, Any]) -> None:
        sys.stdout.buffer.write(dump_line(record))
        sys.stdout.buffer.flush()

    def close(self) -> None:
        pass


async def run(job: Job) -> int:
    """Do the job; the exit code."""
    tally = Tally()
    tally.lines = _check(job)
    sink: _Sink = _Stdout() if job.out is None else Appender(job.out)
    started = time.monotonic()
    try:
        if isinstance(sink, Appender) and job.retry_failed:
            sink.drop_failed()
        before = len(sink.done)
        judge = job.judge()
        stopped = await _rank(job, judge, sink, tally)
        tally.skipped = min(before, tally.lines)
        earlier = sum(sink.done.values()) - tally.failed if job.out is not None else 0
    finally:
        sink.close()
    if not job.quiet:
        _table(tally, time.monotonic() - started, job, judge)
    if stopped is not None:
        return _explain(stopped)
    failed = tally.failed + max(0, earlier)
    if failed:
        again = " Run it again with --retry-failed to try them again." if job.out else ""
        print(f"ranker: {failed} of {tally.lines} groups failed.{again}", file=sys.stderr)
    return 1 if failed else 0


def _check(job: Job) -> int:
    """Read the whole file once before anything is paid for; how many groups it holds."""
    seen: dict[str, int] = {}
    bad: list[str] = []
    for line in read_lines(job.groups):
        error = line.error or _repeated(line, seen)
        if error is not None:
            bad.append(str(error))
    if bad and job.stop_at_failure:
        more = f" (and {len(bad) - 5} more lines)" if len(bad) > 5 else ""
        raise ConfigurationError(
            f"{job.groups} has bad lines: {' '.join(bad[:5])}{more} Nothing was sent to the judge. Mend them, "
            "or use --on-error skip to record them as failed and rank the rest."
        )
    if not seen and not bad:
        raise ConfigurationError(f"{job.groups} holds no groups.")
    return len(seen) + len(bad)


def _repeated(line: Line, seen: dict[str, int]) -> GroupError | None:
    first = seen.setdefault(line.id, line.number)
    if first == line.number:
        return None
    return GroupError(f"Line {line.number}: the id {line.id!r} stands on line {first} already.")


async def _rank(job: Job, judge: Judge, sink: _Sink, tally: Tally) -> RankerError | None:
    """Rank what is left; the error that ended it early, if one did."""
    waiting: dict[str, Line] = {}
    stopped: list[RankerError] = []

    async def pending() -> AsyncIterator[Any]:
        seen: dict[str, int] = {}
        for line in read_lines(job.groups):
            if stopped:
                return
            repeated = _repeated(line, seen)
            name = line.id if repeated is None else f"line:{line.number}"
            if name in sink.done:
                continue
            error = line.error or repeated
            if error is not None:
                record = {
                    "id": name,
                    "line": line.number,
                    "error": {"type": "GroupError", "message": str(error)},
                }
                sink.write(record)
                tally.fail(error)
                continue
            waiting[line.id] = line
            yield line.group

    left = max(0, tally.lines - len(sink.done))
    results = rank_groups_async(
        pending(), judge, on_error="skip", progress=False, ordered=False, **job.options
    )
    async with aclosing(results):
        with Progress(left, shown=not job.quiet) as bar:
            async for ranked in results:
                line = waiting.pop(str(ranked.group.id))
                error = ranked.error
                if error is not None and (_ends_run(error) or job.stop_at_failure):
                    # What is in flight is paid for: let it end and keep it, but start no more.
                    if not stopped:
                        stopped.append(_named(error, line))
                    tally.usage += ranked.usage
                    continue
                sink.write(ranked_record(line, ranked))
                tally.add(ranked)
                bar.advance(ranked)
    return stopped[0] if stopped else None


def _ends_run(error: RankerError) -> bool:
    wrong = isinstance(error, JudgeCallError) and error.status_code in _FATAL_STATUS
    return wrong or isinstance(error, BudgetExceeded)


def _named(error: RankerError, line: Line) -> RankerError:
    if not isinstance(error, BudgetExceeded):
        error.args = (f"Group {line.id!r} (line {line.number}): {error}",)
    return error


def _explain(error: RankerError) -> int:
    print(f"ranker: {error}", file=sys.stderr)
    if isinstance(error, JudgeCallError) and error.status_code in _FATAL_STATUS:
        return 2
    if not isinstance(error, BudgetExceeded):
        print("ranker: stopped at the first failed group; --on-error skip goes on.", file=sys.stderr)
    return 1


def _table(tally: Tally, seconds: float, job: Job, judge: Judge) -> None:
    from rich.console import Console
    from rich.table import Table

    usage = tally.usage
    rate = f"{tally.ranked / seconds:.1f} a second" if seconds > 0 else ""
    rows = [
        ("ranked", f"{tally.ranked} groups, {rate}"),
        ("cascade", _cascade(judge)),
        ("already there", str(tally.skipped) if tally.skipped else ""),
        ("failed", ", ".join(f"{n} {kind}" for kind, n in tally.failures.items())),
        ("all tied", f"{tally.tied} groups (no training signal)" if tally.tied else ""),
        (
            "judge calls",
            f"{usage.calls}, {usage.failed_calls} of them failed; {usage.cached_calls} from the cache",
        ),
        ("tokens", f"{usage.prompt_tokens:,} read, {usage.completion_tokens:,} written"),
        ("cost", "unknown (give --price)" if usage.cost_usd is None else f"${usage.cost_usd:.4f}"),
        (
            "agrees with truth",
            f"{tally.agreeing / tally.pairs:.3f} of {tally.pairs} pairs (0.5 is chance)"
            if tally.pairs
            else "",
        ),
        ("written to", str(job.out or "standard output")),
    ]
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in rows:
        if value:
            table.add_row(f"[dim]{name}[/dim]", value)
    Console(stderr=True).print(table)


def _cascade(judge: Judge) -> str:
    """What a cascade's two judges decided; empty for other judges."""
    from ranker.cascade import CascadeJudge

    if not isinstance(judge, CascadeJudge):
        return ""
    return f"{judge.decided} verdicts by the small judge, {judge.deferred} left to {judge.strong.name}"
