"""`python -m benchmarks.study`, which `make study` runs."""

from __future__ import annotations

import logging
import shlex
import sys
from pathlib import Path

from rich.console import Console

from benchmarks.harness import parser
from benchmarks.study.command import study
from benchmarks.study.plan import SEEDS, STEPS
from ranker.errors import ConfigurationError

ABOUT = """Train the same small agent with the ground truth and with judges of every quality and kind of error.

Some 340 short runs, about an hour on two cores. Interrupted, the same command continues where it stopped.
Writes runs.jsonl, study.json, figures and study.html.
"""


def main() -> int:
    options = parser("benchmarks.study", ABOUT)
    options.add_argument(
        "--out", type=Path, required=True, help="folder for runs, results, figures and the page"
    )
    options.add_argument("--seeds", type=int, default=SEEDS, help="seeds of each arm; the same ones for all")
    options.add_argument("--workers", type=int, default=2, help="processes; each uses one core")
    options.add_argument("--only", metavar="ARM", action="append", default=[],
                         help="only this arm or family of arms (noise, passes …); repeatable")  # fmt: skip
    options.add_argument("--steps", type=int, default=STEPS, help="optimizer steps of each run")
    args = options.parse_args()
    if min(args.seeds, args.workers, args.steps) < 1:
        options.error("--seeds, --workers and --steps must be at least 1.")
    logging.basicConfig(level=logging.WARNING, format="ranker: %(message)s")
    words = ["python", "-m", "benchmarks.study", "--seeds", str(args.seeds), "--steps", str(args.steps)]
    words += [word for name in args.only for word in ("--only", name)]
    try:
        complete = study(
            args.out, args.seeds, args.workers, args.only, args.steps, Console(), shlex.join(words)
        )
    except ConfigurationError as error:
        print(f"ranker: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ranker: interrupted; the same command continues from here.", file=sys.stderr)
        return 130
    return int(not complete)


if __name__ == "__main__":
    sys.exit(main())
