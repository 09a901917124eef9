"""Tune a judge: a strong judge ranks your groups once, and a small local model learns to rank like it.

    pip install '.[train]'
    python examples/tune_a_judge.py groups.jsonl --strong openai/gpt-5 --max-cost 20

Some hundred groups are needed; 15 % of them are held out to say whether the small judge learned. Afterwards it is used
by its name, `local:tuned/judge`, wherever a judge is named, and costs nothing. Started again, it goes on where it stopped.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

parser = argparse.ArgumentParser(description="Tune a small local judge on a strong judge's rankings.")
parser.add_argument("groups", type=Path, help="a group file; no ground truth is needed")
parser.add_argument("--strong", required=True, help="the judge to learn from")
parser.add_argument("--max-cost", default="20", help="dollars for the strong judge")
parser.add_argument("--base", default="local", help="the model to tune: local, local:NAME or local:PATH")
parser.add_argument("--out", type=Path, default=Path("tuned"))


def ranker(*words: object) -> None:
    """A command of `ranker`; its exit code ends this program if it failed."""
    done = subprocess.run([sys.executable, "-m", "ranker", *map(str, words)], check=False)
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    given = parser.parse_args()
    given.out.mkdir(exist_ok=True)
    ranked, judge = given.out / "ranked.jsonl", given.out / "judge"
    limits = ["--max-cost", given.max_cost, "--on-error", "skip"]
    ranker("rank", given.groups, "--judge", given.strong, *limits, "--out", ranked)
    ranker("tune-judge", ranked, "--base", given.base, "--out", judge)
    ranker("rank", given.groups, "--judge", f"local:{judge}", "--out", given.out / "by_the_small_judge.jsonl")
