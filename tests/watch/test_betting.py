"""Confidence sequences: closed forms, laws, and coverage at every step at once."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranker.watch.betting import BLOCK, SHARES, confidence_sequence, lies_below, log_capital, stretch_below

UNIT = st.floats(0, 1)
PAIRS = st.lists(st.tuples(UNIT, st.floats(0.01, 1)), min_size=1, max_size=30)


def columns(pairs: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])


def test_capital_is_the_product_of_the_bets():
    values, weights, bound = np.array([0.2, 0.9]), np.array([1.0, 0.5]), 0.6
    for i, share in enumerate(SHARES):
        stake = share / (1 - bound)
        first = 1 + stake * 1.0 * (0.6 - 0.2)
        second = first * (1 + stake * 0.5 * (0.6 - 0.9))
        assert log_capital(values, weights, bound)[:, i] == pytest.approx([math.log(first), math.log(second)])


@given(PAIRS)
def test_the_interval_lies_around_the_weighted_mean(pairs):
    values, weights = columns(pairs)
    found = confidence_sequence(values, weights, 0.05)
    mean = float(np.average(values, weights=weights))
    assert found.value == pytest.approx(mean)
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= found.value <= found.high <= 1


@given(PAIRS)
def test_turned_about_the_interval_is_the_mirror_image(pairs):
    values, weights = columns(pairs)
    one, other = confidence_sequence(values, weights, 0.05), confidence_sequence(1 - values, weights, 0.05)
    assert (one.low, one.high) == pytest.approx((1 - other.high, 1 - other.low), abs=1e-9)


@given(PAIRS, st.floats(0.05, 0.9), st.floats(0.01, 0.09))
def test_a_higher_bound_is_refuted_sooner(pairs, bound, more):
    values, weights = columns(pairs)
    assert (
        log_capital(values, weights, bound + more)[-1] >= log_capital(values, weights, bound)[-1] - 1e-9
    ).all()


def test_the_ends_of_the_interval_are_where_refutation_begins():
    rng = np.random.default_rng(0)
    values, weights = rng.beta(6, 2, 40), rng.uniform(0.2, 1, 40)
    found = confidence_sequence(values, weights, 0.05)
    assert found.high is not None
    assert lies_below(values, weights, found.high + 1e-6, 0.025)
    assert not lies_below(values, weights, found.high - 1e-6, 0.025)


def test_nothing_weighs_nothing():
    assert confidence_sequence(np.array([0.3]), np.array([0.0]), 0.05).value is None
    assert stretch_below(np.array([]), np.array([]), 0.5).evidence == 0.0


PATHS = {
    "steady": lambda t: 0.8,
    "a coin": lambda t: 0.5,
    "nearly always": lambda t: 0.98,
    "falling": lambda t: 0.9 - 0.6 * t,
    "broken": lambda t: 0.9 if t < 0.4 else 0.3,
    "rising": lambda t: 0.4 + 0.5 * t,
}


@pytest.mark.parametrize("path", PATHS)
def test_a_thousand_runs_cover_the_true_mean_at_every_step(path):
    """Also where the mean drifts: then it is that of the steps so far. At least 95 % of the runs, all steps of each."""
    steps, runs = 60, 1_000
    rng = np.random.default_rng(7)
    means_T = np.array([PATHS[path](t / steps) for t in range(steps)])
    strength = np.maximum(means_T * (1 - means_T) / 0.3**2 - 1, 0.3)
    missed = 0
    for _ in range(runs):
        values_T, weights_T = (
            rng.beta(means_T * strength, (1 - means_T) * strength),
            rng.uniform(0.1, 1, steps),
        )
        true_T = np.cumsum(means_T * weights_T) / np.cumsum(weights_T)
        missed += not all(
            covers(values_T[:t], weights_T[:t], true_T[t - 1])
            for t in (1, 2, 3, 5, 8, *range(10, steps + 1, 5))
        )
    assert missed / runs <= 0.05


def covers(values: np.ndarray, weights: np.ndarray, mean: float) -> bool:
    return not (lies_below(values, weights, mean, 0.025) or lies_below(1 - values, weights, 1 - mean, 0.025))


def test_a_stretch_is_weighed_by_the_bets_that_begin_in_it():
    """By hand: two blocks, the k-th bet has 1 / (k (k + 1)) of the capital."""
    values, weights = np.array([0.9] * BLOCK + [0.1] * BLOCK), np.ones(2 * BLOCK)
    by_hand = 0.0
    for k, start in ((1, 0), (2, BLOCK)):
        capital = np.mean([np.prod(1 + s / 0.3 * (0.7 - values[start:])) for s in SHARES])
        by_hand += capital / (k * (k + 1))
    found = stretch_below(values, weights, 0.7)
    assert found.evidence == pytest.approx(by_hand)
    assert found.start == BLOCK


def test_a_mean_at_the_bound_seldom_gives_the_alarm():
    rng = np.random.default_rng(3)
    runs, steps, alarms = 400, 60, 0
    for _ in range(runs):
        values = rng.beta(2.8, 1.2, steps)  # mean 0.7
        alarms += any(
            stretch_below(values[:t], np.ones(t), 0.7).evidence >= 20 for t in range(4, steps + 1, 4)
        )
    assert alarms / runs <= 0.05
