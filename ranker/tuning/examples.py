"""Groups with a known order, as what a judge is tuned and measured on."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ranker.errors import ConfigurationError
from ranker.files import read_lines
from ranker.judges.base import Lineup
from ranker.judges.local.ways import Shown, shown
from ranker.trajectory import TrajectoryGroup
from ranker.tuning.marks import Marks, marks_of


@dataclass(frozen=True, slots=True)
class Example:
    """Attributes:
    id: of the group.
    shown: the texts of its attempts.
    truths_G: what is known of each, higher is better; at least two differ.
    opening: what its attempts were asked; groups with equal ones stay on one side of a split. Empty: nothing known.
    marks_G: what is known of parts of each attempt.
    """

    id: str
    shown: Shown
    truths_G: tuple[float, ...]
    opening: str = ""
    marks_G: tuple[Marks, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """Attributes:
    examples: groups that say which attempt is better.
    truth: where the truths are from: "ground_truth", or "ranking" of a judge.
    judge: that judge's name.
    left_out: groups in which nothing is better than anything, or that failed.
    """

    examples: tuple[Example, ...]
    truth: str
    judge: str | None
    left_out: int


def example(group: TrajectoryGroup, truths: Sequence[float], name: str) -> Example | None:
    """None where all truths are alike."""
    if len(set(truths)) < 2:
        return None
    bare = tuple(t.bare() for t in group.trajectories)
    lineup = Lineup(bare, group.task, group.rubric, reference=group.reference)
    marks = tuple(marks_of(t.metadata) for t in group.trajectories)
    return Example(name, shown(lineup), tuple(truths), opening_of(group), marks)


def opening_of(group: TrajectoryGroup) -> str:
    """What the attempts at a group were asked: its task, and the messages that they share before the first answer.

    System messages do not count where there is anything else, and case and white space never do, so that the same
    question under another system prompt is the same opening. Empty where the attempts share nothing.
    """
    asked: list[Mapping[str, Any]] = []
    for i, message in enumerate(group.trajectories[0].messages):
        others = (t.messages for t in group.trajectories)
        if message["role"] == "assistant" or any(len(o) <= i or o[i] != message for o in others):
            break
        asked.append(message)
    rules = ("system", "developer")
    parts = [m for m in asked if m["role"] not in rules] or ([] if group.task else asked)
    told = [group.task or "", *(json.dumps(m.get("content"), sort_keys=True, default=str) for m in parts)]
    return " ".join(" ".join(told).casefold().split())


def from_groups(groups: Iterable[TrajectoryGroup]) -> tuple[Example, ...]:
    """Groups with ground truth; those that lack it, or in which nothing differs, are left out."""
    made = []
    for i, group in enumerate(groups):
        truths = [t.ground_truth for t in group.trajectories]
        known = [float(t) for t in truths if t is not None]
        one = example(group, known, group.id or str(i)) if len(known) == len(truths) else None
        made += [one] if one else []
    return tuple(made)


def read_examples(path: Path, truth: str = "auto") -> Source:
    """Read a group file, or what `ranker rank` wrote.

    Args:
        truth: "ground_truth", "ranking" (the rewards of the judge that ranked the file), or "auto": the ranking
            where the file holds any, else the ground truth.

    Raises:
        ConfigurationError: a bad line, or no group that says which attempt is better.
    """
    lines = list(read_lines(path))
    bad = [str(line.error) for line in lines if line.error is not None]
    if bad:
        more = f" And {len(bad) - 3} more." if len(bad) > 3 else ""
        raise ConfigurationError(f"{path} has bad lines; mend or remove them. {' '.join(bad[:3])}{more}")
    ranked = [line for line in lines if isinstance(line.fields.get("rewards"), Mapping)]
    failed = sum(1 for line in lines if line.fields.get("error") and line not in ranked)
    if truth == "auto":
        truth = "ranking" if ranked else "ground_truth"
    made: list[Example] = []
    for line in lines:
        group = line.group
        if group is None:
            continue
        truths = _rewards(line.fields, group) if truth == "ranking" else _truths(group)
        one = None if truths is None else example(group, truths, line.id)
        made += [one] if one else []
    if not made:
        wanted = {
            "ranking": "give the file that `ranker rank --out` wrote, with a judge that does not tie all",
            "ground_truth": "give groups in which every trajectory has ground_truth, and they differ",
        }[truth]
        raise ConfigurationError(
            f"{path} has {len(lines)} groups ({failed} failed), and no {truth} that says which attempt is better: "
            f"{wanted}."
        )
    judges = {str(line.fields.get("judge")) for line in ranked}
    judge = ", ".join(sorted(judges)) if truth == "ranking" else None
    return Source(tuple(made), truth, judge, len(lines) - len(made))


def _truths(group: TrajectoryGroup) -> list[float] | None:
    truths = [t.ground_truth for t in group.trajectories]
    return None if any(t is None for t in truths) else [float(t or 0.0) for t in truths]


def _rewards(fields: Mapping[str, Any], group: TrajectoryGroup) -> list[float] | None:
    rewards = fields.get("rewards")
    if not isinstance(rewards, Mapping):
        return None
    try:
        made = [float(rewards[name]) for name in group.ids]
    except (KeyError, TypeError, ValueError):
        made = [math.nan]
    if not all(map(math.isfinite, made)):
        raise ConfigurationError(
            f"Group {fields.get('id')!r}: its rewards are not one finite number for each of its trajectories. "
            "Rank it again with `ranker rank`."
        )
    return made


def agreeing(
    truths_G: Sequence[float], scores_G: Sequence[float], tolerance: float = 0.0
) -> tuple[float, int]:
    """How many of the pairs whose truths differ the scores order as the truths do (a tie counts half), and how many
    such pairs there are. Attempts whose score is NaN do not count."""
    truth_GG = np.subtract.outer(truths_G, truths_G)
    score_GG = np.subtract.outer(scores_G, scores_G)
    better_GG = (truth_GG > 0) & ~np.isnan(score_GG)
    right = better_GG & (score_GG > tolerance)
    tied = better_GG & (abs(score_GG) <= tolerance)
    return float(right.sum() + 0.5 * tied.sum()), int(better_GG.sum())


def at_most(one: Example, most: int, seed: int) -> Example:
    """The example with at most this many of its attempts, drawn by seed, at least two of which differ."""
    n = len(one.truths_G)
    if n <= most:
        return one
    kept = sorted(apart(one.truths_G, random.Random(f"most/{seed}/{one.id}"))[:most])  # noqa: S311 - not secret
    fewer = replace(
        one.shown,
        attempts=tuple(one.shown.attempts[i] for i in kept),
        cut=tuple(one.shown.cut[i] for i in kept),
    )
    return replace(
        one,
        shown=fewer,
        truths_G=tuple(one.truths_G[i] for i in kept),
        marks_G=tuple(one.marks_G[i] for i in kept) if one.marks_G else (),
    )


def apart(truths_G: Sequence[float], rng: random.Random) -> list[int]:
    """A drawn order in which the first two differ in truth, where any do."""
    order = rng.sample(range(len(truths_G)), len(truths_G))
    other = next((i for i in order if truths_G[i] != truths_G[order[0]]), None)
    if other is not None:
        order.remove(other)
        order.insert(1, other)
    return order


def split(examples: Sequence[Example], shares: Sequence[float], seed: int) -> tuple[tuple[Example, ...], ...]:
    """Cut examples into parts of about these shares; what is left over goes to the first.

    Groups with the same opening stay in one part: a model that has seen a question's answers would otherwise be
    measured on that very question. They go, shuffled, those of which there are most before the others, to the part
    that lacks most.
    """
    together: dict[str, list[int]] = {}
    for i, one in enumerate(examples):
        together.setdefault(one.opening or f"\0{i}", []).append(i)
    rng = random.Random(f"split/{seed}")  # noqa: S311 - not secret
    bundles = rng.sample(list(together.values()), len(together))
    lacking = [round(share * len(examples)) for share in shares]
    lacking[0] += len(examples) - sum(lacking)
    parts: list[list[Example]] = [[] for _ in shares]
    for bundle in sorted(bundles, key=len, reverse=True):
        at = lacking.index(max(lacking))
        parts[at] += [examples[i] for i in bundle]
        lacking[at] -= len(bundle)
    return tuple(map(tuple, parts))
