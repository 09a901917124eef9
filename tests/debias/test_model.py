"""The model of worth and bias, against closed forms and against rankings whose making is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from ranker.debias.model import EPSILON_DEVIATION, Comparisons, fit


def plain(tiers, covariates=None, owner=None, edit=None):
    """Comparisons of one pass; a column of covariates for each name."""
    n = sum(map(len, tiers))
    owner = owner or tuple(range(n))
    columns = covariates or {"length": [0.0] * n}
    rows = tuple(tuple(float(column[i]) for column in columns.values()) for i in range(n))
    originals = max(owner) + 1
    return Comparisons(
        tuple(range(originals)), tuple(owner), tuple(edit or [None] * n), (rows,), (tiers,), tuple(columns)
    )


def drawn(rng, bias, informative=0.0, *, size=8, copies=2, noise=0.3):
    """A group ranked by q + bias·x + noise, where length says `informative` of the quality q; and q."""
    quality = rng.normal(size=size)
    length = rng.normal(size=size) + informative * quality
    owner = [*range(size), *(int(i) for i in rng.permutation(size)[:copies])]
    lengths = np.array([*length, *(length[i] + 1.0 + k for k, i in enumerate(owner[size:]))])
    x = (lengths - lengths.min()) / (lengths.max() - lengths.min())
    seen = quality[owner] + bias * x + noise * rng.normal(size=len(owner))
    tiers = tuple((int(i),) for i in np.argsort(-seen))
    return plain(tiers, {"length": x}, tuple(owner)), quality


def agreement(fitted, qualities):
    return float(np.mean([np.corrcoef(q, w)[0, 1] for q, w in zip(qualities, fitted.worth, strict=True)]))


def test_two_attempts_have_the_closed_form():
    """Of one pair, the most probable θ is ±t with σ(-2t) = t / 1.5²."""
    t = brentq(lambda t: 1 / (1 + math.exp(2 * t)) - t / EPSILON_DEVIATION**2, 0, 5)
    worth = fit([plain(((1,), (0,)))]).worth[0]
    assert worth == pytest.approx([-t, t], abs=1e-5)


def test_a_copy_alone_has_the_closed_form():
    """An original and its copy share θ: φ solves σ(-φ) = φ / 5² where nothing else was compared."""
    copied = plain(((1,), (0,)), {"length": [0.0, 1.0]}, owner=(0, 0))
    phi = brentq(lambda p: 1 / (1 + math.exp(p)) - p / 25, 0, 20)
    fitted = fit([copied])
    assert fitted.phi_K[0].value == pytest.approx(phi, abs=1e-4)
    assert fitted.worth[0] == pytest.approx([0.0], abs=1e-4)


def test_a_copy_that_may_be_worse_proves_a_bias_only_where_it_rises():
    def phi(copy_on_top):
        order = ((1,), (0,)) if copy_on_top else ((0,), (1,))
        groups = [plain(order, {"length": [0.0, 1.0]}, (0, 0), [None, "padding"]) for _ in range(12)]
        return fit(groups)

    risen, fallen = phi(True), phi(False)
    assert risen.phi_K[0].value > 2
    assert risen.delta["padding"] == pytest.approx(0.0, abs=1e-6)
    assert fallen.delta["padding"] > 1
    assert abs(fallen.phi_K[0].value) < 2, "most of the fall is put down to the edit"


@pytest.mark.parametrize("bias", [1.0, 5.0, -1.0, -5.0])
@pytest.mark.parametrize("informative", [0.0, 1.0])
def test_bias_is_found_and_taken_out(bias, informative):
    rng = np.random.default_rng(0)
    groups, qualities = zip(*(drawn(rng, bias, informative) for _ in range(24)), strict=True)
    fitted = fit(groups)
    phi = fitted.phi_K[0]
    assert phi.above(0.0) if bias > 0 else phi.below(0.0)
    assert agreement(fitted, qualities) > (0.8 if informative == 0 or abs(bias) == 1 else 0.65)


def test_length_that_truly_says_something_of_the_worth_stays():
    """The same rankings without copies: there it is taken for bias."""
    rng = np.random.default_rng(1)
    groups, qualities = zip(*(drawn(rng, 0.0, informative=1.0) for _ in range(24)), strict=True)
    fitted = fit(groups)
    assert fitted.phi_K[0].low <= 0.0 <= fitted.phi_K[0].high
    assert fitted.beta_K[0] > 1
    rng = np.random.default_rng(1)
    bare, _ = zip(*(drawn(rng, 0.0, informative=1.0, copies=0) for _ in range(24)), strict=True)
    without = fit(bare)
    assert without.beta_K == (0.0,)
    assert agreement(fitted, qualities) > agreement(without, qualities) + 0.03


def test_intervals_hold_no_bias_where_there_is_none():
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(60):
        phi = fit([drawn(rng, 0.0, copies=2)[0] for _ in range(16)]).phi_K[0]
        held += phi.low <= 0.0 <= phi.high
    assert held >= 51  # of 60 at 95 %, fewer with probability 0.001


def test_a_judge_that_always_ties_says_nothing():
    fitted = fit([plain(((0, 1, 2),), {"length": [0.0, 0.5, 1.0]})])
    assert fitted.worth[0] == pytest.approx([0.0, 0.0, 0.0], abs=1e-6)
    assert fitted.phi_K[0].value == pytest.approx(0.0, abs=1e-6)
    assert fitted.explained is None or fitted.explained < 0.5


def test_constant_and_collinear_covariates_are_harmless():
    same = {"length": [0.0] * 3, "turns": [0.0, 0.5, 1.0], "tool_calls": [0.0, 0.5, 1.0]}
    fitted = fit([plain(((2,), (1,), (0,)), same)] * 4)
    constant, turns, calls = fitted.phi_K
    assert constant.value == pytest.approx(0.0, abs=1e-6)
    assert constant.high == pytest.approx(5 * 1.96, rel=0.01), "nothing is known beyond the prior"
    assert turns.value == pytest.approx(calls.value, abs=1e-3), "what two share is shared evenly"


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(5)), st.integers(0, 1000))
def test_the_order_of_attempts_does_not_matter(order, seed):
    rng = np.random.default_rng(seed)
    x = rng.random(5)
    ranking = [int(i) for i in rng.permutation(5)]
    one = fit([plain(tuple((i,) for i in ranking), {"length": x})])
    at = {old: new for new, old in enumerate(order)}
    other = fit([plain(tuple((at[i],) for i in ranking), {"length": [x[i] for i in order]})])
    assert [other.worth[0][at[i]] for i in range(5)] == pytest.approx(one.worth[0], abs=1e-3)
    assert other.phi_K[0].value == pytest.approx(one.phi_K[0].value, abs=1e-3)


def test_comparisons_survive_json():
    rng = np.random.default_rng(3)
    one = drawn(rng, 1.0)[0]
    assert Comparisons.from_dict(one.to_dict()) == one
