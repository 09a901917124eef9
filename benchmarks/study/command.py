"""The study: from nothing, or from what an interrupted study left, to the table, the pictures and the page."""

from __future__ import annotations

import importlib.util
import json
import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from benchmarks.harness import exit_code, parser
from benchmarks.study import analysis, page, plan, plots
from benchmarks.study.plan import Unit
from benchmarks.study.worker import work
from ranker.bench import provenance
from ranker.errors import ConfigurationError
from ranker.extras import install
from ranker.jsonl.appender import Appender, read_records
from ranker.runtime.outputs import check_absent, replace_file

ABOUT = """Train the same small agent with the ground truth and with judges of every quality and kind of error.

Some 340 short runs, about an hour on two cores. Interrupted, the same command continues where it stopped.
Writes runs.jsonl, study.json, figures and study.html.
"""


def study(out: Path, seeds: int, workers: int, only: Sequence[str], steps: int, console: Console) -> bool:
    """Make every run that is missing, then draw; returns whether no run failed.

    Raises:
        ConfigurationError: an unknown arm, a missing package, a folder that cannot be written.
    """
    check_installed()
    units = plan.units(plan.chosen(only), seeds, steps)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{out} cannot be created: {error.strerror}.") from None
    runs = out / "runs.jsonl"
    if not runs.exists() or runs.stat().st_size == 0:
        names = ("study.json", "study.html", *(f"{name}.png" for name in plots.NAMES))
        check_absent(out, names, "a folder of the study (no runs.jsonl)")
    sink = Appender(runs, holds=("arm",), what="result of a study")
    try:
        records = {record["id"]: record for record in read_records(runs)}  # the last of an id counts
        _make([unit for unit in units if _failed(unit, records)], len(units), workers, sink, records, console)
    finally:
        sink.close()
    words = ["python", "-m", "benchmarks.study", "--seeds", str(seeds), "--steps", str(steps)]
    words += [word for name in only for word in ("--only", name)]
    about = {"command": shlex.join(words), "seeds": seeds, "steps": steps, "commit": provenance.commit()}
    figures = summary(units, records, about)
    text = json.dumps(figures, indent=1, ensure_ascii=False, default=lambda estimate: estimate.to_dict(6))
    replace_file(out / "study.json", (text + "\n").encode())
    path = page.write(figures, out)
    console.print(page.table(figures))
    console.print(f"\nThe page: {path}", highlight=False)
    return not any(_failed(unit, records) for unit in units)


def _failed(unit: Unit, records: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a unit was not done, or failed."""
    return "error" in records.get(unit.id, ("error",))


def check_installed() -> None:
    """Refuse to begin an hour's work that could not be finished.

    Raises:
        ConfigurationError: torch or matplotlib is missing.
    """
    for package, extra in (("torch", "train"), ("transformers", "train"), ("matplotlib", "bench")):
        if importlib.util.find_spec(package) is None:
            raise ConfigurationError(f"The study needs {package}: {install(extra)}.")


def estimate(planned: int, missing: Sequence[Unit], workers: int) -> str:
    """What is to be done, in a sentence."""
    minutes = sum(unit.seconds for unit in missing) / max(1, min(workers, len(missing))) / 60
    done = planned - len(missing)
    there = f", {done} of them there already" if done else ""
    return f"{planned} runs{there}; about {minutes:.0f} minutes to go on {workers} workers."


def _make(
    missing: Sequence[Unit],
    planned: int,
    workers: int,
    sink: Appender,
    records: dict[str, dict[str, Any]],
    console: Console,
) -> None:
    """Do what is missing; each unit goes into the file and among the records as soon as it is done."""
    console.print(estimate(planned, missing, workers), highlight=False)
    with Progress(console=console, disable=not missing) as bar:
        task = bar.add_task("studying", total=sum(unit.seconds for unit in missing))
        for unit, numbers in work(missing, workers):
            records[unit.id] = {**plan.described(unit), **numbers}
            sink.write(records[unit.id])
            if "error" in numbers:
                bar.print(f"{unit.arm.name}, seed {unit.seed}, failed: {numbers['error']}", highlight=False)
            bar.update(task, advance=unit.seconds)


def summary(
    units: Sequence[Unit], records: Mapping[str, Mapping[str, Any]], about: Mapping[str, Any]
) -> dict[str, Any]:
    """What study.json holds."""
    done = [records[unit.id] for unit in units if unit.id in records]
    failed = sum("error" in record for record in done)
    study: dict[str, Any] = {
        "schema_version": 1,
        "plan_version": plan.VERSION,
        **about,
        "machine": provenance.machine(torch=True),
        "runs": {
            "planned": len(units),
            "done": len(done) - failed,
            "failed": failed,
            "core_minutes": round(sum(record.get("seconds", 0.0) for record in done) / 60, 1),
        },
        **analysis.figures(units, records),
    }
    return {**study, "answers": analysis.answers(study)}


def main() -> int:
    options = parser("benchmarks.study", ABOUT)
    options.add_argument(
        "--out", type=Path, required=True, help="folder for runs, results, figures and the page"
    )
    options.add_argument(
        "--seeds", type=int, default=plan.SEEDS, help="seeds of each arm; the same ones for all"
    )
    options.add_argument("--workers", type=int, default=2, help="processes; each uses one core")
    options.add_argument("--only", metavar="ARM", action="append", default=[],
                         help="only this arm or family of arms (noise, passes …); repeatable")  # fmt: skip
    options.add_argument("--steps", type=int, default=plan.STEPS, help="optimizer steps of each run")
    args = options.parse_args()
    if min(args.seeds, args.workers, args.steps) < 1:
        options.error("--seeds, --workers and --steps must be at least 1.")
    return exit_code(partial(study, **vars(args), console=Console()))
