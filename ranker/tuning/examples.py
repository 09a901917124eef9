"""Groups with a known order: what a judge is tuned and measured on."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ranker.errors import ConfigurationError, GroupError
from ranker.jsonl.group_file import Line, read_lines, rewards_of
from ranker.judges.base import Lineup
from ranker.judges.local.ways import Shown, texts_of
from ranker.trajectory import TrajectoryGroup
from ranker.tuning.process_labels import ProcessLabels, labels_of

log = logging.getLogger("ranker")


@dataclass(frozen=True, slots=True)
class Example:
    """Attributes:
    id: of the group.
    shown: the texts of its attempts.
    truths_G: the truth of each attempt, higher is better; at least two differ.
    opening: what its attempts were asked; groups with equal openings stay on one side of a split. Empty: unknown.
    labels_G: process labels of each attempt.
    """

    id: str
    shown: Shown
    truths_G: tuple[float, ...]
    opening: str = ""
    labels_G: tuple[ProcessLabels, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """Attributes:
    examples: groups that say which attempt is better.
    truth: where the truths come from: "ground_truth", or a judge's "ranking".
    judge: that judge's name.
    left_out: groups that failed, or whose attempts are all tied.
    """

    examples: tuple[Example, ...]
    truth: str
    judge: str | None
    left_out: int


def example(group: TrajectoryGroup, truths: Sequence[float] | None, name: str) -> Example | None:
    """None if the truths are unknown or all equal."""
    if truths is None or len(set(truths)) < 2:
        return None
    bare = tuple(t.bare() for t in group.trajectories)
    lineup = Lineup(bare, group.task, group.rubric, reference=group.reference)
    labels = tuple(labels_of(t.metadata) or ProcessLabels() for t in group.trajectories)
    return Example(name, texts_of(lineup), tuple(truths), opening_of(group), labels)


def opening_of(group: TrajectoryGroup) -> str:
    """What the attempts of a group were asked: its task, and the messages they share before the first answer.

    System messages count only if there is nothing else, and case and white space never do, so that the same question
    under another system prompt is the same opening. Empty if the attempts share nothing.
    """
    asked: list[Mapping[str, Any]] = []
    for i, message in enumerate(group.trajectories[0].messages):
        others = (t.messages for t in group.trajectories)
        if message["role"] == "assistant" or any(len(o) <= i or o[i] != message for o in others):
            break
        asked.append(message)
    rules = ("system", "developer")
    parts = [m for m in asked if m["role"] not in rules] or ([] if group.task else asked)
    texts = [group.task or "", *(json.dumps(m.get("content"), sort_keys=True, default=str) for m in parts)]
    return " ".join(" ".join(texts).casefold().split())


def from_groups(groups: Iterable[TrajectoryGroup]) -> tuple[Example, ...]:
    """Groups with ground truth; those that lack it, or whose truths are all equal, are left out."""
    named = [(group.id or str(i), group) for i, group in enumerate(groups)]
    _warn_of_other_marks(named)
    every = (example(group, _truths(group), name) for name, group in named)
    return tuple(one for one in every if one is not None)


def _warn_of_other_marks(groups: Iterable[tuple[str, TrajectoryGroup]]) -> None:
    """Say once that `metadata.marks` of some attempts are no process labels, and are left aside."""
    others = [
        (name, t, group.ids[i])
        for name, group in groups
        for i, t in enumerate(group.trajectories)
        if labels_of(t.metadata) is None
    ]
    if others:
        name, first, of = others[0]
        log.warning(
            "metadata.marks of %d attempts are left aside; the first, %.60r, is that of trajectory %s of group %s. To be learned from, "
            'they look like {"passages": [["a part of the text", 1]]}, with numbers from 0 to 1.',
            len(others), first.metadata["marks"], of, name,
        )  # fmt: skip


def read_examples(path: Path, truth: str = "auto") -> Source:
    """Read a group file, or what `ranker rank` wrote.

    Args:
        truth: "ground_truth", "ranking" (the rewards of the judge that ranked the file), or "auto": the ranking
            if the file holds any, else the ground truth.

    Raises:
        ConfigurationError: a bad line, or no group that says which attempt is better.
    """
    lines = list(read_lines(path))
    bad = [str(line.error) for line in lines if line.error is not None and line.fields.get("error") is None]
    if bad:
        more = f" And {len(bad) - 3} more." if len(bad) > 3 else ""
        raise ConfigurationError(f"{path} has bad lines; correct or remove them. {' '.join(bad[:3])}{more}")
    rewards = {} if truth == "ground_truth" else {line.number: _rewards(path, line) for line in lines}
    failed = sum(line.fields.get("error") is not None for line in lines)
    if truth == "auto":
        truth = "ground_truth" if all(r is None for r in rewards.values()) else "ranking"
    _warn_of_other_marks((line.id, line.group) for line in lines if line.group is not None)
    every = [
        example(line.group, rewards[line.number] if truth == "ranking" else _truths(line.group), line.id)
        for line in lines
        if line.group is not None
    ]
    examples = tuple(one for one in every if one is not None)
    if not examples:
        wanted = {
            "ranking": "give the file that `ranker rank --out` wrote, with a judge that does not tie all",
            "ground_truth": "give groups in which every trajectory has ground_truth, and they differ",
        }[truth]
        raise ConfigurationError(
            f"{path} has {len(lines)} groups ({failed} failed), and no {truth} that says which attempt is better: "
            f"{wanted}."
        )
    judges = {str(line.fields.get("judge")) for line in lines if rewards.get(line.number) is not None}
    judge = ", ".join(sorted(judges)) if truth == "ranking" else None
    return Source(examples, truth, judge, len(lines) - len(examples))


def _truths(group: TrajectoryGroup) -> list[float] | None:
    truths = [t.ground_truth for t in group.trajectories]
    return None if any(t is None for t in truths) else [float(t or 0.0) for t in truths]


def _rewards(path: Path, line: Line) -> list[float] | None:
    try:
        return None if line.group is None else rewards_of(line.fields, line.group)
    except GroupError as error:
        raise ConfigurationError(f"{path}, line {line.number}: {error}") from None


def at_most(one: Example, most: int, seed: int) -> Example:
    """The example with at most this many of its attempts, drawn by seed, at least two of different truth."""
    n = len(one.truths_G)
    if n <= most:
        return one
    chosen = sorted(apart(one.truths_G, random.Random(f"most/{seed}/{one.id}"))[:most])  # noqa: S311 - not secret
    return replace(
        one,
        shown=one.shown.only(chosen),
        truths_G=tuple(one.truths_G[i] for i in chosen),
        labels_G=tuple(one.labels_G[i] for i in chosen) if one.labels_G else (),
    )


def apart(truths_G: Sequence[float], rng: random.Random) -> list[int]:
    """A random order in which the first two differ in truth, if any do."""
    order = rng.sample(range(len(truths_G)), len(truths_G))
    other = next((i for i in order if truths_G[i] != truths_G[order[0]]), None)
    if other is not None:
        order.remove(other)
        order.insert(1, other)
    return order


def split(examples: Sequence[Example], shares: Sequence[float], seed: int) -> tuple[tuple[Example, ...], ...]:
    """Split examples into parts of about these shares; the remainder goes to the first.

    Groups with the same opening stay in one part: otherwise a model would be measured on questions whose answers it has
    seen. Openings are assigned in random order, those with the most groups first, to the part that lacks most.
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
