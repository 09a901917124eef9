"""Advantages of turns, beside values worked out by hand."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpo.advantages import EPSILON, group_advantages
from grpo.turn_advantages import process_advantages, signal_share, state_values

SCALES: Any = ("group", "batch", "none")


def test_process_supervision_is_that_of_the_paper() -> None:
    """R = {1, 0, 0.5, 0.5}: mean 0.5, unbiased deviation √(0.5 / 3)."""
    (made,) = process_advantages([[[1.0, 0.0], [0.5, 0.5]]])
    spread = np.sqrt(0.5 / 3) + EPSILON
    assert made is not None
    assert np.allclose(made[0], [0.5 / spread - 0.5 / spread, -0.5 / spread])
    assert np.allclose(made[1], [0.0, 0.0])
    (apart,) = process_advantages([[[1.0, 0.0], [0.5, 0.5]]], discount=0.0)
    assert apart is not None
    assert np.allclose(apart[0], [0.5 / spread, -0.5 / spread])
    (halved,) = process_advantages([[[1.0, 0.0, 0.0], [0.5, 0.5]]], "none", discount=0.5)
    assert halved is not None
    assert np.allclose(halved[0], [0.6 + 0.5 * -0.4 + 0.25 * -0.4, -0.4 + 0.5 * -0.4, -0.4])


def test_a_missing_reward_of_a_turn_leaves_the_others_alone() -> None:
    (made,) = process_advantages([[[None, 1.0, None], [0.0], []]], "none")
    assert made == [[0.5, 0.5, 0.0], [-0.5], []]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("group", [[], [[]], [[1.0], []], [[None], [None, 2.0]], [[0.3, 0.3], [0.1 + 0.2]]])
def test_turns_that_say_nothing_add_nothing(group: Any, scale: Any) -> None:
    assert process_advantages([group], scale) == [None]


def test_scales_of_turns() -> None:
    groups = [[[1.0, 0.0]], [[3.0], [-3.0]], [[5.0, 5.0]]]
    every = np.array([1.0, 0.0, 3.0, -3.0, 5.0, 5.0])
    first, second, third = process_advantages(groups, "batch")
    spread = every.std(ddof=1) + EPSILON
    assert first is not None
    assert second is not None
    assert np.allclose(first[0], [0.0, -0.5 / spread])
    assert np.allclose(np.concatenate(second), [3.0 / spread, -3.0 / spread])
    assert third is None


@given(st.lists(st.lists(st.integers(-3, 3).map(float), max_size=4), max_size=5))
@settings(deadline=None, max_examples=60)
def test_with_one_turn_each_it_is_the_advantage_of_the_group(group: Any) -> None:
    single = [turns[:1] for turns in group if turns]
    (made,) = process_advantages([single])
    (plain,) = group_advantages([[turns[0] for turns in single]])
    assert (made is None) == plain.tied
    assert made is None or [turns[0] for turns in made] == plain.values


def path(*states: str) -> list[list[str]]:
    """The one way of an attempt."""
    return [list(states)]


def test_a_state_is_worth_the_mean_of_what_followed() -> None:
    """Three attempts at `ab`, whose second turns part; one that went its own way in its first turn."""
    attempts = [path("", "ab", "abc"), path("", "ab", "abd"), path("", "ab", "abd"), path("", "x", "xy")]
    rewards = [1.0, 0.0, 0.5, 0.1]
    root, ab, abd = 0.4, 0.5, 0.25
    assert np.allclose(state_values(attempts, rewards)[0][0], [root, ab, ab])
    assert np.allclose(state_values(attempts, rewards)[1][0], [root, ab, abd])
    assert np.allclose(state_values(attempts, rewards)[2][0], [root, ab, abd])
    assert np.allclose(state_values(attempts, rewards)[3][0], [root, root, root])


def test_over_the_attempts_that_share_a_turn_the_mean_is_what_it_changed_in_value() -> None:
    """(V(b) - V(a)), for every turn of a whole binary tree of depth 3; nothing of it is left out."""
    leaves = ["".join(way) for way in itertools.product("01", repeat=3)]
    rewards = [0.3, 0.9, 0.1, 0.2, 1.0, 0.4, 0.8, 0.0]
    found = state_values([path(*(leaf[:k] for k in range(3))) for leaf in leaves], rewards)

    def value(state: str) -> float:
        return float(np.mean([r for leaf, r in zip(leaves, rewards, strict=True) if leaf.startswith(state)]))

    for depth in range(3):
        for child in {leaf[: depth + 1] for leaf in leaves}:
            advantages = [
                rewards[i] - (found[i][0][depth] or 0.0)
                for i, leaf in enumerate(leaves)
                if leaf.startswith(child)
            ]
            assert np.mean(advantages) == pytest.approx(value(child) - value(child[:-1]))
        assert sum(r - (found[i][0][depth] or 0.0) for i, r in enumerate(rewards)) == pytest.approx(0.0)


@given(st.lists(st.integers(-3, 3).map(float), min_size=2, max_size=6))
@settings(deadline=None, max_examples=40)
def test_where_attempts_part_at_once_every_turn_has_the_mean_of_the_group(rewards: list[float]) -> None:
    attempts = [path("", f"{i}", f"{i}+") for i in range(len(rewards))]
    mean = float(np.array(rewards).mean())
    assert state_values(attempts, rewards) == [[[mean] * 3]] * len(rewards), "to the bit"


def test_attempts_without_a_reward_are_not_there() -> None:
    attempts = [path("", "a"), path("", "a"), path("", "a"), path("", "b")]
    assert state_values(attempts, [1.0, None, 0.0, 2.0]) == [
        [[1.0, 0.5]],
        [[None, None]],
        [[1.0, 0.5]],
        [[1.0, 1.0]],
    ]
    assert state_values(attempts[:2], [1.0, None]) == [[[None, None]], [[None, None]]]


def test_an_attempt_with_several_ways_counts_once_and_a_way_of_its_own_has_no_value() -> None:
    attempts = [[["", "a"], ["short", "short+"]], [["", "b"], ["", "short"]], [["", "c"], ["own"]]]
    values = state_values(attempts, [1.0, 0.0, 0.5])
    assert values[0] == [[0.5, 0.5], [0.5, 0.5]]
    assert values[1] == [[0.5, 0.5], [0.5, 0.5]]
    assert values[2] == [[0.5, 0.5], [None]]


def test_the_share_of_the_signal() -> None:
    assert signal_share([np.array([1.0, -1.0])], [np.array([0.0, 6.0])]) == 0.75
    assert signal_share([np.zeros(2)], [np.array([0.0, 6.0])]) == 1.0
    assert signal_share([np.ones(2)], []) == 0.0
    assert signal_share([], []) is None
