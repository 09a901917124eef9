"""Quantiles and tails of Student's t, and Kendall's tau, in numpy and the standard library.

scipy has them all, but it is a quarter of what an installation would weigh, and `scipy.stats` takes a second to import;
the tests compare every function with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np


@lru_cache(maxsize=1024)
def student_quantile(probability: float, freedom: float) -> float:
    """The value that Student's t with `freedom` degrees stays below with this probability (0 < p < 1)."""
    wanted = min(probability, 1 - probability)
    low, high = 0.0, 1.0
    while student_tail(high, freedom) > wanted:
        low, high = high, 2 * high
    while True:
        middle = (low + high) / 2
        if middle in (low, high):  # no float lies between
            return -middle if probability < 0.5 else middle
        low, high = (middle, high) if student_tail(middle, freedom) > wanted else (low, middle)


def student_tail(t: float, freedom: float) -> float:
    """P(T > t) of Student's t: ½·I_x(ν/2, ½) with x = ν / (ν + t²) (Abramowitz & Stegun 26.7.1)."""
    half = _beta_share(freedom / 2, 0.5, freedom / (freedom + t * t)) / 2
    return half if t >= 0 else 1 - half


def _beta_share(a: float, b: float, x: float) -> float:
    """The regularized incomplete beta function I_x(a, b), by its continued fraction (Abramowitz & Stegun 26.5.8),
    evaluated by Lentz's method on the side of the mean where it converges fast."""
    if x <= 0 or x >= 1:
        return min(max(x, 0.0), 1.0)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta_share(b, a, 1 - x)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / (1 + term * d)
            c = 1 + term / c
            fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return front * fraction / a


def tau_b(x_N: Sequence[float], y_N: Sequence[float]) -> float:
    """Kendall's tau-b (Kendall 1945); nan where all values of a side are equal."""
    x_NN, y_NN = (np.sign(np.subtract.outer(v, v)) for v in (np.asarray(x_N), np.asarray(y_N)))
    untied = math.sqrt(float(abs(x_NN).sum()) * float(abs(y_NN).sum()))
    return float((x_NN * y_NN).sum()) / untied if untied else math.nan
