"""Log-probs in chunks, against the full table of log-probs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from grpo.model.head import Kept, head_logps

H = 6


def case(count: int, vocabulary: int, bias: bool = True, seed: int = 0, dtype: Any = torch.float32) -> Any:
    made = torch.Generator().manual_seed(seed)
    hidden_NH = torch.randn(count, H, generator=made).to(dtype).requires_grad_()
    weight_VH = torch.randn(vocabulary, H, generator=made).to(dtype).requires_grad_()
    bias_V = torch.randn(vocabulary, generator=made).to(dtype).requires_grad_() if bias else None
    return hidden_NH, weight_VH, bias_V, torch.randint(vocabulary, (count,), generator=made)


def kept_for(targets_N: Any, vocabulary: int, seed: int = 0) -> Kept:
    """Some ids for each token, its own among them; every third token was not cut."""
    rng = np.random.default_rng(seed)
    lists = [
        np.zeros(0, np.int32)
        if i % 3 == 2
        else np.union1d(rng.choice(vocabulary, rng.integers(0, 5), replace=False), [int(t)]).astype(np.int32)
        for i, t in enumerate(targets_N)
    ]
    return Kept(np.concatenate([*lists, np.zeros(0, np.int32)]), np.array([len(x) for x in lists], np.int64))


def plain(inputs: Any, temperature: float = 1.0, kept: Any = None) -> tuple[Any, Any]:
    hidden_NH, weight_VH, bias_V, targets_N = inputs
    logits_NV = hidden_NH.float() @ weight_VH.float().T + (0 if bias_V is None else bias_V.float())
    logits_NV = logits_NV / temperature
    if kept is not None:
        ends = np.cumsum(kept.counts_N)
        for n, (end, count) in enumerate(zip(ends, kept.counts_N, strict=True)):
            if count:
                out = torch.ones(logits_NV.shape[1], dtype=torch.bool)
                out[kept.ids[end - count : end].tolist()] = False
                logits_NV = logits_NV.masked_fill(
                    (torch.arange(len(logits_NV)) == n)[:, None] & out[None], -torch.inf
                )
    every_NV = logits_NV.log_softmax(1)
    entropy_N = torch.special.entr(every_NV.exp()).sum(1)
    return every_NV.gather(1, targets_N[:, None])[:, 0], entropy_N.detach()


def agree(
    inputs: Any, gradient_N: Any, weights_N: Any, *, temperature: float, kept: Any, atol: float
) -> None:
    leaves = [x for x in inputs[:3] if x is not None]
    found_N, entropy_N = head_logps(*inputs, temperature, kept, gradient_N)
    expected_N, expected_entropy_N = plain(inputs, temperature, kept)
    torch.testing.assert_close(found_N, expected_N, atol=atol, rtol=1e-5)
    torch.testing.assert_close(entropy_N, expected_entropy_N, atol=atol, rtol=1e-5)
    assert not entropy_N.requires_grad
    found = torch.autograd.grad((found_N * weights_N).sum(), leaves)
    expected = torch.autograd.grad((expected_N * weights_N).sum(), leaves)
    for one, two in zip(found, expected, strict=True):
        assert one.dtype == two.dtype
        torch.testing.assert_close(one, two, atol=atol, rtol=1e-4)


@pytest.mark.parametrize("known", ["no", "right", "wrong", "nearly"])
@pytest.mark.parametrize("temperature", [1.0, 0.6, 1.7])
@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize(("count", "bias"), [(11, True), (1, False)])
def test_against_the_full_table(known: str, temperature: float, cut: bool, count: int, bias: bool) -> None:
    inputs = case(count, 23, bias)
    weights_N = torch.linspace(-1, 2, count)
    said = {"no": None, "right": weights_N, "wrong": weights_N.flip(0) + 1, "nearly": weights_N + 1e-3}[known]
    kept = kept_for(inputs[3], 23) if cut else None
    agree(inputs, said, weights_N, temperature=temperature, kept=kept, atol=1e-5)


def test_chunks_join_without_a_seam() -> None:
    inputs = case(80, 1 << 18)  # 64 tokens fill a chunk: two of 40
    kept = kept_for(inputs[3], 1 << 18)
    weights_N = torch.linspace(-1, 2, 80)
    some = slice(34, 46)
    ends = np.cumsum(kept.counts_N)
    part = Kept(kept.ids[ends[33] : ends[45]], kept.counts_N[some])
    alone_N, _ = plain((inputs[0][some], *inputs[1:3], inputs[3][some]), 0.8, part)
    (alone,) = torch.autograd.grad((alone_N * weights_N[some]).sum(), inputs[:1])
    for said in (None, weights_N):
        found_N, _ = head_logps(*inputs, 0.8, kept, said)
        (grad_NH,) = torch.autograd.grad((found_N * weights_N).sum(), inputs[:1])
        torch.testing.assert_close(found_N[some], alone_N, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(grad_NH[some], alone[some], atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize("said", [False, True])
def test_only_what_needs_a_gradient_gets_one(said: bool) -> None:
    weights_N = torch.linspace(-1, 2, 9)
    for needed in (0, 1, 2):
        inputs = case(9, 23)
        for i in range(3):
            inputs[i].requires_grad_(i == needed)
        found_N, _ = head_logps(*inputs, 1.3, None, weights_N if said else None)
        expected_N, _ = plain(inputs, 1.3)
        (found,) = torch.autograd.grad((found_N * weights_N).sum(), inputs[needed])
        (expected,) = torch.autograd.grad((expected_N * weights_N).sum(), inputs[needed])
        torch.testing.assert_close(found, expected)
    with torch.no_grad():
        assert not head_logps(*case(3, 5), 1.0, None, torch.ones(3))[0].requires_grad


@pytest.mark.parametrize("said", [False, True])
def test_half_precision(said: bool) -> None:
    inputs = case(9, 23, dtype=torch.bfloat16)
    weights_N = torch.linspace(-1, 2, 9)
    agree(inputs, weights_N if said else None, weights_N, temperature=0.7, kept=None, atol=0.1)
    assert head_logps(*inputs)[0].dtype == torch.float32


def test_no_tokens() -> None:
    inputs = case(0, 5)
    logps_N, entropy_N = head_logps(*inputs)
    assert logps_N.shape == entropy_N.shape == (0,)
    grads = torch.autograd.grad(logps_N.sum(), inputs[:3])
    assert not any(g.any() for g in grads)


def test_an_only_token_to_choose_from_is_certain() -> None:
    inputs = case(2, 23)
    kept = Kept(inputs[3].numpy().astype(np.int32), np.array([1, 1]))
    logps_N, entropy_N = head_logps(*inputs, 1.0, kept)
    assert logps_N.tolist() == [0.0, 0.0]
    assert entropy_N.tolist() == [0.0, 0.0]
    assert not torch.autograd.grad(logps_N.sum(), inputs[0])[0].any()


class Largest(TorchDispatchMode):
    """Remembers how many elements the largest tensor had that any operation gave."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, torch.Tensor):
                self.elements = max(self.elements, leaf.numel())
        return made


@pytest.mark.parametrize("said", [False, True])
def test_there_never_is_a_full_table_of_logits(said: bool) -> None:
    count, vocabulary = 160, 1 << 18
    inputs = case(count, vocabulary)
    gradient_N = torch.ones(count)
    with Largest() as largest:
        logps_N, _ = head_logps(*inputs, 1.0, None, gradient_N if said else None)
        torch.autograd.grad(logps_N, inputs[:3], gradient_N)
    assert largest.elements < count * vocabulary * 0.9
