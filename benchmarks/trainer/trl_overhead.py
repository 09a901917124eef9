"""What `rank_reward` adds to a step of TRL, beside a plain reward function, with a judge of no latency.

    python -m benchmarks.trainer.trl_overhead --json trl_overhead.json

Both train the Llama of 32M parameters of `trainer_speed`, 2 groups of 8, on the CPU, each run in a process of its own. A
round is one run of every kind, one after the other, and the order turns with each round: a plain function; a judge that
is a function in the same process; a judge behind HTTP on this machine, which answers at once. A ratio is that of the
rounds' median steps, with a 95 % interval by bootstrap over rounds.
"""

from __future__ import annotations

import argparse
import json
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.trainer import speed_model
from benchmarks.trainer.speed import run_side
from benchmarks.trainer.speed_model import Work
from benchmarks.trainer.trl_environment import trl_python
from ranker.bench import provenance
from ranker.bench.intervals import Estimate, ratio
from ranker.testing import JudgeServer

Told = dict[str, Any]
_HERE = Path(__file__).parent
LIMIT = 1.05
KINDS = ("plain", "function", "server")  # what `trl_overhead_side` takes


def folders(python: Path) -> list[str]:
    """Where TRL's Python finds Ranker and what it needs: this environment, unless it is the same one."""
    return [] if python == Path(sys.executable) else [sysconfig.get_path("purelib")]


def run(kind: str, work: Work, python: Path, base_url: str) -> Told:
    """One run: the seconds of its steps."""
    also = [word for folder in folders(python) for word in ("--also", folder)]
    reached = ["--base-url", base_url] if kind == "server" else []
    side = [str(python), str(_HERE / "trl_overhead_side.py")]
    told: Told = run_side([*side, *work.options(), "--kind", kind, *reached, *also])
    return told


def turned(n: int) -> tuple[str, ...]:
    """The kinds in the order of round n."""
    n %= len(KINDS)
    return KINDS[n:] + KINDS[:n]


def compare(work: Work, rounds: int, python: Path, say: Callable[[str], None]) -> Told:
    """Every round."""
    runs: dict[str, list[Told]] = {kind: [] for kind in KINDS}
    with JudgeServer(lambda text: float(len(text))) as server:
        for n in range(rounds):
            for kind in turned(n):
                say(f"round {n + 1} of {rounds}: {kind}")
                runs[kind].append(run(kind, work, python, server.base_url))
        answered = server.counts["ok"]
    steps = {kind: [told["step_seconds"] for told in found] for kind, found in runs.items()}
    return {
        "schema_version": 1,
        "command": provenance.command("trl_overhead"),
        "commit": provenance.commit(),
        "work": asdict(work),
        "machine": provenance.machine(torch=True),
        "versions": runs["plain"][0]["versions"],
        "judge_calls": answered,
        "step_seconds": {
            kind: [[round(s, 4) for s in one] for one in found] for kind, found in steps.items()
        },
        "ratio": {kind: overhead(steps[kind], steps["plain"]).to_dict() for kind in KINDS if kind != "plain"},
        "limit": LIMIT,
    }


def overhead(judged: list[list[float]], plain: list[list[float]]) -> Estimate:
    """How many times as long a step takes, over rounds of runs of steps in seconds."""
    return ratio(*(np.array([median(one) for one in kind]) for kind in (judged, plain)))


def show(found: Told) -> Table:
    """A row for every kind."""
    table = Table("", "step s", "times as long as plain", title="TRL with rank_reward, a judge of no latency")
    for kind, rounds in found["step_seconds"].items():
        told = found["ratio"].get(kind)
        times = "" if told is None else f"{Estimate(**told):.3f}"
        table.add_row(kind, f"{median(median(one) for one in rounds):.2f}", times)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trainer.trl_overhead", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    speed_model.add_work(parser)
    parser.add_argument("--rounds", type=int, default=6, help="runs of every kind (default 6)")
    parser.add_argument("--trl-python", type=Path, help="a Python with TRL; default: made on first use")
    parser.add_argument("--json", type=Path, help="the results as JSON")
    given = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 120)
    with Console(stderr=True).status("TRL's environment") as status:
        python = given.trl_python or trl_python()
        found = compare(speed_model.work_of(given), given.rounds, python, status.update)
    console.print(show(found))
    if given.json is not None:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
