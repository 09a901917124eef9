"""Orders and windows: nobody is favoured by where they stand, and all are compared enough."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranker.prompting.orders import balanced_orders, windows

law = settings(derandomize=True, deadline=None, max_examples=200)
SIZES = st.integers(1, 24)
SEEDS = st.integers(0, 2**32)


def orders(n: int, passes: int, seed: int = 0) -> list[tuple[int, ...]]:
    return balanced_orders(n, passes, random.Random(seed))


def full(n: int) -> int:
    """Passes after which the design is complete."""
    return n if n % 2 == 0 else 2 * n


@law
@given(SIZES, st.integers(1, 60), SEEDS)
def test_each_order_is_a_permutation(n, passes, seed):
    """As many orders as passes, each holding everyone once."""
    made = orders(n, passes, seed)
    assert len(made) == passes
    assert all(sorted(order) == list(range(n)) for order in made)


@law
@given(SIZES, st.integers(1, 30), SEEDS)
def test_mean_positions_are_equal_after_any_even_number_of_passes(n, half, seed):
    """So a judge that likes a place, in proportion to it, likes all trajectories alike."""
    made = orders(n, 2 * half, seed)
    for upto in range(2, 2 * half + 1, 2):
        totals = [0] * n
        for order in made[:upto]:
            for place, item in enumerate(order):
                totals[item] += place
        assert set(totals) == {upto * (n - 1) // 2}


@law
@given(SIZES, st.integers(1, 3), SEEDS)
def test_a_full_design_is_latin(n, times, seed):
    """After n passes (2n for odd n) each has stood in every position equally often."""
    passes = times * full(n)
    seen = Counter((item, place) for order in orders(n, passes, seed) for place, item in enumerate(order))
    assert set(seen.values()) == {passes // n}
    assert len(seen) == n * n


@law
@given(st.integers(2, 20), SEEDS)
def test_a_full_design_balances_neighbours(n, seed):
    """In it each has come right after every other equally often."""
    seen = Counter(pair for order in orders(n, full(n), seed) for pair in pairwise(order))
    assert len(seen) == n * (n - 1)
    assert set(seen.values()) == {full(n) // n}


@law
@given(SIZES, st.integers(1, 20), SEEDS)
def test_orders_depend_on_the_seed_alone(n, passes, seed):
    """The same seed gives the same orders."""
    assert orders(n, passes, seed) == orders(n, passes, seed)


def test_seeds_give_different_orders():
    """Who stands first is drawn, evenly."""
    first = Counter(orders(4, 1, seed)[0][0] for seed in range(2_000))
    assert len(first) == 4
    assert all(abs(count - 500) < 100 for count in first.values())


def test_orders_within_a_design_differ():
    """No pass of a full design repeats another."""
    for n in (3, 4, 7, 8):
        assert len(set(orders(n, full(n)))) == full(n)


@law
@given(st.integers(1, 120), st.integers(2, 40), SEEDS)
def test_windows_cover_everyone_twice(n, size, seed):
    """Each window holds `size` different items; where more than one is needed, each item stands in two."""
    order = random.Random(seed).sample(range(n), n)
    made = windows(order, size)
    if n <= size:
        assert made == [tuple(order)]
        return
    assert all(len(frame) == size == len(set(frame)) for frame in made)
    seen = Counter(item for frame in made for item in set(frame))
    assert set(seen) == set(order)
    assert min(seen.values()) >= 2


@law
@given(st.integers(2, 60), st.integers(2, 20), SEEDS)
def test_windows_hang_together(n, size, seed):
    """Neighbouring windows overlap (above the smallest size by half), so one ranking can be merged of all."""
    made = windows(random.Random(seed).sample(range(n), n), size)
    reached, waiting = set(made[0]), list(made[1:])
    while near := [frame for frame in waiting if reached & set(frame)]:
        reached |= {item for frame in near for item in frame}
        waiting = [frame for frame in waiting if frame not in near]
    assert reached == set(range(n))


@pytest.mark.parametrize("size", [2, 5, 16, 32])
def test_the_number_of_windows_is_linear(size):
    """Twice the items take twice the windows, not four times."""
    for n in (2 * size, 10 * size, 10 * size + 1, 40 * size):
        assert len(windows(list(range(n)), size)) <= 2 * n / size + 1
