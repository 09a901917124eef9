"""The three local models over every suite, as far as two cores get, and simulated judges beside them.

    python -m benchmarks.judges.local_judges --out benchmarks/results/judges

Each model is asked once a group. How many groups differs from model to model: what it takes on a CPU is between five
seconds a group and several minutes. Started again, it continues where it stopped.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from rich.console import Console

from benchmarks.harness import parser
from ranker.bench.command import BenchSettings, bench
from ranker.bench.judge_spec import judge_spec
from ranker.bench.matrix import Matrix
from ranker.bench.observation import PLAIN
from ranker.suites import load

# Groups of each suite, by judge: what two cores do in about two hours. Simulated judges see `MOST`.
SUITES = ("constraints", "arithmetic", "code", "toolenv", "gsm8k-solutions", "tau-airline")
GROUPS = {
    "local:smollm2-135m-instruct": (30, 40, 40, 6, 40, 3),
    "local:qwen2.5-coder-0.5b-instruct": (12, 12, 12, 2, 24, 0),
    "local:qwen2.5-coder-1.5b-instruct": (3, 3, 3, 0, 3, 0),
}
BESIDE = ("random", "noisy:0.75", "oracle", "length")
MOST = 200


def matrix() -> Matrix:
    """What is measured."""
    judges = tuple(judge_spec(name, None, {}) for name in (*GROUPS, *BESIDE))
    limits = {
        (judge, suite): n for judge, counts in GROUPS.items() for suite, n in zip(SUITES, counts, strict=True)
    }
    return Matrix(judges, tuple(load(name, MOST) for name in SUITES), conditions=(PLAIN,), limits=limits)


def main() -> None:
    options = parser("benchmarks.judges.local_judges", __doc__)
    options.add_argument("--out", type=Path, required=True, help="folder of the results")
    args = options.parse_args()
    sys.exit(asyncio.run(bench(BenchSettings(matrix(), args.out), Console())).code)


if __name__ == "__main__":
    main()
