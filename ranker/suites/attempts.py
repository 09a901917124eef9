"""What the generated suites share: the drawing of groups, plans of graded worth, replies, and their padding."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ranker import Trajectory, TrajectoryGroup

P = TypeVar("P")
Members = tuple[list[Trajectory], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Generator:
    """The function `groups` of a suite.

    Attributes:
        name: of the suite; ids begin with it.
        rubric: of every group.
        members: given a random generator, the size, the difficulty and `held_out`, a group's attempts and metadata.
    """

    name: str
    rubric: str
    members: Callable[[random.Random, int, float, bool], Members]

    def __call__(
        self, n: int, seed: int = 0, *, size: int = 4, difficulty: float = 0.5, held_out: bool = True
    ) -> list[TrajectoryGroup]:
        """n groups of `size` attempts. At difficulty 0 they differ by a lot, at 1 by little.

        Raises:
            ValueError: a size below 2.
        """
        if size < 2:
            raise ValueError(f"A group needs at least two trajectories, not {size}.")
        groups = []
        for i in range(n):
            members, metadata = self.members(
                self.rng(i, seed, size, difficulty, held_out), size, difficulty, held_out
            )
            groups.append(
                TrajectoryGroup(members, id=f"{self.name}-{seed}-{i}", rubric=self.rubric, metadata=metadata)
            )
        return groups

    def rng(self, i: int, seed: int, size: int, difficulty: float, held_out: bool) -> random.Random:
        """The random generator of group i: it depends on nothing but what names the group, on every machine."""
        return random.Random(f"{self.name}/{seed}/{i}/{size}/{float(difficulty)}/{held_out}")


def spread(
    size: int,
    most: float,
    flawed: float,
    tries: int,
    draw: random.Random,
    plan: Callable[[int], P],
    worth: Callable[[P], object] = lambda plan: plan,
    again: Callable[[int], int] = lambda count: count,
) -> list[P]:
    """Plans of different worth, in an order that says nothing.

    Args:
        most: mistakes (or points) of the last of them; the first has none, the others lie between.
        flawed: the chance that even the first has one.
        tries: how often a plan is drawn that is worth what another is already.
        plan: draws a plan with so many mistakes.
        worth: what two plans should differ in.
        again: the number of mistakes for the next try.
    """
    best = 1 if draw.random() < flawed else 0
    plans: list[P] = []
    seen: list[object] = []
    for k in range(size):
        count = best + round((most - best) * (k + draw.uniform(-0.3, 0.3)) / max(1, size - 1))
        for _ in range(tries):
            drawn = plan(count)
            value = worth(drawn)
            if value not in seen:
                break
            count = again(count)
        seen.append(value)
        plans.append(drawn)
    draw.shuffle(plans)
    return plans


def replies(
    task: str,
    write: Callable[[], Sequence[str]],
    score: Callable[[str], float],
    marks: Callable[[str], dict[str, Any]],
    distinct: bool = False,
) -> list[Trajectory]:
    """A trajectory for each reply to the same user message, named a, b, c in their order.

    Args:
        write: draws replies; again until their truths are not all the same.
        score: a reply's truth.
        marks: what a reply's points and passages are worth (see `ranker.tuning.process_labels`).
        distinct: whether no two replies may be alike.
    """
    while True:
        texts = write()
        truths = [score(text) for text in texts]
        if len(set(truths)) > 1 and not (distinct and len(set(texts)) < len(texts)):
            break
    opening = {"role": "user", "content": task}
    return [
        Trajectory(
            [opening, {"role": "assistant", "content": text}],
            id=chr(97 + k) if len(texts) <= 26 else f"t{k}",
            ground_truth=truth,
            metadata={"marks": marks(text)},
        )
        for k, (text, truth) in enumerate(zip(texts, truths, strict=True))
    ]


def padded(
    parts: Sequence[str],
    pool: Sequence[tuple[int, str]],
    room: float,
    gap: int,
    most: tuple[int, int, int],
    draw: random.Random,
) -> tuple[list[str], list[str], list[str]]:
    """Remarks before the parts of a reply, the parts with remarks between them, and remarks after them.

    Args:
        pool: remarks, and whether they stand before (0), between (1) or after (2) the parts.
        room: how many characters are to be filled.
        gap: characters between two parts.
        most: the most remarks of each place.
    """
    chosen: tuple[list[str], list[str], list[str]] = ([], [], [])
    for place, remark in draw.sample(pool, len(pool)):
        if len(remark) + gap <= room + 12 and len(chosen[place]) < most[place]:
            chosen[place].append(remark)
            room -= len(remark) + gap
    between = list(parts)
    for remark in chosen[1]:
        between.insert(draw.randint(min(1, len(between)), max(1, len(between) - 1)), remark)
    return chosen[0], between, chosen[2]


def capital(text: str) -> str:
    """With a capital at the beginning."""
    return text[:1].upper() + text[1:]


def tool(name: str, description: str, /, **properties: Any) -> dict[str, Any]:
    """The definition of a tool in OpenAI's format; it requires all its properties."""
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": parameters},
    }


def turn_values(scores: Sequence[tuple[float, float]]) -> list[float]:
    """What each turn did, from the score in hand and the best in reach before the first and after each: what it took from
    the best (below 0), or else what it added to the score in hand."""
    values = []
    for (held, best), (held_after, best_after) in itertools.pairwise(scores):
        lost = round(best_after - best, 9)
        values.append(lost if lost < 0 else max(0.0, round(held_after - held, 9)))
    return values
