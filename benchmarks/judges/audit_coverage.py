"""How often the intervals of an audit hold 0 for a judge without a bias.

    python -m benchmarks.judges.audit_coverage --json benchmarks/results/audit_coverage.json

A judge that reads nothing but an attempt's quality, through random error, is audited again and again with edits that
leave the quality alone; every lift is then 0, and a 95 % interval should hold it in 95 of 100 cases. The judge is a
Python function, so a hundred audits take minutes.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

from benchmarks.harness import Json, add_record, parser, say, source, write_record
from ranker import Trajectory, TrajectoryGroup, audit_judge
from ranker.debias.edits import chosen
from ranker.statistics import ratio

EDITS = ("padding", "more_padding", "self_praise", "flattery", "formatting")
NOISE = 0.3  # deviation of the error; qualities lie between 0 and 1


def groups(n: int, size: int, seed: int) -> Iterator[TrajectoryGroup]:
    """Attempts whose length says nothing of their quality."""
    rng = random.Random(f"groups {seed}")
    for g in range(n):
        attempts = []
        for _ in range(size):
            text = f"The quality {rng.random():.3f} is meant." + " So it goes on." * rng.randrange(8)
            attempts.append(Trajectory([{"role": "assistant", "content": text}]))
        yield TrajectoryGroup(attempts, id=f"g{g}", task="Say a quality.")


def held(of: tuple[int, int, int]) -> list[bool]:
    """For each edit of one audit, whether the interval of its places holds 0.

    Args:
        of: groups, attempts in each, seed.
    """
    count, size, seed = of

    def judge(trajectories: Sequence[Trajectory]) -> list[float]:
        texts = [str(t.messages[-1]["content"]) for t in trajectories]
        rng = random.Random(f"judge {seed} {texts}")
        qualities = [re.search(r"quality (\d\.\d+)", text) for text in texts]
        return [(float(q[1]) if q else 0.0) + rng.gauss(0, NOISE) for q in qualities]

    audit = audit_judge(groups(count, size, seed), judge, edits=chosen(EDITS), seed=seed, progress=False)
    return [
        lift.places.low <= 0.0 <= lift.places.high
        for lift in audit.lifts
        if lift.places.low is not None and lift.places.high is not None
    ]


def coverage(count: int, size: int, audits: int, workers: int = 2) -> Json:
    """Share of the intervals that hold 0, over all edits of all audits, with its own interval over audits."""
    with ProcessPoolExecutor(workers) as pool:
        rows = list(pool.map(held, [(count, size, seed) for seed in range(audits)]))
    import numpy as np

    share = ratio(np.array([sum(row) for row in rows]), np.array([len(row) for row in rows]), share=True)
    return {
        "groups": count,
        "size": size,
        "audits": audits,
        "seeds": [0, audits - 1],
        "edits": EDITS,
        "noise": NOISE,
        "intervals": sum(map(len, rows)),
        "hold_zero": share.to_dict(4),
    }


def main() -> int:
    options = parser("benchmarks.judges.audit_coverage", __doc__)
    options.add_argument("--groups", type=int, default=200, help="groups of each audit")
    options.add_argument("--size", type=int, default=8, help="attempts in a group")
    options.add_argument("--audits", type=int, default=100, help="how many audits")
    add_record(options)
    args = options.parse_args()
    record = {**source("benchmarks.judges.audit_coverage"), **coverage(args.groups, args.size, args.audits)}
    say(f"{record['hold_zero']['value']:.3f} of {record['intervals']} intervals hold 0")
    write_record(args.json, record)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
