"""The model that tells what an attempt is worth from what its length, turns and so on do to a judge.

Bradley–Terry with covariates and counterfactual copies. Of items i and j of one ranking,

    P(i above j) = σ(θ_i − θ_j + φ·(x_i − x_j)),        θ_i = β·x_i + ε_i,

with ε ~ N(0, 1.5²) for each attempt, and φ, β ~ N(0, 5²) for each covariate x (scaled to 0..1 in the lineup). φ is what
the covariate does to the judge, β what it says of the worth: a copy shares θ with its original and differs in x alone, so
the two can be told apart. A copy that its edit may have made worse has θ − δ with one δ ≥ 0 for each edit, exponential
with rate 0.02, so that only a lift counts as bias. A tie counts half for each side. All pairs of a ranking enter (full
breaking, Azari Soufiani et al. 2013).

With φ and δ at their most probable, the worth is then found again, with θ ~ N(0, 1.5²): each attempt's comparisons speak
for it, and not how long it is. β is there so that a covariate that goes with worth is not taken for bias; paid out as
reward, it would teach a policy the covariate itself.

Where no copy differs from its original in a covariate (no copies, or edits that leave it alone), its β is 0: that is
length-controlled regression (Dubois et al. 2024), which takes all that the covariate explains for bias. The β of the
position shown is 0 as well: places are drawn by lot.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranker.aggregate.ranking import Tiers
from ranker.debias.covariates import POSITION
from ranker.debias.newton import minimum
from ranker.statistics import Estimate

EPSILON_DEVIATION = 1.5
EFFECT_DEVIATION = 5.0  # of φ and β
DELTA_RATE = 0.02  # a fall costs little to explain by it, so that it is no evidence of bias
FEW = 10  # groups
_Z = 1.959963984540054  # the normal quantile of a 95 % interval


@dataclass(frozen=True, slots=True)
class Comparisons:
    """What a judge said of one group and its copies: N items, no two alike, P passes, K covariates.

    Attributes:
        attempt_G: for each attempt of the group its item; attempts that are alike are one item.
        owner_N: of each item the item that it is, or is a copy of; originals come first.
        edit_N: of each item the edit whose copy may be worse than its original; None for the others.
        covariates_PNK: scaled to 0..1.
        tiers_P: a ranking of the items for each pass.
        names_K: of the covariates.
    """

    attempt_G: tuple[int, ...]
    owner_N: tuple[int, ...]
    edit_N: tuple[str | None, ...]
    covariates_PNK: tuple[tuple[tuple[float, ...], ...], ...]
    tiers_P: tuple[Tiers, ...]
    names_K: tuple[str, ...]

    @property
    def size(self) -> int:
        """Items that are no copies."""
        return max(self.owner_N) + 1

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "attempt": list(self.attempt_G),
            "owner": list(self.owner_N),
            "edit": list(self.edit_N),
            "covariates": [[list(x_K) for x_K in x_NK] for x_NK in self.covariates_PNK],
            "tiers": [[list(tier) for tier in tiers] for tiers in self.tiers_P],
            "names": list(self.names_K),
        }

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Comparisons:
        return cls(
            tuple(fields["attempt"]),
            tuple(fields["owner"]),
            tuple(fields["edit"]),
            tuple(tuple(tuple(x_K) for x_K in x_NK) for x_NK in fields["covariates"]),
            tuple(tuple(tuple(tier) for tier in tiers) for tiers in fields["tiers"]),
            tuple(fields["names"]),
        )


@dataclass(frozen=True, slots=True)
class Fit:
    """The model at its most probable.

    Attributes:
        worth: θ of each group's originals, on the log-odds scale, less their mean.
        deviation: posterior standard deviation of each θ (Laplace's approximation).
        phi_K: of each covariate the log-odds between its least and its most in a lineup, with a 95 % interval that
            holds where the pairs of a ranking depend on each other (sandwich over groups).
        delta: by edit, how much worse its copies are.
        explained: share of the variance between attempts of a group that bias explains; None where there is no
            variance.
        beta_K: of each covariate what it truly says of the worth.
    """

    worth: list[list[float]]
    deviation: list[list[float]]
    phi_K: tuple[Estimate, ...]
    delta: dict[str, float]
    explained: float | None
    beta_K: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class _Pairs:
    """M pairs (above, below) of all groups, and what stands beside ε in their margins.

    Attributes:
        above_M, below_M: indices of attempts.
        design_MD: columns of φ (K of them), of the β that can be told from φ, and of δ.
        weight_M: 1, or a half for each order of a tie.
        group_M: index of the group.
    """

    above_M: np.ndarray
    below_M: np.ndarray
    design_MD: np.ndarray
    weight_M: np.ndarray
    group_M: np.ndarray

    def margin(self, epsilon_n: np.ndarray, effect_D: np.ndarray) -> np.ndarray:
        """Log-odds that the first is above the second."""
        margin_M: np.ndarray = epsilon_n[self.above_M] - epsilon_n[self.below_M] + self.design_MD @ effect_D
        return margin_M

    def per_attempt(self, values_M: np.ndarray, n: int) -> np.ndarray:
        """Sums over the pairs of each attempt: added where it is above, subtracted where it is below."""
        return np.bincount(self.above_M, values_M, n) - np.bincount(self.below_M, values_M, n)


def fit(history: Sequence[Comparisons], start: Sequence[float] | None = None) -> Fit:
    """The most probable θ, φ, β and δ given all these groups.

    Args:
        history: at least one group, all with the same covariates.
        start: φ to begin from; the outcome does not depend on it but for rounding.
    """
    covariates = len(history[0].names_K)
    edits = sorted({edit for c in history for edit in c.edit_N if edit is not None})
    told_apart = [k for k in range(covariates) if any(_varies(c, k) for c in history)]
    offsets = np.cumsum([0, *(c.size for c in history)])
    pairs = _pairs(history, offsets, edits, covariates, told_apart)
    n, k, e = int(offsets[-1]), covariates, len(edits)
    d = pairs.design_MD.shape[1]
    precision = np.concatenate(
        [np.full(n, 1 / EPSILON_DEVIATION**2), np.full(d - e, 1 / EFFECT_DEVIATION**2), np.zeros(e)]
    )
    rate = np.concatenate([np.zeros(n + d - e), np.full(e, DELTA_RATE)])

    def loss(p: np.ndarray) -> tuple[float, np.ndarray]:
        margin_M = pairs.margin(p[:n], p[n:])
        value = (pairs.weight_M * np.logaddexp(0.0, -margin_M)).sum() + precision @ (p * p) / 2 + rate @ p
        slope_M = -pairs.weight_M * expit(-margin_M)
        gradient = np.concatenate([pairs.per_attempt(slope_M, n), slope_M @ pairs.design_MD])
        return float(value), gradient + precision * p + rate

    first = np.zeros(n + d)
    first[n : n + k] = 0.0 if start is None else start
    first[n + d - e :] = 0.1
    solution = minimum(
        loss, lambda p: _curvature(pairs, p[:n], p[n:], precision), first, np.arange(n + d) >= n + d - e
    )
    epsilon_n, effect_D = solution[:n], solution[n:]
    beta_K = np.zeros(k)
    beta_K[told_apart] = effect_D[k : d - e]
    spans = list(itertools.pairwise(offsets.tolist()))
    free = (np.arange(n + d) < n + d - e) | (solution > 1e-6)  # a δ at its bound is no parameter
    covariance = np.zeros((n + d, n + d))
    curvature = _curvature(pairs, epsilon_n, effect_D, precision)
    covariance[np.ix_(free, free)] = np.linalg.inv(curvature[np.ix_(free, free)])
    deviation_K = _effect_deviations(pairs, solution, covariance, n)[:k]
    known_D = effect_D.copy()
    known_D[k : d - e] = 0.0
    theta_n, deviation_n = _worth(pairs, known_D, covariance[n:, n:], n)
    x_nK = np.concatenate([_mean_covariates(c, k)[: c.size] for c in history])
    return Fit(
        [[float(v) for v in theta_n[a:b] - theta_n[a:b].mean()] for a, b in spans],
        [[float(v) for v in deviation_n[a:b]] for a, b in spans],
        tuple(
            Estimate(float(v), float(v - _Z * s), float(v + _Z * s))
            for v, s in zip(effect_D[:k], deviation_K, strict=True)
        ),
        {edit: float(v) for edit, v in zip(edits, effect_D[d - e :], strict=True)},
        _explained(x_nK @ effect_D[:k], theta_n, spans),
        tuple(float(v) for v in beta_K),
    )


def _mean_covariates(c: Comparisons, k: int) -> np.ndarray:
    x_PNK = np.array(c.covariates_PNK, dtype=float).reshape(len(c.tiers_P), len(c.owner_N), k)
    x_NK: np.ndarray = x_PNK.mean(axis=0)
    return x_NK


def _varies(c: Comparisons, k: int) -> bool:
    """Whether a copy differs from its original in covariate k, by more than its place."""
    x_PN = [[x_K[k] for x_K in x_NK] for x_NK in c.covariates_PNK]
    return c.names_K[k] != POSITION and any(
        x_N[i] != x_N[c.owner_N[i]] for x_N in x_PN for i in range(c.size, len(c.owner_N))
    )


def _pairs(
    history: Sequence[Comparisons],
    offsets: np.ndarray,
    edits: Sequence[str],
    k: int,
    told_apart: Sequence[int],
) -> _Pairs:
    above, below, designs, weights, groups = [], [], [], [], []
    for g, (offset, c) in enumerate(zip(offsets, history, strict=False)):
        owner_N = np.array(c.owner_N)
        edit_NE = np.array([[-float(name == edit) for edit in edits] for name in c.edit_N]).reshape(
            len(owner_N), -1
        )
        beta_NB = _mean_covariates(c, k)[owner_N][:, list(told_apart)]
        for tiers, x_NK in zip(c.tiers_P, c.covariates_PNK, strict=True):
            place_N = np.empty(len(owner_N))
            for place, tier in enumerate(tiers):
                place_N[list(tier)] = place
            i, j = np.nonzero(place_N[:, None] <= place_N[None, :])
            i, j = i[i != j], j[i != j]
            design_ND = np.concatenate([np.array(x_NK, dtype=float).reshape(-1, k), beta_NB, edit_NE], axis=1)
            above.append(owner_N[i] + offset)
            below.append(owner_N[j] + offset)
            designs.append(design_ND[i] - design_ND[j])
            weights.append(np.where(place_N[i] == place_N[j], 0.5, 1.0))
            groups.append(np.full(len(i), g))
    return _Pairs(*map(np.concatenate, (above, below, designs, weights, groups)))


def _worth(
    pairs: _Pairs, effect_D: np.ndarray, covariance_DD: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """θ ~ N(0, 1.5²) given the effects, and its posterior deviation, that of the effects included."""
    precision = 1 / EPSILON_DEVIATION**2

    def loss(theta_n: np.ndarray) -> tuple[float, np.ndarray]:
        margin_M = pairs.margin(theta_n, effect_D)
        value = (pairs.weight_M * np.logaddexp(0.0, -margin_M)).sum() + precision * (theta_n @ theta_n) / 2
        gradient_n = pairs.per_attempt(-pairs.weight_M * expit(-margin_M), n) + precision * theta_n
        return float(value), gradient_n

    precision_nD = np.concatenate([np.full(n, precision), np.zeros(len(effect_D))])

    def curvature_nn(theta_n: np.ndarray) -> np.ndarray:
        return _curvature(pairs, theta_n, effect_D, precision_nD)[:n, :n]

    theta_n = minimum(loss, curvature_nn, np.zeros(n), np.zeros(n, dtype=bool))
    curvature = _curvature(pairs, theta_n, effect_D, precision_nD)
    covariance_nn = np.linalg.inv(curvature[:n, :n])
    moved_nD = np.where(effect_D != 0.0, covariance_nn @ curvature[:n, n:], 0.0)
    variance_n = np.diag(covariance_nn) + np.einsum("nd,de,ne->n", moved_nD, covariance_DD, moved_nD)
    return theta_n, np.sqrt(variance_n)


def _curvature(
    pairs: _Pairs, epsilon_n: np.ndarray, effect_D: np.ndarray, precision: np.ndarray
) -> np.ndarray:
    """Of the negative log posterior in all parameters (Laplace's approximation)."""
    n = len(epsilon_n)
    margin_M = pairs.margin(epsilon_n, effect_D)
    curve_M = pairs.weight_M * expit(margin_M) * expit(-margin_M)
    curvature = np.diag(precision)
    for rows, columns, sign in (
        (pairs.above_M, pairs.above_M, 1),
        (pairs.below_M, pairs.below_M, 1),
        (pairs.above_M, pairs.below_M, -1),
        (pairs.below_M, pairs.above_M, -1),
    ):
        np.add.at(curvature, (rows, columns), sign * curve_M)
    for column, design_M in enumerate(pairs.design_MD.T, start=n):
        side_n = pairs.per_attempt(curve_M * design_M, n)
        curvature[:n, column] = curvature[column, :n] = side_n
        curvature[n:, column] += (curve_M * design_M) @ pairs.design_MD
    return curvature


def _effect_deviations(pairs: _Pairs, solution: np.ndarray, covariance: np.ndarray, n: int) -> np.ndarray:
    """Deviations of φ, β and δ from the spread of the groups' scores (sandwich): pairs of one ranking depend on each
    other. Few groups say little of their spread; there the larger of this and the posterior's counts."""
    slope_M = pairs.weight_M * expit(-pairs.margin(solution[:n], solution[n:]))
    groups = int(pairs.group_M[-1]) + 1
    score_GD = np.stack(
        [np.bincount(pairs.group_M, slope_M * d_M, groups) for d_M in pairs.design_MD.T], axis=1
    )
    profile_DD = covariance[n:, n:]
    robust_D = np.diag(profile_DD @ (score_GD.T @ score_GD) @ profile_DD) * groups / max(1, groups - 1)
    unseen_D = np.abs(pairs.design_MD).sum(axis=0) == 0
    variance_D = np.maximum(robust_D, np.diag(profile_DD)) if groups < FEW else robust_D
    deviation_D: np.ndarray = np.sqrt(np.where(unseen_D, EFFECT_DEVIATION**2, variance_D))
    return deviation_D


def expit(x: np.ndarray) -> np.ndarray:
    """The logistic function σ(x); exact where it is close to 0, and without overflow."""
    small = np.exp(-np.abs(x))
    share: np.ndarray = np.where(x >= 0, 1.0, small) / (1 + small)
    return share


def _explained(bias_n: np.ndarray, theta_n: np.ndarray, spans: Sequence[tuple[int, int]]) -> float | None:
    bias = sum(float(np.var(bias_n[a:b])) * (b - a) for a, b in spans)
    worth = sum(float(np.var(theta_n[a:b])) * (b - a) for a, b in spans)
    return bias / (bias + worth) if bias + worth > 1e-12 else None
