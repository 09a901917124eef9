"""The minimum of a smooth convex function, some of whose arguments must not be negative."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

_STEPS = 200
_FLAT = 1e-9  # of the gradient, where no further step is worth its rounding
_ARMIJO = 1e-4


def minimum(
    loss: Callable[[np.ndarray], tuple[float, np.ndarray]],
    curvature: Callable[[np.ndarray], np.ndarray],
    start_N: np.ndarray,
    bounded_N: np.ndarray,
) -> np.ndarray:
    """Projected Newton's method (Bertsekas 1982): a few steps, since the curvature is known anyway. scipy.optimize would
    do it too, for a quarter of what an installation weighs.

    Args:
        loss: value and gradient.
        curvature: the matrix of second derivatives, positive definite.
        start_N: where to begin.
        bounded_N: which arguments must not fall below 0.
    """
    at_N = _projected(start_N, bounded_N)
    value, slope_N = loss(at_N)
    for _ in range(_STEPS):
        held_N = bounded_N & (at_N <= 0) & (slope_N > 0)  # at their bound, and pressed against it
        free = np.flatnonzero(~held_N)
        if np.abs(slope_N[free]).max(initial=0.0) < _FLAT:
            break
        step_N = np.zeros_like(at_N)
        step_N[free] = np.linalg.solve(curvature(at_N)[np.ix_(free, free)], slope_N[free])
        length = 1.0
        while True:
            next_N = _projected(at_N - length * step_N, bounded_N)
            found, found_N = loss(next_N)
            if found <= value - _ARMIJO * float(slope_N @ (at_N - next_N)):
                break
            length /= 2
            if length < 1e-12:  # no float between is lower
                return at_N
        at_N, value, slope_N = next_N, found, found_N
    return at_N


def _projected(values_N: np.ndarray, bounded_N: np.ndarray) -> np.ndarray:
    projected_N: np.ndarray = np.where(bounded_N, np.maximum(values_N, 0.0), values_N)
    return projected_N
