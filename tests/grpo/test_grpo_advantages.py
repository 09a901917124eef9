"""Advantages: by group, over the rewards that are there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpo.advantages import EPSILON, corrected, group_advantages, mix

REWARDS = st.one_of(st.none(), st.integers(-40, 40).map(lambda n: n / 8))
GROUPS = st.lists(st.lists(REWARDS, max_size=6), max_size=5)
SCALES: Any = ("group", "batch", "none")


def flat(groups: Any, scale: Any = "group") -> list[list[float | None]]:
    return [a.values for a in group_advantages(groups, scale)]


def close(a: list[float | None], b: list[float | None]) -> bool:
    return [v is None for v in a] == [v is None for v in b] and np.allclose(
        [v for v in a if v is not None], [v for v in b if v is not None], atol=1e-9
    )


def test_against_numpy() -> None:
    groups = [[1.0, 2.0, 4.0], [0.5, -1.0, 0.0, 3.0], [2.0, 2.0]]
    every = np.concatenate([np.array(g) for g in groups])
    for scale, spread in {
        "group": [np.std(g, ddof=1) + EPSILON for g in groups],
        "batch": [every.std(ddof=1) + EPSILON] * 3,
        "none": [1.0] * 3,
    }.items():
        made = group_advantages(groups, scale)  # type: ignore[arg-type]
        for g in (0, 1):
            expected = (np.array(groups[g]) - np.mean(groups[g])) / spread[g]
            assert np.allclose(made[g].values, expected)
        assert made[2].values == [None, None]
        assert [m.tied for m in made] == [False, False, True]


@pytest.mark.parametrize("scale", SCALES)
def test_a_missing_reward_leaves_the_others_alone(scale: Any) -> None:
    (with_gaps,) = flat([[None, 1.0, None, 2.0, 5.0]], scale)
    (without,) = flat([[1.0, 2.0, 5.0]], scale)
    assert with_gaps == [None, without[0], None, without[1], without[2]]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("group", [[], [3.0], [None], [None, None], [None, 2.0], [1.5] * 4, [0.1 + 0.2, 0.3]])
def test_a_group_that_says_nothing_contributes_nothing(group: Any, scale: Any) -> None:
    (made,) = group_advantages([group], scale)
    assert made.tied
    assert made.values == [None] * len(group)


def test_no_groups() -> None:
    assert group_advantages([]) == []


@settings(max_examples=80, deadline=None)
@given(GROUPS, st.sampled_from(SCALES), st.randoms(use_true_random=False))
def test_a_group_counts_and_not_its_place(groups: Any, scale: Any, random: Any) -> None:
    """Reordering groups, or attempts within them, reorders the advantages."""
    made = flat(groups, scale)
    order = random.sample(range(len(groups)), len(groups))
    for there, here in zip(flat([groups[i] for i in order], scale), order, strict=True):
        assert close(there, made[here])
    within = [random.sample(range(len(g)), len(g)) for g in groups]
    moved = flat([[g[i] for i in o] for g, o in zip(groups, within, strict=True)], scale)
    for got, before, o in zip(moved, made, within, strict=True):
        assert close(got, [before[i] for i in o])


@settings(max_examples=80, deadline=None)
@given(GROUPS, st.sampled_from(["group", "none"]), st.integers(-9, 9))
def test_a_group_may_be_shifted_and_others_do_not_matter(groups: Any, scale: Any, shift: int) -> None:
    moved = [[None if r is None else r + shift for r in g] for g in groups]
    for one, two in zip(flat(groups, scale), flat(moved, scale), strict=True):
        assert close(one, two)
    for g, made in zip(groups, flat(groups, scale), strict=True):
        assert close(flat([g], scale)[0], made)


@settings(max_examples=80, deadline=None)
@given(GROUPS, st.sampled_from(SCALES))
def test_advantages_of_a_group_add_up_to_nothing(groups: Any, scale: Any) -> None:
    for g, made in zip(groups, group_advantages(groups, scale), strict=True):
        there = [v for v in made.values if v is not None]
        assert made.tied == (not there)
        assert abs(sum(there)) < 1e-6
        if not made.tied:
            assert [v is None for v in made.values] == [r is None for r in g]
            assert (
                np.argsort(there, kind="stable").tolist()
                == np.argsort([r for r in g if r is not None], kind="stable").tolist()
            )


def test_mix_adds_weighted_rewards() -> None:
    assert mix([[1.0, 2.0], [10.0, 0.0]], [1.0, 0.5]) == [6.0, 2.0]
    assert mix([[1.0, 2.0]], [-2.0]) == [-2.0, -4.0]


def test_mix_leaves_out_what_does_not_apply() -> None:
    for aggregation in ("sum_then_normalize", "normalize_then_sum"):
        alone = mix([[1.0, 2.0]], [1.0], aggregation)  # type: ignore[arg-type]
        assert mix([[1.0, 2.0], [None, None]], [1.0, 3.0], aggregation) == alone  # type: ignore[arg-type]
        assert mix([[None, None]], [1.0], aggregation) == [None, None]  # type: ignore[arg-type]


def test_mix_does_not_compare_unlike_sums() -> None:
    assert mix([[1.0, 2.0, 3.0], [10.0, None, 0.0]], [1.0, 1.0]) == [11.0, None, 3.0]


def test_mix_of_normalised_rewards() -> None:
    one, two = [1.0, 2.0, 6.0], [100.0, None, 300.0]
    n = [(v - 3) / (np.std(one, ddof=1) + EPSILON) for v in one]
    m = [(v - 200) / (np.std([100, 300], ddof=1) + EPSILON) for v in (100, 300)]
    made = mix([one, two], [1.0, 0.5], "normalize_then_sum")
    assert np.allclose(made, [n[0] + 0.5 * m[0], n[1], n[2] + 0.5 * m[1]])  # type: ignore[arg-type]
    assert mix([[None, 1.0, 2.0], [None, 5.0, 5.0]], [1.0, 1.0], "normalize_then_sum")[0] is None
    tied = mix([[1.0, 1.0], [0.0, 5.0]], [9.0, 1.0], "normalize_then_sum")
    assert tied == mix([[0.0, 5.0]], [1.0], "normalize_then_sum")


def test_a_weight_is_influence_whatever_the_scale() -> None:
    small, large = [0.0, 1.0, 3.0], [3e6, 0.0, 2e6]
    made = mix([small, large], [1.0, 1.0], "normalize_then_sum")
    again = mix([[v * 7 for v in small], large], [1.0, 1.0], "normalize_then_sum")
    assert np.allclose(made, again, atol=1e-3)  # type: ignore[arg-type]


def test_a_function_of_weight_zero_takes_no_reward_away() -> None:
    assert mix([[1.0, 2.0], [None, 5.0]], [1.0, 0.0]) == [1.0, 2.0]


def of(*rewards: float | None) -> Any:
    return group_advantages([rewards])[0]


def test_corrected_advantages() -> None:
    """The judge's, and `weight` times what the auditor's differ from them."""
    judge, auditor = of(0.0, 0.0, 3.0), of(0.0, 3.0, 0.0)
    a, b = judge.values[0], judge.values[2]
    assert corrected(judge, auditor, 1.0) is auditor
    assert corrected(judge, auditor, 3.0).values == pytest.approx([a, a + 3 * (b - a), b + 3 * (a - b)])
    # Where one finds all alike, its advantages are 0.
    assert corrected(judge, of(1.0, 1.0, 1.0), 3.0).values == pytest.approx([-2 * a, -2 * a, -2 * b])
    assert corrected(of(1.0, 1.0, 1.0), judge, 3.0).values == pytest.approx([3 * a, 3 * a, 3 * b])
    assert corrected(of(1.0, 1.0), of(2.0, 2.0), 3.0).tied
    # An attempt of which the judge said nothing is corrected from 0; one without the auditor's word is not trained on.
    assert corrected(of(None, 0.0, 1.0), judge, 2.0).values[0] == pytest.approx(2 * a)
    assert corrected(judge, of(None, 0.0, 1.0), 2.0).values[0] is None


rewards_4 = st.lists(st.integers(0, 3), min_size=4, max_size=4)


@given(rewards_4, rewards_4, st.sampled_from([0.25, 0.5, 0.75]))
def test_corrected_advantages_are_those_of_the_auditor_in_expectation(
    judged: Any, audited: Any, share: float
) -> None:
    """Over which groups are audited, with the weight 1 / share."""
    judge, auditor = of(*judged), of(*audited)
    fixed = corrected(judge, auditor, 1 / share)
    for i in range(4):
        plain, right, made = (x.values[i] or 0.0 for x in (judge, auditor, fixed))
        assert share * made + (1 - share) * plain == pytest.approx(right, abs=1e-9)


def test_corrected_turns_are_those_of_both() -> None:
    def turned(advantages: Any, *added: float) -> Any:
        return replace(advantages, turns=tuple((np.array([x, -x]),) for x in added))

    judge, auditor = of(0.0, 1.0), of(1.0, 0.0)
    both = corrected(turned(judge, 1.0, 2.0), turned(auditor, 5.0, 4.0), 2.0)
    assert [x.tolist() for (x,) in both.turns] == [[9.0, -9.0], [6.0, -6.0]]
    one = corrected(turned(judge, 1.0, 2.0), auditor, 2.0)
    assert [x.tolist() for (x,) in one.turns] == [[-1.0, 1.0], [-2.0, 2.0]]
