"""What `ranker tune-judge` makes of the groups of one suite, in how many minutes, and what a cascade with it saves.

    python -m benchmarks.judges.tuned_judge --suite constraints --groups 1300 --minutes 13 --json FILE

The groups go into a file with their truth and nothing else that is known of them, and the command runs on it as a
user's would. Other groups of the suite, none of them asking what the first ask, measure the judge and the cascade: the strong
judge is the truth, the threshold is fitted for 95 % agreement and measured by cross-fitting.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.progress import track

from benchmarks.harness import Json, add_record, parser, source, write_record
from benchmarks.judges.embedded import figures, scored
from ranker.jsonl.group_file import dump_line
from ranker.judges.local.judge_file import Setup, read_judge, setup_from
from ranker.judges.local.logprob_judge import LogprobJudge
from ranker.suites import load
from ranker.trajectory import TrajectoryGroup
from ranker.tuning.examples import Example, from_groups, opening_of


def line(group: TrajectoryGroup) -> bytes:
    """A group with its truth, and without metadata."""
    attempts = [
        {"id": t.id, "messages": list(t.messages), "ground_truth": t.ground_truth}
        | ({"tools": list(t.tools)} if t.tools else {})
        for t in group.trajectories
    ]
    return dump_line({"id": group.id, "task": group.task, "rubric": group.rubric, "trajectories": attempts})


def tune(groups: Sequence[TrajectoryGroup], out: Path, options: Sequence[str]) -> float:
    """Run the command; the seconds it took.

    Raises:
        CalledProcessError: it failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "groups.jsonl")
        file.write_bytes(b"".join(map(line, groups)))
        started = time.monotonic()
        subprocess.run([sys.executable, "-m", "ranker", "tune-judge", str(file), "--out", str(out), *options],
                       check=True)  # fmt: skip
        return time.monotonic() - started


def measure(setup: Setup, examples: Sequence[Example]) -> Json:
    """Accuracy of a judge on groups, what a cascade with it saves, and seconds a group."""
    judge = LogprobJudge(setup, cache="off")
    judge.local.load()
    started = time.monotonic()
    scores = [scored(judge, example)[0] for example in track(examples, "measuring")]
    seconds = (time.monotonic() - started) / len(examples)
    accuracy, cascade = figures(setup.way, [e.truths_G for e in examples], scores)
    return {
        "groups": len(examples),
        "pairwise_accuracy": accuracy.to_dict(),
        "cascade": cascade().to_dict(),
        "seconds_per_group": round(seconds, 3),
    }


def main() -> None:
    module = "benchmarks.judges.tuned_judge"
    parse = parser(module, __doc__)
    parse.add_argument("--suite", default="constraints")
    parse.add_argument(
        "--groups", type=int, default=1_300, help="to tune on, test and held-out ones among them"
    )
    parse.add_argument("--fresh", type=int, default=300, help="other groups, to measure on")
    parse.add_argument("--minutes", help="of training, as for tune-judge")
    parse.add_argument("--epochs", default="1")
    parse.add_argument("--start", help="folder of a judge to go on from, as for tune-judge")
    parse.add_argument("--seed", type=int, default=21)
    parse.add_argument("--out", type=Path, help="where the judge stays; default: a temporary folder")
    add_record(parse, help="where the figures go")
    args = parse.parse_args()
    origin = source(module, torch=True)
    groups = load(args.suite, args.groups, seed=args.seed).groups
    openings = {opening_of(g) for g in groups}
    others = load(args.suite, args.fresh, seed=args.seed + 1).groups
    fresh = [g for g in others if opening_of(g) not in openings]
    options = ["--epochs", args.epochs]
    for name in ("minutes", "start"):
        options += [f"--{name}", value] if (value := getattr(args, name)) else []
    with tempfile.TemporaryDirectory() as folder:
        out = args.out or Path(folder, "judge")
        seconds = tune(groups, out, options)
        judge, home = read_judge(out)
        figures_of_fresh = measure(setup_from(judge, home), from_groups(fresh))
    record = {**origin, "suite": args.suite, "groups": len(groups), "minutes": round(seconds / 60, 2),
              "measured_by_the_command": judge["measured"], "fresh": figures_of_fresh}  # fmt: skip
    write_record(args.json, record)


if __name__ == "__main__":
    main()
