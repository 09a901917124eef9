"""Student's t and Kendall's tau: closed forms, and scipy."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from scipy import stats

from ranker.distributions import student_quantile, student_tail, tau_b


@pytest.mark.parametrize("p", [1e-9, 0.001, 0.025, 0.3, 0.5, 0.8, 0.975, 0.9995])
def test_quantiles_of_one_and_two_degrees_have_closed_forms(p):
    assert student_quantile(p, 1) == pytest.approx(-1 / math.tan(math.pi * p), rel=1e-9, abs=1e-12)
    two = (2 * p - 1) / math.sqrt(2 * p * (1 - p))
    assert student_quantile(p, 2) == pytest.approx(two, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 29, 199, 9_999, 1_000_000])
def test_students_t_is_scipys(freedom):
    for p in (1e-6, 0.005, 0.025, 0.1, 0.5, 0.95, 0.975, 0.9999):
        assert student_quantile(p, freedom) == pytest.approx(stats.t.ppf(p, freedom), rel=1e-8, abs=1e-9)
    for t in (-40.0, -2.0, -1e-9, 0.0, 0.3, 1.96, 12.0, 200.0):
        assert student_tail(t, freedom) == pytest.approx(stats.t.sf(t, freedom), rel=1e-8, abs=1e-300)


def test_many_degrees_are_the_normal_distribution():
    assert student_quantile(0.975, 10_000_000) == pytest.approx(1.959964, abs=1e-6)


def test_tau_b_is_scipys():
    rng = np.random.default_rng(0)
    for n in (2, 3, 4, 8, 30):
        for _ in range(40):
            x, y = rng.integers(0, 4, (2, n))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                expected = stats.kendalltau(x, y).statistic
            assert tau_b(x.tolist(), y.tolist()) == pytest.approx(expected, abs=1e-12, nan_ok=True)
    assert tau_b([1, 2, 3], [10, 20, 30]) == 1.0
    assert tau_b([1, 2, 3], [3, 2, 1]) == -1.0
