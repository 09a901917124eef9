"""Our trainer beside TRL's: seconds and memory of a step on the same model, prompts and lengths.

    python -m benchmarks.trainer.speed --prompt 384 --completion 64 --json trainer_speed.json

Both train the same Llama of 32M parameters, 2 groups of 8, fp32, on-policy, on the CPU, one after the
other, each in a process of its own; medians of the timed steps are reported. TRL runs as one batch, in
two micro-batches, and with gradient checkpointing, its default; the fastest counts. It also runs with a
change its users cannot set, the head skipping the prompt's positions as where TRL's Triton kernels run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.trainer import speed_model
from benchmarks.trainer.speed_model import Work
from benchmarks.trainer.trl_environment import trl_python
from ranker.bench import provenance

Told = dict[str, Any]
Say = Callable[[str], None]
TIMES = ("step_seconds", "generate_seconds", "update_seconds")
SHOWN = (*TIMES, "peak_rss_gb")
PENDING = 2  # groups that may await the judge while the next ones are generated
_HERE = Path(__file__).parent
_TRL = {  # options of `trl_side`
    "trl": (),
    "trl_checkpointing": ("--checkpointing",),
    "trl_micro_batch_8": ("--micro-batch", "8"),
    "trl_head_on_completions": ("--completions-only",),
}
_OFFERED = ("trl", "trl_checkpointing", "trl_micro_batch_8")  # what a user of TRL can choose here


def summary(told: Told) -> Told:
    """The medians, with every step's time beside them."""
    return {
        **{name: round(median(told[name]), 3) for name in TIMES},
        "peak_rss_gb": round(told["peak_rss_gb"], 3),
        "all_step_seconds": [round(seconds, 3) for seconds in told["step_seconds"]],
        **{name: told[name] for name in ("threads", "settings", "versions")},
    }


def run_side(command: list[str]) -> Told:
    """What a side prints as its last line; its own messages are shown only where it fails.

    This process loads no model: on Linux a child's peak of memory starts at what its parent held.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(provenance.bare, command))} failed:\n{done.stderr[-4000:]}")
    told: Told = json.loads(done.stdout.splitlines()[-1])
    return told


def ours(work: Work, latency: float = 0.0, pending: int = 0) -> Told:
    """Our trainer in a process of its own."""
    options = ["--judge-latency", str(latency), "--pending", str(pending)]
    command = [sys.executable, "-m", "benchmarks.trainer.speed_ours", *work.options(), *options]
    return summary(run_side(command))


def trl(work: Work, python: Path, variant: str = "trl") -> Told:
    """TRL's trainer in a process of its own."""
    return summary(run_side([str(python), str(_HERE / "trl_side.py"), *work.options(), *_TRL[variant]]))


def judge(work: Work, latency: float) -> Told:
    """A judge that takes its time beside one that answers at once, groups awaiting it in the background."""
    at_once = ours(work, 0.0, PENDING)["step_seconds"]
    slow = ours(work, latency, PENDING)["step_seconds"]
    return {
        "latency": latency,
        "step_seconds_without": at_once,
        "step_seconds_with": slow,
        "ratio": round(slow / at_once, 3),
    }


def ratios(mine: Told, theirs: Told) -> Told:
    """`step`: how many of our steps fit in one of TRL's; `memory`: our peak as a part of TRL's."""
    return {
        "step": round(theirs["step_seconds"] / mine["step_seconds"], 2),
        "generate": round(theirs["generate_seconds"] / mine["generate_seconds"], 2),
        "update": round(theirs["update_seconds"] / mine["update_seconds"], 2),
        "memory": round(mine["peak_rss_gb"] / theirs["peak_rss_gb"], 3),
    }


def compare(work: Work, python: Path, latency: float | None, say: Say) -> Told:
    """Every measurement, ours first."""
    say("our trainer")
    mine = ours(work)
    runs: dict[str, Told] = {}
    for name in _TRL:
        say(name.replace("_", " "))
        runs[name] = trl(work, python, name)
    headline = min(_OFFERED, key=lambda name: runs[name]["step_seconds"])
    found: Told = {
        "schema_version": 1,
        "command": provenance.command("trainer_speed"),
        "commit": provenance.commit(),
        "work": asdict(work),
        "machine": provenance.machine(torch=True) | {"threads": mine["threads"]},
        "ours": mine,
        "trl": runs[headline],
        "ratio": ratios(mine, runs[headline]),
        "trl_runs": {name: {**run, "ratio": ratios(mine, run)} for name, run in runs.items()},
    }
    if latency is not None:
        say("a slow judge")
        found["judge"] = judge(work, latency)
    return found


def _rows(found: Told) -> Iterator[tuple[str, Told, Told | None]]:
    yield "ours", found["ours"], None
    for name, run in found["trl_runs"].items():
        yield name.replace("_", " "), run, run["ratio"]


def show(found: Told) -> Table:
    """A row for every run."""
    work = found["work"]
    table = Table("", "step s", "generate s", "update s", "peak GB", "TRL's step / ours", "our memory / TRL's",
                  title=f"Prompt {work['prompt']}, completion {work['completion']}")  # fmt: skip
    for name, run, ratio in _rows(found):
        told = ("", "") if ratio is None else (f"{ratio['step']:.2f}", f"{ratio['memory']:.2f}")
        table.add_row(name, *(f"{run[part]:.2f}" for part in SHOWN), *told)
    if "judge" in found:
        told_judge = found["judge"]
        table.caption = (
            f"A judge that takes {told_judge['latency']:g} s a group: "
            f"{told_judge['step_seconds_with']:.2f} s a step, {told_judge['step_seconds_without']:.2f} s without."
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trainer.speed", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    speed_model.add_work(parser)
    parser.add_argument("--judge-latency", type=float,
                        help="also measure ours with a judge that takes so many seconds a group")  # fmt: skip
    parser.add_argument("--trl-python", type=Path, help="a Python with TRL; default: made on first use")
    parser.add_argument("--json", type=Path, help="the results as JSON")
    given = parser.parse_args()
    work = speed_model.work_of(given)
    console = Console(width=None if sys.stdout.isatty() else 160)
    with Console(stderr=True).status("TRL's environment") as status:
        python = given.trl_python or trl_python()
        found = compare(work, python, given.judge_latency, status.update)
    console.print(show(found))
    if given.json is not None:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
