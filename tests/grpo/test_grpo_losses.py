"""Losses against formulas written out by hand, in value and in gradient."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from grpo.losses import Loss, kl, token_losses, token_weights

# Three trajectories of 3, 1 and 2 tokens; ratios below, within and above the clipping range.
TRAJECTORY = torch.tensor([0, 0, 0, 1, 2, 2])
ADVANTAGES = torch.tensor([1.5, 1.5, 1.5, -0.7, -2.0, -2.0])
OLD = torch.tensor([-1.0, -2.0, -0.5, -3.0, -1.2, -0.1])
RATIOS = torch.tensor([0.5, 1.1, 1.6, 1.9, 0.6, 1.02])
NEW = OLD + RATIOS.log()
LENGTHS = torch.tensor([3, 1, 2])


def run(loss: Loss, new: Any = NEW, old: Any = OLD, ref: Any = None, advantages: Any = ADVANTAGES) -> Any:
    """Terms and gradients of the summed loss."""
    logps_N = new.clone().requires_grad_()
    terms = token_losses(logps_N, old, ref, advantages, TRAJECTORY, loss)
    (grad_N,) = torch.autograd.grad(terms.loss_N.sum(), logps_N)
    return terms, grad_N


@pytest.mark.parametrize("loss_type", ["grpo", "bnpo", "dr_grpo", "dapo"])
@pytest.mark.parametrize(("low", "high", "delta"), [(0.2, None, None), (0.2, 0.5, None), (0.1, 0.3, 1.5)])
def test_the_clipped_objective(loss_type: Any, low: float, high: float | None, delta: float | None) -> None:
    loss = Loss(loss_type=loss_type, epsilon=low, epsilon_high=high, delta=delta)
    terms, grad_N = run(loss)
    top = 1 + (low if high is None else high)
    for i, (r, a) in enumerate(zip(RATIOS.tolist(), ADVANTAGES.tolist(), strict=True)):
        if a > 0:  # pessimistic: no more is gained above the range
            value, slope = (-r * a, -r * a) if r <= top else (-top * a, 0.0)
        elif r < 1 - low:
            value, slope = -(1 - low) * a, 0.0
        elif delta is not None and r > delta:
            value, slope = -delta * a, 0.0
        else:
            value, slope = -r * a, -r * a  # d ratio / d logp = ratio
        assert float(terms.loss_N[i].detach()) == pytest.approx(value, rel=1e-5), i
        assert float(grad_N[i]) == pytest.approx(slope, rel=1e-5, abs=1e-9), i
        assert bool(terms.clipped_N[i]) == (slope == 0.0), i
    torch.testing.assert_close(terms.ratio_N, RATIOS)
    assert terms.kl_N is None


def test_the_ranges_are_not_the_same_on_both_sides() -> None:
    terms, grad_N = run(Loss(epsilon=0.2, epsilon_high=0.7))
    assert terms.clipped_N.tolist() == [False, False, False, False, True, False]
    terms, _ = run(Loss(epsilon=0.45, epsilon_high=0.05))
    assert terms.clipped_N.tolist() == [False, True, True, False, False, False]
    assert grad_N[4] == 0


@pytest.mark.parametrize("cap", [1.0, 1.5, 5.0])
def test_cispo_weighs_every_token_with_a_constant(cap: float) -> None:
    terms, grad_N = run(Loss(loss_type="cispo", epsilon_high=cap))
    weight_N = RATIOS.clamp(max=cap)
    torch.testing.assert_close(terms.loss_N.detach(), -weight_N * ADVANTAGES * NEW)
    torch.testing.assert_close(grad_N, -weight_N * ADVANTAGES)


@pytest.mark.parametrize("loss_type", ["grpo", "bnpo", "dr_grpo", "dapo", "cispo"])
@pytest.mark.parametrize("level", ["token", "sequence"])
def test_on_policy_the_ratio_is_one(loss_type: Any, level: Any) -> None:
    loss = Loss(loss_type=loss_type, importance_sampling_level=level, epsilon=0.0, epsilon_high=1.0)
    terms, grad_N = run(loss, old=None)
    assert terms.ratio_N.tolist() == [1.0] * 6
    assert not terms.clipped_N.any()
    torch.testing.assert_close(grad_N, -ADVANTAGES)


def test_sequence_level_ratios() -> None:
    """GSPO: one ratio a trajectory, the geometric mean of its tokens', clipped as a whole."""
    terms, _ = run(Loss(importance_sampling_level="sequence", epsilon=0.2))
    ratios = [(0.5 * 1.1 * 1.6) ** (1 / 3), 1.9, math.sqrt(0.6 * 1.02)]
    torch.testing.assert_close(terms.ratio_N, torch.tensor(ratios)[TRAJECTORY])
    assert terms.clipped_N.tolist() == [False, False, False, False, True, True]
    for s, advantage in enumerate([1.5, -0.7, -2.0]):
        logps_N = NEW.clone().requires_grad_()
        terms = token_losses(
            logps_N,
            OLD,
            None,
            ADVANTAGES,
            TRAJECTORY,
            Loss(importance_sampling_level="sequence", epsilon=0.9),
        )
        first = int((s == TRAJECTORY).nonzero()[0, 0])
        (grad_N,) = torch.autograd.grad(terms.loss_N[first], logps_N)
        length = int(LENGTHS[s])
        expected_N = torch.where(s == TRAJECTORY, torch.tensor(-advantage * ratios[s] / length), 0.0)
        torch.testing.assert_close(grad_N, expected_N)


def test_an_advantage_of_zero_moves_nothing() -> None:
    _, grad_N = run(Loss(), advantages=torch.zeros(6))
    assert not grad_N.any()


def test_values_of_the_kl_estimators() -> None:
    ref = torch.tensor([-0.7, -2.5, -0.5, -1.0, -3.0, -0.3])
    d = NEW - ref
    expected = {"k1": d, "k2": d**2 / 2, "k3": (-d).exp() - 1 + d, "k3_naive": (-d).exp() - 1 + d}
    for name, values in expected.items():
        torch.testing.assert_close(kl(NEW, ref, name), values)
        terms, _ = run(Loss(beta=0.3, kl_estimator=name), old=None, ref=ref)
        torch.testing.assert_close(terms.kl_N, values)
        torch.testing.assert_close(terms.loss_N.detach(), -ADVANTAGES + 0.3 * values)


def categorical() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    logits = torch.tensor([0.3, -1.0, 2.0, 0.0, 0.7], dtype=torch.float64)
    ref = torch.log_softmax(torch.tensor([1.0, 0.5, -0.5, 0.2, -2.0], dtype=torch.float64), 0)
    old = torch.log_softmax(torch.tensor([0.1, -0.2, 0.9, -1.0, 0.4], dtype=torch.float64), 0)
    return logits, ref, old


def expected_gradient(sampler: str, estimator: Any) -> tuple[float, torch.Tensor, float, torch.Tensor]:
    """Expectation of value and gradient over every token a sampler may draw, and the exact ones."""
    logits, ref, old = categorical()
    logits = logits.requires_grad_()
    logps = logits.log_softmax(0)
    exact = (logps.exp() * (logps - ref)).sum()
    (exact_grad,) = torch.autograd.grad(exact, logits, retain_graph=True)
    zeros = torch.zeros(5, dtype=torch.float64)
    loss = Loss(beta=1.0, kl_estimator=estimator)
    given_old = None if sampler == "policy" else old
    terms = token_losses(logps, given_old, ref, zeros, torch.arange(5), loss)
    chance = (logps if sampler == "policy" else old).detach().exp()
    (grad,) = torch.autograd.grad((chance * terms.loss_N).sum(), logits)
    return float((chance * terms.kl_N).sum()), grad, float(exact.detach()), exact_grad


@pytest.mark.parametrize("sampler", ["policy", "old policy"])
@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
def test_the_gradient_of_kl_is_right_in_expectation(estimator: Any, sampler: str) -> None:
    value, grad, exact, exact_grad = expected_gradient(sampler, estimator)
    torch.testing.assert_close(grad, exact_grad)
    if estimator != "k2":  # biased in value, and known to be
        assert value == pytest.approx(exact)


def test_the_naive_gradient_of_k3_is_that_of_the_reversed_kl() -> None:
    _, grad, _, exact_grad = expected_gradient("policy", "k3_naive")
    assert (grad - exact_grad).abs().max() > 0.05
    logits, ref, _ = categorical()
    torch.testing.assert_close(grad, logits.softmax(0) - ref.exp())


def test_kl_without_a_reference_is_an_error() -> None:
    with pytest.raises(ValueError, match="reference"):
        token_losses(NEW, OLD, None, ADVANTAGES, TRAJECTORY, Loss(beta=0.1))


def test_weights() -> None:
    def weights(loss_type: Any, **more: Any) -> list[float]:
        return token_weights(LENGTHS, Loss(loss_type=loss_type, **more), 40, 8).tolist()

    for loss_type in ("dapo", "bnpo", "cispo"):
        assert weights(loss_type) == pytest.approx([1 / 40] * 3)
    assert weights("grpo") == pytest.approx([1 / 24, 1 / 8, 1 / 16])
    assert weights("dr_grpo", max_completion_length=10) == pytest.approx([1 / 80] * 3)


@st.composite
def windows(draw: Any) -> Any:
    lengths = draw(st.lists(st.integers(0, 5), min_size=1, max_size=7))
    cuts = sorted(draw(st.sets(st.integers(1, len(lengths)), max_size=3)) | {0, len(lengths)})
    loss = Loss(
        loss_type=draw(st.sampled_from(["grpo", "bnpo", "dr_grpo", "dapo", "cispo"])),
        importance_sampling_level=draw(st.sampled_from(["token", "sequence"])),
        epsilon_high=draw(st.sampled_from([1.0, 0.3])),
        beta=draw(st.sampled_from([0.0, 0.2])),
    )
    return lengths, cuts, loss, draw(st.integers(0, 99))


@settings(max_examples=60, deadline=None)
@given(windows())
def test_any_cut_into_micro_batches_gives_the_whole(window: Any) -> None:
    lengths, cuts, loss, seed = window
    rng = np.random.default_rng(seed)
    total, count = sum(lengths), len(lengths)
    new, old, ref = (torch.from_numpy(rng.normal(-2, 0.4, total)).float() for _ in range(3))
    advantages_S = torch.from_numpy(rng.normal(0, 1, count)).float()

    def part(start: int, stop: int) -> tuple[float, torch.Tensor]:
        lengths_S = torch.tensor(lengths[start:stop])
        trajectory_N = torch.arange(stop - start).repeat_interleave(lengths_S)
        inside = slice(sum(lengths[:start]), sum(lengths[:stop]))
        logps_N = new[inside].clone().requires_grad_()
        terms = token_losses(
            logps_N, old[inside], ref[inside], advantages_S[start:stop][trajectory_N], trajectory_N, loss
        )
        weights_N = token_weights(lengths_S, loss, total, count)[trajectory_N]
        value = (terms.loss_N * weights_N).sum()
        (grad_N,) = torch.autograd.grad(value, logps_N)
        return float(value.detach()), grad_N

    value, grad_N = part(0, count)
    parts = [part(a, b) for a, b in pairwise(cuts)]
    assert sum(v for v, _ in parts) == pytest.approx(value, rel=1e-4, abs=1e-6)
    torch.testing.assert_close(torch.cat([g for _, g in parts]), grad_N)
    if loss.loss_type == "grpo" and loss.beta == 0 and total:  # the mean of means, by hand
        weights = token_weights(torch.tensor(lengths), loss, total, count)
        assert float((weights * torch.tensor(lengths)).sum()) == pytest.approx(
            sum(n > 0 for n in lengths) / count
        )
