"""The minimum of a convex function with bounds: closed forms, and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from ranker.debias.model import expit
from ranker.debias.newton import minimum


def test_a_quadratic_takes_its_minimum_or_its_bound():
    matrix = np.array([[2.0, 0.5], [0.5, 1.0]])
    for target in ([1.0, 2.0], [1.0, -2.0], [-3.0, -4.0]):
        target_N = np.array(target)

        def loss(p, at=target_N):
            return float((p - at) @ matrix @ (p - at) / 2), matrix @ (p - at)

        found = minimum(loss, lambda _: matrix, np.zeros(2), np.array([False, True]))
        if target[1] >= 0:
            assert found == pytest.approx(target_N, abs=1e-9)
        else:  # at p₁ = 0 the best p₀ solves 2·(p₀ − t₀) = 0.5·t₁
            assert found == pytest.approx([target[0] + 0.25 * target[1], 0.0], abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_logistic_losses_are_scipys(seed):
    rng = np.random.default_rng(seed)
    n, m = 12, 60
    design = rng.normal(size=(m, n)) * rng.choice([0.3, 6.0], size=n)
    bounded = np.arange(n) >= n - 4
    rate = np.where(bounded, 0.02, 0.0)
    ridge = np.where(bounded, 1e-3, 0.1)

    def loss(p):
        margin = design @ p
        value = np.logaddexp(0.0, -margin).sum() + ridge @ (p * p) / 2 + rate @ p
        return float(value), -(design.T @ expit(-margin)) + ridge * p + rate

    def curvature(p):
        share = expit(design @ p)
        return design.T * (share * (1 - share)) @ design + np.diag(ridge)

    start = np.where(bounded, 0.1, 3.0 * rng.normal(size=n))
    found = minimum(loss, curvature, start, bounded)
    bounds = [(0.0, None) if b else (None, None) for b in bounded]
    expected = minimize(
        loss,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": 5000, "gtol": 1e-9, "ftol": 1e-15},
    )
    assert (found[bounded] >= 0).all()
    assert loss(found)[0] <= expected.fun + 1e-9
    assert found == pytest.approx(expected.x, abs=1e-3)
