"""The study of the watch: runs that are missing are recorded, audits replayed over all of them, figures drawn."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from benchmarks.harness import Json, parser
from benchmarks.study.command import check_installed
from benchmarks.study.plan import STEPS, Unit
from benchmarks.study.worker import work
from benchmarks.watch import plan, recording
from ranker.bench import provenance
from ranker.errors import ConfigurationError

ABOUT = """When does the watch raise its alarm? Trains the same small agent under judges with and without a flaw that it
learns to exploit, and replays audits of every kind over the recorded runs.

70 short runs, half an hour on two cores. Interrupted, the same command continues where it stopped. Writes
runs/*.json.gz, watch.json, figures and watch.html.
"""


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
    args = options.parse_args()
    if min(args.workers, args.steps) < 1:
        options.error("--workers and --steps must be at least 1.")
    logging.basicConfig(level=logging.WARNING, format="ranker: %(message)s")
    console = Console()
    try:
        check_installed()
        units = plan.units(plan.arms(args.only), args.seeds, args.steps)
        _, failed = make(units, args.out / "runs", args.workers, console)
        return int(failed > 0)
    except ConfigurationError as error:
        print(f"ranker: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ranker: interrupted; the same command continues from here.", file=sys.stderr)
        return 130
