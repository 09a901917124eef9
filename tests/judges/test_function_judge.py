"""What a judge that is a function returns, in whatever a program holds its numbers: tiers are tiers, scores are scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from ranker import JudgeError, Trajectory, rank_group

GROUP, REWARDS = ["a", "bbb", "cc"], [0.0, 1.0, 0.5]


def scores(trajectories: Sequence[Trajectory]) -> list[float]:
    return [float(len(t.messages[-1]["content"])) for t in trajectories]


def tiers(trajectories: Sequence[Trajectory]) -> list[list[int]]:
    """The position of the best, of the second, of the worst."""
    values = scores(trajectories)
    return [[i] for i in sorted(range(3), key=lambda i: -values[i])]


@pytest.fixture(params=["numpy", "torch"])
def array(request: pytest.FixtureRequest) -> Any:
    return np.array if request.param == "numpy" else pytest.importorskip("torch").tensor


def test_arrays_of_positions_are_tiers(array):
    for judge in (
        lambda ts: [array(tier) for tier in tiers(ts)],
        lambda ts: tuple(array(tier) for tier in tiers(ts)),
        lambda ts: array(tiers(ts)),
        lambda ts: iter(array(tiers(ts))),
    ):
        assert rank_group(GROUP, judge, task="Write.").rewards == REWARDS


def test_an_array_of_several_positions_is_a_tie(array):
    def judge(trajectories: Sequence[Trajectory]) -> Any:
        (best,), (second,), (worst,) = tiers(trajectories)
        return [array([best]), array([second, worst])]

    assert rank_group(GROUP, judge, task="Write.").rewards == [0.25, 1.0, 0.25]


def test_arrays_of_numbers_are_scores(array):
    for judge in (
        lambda ts: array(scores(ts)),
        lambda ts: [array(score) for score in scores(ts)],
        lambda ts: list(array(scores(ts))),
    ):
        assert rank_group(GROUP, judge, task="Write.").rewards == REWARDS


def test_what_may_be_either_is_refused(array):
    def nested(trajectories: Sequence[Trajectory]) -> Any:
        return array([[score + 0.5] for score in scores(trajectories)])

    with pytest.raises(JudgeError, match="tiers of positions or 3 numbers"):
        rank_group(GROUP, nested, task="Write.")


def test_the_names_of_columns_are_no_scores():
    pandas = pytest.importorskip("pandas")
    with pytest.raises(JudgeError, match="DataFrame is no list"):
        rank_group(GROUP, lambda ts: pandas.DataFrame([scores(ts)]), task="Write.")
    assert rank_group(GROUP, lambda ts: pandas.Series(scores(ts)), task="Write.").rewards == REWARDS
