"""The answers suite: what its truth says of hand-made replies, and the material it is made of."""

from __future__ import annotations

import itertools
import os
import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranker import TrajectoryGroup
from ranker.suites.answers import draw_task, groups, score
from ranker.suites.answers_text import (
    SHAPES,
    Said,
    Task,
    label,
    meaning,
    meanings,
    sentences,
    write,
)
from ranker.suites.answers_words import HELD_OUT, TRAINING, Point, Topic, Words

FERRY = next(topic for topic in TRAINING.topics if topic.key == "ferry")
ORLA = FERRY.names[0]
FARE, PLACE, BIKES = FERRY.points[:3]
TASK = Task("", FERRY, ORLA, (FARE, PLACE, BIKES))
PAID = "A single ticket for the ferry to Orla costs 6 euros."
LEAVES = "It leaves from pier 3."
BIKED = "It takes bicycles free of charge."
KELL = "The ferry to Kell leaves from the old harbour."
BOTH = [TRAINING, HELD_OUT]

CASES = [
    (f"{PAID} {LEAVES} {BIKED}", 1.0),
    (f"- {BIKED}\n- {LEAVES}\n- {PAID}", 1.0),
    (f"1) {PAID}\n2) Also, it leaves from pier 3.\n3) Bicycles on board: {BIKED}", 1.0),
    (f"{PAID} {LEAVES} {BIKED}".lower(), 1.0),
    (f"Hello,\n\n{PAID} {LEAVES} {BIKED}\n\nBest wishes,\nNora", 1.0),
    (f"{PAID} {LEAVES}", 25 / 36),
    (f"{PAID} {BIKED}", 24 / 36),
    (f"{LEAVES} {BIKED}", 23 / 36),
    (f"{PAID} Again, it is 6 euros one way. Expect to pay 6 euros for it.", 13 / 36),
    (f"{PAID} It has a small snack bar on the upper deck. Good luck!", 13 / 36),
    (f"{PAID} As for where it leaves, it depends, so please look it up.", 13 / 36),
    (f"{PAID} {KELL}", 13 / 36 - 0.03),
    (f"{PAID} {KELL} {BIKED}", 13 / 36 - 0.06),
    (f"{PAID} {KELL} The ferry to Orla takes bicycles free of charge.", 24 / 36 - 0.03),
    (f"{PAID} A beagle lives for 10 to 12 years.", 13 / 36 - 0.03),
    (f"{PAID} {' '.join([KELL] * 9)}", 13 / 36 - 0.09),
    (f"{PAID} {LEAVES} It takes bicycles free of", 25 / 36 - 0.05),
    (f"{PAID} {LEAVES} It takes bicycles free of charge", 25 / 36 - 0.05),
    ("Thanks for asking. I will tell you about the fare another time.", 0.0),
    (f"{KELL} It takes bicycles free of charge.", 0.0),
]


@pytest.mark.parametrize(("text", "truth"), CASES)
def test_truth_of_hand_made_replies(text: str, truth: float) -> None:
    assert score(TASK, text) == pytest.approx(truth, abs=1e-4)


def test_the_first_subject_asked_about_is_the_right_one() -> None:
    assert score(Task("", FERRY, FERRY.names[1], (FARE, PLACE)), KELL) == pytest.approx(11 / 23, abs=1e-4)


@given(n=st.integers(2, 4), data=st.data())
def test_one_more_point_outweighs_everything_else(n: int, data: st.DataObject) -> None:
    """However many sentences go astray, wherever a text breaks off, and whatever comes first."""
    points = FERRY.points[:n]
    task = Task("", FERRY, ORLA, points)
    told = [p.answers[0].format(s=ORLA, v=p.values[0]).capitalize() + "." for p in points]
    more = data.draw(st.lists(st.sampled_from(told), unique=True, min_size=1, max_size=n))
    fewer = data.draw(st.lists(st.sampled_from(told), unique=True, max_size=len(more) - 1))
    astray = data.draw(st.integers(0, 9))
    ending = data.draw(st.sampled_from(["", " It takes"]))
    assert score(task, " ".join([*more, *[KELL] * astray]) + ending) > score(task, " ".join(fewer))


@given(seed=st.integers(0, 10**6), shape=st.sampled_from(SHAPES), held_out=st.booleans())
def test_a_written_sentence_is_found_again(seed: int, shape: str, held_out: bool) -> None:
    """Whatever stands before it, in every layout, and whoever "it" is."""
    words = HELD_OUT if held_out else TRAINING
    random_ = random.Random(seed)
    task = draw_task(words, random_)
    said = []
    for _ in range(random_.randint(2, 9)):
        topic = random_.choice((task.topic, task.topic, random_.choice(words.topics)))
        name = task.name if topic is task.topic and random_.random() < 0.6 else random_.choice(topic.names)
        point = random_.choice(topic.points)
        answer = random_.choice(point.answers)
        value = random_.choice(point.values)
        said.append(Said("answer", answer, topic, name, point, value, again=random_.random() < 0.2))
        if random_.random() < 0.3:
            said.append(Said("filler", random_.choice(words.fillers)))
    text = write(said, task, shape, words, random_)
    found = [m for m in map(meaning, sentences(text)) if m is not None]
    answers = [one for one in said if one.kind == "answer"]
    assert [(topic, about) for topic, _, about in found] == [
        (one.topic.key, one.point.about) for one in answers if one.topic and one.point
    ]
    last = task.name
    for (_, name, _), one in zip(found, answers, strict=True):
        last = last if name == "it" else name
        assert last.lower() == one.name.lower()


# The material


def points_of(words: Words) -> Iterator[tuple[Topic, Point]]:
    return ((topic, point) for topic in words.topics for point in topic.points)


def test_no_sentence_answers_two_things() -> None:
    every = sum(
        len(point.answers) * (len(topic.names) + 1) * len(point.values)
        for words in BOTH
        for topic, point in points_of(words)
    )
    assert len(meanings()) == every


@pytest.mark.parametrize("words", BOTH, ids=["training", "held out"])
def test_sentences_can_be_told_apart(words: Words) -> None:
    for _, point in points_of(words):
        assert len(point.asks) >= 2
        assert len(point.answers) >= 2
        assert len(set(point.values)) >= 3
        assert all("{s}" in ask for ask in point.asks)
        for answer in point.answers:
            assert answer.count("{s}") == answer.count("{v}") == 1
        assert not re.search(r"[.!?:] ", label(point))
    for sentence in meanings():
        assert not re.search(r"[.!?:]\s", sentence)
        assert not sentence.startswith((*words.openers, *words.again))
    for told in (*words.fillers, *words.greetings, *words.closings, *words.evasions):
        assert not re.search(r"[.!?:]", told)


def test_there_is_much_of_it_in_training() -> None:
    assert sum(len(topic.names) for topic in TRAINING.topics) >= 30
    assert len(list(points_of(TRAINING))) >= 100
    assert sum(len(topic.names) for topic in HELD_OUT.topics) >= 20


SHARED: list[Callable[[Words], Any]] = [
    lambda w: [name for topic in w.topics for name in topic.names],
    lambda w: [topic.key for topic in w.topics],
    lambda w: [ask for _, point in points_of(w) for ask in point.asks],
    lambda w: [answer for _, point in points_of(w) for answer in point.answers],
    lambda w: [point.about for _, point in points_of(w)],
    lambda w: filter(None, w.before),
    lambda w: [told for told in w.joined if told != "{q}"],
    lambda w: w.listed,
    lambda w: w.nouns,
    lambda w: w.evasions,
    lambda w: w.fillers,
    lambda w: w.greetings,
    lambda w: w.closings,
    lambda w: w.openers,
    lambda w: w.again,
    lambda w: w.dear,
    lambda w: w.regards,
    lambda w: w.heads,
]


@pytest.mark.parametrize("part", SHARED)
def test_the_splits_share_no_wording(part: Callable[[Words], Any]) -> None:
    one, other = ({told.lower() for told in part(words)} for words in BOTH)
    assert one
    assert not one & other


# The groups


def length_accuracy(made: list[TrajectoryGroup], length: Callable[[str], int]) -> float:
    """How often the longer of two replies is the better one."""
    right = []
    for group in made:
        for a, b in itertools.combinations(group.trajectories, 2):
            if a.ground_truth != b.ground_truth:
                more = length(a.messages[-1]["content"]) - length(b.messages[-1]["content"])
                better = (a.ground_truth or 0) > (b.ground_truth or 0)
                right.append(0.5 if not more else float((more > 0) == better))
    return statistics.mean(right)


@pytest.mark.parametrize("held_out", [True, False])
def test_length_says_nothing(held_out: bool) -> None:
    made = groups(500, held_out=held_out)
    for length in (len, lambda t: len(t.split()), lambda t: len(sentences(t)), lambda t: t.count("\n")):
        assert 0.45 < length_accuracy(made, length) < 0.55
    for size, difficulty in itertools.product((2, 3, 8), (0.0, 0.5, 1.0)):
        made = groups(800 // size, 1, size=size, difficulty=difficulty, held_out=held_out)
        assert 0.4 < length_accuracy(made, len) < 0.6


@pytest.mark.parametrize("held_out", [True, False])
@pytest.mark.parametrize(("size", "difficulty"), [(2, 1.0), (3, 0.0), (4, 0.5), (8, 0.9), (64, 0.5)])
def test_truths_of_a_group_differ_and_come_from_its_texts(
    size: int, difficulty: float, held_out: bool
) -> None:
    for group in groups(12, 5, size=size, difficulty=difficulty, held_out=held_out):
        texts = [t.messages[-1]["content"] for t in group.trajectories]
        truths = [t.ground_truth for t in group.trajectories]
        assert len(set(texts)) == size
        assert len(set(truths)) > 1
        assert all(t is not None and 0 <= t <= 1 for t in truths)


def test_replies_have_the_length_of_a_chat_message() -> None:
    for held_out in (True, False):
        counts = [
            len(t.messages[-1]["content"].split())
            for g in groups(300, held_out=held_out)
            for t in g.trajectories
        ]
        assert 50 < statistics.median(counts) < 90
        assert max(counts) < 170


def test_a_thousand_groups_are_made_in_seconds() -> None:
    start = time.process_time()
    groups(1000)
    assert time.process_time() - start < 10  # about 1 second; a busy machine may take longer


def test_facts_are_the_same_in_all_replies_of_a_group() -> None:
    """A judge cannot know them, so none may be given away by a contradiction."""
    for group in groups(60, held_out=True):
        found: dict[tuple[str, str, str], set[str]] = {}
        for t in group.trajectories:
            for sentence in sentences(t.messages[-1]["content"]):
                known = meaning(sentence)
                if known is None or known[1] == "it":
                    continue
                [point] = [p for _, p in points_of(HELD_OUT) if p.about == known[2]]
                values = [v for v in point.values if v.lower() in sentence.lower()]
                found.setdefault(known, set()).add(max(values, key=len))
        assert all(len(values) == 1 for values in found.values()), found


_DIGEST = """
import hashlib
from ranker.suites.answers import groups
for held_out in (True, False):
    made = groups(60, 2, held_out=held_out)
    told = repr([[(t.messages, t.ground_truth) for t in g.trajectories] for g in made])
    print(hashlib.sha256(told.encode()).hexdigest())
"""


def test_every_process_makes_the_same_groups() -> None:
    one, other = (
        subprocess.run(
            [sys.executable, "-c", _DIGEST],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    )
    assert one == other
    assert one.count("\n") == 2
