"""The confidence above which a cascade's small judge decides, and the cascade's agreement and savings."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranker.calibration.choosing import FOLDS, LEAST, bundles_of, folds_of, summed
from ranker.errors import ConfigurationError
from ranker.statistics import Estimate, expanded_tail, ratio, resamples, unseen

LEVEL = 0.10  # one-sided, of the bound on the agreement
DRAWS = 2_000


@dataclass(frozen=True, slots=True)
class Fitted:
    """A threshold, and the cascade's cross-fitted figures: on groups not used to fit it.

    Attributes:
        threshold: None if only deferring every group keeps the wanted agreement.
        saved: share of groups that the small judge decides: calls of the strong one saved.
        agreement: share of the strong judge's ordered pairs that the cascade orders the same, all groups.
        decided_agreement: the same on the groups that the small judge decides; all None if it decides none.
        groups: fitted and measured on.
        wanted: the requested agreement.
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
    """The threshold that defers the fewest groups, and its cross-fitted figures.

    A deferred group agrees with the strong judge by definition. Figures are measured on each fold with the threshold of
    the other folds, and pooled; the threshold itself is fitted on all groups.

    Args:
        confidences: of the small judge, one for each group.
        agreeing: number of the strong judge's ordered pairs that it orders the same, ties half.
        pairs: number of such pairs; at least one in each group.
        wanted: see `lowest_threshold`.
        openings: see `choose`.
        refit: if the small judge itself is chosen by these groups: from the indices of some groups, the confidences and
            the agreeing pairs, on all groups, of the judge that they choose.

    Raises:
        ConfigurationError: too few groups, or a `wanted` outside [0.5, 1).
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
            f"{n} groups are too few to fit a threshold; give at least {LEAST}, preferably a hundred."
        )
    if not 0.5 <= wanted < 1:
        raise ConfigurationError(
            f"An agreement of {wanted!r} cannot be asked for; give a share from 0.5 to below 1."
        )
    fold_N = folds_of(bundle_N, folds, str(seed))
    decided_N, fitted_N = np.zeros(n), pairs_N.copy()
    for fold in range(int(fold_N.max()) + 1):
        others, own = np.flatnonzero(fold_N != fold), np.flatnonzero(fold_N == fold)
        s_N, a_N = (sure_N, agree_N) if refit is None else map(np.asarray, refit(others))
        limit = lowest_threshold(
            s_N[others], a_N[others], pairs_N[others], wanted, bundle_N=bundle_N[others], seed=seed
        )
        if limit is not None:
            sure = own[s_N[own] >= limit]
            decided_N[sure], fitted_N[sure] = 1.0, a_N[sure]
    inside = decided_N > 0
    every = ((decided_N, np.ones(n)), (fitted_N, pairs_N), (fitted_N * inside, pairs_N * inside))
    saved, agreement, decided = (
        ratio(summed(num, bundle_N), summed(den, bundle_N), share=True) for num, den in every
    )
    threshold = lowest_threshold(sure_N, agree_N, pairs_N, wanted, bundle_N=bundle_N, seed=seed)
    return Fitted(threshold, saved, agreement, decided, n, wanted)


def lowest_threshold(
    sure_N: np.ndarray,
    agree_N: np.ndarray,
    pairs_N: np.ndarray,
    wanted: float,
    *,
    bundle_N: np.ndarray | None = None,
    seed: int = 0,
) -> float | None:
    """The lowest confidence at which the small judge may decide while the lower bound of the cascade's agreement over all
    groups stays at `wanted` or above; None if even the most confident group takes it below.

    The bound is the 10 % quantile of a bootstrap over groups, widened as in `statistics.ratio` (Hesterberg 2015, section
    4.3), and at most `most_claimed`, as if as many groups as N draws can miss (one-sided, at 10 %) were ordered by a
    coin: if the small judge was always right, resampling shows no spread.
    """
    place_N = np.arange(len(sure_N)) if bundle_N is None else np.unique(bundle_N, return_inverse=True)[1]
    n = int(place_N.max()) + 1  # bundles of groups with the same opening are drawn together
    order = np.argsort(-sure_N, kind="stable")
    lost_N, total_N = (pairs_N - agree_N)[order], pairs_N[order]
    times_BN = resamples(n, seed, DRAWS)[:, place_N[order]]
    lost_BN = np.cumsum(times_BN * lost_N, axis=1)  # column k: the k + 1 most confident groups are decided
    all_B = np.einsum("bn,n->b", times_BN, total_N)
    bound_N = np.quantile(1 - lost_BN / all_B[:, None], expanded_tail(n, LEVEL), axis=0)
    bound_N = np.minimum(bound_N, most_claimed(n))
    sorted_N = sure_N[order]
    last_N = np.append(sorted_N[:-1] != sorted_N[1:], True)  # groups of equal confidence are decided together
    fit = np.flatnonzero(last_N & (bound_N >= wanted))
    if not len(fit):
        return None
    last = int(fit[-1])
    # Halfway to the next group, so that rounding moves none across.
    below = sorted_N[last + 1] if last + 1 < len(sorted_N) else sorted_N[last] - 2e-6
    return float((sorted_N[last] + below) / 2)


def most_claimed(n: int) -> float:
    """The highest agreement that n groups can demonstrate."""
    return 1 - 0.5 * unseen(n, LEVEL)


def least_groups(wanted: float) -> int:
    """The fewest groups that can demonstrate an agreement of `wanted`."""
    return math.ceil(math.log(LEVEL) / math.log(2 * wanted - 1)) if wanted > 0.5 else 1
