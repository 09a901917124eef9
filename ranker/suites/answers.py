"""The answers suite: requests of two to four points about a subject, and replies that answer some of them.

A reply's sentences answer a point that was asked or one that was not, speak of another subject, evade, repeat,
say nothing, or break off at the end.

Truth, from the text and the task alone (`score`): the share of the asked points that a finished sentence answers
about the subject asked about, where an earlier point weighs a little more than a later one. 0.03 is taken off
for each sentence that answers something about another subject (for three at most), 0.05 for a text that breaks
off. "It" is the subject named last, at the beginning the one asked about. What was not asked, evasions,
repetitions, filler, layout, and length neither cost nor gain anything, and a fact is taken to be true whatever
it is. A reply that answers more points is always better than one that answers fewer.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from ranker import TrajectoryGroup
from ranker.suites.answers_text import (
    SHAPES,
    Said,
    Task,
    body,
    cap,
    meaning,
    sentences,
    write,
)
from ranker.suites.answers_words import HELD_OUT, TRAINING, Point, Topic, Words
from ranker.suites.attempts import replies
from ranker.suites.draw import rng

RUBRIC = (
    "The reply that really answers more of the points asked, about the subject asked about, is better; between "
    "equally many, the points asked first count a little more, then fewer sentences about another subject and no "
    "ending that breaks off. Length, layout, further details, repetitions, and filler count for nothing."
)
_PER_OFF_SUBJECT = 0.03
_MOST_OFF_SUBJECT = 3
_BREAKS_OFF = 0.05


def score(task: Task, text: str) -> float:
    """How well a reply answers a request, as the module says."""
    asked = [point.about for point in task.points]
    found = _found(task, text)
    answered = {about for _, about in found}
    off = sum(about == "" for _, about in found)
    weights = [10 + len(asked) - k for k in range(len(asked))]
    share = sum(w for w, about in zip(weights, asked, strict=True) if about in answered) / sum(weights)
    broken = body(text)[-1:] not in {".", "!", "?"}
    return round(max(0.0, share - _PER_OFF_SUBJECT * min(off, _MOST_OFF_SUBJECT) - _BREAKS_OFF * broken), 4)


def _found(task: Task, text: str) -> list[tuple[str, str | None]]:
    """Each sentence with the point that it answers about the subject asked about; "" for one that answers something
    about another, None for one that answers nothing."""
    made: list[tuple[str, str | None]] = []
    last = task.name
    for sentence in sentences(text):
        found = meaning(sentence)
        if found is None:
            made.append((sentence, None))
            continue
        topic, name, about = found
        last = last if name == "it" else name
        made.append((sentence, about if topic == task.topic.key and last == task.name else ""))
    return made


def marks(task: Task, text: str) -> dict[str, Any]:
    """Which of the points asked a reply answers, and which of its sentences answer one."""
    asked = [point.about for point in task.points]
    found = _found(task, text)
    answered = {about for _, about in found}
    return {
        "points": [float(about in answered) for about in asked],
        "passages": [[sentence, float(about in asked)] for sentence, about in found],
    }


def groups(
    n: int, seed: int = 0, *, size: int = 4, difficulty: float = 0.5, held_out: bool = True
) -> list[TrajectoryGroup]:
    """Groups of replies. At difficulty 0 they differ by many points; at 1 by one, or by one sentence astray."""
    return [_group(i, seed, size, difficulty, held_out) for i in range(n)]


def _group(i: int, seed: int, size: int, difficulty: float, held_out: bool) -> TrajectoryGroup:
    if size < 2:
        raise ValueError(f"A group needs at least two trajectories, not {size}.")
    random_ = rng("answers", seed, i, size, float(difficulty), held_out)
    words = HELD_OUT if held_out else TRAINING
    task = draw_task(words, random_)
    while True:
        texts = _texts(task, size, difficulty, words, random_)
        truths = [score(task, text) for text in texts]
        if len(set(truths)) > 1 and len(set(texts)) == size:
            break
    return TrajectoryGroup(
        replies(task.text, texts, truths, [marks(task, text) for text in texts]),
        id=f"answers-{seed}-{i}",
        rubric=RUBRIC,
        metadata={"template": task.topic.key},
    )


def draw_task(words: Words, random_: random.Random) -> Task:
    """A request about a subject, with two to four points."""
    topic = random_.choice(words.topics)
    name = random_.choice(topic.names)
    points = tuple(random_.sample(topic.points, random_.choice((2, 3, 3, 4, 4))))
    style = random_.choice(("joined", "joined", "apart", "listed", "nouns", "nouns"))
    if style == "nouns":
        text = random_.choice(words.nouns).format(s=name, q=_and([p.about for p in points]))
    elif style == "listed":
        it = random_.random() < 0.5
        asks = [random_.choice(p.asks).format(s="it" if it else name) for p in points]
        listed = "\n".join(f"{k}. {cap(ask)}?" for k, ask in enumerate(asks, start=1))
        text = random_.choice(words.listed).format(s=name, q=listed)
    else:
        asks = [random_.choice(p.asks).format(s="it" if k else name) for k, p in enumerate(points)]
        told = f"{cap(_and(asks))}?" if style == "joined" else " ".join(f"{cap(a)}?" for a in asks)
        text = random_.choice(words.joined).format(q=told)
    text = random_.choice(words.before) + text
    return Task(text.lower() if random_.random() < 0.12 else text, topic, name, points)


def _and(parts: list[str]) -> str:
    return f"{', '.join(parts[:-1])}{',' if len(parts) > 2 else ''} and {parts[-1]}"


class _Facts:
    """What is said to be true of each subject: the same in all replies of a group."""

    def __init__(self, random_: random.Random) -> None:
        self.random = random_
        self.known: dict[tuple[str, str, str], str] = {}

    def answer(self, topic: Topic, name: str, point: Point, **more: bool) -> Said:
        """A sentence that answers a point about a subject."""
        key = (topic.key, name, point.about)
        if key not in self.known:
            self.known[key] = self.random.choice(point.values)
        told = self.random.choice(point.answers)
        return Said("answer", told, topic, name, point, self.known[key], **more)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a reply is to be like: the points it answers, its sentences off the subject, whether it breaks off."""

    answered: tuple[Point, ...]
    off: int
    broken: bool


def _plans(task: Task, size: int, difficulty: float, random_: random.Random) -> list[_Plan]:
    """Replies of different worth, in an order that says nothing."""
    n = len(task.points)
    most = n * (1 - difficulty) + 1.1 * difficulty
    best = 1 if random_.random() < 0.25 else 0  # in some groups nobody answers everything
    plans: list[_Plan] = []
    for k in range(size):
        count = best + round((most - best) * (k + random_.uniform(-0.3, 0.3)) / max(1, size - 1))
        plan = None
        for _ in range(8):
            kept = random_.sample(task.points, n - min(max(count, 0), n))
            plan = _Plan(
                tuple(p for p in task.points if p in kept),
                random_.choice((0, 0, 0, 1, 1, 2)),
                random_.random() < 0.2,
            )
            if plan not in plans:
                break
        assert plan is not None
        plans.append(plan)
    random_.shuffle(plans)
    return plans


def _texts(task: Task, size: int, difficulty: float, words: Words, random_: random.Random) -> list[str]:
    """Replies filled up to lengths that are drawn with no eye to their worth."""
    facts = _Facts(random_)
    plans = _plans(task, size, difficulty, random_)
    cores = [_core(task, plan, difficulty, words, facts, random_) for plan in plans]
    least = max(sum(one.length(task.name) for one in core) for core in cores)
    texts = []
    for core, plan in zip(cores, plans, strict=True):
        shape = random_.choice(SHAPES)
        target = least + random_.uniform(2, 34)
        said = _padded(core, plan, task, target, words, facts, random_)
        texts.append(write(said, task, shape, words, random_))
    return texts


def _core(
    task: Task, plan: _Plan, difficulty: float, words: Words, facts: _Facts, random_: random.Random
) -> list[Said]:
    """The answers, what stands in place of those that are not given, and what is off the subject."""
    core: list[Said] = []
    off = plan.off
    other = random_.choice([name for name in task.topic.names if name != task.name])
    for point in task.points:
        if point in plan.answered:
            core.append(facts.answer(task.topic, task.name, point))
        elif off and random_.random() < 0.7:  # the right point, of the wrong subject
            core.append(facts.answer(task.topic, other, point))
            off -= 1
        elif random_.random() < 0.6:
            core.append(Said("evasion", random_.choice(words.evasions), point=point))
    if random_.random() < 0.3:
        random_.shuffle(core)
    for _ in range(off):
        topic, name = task.topic, other
        if random_.random() < 0.7 - 0.5 * difficulty:
            topic = random_.choice([t for t in words.topics if t is not task.topic])
            name = random_.choice(topic.names)
        one = facts.answer(topic, name, random_.choice(topic.points))
        core.insert(random_.randint(0, len(core)), one)
    return core


def _padded(
    core: list[Said],
    plan: _Plan,
    task: Task,
    target: float,
    words: Words,
    facts: _Facts,
    random_: random.Random,
) -> list[Said]:
    """With filler, details nobody asked for, and repetitions, until it is about as long as `target`."""
    said = list(core)
    end: list[Said] = []
    if plan.broken:
        missing = [p for p in task.points if p not in plan.answered]
        if not missing or random_.random() < 0.4:
            missing = [p for p in task.topic.points if p not in task.points] or list(task.points)
        end = [facts.answer(task.topic, task.name, random_.choice(missing), cut=True)]
    elif random_.random() < 0.4:
        end = [Said("closing", random_.choice(words.closings))]
    start = [Said("greeting", random_.choice(words.greetings))] if random_.random() < 0.4 else []
    fillers = random_.sample(words.fillers, len(words.fillers))
    unasked = [p for p in task.topic.points if p not in task.points]
    random_.shuffle(unasked)
    taste = random_.choice((0.2, 0.5, 0.8))
    while (left := target - sum(one.length(task.name) for one in (*start, *said, *end))) > 0 and fillers:
        draw = random_.random()
        repeatable = [
            k
            for k, one in enumerate(said)
            if one.kind == "answer" and not one.again and (one.topic, one.name) == (task.topic, task.name)
        ]
        if draw < 0.12 and repeatable:
            k = random_.choice(repeatable)
            point = said[k].point
            assert point is not None
            one = facts.answer(task.topic, task.name, point, again=True)
            place = random_.randint(k + 1, len(said))
        elif draw < 0.12 + 0.88 * taste and unasked:
            one = facts.answer(task.topic, task.name, unasked.pop())
            place = random_.randint(0, len(said))
        else:
            one = Said("filler", fillers.pop())
            place = random_.randint(0, len(said))
        if one.length(task.name) / 2 > left:  # nearer to the target without it
            break
        said.insert(place, one)
    return [*start, *said, *end]
