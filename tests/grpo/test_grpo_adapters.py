"""What is trained and in which precision: LoRA, tied weights, the reference of the KL, bfloat16."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
import torch

from ranker import ConfigurationError
from tests.grpo_runs import begin, furthest, policy, spread, train, weights


@pytest.mark.parametrize("lora_r", [0, 4])
def test_the_kl_is_to_the_policy_before_training(lora_r):
    _, history = train(spread, max_steps=4, beta=0.1, lora_r=lora_r, learning_rate=5e-2)
    assert history[0]["kl"] == pytest.approx(0.0, abs=1e-6)
    assert history[-1]["kl"] > 1e-4


def test_a_strong_kl_holds_the_policy_back():
    strayed = {}
    for beta in (1e-6, 10.0):
        _, history = train(spread, max_steps=8, beta=beta, max_pending_groups=0)
        strayed[beta] = history[-1]["kl"]
    assert strayed[10.0] < 0.5 * strayed[1e-6]


def test_checkpointing_changes_nothing():
    plain, _ = train(spread, max_steps=2)
    frugal, _ = train(spread, max_steps=2, gradient_checkpointing=True)
    assert furthest(weights(plain), weights(frugal)) < 1e-7


@pytest.mark.parametrize("lora_r", [0, 4])
def test_checkpointing_changes_nothing_with_adapters(lora_r):
    found = [
        train(spread, max_steps=2, lora_r=lora_r, beta=0.1, gradient_checkpointing=c)[0]
        for c in (False, True)
    ]
    assert furthest(*map(weights, found)) < 1e-7


def test_lora_trains_adapters_and_nothing_else():
    before = weights(begin(lora_r=4))
    trainer, _ = train(spread, max_steps=2, lora_r=4)
    after = weights(trainer)
    changed = {name for name in after if np.any(after[name] != before[name])}
    assert changed
    assert all("lora_" in name for name in changed)
    assert any("q_proj" in name for name in changed)
    assert any("down_proj" in name for name in changed)


@pytest.mark.parametrize(
    "targets",
    [
        ("embed_tokens",),
        ("q_proj", "lm_head"),
        ("model.embed_tokens",),
        r".*embed_tokens",
    ],
)
def test_adapters_on_tied_embeddings_are_refused(targets):
    with pytest.raises(ConfigurationError, match="ties"):
        begin(setup={"tie_word_embeddings": True}, lora_r=4, lora_target_modules=targets)


def test_an_adapter_on_the_output_is_trained():
    trainer, _ = train(
        spread, setup={"tie_word_embeddings": False}, max_steps=2, lora_r=4, lora_target_modules=("q_proj", "lm_head")
    )  # fmt: skip
    made = [w for name, w in weights(trainer).items() if "lm_head" in name and "lora_B" in name]
    assert made
    assert all(np.any(w != 0) for w in made)


def test_tied_weights_without_adapters_train_and_stay_tied():
    trainer, history = train(spread, setup={"tie_word_embeddings": True}, max_steps=2)
    causal = trainer.model
    assert causal.get_input_embeddings().weight is causal.get_output_embeddings().weight
    assert history[0]["sampler_mismatch"] < 1e-5


@pytest.mark.parametrize(
    "setting", [{"lora_target_modules": ("nowhere",)}, {"lora_target_modules": "nowhere"}]
)
def test_targets_that_the_model_lacks_are_named(setting):
    with pytest.raises(ConfigurationError, match="nowhere"):
        begin(lora_r=4, **setting)


def test_adapters_on_adapters_are_refused():
    model = policy()
    begin(model=model, lora_r=4)
    with pytest.raises(ConfigurationError, match="adapters already"):
        begin(model=model, lora_r=4)


def test_a_model_with_nothing_to_train_is_refused():
    causal, tokenizer = policy()
    causal.requires_grad_(False)
    with pytest.raises(ConfigurationError, match="No weight"):
        begin(model=(causal, tokenizer))


def test_one_process_can_train_in_fp32_and_then_in_bf16():
    _, plain = train(spread, max_steps=2)
    trainer, half = train(spread, max_steps=2, bf16=True)
    assert all(w.dtype == torch.float32 for w in trainer.model.parameters())
    assert half[0]["entropy"] == pytest.approx(plain[0]["entropy"], abs=0.05)
    assert 0 < half[0]["sampler_mismatch"] < 0.1


@pytest.mark.parametrize("setting", [{}, {"gradient_checkpointing": True}, {"beta": 0.1, "lora_r": 4}])
def test_bfloat16_weights_train(setting):
    causal, tokenizer = policy()
    trainer, history = train(spread, model=(causal.to(torch.bfloat16), tokenizer), max_steps=2, **setting)
    assert all(np.isfinite(line["grad_norm"]) for line in history)
    assert all(np.isfinite(w).all() for w in weights(trainer).values())
    assert history[0]["sampler_mismatch"] < 0.1


def test_it_trains_inside_a_running_event_loop():
    """As in a notebook."""

    async def cell():
        return train(spread, max_steps=1)[1]

    assert len(asyncio.run(cell())) == 1
