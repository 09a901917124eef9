"""The constraints suite: short pieces of writing, each with three to five requirements that a program can check.

Texts are composed of clauses about a subject so that they meet some requirements and miss others. Truth is what the
checkers find in the text (`constraints_checks.score`): the share met, where an earlier listed requirement weighs a
little more than a later one.
"""

from __future__ import annotations

import random
from typing import Any

from ranker import TrajectoryGroup
from ranker.suites.attempts import replies
from ranker.suites.constraints_checks import Constraint, met, score
from ranker.suites.constraints_text import LENGTHS, SHAPES, Task, write
from ranker.suites.constraints_words import HELD_OUT, TRAINING, YEARS, Words
from ranker.suites.draw import rng

RUBRIC = (
    "The text that meets more of the listed requirements, taken literally, is better; between texts that meet equally "
    "many, the one that meets those listed earlier."
)
_CLASHES = (  # of each line at most one is asked for
    SHAPES, LENGTHS, ("exclaim", "end"), ("alphabetical", "end"), ("quoted", "exclaim"), ("quoted", "start"), ("acrostic", "start"),
    ("acrostic", "lower"), ("acrostic", "quoted"), ("verbs", "start"), ("alphabetical", "start"), ("title", "start"),
    ("title", "numbered"), ("title", "sentences"), ("title", *LENGTHS), ("title", "each"), ("question", "verbs"),
    ("question", "alphabetical"), ("question", "each"), ("question", "exclaim", "end"), ("word", "twice"), ("quoted", "bullets"),
    ("each", "least"), ("each", "between"), ("verbs", "each"), ("title", "acrostic"), ("title", "lower"), ("title", "quoted"),
    ("acrostic", "each"), ("quoted", "numbered"), ("twice", "number"),
)  # fmt: skip


def groups(
    n: int, seed: int = 0, *, size: int = 4, difficulty: float = 0.5, held_out: bool = True
) -> list[TrajectoryGroup]:
    """Groups of short texts. At difficulty 0 they miss many requirements by far; at 1 few and by a hair."""
    return [_group(i, seed, size, difficulty, held_out) for i in range(n)]


def _group(i: int, seed: int, size: int, difficulty: float, held_out: bool) -> TrajectoryGroup:
    if size < 2:
        raise ValueError(f"A group needs at least two trajectories, not {size}.")
    random_ = rng("constraints", seed, i, size, float(difficulty), held_out)
    material = HELD_OUT if held_out else TRAINING
    task = draw_task(material, random_)
    while True:
        texts = [
            write(task, missed, difficulty, material, random_)
            for missed in _plans(task, size, difficulty, random_)
        ]
        truths = [score(text, task.constraints) for text in texts]
        if len(set(truths)) > 1:
            break
    marks = [{"points": [float(met(text, c)) for c in task.constraints]} for text in texts]
    members = replies(task.text, texts, truths, marks)
    kinds = [c.kind for c in task.constraints]
    return TrajectoryGroup(
        members,
        id=f"constraints-{seed}-{i}",
        rubric=RUBRIC,
        metadata={"template": task.subject, "kinds": kinds},
    )


def draw_task(material: Words, random_: random.Random) -> Task:
    """A subject with three to five constraints that can all be met at once."""
    subject = random_.choice(list(material.subjects))
    count = random_.choice((3, 4, 4, 5, 5))
    kinds: list[str] = []
    shape = random_.choice([k for k in material.told if k in SHAPES])
    pool = [k for k in material.told if k not in SHAPES and k not in LENGTHS]
    length = random_.choice(LENGTHS)
    for kind in [
        *random_.sample((shape, length), random_.choice((1, 2, 2))),
        *random_.sample(pool, len(pool)),
    ]:
        clash = any(kind in line and any(k in line for k in kinds) for line in _CLASHES)
        if len(kinds) < count and not clash:
            kinds.append(kind)
    random_.shuffle(kinds)
    word = random_.choice(material.acrostics)
    units = len(word) if "acrostic" in kinds else random_.choice((3, 3, 4, 4, 5))
    around = units * random_.choice((9, 10) if "least" in kinds else (9, 10, 11))
    if shape in kinds and shape in {"acrostic", "verbs"}:  # their openings take words of their own
        around += units
    if "question" in kinds:
        around += 4
    values: dict[str, Any] = {
        "acrostic": word, "most": around, "least": around, "between": (around - 3, around + 3), "each": random_.choice((11, 12, 13)),
        "word": random_.choice(list(material.must)), "twice": random_.choice(list(material.must)),
        "avoid": random_.choice(list(material.avoid)), "start": random_.choice(material.starts),
        "end": random_.choice(list(material.ends)), "number": random_.choice(YEARS),
    }  # fmt: skip
    constraints = []
    for kind in kinds:
        value = values.get(kind, units if kind in SHAPES else None)
        constraints.append(Constraint(kind, value, random_.choice(material.told[kind]).format(v=value)))
    lead = random_.choice(material.leads).format(s=subject)
    marker = _one_of(material.markers, random_)
    listed = "\n".join(f"{marker.format(k=k)} {c.told}" for k, c in enumerate(constraints, start=1))
    text = _one_of(material.listings, random_).format(lead=lead, listed=listed)
    return Task(text, subject, tuple(constraints), units)


def _one_of(options: tuple[str, ...], random_: random.Random) -> str:
    """One of some options; a single one takes no draw."""
    return random_.choice(options) if len(options) > 1 else options[0]


def _plans(task: Task, size: int, difficulty: float, random_: random.Random) -> list[frozenset[str]]:
    """Which kinds each text is to miss: different sets where there are enough, in an order that says nothing."""
    kinds = [c.kind for c in task.constraints]
    most = len(kinds) * (1 - difficulty) + 1.6 * difficulty
    best = 1 if random_.random() < 0.25 else 0  # in some groups nobody meets everything
    plans: list[frozenset[str]] = []
    for k in range(size):
        count = best + round((most - best) * (k + random_.uniform(-0.3, 0.3)) / max(1, size - 1))
        plan = frozenset[str]()
        for _ in range(6):
            plan = frozenset(random_.sample(kinds, min(max(count, 0), len(kinds))))
            if plan not in plans:
                break
            count += random_.choice((0, 0, 1)) if count < 2 else random_.choice((-1, 0))
        plans.append(plan)
    random_.shuffle(plans)
    return plans
