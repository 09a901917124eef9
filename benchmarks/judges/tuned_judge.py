"""What `ranker tune-judge` makes of the groups of one suite, in how many minutes, and what a cascade with it saves.

    python -m benchmarks.judges.tuned_judge --suite constraints --groups 1300 --minutes 13 --json FILE

The groups go into a file with their truth and nothing else that is known of them, and the command runs on it as a
user's would. Other groups of the suite, none of them asking what the first ask, measure the judge and the cascade: the strong
judge is the truth, the threshold is fitted for 95 % agreement and measured by cross-fitting.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.progress import track

from benchmarks.judges.embedded import figures
from ranker.bench import provenance
from ranker.files import dump_line
from ranker.judges.local.probe import ProbeJudge
from ranker.judges.local.setup import Setup, read_judge, setup_from
from ranker.judges.local.ways import fit
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


def worth(setup: Setup, examples: Sequence[Example]) -> dict[str, Any]:
    """Accuracy of a judge on groups, what a cascade with it saves, and seconds a group."""
    probe = ProbeJudge(setup, cache="off")
    loaded = probe.local.load()
    started = time.monotonic()
    scores = [
        probe.read(loaded, fit(e.shown, setup.way, loaded.window, loaded.count))[0]
        for e in track(examples, "measuring")
    ]
    seconds = (time.monotonic() - started) / len(examples)
    made, cascade = figures(setup.way, [e.truths_G for e in examples], scores)
    return {
        "groups": len(examples),
        "pairwise_accuracy": made.to_dict(),
        "cascade": cascade().to_dict(),
        "seconds_per_group": round(seconds, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judges.tuned_judge", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--suite", default="constraints")
    parser.add_argument(
        "--groups", type=int, default=1_300, help="to tune on, test and held-out ones among them"
    )
    parser.add_argument("--fresh", type=int, default=300, help="other groups, to measure on")
    parser.add_argument("--minutes", help="of training, as for tune-judge")
    parser.add_argument("--epochs", default="1")
    parser.add_argument("--start", help="folder of a judge to go on from, as for tune-judge")
    parser.add_argument("--seed", type=int, default=21)
    parser.add_argument("--out", type=Path, help="keeps the judge; default: a temporary folder")
    parser.add_argument("--json", type=Path, help="where the figures go")
    given = parser.parse_args()
    source = {
        "command": provenance.command("tuned_judge"),
        "commit": provenance.commit(),
        "machine": provenance.machine(torch=True),
    }
    groups = load(given.suite, given.groups, seed=given.seed).groups
    asked = {opening_of(g) for g in groups}
    fresh = [
        g for g in load(given.suite, given.fresh, seed=given.seed + 1).groups if opening_of(g) not in asked
    ]
    options = ["--epochs", given.epochs]
    for name in ("minutes", "start"):
        options += [f"--{name}", told] if (told := getattr(given, name)) else []
    with tempfile.TemporaryDirectory() as folder:
        out = given.out or Path(folder, "judge")
        seconds = tune(groups, out, options)
        told, home = read_judge(out)
        found = worth(setup_from(told, home), from_groups(fresh))
    made = {**source, "suite": given.suite, "groups": len(groups), "minutes": round(seconds / 60, 2),
            "measured_by_the_command": told["measured"], "fresh": found}  # fmt: skip
    print(json.dumps(made, indent=1))
    if given.json is not None:
        given.json.write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
