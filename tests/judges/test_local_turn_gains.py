"""Turns that moved the score of a judge in this process."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranker import ConfigurationError, Trajectory, rank_group
from ranker.judges.base import Lineup
from ranker.judges.local.judge_file import Setup
from ranker.judges.local.logprob_judge import LogprobJudge
from ranker.judges.local.turn_gains import CLEAR, beginnings, marks_of
from ranker.judges.local.ways import JOINT
from ranker.runtime.budget import Budget
from ranker.trajectory import assistant_turns
from tests.local_models import saved

ASKED = {"role": "user", "content": "Where is order 17?"}
CALL = {
    "role": "assistant",
    "tool_calls": [
        {"id": "c", "type": "function", "function": {"name": "look", "arguments": '{"order": 17}'}}
    ],
}
FOUND = {"role": "tool", "tool_call_id": "c", "content": '{"state": "shipped"}'}


def said(text):
    return {"role": "assistant", "content": text}


def test_marks_are_gains_beside_those_of_the_same_turn_elsewhere():
    """Three attempts; gains of the first turn 1, 2, 3 (mean 2), of the second 4, 0 (mean 2), of the third 5, alone."""
    marks = marks_of([[1.0, 5.0, 10.0], [2.0, 2.0], [3.0]], 0.1)
    assert marks == ({0: -1.0, 1: 1.0}, {1: -1.0}, {0: 1.0})


def test_what_is_within_the_noise_says_nothing():
    apart = CLEAR * 0.1  # the two gains are half of this from their mean, each
    assert marks_of([[0.0], [2 * apart]], 0.1) == ({}, {})
    assert marks_of([[0.0], [2 * apart + 0.01]], 0.1) == ({0: -1.0}, {0: 1.0})
    assert marks_of([[], []], 0.1) == ({}, {})


scores = st.lists(st.lists(st.floats(-9, 9), max_size=4), min_size=1, max_size=5)


@given(scores, st.randoms(use_true_random=False))
def test_marks_follow_their_attempts_in_whatever_order_these_come(own, random):
    order = list(range(len(own)))
    random.shuffle(order)
    marks = marks_of(own, 0.0)
    assert marks_of([own[i] for i in order], 0.0) == tuple(marks[i] for i in order)
    assert all(set(m) <= set(range(len(s))) for m, s in zip(marks, own, strict=True))


def test_an_attempt_begins_up_to_the_end_of_each_turn():
    whole = Trajectory([ASKED, CALL, FOUND, said("Shipped."), {"role": "user", "content": "When?"}], id="a")
    first, second = beginnings(whole)
    assert first.messages == whole.messages[:3]
    assert second is whole
    more = replace(whole, histories=([ASKED, said("A helper's."), said("Its last.")],))
    parts = beginnings(more)
    assert [len(assistant_turns(part)) for part in parts] == [1, 2, 3, 4]
    assert parts[1].histories == ()
    assert beginnings(Trajectory([ASKED])) == []


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("tiny"))


def judge_of(model, way="pointwise", **options):
    return LogprobJudge(
        Setup(model, way), **{"cache": "off", "dtype": "float32", "credit": "turns", **options}
    )


def attempts():
    return [
        [ASKED, CALL, FOUND, said("It was shipped.")],
        [ASKED, CALL, FOUND, said("I cannot say where that order is, ask somebody else.")],
        [ASKED, said("It will surely come soon.")],
    ]


@pytest.mark.parametrize(
    "way", ["pointwise", "expected_digit", "reference_likelihood", "pointwise_with_numbers"]
)
def test_turns_come_with_the_same_ranking(model, way):
    members = tuple(Trajectory(m) for m in attempts())
    lineup = Lineup(members, reference="shipped")
    plain = asyncio.run(judge_of(model, way, credit=None).verdict(lineup, Budget()))
    named = asyncio.run(judge_of(model, way).verdict(lineup, Budget()))
    assert plain.turns is None
    assert (named.tiers, named.scores) == (plain.tiers, plain.scores)
    assert len(named.turns) == 3
    assert named.usage.calls == 2
    assert named.usage.prompt_tokens > 2 * plain.usage.prompt_tokens
    reverse = replace(lineup, trajectories=members[::-1])
    assert asyncio.run(judge_of(model, way).verdict(reverse, Budget())).turns == named.turns[::-1]


def test_turn_rewards_of_a_group(model):
    ranked = rank_group(attempts(), judge_of(model), credit="turns", passes=2)
    assert [len(own) for own in ranked.turn_rewards] == [2, 2, 1]
    assert {value for own in ranked.turn_rewards for value in own} <= {1.0, -1.0, None}
    # The look-up is the same in two attempts: it is worth the same in both.
    assert ranked.turn_rewards[0][0] == ranked.turn_rewards[1][0]


def test_turns_of_an_attempt_that_had_to_be_cut_are_not_marked(model):
    long = [ASKED, said("red " * 3000), said("done")]
    members = (Trajectory(long), *(Trajectory(m) for m in attempts()))
    made = asyncio.run(judge_of(model, context_window=1024).verdict(Lineup(members), Budget()))
    assert made.cut[0] > 0
    assert made.turns[0] is None
    assert all(marks is not None for marks in made.turns[1:])


def test_attempts_without_a_turn(model):
    members = tuple(Trajectory([{"role": "user", "content": text}]) for text in ("one", "two"))
    assert asyncio.run(judge_of(model).verdict(Lineup(members), Budget())).turns == (None, None)


def test_names_say_which_can(model):
    ranked = rank_group(attempts(), f"local:{model}@pointwise", credit="turns", cache="off")
    assert ranked.turn_rewards is not None
    for way in JOINT:
        with pytest.raises(ConfigurationError, match="cannot say which turns"):
            judge_of(model, way)
    with pytest.raises(ConfigurationError, match="give 'turns'"):
        judge_of(model, credit="tokens")
