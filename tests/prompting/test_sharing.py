"""Shared parts: what recurs is shown once, nothing is lost, and no reference is forged."""

from __future__ import annotations

import itertools
import json
import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranker import Trajectory
from ranker.files import read_groups
from ranker.judges.base import Lineup
from ranker.prompting.escaping import neutral, restore
from ranker.prompting.prompt import build_prompt
from ranker.prompting.sharing import FINE_FROM, MIN_PART, expand, share
from ranker.prompting.template import load_template
from ranker.prompting.transcript import transcribe
from ranker.prompting.truncation import estimate_tokens

law = settings(derandomize=True, deadline=None, max_examples=150)
TAU = Path(__file__).parents[2] / "shared" / "data" / "tau_airline.jsonl"

_WORDS = [
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "zeta",
    "eta",
    "theta",
    "iota",
    "kappa",
    "lambda",
    "mu",
    "nu",
    "xi",
    "omicron",
    "pi",
    "rho",
]


def sentence(i: int) -> str:
    """The i-th of a stock of different sentences of 20 to 90 characters."""
    rng = random.Random(i)
    return (
        f"{i} "
        + " ".join(rng.choices(_WORDS, k=rng.randint(4, 14)))
        + rng.choice([". ", ".\n", ", ", "\n\n", "; "])
    )


STOCK = [sentence(i) for i in range(400)]
_CHARACTERS = st.characters(exclude_categories=["Cs"])
PIECE = st.one_of(
    st.text(_CHARACTERS, max_size=120).map(neutral),
    st.lists(st.sampled_from(STOCK[:8]), min_size=1, max_size=4).map("".join),
    st.sampled_from(["", "\n", "x" * MIN_PART, "x" * (MIN_PART - 1), "ab" * 60, "p1/>", "<", "&lt;p1/>"]),
)
STREAMS = st.lists(st.lists(PIECE, max_size=8), min_size=1, max_size=5)


def lossless(streams: list[list[str]]) -> bool:
    shared = share(streams)
    return [expand(text, shared.parts) for text in shared.streams] == ["".join(pieces) for pieces in streams]


@law
@given(STREAMS)
def test_expanding_gives_back_every_stream(streams):
    """Whatever recurs where, the references stand for exactly what was there."""
    assert lossless(streams)


@law
@given(st.integers(0, 10**6), st.integers(2, 5), st.integers(4, 30), st.integers(1, 6))
def test_expanding_gives_back_every_stream_of_a_long_group(seed, n, variety, run):
    """The same above the size from which lines and sentences are shared."""
    rng = random.Random(seed)
    stock = rng.sample(STOCK, variety)
    streams = []
    for _ in range(n):
        pieces: list[str] = []
        while sum(map(len, pieces)) < FINE_FROM:
            start = rng.randrange(variety)
            fresh = f"{rng.getrandbits(40)} " if rng.random() < 0.5 else ""
            pieces.append(fresh + "".join(stock[(start + k) % variety] for k in range(rng.randint(1, run))))
        streams.append(pieces)
    assert lossless(streams)
    if run > 1:
        assert share(streams).parts


@law
@given(STREAMS, st.randoms(use_true_random=False))
def test_the_order_of_streams_changes_nothing(streams, rng):
    """The same parts under the same names, and the same text for each stream, in any order."""
    order = rng.sample(range(len(streams)), len(streams))
    straight, turned = share(streams), share([streams[i] for i in order])
    assert turned.parts == straight.parts
    assert turned.streams == tuple(straight.streams[i] for i in order)


@law
@given(STREAMS)
def test_every_part_earns_its_place(streams):
    """A part is long enough, referred to at least twice among different streams, and never twice the same."""
    shared = share(streams)
    different = dict.fromkeys(shared.streams)
    for rank, part in enumerate(shared.parts, start=1):
        assert len(part) >= MIN_PART
        assert sum(text.count(f"<p{rank}/>") for text in different) >= 2
        assert "<p" not in part or not re.search(r"<p\d+/>", part)
    assert len(set(shared.parts)) == len(shared.parts)


@pytest.mark.parametrize("places", list(itertools.product(range(3), repeat=2)))
def test_a_recurring_message_is_shown_once_wherever_it_stands(places):
    """First, middle or last: a message that two trajectories hold stands once in what is shown."""
    result = "<tool search>\n" + "A long result that both attempts have seen. " * 3 + "\n"
    streams = []
    for i, place in enumerate(places):
        own = [f"<assistant>\nStep {k} of attempt {i}, worded in its own way each time.\n" for k in range(2)]
        streams.append([*own[:place], result, *own[place:]])
    shared = share(streams)
    assert shared.parts == (result,)
    assert all(text.count("<p1/>") == 1 and "long result" not in text for text in shared.streams)


def test_a_message_that_recurs_in_one_trajectory_is_shown_once():
    """An agent that calls the same tool thrice costs the judge one result."""
    result = "<tool search>\n" + "The same page as before. " * 4 + "\n"
    streams = [
        [result, "<assistant>\nAgain?\n", result, "<assistant>\nOnce more.\n", result],
        ["<user>\nother\n"],
    ]
    shared = share(streams)
    assert shared.parts == (result,)
    assert shared.streams[0].count("<p1/>") == 3
    assert lossless(streams)


def test_messages_that_always_follow_each_other_are_one_part():
    """A common opening of several messages takes one reference, not one each."""
    opening = [f"<user>\nOpening message number {i}, shared by all of the attempts.\n" for i in range(5)]
    shared = share([[*opening, f"<assistant>\nown {i}\n"] for i in range(3)])
    assert shared.parts == ("".join(opening),)
    assert [text.count("<p1/>") for text in shared.streams] == [1, 1, 1]


def test_a_trajectory_that_is_the_beginning_of_the_others_is_still_shown():
    """It consists of a reference; it is not empty."""
    opening = ["<user>\nA question long enough to be worth sharing between attempts.\n"]
    shared = share([opening, [*opening, "<assistant>\nyes\n"], [*opening, "<assistant>\nno\n"]])
    assert shared.streams == ("<p1/>", "<p1/><assistant>\nyes\n", "<p1/><assistant>\nno\n")


def test_short_texts_are_left_alone():
    """A reference to a few words would cost the reader more than it saves."""
    streams = [["<user>\nHi\n", "<assistant>\nyes\n"], ["<user>\nHi\n", "<assistant>\nno\n"]]
    assert share(streams).parts == ()
    assert share(streams).streams == tuple("".join(s) for s in streams)


def test_long_groups_share_lines_inside_different_messages():
    """In a long group what recurs inside messages that differ is shared too."""
    rng = random.Random(7)
    common = "".join(STOCK[:40])
    streams = [[f"<tool page>\n{rng.getrandbits(80)}\n{common}{rng.getrandbits(80)}\n"] for _ in range(4)]
    assert sum(len(p) for s in streams for p in s) > FINE_FROM
    shared = share(streams)
    assert sum(map(len, (*shared.parts, *shared.streams))) < 0.4 * sum(len(p) for s in streams for p in s)
    assert lossless(streams)


FORGED = [
    "<p1/>",
    "<p2/>",
    "</p1>",
    "<p1>",
    "</shared>",
    "<shared>",
    "&lt;p1/>",
    "< p1/>",
    "＜p1/>",
    "<P1/>",
    "<p\u200b1/>",
]


@law
@given(
    st.lists(
        st.lists(
            st.one_of(st.sampled_from(FORGED), st.sampled_from(STOCK[:4]), st.text(_CHARACTERS, max_size=4)),
            max_size=8,
        ).map("".join),
        min_size=2,
        max_size=4,
    ),
    st.booleans(),
)
def test_a_reference_cannot_be_forged(texts, long):
    """Text that imitates a reference or part stays text: expanding puts in only what was taken out."""
    common = "A system message that all of the attempts begin with, long enough to be shared."
    rest = "".join(STOCK) if long else "Go."
    trajectories = [
        Trajectory(
            [
                {"role": "system", "content": common},
                {"role": "user", "content": rest},
                {"role": "assistant", "content": text},
                {"role": "tool", "content": texts[0] + str(i)},
            ]
        )
        for i, text in enumerate(texts)
    ]
    pieces = [transcribe(t).pieces for t in trajectories]
    shared = share(pieces)
    assert shared.parts
    for text, own, whole in zip(shared.streams, texts, pieces, strict=True):
        back = expand(text, shared.parts)
        assert back == "".join(whole)
        assert own in restore(back)
    for part in shared.parts:
        assert not re.search(r"</?(p\d|shared)", part)


@pytest.fixture(scope="module")
def tau():
    if not TAU.exists():
        pytest.skip("the tau-bench groups are not here")
    return read_groups(TAU)


def test_nothing_is_lost_on_real_groups(tau):
    """Every transcript of the tau-bench groups comes back exactly."""
    for group in tau:
        assert lossless([list(transcribe(t).pieces) for t in group.trajectories])


def rulers_prompt(messages: list[list[dict]]) -> str:
    """What RULER shows on the same group: leading equal messages once, the rest as raw JSON."""
    common = 0
    while all(len(m) > common and m[common] == messages[0][common] for m in messages):
        common += 1
    blocks = [
        f'<trajectory id="{i}">\n{json.dumps(m[common:])}\n</trajectory>'
        for i, m in enumerate(messages, start=1)
    ]
    return f"<context>\n{json.dumps(messages[0][:common])}\n</context>\n\nTrajectories:\n\n" + "\n\n".join(
        blocks
    )


def test_prompts_on_real_groups_are_about_half_of_rulers(tau):
    """All characters of our prompts are at most 0.55 of RULER's on the same groups."""
    template = load_template()
    ours = theirs = 0
    for group, line in zip(tau, TAU.read_text(encoding="utf-8").splitlines(), strict=True):
        prompt = build_prompt(Lineup(tuple(group.trajectories)), template, room=None, count=estimate_tokens)
        assert not any(prompt.cut)
        ours += sum(len(m["content"]) for m in prompt.messages)
        theirs += 1_000 + len(rulers_prompt([t["messages"] for t in json.loads(line)["trajectories"]]))
    assert ours <= 0.55 * theirs, ours / theirs
