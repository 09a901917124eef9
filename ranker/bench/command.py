"""The work of `ranker bench`: forecast, run, results, pages."""

from __future__ import annotations

import datetime
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from ranker import __version__, pages
from ranker.bench import provenance, records, tables
from ranker.bench.forecast import Forecast, forecast
from ranker.bench.judge_spec import JudgeSpec
from ranker.bench.matrix import Log, Matrix, run
from ranker.bench.observation import Observation
from ranker.bench.report import write_report
from ranker.bench.results import disagreements, results
from ranker.errors import BudgetExceeded, RankerError
from ranker.jsonl.group_file import dump_line
from ranker.printing import tell
from ranker.runtime.budget import Budget
from ranker.runtime.outputs import check_absent, make_folder
from ranker.runtime.terminal import Bars, bars

OBSERVATIONS, RESULTS, DISAGREEMENTS, REPORT = (
    "observations.jsonl", "results.json", "disagreements.jsonl", "report.html"
)  # fmt: skip
WRITTEN = (OBSERVATIONS, RESULTS, DISAGREEMENTS, REPORT)


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """Attributes:
    max_cost_usd: for everything in the folder, including earlier runs.
    dry_run: forecast only.
    publish: a file of judges on record, to which the figures are added; with `dry_run` the forecast.
    budget_usd: in the place of `max_cost_usd`, for this run alone, whatever earlier ones have cost.
    """

    matrix: Matrix
    out: Path
    max_cost_usd: float | None = None
    dry_run: bool = False
    quiet: bool = False
    publish: Path | None = None
    budget_usd: float | None = None

    @property
    def limit_usd(self) -> float | None:
        """What either limit says."""
        return self.max_cost_usd if self.budget_usd is None else self.budget_usd

    def budget(self, spent_usd: float) -> Budget:
        """Of a run into a folder in which so much has been spent."""
        return Budget(max_cost_usd=self.limit_usd, cost_usd=spent_usd if self.budget_usd is None else 0.0)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Attributes:
    code: 0 done, 1 some trials failed or a limit was reached, 2 a setting is wrong.
    stopped: by judge, the error that ended its part early.
    """

    code: int
    stopped: Mapping[str, RankerError] = field(default_factory=dict)

    @property
    def out_of_budget(self) -> list[str]:
        """The judges that a limit on the cost stopped."""
        return [name for name, error in self.stopped.items() if isinstance(error, BudgetExceeded)]


async def bench(settings: BenchSettings, console: Console) -> Outcome:
    """Run the benchmark.

    Raises:
        ConfigurationError: the folder cannot be written, or holds something else.
    """
    matrix, out = settings.matrix, settings.out
    make_folder(out)
    check_folder(out)
    log = Log(out / OBSERVATIONS)
    try:
        ahead = forecast(matrix, log)
        if not settings.quiet:
            console.print(tables.forecast(ahead, settings.limit_usd))
        if settings.dry_run:
            if settings.publish is not None:
                _publish(settings, records.reckoned(ahead, matrix, header(matrix), _today()))
            return Outcome(0)
        budget = settings.budget(log.spent)
        with bars(not settings.quiet) as bar:
            stopped = await run(matrix, log, budget, _advance(bar, ahead, matrix.options.passes))
        for name, failure in stopped.items():  # before anything else can fail
            tell(str(failure) if name in str(failure) else f"{name}: {failure}")
        figures = results(matrix, log, header(matrix))
        worst = disagreements(matrix, log)
    finally:
        log.close()
    pages.write(out / RESULTS, (json.dumps(figures, indent=1) + "\n").encode())
    pages.write(out / DISAGREEMENTS, b"".join(map(dump_line, worst)))
    if not settings.quiet:
        console.print(*tables.cells(figures), tables.NOTE, sep="\n", highlight=False)
    write_report(out)
    if settings.publish is not None:
        _publish(settings, records.measured(figures, _today()))
    if not settings.quiet:
        paths = f"Figures: {out / RESULTS}\nReport: {out / REPORT}"
        console.print(paths, highlight=False, markup=False, soft_wrap=True)
    limit = "--max-cost" if settings.budget_usd is None else "--budget"
    return Outcome(_code(stopped, figures, limit), stopped)


def _publish(settings: BenchSettings, some: Sequence[records.Record]) -> None:
    assert settings.publish is not None
    added = records.append(settings.publish, some)
    if not settings.quiet:
        known = f", {len(some) - added} were there already" if added < len(some) else ""
        print(f"{settings.publish}: {added} record{'' if added == 1 else 's'} added{known}")


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


def check_folder(out: Path) -> None:
    """Refuse a folder whose results may not be a benchmark's: it has no observations.

    Raises:
        ConfigurationError: it has results nevertheless.
    """
    observations = out / OBSERVATIONS
    if not observations.exists() or observations.stat().st_size == 0:
        check_absent(out, (RESULTS, DISAGREEMENTS, REPORT), f"a folder of `ranker bench` (no {OBSERVATIONS})")


def header(matrix: Matrix) -> dict[str, Any]:
    """The provenance of the figures."""
    options = matrix.options
    return {
        "ranker": __version__,
        "commit": provenance.commit(),
        "machine": provenance.machine(),
        "seed": options.seed,
        "passes": options.passes,
        "rubric": options.rubric,
        "askings": list(matrix.conditions),
        "judges": [{"judge": j.name, **j.shape()} for j in matrix.judges],
    }


def _code(stopped: Mapping[str, RankerError], figures: Mapping[str, Any], limit: str) -> int:
    if any(error.fatal for error in stopped.values()):
        return 2
    failed = sum(sum(cell["errors"].values()) for cell in figures["cells"])
    if failed:
        tell(f"{failed} rankings failed; they are reported as failed and enter no metric.")
    if any(isinstance(error, BudgetExceeded) for error in stopped.values()):
        tell(f"raise {limit} to continue; recorded answers are reused.")
    return 1 if failed or stopped else 0


def _advance(
    bar: Bars, ahead: Sequence[Forecast], passes: int
) -> Callable[[JudgeSpec, Observation | None], None]:
    """A progress bar for each judge; the function that advances it by a trial."""
    tasks = {
        one.judge: bar.add_task(
            escape(one.judge), start=False, total=one.answered + one.calls // passes, note=""
        )
        for one in ahead
    }
    cost: defaultdict[str, float] = defaultdict(float)
    failed: Counter[str] = Counter()

    def advance(judge: JudgeSpec, seen: Observation | None) -> None:
        name = judge.name
        if seen is not None:
            cost[name] += seen.usage.cost_usd or 0.0
            failed[name] += seen.error is not None
        note = f"${cost[name]:.4f}" if cost[name] else ""
        if failed[name]:
            note += f" [red]{failed[name]} failed[/red]"
        bar.update(tasks[name], advance=1, note=note)
        if seen is not None or bar.tasks[tasks[name]].completed == bar.tasks[tasks[name]].total:
            bar.begin(
                tasks[name]
            )  # answers on record take no time, and judges on this machine wait for each other

    return advance
