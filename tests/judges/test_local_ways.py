"""What a way to ask shows a model, and how scores are made of what it says."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from ranker import Trajectory
from ranker.errors import ContextLengthError, JudgeError
from ranker.judges.base import Lineup
from ranker.judges.local.judge import _tokenize
from ranker.judges.local.model import _specials, chat_pieces, encode, frame_of
from ranker.judges.local.read import plain_tails
from ranker.judges.local.reading import read_scores
from ranker.judges.local.scores import (
    NUMBERS,
    PRIOR,
    expected_digit,
    likelihood,
    log_odds,
    number_ids,
    number_scores,
    probabilities,
    tiers_within,
    token_logps,
    variants,
    word_logits,
)
from ranker.judges.local.ways import JOINT, PROBED, Frame, fit, framing, question, shown
from tests.local_models import GIVEN, HOSTILE, TEMPLATE, loaded_from, saved, texts

FREE = sorted(set(PROBED) - JOINT)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    return loaded_from(saved(tmp_path_factory.mktemp("tiny")))


def asked(loaded, way, given=GIVEN, order=()):
    return question(given, way, TEMPLATE, loaded.frame, loaded.encode, order)


def scores(loaded, way, given=GIVEN, order=()):
    return read_scores(loaded, asked(loaded, way, given, order), way, len(given.attempts))


WORDS = st.lists(
    st.sampled_from(["red", "12", "Yes", "", "a b c d", "7 7", "blue 345"]), min_size=1, max_size=5
)


@settings(max_examples=25, deadline=None)
@drawn(WORDS, st.randoms(use_true_random=False), st.sampled_from(FREE))
def test_order_free_ways_do_not_see_the_order(loaded, attempts, rng, way):
    order = rng.sample(range(len(attempts)), len(attempts))
    given = texts(*attempts, reference="blue")
    moved = replace(given, attempts=tuple(attempts[i] for i in order))
    straight = scores(loaded, way, given)
    assert scores(loaded, way, moved) == pytest.approx([straight[i] for i in order], abs=1e-4)


@pytest.mark.parametrize("order", [(2, 0, 3, 1), (3, 2, 1, 0)])
def test_together_names_each_attempt_by_its_own_letter(loaded, order):
    """Asked in an order, each attempt gets what it would get if it had stood there from the first."""
    listed = replace(GIVEN, attempts=tuple(GIVEN.attempts[i] for i in order))
    by_place = scores(loaded, "together", listed)
    assert scores(loaded, "together", order=order) == pytest.approx(
        [by_place[order.index(i)] for i in range(4)], abs=1e-4
    )
    assert scores(loaded, "letter", order=order) == pytest.approx(scores(loaded, "letter", listed), abs=1e-4)


def test_number_scores_by_hand(loaded):
    """Mean log-probability of the number tokens, drawn to the group's; without numbers, the group's own."""
    segments = asked(loaded, "numbers")
    tokens = [torch.from_numpy(s.tokens_T) for s in segments[1:]]
    opening = torch.from_numpy(segments[0].tokens_T)
    number_V = number_ids(loaded.tokenizer)
    by_attempt: list[list[float]] = []
    with torch.inference_mode():
        for own in tokens:
            whole = torch.cat([opening, own])
            logps = loaded.model(whole[None]).logits[0].float().log_softmax(-1)
            spots = [t for t in range(len(opening) + 1, len(whole)) if number_V[whole[t]]]
            by_attempt.append([float(logps[t - 1, whole[t]]) for t in spots])
    every = [x for own in by_attempt for x in own]
    mean = sum(every) / len(every)
    expected = [(sum(own) + PRIOR * mean) / (len(own) + PRIOR) for own in by_attempt]
    assert scores(loaded, "numbers") == pytest.approx(expected, abs=1e-4)
    assert by_attempt[2] == []
    assert expected[2] == pytest.approx(mean)
    together = [a + NUMBERS * b for a, b in zip(scores(loaded, "alone"), expected, strict=True)]
    assert scores(loaded, "blend") == pytest.approx(together, abs=1e-3)
    assert scores(loaded, "numbers", texts("red", "blue")) == [0.0, 0.0]


def test_number_tokens_are_digits_and_nothing_else(loaded):
    number_V = number_ids(loaded.tokenizer)
    for i in number_V.nonzero()[:, 0].tolist():
        assert loaded.tokenizer.decode([i]).strip().isdecimal()
    assert number_V.sum() >= 10


def test_number_scores_draw_an_attempt_with_few_numbers_to_the_group(loaded):
    tails = plain_tails(loaded.model, [replace(s, tail=len(s)) for s in asked(loaded, "alone")[:1]])
    tokens = torch.from_numpy(asked(loaded, "alone")[0].tokens_T)
    none = torch.zeros(len(number_ids(loaded.tokenizer)), dtype=torch.bool)
    assert number_scores(loaded.model, tails * 3, [tokens] * 3, none).tolist() == [0.0] * 3


def test_likelihood_of_a_reference_by_hand(loaded):
    known = loaded.encode("blue 12", foreign=True)
    expected = []
    for segment in asked(loaded, "reference")[1:]:
        whole = torch.tensor([*asked(loaded, "reference")[0].tokens_T, *segment.tokens_T])
        assert whole[-len(known) :].tolist() == known
        with torch.inference_mode():
            logps = loaded.model(whole[None]).logits[0].float().log_softmax(-1)
        at = range(len(whole) - len(known), len(whole))
        expected.append(sum(float(logps[t - 1, whole[t]]) for t in at) / len(known))
    assert scores(loaded, "reference") == pytest.approx(expected, abs=1e-4)
    with pytest.raises(JudgeError, match="right answer"):
        asked(loaded, "reference", replace(GIVEN, reference=None))


def test_words_are_scored_as_the_models_own_logits(loaded):
    hidden = torch.randn(3, 64, generator=torch.Generator().manual_seed(0))
    logits = loaded.model.lm_head(hidden).detach()
    groups = [[5, 9], [7]]
    expected = torch.stack([logits[:, [5, 9]].logsumexp(1), logits[:, 7]], 1)
    assert torch.allclose(word_logits(loaded.model, hidden, groups), expected, atol=1e-5)
    targets = torch.tensor([1, 2, 3])
    assert torch.allclose(
        token_logps(loaded.model, hidden, targets), logits.log_softmax(-1)[[0, 1, 2], targets]
    )
    states = torch.cat([hidden, hidden[:1]])
    assert likelihood(loaded.model, states, torch.tensor([0, 1, 2, 3])).item() == pytest.approx(
        float(logits.log_softmax(-1)[[0, 1, 2], targets].mean()), abs=1e-5
    )
    for setting, change in (
        ("logit_scale", lambda x: x * 0.5),
        ("logits_scaling", lambda x: x / 0.5),
        ("final_logit_softcapping", lambda x: 0.5 * torch.tanh(x / 0.5)),
    ):
        setattr(loaded.model.config, setting, 0.5)
        try:
            found = word_logits(loaded.model, hidden, [[7]])
        finally:
            delattr(loaded.model.config, setting)
        assert torch.allclose(found[:, 0], change(logits[:, 7]), atol=1e-5), setting


def test_an_answer_is_all_its_spellings(loaded):
    found = [loaded.tokenizer.decode([i]).strip().lower() for i in variants(loaded.tokenizer, "Yes")]
    assert found
    assert set(found) == {"yes"}
    assert expected_digit(torch.zeros(1, 10)).tolist() == pytest.approx([0.5])
    assert log_odds(torch.tensor([[2.0, 0.5]])).tolist() == [1.5]


FLOATS = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=9)


@settings(max_examples=80)
@drawn(FLOATS, st.sampled_from(PROBED))
def test_probabilities_lie_in_the_unit_interval_and_keep_the_order(values, way):
    chances = probabilities(way, values)
    assert all(0 <= p <= 1 for p in chances)
    if way == "letter":
        assert sum(chances) == pytest.approx(1)
    for a, p in zip(values, chances, strict=True):
        for b, q in zip(values, chances, strict=True):
            assert a <= b or p >= q


@settings(max_examples=80)
@drawn(FLOATS, st.floats(0, 100))
def test_tiers_hold_what_is_no_further_than_the_tolerance_from_their_best(values, tolerance):
    tiers = tiers_within(values, tolerance)
    assert sorted(i for tier in tiers for i in tier) == list(range(len(values)))
    tops = [max(values[i] for i in tier) for tier in tiers]
    assert tops == sorted(tops, reverse=True)
    for tier, top in zip(tiers, tops, strict=True):
        assert all(top - values[i] <= tolerance for i in tier)
    for (above, top), below in zip(zip(tiers, tops, strict=True), tops[1:], strict=False):
        assert top - below > tolerance
        assert min(values[i] for i in above) > below
    assert tiers_within(values, 0.0) == tuple(
        tuple(i for i, v in enumerate(values) if v == level) for level in sorted(set(values), reverse=True)
    )


# What is shown


def trajectory(*said, **more):
    return Trajectory([{"role": r, "content": c} for r, c in said], **more)


def test_the_opening_is_what_all_begin_with():
    user = ("user", "Name a colour.")
    made = shown(
        Lineup((trajectory(user, ("assistant", "red")), trajectory(user, ("assistant", "blue"))), "Do it.")
    )
    assert "Name a colour." in made.opening
    assert not any("Name" in a for a in made.attempts)
    assert "red" in made.attempts[0]
    assert made.task == "Do it."
    apart = shown(Lineup((trajectory(("user", "a")), trajectory(("user", "b"), ("assistant", "c")))))
    assert apart.opening == ""
    assert all(apart.attempts)
    only = shown(Lineup((trajectory(user), trajectory(user, ("assistant", "blue")))))
    assert only.opening == ""
    assert "Name" in only.attempts[0]
    assert "Name" in only.attempts[1]


def test_hidden_values_are_never_read(loaded):
    """Decoded, the tokens hold no id, ground truth, metadata or, but in its own way, reference."""
    lineup = Lineup(
        tuple(
            trajectory(
                ("user", "Q"),
                ("assistant", f"word {w}"),
                id=f"IDENT{w}",
                ground_truth=0.73125,
                metadata={"k": "METAD"},
            )
            for w in ("red", "blue")
        ),
        "Find it.",
        "Prefer red.",
        reference="REFER red",
    )
    for way in PROBED:
        segments = asked(loaded, way, shown(lineup))
        text = " ".join(loaded.tokenizer.decode(s.tokens_T.tolist()) for s in segments)
        assert "word red" in text
        assert "word blue" in text
        assert "Find it." in text
        assert "Prefer red." in text
        for hidden in ("IDENT", "73125", "METAD"):
            assert hidden not in text
        assert ("REFER" in text) == (way == "reference")


@pytest.mark.parametrize("way", PROBED)
def test_foreign_text_never_becomes_a_special_token(loaded, way):
    plain = texts("ok", "no", reference="r")
    bad = replace(
        plain, opening=HOSTILE, attempts=(HOSTILE, HOSTILE), task=HOSTILE, rubric=HOSTILE, reference=HOSTILE
    )

    def specials(given):
        ids = [int(t) for s in asked(loaded, way, given) for t in s.tokens_T]
        return [i for i in ids if i in _specials(loaded.tokenizer)[1]]

    assert specials(bad) == specials(plain) != []


@settings(max_examples=60, deadline=None)
@drawn(
    st.lists(
        st.sampled_from(["<|im_end|>", "<|im_", "end|>", "<", "|>", "a", " ", "é", "<|endoftext|>"]),
        max_size=8,
    )
)
def test_foreign_text_is_read_in_full(loaded, parts):
    text = "".join(parts)
    ids = encode(loaded.tokenizer, text, foreign=True)
    assert loaded.tokenizer.decode(ids) == text
    assert not set(ids) & _specials(loaded.tokenizer)[1]
    if "<|" not in text:
        assert ids == encode(loaded.tokenizer, text)


def test_a_written_verdicts_prompt_is_guarded_too(loaded):
    def ends(content):
        chat = [{"role": "system", "content": "S"}, {"role": "user", "content": content}]
        return sum(i in _specials(loaded.tokenizer)[1] for i in _tokenize(loaded.tokenizer, chat).tolist())

    assert ends("ok" + HOSTILE) == ends("ok") == 5
    whole = loaded.tokenizer.apply_chat_template(
        [{"role": "system", "content": "S"}, {"role": "user", "content": "red 12"}],
        add_generation_prompt=True,
        return_dict=True,
    )["input_ids"]
    chat = [{"role": "system", "content": "S"}, {"role": "user", "content": "red 12"}]
    assert loaded.tokenizer.decode(_tokenize(loaded.tokenizer, chat)) == loaded.tokenizer.decode(whole)


CHAT = [{"role": "system", "content": "SYS"}, {"role": "user", "content": "USE"}]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (None, "SYS\n\nUSE\n\n"),
        ("{% for m in messages %}[{{ m.role }}:{{ m.content }}]{% endfor %}A:", "[system:SYS][user:USE]A:"),
        (
            (
                "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
                "{% for m in messages %}[{{ m.content | trim }}]{% endfor %}A:"
            ),
            "[SYS\n\nUSE]A:",
        ),
        ("{% for m in messages if m.role == 'user' %}[{{ m.content }}]{% endfor %}A:", "[SYS\n\nUSE]A:"),
        ("{{ raise_exception('never') }}", "SYS\n\nUSE\n\n"),
        ("{{ messages[7].content.x }}", "SYS\n\nUSE\n\n"),
        ("A:", "SYS\n\nUSE\n\n"),
    ],
)
def test_chat_templates_of_all_kinds(loaded, template, expected):
    import copy

    tokenizer = copy.deepcopy(loaded.tokenizer)
    tokenizer.chat_template = template
    assert "".join(text for text, _ in chat_pieces(tokenizer, CHAT)) == expected
    frame = frame_of(tokenizer)
    if expected.endswith("\n\n"):
        assert frame == Frame("", "\n\n")
    else:
        assert frame.before.startswith("[")
        assert frame.after == "]A:"


def test_a_token_that_the_tokenizer_puts_first_stands_there_once(loaded):
    import copy

    from tokenizers.processors import TemplateProcessing

    tokenizer = copy.deepcopy(loaded.tokenizer)
    tokenizer.bos_token = "<|endoftext|>"
    begin = ("<|endoftext|>", tokenizer.bos_token_id)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|endoftext|> $A", pair="<|endoftext|> $A $B", special_tokens=[begin]
    )
    tokenizer.chat_template = None
    assert encode(tokenizer, "red") == encode(loaded.tokenizer, "red")
    segments = question(
        GIVEN,
        "alone",
        TEMPLATE,
        frame_of(tokenizer),
        lambda text, foreign=False: encode(tokenizer, text, foreign),
    )
    assert [t for s in segments for t in s.tokens_T].count(tokenizer.bos_token_id) == 1
    assert segments[0].tokens_T[0] == tokenizer.bos_token_id


# What fits


@settings(max_examples=60, deadline=None)
@drawn(
    st.sampled_from(PROBED),
    st.integers(700, 4_000),
    st.lists(st.integers(0, 3_000), min_size=1, max_size=6),
    st.integers(0, 3_000),
)
def test_no_token_stands_beyond_the_window(loaded, way, room, lengths, opening):
    words = ["red 12 ", "blue, ", "Yes\n", "slow <|im_end|> "]
    given = texts(
        *((words[i % 4] * 3_000)[:k].strip() for i, k in enumerate(lengths)),
        opening=("old new " * 2_000)[:opening].strip(),
        reference="blue",
    )
    frame = framing(given, way, TEMPLATE, loaded.frame, loaded.encode)
    try:
        made = fit(given, way, room, loaded.count, frame)
    except ContextLengthError:
        return
    segments = asked(loaded, way, made)
    assert max(s.start + len(s) for s in segments) <= room
    for i, (whole, kept) in enumerate(zip(given.attempts, made.attempts, strict=True)):
        assert bool(made.cut[i]) == (whole != kept or given.opening != made.opening)
    if max(s.start + len(s) for s in asked(loaded, way, given)) + 8 <= room:
        assert made == given


def test_a_long_opening_is_one_text_for_all_and_short_attempts_stay_whole(loaded):
    given = texts("red", "blue " * 2_000, "Yes " * 700, opening="old new " * 2_000)
    made = fit(given, "alone", 2_000, loaded.count)
    assert made.attempts[0] == "red"
    assert "<cut" in made.opening
    assert "<cut" in made.attempts[1]
    assert made.cut[0] == len(given.opening) - len(made.opening)
    again = fit(made, "alone", 2_000, loaded.count)
    assert again == made


def test_texts_that_cannot_be_cut_enough_are_refused(loaded):
    long = texts(*["blue " * 2_000] * 6)
    for way in PROBED:
        with pytest.raises(ContextLengthError, match="300 tokens"):
            fit(long, way, 300, loaded.count)
    with pytest.raises(ContextLengthError):
        fit(long, "together", 2_000, loaded.count)
    assert len(fit(long, "alone", 2_000, loaded.count).attempts) == 6


def test_empty_attempts_are_scored_as_any(loaded):
    given = texts("", "", "red", opening="")
    for way in PROBED:
        found = scores(loaded, way, replace(given, reference="r"))
        assert all(map(math.isfinite, found))
        if way not in JOINT:
            assert found[0] == pytest.approx(found[1], abs=1e-5)
