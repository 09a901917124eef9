"""What `rank_reward` adds to a step of TRL: beside a plain reward function, with a judge of no latency.

    python -m benchmarks.trainer.trl_overhead --json trl_overhead.json

Both train the Llama of 32M parameters of `speed`, 2 groups of 8, on the CPU, each run in a process of its own. A
round is one run of every kind, one after the other, and the order turns with each round: a plain function; a judge that
is a function in the same process; a judge behind HTTP on this machine, which answers at once. A ratio is that of the
rounds' median steps, with a 95 % interval by bootstrap over rounds.
"""

from __future__ import annotations

import sys
import sysconfig
from dataclasses import asdict
from pathlib import Path
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.harness import Json, Say, add_record, console, parser, run_json, source, write_record
from benchmarks.trainer import speed_model
from benchmarks.trainer.speed_model import Work
from benchmarks.trainer.trl_overhead_side import KINDS
from benchmarks.trainer.trl_runs import trl_python
from ranker.statistics import Estimate, ratio
from ranker.testing import JudgeServer

MODULE = "benchmarks.trainer.trl_overhead"
LIMIT = 1.05


def run(kind: str, work: Work, python: Path, base_url: str) -> Json:
    """One run: the seconds of its steps. TRL's Python finds what Ranker needs in this environment."""
    also = [] if python == Path(sys.executable) else ["--also", sysconfig.get_path("purelib")]
    server = ["--base-url", base_url] if kind == "server" else []
    options = [*work.options(), "--kind", kind, *server, *also]
    return run_json(python, "benchmarks.trainer.trl_overhead_side", *options)


def compare(work: Work, rounds: int, python: Path, say: Say) -> Json:
    """Every round."""
    runs: dict[str, list[Json]] = {kind: [] for kind in KINDS}
    with JudgeServer(lambda text: float(len(text))) as server:
        for n in range(rounds):
            first = n % len(KINDS)
            for kind in KINDS[first:] + KINDS[:first]:
                say(f"round {n + 1} of {rounds}: {kind}")
                runs[kind].append(run(kind, work, python, server.base_url))
        answered = server.counts["ok"]
    steps = {kind: [one["step_seconds"] for one in several] for kind, several in runs.items()}
    return {
        "schema_version": 1,
        **source(MODULE, torch=True),
        "work": asdict(work),
        "versions": runs["plain"][0]["versions"],
        "judge_calls": answered,
        "step_seconds": {kind: [[round(s, 4) for s in one] for one in rows] for kind, rows in steps.items()},
        "ratio": {kind: overhead(steps[kind], steps["plain"]).to_dict() for kind in KINDS if kind != "plain"},
        "limit": LIMIT,
    }


def overhead(judged: list[list[float]], plain: list[list[float]]) -> Estimate:
    """How many times as long a step takes, over rounds of runs of steps in seconds."""
    return ratio(*(np.array([median(one) for one in kind]) for kind in (judged, plain)))


def show(results: Json) -> Table:
    """A row for every kind."""
    table = Table("", "step s", "times as long as plain", title="TRL with rank_reward, a judge of no latency")
    for kind, rounds in results["step_seconds"].items():
        estimate = results["ratio"].get(kind)
        times = "" if estimate is None else f"{Estimate(**estimate):.3f}"
        table.add_row(kind, f"{median(median(one) for one in rounds):.2f}", times)
    return table


def main() -> None:
    options = parser(MODULE, __doc__)
    speed_model.add_work(options)
    options.add_argument("--rounds", type=int, default=6, help="runs of every kind (default 6)")
    options.add_argument("--trl-python", type=Path, help="a Python with TRL; default: created on first use")
    add_record(options)
    args = options.parse_args()
    with Console(stderr=True).status("TRL's environment") as status:
        python = args.trl_python or trl_python()
        results = compare(speed_model.work_of(args), args.rounds, python, status.update)
    console().print(show(results))
    write_record(args.json, results)


if __name__ == "__main__":
    main()
