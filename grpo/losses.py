"""Policy-gradient losses on flat loss tokens: pure functions of log-probs and advantages.

N counts the loss tokens of a window (the tokens that the policy sampled and that are trained on), S its
trajectories. Nothing is padded: `trajectory_N` says which trajectory a token belongs to.

Names and clipping rules are TRL's. Sources: GRPO (arXiv 2402.03300), Dr. GRPO (2503.20783), DAPO
(2503.14476), CISPO (MiniMax-M1, 2506.13585), GSPO (2507.18071), dual-clip `delta` (INTELLECT-2,
2505.07291), KL estimators (Schulman 2020, http://joschu.net/blog/kl-approx.html).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch

from grpo.turn_advantages import CreditBy

Tensor = Any

LossType = Literal["grpo", "bnpo", "dr_grpo", "dapo", "cispo"]
KLEstimator = Literal["k1", "k2", "k3", "k3_naive"]


@dataclass(frozen=True, slots=True)
class Loss:
    """Which objective, with TRL's field names; `GRPOConfig` documents each."""

    loss_type: LossType = "dapo"
    importance_sampling_level: Literal["token", "sequence"] = "token"
    credit: CreditBy = "trajectory"
    epsilon: float = 0.2
    epsilon_high: float | None = None
    delta: float | None = None
    beta: float = 0.0
    kl_estimator: KLEstimator = "k3"
    max_completion_length: int = 256


@dataclass(frozen=True, slots=True)
class TokenLosses:
    """What the objective says of each loss token, before weighting.

    Attributes:
        loss_N: to be minimised.
        ratio_N: importance ratio that entered it (that of the whole trajectory at level "sequence").
        clipped_N: whether clipping took the token's gradient away.
        kl_N: the KL estimate; None where beta is 0.
    """

    loss_N: Tensor
    ratio_N: Tensor
    clipped_N: Tensor
    kl_N: Tensor | None


def token_losses(
    logps_N: Tensor,
    old_logps_N: Tensor | None,
    ref_logps_N: Tensor | None,
    advantages_N: Tensor,
    trajectory_N: Tensor,
    loss: Loss,
) -> TokenLosses:
    """The objective of every loss token.

    The ratio of a whole trajectory has the same gradient for each of its tokens, which would give every token the mean of the
    trajectory's advantages. Where tokens have advantages of their own, it is therefore GSPO's token form (2507.18071, section
    4.3): the same ratio, whose gradient is that of the token's own log-prob. With one advantage for all of a trajectory's tokens
    the two forms have the same gradient.

    Args:
        logps_N: log-probs under the policy; the only input that carries a gradient.
        old_logps_N: under the policy that sampled them; None where that is this very policy, so that
            the ratio is exactly 1.
        ref_logps_N: under the reference; needed where `beta` is not 0.
        advantages_N: each token has its trajectory's, or with other `credit` one of its own.
        trajectory_N: indices 0 … S-1; the tokens of a trajectory must all be present (the
            sequence-level ratio is over the whole of it).

    Raises:
        ValueError: `beta` is not 0 and there are no `ref_logps_N`.
    """
    old_N = logps_N.detach() if old_logps_N is None else old_logps_N
    log_ratio_N = logps_N - old_N
    if loss.importance_sampling_level == "sequence":
        log_ratio_N = _trajectory_mean(log_ratio_N, trajectory_N)
        if loss.credit != "trajectory":
            log_ratio_N = log_ratio_N.detach() + logps_N - logps_N.detach()
    ratio_N = log_ratio_N.exp()
    high = loss.epsilon if loss.epsilon_high is None else loss.epsilon_high
    if loss.loss_type == "cispo":  # the clipped ratio is a constant weight; `epsilon_high` is its cap
        clipped_N = (ratio_N > high) & (advantages_N > 0)
        policy_N = -ratio_N.detach().clamp(max=high) * advantages_N * logps_N
    else:
        clipped_N = ((ratio_N < 1 - loss.epsilon) & (advantages_N < 0)) | (
            (ratio_N > 1 + high) & (advantages_N > 0)
        )
        bounded_N = ratio_N
        if loss.delta is not None:
            bounded_N = ratio_N.clamp(max=loss.delta)
            clipped_N = clipped_N | ((ratio_N > loss.delta) & (advantages_N < 0))
        policy_N = -torch.min(
            bounded_N * advantages_N, ratio_N.clamp(1 - loss.epsilon, 1 + high) * advantages_N
        )
    if loss.beta == 0.0:
        return TokenLosses(policy_N, ratio_N.detach(), clipped_N, None)
    if ref_logps_N is None:
        raise ValueError("beta is not 0, so the log-probs under the reference are needed")
    kl_N = kl(logps_N, ref_logps_N, loss.kl_estimator)
    if loss.kl_estimator != "k3_naive":
        # The gradient of KL is an expectation under the present policy; the tokens come from the old one.
        kl_N = kl_N * (logps_N - old_N).detach().exp()
    return TokenLosses(policy_N + loss.beta * kl_N, ratio_N.detach(), clipped_N, kl_N.detach())


def kl(logps_N: Tensor, ref_logps_N: Tensor, estimator: KLEstimator) -> Tensor:
    """Estimate of KL(policy ‖ reference) from the policy's own samples, token by token.

    With d = log policy - log reference, the values are k1 = d, k2 = d²/2, k3 = exp(-d) - 1 + d (k1 and
    k3 unbiased, k3 of low variance). Whatever the value, the gradient is d · ∇log policy, whose
    expectation is the gradient of the KL itself. Differentiating the values instead gives 0 in
    expectation for k1, and for k3 the gradient of the reversed KL(reference ‖ policy); "k3_naive" does
    that, which is what TRL does.
    """
    d_N = logps_N - ref_logps_N
    if estimator == "k3_naive":
        return torch.exp(-d_N) - 1 + d_N
    half_square_N = d_N * d_N / 2
    if estimator == "k2":
        return half_square_N
    fixed_N = d_N.detach()
    value_N = fixed_N if estimator == "k1" else torch.exp(-fixed_N) - 1 + fixed_N
    return value_N + half_square_N - half_square_N.detach()


def _trajectory_mean(values_N: Tensor, trajectory_N: Tensor) -> Tensor:
    """Every token gets the mean over its trajectory (GSPO's length-normalised log-ratio)."""
    count = int(trajectory_N.max()) + 1 if len(trajectory_N) else 0
    zeros_S = torch.zeros(count, dtype=values_N.dtype, device=values_N.device)
    sums_S = zeros_S.index_add(0, trajectory_N, values_N)
    lengths_S = zeros_S.index_add(0, trajectory_N, torch.ones_like(values_N))
    return (sums_S / lengths_S.clamp(min=1))[trajectory_N]


def token_weights(lengths_S: Tensor, loss: Loss, window_tokens: int, window_trajectories: int) -> Tensor:
    """What each trajectory's tokens weigh in the loss of an optimizer window; shape (S,).

    The window is everything between two optimizer steps, over all micro-batches and ranks, so the
    weighted sum is the window's loss however the window was cut.

    * dapo, bnpo, cispo: 1 / tokens of the window (bnpo normalises by the tokens of a batch; a batch
      here is the window, so the two coincide).
    * grpo: 1 / (trajectories of the window · tokens of this trajectory).
    * dr_grpo: 1 / (trajectories of the window · max_completion_length).

    Args:
        lengths_S: loss tokens of each trajectory.
    """
    lengths_S = lengths_S.to(torch.float32)
    if loss.loss_type == "grpo":
        return 1.0 / (lengths_S.clamp(min=1) * max(1, window_trajectories))
    if loss.loss_type == "dr_grpo":
        return torch.full_like(lengths_S, 1.0 / (max(1, window_trajectories) * loss.max_completion_length))
    return torch.full_like(lengths_S, 1.0 / max(1, window_tokens))
