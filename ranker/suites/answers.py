"""The answers suite: requests of two to four points about a subject, and replies that answer some of them.

A reply's sentences answer a point that was asked or one that was not, speak of another subject, evade, repeat,
say nothing, or break off at the end.

Truth, from the text and the task alone (`score`): the share of the asked points that a finished sentence answers
about the subject asked about, where an earlier point weighs a little more than a later one. 0.03 is taken off
for each sentence that answers something about another subject (for three at most), 0.05 for a text that breaks
off. "It" is the subject named last, at the beginning the one asked about. What was not asked, evasions,
repetitions, filler, layout, and length neither cost nor gain anything, and a fact is taken to be true whatever
it is. A reply that answers more points is always better than one that answers fewer.

At difficulty 0 replies differ by many points; at 1 by one, or by one sentence astray.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import partial
from typing import Any

from ranker.suites.answers_text import (
    SHAPES,
    Point,
    Sentence,
    Task,
    Topic,
    Words,
    body,
    meaning,
    sentences,
    words,
    write,
)
from ranker.suites.attempts import Generator, Members, capital, replies, spread

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
    answers = [about for _, about in _answers(task, text)]
    weights = [10 + len(asked) - k for k in range(len(asked))]
    share = sum(w for w, about in zip(weights, asked, strict=True) if about in answers) / sum(weights)
    off = min(answers.count(""), _MOST_OFF_SUBJECT)
    broken = body(text)[-1:] not in {".", "!", "?"}
    return round(max(0.0, share - _PER_OFF_SUBJECT * off - _BREAKS_OFF * broken), 4)


def _answers(task: Task, text: str) -> list[tuple[str, str | None]]:
    """Each sentence with the point that it answers about the subject asked about; "" for one that answers something
    about another, None for one that answers nothing."""
    answers: list[tuple[str, str | None]] = []
    last = task.name
    for sentence in sentences(text):
        says = meaning(sentence)
        if says is None:
            answers.append((sentence, None))
            continue
        topic, name, about = says
        last = last if name == "it" else name
        answers.append((sentence, about if topic == task.topic.key and last == task.name else ""))
    return answers


def marks(task: Task, text: str) -> dict[str, Any]:
    """Which of the points asked a reply answers, and which of its sentences answer one."""
    asked = [point.about for point in task.points]
    answers = _answers(task, text)
    answered = {about for _, about in answers}
    return {
        "points": [float(about in answered) for about in asked],
        "passages": [[sentence, float(about in asked)] for sentence, about in answers],
    }


def _members(draw: random.Random, size: int, difficulty: float, held_out: bool) -> Members:
    material = words(held_out)
    task = draw_task(material, draw)
    texts = partial(_texts, task, size, difficulty, material, draw)
    members = replies(task.text, texts, partial(score, task), partial(marks, task), distinct=True)
    return members, {"template": task.topic.key}


groups = Generator("answers", RUBRIC, _members)


def draw_task(words: Words, draw: random.Random) -> Task:
    """A request about a subject, with two to four points."""
    topic = draw.choice(words.topics)
    name = draw.choice(topic.names)
    points = tuple(draw.sample(topic.points, draw.choice((2, 3, 3, 4, 4))))
    style = draw.choice(("joined", "joined", "apart", "listed", "nouns", "nouns"))
    if style == "nouns":
        text = draw.choice(words.nouns).format(s=name, q=_and([p.about for p in points]))
    elif style == "listed":
        it = draw.random() < 0.5
        asks = [draw.choice(p.asks).format(s="it" if it else name) for p in points]
        listed = "\n".join(f"{k}. {capital(ask)}?" for k, ask in enumerate(asks, start=1))
        text = draw.choice(words.listed).format(s=name, q=listed)
    else:
        asks = [draw.choice(p.asks).format(s="it" if k else name) for k, p in enumerate(points)]
        joined = f"{capital(_and(asks))}?" if style == "joined" else " ".join(f"{capital(a)}?" for a in asks)
        text = draw.choice(words.joined).format(q=joined)
    text = draw.choice(words.before) + text
    return Task(text.lower() if draw.random() < 0.12 else text, topic, name, points)


def _and(parts: list[str]) -> str:
    return f"{', '.join(parts[:-1])}{',' if len(parts) > 2 else ''} and {parts[-1]}"


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a reply is to be like: the points it answers, its sentences off the subject, whether it breaks off."""

    answered: tuple[Point, ...]
    off: int
    broken: bool


def _texts(task: Task, size: int, difficulty: float, words: Words, draw: random.Random) -> list[str]:
    """Replies filled up to lengths that are drawn with no eye to their worth."""
    n = len(task.points)

    def plan(count: int) -> _Plan:
        answered = draw.sample(task.points, n - min(max(count, 0), n))
        in_order = tuple(p for p in task.points if p in answered)
        return _Plan(in_order, draw.choice((0, 0, 0, 1, 1, 2)), draw.random() < 0.2)

    # In some groups nobody answers everything.
    plans = spread(size, n * (1 - difficulty) + 1.1 * difficulty, 0.25, 8, draw, plan)
    writer = _Writer(task, words, difficulty, draw)
    cores = [writer.core(plan) for plan in plans]
    least = max(map(writer.length, cores))
    texts = []
    for core, plan_ in zip(cores, plans, strict=True):
        shape = draw.choice(SHAPES)
        reply = writer.filled(core, plan_, least + draw.uniform(2, 34))
        texts.append(write(reply, task, shape, words, draw))
    return texts


class _Writer:
    """Writes the replies of a group, in all of which the same is said to be true of a subject."""

    def __init__(self, task: Task, words: Words, difficulty: float, draw: random.Random) -> None:
        self.task, self.words, self.difficulty, self.draw = task, words, difficulty, draw
        self.facts: dict[tuple[str, str, str], str] = {}

    def length(self, reply: list[Sentence]) -> float:
        return sum(one.length(self.task.name) for one in reply)

    def answer(self, topic: Topic, name: str, point: Point, **more: bool) -> Sentence:
        """A sentence that answers a point about a subject."""
        key = (topic.key, name, point.about)
        if key not in self.facts:
            self.facts[key] = self.draw.choice(point.values)
        return Sentence(
            "answer", self.draw.choice(point.answers), topic, name, point, self.facts[key], **more
        )

    def core(self, plan: _Plan) -> list[Sentence]:
        """The answers, what stands in place of those that are not given, and what is off the subject."""
        task, draw, off = self.task, self.draw, plan.off
        core: list[Sentence] = []
        other = draw.choice([name for name in task.topic.names if name != task.name])
        for point in task.points:
            if point in plan.answered:
                core.append(self.answer(task.topic, task.name, point))
            elif off and draw.random() < 0.7:  # the right point, of the wrong subject
                core.append(self.answer(task.topic, other, point))
                off -= 1
            elif draw.random() < 0.6:
                core.append(Sentence("evasion", draw.choice(self.words.evasions), point=point))
        if draw.random() < 0.3:
            draw.shuffle(core)
        for _ in range(off):
            topic, name = task.topic, other
            if draw.random() < 0.7 - 0.5 * self.difficulty:
                topic = draw.choice([t for t in self.words.topics if t is not task.topic])
                name = draw.choice(topic.names)
            one = self.answer(topic, name, draw.choice(topic.points))
            core.insert(draw.randint(0, len(core)), one)
        return core

    def filled(self, core: list[Sentence], plan: _Plan, target: float) -> list[Sentence]:
        """With filler, details nobody asked for, and repetitions, until it is about as long as `target`."""
        task, words, draw = self.task, self.words, self.draw
        reply = list(core)
        end: list[Sentence] = []
        if plan.broken:
            missing = [p for p in task.points if p not in plan.answered]
            if not missing or draw.random() < 0.4:
                missing = [p for p in task.topic.points if p not in task.points] or list(task.points)
            end = [self.answer(task.topic, task.name, draw.choice(missing), cut=True)]
        elif draw.random() < 0.4:
            end = [Sentence("closing", draw.choice(words.closings))]
        start = [Sentence("greeting", draw.choice(words.greetings))] if draw.random() < 0.4 else []
        fillers = draw.sample(words.fillers, len(words.fillers))
        unasked = [p for p in task.topic.points if p not in task.points]
        draw.shuffle(unasked)
        taste = draw.choice((0.2, 0.5, 0.8))
        while (left := target - self.length([*start, *reply, *end])) > 0 and fillers:
            luck, first = draw.random(), 0
            repeatable = [
                k
                for k, one in enumerate(reply)
                if one.kind == "answer" and not one.again and (one.topic, one.name) == (task.topic, task.name)
            ]
            if luck < 0.12 and repeatable:
                k = draw.choice(repeatable)
                point = reply[k].point
                assert point is not None
                one, first = self.answer(task.topic, task.name, point, again=True), k + 1
            elif luck < 0.12 + 0.88 * taste and unasked:
                one = self.answer(task.topic, task.name, unasked.pop())
            else:
                one = Sentence("filler", fillers.pop())
            place = draw.randint(first, len(reply))
            if one.length(task.name) / 2 > left:  # nearer to the target without it
                break
            reply.insert(place, one)
        return [*start, *reply, *end]
