"""The coefficients of `ranker.audit.certificate`, fitted on the study's runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.stats import t as student_t

from ranker.audit.certificate import FREEDOM, Coefficients, Features, moments


def fit(features: Sequence[Features], recovery_N: Sequence[float]) -> Coefficients:
    """The most probable coefficients given what N policies kept, by Student's t, with weak priors that keep them
    where they mean something."""
    target_N = np.array(recovery_N)

    def model_of(p: np.ndarray) -> Coefficients:
        return Coefficients(math.exp(p[0]), p[1], math.exp(p[2]), p[3], p[4], math.exp(p[5]), math.exp(p[6]))

    def loss(p: np.ndarray) -> float:
        mean_N, spread_N, _ = moments(features, model_of(p))
        likelihood = student_t.logpdf((target_N - mean_N) / spread_N, FREEDOM) - np.log(spread_N)
        prior = ((p - _CENTRE) / _PRIOR) ** 2 / 2
        return float(prior.sum() - likelihood.sum())

    starts = [_CENTRE + _PRIOR * shift for shift in (0.0, *np.random.default_rng(0).normal(size=(12, 7)) / 2)]
    best = min(
        (
            minimize(loss, start, method="Nelder-Mead", options={"maxiter": 6000, "fatol": 1e-8})
            for start in starts
        ),
        key=lambda solution: solution.fun,
    )
    return model_of(best.x)


# Of log τ, e₀, log w, c without and with harm, log spread, log captured spread.
_CENTRE = np.array([math.log(0.06), 0.25, math.log(0.03), 0.0, -0.4, math.log(0.08), math.log(0.4)])
_PRIOR = np.array([0.5, 0.1, 0.7, 0.4, 0.4, 0.7, 0.5])
