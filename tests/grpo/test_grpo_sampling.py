"""Sampling: the distribution is that of transformers, and the log-probs are those of what was drawn from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from grpo.sampling import Sampling, distribution, draw

CUTS = [
    {},
    {"temperature": 0.6},
    {"top_k": 4},
    {"top_k": 1},
    {"top_k": 99},
    {"top_p": 0.8},
    {"top_p": 1e-9},
    {"min_p": 0.1},
    {"temperature": 1.4, "top_k": 12, "top_p": 0.85, "min_p": 0.05},
]


def logits(rows: int = 6, vocabulary: int = 20, seed: int = 0) -> Any:
    return torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(seed)) * 2


def theirs(logits_BV: Any, sampling: Sampling) -> Any:
    warpers = LogitsProcessorList([TemperatureLogitsWarper(sampling.temperature)])
    if sampling.top_k:
        warpers.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        warpers.append(TopPLogitsWarper(sampling.top_p))
    if sampling.min_p:
        warpers.append(MinPLogitsWarper(sampling.min_p))
    return warpers(torch.zeros(len(logits_BV), 1, dtype=torch.int64), logits_BV.clone()).softmax(1)


@pytest.mark.parametrize("cut", CUTS)
def test_the_distribution_is_that_of_transformers(cut: dict[str, Any]) -> None:
    for seed in range(5):
        logits_BV = logits(seed=seed)
        torch.testing.assert_close(
            distribution(logits_BV, Sampling(**cut)), theirs(logits_BV, Sampling(**cut))
        )


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 999),
    st.floats(0.2, 3),
    st.integers(0, 25),
    st.one_of(st.just(1.0), st.floats(0.05, 0.99)),
    st.one_of(st.none(), st.floats(0, 0.9)),
)
def test_any_settings(seed: int, temperature: float, top_k: int, top_p: float, min_p: float | None) -> None:
    sampling = Sampling(temperature, top_k, top_p, min_p)
    logits_BV = logits(seed=seed)
    probs_BV = distribution(logits_BV, sampling)
    torch.testing.assert_close(probs_BV, theirs(logits_BV, sampling), atol=1e-6, rtol=1e-4)
    drawn = draw(logits_BV, torch.rand(6, dtype=torch.float64), sampling)
    chosen_B = probs_BV.gather(1, drawn.tokens_B[:, None])[:, 0]
    assert (chosen_B > 0).all()
    torch.testing.assert_close(drawn.logps_B, chosen_B.log())
    assert (drawn.kept is not None) == sampling.truncates
    for row, kept in enumerate(drawn.kept or []):
        assert kept.tolist() == probs_BV[row].nonzero()[:, 0].tolist()
        assert drawn.tokens_B[row] in kept


@pytest.mark.parametrize("cut", CUTS)
def test_draws_follow_the_distribution(cut: dict[str, Any]) -> None:
    count = 20_000
    logits_1V = logits(rows=1, seed=3)
    uniforms = torch.from_numpy(np.random.default_rng(0).random(count))
    drawn = draw(logits_1V.expand(count, -1), uniforms, Sampling(**cut))
    probs = distribution(logits_1V, Sampling(**cut))[0].double().numpy()
    seen = np.bincount(drawn.tokens_B.numpy(), minlength=20)
    assert seen[probs == 0].sum() == 0
    likely = probs > 0
    if likely.sum() > 1:
        expected = count * probs[likely] / probs.sum()
        assert chisquare(seen[likely], expected * seen.sum() / expected.sum()).pvalue > 1e-3


@pytest.mark.parametrize("uniform", [0.0, 1e-300, 0.5, 1 - 2**-53])
def test_a_token_without_probability_is_never_drawn(uniform: float) -> None:
    least = -torch.inf
    logits_BV = torch.tensor([[least, 0.0, least, 0.3, least], [least, least, least, least, 2.0]])
    logits_BV = torch.cat([logits_BV, torch.full((1, 5), 1.0)])
    drawn = draw(logits_BV, torch.full((3,), uniform, dtype=torch.float64), Sampling())
    assert drawn.tokens_B[0] in (1, 3)
    assert drawn.tokens_B[1] == 4
    assert drawn.tokens_B[2] in range(5)
    assert drawn.logps_B[1] == 0
    assert drawn.logps_B.isfinite().all()


def test_tokens_too_unlikely_for_the_sum_are_still_no_others() -> None:
    vocabulary = 50_000
    logits_BV = torch.full((1, vocabulary), -80.0)
    logits_BV[0, 7] = 0.0
    drawn = draw(logits_BV, torch.tensor([1 - 2**-53], dtype=torch.float64), Sampling())
    assert drawn.tokens_B.tolist() == [7]


@pytest.mark.parametrize("cut", CUTS)
def test_temperature_zero_takes_the_likeliest(cut: dict[str, Any]) -> None:
    logits_BV = logits()
    drawn = draw(logits_BV, torch.rand(6, dtype=torch.float64), Sampling(**{**cut, "temperature": 0.0}))
    assert drawn.tokens_B.tolist() == logits_BV.argmax(1).tolist()
    assert drawn.logps_B.tolist() == [0.0] * 6
    assert drawn.kept is None


def test_a_row_draws_the_same_beside_any_others() -> None:
    logits_BV, uniforms_B = logits(), torch.rand(6, dtype=torch.float64)
    sampling = Sampling(**CUTS[-1])
    together = draw(logits_BV, uniforms_B, sampling)
    for i in range(6):
        alone = draw(logits_BV[i : i + 1], uniforms_B[i : i + 1], sampling)
        assert alone.tokens_B[0] == together.tokens_B[i]
        assert alone.kept[0].tolist() == together.kept[i].tolist()


def test_half_precision_is_computed_in_full() -> None:
    logits_BV = logits().to(torch.bfloat16)
    probs_BV = distribution(logits_BV, Sampling(top_p=0.9))
    assert probs_BV.dtype == torch.float32
    torch.testing.assert_close(probs_BV.sum(1), torch.ones(6))
