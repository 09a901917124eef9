"""How often a judge is right about turns: its marks beside what each turn was worth.

    python -m benchmarks.judges.turn_marks --json benchmarks/results/turn_marks.json

Attempts at the returns desk, on letters worded as no training letter is, and at `toolenv` have known worths of turns
(`turn_truths`). A mark says that a turn was worth more or less than the same turn of others, so it is right where the worth lies
on that side of their mean; where the mean is what the turn is worth too, no mark is right. Intervals are 95 %, over groups.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.harness import Json, add_record, parser, say, source, write_record
from ranker import Trajectory, TrajectoryGroup, rank_group
from ranker.judges.credit import Credit
from ranker.statistics import ratio
from ranker.suites import desk, desk_world, toolenv
from ranker.trajectory import assistant_turns

MODULE = "benchmarks.judges.turn_marks"
ASKED: tuple[Credit | None, ...] = (None, "turns")
Attempts = tuple[str, list[Trajectory], list[list[float]]]  # rubric, attempts, worths of their turns


def at_the_desk(seed: int, size: int) -> Attempts:
    row, rng = desk_world.rows(1, seed, True)[0], random.Random(seed)
    attempts = [desk_world.clerk(row, (k + 0.5) / size, rng) for k in range(size)]
    return desk.RUBRIC, attempts, [desk_world.turn_truths(t, row) for t in attempts]


def with_tools(seed: int, size: int) -> Attempts:
    task = toolenv.task_of(seed, size=size)
    attempts, _ = toolenv.groups.members(toolenv.groups.rng(seed, 0, size, 0.5, True), size, 0.5, True)
    return toolenv.RUBRIC, attempts, [toolenv.turn_truths(t, task) for t in attempts]


SUITES: dict[str, Callable[[int, int], Attempts]] = {"desk": at_the_desk, "toolenv": with_tools}


def counted(
    marks: Sequence[Sequence[float | None]], worths: Sequence[Sequence[float]]
) -> tuple[int, int, int]:
    """Of a group: marks that are right, marks, and turns whose worth differs from the mean of the same turn of others."""
    right = named = telling = 0
    for turn in range(max(map(len, worths))):
        own = [(m[turn], w[turn]) for m, w in zip(marks, worths, strict=True) if turn < len(w)]
        mean = sum(w for _, w in own) / len(own)
        for mark, worth in own:
            named += mark is not None
            telling += abs(worth - mean) > 1e-9
            right += mark is not None and (worth - mean) * mark > 1e-9
    return right, named, telling


def measured(suite: str, judge: str, groups: int, size: int, first: int) -> Json:
    counts, turns, seconds = [], 0, [0.0, 0.0]
    for seed in range(first, first + groups):
        rubric, attempts, worths = SUITES[suite](seed, size)
        group = TrajectoryGroup(attempts, rubric=rubric)
        for i, credit in enumerate(ASKED):
            began = time.perf_counter()
            ranked = rank_group(group, judge, credit=credit, cache="off")
            seconds[i] += time.perf_counter() - began
        assert ranked.turn_rewards is not None
        counts.append(counted(ranked.turn_rewards, worths))
        turns += sum(len(assistant_turns(t)) for t in attempts)
    right_N, named_N, telling_N = np.array(counts, dtype=float).T
    return {
        "groups": groups,
        "attempts": size,
        "turns_per_attempt": round(turns / groups / size, 1),
        "marks_right": ratio(right_N, named_N, share=True).to_dict(4),
        "turns_marked": round(float(named_N.sum()) / turns, 4),
        "of_telling_turns": round(float(named_N.sum() / telling_N.sum()), 4),
        "seconds": [round(s / groups, 2) for s in seconds],
    }


def main() -> None:
    options = parser(MODULE, __doc__)
    options.add_argument("--judge", default="local")
    options.add_argument("--suite", action="append", choices=tuple(SUITES))
    options.add_argument("--groups", type=int, default=40)
    options.add_argument("--size", type=int, default=6)
    options.add_argument(
        "--first", type=int, default=1000, help="the first seed; smaller ones were used while this was made"
    )
    add_record(options)
    args = options.parse_args()
    suites: Json = {}
    for suite in args.suite or SUITES:
        suites[suite] = measured(suite, args.judge, args.groups, args.size, args.first)
        say(f"{suite}: {suites[suite]}")
        record = {"schema_version": 1, **source(MODULE, torch=True), "judge": args.judge, "suites": suites}
        if args.json:
            write_record(args.json, record)


if __name__ == "__main__":
    main()
