"""Segments read with caches, packs and masks give what plain forwards of each sequence give."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from ranker.errors import JudgeError
from ranker.judges.local.read import hidden_tails, plain_tails, trunk
from ranker.judges.local.reading import _shares, read_scores, read_ways, scores_of, shares
from ranker.judges.local.segments import Segment, packs, paths, positions, seen, visible
from ranker.judges.local.ways import JOINT, PROBED, question, questions
from tests.local_models import GIVEN, TEMPLATE, loaded_from, saved, texts

PACKS = (1, 100, 100_000)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    return loaded_from(saved(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def eager(tmp_path_factory):
    return loaded_from(saved(tmp_path_factory.mktemp("eager")), attention="eager")


def asked(loaded, way, given=GIVEN, order=()):
    return question(given, way, TEMPLATE, loaded.frame, loaded.encode, order)


def by_hand(model, segments):
    """Hidden states of each wanted segment from a forward of nothing but what it may see, in float32, with the mask
    and the positions written out token by token."""
    made = []
    for one in (s for s in segments if s.tail):
        names = [*one.sees, next(i for i, s in enumerate(segments) if s is one)]
        parts = [segments[j] for j in names]
        owner = [k for k, part in enumerate(parts) for _ in range(len(part))]
        at = [p for part in parts for p in range(part.start, part.start + len(part))]
        n = len(owner)
        sees = {k: {names.index(j) for j in part.sees} for k, part in enumerate(parts)}
        table = torch.zeros(len(parts), len(parts), dtype=torch.bool)
        for k, others in sees.items():
            table[k, sorted(others)] = True
        of = torch.tensor(owner)
        allowed = table[of][:, of] | (torch.ones(n, n, dtype=torch.bool).tril() & (of[:, None] == of[None]))
        allowed = allowed[None, None]
        least = torch.finfo(torch.float32).min
        mask = torch.zeros(allowed.shape).masked_fill(~allowed, least)
        if model.config._attn_implementation == "sdpa":
            mask = allowed
        tokens = torch.from_numpy(np.concatenate([p.tokens_T for p in parts]))[None]
        states = trunk(model)(
            input_ids=tokens, position_ids=torch.tensor([at]), attention_mask=mask, use_cache=False
        )
        made.append(states.last_hidden_state[0, n - one.tail :])
    return made


@pytest.mark.parametrize("most", PACKS)
@pytest.mark.parametrize("way", PROBED)
def test_packs_and_caches_change_nothing(loaded, eager, way, most):
    model = eager.model if most == 100 else loaded.model
    segments = asked(loaded, way)
    with torch.inference_mode():
        found = hidden_tails(model, segments, most)
        expected = by_hand(model, segments) if way == "compared" else plain_tails(model, segments)
    assert [len(f) for f in found] == [s.tail for s in segments if s.tail]
    for a, b in zip(found, expected, strict=True):
        assert torch.allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("way", PROBED)
def test_scores_of_shared_reading_are_those_of_plain_sequences(loaded, way):
    segments = asked(loaded, way)
    n = len(GIVEN.attempts)
    with torch.inference_mode():
        expected = scores_of(loaded, by_hand(loaded.model, segments), segments, way, n)
    assert read_scores(loaded, segments, way, n) == pytest.approx(expected.tolist(), abs=1e-4)


@pytest.mark.parametrize("most", [100])
@pytest.mark.parametrize("way", PROBED)
def test_gradients_pass_through_caches(loaded, way, most):
    model = loaded.model
    segments = asked(loaded, way, texts("red 1", "blue 22", reference="red"))
    weights = [model.model.layers[0].self_attn.k_proj.weight, model.model.layers[1].mlp.up_proj.weight]
    grads = []
    for tails in (hidden_tails(model, segments, most), by_hand(model, segments)):
        scores = scores_of(loaded, tails, segments, way, 2)
        grads.append(torch.autograd.grad((scores * torch.tensor([1.0, -0.5])).sum(), weights))
    for a, b in zip(*grads, strict=True):
        assert torch.allclose(a, b, atol=1e-4 * max(1.0, float(b.abs().max())))


def sequences(segments):
    """Each wanted segment with the tokens and positions before it, and its tail."""
    made = []
    for s in segments:
        if s.tail:
            parts = [*(segments[j] for j in s.sees), s]
            tokens = [(p.start + k, int(t)) for p in parts for k, t in enumerate(p.tokens_T)]
            made.append((sorted(tokens), s.tail))
    return made


@pytest.mark.parametrize(
    "ways",
    [PROBED, ("alone", "digits"), ("reference",), ("letter", "alone"), ("together", "letter"), ("numbers",)],
)
def test_ways_asked_together_read_what_each_reads_by_itself(loaded, ways):
    order = (2, 0, 3, 1)
    segments, wanted = questions(GIVEN, ways, TEMPLATE, loaded.frame, loaded.encode, order)
    assert all(len(s) and s.tail <= len(s) for s in segments)
    assert set(wanted) == set(ways)
    found = read_ways(loaded, segments, wanted, 4)
    for way in ways:
        alone = asked(loaded, way, order=order)
        own = sequences([*segments])
        ends = [i for i, s in enumerate(segments) if s.tail]
        assert [own[ends.index(i)] for i in wanted[way]] == sequences(alone)
        assert found[way] == pytest.approx(read_scores(loaded, alone, way, 4), abs=1e-4)


def test_shared_tokens_are_made_once(loaded):
    together, _ = questions(GIVEN, ("alone", "digits"), TEMPLATE, loaded.frame, loaded.encode)
    apart = [sum(map(len, asked(loaded, way))) for way in ("alone", "digits")]
    assert sum(map(len, together)) < 0.75 * sum(apart)


@settings(max_examples=25, deadline=None)
@drawn(st.data())
def test_packs_keep_the_order_and_part_what_is_kept_from_what_is_dropped(data):
    n = data.draw(st.integers(1, 9))
    lengths = data.draw(st.lists(st.integers(1, 9), min_size=n, max_size=n))
    sees = [tuple(sorted(data.draw(st.sets(st.integers(0, i - 1))))) if i else () for i in range(n)]
    segments = [Segment(np.arange(k), 0, s) for k, s in zip(lengths, sees, strict=True)]
    most = data.draw(st.integers(1, 30))
    runs = packs(segments, most)
    assert [i for run in runs for i in run] == list(range(n))
    wanted = seen(segments)
    for run in runs:
        assert len({i in wanted for i in run}) == 1
        assert len(run) == 1 or sum(lengths[i] for i in run) <= most
    kept = data.draw(st.lists(st.integers(0, n - 1), unique=True)) if n > 1 else []
    run = [i for i in range(n) if i not in kept]
    if run:
        table = visible(segments, kept, run)
        assert table.shape == (sum(lengths[i] for i in run), sum(lengths))
        q = 0
        for i in run:
            for t in range(lengths[i]):
                k = 0
                for j in [*kept, *run]:
                    for u in range(lengths[j]):
                        assert table[q, k] == (j in sees[i] or (i == j and u <= t))
                        k += 1
                q += 1
        assert len(positions(segments, run)) == q


def test_only_plain_sequences_have_paths(loaded):
    assert paths(asked(loaded, "compared")) is None
    for way in set(PROBED) - {"compared"}:
        made = paths(asked(loaded, way))
        assert made is not None
        assert len(made) == (1 if way == "letter" else 4)


def test_a_model_with_a_window_reads_plain_sequences(tmp_path):
    """Also when it is found in place of one that is no more."""
    import transformers

    first = loaded_from(saved(tmp_path / "llama"))
    assert shares(first)
    gone = weakref.ref(first.model)
    config = transformers.MistralConfig(
        vocab_size=first.model.config.vocab_size, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512, sliding_window=24,
    )  # fmt: skip
    windowed = replace(first, model=transformers.MistralForCausalLM(config).eval())
    del first
    gc.collect()
    assert gone() is None
    assert not shares(windowed)
    assert _shares[windowed.model] is False
    for way in sorted(set(PROBED) - {"compared"}):
        segments = asked(windowed, way)
        with torch.inference_mode():
            expected = scores_of(windowed, plain_tails(windowed.model, segments), segments, way, 4).tolist()
        assert read_scores(windowed, segments, way, 4) == pytest.approx(expected, abs=1e-5)
    with pytest.raises(RuntimeError, match="alone"):
        read_scores(windowed, asked(windowed, "compared"), "compared", 4)


def test_more_attempts_than_letters_are_refused(loaded):
    many = texts(*(f"a{i}" for i in range(27)))
    for way in sorted(JOINT):
        with pytest.raises(JudgeError, match="26 letters"):
            asked(loaded, way, many)
    assert len(asked(loaded, "alone", many)) == 28
