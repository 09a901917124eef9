"""Means over seeds with their 95 % intervals. With a handful of seeds a percentile bootstrap is too narrow, so these
are Student's t intervals, and Fieller's (1954) for a ratio of two means."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

WINDOW = 5  # steps over which a training curve is smoothed


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval; without one where there is one seed, or no bound.

    Attributes:
        n: seeds.
    """

    value: float
    low: float | None
    high: float | None
    n: int

    def above(self, bound: float) -> bool:
        """The whole interval is."""
        return self.low is not None and self.low > bound

    def below(self, bound: float) -> bool:
        """The whole interval is."""
        return self.high is not None and self.high < bound

    def to_dict(self) -> dict[str, Any]:
        return {k: round(v, 6) if isinstance(v, float) else v for k, v in asdict(self).items()}


def read_estimate(fields: Mapping[str, Any]) -> Estimate:
    return Estimate(fields["value"], fields["low"], fields["high"], fields["n"])


def mean(values: Sequence[float]) -> Estimate | None:
    """The mean over seeds; None for no seed."""
    if not values:
        return None
    n, found = len(values), math.fsum(values) / len(values)
    if n == 1:
        return Estimate(found, None, None, 1)
    reach = _t(n) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return Estimate(found, found - reach, found + reach, n)


def difference(a: Mapping[int, float], b: Mapping[int, float]) -> Estimate | None:
    """Mean of a - b over the seeds that both have."""
    return mean([a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())])


def ratio(a: Mapping[int, float], b: Mapping[int, float]) -> Estimate | None:
    """Mean of a over mean of b, over the seeds that both have, with Fieller's interval.

    There is no interval where the denominator's own holds 0.
    """
    seeds = sorted(a.keys() & b.keys())
    n = len(seeds)
    if not n:
        return None
    y, x = np.array([a[s] for s in seeds]), np.array([b[s] for s in seeds])
    if abs(float(x.mean())) < 1e-12:
        return None
    found = float(y.mean() / x.mean())
    if n == 1:
        return Estimate(found, None, None, 1)
    t2 = _t(n) ** 2 / n
    cov = np.cov(y, x)
    square = float(x.mean() ** 2 - t2 * cov[1, 1])
    if square <= 0:
        return Estimate(found, None, None, n)
    middle = float(x.mean() * y.mean() - t2 * cov[0, 1])
    last = float(y.mean() ** 2 - t2 * cov[0, 0])
    root = math.sqrt(max(0.0, middle**2 - square * last))
    return Estimate(found, (middle - root) / square, (middle + root) / square, n)


def _t(n: int) -> float:
    from scipy.stats import t

    return float(t.ppf(0.975, n - 1))


def smooth(curve: Sequence[float], window: int = WINDOW) -> list[float]:
    """Mean of each point and those before it, `window` of them where there are so many."""
    return [math.fsum(curve[max(0, i + 1 - window) : i + 1]) / min(i + 1, window) for i in range(len(curve))]


def steps_to(curve: Sequence[float], level: float, window: int = WINDOW) -> int | None:
    """The first step, counted from 1, at which the smoothed curve is at the level; None if it never is."""
    for i, value in enumerate(smooth(curve, window)):
        if i + 1 >= min(window, len(curve)) and value >= level:
            return i + 1
    return None


def median_steps(steps: Sequence[int | None]) -> float | None:
    """The median over runs, a run that never got there counting as later than any; None where that is it."""
    if not steps:
        return None
    ordered = sorted(math.inf if s is None else float(s) for s in steps)
    middle = len(ordered) // 2
    found = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    return None if math.isinf(found) else found


def interpolate(at: float, points: Mapping[float, Mapping[int, float]]) -> dict[int, float] | None:
    """Each seed's value at `at`, between the two nearest points; None outside of them."""
    known = sorted(points)
    if not known or not known[0] <= at <= known[-1]:
        return None
    above = next(x for x in known if x >= at)
    below = max(x for x in known if x <= at)
    share = 0.0 if above == below else (at - below) / (above - below)
    seeds = points[below].keys() & points[above].keys()
    return {s: points[below][s] * (1 - share) + points[above][s] * share for s in seeds}
