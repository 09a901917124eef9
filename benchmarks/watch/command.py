"""The study of the watch: runs that are missing are recorded, audits replayed over all of them, figures drawn."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from benchmarks.harness import Json, exit_code, parser
from benchmarks.study.command import check_installed
from benchmarks.study.plan import STEPS, Unit
from benchmarks.study.worker import work
from benchmarks.watch import analysis, cost, live, page, plan, recording
from benchmarks.watch.examples import examples
from benchmarks.watch.plan import Setting
from benchmarks.watch.recording import Run
from benchmarks.watch.replays import replays
from ranker.bench import provenance
from ranker.errors import ConfigurationError
from ranker.runtime.outputs import replace_file

ABOUT = """When does the watch raise its alarm? Trains the same small agent under judges with and without a flaw that it
learns to exploit, and replays audits of every kind over the recorded runs.

70 short runs, half an hour on two cores. Interrupted, the same command continues where it stopped. Writes
runs/*.json.gz, watch.json, figures and watch.html.
"""


TABLE = 240  # columns of a table in Markdown, however wide the screen


def record(unit: Unit) -> Json:
    """Do a unit in a worker."""
    began = time.monotonic()
    made = recording.record(unit)
    return {"seconds": round(time.monotonic() - began, 1), **made}


def about(unit: Unit, commit: str | None) -> Json:
    """What a record says of where it comes from."""
    return {
        "id": identity(unit),
        "arm": unit.arm.name,
        "seed": unit.seed,
        "steps": unit.steps,
        "commit": commit,
        "machine": provenance.machine(torch=True),
    }


def identity(unit: Unit) -> str:
    """A digest of all that determines a record."""
    return f"{unit.id}/{plan.VERSION}/anchors-{plan.ANCHOR_SHARE:g}"


def make(units: Sequence[Unit], folder: Path, workers: int, console: Console) -> tuple[list[Json], int]:
    """Record the runs that are missing; all that there are, and how many failed.

    Raises:
        ConfigurationError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be created: {error.strerror}.") from None
    found = {unit.id: whole for unit in units if (whole := _done(folder, unit)) is not None}
    missing = [unit for unit in units if unit.id not in found]
    console.print(f"{len(units)} runs, {len(found)} of them there already.", highlight=False)
    failed, commit = 0, provenance.commit()  # of the code that the workers load
    with Progress(console=console, disable=not missing) as bar:
        task = bar.add_task("recording", total=len(missing))
        for unit, numbers in work(missing, workers, record):
            bar.update(task, advance=1)
            if "error" in numbers:
                failed += 1
                bar.print(f"{unit.arm.name}, seed {unit.seed}, failed: {numbers['error']}", highlight=False)
                continue
            found[unit.id] = {**about(unit, commit), **numbers}
            recording.write(recording.file_of(folder, unit), found[unit.id])
    return [found[unit.id] for unit in units if unit.id in found], failed


def _done(folder: Path, unit: Unit) -> Json | None:
    """A unit's record, where it is there and the same run."""
    whole: Mapping[str, object] | None = recording.read_whole(recording.file_of(folder, unit))
    return dict(whole) if whole is not None and whole.get("id") == identity(unit) else None


def figures(records: Sequence[Json], out: Path, draws: int, workers: int, console: Console) -> Json:
    """Replay, and whatever else `watch.json` holds."""
    runs = [recording.read(one) for one in records]
    asked, tried = list(plan.asked()), list(plan.tried())
    with Progress(console=console) as bar:
        task = bar.add_task("replaying", total=None)
        replayed = replays(runs, asked, draws, workers, lambda: bar.advance(task))
        others = replays(runs, tried, draws, workers, lambda: bar.advance(task))
        found = analysis.figures(replayed, others, runs, draws)
    counted = _kept(out / "tokens.json", lambda: cost.tokens(runs))
    audited = {s["setting"]["share"]: s["audited"].value for s in found["settings"]}
    return {
        **found,
        "examples": examples(runs),
        "tokens": counted,
        "dollars": cost.table(audited, counted),
        "live": _kept(out / "live.json", lambda: _live(runs)),
        "record_commits": sorted({str(one["commit"]) for one in records}),
        "minutes_recording": round(sum(one["seconds"] for one in records) / 60, 1),
    }


def _live(runs: Sequence[Run]) -> list[Json]:
    by_name = {(run.arm, run.seed): run for run in runs}
    return [
        live.compared(plan.units(plan.arms([arm]), [seed], by_name[arm, seed].steps)[0], by_name[arm, seed], Setting())
        for arm, seed in live.RUNS
        if (arm, seed) in by_name
    ]  # fmt: skip


def _kept(path: Path, make: Callable[[], Any]) -> Any:
    """What a file holds; made and written where it is not there."""
    if not path.exists():
        replace_file(path, (json.dumps(make(), indent=1) + "\n").encode())
    return json.loads(path.read_text(encoding="utf-8"))


def study(
    out: Path,
    seeds: Sequence[int],
    workers: int,
    only: Sequence[str],
    steps: int,
    draws: int,
    console: Console,
) -> bool:
    """Record, replay, draw; returns whether no run failed.

    Raises:
        ConfigurationError: an unknown arm, a missing package, a folder that cannot be written.
    """
    check_installed()
    records, failed = make(plan.units(plan.arms(only), seeds, steps), out / "runs", workers, console)
    words = [
        "python",
        "-m",
        "benchmarks.watch",
        "--seeds",
        *map(str, seeds),
        "--steps",
        str(steps),
        "--draws",
        str(draws),
    ]
    found = {
        "schema_version": 1,
        "command": shlex.join([*words, *(word for name in only for word in ("--only", name))]),
        "commit": provenance.commit(),
        "machine": provenance.machine(torch=True),
        "seeds": list(seeds),
        "steps": steps,
        "draws": draws,
        "runs": len(records),
        "failed": failed,
        **figures(records, out, draws, workers, console),
    }
    text = json.dumps(found, indent=1, ensure_ascii=False, default=lambda estimate: estimate.to_dict(4))
    replace_file(out / "watch.json", (text + "\n").encode())
    shown = json.loads(text)  # so that the page can be made again from the file
    path = page.write(shown, out)
    for rows in page.tables(shown):
        Console(width=TABLE, quiet=console.quiet).print(rows)
    console.print(f"\nThe page: {path}", highlight=False)
    return not failed


def main() -> int:
    options = parser("benchmarks.watch", ABOUT)
    options.add_argument(
        "--out", type=Path, required=True, help="folder for runs, results, figures and the page"
    )
    options.add_argument("--seeds", type=int, nargs="+", default=list(plan.SEEDS), help="of each arm")
    options.add_argument("--workers", type=int, default=2, help="processes; each uses one core")
    options.add_argument(
        "--only", metavar="ARM", action="append", default=[], help="only this arm; repeatable"
    )
    options.add_argument("--steps", type=int, default=STEPS, help="optimizer steps of each run")
    options.add_argument("--draws", type=int, default=plan.DRAWS, help="of the audited groups, for each run")
    args = options.parse_args()
    if min(args.workers, args.steps, args.draws) < 1:
        options.error("--workers, --steps and --draws must be at least 1.")
    return exit_code(partial(study, **vars(args), console=Console()))
