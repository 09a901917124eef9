"""Scoring: a tree, padded rows and each sequence alone give the same log-probs and the same gradients."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from grpo.compatibility import probe
from grpo.config import GRPOConfig
from grpo.model.loading import Reference, without_dropout
from grpo.model.logprobs import Layout, check_layout, plain_logps, score
from ranker import ConfigurationError
from tests.grpo_models import (
    SMALL,
    VOCABULARY,
    bloom,
    cohere,
    gemma2,
    gpt2,
    group,
    llama,
    lora,
    made,
    mamba,
    mistral,
    qwen3,
    sequence,
    tokenizer,
)

TREE, PADDED, WHOLE = Layout(), Layout(tree=False), Layout(tree=False, head=False)


def phi(seed: int = 0) -> Any:
    """With a bias in its output embedding."""
    model = made(transformers.PhiConfig(**{**SMALL, "num_key_value_heads": 4}), seed)
    torch.nn.init.normal_(model.lm_head.bias)
    return model


def mixed() -> list[Any]:
    """Two groups, turns, one trajectory that begins another, two that are equal."""
    one, two = group(), group(prompt=4, lengths=(3, 8), seed=1)
    turns = sequence(np.append(one[0].tokens_T, [7, 8, 9, 10, 11]), 7)
    turns.sampled_T[[9, 13]] = False
    return [*one, *two, turns, one[1], sequence(one[0].tokens_T[:10], 7)]


def run(model: Any, sequences: Any, layout: Layout, weights_N: Any, **more: Any) -> tuple[Any, Any]:
    """Log-probs, and gradients by name."""
    model.zero_grad()
    scores = score(model, sequences, layout=layout, **more)
    (scores.logps_N * weights_N).sum().backward()
    return scores, {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def same(one: Any, two: Any, atol: float = 1e-4) -> None:
    torch.testing.assert_close(one[0].logps_N, two[0].logps_N, atol=1e-5, rtol=0)
    torch.testing.assert_close(one[0].entropy_N, two[0].entropy_N, atol=1e-5, rtol=0)
    assert one[1].keys() == two[1].keys()
    for name, grad in one[1].items():
        torch.testing.assert_close(
            grad, two[1][name], atol=atol * float(grad.abs().max() + 1), rtol=0, msg=name
        )


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("build", [llama, gpt2, qwen3, phi])
def test_every_layout_gives_the_same(build: Any, attention: str, temperature: float) -> None:
    model = build()
    model.set_attn_implementation(attention)
    sequences = mixed()
    weights_N = torch.linspace(-1, 2, sum(int(s.sampled_T.sum()) for s in sequences))
    whole = run(model, sequences, WHOLE, weights_N, temperature=temperature)
    for layout in (TREE, PADDED):
        for said in (None, weights_N):
            same(run(model, sequences, layout, weights_N, temperature=temperature, gradient_N=said), whole)
    own = []
    for s in sequences:  # and by transformers alone, with no line of ours
        ids = torch.from_numpy(s.tokens_T)[None]
        every_TV = (model(ids).logits[0].float() / temperature).log_softmax(1)
        own += [every_TV[t - 1, s.tokens_T[t]] for t in np.flatnonzero(s.sampled_T)]
    torch.testing.assert_close(whole[0].logps_N, torch.stack(own), atol=1e-5, rtol=0)


@pytest.mark.parametrize("build", [llama, gpt2])
def test_ids_that_sampling_kept_restrict_every_layout(build: Any) -> None:
    rng = np.random.default_rng(0)
    sequences = []
    for s in mixed()[:6]:
        kept = [
            np.union1d(rng.integers(0, VOCABULARY, 6), [t]).astype(np.int32) for t in s.tokens_T[s.sampled_T]
        ]
        sequences.append(sequence(s.tokens_T, len(s.tokens_T) - len(kept), kept))
    model = build()
    weights_N = torch.linspace(-1, 2, sum(int(s.sampled_T.sum()) for s in sequences))
    whole = run(model, sequences, WHOLE, weights_N)
    for layout in (TREE, PADDED):
        same(run(model, sequences, layout, weights_N), whole)
    assert (whole[0].logps_N > plain_logps(model, mixed()[:6])).all()


def test_the_same_tokens_kept_from_different_ids() -> None:
    """Two steps of a run may sample the same tokens of one row with different weights."""
    tokens = group(lengths=(2,))[0].tokens_T
    one = sequence(tokens, 7, [np.array(sorted({int(t), 3})) for t in tokens[7:]])
    two = sequence(tokens, 7, [np.array(sorted({int(t), 4, 9})) for t in tokens[7:]])
    model = llama()
    with torch.no_grad():
        torch.testing.assert_close(
            score(model, [one, two]).logps_N, score(model, [one, two], layout=WHOLE).logps_N
        )


def test_a_token_in_two_trajectories_learns_from_both() -> None:
    model = llama()
    one, short = group(lengths=(5,))[0], group(lengths=(5,))[0]
    short = sequence(one.tokens_T[:9], 7)
    weights_N = torch.tensor([1.0, 2, 3, 4, 5, 10, 20])
    both = run(model, [one, short], TREE, weights_N)[1]
    first = run(model, [one], WHOLE, weights_N[:5])[1]
    second = run(model, [short], WHOLE, weights_N[5:])[1]
    for name in both:
        torch.testing.assert_close(both[name], first[name] + second[name], atol=1e-3, rtol=1e-4)


def test_dropout_is_off_in_training_and_with_checkpointing() -> None:
    sequences = mixed()
    weights_N = torch.linspace(-1, 2, sum(int(s.sampled_T.sum()) for s in sequences))
    model = gpt2()
    quiet = run(model, sequences, WHOLE, weights_N)
    model.train()
    with pytest.raises(AssertionError):
        same(run(model, sequences, TREE, weights_N), quiet)
    without_dropout(model)
    same(run(model, sequences, TREE, weights_N), quiet)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    assert model.training
    for layout in (TREE, PADDED, WHOLE):
        same(run(model, sequences, layout, weights_N), quiet)


DROPOUTS = ("attention_dropout", "hidden_dropout", "resid_pdrop", "embd_pdrop", "attn_pdrop", "dropout")


@pytest.mark.parametrize(
    "name", ["Llama", "Bloom", "GPTNeoX", "OPT", "Phi3", "Mistral", "Falcon", "Persimmon"]
)
def test_every_kind_of_dropout_is_off(name: str) -> None:
    settings = {**SMALL, "num_key_value_heads": 4, "ffn_dim": 48, "word_embed_proj_dim": 32}
    config = getattr(transformers, f"{name}Config")(**settings, **dict.fromkeys(DROPOUTS, 0.4))
    model = made(config)
    without_dropout(model)
    ids = torch.arange(2, 12)[None]
    with torch.no_grad():
        expected = model(ids).logits
        model.train()
        torch.testing.assert_close(model(ids).logits, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (llama, TREE), (gpt2, TREE), (qwen3, TREE), (phi, TREE), (mistral, PADDED), (bloom, PADDED),
        (mamba, PADDED), (gemma2, WHOLE), (cohere, WHOLE),
    ],
)  # fmt: skip
def test_each_model_gets_the_layout_it_can_take(build: Any, expected: Layout) -> None:
    model = build()
    assert check_layout(model, group(), longest=128) == expected
    assert probe(model, tokenizer(), GRPOConfig()) == expected
    sequences = mixed()
    weights_N = torch.linspace(-1, 2, sum(int(s.sampled_T.sum()) for s in sequences))
    same(run(model, sequences, expected, weights_N), run(model, sequences, WHOLE, weights_N))


def test_a_window_matters_only_if_something_is_longer() -> None:
    assert check_layout(mistral(window=16), group(), longest=16).tree
    assert not check_layout(mistral(window=16), group(), longest=17).tree
    assert check_layout(mistral(window=None), group(), longest=10_000).tree


def neo(kinds: tuple[str, ...], window: int = 30, context: int = 64) -> Any:
    config = transformers.GPTNeoConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_layers=2,
        attention_types=[[list(kinds), 1]],
        num_heads=4,
        window_size=window,
        max_position_embeddings=context,
        initializer_range=0.3,
        bos_token_id=None,
        eos_token_id=1,
    )
    return made(config)


@pytest.mark.parametrize("kinds", [("global", "local"), ("global", "global")])
def test_a_mask_that_the_model_keeps_itself(kinds: tuple[str, ...]) -> None:
    """It counts places in the batch, not in the sequence; a short check does not notice."""
    model = neo(kinds)
    layout = check_layout(model, group(), longest=64)
    long = group(prompt=20, lengths=(30, 30, 30))
    with torch.no_grad():
        torch.testing.assert_close(
            score(model, long, layout=layout).logps_N, plain_logps(model, long), atol=1e-5, rtol=0
        )


def test_the_probe_works_where_a_loop_runs() -> None:
    async def notebook() -> Layout:
        return probe(llama(), tokenizer(), GRPOConfig())

    assert asyncio.run(notebook()) == TREE


@pytest.mark.parametrize("build", [llama, gpt2])
def test_the_reference_of_adapters_is_the_base_model(build: Any) -> None:
    base, sequences = build(), mixed()
    model = lora(copy.deepcopy(base))
    reference = Reference(model, needed=True)
    with torch.no_grad():
        expected_N = plain_logps(base, sequences)
        with reference() as frozen:
            torch.testing.assert_close(score(frozen, sequences).logps_N, expected_N, atol=1e-5, rtol=0)
        assert (score(model, sequences).logps_N - expected_N).abs().max() > 0.1
    assert check_layout(model, sequences, longest=128) == TREE
    weights_N = torch.linspace(-1, 2, len(expected_N))
    same(run(model, sequences, TREE, weights_N), run(model, sequences, WHOLE, weights_N))


def test_the_reference_of_a_whole_model_stays_as_it_was() -> None:
    model, sequences = llama(), mixed()
    before_N = plain_logps(model, sequences).detach()
    reference = Reference(model, needed=True)
    with torch.no_grad():
        model.lm_head.weight.mul_(1.5)
        with reference() as frozen:
            assert torch.equal(plain_logps(frozen, sequences), before_N)
            assert not any(p.requires_grad for p in frozen.parameters())


@pytest.mark.parametrize(
    "settings", [{"target_modules": ["q_proj", "lm_head"]}, {"modules_to_save": ["lm_head"]}]
)
def test_an_output_embedding_that_is_trained_by_peft_is_trained(settings: dict[str, Any]) -> None:
    model = lora(llama(), scale=0.0, **{"target_modules": ["q_proj"], **settings})
    sequences = mixed()
    layout = check_layout(model, sequences, longest=128)
    weights_N = torch.linspace(-1, 2, sum(int(s.sampled_T.sum()) for s in sequences))
    same(run(model, sequences, layout, weights_N), run(model, sequences, WHOLE, weights_N))


@pytest.mark.parametrize("build", [llama, gpt2, qwen3])
@pytest.mark.parametrize("layout", [TREE, PADDED])
def test_autocast(build: Any, layout: Layout) -> None:
    model, sequences = build(), mixed()
    weights_N = torch.linspace(-1, 2, sum(int(s.sampled_T.sum()) for s in sequences))
    exact_N = plain_logps(model, sequences)
    for said in (None, weights_N):
        with torch.autocast("cpu", torch.bfloat16):
            scores = score(model, sequences, layout=layout, gradient_N=said)
        (scores.logps_N * weights_N).sum().backward()
        assert scores.logps_N.dtype == torch.float32
        assert (scores.logps_N - exact_N).abs().mean() < 0.05


def test_a_model_that_is_another_in_train_mode_is_refused_with_checkpointing() -> None:
    model = llama()
    model.model.norm.register_forward_hook(lambda module, _, out: out * 1.5 if module.training else out)
    assert probe(model, tokenizer(), GRPOConfig()) == TREE
    with pytest.raises(ConfigurationError, match="leave it out"):
        probe(model, tokenizer(), GRPOConfig(gradient_checkpointing=True))
    quiet = gpt2()
    without_dropout(quiet)
    assert probe(quiet, tokenizer(), GRPOConfig(gradient_checkpointing=True)).tree
