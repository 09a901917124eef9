"""The sampler: its log-probs are the trainer's, and what a row gets does not depend on its neighbours."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence as Seq
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from grpo.errors import ContextError, TrainingError
from grpo.model.loading import context_length
from grpo.model.logprobs import Layout, packed_forward, plain_logprobs, token_logprobs
from grpo.rollouts.engine import Completion, Engine
from grpo.sampling import Sampling
from tests.grpo_models import (
    SMALL,
    bloom,
    gemma2,
    gpt2,
    llama,
    lora,
    mamba,
    mistral,
    qwen3,
    scripted,
    sequence,
)
from tests.grpo_models import made as built

CUT = {"temperature": 0.7, "top_k": 9, "top_p": 0.9, "min_p": 0.02}
NEVER: tuple[int, ...] = ()


def prompts(*lengths: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(2, 60, n) for n in lengths]


def generate(
    engine: Engine, asked: Seq[Any], most: Seq[int | None] | None = None, seeds: Seq[int] | None = None
) -> list[Completion]:
    """All at once."""

    async def work() -> list[Completion]:
        return await asyncio.gather(
            *(
                engine.generate(p, np.random.default_rng(seeds[i] if seeds else i), most[i] if most else None)
                for i, p in enumerate(asked)
            )
        )

    return asyncio.run(asyncio.wait_for(work(), 20))


def read(asked: Seq[np.ndarray], made: Seq[Completion]) -> list[Any]:
    return [
        sequence(np.concatenate([p, c.tokens]), len(p), c.support) for p, c in zip(asked, made, strict=True)
    ]


def told(made: Seq[Completion]) -> torch.Tensor:
    return torch.tensor([logp for c in made for logp in c.logps])


@pytest.mark.parametrize("settings", [{}, {"temperature": 0.7}, CUT], ids=["plain", "temperature", "cut"])
@pytest.mark.parametrize("model", [llama, gpt2, qwen3])
def test_the_sampler_says_what_the_trainer_says(model: Any, settings: dict[str, Any]) -> None:
    model = model()
    engine = Engine(model, (1, 2, 3), Sampling(**settings, max_completion_length=12), max_num_seqs=4)
    asked = prompts(3, 9, 3, 14, 5, 9, 1, 20, 2)
    asked[2], asked[5] = asked[0], asked[1]
    made = generate(engine, asked, most=[3, 12, 7, 5, 12, 1, 12, 9, 4])
    assert len({len(c.tokens) for c in made}) > 3, "rows leave at different times"
    temperature = settings.get("temperature", 1.0)
    with torch.no_grad():
        scored = token_logprobs(model, read(asked, made), temperature).logps_N
        plain = plain_logprobs(model, read(asked, made), temperature)
    torch.testing.assert_close(told(made), scored, atol=1e-4, rtol=0)
    torch.testing.assert_close(scored, plain, atol=1e-4, rtol=0)
    assert all(len(c.support) == (len(c.tokens) if settings is CUT else 0) for c in made)
    assert engine.sampled_tokens == sum(len(c.tokens) for c in made)


@pytest.mark.parametrize("model", [mamba, bloom, gemma2, mistral])
def test_models_that_share_nothing_sample_too(model: Any) -> None:
    model = model()
    engine = Engine(model, (1,), Sampling(**CUT, max_completion_length=10), max_num_seqs=4, shares=False)
    asked = prompts(7, 12, 7, 12, 5, 1)
    asked[2], asked[3] = asked[0], asked[1]
    made = generate(engine, asked, most=[10, 3, 4, 10, 10, 6])
    with torch.no_grad():
        expected = token_logprobs(model, read(asked, made), 0.7, Layout(packed=False, head=False)).logps_N
    torch.testing.assert_close(told(made), expected, atol=1e-4, rtol=0)
    assert [len(c.tokens) <= n for c, n in zip(made, [10, 3, 4, 10, 10, 6], strict=True)] == [True] * 6


def test_adapters_take_part_in_sampling() -> None:
    model = lora(llama())
    asked = prompts(4, 6)
    made = generate(Engine(model, NEVER, Sampling(max_completion_length=6)), asked)
    with torch.no_grad():
        torch.testing.assert_close(told(made), plain_logprobs(model, read(asked, made)), atol=1e-4, rtol=0)
        with model.disable_adapter():
            assert (told(made) - plain_logprobs(model, read(asked, made))).abs().max() > 0.1


@pytest.mark.parametrize("model", [llama, gpt2])
@pytest.mark.parametrize("most", [1, 2, 5, 64])
def test_a_reply_does_not_depend_on_the_batch(model: Any, most: int) -> None:
    model = model()
    asked = prompts(3, 9, 3, 14, 5, 9, 20)
    sampling = Sampling(max_completion_length=9)
    alone = [generate(Engine(model, (1, 2), sampling), [p], seeds=[i])[0] for i, p in enumerate(asked)]
    together = generate(Engine(model, (1, 2), sampling, max_num_seqs=most), asked)
    assert [c.tokens for c in together] == [c.tokens for c in alone]
    assert [c.ended for c in together] == [c.ended for c in alone]


def test_prompts_are_read_in_parts_that_fit_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    model, sizes = llama(), []

    def forward(model: Any, packed: Any, **more: Any) -> Any:
        sizes.append(len(packed))
        return packed_forward(model, packed, **more)

    monkeypatch.setattr("grpo.rollouts.engine.packed_forward", forward)
    asked, sampling = prompts(3, 9, 3, 14, 5, 9, 20), Sampling(max_completion_length=9)
    at_once = generate(Engine(model, (1, 2), sampling), asked)
    assert len(sizes) == 1
    sizes.clear()
    in_parts = generate(Engine(model, (1, 2), sampling, max_tokens_per_forward=16), asked)
    assert [c.tokens for c in in_parts] == [c.tokens for c in at_once]
    assert max(sizes) == 20, "a single prompt may be longer"
    assert sorted(sizes)[-2] <= 16
    assert len(sizes) > 3


def test_rows_that_come_later_join_those_under_way() -> None:
    model = llama()
    sampling = Sampling(max_completion_length=8)
    first, second, third = prompts(4, 7, 3)

    async def work(engine: Engine) -> list[Completion]:
        async def twice() -> Completion:
            one = await engine.generate(first, np.random.default_rng(0), 3)
            return await engine.generate(np.concatenate([first, one.tokens, third]), np.random.default_rng(1))

        return await asyncio.gather(twice(), engine.generate(second, np.random.default_rng(2)))

    late, steady = asyncio.run(work(Engine(model, NEVER, sampling)))
    (one,) = generate(Engine(model, NEVER, sampling), [first], [3])
    (again,) = generate(
        Engine(model, NEVER, sampling), [np.concatenate([first, one.tokens, third])], seeds=[1]
    )
    assert late.tokens == again.tokens
    assert steady.tokens == generate(Engine(model, NEVER, sampling), [second], seeds=[2])[0].tokens


def test_any_end_token_ends_a_reply_and_belongs_to_it() -> None:
    model = scripted({5: (6, 7, 8), 6: (0,), 7: (1,), 8: (9,), 9: (5,), 0: (0,), 1: (1,)})
    made = generate(Engine(model, (0, 1), Sampling(max_completion_length=5)), [np.array([4, 5])] * 12)
    for c in made:
        assert c.ended == (c.tokens[-1] in (0, 1))
        assert not {0, 1} & set(c.tokens[:-1])
        assert len(c.tokens) == len(c.logps)
        assert c.ended or len(c.tokens) == 5
    assert {c.tokens[-1] for c in made if c.ended} == {0, 1}, "0 is the padding too, and stays"


def test_the_prompt_of_a_group_is_read_once() -> None:
    model = llama()
    seen: list[tuple[int, ...]] = []
    model.get_input_embeddings().register_forward_hook(lambda _m, args, _o: seen.append(tuple(args[0].shape)))
    (prompt,) = prompts(20)
    longer = np.concatenate([prompt, [5, 6]])
    made = generate(Engine(model, NEVER, Sampling(max_completion_length=4)), [prompt] * 5 + [longer])
    assert seen == [(1, 22)] + [(6, 1)] * 3
    assert len({tuple(c.tokens) for c in made}) > 1, "each draws its own"


def test_no_more_rows_than_allowed_decode_together() -> None:
    model = llama()
    rows: list[int] = []
    model.model.norm.register_forward_hook(lambda _m, _a, out: rows.append(out.shape[0]))
    generate(
        Engine(model, (1, 2, 3), Sampling(max_completion_length=6), max_num_seqs=3), prompts(*range(2, 12))
    )
    assert max(rows) <= 3


@pytest.mark.parametrize("shares", [True, False])
def test_an_error_in_the_model_reaches_everyone_who_waits(shares: bool) -> None:
    model = llama()
    calls: list[int] = []

    def fail(*_: Any) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("out of memory")

    model.model.norm.register_forward_hook(fail)
    engine = Engine(model, NEVER, Sampling(max_completion_length=9), max_num_seqs=2, shares=shares)

    async def work() -> list[Any]:
        asked = (engine.generate(p, np.random.default_rng(0)) for p in prompts(3, 4, 5, 6, 7))
        return await asyncio.gather(*asked, return_exceptions=True)

    made = asyncio.run(asyncio.wait_for(work(), 20))
    assert [str(m) for m in made] == ["Sampling failed: out of memory"] * 5
    (again,) = generate(engine, prompts(3))
    assert len(again.tokens) == 9, "and it works again after"


def test_a_request_given_up_harms_no_other() -> None:
    model = llama()
    engine = Engine(model, NEVER, Sampling(max_completion_length=12))
    (prompt,) = prompts(5)

    async def work() -> Completion:
        given_up = asyncio.create_task(engine.generate(prompt, np.random.default_rng(0)))
        kept = asyncio.create_task(engine.generate(prompt, np.random.default_rng(1)))
        for _ in range(20):
            await asyncio.sleep(0)
        given_up.cancel()
        return await kept

    (alone,) = generate(Engine(model, NEVER, Sampling(max_completion_length=12)), [prompt], seeds=[1])
    assert asyncio.run(work()).tokens == alone.tokens


def test_a_second_loop_may_use_the_engine() -> None:
    engine = Engine(llama(), NEVER, Sampling(max_completion_length=5))
    assert generate(engine, prompts(3))[0].tokens == generate(engine, prompts(3))[0].tokens


def test_an_empty_prompt_fails_alone() -> None:
    engine = Engine(llama(), NEVER, Sampling(max_completion_length=5))

    async def work() -> list[Any]:
        asked = (engine.generate(p, np.random.default_rng(0)) for p in (np.zeros(0, np.int64), *prompts(3)))
        return await asyncio.gather(*asked, return_exceptions=True)

    empty, good = asyncio.run(work())
    assert isinstance(empty, ContextError)
    assert isinstance(good, Completion)


def test_the_context_cuts_a_reply_off() -> None:
    model = gpt2(context=16)
    made = generate(
        Engine(model, NEVER, Sampling(max_completion_length=9), context=16), prompts(15, 4, 16, 20)
    )
    assert [len(c.tokens) for c in made] == [1, 9, 0, 0]
    assert not any(c.ended for c in made)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_row_that_ended_at_the_context_may_stay_while_others_go_on(attention: str) -> None:
    model = gpt2(context=16, attention=attention)
    asked = prompts(14, 4, 5, 4, 3, 4, 5, 4)
    made = generate(Engine(model, NEVER, Sampling(max_completion_length=9), context=16), asked)
    assert [len(c.tokens) for c in made] == [2] + [9] * 7
    with torch.no_grad():
        torch.testing.assert_close(told(made), plain_logprobs(model, read(asked, made)), atol=1e-4, rtol=0)


def test_packed_prompts_may_be_longer_than_a_window_that_no_reply_outgrows() -> None:
    model = mistral(window=32, max_position_embeddings=32)
    asked = prompts(14, 13, 12, 14)
    made = generate(Engine(model, NEVER, Sampling(max_completion_length=8), context=32), asked)
    with torch.no_grad():
        torch.testing.assert_close(told(made), plain_logprobs(model, read(asked, made)), atol=1e-4, rtol=0)


@pytest.mark.parametrize("shares", [True, False])
def test_logits_that_are_not_numbers_stop_the_run(shares: bool) -> None:
    model = llama()
    with torch.no_grad():
        model.lm_head.weight[3] = float("nan")
    with pytest.raises(TrainingError, match="not finite"):
        generate(Engine(model, NEVER, Sampling(max_completion_length=3), shares=shares), prompts(3))


def test_rows_of_any_length_through_blocks_of_the_cache() -> None:
    model = llama(max_position_embeddings=256)
    asked = prompts(60, 3, 100, 64, 63)
    made = generate(Engine(model, NEVER, Sampling(max_completion_length=70)), asked, [70, 8, 2, 3, 5])
    with torch.no_grad():
        torch.testing.assert_close(told(made), plain_logprobs(model, read(asked, made)), atol=1e-3, rtol=0)


def test_positions_that_mean_something_else_in_long_texts() -> None:
    """LongRoPE takes other frequencies for the whole text from a certain length on, cached keys included."""
    rope = {"rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [4.0] * 4, "rope_theta": 1e4}
    config = transformers.Phi3Config(
        **{**SMALL, "pad_token_id": 0}, rope_parameters=rope, original_max_position_embeddings=24
    )
    model = built(config)
    asked = prompts(18, 18)
    made = generate(
        Engine(model, NEVER, Sampling(max_completion_length=12), context=context_length(model)), asked
    )
    with torch.no_grad():
        torch.testing.assert_close(told(made), plain_logprobs(model, read(asked, made)), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "model",
    [
        gpt2,
        llama,
        qwen3,
    ],
)
def test_bfloat16_on_both_sides(model: Any) -> None:
    model = model()
    asked = prompts(5, 9, 5)
    made = generate(Engine(model, NEVER, Sampling(max_completion_length=8), bf16=True), asked)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        scored = token_logprobs(model, read(asked, made)).logps_N
    assert (told(made) - scored).abs().mean() < 0.05
    assert (told(made) - plain_logprobs(model, read(asked, made))).abs().mean() < 0.05
