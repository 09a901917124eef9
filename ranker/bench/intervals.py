"""Intervals by bootstrap over groups.

Every metric of the benchmark is a ratio of sums over groups, and comparisons need the same resamples for two judges;
that is a matrix product, where scipy.stats.bootstrap would call a function of ours ten thousand times.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats

DRAWS = 4_000
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95 % interval; all None where nothing could be measured."""

    value: float | None
    low: float | None
    high: float | None

    def to_dict(self) -> dict[str, float | None]:
        return {"value": self.value, "low": self.low, "high": self.high}

    def __format__(self, spec: str) -> str:
        if self.value is None or self.low is None or self.high is None:
            return "–"
        spec = spec or ".3f"
        return f"{self.value:{spec}} ({self.low:{spec}} to {self.high:{spec}})"


NOTHING = Estimate(None, None, None)


def ratio(num_N: np.ndarray, den_N: np.ndarray, *, share: bool = False, seed: int = 0) -> Estimate:
    """sum(num) / sum(den) over N groups, with a percentile bootstrap interval over groups.

    The percentiles are those of the expanded interval (Hesterberg 2015, section 4.3), which makes up for the
    bootstrap's narrowness in small samples: the normal quantile becomes sqrt(N / (N - 1)) times Student's.

    Args:
        num_N, den_N: shape (N,); groups with den 0 do not count.
        share: the figure lies in [0, 1]. Where every group then has the same value, resampling finds no spread; the
            interval leaves room for as many groups of value 0, or 1, as N draws could miss: where the value is 1 or
            0, that is the exact binomial interval.
    """
    counted = den_N > 0
    num_N, den_N = num_N[counted], den_N[counted]
    n = len(num_N)
    if n == 0:
        return NOTHING
    value = float(num_N.sum() / den_N.sum())
    if n == 1:
        return Estimate(value, 0.0, 1.0) if share else Estimate(value, None, None)
    drawn_B = resampled(num_N, den_N, seed)
    if share and np.ptp(drawn_B) < 1e-9:
        return Estimate(value, value * (1 - unseen(n)), value + (1 - value) * unseen(n))
    return _around(value, drawn_B, n)


def difference(
    a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray], seed: int = 0, *, span: float = 1.0
) -> tuple[Estimate, float | None]:
    """ratio(a) - ratio(b) over the same N groups, and its standard error.

    Both are resampled together; groups that count in only one of them are left out. Where all groups say the same,
    resampling finds no spread; the interval then leaves room for as many groups that say otherwise as N could miss.

    Args:
        span: the most by which a group can say otherwise.
    """
    counted = (a[1] > 0) & (b[1] > 0)
    n = int(counted.sum())
    if n == 0:
        return NOTHING, None
    (an, ad), (bn, bd) = [(num[counted], den[counted]) for num, den in (a, b)]
    value = float(an.sum() / ad.sum() - bn.sum() / bd.sum())
    if n == 1:
        return Estimate(value, None, None), None
    drawn_B = resampled(an, ad, seed) - resampled(bn, bd, seed)
    if np.ptp(drawn_B) < 1e-9:
        return Estimate(value, value - span * unseen(n), value + span * unseen(n)), 0.0
    return _around(value, drawn_B, n), float(drawn_B.std() * math.sqrt(n / (n - 1)))


def unseen(n: int) -> float:
    """The largest share of a population of which n draws can hold none, by the exact binomial interval."""
    return 1 - float(((1 - CONFIDENCE) / 2) ** (1 / n))


def resampled(num_N: np.ndarray, den_N: np.ndarray, seed: int = 0) -> np.ndarray:
    """The ratio in each of `DRAWS` resamples of the groups, shape (B,); the same groups for the same N and seed."""
    times_BN = _times(len(num_N), seed)
    # Not `@`: for a matrix so small its threads mostly wait for each other, ten times as long where cores are busy.
    num_B, den_B = (np.einsum("bn,n->b", times_BN, some_N) for some_N in (num_N, den_N))
    made: np.ndarray = num_B / den_B
    return made


@lru_cache(maxsize=4)
def _times(n: int, seed: int) -> np.ndarray:
    """How often each of n groups is drawn in each resample, shape (B, N)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(n, np.full(n, 1 / n), size=DRAWS).astype(float)


def _around(value: float, drawn_B: np.ndarray, n: int) -> Estimate:
    low, high = np.quantile(drawn_B, _tails(n))
    # Draws that ought to be equal may differ in their last digit.
    return Estimate(value, min(value, float(low)), max(value, float(high)))


def _tails(n: int) -> tuple[float, float]:
    """Quantiles of the bootstrap distribution that bound the expanded interval."""
    student = stats.t.ppf((1 - CONFIDENCE) / 2, n - 1)
    tail = float(stats.norm.cdf(math.sqrt(n / (n - 1)) * student))
    return tail, 1 - tail
