"""A small real model with an adapter: gradients, memory bounds, what is saved, and what the judge then says."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from ranker import ConfigurationError, rank_group
from ranker.judges.local.judge_file import Setup, write_judge
from ranker.judges.local.ways import Shown
from ranker.tuning.examples import Example, from_groups
from ranker.tuning.learner import Learner, Lora
from tests.grpo_models import gpt2
from tests.tuning_models import group, tiny

WAYS = ("pointwise", "pointwise_in_context", "first_token", "expected_digit")


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> str:
    return tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def learner(base):
    made = []

    def make(way="pointwise", model=None, **options) -> Learner:
        made.append(Learner(model or base, way, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def examples(n: int, **how) -> tuple[Example, ...]:
    return from_groups(group(g, **how) for g in range(n))


def weights(one: Learner) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in one.params])


def long(words: int, attempts: int = 3) -> Example:
    text = " ".join(random.Random(0).choices(["red", "blue", "green"], k=words))
    texts = tuple(f"{text} {i}" for i in range(attempts))
    return Example("long", Shown("Say it.", texts, (0,) * attempts, "", ""), (1.0, *[0.0] * (attempts - 1)))


@pytest.mark.parametrize("way", ["pointwise", "first_token"])
def test_groups_in_parallel_threads_give_the_gradients_of_one_by_one(learner, way):
    batch = examples(6)
    made = []
    for workers in (1, 3):
        one = learner(way, workers=workers)
        losses = [one.step(batch, 1e-2, f"s{i}")[0] for i in range(2)]
        made.append((losses, weights(one)))
    assert made[0][0] == made[1][0]
    assert torch.equal(made[0][1], made[1][1])
    one = learner(way, workers=2)  # and the gradient of a batch is the mean of those of its groups
    apart = []
    for k, e in enumerate(batch):
        rng = random.Random(f"s0/{k}")
        loss = one.loss(one.scores(e.shown, rng), torch.tensor(e.truths_G))
        apart.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, one.params)]))
    one.optimizer.step = lambda: None  # the gradient stands before the step, cut to length 1
    one.optimizer.zero_grad = lambda: None
    one.step(batch, 1e-2, "s0")
    mean = torch.stack(apart).mean(0)
    found = torch.cat([p.grad.flatten() for p in one.params])
    assert torch.allclose(found, mean / max(1.0, mean.norm().item()), atol=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_the_saved_adapter_makes_a_judge_with_the_learners_scores(learner, tmp_path, way):
    one = learner(way, lora=Lora(rank=4, upper=1.0))
    shown = examples(8)
    for i in range(6):
        one.step(shown, 3e-2, str(i))
    expected = one.scores(shown[0].shown).tolist()
    one.save(tmp_path / "adapter")
    told = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert "/" not in told["base_model_name_or_path"]  # nothing of this machine
    write_judge(
        tmp_path / "judge.json",
        Setup(one.loaded.tokenizer.name_or_path, way, adapter=tmp_path / "adapter").to_dict(tmp_path),
    )
    from ranker.judges.registry import resolve

    judge = resolve(f"local:{tmp_path}")
    loaded = judge.local.load()
    assert not any("lora" in name for name, _ in loaded.model.named_parameters())
    found, _ = judge.read(loaded, shown[0].shown)
    half = loaded.model.dtype == torch.bfloat16
    assert np.allclose(found, expected, atol=0.3 if half else 0.02)
    fresh = learner(way).scores(shown[0].shown).tolist()
    moved = max(abs(np.subtract(expected, fresh)))
    assert moved > 2 * max(abs(np.subtract(found, expected)))  # the adapter is what they agree on
    ranked = rank_group(group(0), f"local:{tmp_path}", cache="off")
    assert sorted(i for tier in ranked.ranking for i in tier) == [0, 1, 2, 3]


def test_a_fresh_adapter_changes_nothing(learner, base):
    from ranker.judges.local import open_local

    one = learner("pointwise")
    shown = examples(1)[0].shown
    judge = open_local(f"{base}@pointwise")
    found, _ = judge.read(judge.local.load(), shown)
    assert np.allclose(found, one.scores(shown).tolist(), atol=0.3)


@pytest.mark.parametrize("way", WAYS)
def test_scores_stand_in_the_order_given_whatever_is_drawn(learner, way):
    one = learner(way, lora=Lora(upper=1.0))
    e = examples(1, size=5)[0]
    drawn = [one.scores(e.shown, random.Random(i)).tolist() for i in range(3)]
    if way in ("pointwise", "expected_digit"):
        assert np.allclose(drawn[0], drawn[1], atol=0.1)
        assert np.argmax(drawn[0]) == np.argmax(drawn[1]) == np.argmax(drawn[2])
    else:
        assert drawn[0] != drawn[1]  # places lean
    assert one.measure([e]) == one.measure([e])


def test_the_same_seed_gives_the_same_adapter_and_another_seed_another(learner, tmp_path):
    batch = examples(4)
    made = []
    for seed in (0, 0, 1):
        one = learner(seed=seed, workers=2)
        one.step(batch, 1e-2, "0")
        made.append(weights(one))
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


def test_state_is_restored_with_the_optimizers(learner):
    batch = examples(4)
    one, other = learner(), learner(seed=5)
    one.step(batch, 1e-2, "0")
    kept = one.state()
    one.step(batch, 1e-2, "1")
    other.restore(kept)
    assert other.updates == 1
    other.step(batch, 1e-2, "1")
    assert torch.equal(weights(one), weights(other))


def test_long_attempts_are_cut_to_the_window(learner):
    one = learner(most_tokens=1300)
    seen = one.tokens
    one.measure([long(4000, 2)])
    assert 1300 < one.tokens - seen <= 2 * 1300
    assert learner().loaded.window == (2048 if not torch.cuda.is_available() else 4096)
    assert learner("first_token").loaded.window == 4096


def test_of_a_group_too_large_for_memory_some_attempts_are_trained_on(learner):
    one = learner()
    one._room = 3_000
    _, (scores,) = one.step([long(400, 8)], 1e-3, "0")
    known = ~np.isnan(scores)
    assert 2 <= known.sum() < 8
    assert known[0]  # the only better one: without it nothing could be learned
    assert not np.isnan(one.measure([long(400, 8)])).any()


def test_attention_is_not_written_out_for_long_texts(learner):
    one = learner()
    how = one.loaded.model.get_base_model().config
    before = one.scores(examples(1)[0].shown).tolist()
    one.prepare([long(4000)])
    assert how._attn_implementation == "sdpa"
    assert np.allclose(one.scores(examples(1)[0].shown).tolist(), before, atol=0.1)
    one.prepare(examples(3))
    assert how._attn_implementation == ("sdpa" if torch.cuda.is_available() else "eager")


def test_more_attempts_than_letters_do_not_fit(learner):
    many = long(3, 27)
    assert not learner("first_token").fits(many)
    assert learner("pointwise").fits(many)
    assert not learner("pointwise_in_context").fits(long(900, 20))


def test_a_loss_that_is_no_number_leaves_the_adapter_as_it_was(learner):
    one = learner()
    before = weights(one)
    one.loss = lambda scores, truths: (scores * float("nan")).sum()
    with pytest.raises(ConfigurationError, match="lower --learning-rate"):
        one.step(examples(2), 1e-2, "0")
    assert torch.equal(weights(one), before)
    assert one.updates == 0


def test_layers_of_other_names_get_adapters_too(learner, tmp_path, base):
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    gpt2(context=1024, vocab=len(tokenizer)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    one = learner(model=str(tmp_path))
    before = one.measure(examples(2))
    for i in range(3):
        one.step(examples(2), 1e-2, str(i))
    assert one.measure(examples(2)) != before


def test_what_cannot_be_tuned_says_so(base, tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be tuned"):
        Learner(base, "generated")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        Learner(str(tmp_path), "pointwise")
    with pytest.raises(ConfigurationError, match="no model at"):
        Learner("./none", "pointwise")


def test_an_adapter_that_cannot_be_written_says_so(learner, tmp_path):
    (tmp_path / "adapter").write_text("a file")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        learner().save(Path(tmp_path / "adapter"))


def test_an_adapter_can_be_gone_on_from(learner, tmp_path):
    one = learner()
    for i in range(3):
        one.step(examples(4), 1e-2, str(i))
    one.save(tmp_path)
    other = learner(adapter=tmp_path)
    assert np.allclose(other.measure(examples(2)), one.measure(examples(2)), atol=0.2)
