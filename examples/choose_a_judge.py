"""Choose a judge: how often is each right on groups whose order is known, and what does it cost?

    python examples/choose_a_judge.py local openai/gpt-5-mini
    python examples/choose_a_judge.py --groups mine.jsonl local openai/gpt-5-mini

Without a file, the groups are worked solutions of word problems with planted errors. The judge `longest` is there to be
beaten: a judge that is no better only counts words. `ranker bench` measures biases and intervals as well; use it, and a
hundred groups or more, for a real answer.
"""

from __future__ import annotations

import argparse
import time
from itertools import combinations

from ranker import RankedGroup, rank_groups
from ranker.files import read_groups
from ranker.suites import load

parser = argparse.ArgumentParser(description="Compare judges on groups with ground truth.")
parser.add_argument("judges", nargs="+", help="as --judge of `ranker rank` takes them")
parser.add_argument("--groups", help="a group file whose trajectories have ground_truth")
parser.add_argument("--count", type=int, default=20, help="how many groups")


def longest(trajectories):
    return [len(t.messages[-1]["content"]) for t in trajectories]


def right(ranked: RankedGroup) -> list[float]:
    """For each pair of attempts with different truths: 1 if it is ordered rightly, 0 if wrongly, a half for a tie."""
    truths = [t.ground_truth for t in ranked.group.trajectories]
    pairs = [(i, j) for i, j in combinations(range(len(truths)), 2) if truths[i] != truths[j]]
    gaps = [(ranked.rewards[i] - ranked.rewards[j]) * (truths[i] - truths[j]) for i, j in pairs]
    return [0.5 if gap == 0 else float(gap > 0) for gap in gaps]


if __name__ == "__main__":
    given = parser.parse_args()
    groups = read_groups(given.groups) if given.groups else load("arithmetic", given.count).groups
    print(f"{'judge':<30}{'right':>7}{'failed':>8}{'seconds':>9}{'dollars':>9}")
    for judge in [longest, *given.judges]:
        started = time.monotonic()
        ranked = list(rank_groups(groups[: given.count], judge, on_error="skip", progress=False))
        pairs = [value for group in ranked if group.error is None for value in right(group)]
        share = f"{sum(pairs) / len(pairs):.2f}" if pairs else "-"
        failed = sum(group.error is not None for group in ranked)
        cost = sum(group.usage.cost_usd or 0 for group in ranked)
        name = judge if isinstance(judge, str) else judge.__name__
        print(f"{name:<30}{share:>7}{failed:>8}{time.monotonic() - started:>9.1f}{cost:>9.4f}")
