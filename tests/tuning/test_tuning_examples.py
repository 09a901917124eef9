"""Groups as what a judge is tuned on: truths from files, and splits that do not leak."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranker import ConfigurationError, Trajectory, TrajectoryGroup
from ranker.aggregate.agreement import agreeing
from ranker.judges.local.ways import Shown
from ranker.tuning.examples import (
    Example,
    at_most,
    example,
    from_groups,
    opening_of,
    read_examples,
    split,
)
from tests.tuning_models import group


def bare(name: str, opening: str, truths: tuple[float, ...] = (0.0, 1.0)) -> Example:
    n = len(truths)
    return Example(name, Shown("", tuple(f"a{i}" for i in range(n)), (0,) * n, "", ""), truths, opening)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=80),
    st.sampled_from([(0.77, 0.08, 0.15), (0.5, 0.25, 0.25), (1.0, 0.0, 0.0)]),
    st.integers(0, 5),
)
def test_a_split_keeps_openings_together_and_loses_nothing(openings, shares, seed):
    examples = [bare(f"g{i}", f"q{o}") for i, o in enumerate(openings)]
    parts = split(examples, shares, seed)
    assert Counter(e.id for part in parts for e in part) == Counter(e.id for e in examples)
    sides = [{e.opening for e in part} for part in parts]
    assert sum(map(len, sides)) == len(set().union(*sides))
    assert parts == split(examples, shares, seed)


def test_a_split_has_the_wanted_sizes_where_openings_differ():
    examples = [bare(f"g{i}", "" if i % 2 else f"q{i}") for i in range(100)]
    parts = split(examples, (0.77, 0.08, 0.15), 0)
    assert list(map(len, parts)) == [77, 8, 15]
    assert parts != split(examples, (0.77, 0.08, 0.15), 1)


def test_openings_are_the_question_and_nothing_else():
    def one(user, system="Be brief.", task=None, answers=("a", "b")):
        told = [
            [
                *([{"role": "system", "content": system}] if system else []),
                {"role": "user", "content": user},
                {"role": "assistant", "content": answer},
            ]
            for answer in answers
        ]
        return TrajectoryGroup(told, task=task)

    plain = opening_of(one("What is  it?"))
    assert (
        plain
        == opening_of(one("what is it?", system="Be long."))
        == opening_of(one("What is it?", system=None))
    )
    assert plain == opening_of(one("What is it?", answers=("a", "a")))  # also where they begin alike
    assert plain != opening_of(one("What is that?"))
    assert plain != opening_of(one("What is it?", task="Find out."))
    strings = TrajectoryGroup(["x", "y"], task="Name it.")
    assert opening_of(strings) == opening_of(TrajectoryGroup(["z", "w", "v"], task="name IT."))
    assert opening_of(TrajectoryGroup([[{"role": "assistant", "content": t}] for t in "ab"])) == ""


def record(g, **more):
    one = group(g)
    members = [{"id": t.id, "messages": list(t.messages)} for t in one.trajectories]
    return {"id": one.id, "trajectories": members, **more}


def test_rankings_of_a_file_become_truths(tmp_path):
    file = tmp_path / "ranked.jsonl"
    rewards = {"t0": 1.0, "t1": 0.5, "t2": 0.5, "t3": 0.0}
    tied = dict.fromkeys(rewards, 0.5)
    failed = {"error": {"type": "JudgeError", "message": "no"}, "judge": "strong"}
    lines = [
        record(0, rewards=rewards, judge="strong"),
        record(1, rewards=tied, judge="strong"),
        record(2, **failed),
    ]
    file.write_text("\n".join(map(json.dumps, lines)))
    found = read_examples(file)
    assert (found.truth, found.judge, found.left_out) == ("ranking", "strong", 2)
    assert [e.truths_G for e in found.examples] == [(1.0, 0.5, 0.5, 0.0)]
    with pytest.raises(ConfigurationError, match="ground_truth"):
        read_examples(file, "ground_truth")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "0 groups"),
        ("not json\n", "Line 1 is not JSON"),
        (json.dumps(record(0)) + "\n", "no ground_truth"),
        (json.dumps(record(0, rewards={"t0": 1.0})) + "\n", "one finite number"),
        (json.dumps(record(0, rewards={f"t{i}": None for i in range(4)})) + "\n", "one finite number"),
        (
            json.dumps(record(0, rewards={f"t{i}": float("nan") for i in range(4)})) + "\n",
            "one finite number",
        ),
    ],
)
def test_bad_files_say_what_is_wrong(tmp_path, content, says):
    (tmp_path / "groups.jsonl").write_text(content)
    with pytest.raises(ConfigurationError, match=says):
        read_examples(tmp_path / "groups.jsonl")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_examples(tmp_path / "none.jsonl")


def test_groups_without_differences_are_left_out():
    tied = TrajectoryGroup([Trajectory(t.messages, ground_truth=1.0) for t in group(0).trajectories])
    part = TrajectoryGroup(
        [replace(t, ground_truth=None) if i else t for i, t in enumerate(group(1).trajectories)]
    )
    assert [e.id for e in from_groups([tied, part, group(2)])] == ["g2"]


def test_pairs_are_counted_with_ties_as_half_and_unknown_scores_not_at_all():
    assert agreeing([2, 1, 0], [0.3, 0.2, 0.1]) == (3, 3)
    assert agreeing([2, 1, 0], [0.3, 0.3, 0.9]) == (0.5, 3)
    assert agreeing([2, 1, 1], [0.3, 0.1, 0.9]) == (1, 2)
    assert agreeing([2, 1, 0], [0.3, float("nan"), 0.1]) == (1, 1)
    assert agreeing([1, 0], [0.3, 0.25], tolerance=0.1) == (0.5, 1)


@given(st.integers(27, 60), st.integers(0, 20), st.integers(1, 4))
def test_large_groups_keep_attempts_that_differ(n, seed, better):
    truths = tuple(float(i < better) for i in range(n))
    one = bare("g", "q", truths)
    fewer = at_most(one, 26, seed)
    assert len(fewer.truths_G) == len(fewer.shown.attempts) == len(fewer.shown.cut) == 26
    assert len(set(fewer.truths_G)) == 2
    assert all(
        truths[int(text[1:])] == truth
        for text, truth in zip(fewer.shown.attempts, fewer.truths_G, strict=True)
    )
    assert at_most(one, n, seed) is one
    assert example(group(0), [1, 1, 1, 1], "g") is None
