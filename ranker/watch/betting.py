"""Confidence sequences by betting: intervals that hold at every step at once, however often they are looked at.

A gambler who bets that the mean lies below m, and cannot lose more than he has, gets rich only if he is right: his
capital is a test (Ville's inequality), and the values of m against which nobody got rich are a confidence sequence
(Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS-B 86, 2024). Bets here are
fixed shares of what may be staked, in a mixture. With fixed bets the capital is a test of the mean of the conditional means so far
too, so nothing is assumed about their drift: prod(1 + λ (m - μ_i)) <= exp(λ Σ (m - μ_i)) <= 1 where the mean of
the μ_i is at least m.

Observations are values in [0, 1] with weights in [0, 1]; the mean is the weighted one. Pure functions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ranker.statistics import NOTHING, Estimate

SHARES = np.array([0.1, 0.25, 0.5, 0.75, 0.98])  # of the most that can be staked, a mixture of equal parts
BLOCK = 4  # observations between the beginnings of two bets of `stretch_below`
_HALVINGS = 40


@dataclass(frozen=True, slots=True)
class Stretch:
    """Evidence that the mean of some latest stretch of the observations lies below a bound.

    Attributes:
        evidence: the capital of a mixture of bets that begin one after the other; a mean that never lies below the bound
            brings it to 1/α with probability α at most, over all time.
        start: index of the observation at which the bet with the largest share of it began.
    """

    evidence: float
    start: int


def log_capital(values_N: np.ndarray, weights_N: np.ndarray, bound: float) -> np.ndarray:
    """Log-capital, after each observation, of the bets that the mean is below `bound`, shape (N, len(SHARES)).

    Each observation multiplies the capital by 1 + λ w (bound - x), λ = share / (1 - bound).
    """
    stakes = SHARES / max(1 - bound, 1e-12)
    gains_N = weights_N * (bound - values_N)
    return np.cumsum(np.log1p(np.outer(gains_N, stakes)), axis=0)


def confidence_sequence(values_N: np.ndarray, weights_N: np.ndarray, alpha: float) -> Estimate:
    """The weighted mean and its interval now. All intervals of a growing sequence hold their means at once, with
    probability 1 - alpha."""
    total = float(weights_N.sum())
    if not total > 0:
        return NOTHING
    mean = float(values_N @ weights_N) / total
    high = _bound(values_N, weights_N, mean, alpha / 2)
    low = 1 - _bound(1 - values_N, weights_N, 1 - mean, alpha / 2)
    return Estimate(mean, min(low, mean), max(high, mean))


def _bound(values_N: np.ndarray, weights_N: np.ndarray, mean: float, alpha: float) -> float:
    """The least bound that the capital refutes: below every larger one the mean is shown to lie. The capital grows with
    the bound, so halving finds it."""
    low, high = mean, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if lies_below(values_N, weights_N, middle, alpha) else (middle, high)
    return high


def lies_below(values_N: np.ndarray, weights_N: np.ndarray, bound: float, alpha: float) -> bool:
    """Whether the mean is shown to lie below a bound: with a mean at the bound or above it this is ever said with
    probability alpha at most."""
    logs = log_capital(values_N, weights_N, bound)[-1]
    return bool(np.logaddexp.reduce(logs) - math.log(len(logs)) >= math.log(1 / alpha))


def stretch_below(values_N: np.ndarray, weights_N: np.ndarray, bound: float) -> Stretch:
    """Whether some latest stretch lies below the bound: a mixture of bets, one begun at every `BLOCK`-th observation.

    The k-th of them (from 1) has 1 / (k (k + 1)) of the mixture's capital, which is 1 in all (an e-detector; Shin,
    Ramdas and Rinaldo, arXiv 2203.03532).
    """
    n = len(values_N)
    if not n:
        return Stretch(0.0, 0)
    after_NB = log_capital(values_N, weights_N, bound)
    before_NB = np.vstack([np.zeros(len(SHARES)), after_NB[:-1]])
    since_K = np.logaddexp.reduce(after_NB[-1] - before_NB[::BLOCK], axis=1) - math.log(len(SHARES))
    k_K = np.arange(1, len(since_K) + 1)
    capital_K = since_K - np.log(k_K * (k_K + 1.0))
    with np.errstate(over="ignore"):
        evidence = float(np.exp(np.logaddexp.reduce(capital_K)))
    return Stretch(evidence, BLOCK * int(np.argmax(capital_K)))
