"""Agreement of a judge with its auditor: of one group, since the start, and now."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ranker.statistics import CONFIDENCE, NOTHING, Estimate, ratio
from ranker.watch.betting import Stretch, confidence_sequence, stretch_below

ALPHA = 1 - CONFIDENCE
WINDOW = 16  # audited groups that "now" goes back to, at least where there are so many, and less than twice as many
_FULL = 0.25  # of the largest stake a group can have: from there on it counts in full


@dataclass(frozen=True, slots=True)
class Audited:
    """What an audit of one group found.

    Attributes:
        step: the step whose policy wrote the attempts.
        group: its number in the run.
        agreement: share of what the auditor tells apart that the judge orders alike, each pair by how far apart the
            auditor puts the two, ties of the judge half.
        weight: from 0, where the auditor tells nothing apart, to 1.
    """

    step: int
    group: int
    agreement: float
    weight: float


def compared(
    judge_G: Sequence[float | None], auditor_G: Sequence[float | None], scale: float = 1.0
) -> tuple[float, float]:
    """Agreement and weight of a group, see `Audited`.

    Agreement = Σ |a_i - a_j| [same order] / Σ |a_i - a_j| over pairs, with the auditor's values a. The weight is the
    divisor as a share of the most that it could be, Σ <= scale · G² / 4, and 1 from a quarter of that on.

    Args:
        judge_G, auditor_G: higher is better; attempts without a value from both do not count.
        scale: the largest difference between two values of the auditor.
    """
    both = [(j, a) for j, a in zip(judge_G, auditor_G, strict=True) if j is not None and a is not None]
    alike = stake = 0.0
    for (judge_i, auditor_i), (judge_j, auditor_j) in itertools.combinations(both, 2):
        gap = abs(auditor_i - auditor_j)
        stake += gap
        same = (judge_i - judge_j) * (auditor_i - auditor_j)
        alike += gap * (0.5 if judge_i == judge_j else float(same > 0))
    if not stake > 0:
        return 0.0, 0.0
    return alike / stake, min(1.0, stake / (_FULL * scale * len(both) ** 2 / 4))


def spread(values: Sequence[float | None]) -> float:
    """The largest difference between two of the values."""
    known = [v for v in values if v is not None]
    return max(known) - min(known) if known else 0.0


def since_start(audited: Sequence[Audited]) -> Estimate:
    """Agreement on all audited groups, each at the time it was sampled; its interval holds at every step at once."""
    return confidence_sequence(*columns(audited), ALPHA)


def now(audited: Sequence[Audited]) -> Estimate:
    """Agreement on the latest `WINDOW` audited groups or some more; its interval holds at every step at once.

    A sequence begins at every `WINDOW`-th group, the k-th (from 1) at the level ALPHA / (k (k + 1)); the newest that has
    `WINDOW` groups speaks.
    """
    telling = [a for a in audited if a.weight > 0]
    begun = max(1, len(telling) // WINDOW)
    return confidence_sequence(*columns(telling[(begun - 1) * WINDOW :]), ALPHA / (begun * (begun + 1)))


def first(audited: Sequence[Audited]) -> Estimate:
    """Agreement on the first `WINDOW` audited groups, looked at once, when there are so many; nothing before."""
    telling = [a for a in audited if a.weight > 0][:WINDOW]
    if len(telling) < WINDOW:
        return NOTHING
    values_N, weights_N = columns(telling)
    return ratio(values_N * weights_N, weights_N, share=True)


def below(audited: Sequence[Audited], bound: float) -> Stretch:
    """Evidence that agreement on some latest stretch lies below a bound; `start` is an index into `audited`."""
    telling = [i for i, a in enumerate(audited) if a.weight > 0]
    found = stretch_below(*columns([audited[i] for i in telling]), bound)
    return Stretch(found.evidence, telling[found.start] if telling else 0)


def columns(audited: Sequence[Audited]) -> tuple[np.ndarray, np.ndarray]:
    """Agreements and weights, shapes (N,)."""
    values_N2 = np.array([(a.agreement, a.weight) for a in audited], dtype=float).reshape(-1, 2)
    return values_N2[:, 0], values_N2[:, 1]
