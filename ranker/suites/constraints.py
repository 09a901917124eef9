"""The constraints suite: short pieces of writing, each with three to five requirements that a program can check.

Texts are composed of clauses about a subject so that they meet some requirements and miss others. Truth is what the
checkers find in the text (`constraints_checks.score`): the share met, where an earlier listed requirement weighs a
little more than a later one. At difficulty 0 texts miss many requirements by far; at 1 few and by a hair.
"""

from __future__ import annotations

import random
from typing import Any

from ranker.suites.attempts import Generator, Members, replies, spread
from ranker.suites.constraints_checks import Constraint, met, score, shared
from ranker.suites.constraints_text import LENGTHS, SHAPES, Task, Words, words, write

RUBRIC = (
    "The text that meets more of the listed requirements, taken literally, is better; between texts that meet equally "
    "many, the one that meets those listed earlier."
)


def _members(draw: random.Random, size: int, difficulty: float, held_out: bool) -> Members:
    material = words(held_out)
    task = draw_task(material, draw)
    asked = task.constraints
    members = replies(
        task.text,
        lambda: [
            write(task, missed, difficulty, material, draw) for missed in _plans(task, size, difficulty, draw)
        ],
        lambda text: score(text, asked),
        lambda text: {"points": [float(met(text, c)) for c in asked]},
    )
    return members, {"template": task.subject, "kinds": [c.kind for c in asked]}


groups = Generator("constraints", RUBRIC, _members)


def draw_task(material: Words, draw: random.Random) -> Task:
    """A subject with three to five constraints that can all be met at once."""
    subject = draw.choice(list(material.subjects))
    count = draw.choice((3, 4, 4, 5, 5))
    kinds: list[str] = []
    shape = draw.choice([k for k in material.wordings if k in SHAPES])
    pool = [k for k in material.wordings if k not in SHAPES and k not in LENGTHS]
    length = draw.choice(LENGTHS)
    for kind in [
        *draw.sample((shape, length), draw.choice((1, 2, 2))),
        *draw.sample(pool, len(pool)),
    ]:
        clash = any(kind in line and any(k in line for k in kinds) for line in shared().clashes)
        if len(kinds) < count and not clash:
            kinds.append(kind)
    draw.shuffle(kinds)
    word = draw.choice(material.acrostics)
    units = len(word) if "acrostic" in kinds else draw.choice((3, 3, 4, 4, 5))
    around = units * draw.choice((9, 10) if "least" in kinds else (9, 10, 11))
    if shape in kinds and shape in {"acrostic", "verbs"}:  # their openings take words of their own
        around += units
    if "question" in kinds:
        around += 4
    values: dict[str, Any] = {
        "acrostic": word, "most": around, "least": around, "between": (around - 3, around + 3), "each": draw.choice((11, 12, 13)),
        "word": draw.choice(list(material.must)), "twice": draw.choice(list(material.must)),
        "avoid": draw.choice(list(material.avoid)), "start": draw.choice(material.starts),
        "end": draw.choice(list(material.ends)), "number": draw.choice(shared().years),
    }  # fmt: skip
    constraints = []
    for kind in kinds:
        value = values.get(kind, units if kind in SHAPES else None)
        constraints.append(Constraint(kind, value, draw.choice(material.wordings[kind]).format(v=value)))
    lead = draw.choice(material.leads).format(s=subject)
    marker = _one_of(material.markers, draw)
    listed = "\n".join(f"{marker.format(k=k)} {c.text}" for k, c in enumerate(constraints, start=1))
    text = _one_of(material.listings, draw).format(lead=lead, listed=listed)
    return Task(text, subject, tuple(constraints), units)


def _one_of(options: tuple[str, ...], draw: random.Random) -> str:
    """One of some options; a single one takes no draw."""
    return draw.choice(options) if len(options) > 1 else options[0]


def _plans(task: Task, size: int, difficulty: float, draw: random.Random) -> list[frozenset[str]]:
    """Which kinds each text is to miss: different sets where there are enough."""
    kinds = [c.kind for c in task.constraints]

    def plan(count: int) -> frozenset[str]:
        return frozenset(draw.sample(kinds, min(max(count, 0), len(kinds))))

    def again(count: int) -> int:
        return count + draw.choice((0, 0, 1) if count < 2 else (-1, 0))

    # In some groups nobody meets everything.
    most = len(kinds) * (1 - difficulty) + 1.6 * difficulty
    return spread(size, most, 0.25, 6, draw, plan, again=again)
