"""`ranker study`: from nothing, or from what an interrupted study left, to the table, the pictures and the page."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from benchmarks.study import answers, page, plan, plots, table
from benchmarks.study.plan import Unit
from benchmarks.study.pool import work
from benchmarks.study.store import Results
from ranker.bench import provenance
from ranker.errors import ConfigurationError


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
        raise ConfigurationError(f"{out} cannot be made: {error.strerror}.") from None
    results = Results(out / "runs.jsonl")
    try:
        missing = [unit for unit in units if not results.has(unit.id)]
        console.print(estimate(units, missing, workers), highlight=False)
        if missing:
            _make(missing, workers, results, console)
    finally:
        results.close()
    about = {"command": command, "seeds": seeds, "steps": steps, "commit": provenance.commit()}
    _draw(out, summary(units, results.records, about), console)
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
        for done, (unit, found) in enumerate(work(missing, workers), start=1):
            results.add({**plan.described(unit), **found})
            if "error" in found:
                bar.print(f"{unit.arm.name}, seed {unit.seed}, failed: {found['error']}", highlight=False)
            bar.update(task, advance=unit.seconds, done=done)


def summary(
    units: Sequence[Unit], records: Mapping[str, Mapping[str, Any]], about: Mapping[str, Any]
) -> dict[str, Any]:
    """What study.json holds."""
    found = [records[unit.id] for unit in units if unit.id in records]
    failed = sum("error" in record for record in found)
    made: dict[str, Any] = {
        "schema_version": 1,
        "plan_version": plan.VERSION,
        **about,
        "machine": provenance.machine(torch=True),
        "runs": {
            "planned": len(units),
            "done": len(found) - failed,
            "failed": failed,
            "core_minutes": round(sum(record.get("seconds", 0.0) for record in found) / 60, 1),
        },
        **table.figures(units, records),
    }
    return {**made, "answers": [answer.to_dict() for answer in answers.answers(made)]}


def _draw(out: Path, told: Mapping[str, Any], console: Console) -> None:
    """The table on the screen; study.json, the pictures and the page in the folder."""
    (out / "study.json").write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    drawn = plots.pictures(told)
    try:
        plots.save(drawn, out)
        inline = {name: plots.svg(figure, name) for name, figure in drawn.items()}
    finally:
        plots.close(drawn)
    (out / "study.html").write_text(page.page(told, inline), encoding="utf-8")
    shown = Table(title="The study", title_justify="left")
    for column in page.COLUMNS:
        shown.add_column(column, no_wrap=column == page.COLUMNS[0])
    for cells in page.rows(told):
        shown.add_row(*cells)
    console.print(shown)
    for answer in told["answers"]:
        console.print(f"[bold]{answer['question']}[/bold] {answer['verdict']}.", highlight=False)
    console.print(f"\nThe page: {out / 'study.html'}", highlight=False)
