"""The work behind `ranker bench`: forecast, run, results, pages."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ranker import __version__
from ranker.bench import provenance, tables
from ranker.bench.forecast import Forecast, forecast
from ranker.bench.judge_spec import Contestant
from ranker.bench.matrix import Log, Matrix, run
from ranker.bench.observation import Observation
from ranker.bench.report import write_report
from ranker.bench.results import disagreements, results
from ranker.errors import BudgetExceeded, ConfigurationError, RankerError
from ranker.files import dump_line
from ranker.runtime.budget import Budget

OBSERVATIONS, RESULTS, DISAGREEMENTS, REPORT = (
    "observations.jsonl", "results.json", "disagreements.jsonl", "report.html"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Job:
    """Attributes:
    max_cost_usd: over everything kept in the folder, earlier runs included.
    dry_run: forecast only.
    """

    matrix: Matrix
    out: Path
    max_cost_usd: float | None = None
    dry_run: bool = False
    quiet: bool = False


async def bench(job: Job, console: Console) -> int:
    """Do the job; the exit code: 0 done, 1 some askings failed or a limit came first, 2 a setting was wrong.

    Raises:
        ConfigurationError: the folder cannot be written, or holds something else.
    """
    try:
        job.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{job.out} cannot be made: {error.strerror}.") from None
    log = Log(job.out / OBSERVATIONS)
    try:
        ahead = forecast(job.matrix, log)
        if not job.quiet:
            console.print(tables.forecast(ahead, job.max_cost_usd))
        if job.dry_run:
            return 0
        budget = Budget(max_cost_usd=job.max_cost_usd, cost_usd=log.spent)
        with _Bars(job.matrix, ahead, shown=not job.quiet) as bars:
            stopped = await run(job.matrix, log, budget, bars.advance)
        _tell(stopped)  # before anything else can fail
        made = results(job.matrix, log, header(job.matrix))
        told = disagreements(job.matrix, log)
    finally:
        log.close()
    write(job.out / RESULTS, (json.dumps(made, indent=1) + "\n").encode())
    write(job.out / DISAGREEMENTS, b"".join(map(dump_line, told)))
    if not job.quiet:
        console.print(*tables.cells(made), tables.NOTE, sep="\n", highlight=False)
    write_report(job.out)
    if not job.quiet:
        told_where = f"Figures: {job.out / RESULTS}\nReport: {job.out / REPORT}"
        console.print(told_where, highlight=False, markup=False, soft_wrap=True)
    return _code(stopped, made)


def header(matrix: Matrix) -> dict[str, Any]:
    """Where the figures come from."""
    way = matrix.way
    return {
        "ranker": __version__,
        "commit": provenance.commit(),
        "machine": provenance.machine(),
        "seed": way.seed,
        "passes": way.passes,
        "rubric": way.rubric,
        "askings": list(matrix.askings),
        "judges": [{"judge": j.name, **j.shape()} for j in matrix.judges],
    }


def write(path: Path, data: bytes) -> None:
    """Replace a file as a whole.

    Raises:
        ConfigurationError: it cannot be written; the old one is still there.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(data)
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise ConfigurationError(
            f"{path} cannot be written ({error.strerror}). The observations are kept: make room and run the same "
            "command again."
        ) from None


def _tell(stopped: Mapping[str, RankerError]) -> None:
    for name, error in stopped.items():
        print(f"ranker: {error}" if name in str(error) else f"ranker: {name}: {error}", file=sys.stderr)


def _code(stopped: Mapping[str, RankerError], made: Mapping[str, Any]) -> int:
    if any(isinstance(error, ConfigurationError) for error in stopped.values()):
        return 2
    failed = sum(sum(cell["errors"].values()) for cell in made["cells"])
    if failed:
        print(
            f"ranker: {failed} askings have no verdict; they are counted as failed, not guessed.",
            file=sys.stderr,
        )
    if any(isinstance(error, BudgetExceeded) for error in stopped.values()):
        print("ranker: raise --max-cost to go on; what is answered is kept.", file=sys.stderr)
    return 1 if failed or stopped else 0


class _Bars(AbstractContextManager["_Bars"]):
    """A progress bar for each judge, on a terminal's standard error."""

    def __init__(self, matrix: Matrix, ahead: Sequence[Forecast], shown: bool):
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._cost: dict[str, float] = {}
        self._failed: dict[str, int] = {}
        if shown and sys.stderr.isatty():
            self._progress = Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[told]}"),
                TimeRemainingColumn(), console=Console(stderr=True),
            )  # fmt: skip
            for one in ahead:
                total = one.answered + one.calls // matrix.way.passes
                self._tasks[one.judge] = self._progress.add_task(escape(one.judge), total=total, told="")

    def __enter__(self) -> _Bars:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def advance(self, judge: Contestant, seen: Observation | None) -> None:
        if self._progress is None:
            return
        name = judge.name
        if seen is not None:
            self._cost[name] = self._cost.get(name, 0.0) + (seen.usage.cost_usd or 0.0)
            self._failed[name] = self._failed.get(name, 0) + (seen.error is not None)
        told = f"${self._cost[name]:.4f}" if self._cost.get(name) else ""
        if self._failed.get(name):
            told += f" [red]{self._failed[name]} failed[/red]"
        self._progress.update(self._tasks[name], advance=1, told=told)
