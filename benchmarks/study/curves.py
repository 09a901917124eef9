"""Training curves: how soon they reach a level."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

WINDOW = 5  # steps over which a training curve is smoothed


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
    """The median over runs, where a run that never reached the level counts as later than any; None if that is the
    median."""
    middle = median(math.inf if s is None else s for s in steps) if steps else math.inf
    return None if math.isinf(middle) else float(middle)
