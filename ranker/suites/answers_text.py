"""How the answers suite words replies, and how it finds in a text which sentence says what."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial

from ranker.suites.attempts import capital
from ranker.suites.tables import load_split

SHAPES = ("paragraph", "paragraph", "parts", "bullets", "numbered", "labels", "email", "chat")
_MARK = re.compile(r"^(?:\d+[.)]|[-*•]) ")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True, slots=True)
class Point:
    """Something that can be asked about a subject; the tables say what the fields hold."""

    about: str
    asks: tuple[str, ...]
    answers: tuple[str, ...]
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Topic:
    """Subjects of one kind, of which the same can be asked."""

    key: str
    names: tuple[str, ...]
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Words:
    """One split's material; the tables say what the fields hold."""

    topics: tuple[Topic, ...]
    before: tuple[str, ...]
    joined: tuple[str, ...]
    listed: tuple[str, ...]
    nouns: tuple[str, ...]
    evasions: tuple[str, ...]
    fillers: tuple[str, ...]
    greetings: tuple[str, ...]
    closings: tuple[str, ...]
    openers: tuple[str, ...]
    again: tuple[str, ...]
    dear: tuple[str, ...]
    regards: tuple[str, ...]
    heads: tuple[str, ...]


words = partial(load_split, Words, "answers")


@dataclass(frozen=True, slots=True)
class Task:
    """What was asked: points of a topic, the most important first, about one of its subjects."""

    text: str
    topic: Topic
    name: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Sentence:
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
        text = self.text.replace("{s}", self.name).replace("{v}", self.value).replace("{a}", about)
        count = len(text.split()) - (0.5 * len(self.name.split()) if self.name == subject else 0)
        return count / 2 if self.cut else count


def label(point: Point) -> str:
    """What may stand before a colon, ahead of a sentence on this point."""
    return capital(point.about.removeprefix("the "))


@cache
def meanings() -> dict[str, tuple[str, str, str]]:
    """All sentences that answer something, in small letters: topic, subject ("it" for none named), point."""
    return {
        answer.format(s=name, v=value).lower(): (topic.key, name, point.about)
        for topic in _topics()
        for point in topic.points
        for answer in point.answers
        for name in (*topic.names, "it")
        for value in point.values
    }


def _topics() -> tuple[Topic, ...]:
    return (*words(False).topics, *words(True).topics)


@cache
def _openings() -> tuple[str, ...]:
    return tuple(o.lower() for split in (False, True) for o in (*words(split).openers, *words(split).again))


@cache
def _labels() -> frozenset[str]:
    return frozenset(label(point).lower() for topic in _topics() for point in topic.points)


def body(text: str) -> str:
    """A text without the name under it."""
    for regards in (*words(False).regards, *words(True).regards):
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


def write(reply: Sequence[Sentence], task: Task, shape: str, words: Words, draw: random.Random) -> str:
    """The reply made of these sentences, in this order."""
    texts: list[str] = []
    last = task.name  # whom "it" means
    for k, one in enumerate(reply):
        text = one.text
        if one.kind == "answer":
            who = "it" if one.name == last and draw.random() < (0.25 if k == 0 else 0.6) else one.name
            text = text.format(s=who, v=one.value)
            last = one.name
        elif one.point is not None:
            text = text.format(a=one.point.about)
        if one.again:
            text = draw.choice(words.again) + text
        elif one.kind in {"answer", "evasion"} and k > 0 and draw.random() < 0.25:
            text = draw.choice(words.openers) + text
        text = capital(text)
        if shape == "labels" and one.point is not None:
            text = f"{label(one.point)}: {text}"
        if one.cut:
            pieces = text.split()
            text = " ".join(pieces[: draw.randint(2, max(2, len(pieces) - 2))]).rstrip(",.!?:")
        else:
            text += "!" if one.kind in {"greeting", "closing"} and draw.random() < 0.3 else "."
        texts.append(text)
    return _laid_out(texts, shape, bool(reply and reply[-1].cut), words, draw)


def _laid_out(texts: list[str], shape: str, cut: bool, words: Words, draw: random.Random) -> str:
    if shape == "paragraph":
        return " ".join(texts)
    if shape == "parts":
        places = sorted(draw.sample(range(1, len(texts)), min(len(texts) - 1, draw.choice((1, 2)))))
        ends = [0, *places, len(texts)]
        return "\n\n".join(" ".join(texts[a:b]) for a, b in itertools.pairwise(ends))
    if shape == "email":
        text = f"{draw.choice(words.dear)}\n\n{' '.join(texts)}"
        return text if cut else f"{text}\n\n{draw.choice(words.regards)}"
    if shape == "chat":
        return "\n".join(text.lower() for text in texts)
    head = draw.choice((*words.heads, ""))
    bullet = draw.choice(("- ", "* ", "• "))
    stop = draw.choice((".", ")"))
    lines = [
        {"bullets": f"{bullet}{text}", "numbered": f"{k}{stop} {text}"}.get(shape, text)
        for k, text in enumerate(texts, start=1)
    ]
    return "\n".join([head, *lines] if head else lines)
