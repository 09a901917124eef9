"""How far bfloat16 alone moves the differences of a local judge's scores: `ranker.judges.local.ways.NOISE`.

Groups of generated suites are read in bfloat16 and in float32. Of each pair of attempts the difference of the two scores
is compared. Started again, it goes on.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np

from benchmarks.harness import exit_code, parser, say
from ranker.jsonl.appender import Appender, read_records
from ranker.judges.embedded import FOLDER
from ranker.judges.local.judge_file import Setup, read_judge, setup_from
from ranker.judges.local.logprob_judge import LogprobJudge
from ranker.judges.local.model import Dtype
from ranker.judges.local.models import DEFAULT
from ranker.judges.local.ways import way_named
from ranker.suites import load
from ranker.tuning.examples import from_groups

MODULE = "benchmarks.judges.precision"
SEED = 7
FAMILIES = ("arithmetic", "constraints")
PRECISIONS: tuple[Dtype, ...] = ("bfloat16", "float32")


def read(judge: str, setup: Setup, groups: int, sink: Appender) -> None:
    """Append the scores of the groups that the file lacks."""
    judges = {dtype: LogprobJudge(setup, cache="off", dtype=dtype) for dtype in PRECISIONS}
    for family in FAMILIES:
        for k, example in enumerate(from_groups(load(family, groups, seed=SEED).groups)):
            name = f"{judge}@{setup.way}/{family}/{k}"
            if name in sink.done:
                continue
            scores: dict[str, list[float]] = {}
            for dtype, one in judges.items():
                loaded = one.local.load()
                read, _ = one.read(loaded, one.fitted(loaded, example.shown))
                scores[dtype] = [round(score, 5) for score in read]
            sink.write({"id": name, "judge": judge, "way": setup.way, "family": family, **scores})


def moved(half: list[float], full: list[float]) -> list[float]:
    """Of each pair of attempts, how far apart its two differences are."""
    return [
        abs((half[i] - half[j]) - (full[i] - full[j])) for i, j in itertools.combinations(range(len(full)), 2)
    ]


def main() -> bool:
    options = parser(MODULE, __doc__)
    options.add_argument("--way", action="append", default=[], help="of SmolLM2-135M; repeatable")
    options.add_argument("--groups", type=int, default=6, help="of each family")
    options.add_argument("--out", type=Path, required=True)
    args = options.parse_args()
    sink = Appender(args.out, holds=("judge", "way"), what="record of precision")
    try:
        for way in map(way_named, args.way):
            read(f"local:{DEFAULT}", Setup(DEFAULT, way), args.groups, sink)
        read("local", setup_from(*read_judge(FOLDER)), args.groups, sink)
    finally:
        sink.close()
    by_way: dict[str, list[float]] = {}
    for record in read_records(args.out):
        by_way.setdefault(record["way"], []).extend(moved(record["bfloat16"], record["float32"]))
    for name, values in by_way.items():
        half, ninth = np.quantile(values, (0.5, 0.9))
        say(f"{name}: {len(values)} pairs, median {half:.4f}, nine of ten below {ninth:.4f}")
    return True


if __name__ == "__main__":
    sys.exit(exit_code(main))
