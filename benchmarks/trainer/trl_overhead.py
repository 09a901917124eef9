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

from benchmarks.harness import Json, add_record, parser, say, source, write_record
from benchmarks.trainer.sides import KINDS, run_side
from benchmarks.trainer.work import Work, add_work, trl_python, work_of
from ranker.statistics import Estimate, ratio
from ranker.testing import JudgeServer

MODULE = "benchmarks.trainer.trl_overhead"
LIMIT = 1.05


def compare(work: Work, rounds: int, python: Path) -> Json:
    """Every round."""
    runs: dict[str, list[Json]] = {kind: [] for kind in KINDS}
    # TRL's Python finds what Ranker needs in this environment.
    also = [] if python == Path(sys.executable) else [sysconfig.get_path("purelib")]
    with JudgeServer(lambda text: float(len(text))) as server:
        for n in range(rounds):
            first = n % len(KINDS)
            for kind in KINDS[first:] + KINDS[:first]:
                say(f"round {n + 1} of {rounds}: {kind}")
                options = {"kind": kind, "base_url": server.base_url, "also": also}
                runs[kind].append(run_side(python, "trl_rewarded", work, **options))
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


def main() -> None:
    options = parser(MODULE, __doc__)
    add_work(options)
    options.add_argument("--rounds", type=int, default=6, help="runs of every kind (default 6)")
    add_record(options)
    args = options.parse_args()
    write_record(args.json, compare(work_of(args), args.rounds, trl_python(args.trl_python)))


if __name__ == "__main__":
    main()
