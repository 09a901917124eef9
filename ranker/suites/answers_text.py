"""How the answers suite words replies, and how it finds in a text which sentence says what."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from ranker.suites.answers_words import HELD_OUT, TRAINING, Point, Topic, Words

SHAPES = ("paragraph", "paragraph", "parts", "bullets", "numbered", "labels", "email", "chat")
_MARK = re.compile(r"^(?:\d+[.)]|[-*•]) ")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True, slots=True)
class Task:
    """What was asked: points of a topic, the most important first, about one of its subjects."""

    text: str
    topic: Topic
    name: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """One sentence of a reply.

    Attributes:
        kind: answer, evasion, filler, greeting, closing.
        text: a sentence, or one with `{s}`, `{v}` or `{a}` to fill in.
        topic: of an answer.
        name: the subject of an answer.
        point: what it answers, or evades.
        value: the fact that it states.
        again: whether it repeats an earlier one.
        cut: whether it breaks off.
    """

    kind: str
    text: str
    topic: Topic | None = None
    name: str = ""
    point: Point | None = None
    value: str = ""
    again: bool = False
    cut: bool = False

    def length(self, subject: str) -> float:
        """About how many words it takes, where `subject` is as often as not called "it"."""
        about = self.point.about if self.point else ""
        told = self.text.replace("{s}", self.name).replace("{v}", self.value).replace("{a}", about)
        words = len(told.split()) - (0.5 * len(self.name.split()) if self.name == subject else 0)
        return words / 2 if self.cut else words


def cap(text: str) -> str:
    """With a capital at the beginning."""
    return text[:1].upper() + text[1:]


def label(point: Point) -> str:
    """What may stand before a colon, ahead of a sentence on this point."""
    return cap(point.about.removeprefix("the "))


@cache
def meanings() -> dict[str, tuple[str, str, str]]:
    """All sentences that answer something, in small letters: topic, subject ("it" for none named), point."""
    known: dict[str, tuple[str, str, str]] = {}
    for topic in (*TRAINING.topics, *HELD_OUT.topics):
        for point in topic.points:
            for told in point.answers:
                for name in (*topic.names, "it"):
                    for value in point.values:
                        known[told.format(s=name, v=value).lower()] = (topic.key, name, point.about)
    return known


@cache
def _openings() -> tuple[str, ...]:
    return tuple(o.lower() for words in (TRAINING, HELD_OUT) for o in (*words.openers, *words.again))


@cache
def _labels() -> frozenset[str]:
    topics = (*TRAINING.topics, *HELD_OUT.topics)
    return frozenset(label(point).lower() for topic in topics for point in topic.points)


def body(text: str) -> str:
    """A text without the name under it."""
    for regards in (*TRAINING.regards, *HELD_OUT.regards):
        text = text.removesuffix(regards).rstrip()
    return text


def sentences(text: str) -> list[str]:
    """The sentences of a text, without what marks them as items of a list."""
    lines = (_MARK.sub("", line.strip()) for line in body(text).splitlines())
    return [s for line in lines for s in _SENTENCE_END.split(line) if s]


def meaning(sentence: str) -> tuple[str, str, str] | None:
    """What a sentence answers: topic, subject, point. One that is not finished answers nothing."""
    if sentence[-1:] not in {".", "!", "?"}:
        return None
    bare = sentence[:-1].lower()
    before, colon, after = bare.partition(": ")
    if colon and before in _labels():
        bare = after
    for opening in _openings():
        if bare.startswith(opening):
            bare = bare[len(opening) :]
            break
    return meanings().get(bare)


def write(said: Sequence[Said], task: Task, shape: str, words: Words, random_: random.Random) -> str:
    """The reply made of these sentences, in this order."""
    told: list[str] = []
    last = task.name  # whom "it" means
    for k, one in enumerate(said):
        text = one.text
        if one.kind == "answer":
            who = "it" if one.name == last and random_.random() < (0.25 if k == 0 else 0.6) else one.name
            text = text.format(s=who, v=one.value)
            last = one.name
        elif one.point is not None:
            text = text.format(a=one.point.about)
        if one.again:
            text = random_.choice(words.again) + text
        elif one.kind in {"answer", "evasion"} and k > 0 and random_.random() < 0.25:
            text = random_.choice(words.openers) + text
        text = cap(text)
        if shape == "labels" and one.point is not None:
            text = f"{label(one.point)}: {text}"
        if one.cut:
            pieces = text.split()
            text = " ".join(pieces[: random_.randint(2, max(2, len(pieces) - 2))]).rstrip(",.!?:")
        else:
            text += "!" if one.kind in {"greeting", "closing"} and random_.random() < 0.3 else "."
        told.append(text)
    return _laid_out(told, shape, bool(said and said[-1].cut), words, random_)


def _laid_out(told: list[str], shape: str, cut: bool, words: Words, random_: random.Random) -> str:
    if shape == "paragraph":
        return " ".join(told)
    if shape == "parts":
        places = sorted(random_.sample(range(1, len(told)), min(len(told) - 1, random_.choice((1, 2)))))
        ends = [0, *places, len(told)]
        return "\n\n".join(" ".join(told[a:b]) for a, b in itertools.pairwise(ends))
    if shape == "email":
        text = f"{random_.choice(words.dear)}\n\n{' '.join(told)}"
        return text if cut else f"{text}\n\n{random_.choice(words.regards)}"
    if shape == "chat":
        return "\n".join(text.lower() for text in told)
    head = random_.choice((*words.heads, ""))
    marks = random_.choice(("- ", "* ", "• "))
    numbers = random_.choice((".", ")"))
    lines = [
        {"bullets": f"{marks}{text}", "numbered": f"{k}{numbers} {text}"}.get(shape, text)
        for k, text in enumerate(told, start=1)
    ]
    return "\n".join([head, *lines] if head else lines)
