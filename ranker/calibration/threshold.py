"""From which confidence on a cascade's small judge may decide, and what the cascade is then worth."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from ranker.bench.intervals import Estimate, ratio
from ranker.calibration.choosing import FOLDS, LEAST, bundles_of, folds_of, summed
from ranker.errors import ConfigurationError

LEVEL = 0.10  # one-sided, of the bound that a threshold must keep
DRAWS = 2_000


@dataclass(frozen=True, slots=True)
class Fitted:
    """A threshold, and what the cascade is worth on groups that had no part in fitting it.

    Attributes:
        threshold: None where only passing on every group keeps the wanted agreement.
        saved: share of groups that the small judge decides, so many calls of the strong one being saved.
        agreement: share of the strong judge's ordered pairs that the cascade orders the same, all groups.
        decided_agreement: the same, on the groups that the small judge decides; all None where it decides none.
        groups: fitted and measured on.
        wanted: the agreement that was asked for.
    """

    threshold: float | None
    saved: Estimate
    agreement: Estimate
    decided_agreement: Estimate
    groups: int
    wanted: float

    def to_dict(self) -> dict[str, Any]:
        return {
            "groups": self.groups,
            "saved": self.saved.to_dict(),
            "agreement": self.agreement.to_dict(),
            "decided_agreement": self.decided_agreement.to_dict(),
        }


Refit = Callable[[np.ndarray], tuple[Sequence[float], Sequence[float]]]


def fit_threshold(
    confidences: Sequence[float],
    agreeing: Sequence[float],
    pairs: Sequence[float],
    wanted: float,
    *,
    openings: Sequence[str] | None = None,
    folds: int = FOLDS,
    seed: int = 0,
    refit: Refit | None = None,
) -> Fitted:
    """The threshold that passes on least, and what it is worth.

    A group that is passed on agrees with the strong judge by definition. What is reported is measured on each fold with
    the threshold that the other folds give, and pooled; the threshold itself is that of all groups.

    Args:
        confidences: of the small judge, one for each group.
        agreeing: how many of the strong judge's ordered pairs it orders the same, ties half.
        pairs: how many such pairs there are; at least one in each group.
        wanted: see `lowest_threshold`.
        openings: see `choose`.
        refit: where the small judge itself is chosen by these groups: given the indices of some groups, the confidences
            and the agreeing pairs, on all groups, of the judge that they choose.

    Raises:
        ConfigurationError: too few groups, or a `wanted` that is no share.
    """
    sure_N, agree_N, pairs_N = (np.asarray(x, dtype=float) for x in (confidences, agreeing, pairs))
    n = len(sure_N)
    if not len(agree_N) == len(pairs_N) == n or not (pairs_N > 0).all():
        raise ConfigurationError(
            "Give a confidence, the agreeing pairs and the pairs of each group, at least one pair each."
        )
    bundle_N = bundles_of(n, openings)
    if len(set(bundle_N.tolist())) < LEAST:
        raise ConfigurationError(
            f"{n} groups are too few to fit a threshold on; give at least {LEAST}, better a hundred."
        )
    if not 0.5 <= wanted < 1:
        raise ConfigurationError(
            f"An agreement of {wanted!r} cannot be asked for; give a share from 0.5 to below 1."
        )
    fold_N = folds_of(bundle_N, folds, str(seed))
    decided_N, held_N = np.zeros(n), pairs_N.copy()
    for fold in range(int(fold_N.max()) + 1):
        others, own = np.flatnonzero(fold_N != fold), np.flatnonzero(fold_N == fold)
        s_N, a_N = (sure_N, agree_N) if refit is None else map(np.asarray, refit(others))
        limit = lowest_threshold(
            s_N[others], a_N[others], pairs_N[others], wanted, bundle_N=bundle_N[others], seed=seed
        )
        if limit is not None:
            sure = own[s_N[own] >= limit]
            decided_N[sure], held_N[sure] = 1.0, a_N[sure]
    inside = decided_N > 0
    return Fitted(
        lowest_threshold(sure_N, agree_N, pairs_N, wanted, bundle_N=bundle_N, seed=seed),
        ratio(summed(decided_N, bundle_N), summed(np.ones(n), bundle_N), share=True),
        ratio(summed(held_N, bundle_N), summed(pairs_N, bundle_N), share=True),
        ratio(summed(held_N * inside, bundle_N), summed(pairs_N * inside, bundle_N), share=True),
        n,
        wanted,
    )


def lowest_threshold(
    sure_N: np.ndarray,
    agree_N: np.ndarray,
    pairs_N: np.ndarray,
    wanted: float,
    *,
    bundle_N: np.ndarray | None = None,
    seed: int = 0,
) -> float | None:
    """The lowest confidence from which on the small judge may decide, the cascade's agreement over all groups having a
    lower bound of at least `wanted`; None where even the surest group takes it below.

    The bound is the 10 % quantile of a bootstrap over groups, widened as in `intervals.ratio` (Hesterberg 2015, section
    4.3), and never above what would be left if as many groups as N draws can miss (one-sided, at 10 %) were ordered by
    a coin: where the small judge was always right, resampling finds no spread.
    """
    place_N = np.arange(len(sure_N)) if bundle_N is None else np.unique(bundle_N, return_inverse=True)[1]
    n = int(place_N.max()) + 1  # what is drawn: bundles of groups with the same opening
    order = np.argsort(-sure_N, kind="stable")
    lost_N, total_N = (pairs_N - agree_N)[order], pairs_N[order]
    times_BN = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=DRAWS)
    times_BN = times_BN[:, place_N[order]].astype(float)
    lost_BN = np.cumsum(times_BN * lost_N, axis=1)  # column k: the k + 1 surest groups are decided
    all_B = np.einsum("bn,n->b", times_BN, total_N)
    tail = float(stats.norm.cdf(math.sqrt(n / (n - 1)) * stats.t.ppf(LEVEL, n - 1)))
    bound_N = np.quantile(1 - lost_BN / all_B[:, None], tail, axis=0)
    bound_N = np.minimum(bound_N, most_claimed(n))
    sorted_N = sure_N[order]
    last_N = np.append(sorted_N[:-1] != sorted_N[1:], True)  # groups of one confidence are decided together
    fit = np.flatnonzero(last_N & (bound_N >= wanted))
    if not len(fit):
        return None
    last = int(fit[-1])
    # Halfway to the next group, so that rounding moves none over the line.
    below = sorted_N[last + 1] if last + 1 < len(sorted_N) else sorted_N[last] - 2e-6
    return float((sorted_N[last] + below) / 2)


def most_claimed(n: int) -> float:
    """The highest agreement that n groups can show."""
    return 1 - 0.5 * (1 - math.pow(LEVEL, 1 / n))


def least_groups(wanted: float) -> int:
    """The fewest groups that can show an agreement of `wanted`."""
    return math.ceil(math.log(LEVEL) / math.log(2 * wanted - 1)) if wanted > 0.5 else 1
