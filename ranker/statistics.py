"""Estimates with 95 % intervals: bootstrap over groups, Student's t over a few seeds, Fieller's for a ratio of means.

Pure functions of numbers; every interval that Ranker reports comes from here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np

from ranker.distributions import student_quantile

DRAWS = 4_000
CONFIDENCE = 0.95
_TAIL = (1 - CONFIDENCE) / 2

Parts = tuple[np.ndarray, np.ndarray]  # numerators and denominators of N groups, shapes (N,)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95 % interval: `value` is None where nothing could be measured, `low` and `high` where the
    data give no bound."""

    value: float | None
    low: float | None
    high: float | None

    def above(self, bound: float) -> bool:
        """Whether the whole interval lies above `bound`."""
        return self.low is not None and self.low > bound

    def below(self, bound: float) -> bool:
        """Whether the whole interval lies below `bound`."""
        return self.high is not None and self.high < bound

    def within(self, least: float, most: float) -> Estimate:
        """The same with bounds that the figure can reach."""
        low, high = (None if x is None else min(max(x, least), most) for x in (self.low, self.high))
        return Estimate(self.value, low, high)

    @property
    def reach(self) -> float | None:
        """How far the farther bound lies from the value: half of Student's interval, also where the nearer bound is cut to
        what the figure can reach."""
        if self.value is None or self.low is None or self.high is None:
            return None
        return max(self.value - self.low, self.high - self.value)

    def to_dict(self, digits: int | None = None) -> dict[str, float | None]:
        """The three numbers, rounded to `digits` decimals if given."""
        fields = {"value": self.value, "low": self.low, "high": self.high}
        return {k: x if x is None or digits is None else round(x, digits) for k, x in fields.items()}

    def __neg__(self) -> Estimate:
        return Estimate(*(None if x is None else -x for x in (self.value, self.high, self.low)))

    def __format__(self, spec: str) -> str:
        if self.value is None or self.low is None or self.high is None:
            return "–"
        spec = spec or ".3f"
        return f"{self.value:{spec}} ({self.low:{spec}} to {self.high:{spec}})"


NOTHING = Estimate(None, None, None)


def ratio(
    num_N: np.ndarray,
    den_N: np.ndarray,
    *,
    share: bool = False,
    within: tuple[float, float] | None = None,
    seed: int = 0,
) -> Estimate:
    """sum(num) / sum(den) over N groups, with a percentile bootstrap interval over groups.

    The percentiles are those of the expanded interval (Hesterberg 2015, section 4.3), which corrects the bootstrap's
    narrowness in small samples: the normal quantile becomes sqrt(N / (N - 1)) times Student's.

    Args:
        num_N, den_N: shape (N,); groups with den 0 do not count.
        share: the figure lies in [0, 1]: short for within=(0, 1).
        within: the least and the most that a group can have. Where all have the same value, resampling shows no spread;
            the interval then leaves room for as many groups at either bound as N draws could miss: for a share of 1 or
            0, that is the exact binomial interval. None: no bounds are known.
    """
    within = (0.0, 1.0) if share else within
    counted = den_N > 0
    num_N, den_N = num_N[counted], den_N[counted]
    n = len(num_N)
    if n == 0:
        return NOTHING
    value = float(num_N.sum() / den_N.sum())
    if n == 1:
        return Estimate(value, *(within or (None, None)))
    ratio_B = resampled(num_N, den_N, seed)
    if within and np.ptp(ratio_B) < 1e-9:
        return _alike(value, within, n)
    return _expanded(value, ratio_B, n)


def difference(
    a: Parts, b: Parts, seed: int = 0, *, span: float = 1.0, together: int = 1
) -> tuple[Estimate, float | None]:
    """ratio(a) - ratio(b) over the same N groups, and its standard error.

    Both are resampled together; groups that count in only one of them are left out. Where all groups agree,
    resampling shows no spread; the interval then leaves room for as many groups that differ as N could miss.

    Args:
        span: the most by which one group can differ.
        together: figures whose intervals are to hold their true values all at once (Bonferroni).
    """
    counted = (a[1] > 0) & (b[1] > 0)
    n = int(counted.sum())
    if n == 0:
        return NOTHING, None
    (an, ad), (bn, bd) = [(num[counted], den[counted]) for num, den in (a, b)]
    value = float(an.sum() / ad.sum() - bn.sum() / bd.sum())
    if n == 1:
        return Estimate(value, None, None), None
    difference_B = resampled(an, ad, seed) - resampled(bn, bd, seed)
    if np.ptp(difference_B) < 1e-9:
        room = span * unseen(n, _TAIL / together)
        return Estimate(value, value - room, value + room).within(-span, span), 0.0
    return _expanded(value, difference_B, n, _TAIL / together), float(
        difference_B.std() * math.sqrt(n / (n - 1))
    )


def _alike(value: float, within: tuple[float, float], n: int) -> Estimate:
    """Of n draws that all have one value: there may be others, as many as n draws could miss."""
    least, most = within
    return Estimate(value, value - (value - least) * unseen(n), value + (most - value) * unseen(n))


def unseen(n: int, tail: float = _TAIL) -> float:
    """The largest share of a population of which n draws can contain none, by the exact binomial interval."""
    return 1 - float(tail ** (1 / n))


def resampled(num_N: np.ndarray, den_N: np.ndarray, seed: int = 0) -> np.ndarray:
    """The ratio in each of `DRAWS` resamples of the groups, shape (B,); the same groups for the same N and seed."""
    times_BN = resamples(len(num_N), seed)
    # Not `@`: for a matrix so small its threads mostly wait for each other, ten times as long where cores are busy.
    num_B, den_B = (np.einsum("bn,n->b", times_BN, some_N) for some_N in (num_N, den_N))
    ratio_B: np.ndarray = num_B / den_B
    return ratio_B


@lru_cache(maxsize=4)
def resamples(n: int, seed: int = 0, draws: int = DRAWS) -> np.ndarray:
    """How often each of n groups is drawn in each resample, shape (B, N).

    Ratios of sums over these resamples are matrix products.
    """
    rng = np.random.default_rng(seed)
    times_BN: np.ndarray = rng.multinomial(n, np.full(n, 1 / n), size=draws).astype(float)
    times_BN.flags.writeable = False  # the cache shares it
    return times_BN


def expanded_tail(n: int, tail: float = _TAIL) -> float:
    """The quantile of the bootstrap distribution that bounds the expanded interval on n groups from below."""
    return NormalDist().cdf(math.sqrt(n / (n - 1)) * student_quantile(tail, n - 1))


def _expanded(value: float, drawn_B: np.ndarray, n: int, tail: float = _TAIL) -> Estimate:
    tail = expanded_tail(n, tail)
    low, high = np.quantile(drawn_B, (tail, 1 - tail))
    # Draws that ought to be equal may differ in their last digit.
    return Estimate(value, min(value, float(low)), max(value, float(high)))


def percentile(statistic: Callable[..., Any], *columns_N: np.ndarray, draws: int = 2_000) -> Estimate:
    """A statistic of N groups with the plain percentile bootstrap interval over groups.

    Args:
        statistic: of the columns, along `axis`.
        columns_N: shape (N,), N at least 1; resampled together. One group gives an interval without width.
    """
    value = float(statistic(*columns_N, axis=-1))
    if len(columns_N[0]) == 1:
        return Estimate(value, value, value)
    n = len(columns_N[0])
    drawn_BN = np.random.default_rng(0).integers(0, n, (draws, n))
    value_B = statistic(*(column_N[drawn_BN] for column_N in columns_N), axis=-1)
    low, high = np.quantile(value_B, (_TAIL, 1 - _TAIL))
    return Estimate(value, float(low), float(high))


def mean(values: Sequence[float], within: tuple[float, float] | None = None) -> Estimate:
    """The mean of a few independent runs with Student's t interval: a percentile bootstrap of a handful is too
    narrow.

    Args:
        within: the least and the most that a value can be, as for `ratio`: room where all values are the same, and the
            bounds of the interval.
    """
    n = len(values)
    if not n:
        return NOTHING
    value = math.fsum(values) / n
    if n == 1:
        return Estimate(value, *(within or (None, None)))
    if within and np.ptp(values) < 1e-9:
        return _alike(value, within, n)
    reach = _student(n) * float(np.std(values, ddof=1)) / math.sqrt(n)
    interval = Estimate(value, value - reach, value + reach)
    return interval.within(*within) if within else interval


def paired(a: Mapping[int, float], b: Mapping[int, float]) -> Estimate:
    """Mean of a - b over the seeds that both have, with Student's t interval."""
    return mean([a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())])


def fieller(a: Mapping[int, float], b: Mapping[int, float]) -> Estimate:
    """Mean of a over mean of b, over the seeds that both have, with Fieller's (1954) interval; without one where
    the denominator's own interval holds 0."""
    seeds = sorted(a.keys() & b.keys())
    n = len(seeds)
    y, x = np.array([a[s] for s in seeds]), np.array([b[s] for s in seeds])
    if not n or abs(float(x.mean())) < 1e-12:
        return NOTHING
    value = float(y.mean() / x.mean())
    if n == 1:
        return Estimate(value, None, None)
    t2 = _student(n) ** 2 / n
    cov = np.cov(y, x)
    square = float(x.mean() ** 2 - t2 * cov[1, 1])
    if square <= 0:
        return Estimate(value, None, None)
    middle = float(x.mean() * y.mean() - t2 * cov[0, 1])
    last = float(y.mean() ** 2 - t2 * cov[0, 0])
    root = math.sqrt(max(0.0, middle**2 - square * last))
    return Estimate(value, (middle - root) / square, (middle + root) / square)


def _student(n: int) -> float:
    return student_quantile(1 - _TAIL, n - 1)
