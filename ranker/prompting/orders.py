"""In which order a judge sees the trajectories: balanced over positions, seeded."""

from __future__ import annotations

import random


def balanced_orders(n: int, passes: int, rng: random.Random) -> list[tuple[int, ...]]:
    """`passes` orders of range(n) in which no trajectory is favoured by where it stands.

    Rows of a Williams design (Williams 1949): each order is followed by its mirror image, so after
    every even number of passes all trajectories have the same mean position; after n passes (2n for
    odd n) each has stood in every position equally often, and after every other equally often.
    Which trajectory plays which part is drawn from `rng`.
    """
    orders: list[tuple[int, ...]] = []
    while len(orders) < passes:
        actor = rng.sample(range(n), n)
        rows = n // 2 if n % 2 == 0 else n
        wanted = (passes - len(orders) + 1) // 2
        starts = range(rows) if wanted >= rows else [j * rows // wanted for j in range(wanted)]
        for start in starts:
            row = tuple(actor[(start + step) % n] for step in _zigzag(n))
            orders += [row, row[::-1]]
    return orders[:passes]


def _zigzag(n: int) -> list[int]:
    """0, 1, n-1, 2, n-2, …: neighbours differ by every amount once."""
    return [(k + 1) // 2 if k % 2 else (n - k // 2) % n for k in range(n)]


def windows(order: list[int] | tuple[int, ...], size: int) -> list[tuple[int, ...]]:
    """Cut a circular order into windows of `size` that overlap by half: each item stands in two.

    Their number is about 2·n/size, linear in n.
    """
    n = len(order)
    if n <= size:
        return [tuple(order)]
    count = max(2, -(-2 * n // size))
    return [tuple(order[(n * i // count + k) % n] for k in range(size)) for i in range(count)]
