"""The suite `code`: its truth is what tests really say, and nothing on the surface gives it away."""

from __future__ import annotations

import itertools
import json
import re
import statistics

import pytest
from ranker.benchmarks.suites import code, code_words
from ranker.benchmarks.suites.code import checker, groups, variants
from ranker.benchmarks.suites.code_functions import HELD_OUT, TRAINING, Function
from ranker.benchmarks.suites.sandbox import shares_passed

from ranker.trajectory import Trajectory, TrajectoryGroup
from ranker.transcript import transcribe

FUNCTIONS = {function.name: function for function in (*TRAINING, *HELD_OUT)}
CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)


def source(trajectory: Trajectory) -> str:
    found = CODE.search(trajectory.messages[-1]["content"])
    assert found
    return found[1]


def test_the_same_arguments_give_the_same_groups() -> None:
    assert groups(5, 3, size=5, difficulty=0.2) == groups(5, 3, size=5, difficulty=0.2)
    assert groups(12, 1)[:5] == groups(5, 1)
    assert groups(2, 1) != groups(2, 2)
    assert [g.id for g in groups(2, 7)] == ["code-7-0", "code-7-1"]


@pytest.mark.parametrize("held_out", [True, False])
@pytest.mark.parametrize("difficulty", [0.0, 1.0])
def test_groups_are_sound(held_out: bool, difficulty: float) -> None:
    seen: dict[str, float] = {}
    different = 0
    made = groups(100, difficulty=difficulty, held_out=held_out)
    for group in made:
        assert group.rubric == code.RUBRIC
        assert list(group.ids) == ["a", "b", "c", "d"]
        truths = [t.ground_truth for t in group.trajectories]
        assert len(set(truths)) > 1
        different += sum(a != b for a, b in itertools.combinations(truths, 2))
        assert len({json.dumps(t.messages[:2]) for t in group.trajectories}) == 1
        for t in group.trajectories:
            assert t.ground_truth is not None
            assert 0 <= t.ground_truth <= 1
            assert seen.setdefault(transcribe(t).text, t.ground_truth) == t.ground_truth
    assert different / len(made) >= 4
    assert len(set(seen.values())) >= 8


def test_a_group_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least two"):
        groups(1, size=1)


def test_the_splits_share_nothing() -> None:
    assert not {f.name for f in TRAINING} & {f.name for f in HELD_OUT}
    a, b = code_words.HELD_OUT, code_words.TRAINING
    for name in ("systems", "tasks", "openers", "sentences", "docstrings"):
        assert not set(getattr(a, name)) & set(getattr(b, name))
    assert {g.metadata["template"] for g in groups(200)} == {f.name for f in HELD_OUT}
    assert {g.metadata["template"] for g in groups(200, held_out=False)} == {f.name for f in TRAINING}


@pytest.mark.parametrize("split", [TRAINING, HELD_OUT])
def test_functions_are_well_made(split: tuple[Function, ...]) -> None:
    assert len(split) >= 12
    for function in split:
        assert 8 <= len(function.tests.cases) <= 12
        assert sum(len(style.slips) for style in function.styles) >= 5
        assert len(function.styles) >= 2
        for style in function.styles:
            for label, old, _ in style.slips:
                assert style.source.count(old) == 1, (function.name, label)


@pytest.mark.parametrize("held_out", [True, False])
def test_right_ones_pass_all_and_slips_pass_some(held_out: bool) -> None:
    for function, known in zip(HELD_OUT if held_out else TRAINING, variants(held_out), strict=True):
        for variant in known:
            if not variant.slips:
                assert variant.share == 1, function.name
            elif len(variant.slips) == 1:
                assert 0 < variant.share < 1, (function.name, variant.slips)
            else:
                assert variant.share < 1, (function.name, variant.slips)


@pytest.mark.parametrize("held_out", [True, False])
def test_the_examples_are_right(held_out: bool) -> None:
    for function, known in zip(HELD_OUT if held_out else TRAINING, variants(held_out), strict=True):
        space: dict[str, object] = {}
        exec(known[0].source, space)
        call, value = function.example
        assert eval(call, space) == eval(value)


@pytest.mark.parametrize("held_out", [True, False])
def test_the_truth_is_that_of_the_text(held_out: bool) -> None:
    made = groups(60, 5, held_out=held_out)
    jobs = [(source(t), FUNCTIONS[g.metadata["template"]].tests) for g in made for t in g.trajectories]
    assert shares_passed(jobs) == [t.ground_truth for g in made for t in g.trajectories]


def test_checker() -> None:
    function = FUNCTIONS["median"]
    wrong = "```python\ndef median(numbers):\n    return None\n```"
    for reply, worth in ((wrong, 0.1), ("No code.", 0.0)):
        assert checker(Trajectory([{"role": "assistant", "content": reply}]), function) == worth
    group = next(g for g in groups(50) if g.metadata["template"] == "median")
    assert [checker(t, function) for t in group.trajectories] == [t.ground_truth for t in group.trajectories]


@pytest.mark.parametrize("held_out", [True, False])
@pytest.mark.parametrize("difficulty", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("size", [4, 8])
def test_length_tells_nothing(held_out: bool, difficulty: float, size: int) -> None:
    hits: list[float] = []
    for group in groups(200 if size == 4 else 60, 11, size=size, difficulty=difficulty, held_out=held_out):
        values = [(t.ground_truth or 0.0, len(t.messages[-1]["content"])) for t in group.trajectories]
        for (a, x), (b, y) in itertools.combinations(values, 2):
            if a != b:
                hits.append(0.5 if x == y else float((x > y) == (a > b)))
    assert 0.4 <= statistics.mean(hits) <= 0.6


def test_harder_is_closer() -> None:
    def gap(made: list[TrajectoryGroup]) -> float:
        return statistics.mean(
            abs((a.ground_truth or 0) - (b.ground_truth or 0))
            for g in made
            for a, b in itertools.combinations(g.trajectories, 2)
        )

    gaps = [gap(groups(150, difficulty=difficulty)) for difficulty in (0.0, 0.5, 1.0)]
    assert gaps[0] > gaps[1] + 0.04 > gaps[2] + 0.08


def test_no_secrets_in_messages() -> None:
    for group in groups(60) + groups(60, held_out=False):
        for t in group.trajectories:
            text = " ".join(m["content"] for m in t.messages).lower()
            for word in (
                "slip",
                "tests passed",
                "hidden test",
                "ground truth",
                "mistake",
                "wrong",
                "bug",
                "off by one",
            ):
                assert word not in text


@pytest.mark.parametrize("held_out", [True, False])
def test_no_variant_depends_on_the_order_of_a_set(held_out: bool) -> None:
    """Every run of the sandbox hashes differently: what passes must be the same all the same."""
    known = variants(held_out)
    assert variants.__wrapped__(held_out) == known
