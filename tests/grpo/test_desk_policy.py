"""The small policy of the returns desk: its tokens, its warm start."""

from __future__ import annotations

import json
import random
import statistics

import pytest
import torch

from grpo.demo import desk_blocks
from ranker import Trajectory
from ranker.prompting.transcript import transcribe
from ranker.suites import desk_world as desk
from tests.suites.test_desk import REPLY, attempt, look, resolve


@pytest.fixture(scope="module")
def words():
    from grpo.demo import desk_policy

    return desk_policy.tokenizer()


def conversations(n, held_out=False):
    rng = random.Random(n)
    return [list(desk.clerk(row, rng.random(), rng).messages) for row in desk.rows(n, 8, held_out)]


def test_text_and_tokens_determine_each_other(words):
    rng = random.Random(0)
    for _ in range(500):
        ids = [rng.randrange(len(words)) for _ in range(40)]
        assert words.encode(words.decode(ids), add_special_tokens=False) == ids


def test_the_tokenizer_knows_every_word_of_the_desk(words):
    for messages in conversations(150) + conversations(150, held_out=True):
        text = words.apply_chat_template(messages, tools=desk.TOOLS, tokenize=False)
        ids = words.encode(text, add_special_tokens=False)
        assert words.unk_token_id not in ids
        assert words.decode(ids) == text
        assert len(ids) < 150
    errors = [words.encode(json.dumps({"error": e}), add_special_tokens=False) for e in desk.ERRORS]
    assert not any(words.unk_token_id in ids for ids in errors)


def test_rendering_goes_on_where_it_ended(words):
    """What a conversation renders to begins with what its beginning renders to, generation prompt included."""
    for messages in conversations(30):
        whole = words.apply_chat_template(messages, tokenize=False)
        for i, message in enumerate(messages):
            if message["role"] == "assistant":
                before = words.apply_chat_template(messages[:i], tokenize=False, add_generation_prompt=True)
                assert whole.startswith(before)
                assert before.endswith("<|im_start|>assistant\n")


def test_calls_are_rendered_in_the_manner_of_hermes(words):
    messages = list(attempt(look(417), resolve(417, "replace"), REPLY).messages)
    text = words.apply_chat_template(messages, tokenize=False)
    assert (
        '<|im_start|>assistant\n<tool_call>{"name": "look_up", "arguments": {"order": 417}}</tool_call><|im_end|>'
        in text
    )
    for message in messages:
        for call in message.get("tool_calls", ()):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    assert words.apply_chat_template(messages, tokenize=False) == text


def test_labels_are_what_the_assistant_wrote(words):
    from grpo.demo import desk_policy

    messages = attempt(look(417), resolve(417, "replace"), REPLY).messages
    (ids, labels), *_ = desk_policy.examples(words, [messages, messages])
    assert all(label in (token, -100) for token, label in zip(ids, labels, strict=True))
    wrote = words.decode([label for label in labels if label >= 0])
    assert wrote == (
        '<tool_call>{"name": "look_up", "arguments": {"order": 417}}</tool_call><|im_end|>'
        '<tool_call>{"name": "resolve", "arguments": {"order": 417, "action": "replace"}}</tool_call><|im_end|>'
        "Your lamp was replaced.<|im_end|>"
    )


def test_a_saved_policy_is_loaded_by_transformers(words, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from grpo.demo import desk_policy

    model, _ = desk_policy.policy(3)
    model.save_pretrained(tmp_path)
    words.save_pretrained(tmp_path)
    text = words.apply_chat_template(conversations(1)[0], tokenize=False)
    again = AutoTokenizer.from_pretrained(tmp_path)
    ids = again.encode(text, return_tensors="pt", add_special_tokens=False)
    assert again.decode(ids[0]) == text
    assert again.apply_chat_template(conversations(1)[0], tokenize=False) == text
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(loaded(ids).logits, model(ids).logits)


def test_a_seed_makes_one_warm_start():
    from grpo.demo import desk_policy

    short = desk_policy.WarmStart(steps=3, clean=1)
    state = torch.random.get_rng_state()
    made = [desk_policy.warm_policy(seed, short)[0].state_dict() for seed in (0, 0, 1)]
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(made[0][k], made[1][k]) for k in made[0])
    assert not all(torch.equal(made[0][k], made[2][k]) for k in made[0])
    fresh = desk_policy.policy(0)[0].state_dict()
    assert not all(torch.equal(made[0][k], fresh[k]) for k in made[0])


@torch.no_grad()
def sampled(model, words, rows):
    """Attempts of a policy at temperature 1, all rows abreast."""
    worlds = [desk.Desk(row) for row in rows]
    talks = [list(row["prompt"]) for row in rows]
    live = list(range(len(rows)))
    for _ in range(desk.TURNS):
        if not live:
            break
        inputs = words.apply_chat_template(
            [talks[i] for i in live], add_generation_prompt=True, padding=True,
            return_tensors="pt", return_dict=True,
        )  # fmt: skip
        told = {k: inputs[k] for k in ("input_ids", "attention_mask")}
        made = model.generate(
            **told, do_sample=True, top_k=0, max_new_tokens=40, pad_token_id=words.pad_token_id
        )
        on = []
        for i, ids in zip(live, made[:, inputs["input_ids"].shape[1] :], strict=True):
            text = words.decode(ids, skip_special_tokens=True)
            message = {"role": "assistant", "content": text}
            if text.startswith("<tool_call>") and text.endswith("</tool_call>"):
                try:
                    spec = json.loads(text[11:-12])
                    function = {"name": spec["name"], "arguments": json.dumps(spec["arguments"])}
                    calls = [{"id": f"t{len(talks[i])}", "type": "function", "function": function}]
                    message = {"role": "assistant", "tool_calls": calls}
                except (ValueError, KeyError, TypeError):
                    pass
            results = worlds[i].results(message)
            talks[i] += [message, *results]
            if results:
                on.append(i)
        live = on
    return [Trajectory(messages=talk, tools=desk.TOOLS) for talk in talks]


@pytest.mark.slow
def test_the_packaged_policy_is_middling_and_its_groups_differ():
    from grpo.demo import quick

    model, words = quick.policy()
    rows = [row for row in desk.rows(32, 9) for _ in range(8)]
    torch.manual_seed(0)
    made = sampled(model, words, rows)
    truths = [desk.checker(t, row) for t, row in zip(made, rows, strict=True)]
    assert truths == [desk_blocks.worth(transcribe(t).text) for t in made]
    groups = [truths[i : i + 8] for i in range(0, len(truths), 8)]
    assert 0.3 < statistics.mean(truths) < 0.6
    assert statistics.mean(max(g) > min(g) for g in groups) > 0.9
    assert statistics.mean(max(g) for g in groups) > 0.8
