"""Groups of the start policy with their truth, as a file: what a judge of one's own is tuned on before training.

    python -m benchmarks.smollm2.labelled groups.jsonl
    ranker tune-judge groups.jsonl --start local --out judge
    python -m benchmarks.smollm2 --out benchmarks/results/smollm2 --judge tuned --tuned judge

The tasks are those that are trained on, none of the held-out ones.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.harness import parser
from benchmarks.judges.tuned_judge import line
from benchmarks.smollm2.run import RUBRIC, trainer_for, truths
from grpo.demo.instructions import rows
from grpo.types import RolloutGroup
from ranker.trajectory import Trajectory, TrajectoryGroup

SEED = 2_000_003  # of the draws; training and the held-out tasks draw from others


def labelled(group: RolloutGroup) -> TrajectoryGroup:
    """A rolled out group with its truth; attempts that failed are left out."""
    attempts = [
        Trajectory(list(rollout.trajectory.messages), ground_truth=truth)
        for rollout, truth in zip(group.rollouts, group.ground_truths, strict=True)
        if rollout.trajectory is not None
    ]
    return TrajectoryGroup(attempts, id=group.example["id"], rubric=RUBRIC)


def main() -> int:
    options = parser("benchmarks.smollm2.labelled", __doc__)
    options.add_argument("out", type=Path)
    options.add_argument("--groups", type=int, default=200)
    options.add_argument("--attempts", type=int, default=4)
    options.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    chosen = options.parse_args()
    trainer = trainer_for(truths, seed=0, steps=1, dtype=chosen.dtype, out=None)
    groups = trainer.evaluate(rows(chosen.groups), chosen.attempts, SEED)
    trainer.close()
    chosen.out.write_bytes(b"".join(line(labelled(group)) for group in groups))
    return 0


if __name__ == "__main__":
    sys.exit(main())
