"""What a judge goes by where the checker sees no difference: how often it prefers the shorter of two attempts that tie.

    python -m benchmarks.smollm2.ties build/smollm2/groups.jsonl --judge local --judge tuned --tuned build/smollm2/judge \\
      --json benchmarks/results/smollm2/ties.json

The groups are those of `benchmarks.smollm2.labelled` in which all attempts have the same grade; pairs of the same length, and pairs that the
judge ties, are left out.
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np

from benchmarks.harness import Json, add_record, parser, source, write_record
from benchmarks.smollm2.measures import words
from benchmarks.smollm2.run import RUBRIC, judge_named
from ranker import RankedGroup, TrajectoryGroup, rank_groups
from ranker.jsonl.group_file import read_groups
from ranker.statistics import ratio

MODULE = "benchmarks.smollm2.ties"


def tied(group: TrajectoryGroup) -> bool:
    return len({t.ground_truth for t in group.trajectories}) == 1


def shorter_preferred(ranked: RankedGroup) -> tuple[int, int]:
    """Pairs of different length that the judge ordered: those in which the shorter one is above, and all."""
    lengths = [len(words(str(t.messages[-1]["content"]))) for t in ranked.group.trajectories]
    seen = [
        (lengths[i] < lengths[j]) == (above > below)
        for (i, above), (j, below) in combinations(enumerate(ranked.rewards), 2)
        if above is not None and below is not None and above != below and lengths[i] != lengths[j]
    ]
    return sum(seen), len(seen)


def measure(judge: str, groups: list[TrajectoryGroup], tuned: Path | None) -> Json:
    done = rank_groups(groups, judge=judge_named(judge, str(tuned)), rubric=RUBRIC, cache="off")
    counts = np.array([shorter_preferred(ranked) for ranked in done if ranked.error is None], dtype=float)
    share = ratio(counts[:, 0], counts[:, 1], share=True)
    return {
        "judge": judge,
        "groups": len(counts),
        "pairs": int(counts[:, 1].sum()),
        "shorter": share.to_dict(3),
    }


def main() -> None:
    options = parser(MODULE, __doc__)
    options.add_argument("groups", type=Path)
    options.add_argument("--judge", action="append", required=True)
    options.add_argument("--tuned", type=Path, metavar="FOLDER")
    add_record(options)
    chosen = options.parse_args()
    if "tuned" in chosen.judge and chosen.tuned is None:
        options.error("--judge tuned needs --tuned FOLDER, which ranker tune-judge wrote.")
    groups = [group for group in read_groups(chosen.groups) if tied(group)]
    rows = [measure(judge, groups, chosen.tuned) for judge in chosen.judge]
    write_record(chosen.json, {**source(MODULE, torch=True), "rows": rows})


if __name__ == "__main__":
    main()
