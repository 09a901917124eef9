"""The study: from nothing, or from what an interrupted study left, to the table, the pictures and the page."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks.study import analysis, page, plan, plots
from benchmarks.study.plan import Unit
from benchmarks.study.pool import work
from benchmarks.study.store import Results
from ranker.bench import provenance
from ranker.errors import ConfigurationError
from ranker.runtime.outputs import check_absent, replace_file


def study(
    out: Path, seeds: int, workers: int, only: Sequence[str], steps: int, console: Console, command: str
) -> bool:
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
    results = Results(runs)
    try:
        missing = [unit for unit in units if not results.has(unit.id)]
        console.print(estimate(units, missing, workers), highlight=False)
        if missing:
            _make(missing, workers, results, console)
    finally:
        results.close()
    about = {"command": command, "seeds": seeds, "steps": steps, "commit": provenance.commit()}
    _write(out, summary(units, results.records, about), console)
    return all(results.has(unit.id) for unit in units)


def check_installed() -> None:
    """Refuse to begin an hour's work that could not be finished.

    Raises:
        ConfigurationError: torch or matplotlib is missing.
    """
    for package, extra in (("torch", "train"), ("transformers", "train"), ("matplotlib", "bench")):
        if importlib.util.find_spec(package) is None:
            raise ConfigurationError(f"The study needs {package}: pip install 'ranker-rl[{extra}]'.")


def estimate(units: Sequence[Unit], missing: Sequence[Unit], workers: int) -> str:
    """What is to be done, in a sentence."""
    minutes = sum(unit.seconds for unit in missing) / max(1, min(workers, len(missing))) / 60
    done = len(units) - len(missing)
    there = f", {done} of them there already" if done else ""
    return f"{len(units)} runs{there}; about {minutes:.0f} minutes to go on {workers} workers."


def _make(missing: Sequence[Unit], workers: int, results: Results, console: Console) -> None:
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[done]}/{task.fields[runs]} runs"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(elapsed_when_finished=False),
        console=console,
    )
    with bar:
        total = sum(unit.seconds for unit in missing)
        task = bar.add_task("studying", total=total, done=0, runs=len(missing))
        for done, (unit, numbers) in enumerate(work(missing, workers), start=1):
            results.add({**plan.described(unit), **numbers})
            if "error" in numbers:
                bar.print(f"{unit.arm.name}, seed {unit.seed}, failed: {numbers['error']}", highlight=False)
            bar.update(task, advance=unit.seconds, done=done)


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


def _write(out: Path, study: Mapping[str, Any], console: Console) -> None:
    """The table on the screen; study.json, the figures and the page in the folder."""
    text = json.dumps(study, indent=1, ensure_ascii=False, default=lambda estimate: estimate.to_dict(6))
    replace_file(out / "study.json", (text + "\n").encode())
    path = page.write(study, out)
    console.print(page.table(study))
    console.print(f"\nThe page: {path}", highlight=False)
