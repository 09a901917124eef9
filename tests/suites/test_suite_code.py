"""The suite `code`: its truth is what tests really say, and its functions are well made."""

from __future__ import annotations

import re

import pytest

from ranker.suites.code import Function, checker, groups, variants, words
from ranker.suites.sandbox import shares_passed
from ranker.trajectory import Trajectory

TRAINING, HELD_OUT = words(False).functions, words(True).functions
FUNCTIONS = {function.name: function for function in (*TRAINING, *HELD_OUT)}
CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)


def source(trajectory: Trajectory) -> str:
    fenced = CODE.search(trajectory.messages[-1]["content"])
    assert fenced
    return fenced[1]


def test_the_splits_share_nothing() -> None:
    assert not {f.name for f in TRAINING} & {f.name for f in HELD_OUT}
    a, b = words(True), words(False)
    for name in ("systems", "tasks", "openers", "sentences", "docstrings"):
        assert not set(getattr(a, name)) & set(getattr(b, name))
    assert {g.metadata["template"] for g in groups(200)} == {f.name for f in HELD_OUT}
    assert {g.metadata["template"] for g in groups(400, held_out=False)} == {f.name for f in TRAINING}


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
def test_no_variant_depends_on_the_order_of_a_set(held_out: bool) -> None:
    """Every run of the sandbox hashes differently: what passes must be the same all the same."""
    known = variants(held_out)
    assert variants.__wrapped__(held_out) == known
