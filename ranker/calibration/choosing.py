"""The choice of a way to ask and of a tie tolerance, and its accuracy on groups not used for it.

Pure functions of recorded scores: no model, no files.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ranker.aggregate.agreement import agreeing
from ranker.errors import ConfigurationError
from ranker.statistics import Estimate, difference, ratio

LEAST = 8  # groups; with fewer, intervals are meaningless
FOLDS = 10
REPEATS = 20  # splits into folds; a single split varies by some hundredths
BASELINE = "first_token"
_GRID = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)  # quantiles of the gaps between scores

Scores = Sequence[Sequence[float]]


@dataclass(frozen=True, slots=True)
class Choice:
    """The way and tolerance that `choose` picked, with their accuracy.

    Attributes:
        way: the one with the highest pairwise accuracy over all groups.
        tolerance: scores of this way at most this far apart are tied.
        accuracy: cross-fitted pairwise accuracy: measured on groups not used for the choice.
        over_baseline: that minus the accuracy of the baseline on the same groups; None if it was not among the ways.
        ways: pairwise accuracy of each way by itself, tolerance 0. The best of these figures is biased upwards.
        chosen: the share of folds, over all splits, that chose each way.
        groups, pairs: measured on; pairs are those of different truth.
    """

    way: str
    tolerance: float
    accuracy: Estimate
    over_baseline: Estimate | None
    ways: Mapping[str, Estimate]
    chosen: Mapping[str, float]
    groups: int
    pairs: int

    @property
    def beats_chance(self) -> bool:
        """Whether the interval of the accuracy lies above one half."""
        return self.accuracy.low is not None and self.accuracy.low > 0.5


def choose(
    scores_by_way: Mapping[str, Scores],
    truths: Scores,
    *,
    openings: Sequence[str] | None = None,
    folds: int = FOLDS,
    seed: int = 0,
    baseline: str = BASELINE,
    least: Mapping[str, float] | None = None,
) -> Choice:
    """Choose a way and a tolerance, and measure that choice by cross-fitting.

    The way is the one with the highest pairwise accuracy (tied scores count half; the first of equals); the tolerance
    is `best_tolerance`. The best of many ways on few groups looks better than it is, so its accuracy is measured on
    each fold with the choice of the other folds, pooled (Stone 1974), and averaged over 20 splits into folds (repeated
    cross-validation, Burman 1989). The interval is a bootstrap over groups; as the folds' choices share most of their
    groups, it is slightly too narrow where the folds disagree about the way.

    Args:
        scores_by_way: for each way the scores of each group's attempts, higher is better.
        truths: the truth of each group's attempts, in the same order.
        openings: what each group was asked, "" if unknown: groups with equal openings stay in one fold and count as one
            in the bootstrap. None: all differ.
        folds: parts of the groups; each is measured once per split.
        baseline: the way to compare the choice with.
        least: by way, the least tolerance: what the judge ties in any case.

    Raises:
        ConfigurationError: fewer than 8 groups (openings) with attempts of different truth, or scores that are not
            finite or do not match the truths.
    """
    bundle_N = bundles_of(len(truths), openings)
    _check(scores_by_way, truths, bundle_N)
    pairs_N = np.array([agreeing(t, t)[1] for t in truths], dtype=float)
    right_N = rights(scores_by_way, truths)
    fitted_N = np.zeros(len(truths))
    chosen: Counter[str] = Counter()
    for repeat in range(REPEATS):
        fold_N = folds_of(bundle_N, folds, f"{seed}/{repeat}")
        for fold in range(int(fold_N.max()) + 1):
            others = np.flatnonzero(fold_N != fold)
            way, tolerance = pick(scores_by_way, truths, right_N, others, least)
            chosen[way] += 1
            own = np.flatnonzero(fold_N == fold)
            fitted_N[own] += (
                [right_pairs(truths[g], scores_by_way[way][g], tolerance) for g in own.tolist()]
                if tolerance
                else right_N[way][own]
            )
    fitted_N /= REPEATS
    way, tolerance = pick(scores_by_way, truths, right_N, np.arange(len(truths)), least)
    pairs_M = summed(pairs_N, bundle_N)
    fitted_M, right_M = summed(fitted_N, bundle_N), {w: summed(r, bundle_N) for w, r in right_N.items()}
    over = difference((fitted_M, pairs_M), (right_M[baseline], pairs_M))[0] if baseline in right_M else None
    return Choice(
        way,
        tolerance,
        ratio(fitted_M, pairs_M, share=True),
        over,
        {name: ratio(right, pairs_M, share=True) for name, right in right_M.items()},
        {name: round(n / chosen.total(), 3) for name, n in chosen.items()},
        int((pairs_N > 0).sum()),
        int(pairs_N.sum()),
    )


def pick(
    scores_by_way: Mapping[str, Scores],
    truths: Scores,
    right_N: Mapping[str, np.ndarray],
    groups: np.ndarray,
    least: Mapping[str, float] | None = None,
) -> tuple[str, float]:
    """The way and the tolerance that `groups` (indices) choose, `right_N` being what `rights` gives."""
    way = max(right_N, key=lambda name: float(right_N[name][groups].sum()))
    best = best_tolerance(
        [scores_by_way[way][g] for g in groups.tolist()], [truths[g] for g in groups.tolist()]
    )
    return way, max(best, (least or {}).get(way, 0.0))


def best_tolerance(scores: Scores, truths: Scores) -> float:
    """The tolerance whose tiers of scores agree best with the truth.

    If the truth has no ties, ties can only lose, and the tolerance is 0. If it does, ties count too: the tolerance, of 0 and the 5, 10, 20, 30, 40 and 50 % quantiles of the gaps between scores in a
    group, with the highest Kendall's tau-b over the pairs of all groups (concordant less discordant pairs, over the
    root of the product of the pairs not tied in the truth and of those not tied in the tiers); the smallest of equals.
    """
    if all(len(set(t)) == len(t) for t in truths):
        return 0.0
    gaps = np.concatenate([abs(np.subtract.outer(s, s))[np.triu_indices(len(s), 1)] for s in scores])
    grid = [0.0, *np.unique(np.quantile(gaps, _GRID)).tolist()]
    return float(max(grid, key=lambda tolerance: (_tau_b(scores, truths, tolerance), -tolerance)))


def levels_of(scores_G: Sequence[float], tolerance: float) -> list[int]:
    """The tier of each score as a number, higher is better, under this tolerance."""
    from ranker.judges.local.scores import tiers_within

    levels = [0] * len(scores_G)
    for place, tier in enumerate(tiers_within(scores_G, tolerance)):
        for i in tier:
            levels[i] = -place
    return levels


def bundles_of(n: int, openings: Sequence[str] | None) -> np.ndarray:
    """A number for each of n groups, shape (N,): the same for those with the same opening."""
    names = [opening or f"\0{i}" for i, opening in enumerate(openings or [""] * n)]
    number = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return np.array([number[name] for name in names])


def folds_of(bundle_N: np.ndarray, folds: int, seed: str) -> np.ndarray:
    """The fold of each group, shape (N,): bundles are assigned in an order drawn by the seed."""
    m = int(bundle_N.max()) + 1
    order = random.Random(f"folds/{seed}").sample(range(m), m)  # noqa: S311 - not secret
    fold_M = np.empty(m, dtype=int)
    fold_M[order] = np.arange(m) % max(2, min(folds, m))
    fold_N: np.ndarray = fold_M[bundle_N]
    return fold_N


def summed(values_N: np.ndarray, bundle_N: np.ndarray) -> np.ndarray:
    """Sums over each bundle, so that a bootstrap draws bundles."""
    return np.bincount(bundle_N, weights=values_N)


def rights(scores_by_way: Mapping[str, Scores], truths: Scores) -> dict[str, np.ndarray]:
    """For each way the number of correctly ordered pairs of each group, tolerance 0, shape (N,)."""
    return {
        way: np.array([right_pairs(t, s) for t, s in zip(truths, scores, strict=True)])
        for way, scores in scores_by_way.items()
    }


def right_pairs(truths_G: Sequence[float], scores_G: Sequence[float], tolerance: float = 0.0) -> float:
    """The number of pairs of different truth that the tiers of the scores order as the truth does, ties half."""
    return agreeing(truths_G, levels_of(scores_G, tolerance) if tolerance else scores_G)[0]


def _tau_b(scores: Scores, truths: Scores, tolerance: float) -> float:
    agree, truth_pairs, score_pairs = 0.0, 0.0, 0.0
    for t, s in zip(truths, scores, strict=True):
        truth_GG, score_GG = (np.sign(np.subtract.outer(x, x)) for x in (t, levels_of(s, tolerance)))
        agree += float((truth_GG * score_GG).sum())
        truth_pairs += float(abs(truth_GG).sum())
        score_pairs += float(abs(score_GG).sum())
    # Rounded, so that rounding errors do not break ties.
    return round(agree / math.sqrt(truth_pairs * score_pairs), 12) if truth_pairs and score_pairs else 0.0


def _check(scores_by_way: Mapping[str, Scores], truths: Scores, bundle_N: np.ndarray) -> None:
    if not scores_by_way:
        raise ConfigurationError("There are no ways to choose from: name at least one.")
    for way, scores in scores_by_way.items():
        if [len(s) for s in scores] != [len(t) for t in truths]:
            raise ConfigurationError(
                f"The scores of {way!r} do not match the attempts of the {len(truths)} groups one to one."
            )
        if not all(math.isfinite(x) for s in scores for x in s):
            raise ConfigurationError(f"Some scores of {way!r} are not finite; omit that way.")
    telling = len({b for b, t in zip(bundle_N.tolist(), truths, strict=True) if len(set(t)) > 1})
    if telling < LEAST:
        raise ConfigurationError(
            f"{telling} groups of different openings say which attempt is better: too few to choose and measure with. Give "
            f"at least {LEAST}, preferably several dozen."
        )
