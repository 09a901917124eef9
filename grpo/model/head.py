"""Log-probs of loss tokens straight from hidden states, without ever holding a full logits tensor."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

Tensor = Any
_CHUNK_ELEMENTS = 1 << 24  # logits held at a time: 64 MB in fp32


@dataclass(frozen=True, slots=True)
class Kept:
    """For each of N tokens, the ids that truncated sampling (top-k, top-p, min-p) could have drawn.

    Attributes:
        ids: those of all tokens, one after the other.
        counts_N: how many each token has; 0 where nothing was cut off.
    """

    ids: np.ndarray
    counts_N: np.ndarray

    def mask(self, start: int, stop: int, logits_NV: Tensor) -> Tensor:
        """True where a logit was cut off, for tokens start … stop."""
        ends = np.cumsum(self.counts_N)
        counts = self.counts_N[start:stop]
        ids = self.ids[ends[start] - self.counts_N[start] : ends[stop - 1]]
        rows = np.repeat(np.arange(stop - start), counts)
        cut_NV = torch.zeros_like(logits_NV, dtype=torch.bool)
        cut_NV[torch.from_numpy(counts > 0).to(cut_NV.device)] = True
        cut_NV[
            torch.from_numpy(rows).to(cut_NV.device), torch.from_numpy(ids.astype(np.int64)).to(cut_NV.device)
        ] = False
        return cut_NV


def head_logps(
    hidden_NH: Tensor,
    weight_VH: Tensor,
    bias_V: Tensor | None,
    targets_N: Tensor,
    temperature: float = 1.0,
    kept: Kept | None = None,
    gradient_N: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Log-prob of each target under softmax(logits / temperature), and the entropy of that softmax.

    Logits exist only in chunks, in fp32. The backward pass makes them once more, unless `gradient_N`
    says beforehand what the gradient of the log-probs will be: then one pass serves both, and a
    quarter of the head's work is saved.

    Args:
        kept: restricts the softmax of each token to the ids it was sampled from.
        gradient_N: the gradient that backward will bring. On-policy the ratio is 1 and it is known
            from the advantages alone. A wrong guess costs time, not correctness: backward compares.

    Returns:
        logps_N with gradient, entropy_N without; both fp32.
    """
    logps_N, entropy_N = _HeadLogps.apply(
        hidden_NH, weight_VH, bias_V, targets_N, temperature, kept, gradient_N
    )
    return logps_N, entropy_N


class _HeadLogps(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(
        ctx: Any,
        hidden_NH: Tensor,
        weight_VH: Tensor,
        bias_V: Tensor | None,
        targets_N: Tensor,
        temperature: float,
        kept: Kept | None,
        gradient_N: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        count, vocabulary = len(targets_N), weight_VH.shape[0]
        logps_N = hidden_NH.new_empty(count, dtype=torch.float32)
        entropy_N = torch.empty_like(logps_N)
        needs = any(ctx.needs_input_grad[:3])
        sums = _Sums(ctx, hidden_NH, weight_VH, bias_V) if needs and gradient_N is not None else None
        room = _room(hidden_NH, count, vocabulary)
        for start, stop in _chunks(count, vocabulary):
            logits_CV = _logits(room[0], hidden_NH, weight_VH, bias_V, temperature, kept, start, stop)
            every_CV = torch._log_softmax(logits_CV, 1, False, out=room[1][: stop - start])
            at_C1 = targets_N[start:stop, None]
            logps_N[start:stop] = every_CV.gather(1, at_C1)[:, 0]
            probs_CV = torch.exp(every_CV, out=logits_CV)
            if kept is not None:
                every_CV.masked_fill_(every_CV == -torch.inf, 0.0)
            entropy_N[start:stop] = -torch.linalg.vecdot(probs_CV, every_CV)
            if sums is not None and gradient_N is not None:
                sums.add(start, stop, probs_CV, at_C1, gradient_N[start:stop], temperature)
        ctx.saved = (hidden_NH, weight_VH, bias_V, targets_N, temperature, kept)
        ctx.early = None if sums is None else (gradient_N, sums)
        ctx.mark_non_differentiable(entropy_N)
        return logps_N, entropy_N

    @staticmethod
    def backward(ctx: Any, grad_N: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.early is not None and _same(ctx.early[0], grad_N):
            return (*ctx.early[1].result(), None, None, None, None)
        hidden_NH, weight_VH, bias_V, targets_N, temperature, kept = ctx.saved
        ctx.early = None
        sums = _Sums(ctx, hidden_NH, weight_VH, bias_V)
        room = _room(hidden_NH, len(targets_N), weight_VH.shape[0])
        for start, stop in _chunks(len(targets_N), weight_VH.shape[0]):
            logits_CV = _logits(room[0], hidden_NH, weight_VH, bias_V, temperature, kept, start, stop)
            probs_CV = torch._softmax(logits_CV, 1, False, out=room[1][: stop - start])
            sums.add(start, stop, probs_CV, targets_N[start:stop, None], grad_N[start:stop], temperature)
        return (*sums.result(), None, None, None, None)


def _same(guess_N: Tensor, grad_N: Tensor) -> bool:
    """Equal but for the rounding of sums."""
    return bool(torch.allclose(guess_N, grad_N, rtol=1e-6, atol=1e-7 * float(grad_N.abs().max())))


class _Sums:
    """Gradients of hidden states, weight and bias, chunk by chunk."""

    def __init__(self, ctx: Any, hidden_NH: Tensor, weight_VH: Tensor, bias_V: Tensor | None):
        self.hidden_NH, self.weight_VH = hidden_NH, weight_VH
        to_hidden, to_weight, to_bias = ctx.needs_input_grad[:3]
        self.d_hidden = torch.empty_like(hidden_NH) if to_hidden else None
        self.d_weight = torch.zeros_like(weight_VH, dtype=torch.float32) if to_weight else None
        self.d_bias = torch.zeros_like(bias_V, dtype=torch.float32) if to_bias else None

    def add(
        self, start: int, stop: int, probs_CV: Tensor, at_C1: Tensor, grad_C: Tensor, temperature: float
    ) -> None:
        """Add a chunk; `probs_CV` is overwritten with the gradient of its logits."""
        scaled_C1 = (grad_C.to(probs_CV.dtype) / temperature)[:, None]
        d_logits_CV = probs_CV.mul_(-scaled_C1).scatter_add_(1, at_C1, scaled_C1)
        if self.d_bias is not None:
            self.d_bias += d_logits_CV.sum(0)
        d_logits_CV = d_logits_CV.to(self.weight_VH.dtype)
        if self.d_hidden is not None:
            torch.mm(d_logits_CV, self.weight_VH, out=self.d_hidden[start:stop])
        if self.d_weight is None:
            return
        if self.d_weight.dtype == d_logits_CV.dtype:
            self.d_weight.addmm_(d_logits_CV.T, self.hidden_NH[start:stop])
        else:
            self.d_weight += d_logits_CV.T @ self.hidden_NH[start:stop]

    def result(self) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        d_weight = None if self.d_weight is None else self.d_weight.to(self.weight_VH.dtype)
        return self.d_hidden, d_weight, self.d_bias


def _logits(
    room_CV: Tensor,
    hidden_NH: Tensor,
    weight_VH: Tensor,
    bias_V: Tensor | None,
    temperature: float,
    kept: Kept | None,
    start: int,
    stop: int,
) -> Tensor:
    if hidden_NH.dtype == torch.float32:
        logits_CV = torch.mm(hidden_NH[start:stop], weight_VH.T, out=room_CV[: stop - start])
    else:
        logits_CV = room_CV[: stop - start].copy_(hidden_NH[start:stop] @ weight_VH.T)
    if bias_V is not None:
        logits_CV += bias_V
    if temperature != 1.0:
        logits_CV /= temperature
    if kept is not None:
        logits_CV.masked_fill_(kept.mask(start, stop, logits_CV), -torch.inf)
    return logits_CV


def _room(hidden_NH: Tensor, count: int, vocabulary: int) -> Tensor:
    """Two chunks of logits, made once: fresh memory of this size costs as much as the arithmetic."""
    rows = max((stop - start for start, stop in _chunks(count, vocabulary)), default=0)
    return torch.empty(2, rows, vocabulary, dtype=torch.float32, device=hidden_NH.device)


def _chunks(count: int, vocabulary: int) -> list[tuple[int, int]]:
    most = max(16, _CHUNK_ELEMENTS // vocabulary)
    pieces = -(-count // most)
    bounds = [count * k // pieces for k in range(pieces + 1)] if pieces else [0]
    return list(itertools.pairwise(bounds))
