"""The policy chats: every token it read and wrote stays as it was, and only what it wrote is trained on."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
import pytest
from openai.types.chat import ChatCompletion

from grpo.rollouts.chat import Policy
from grpo.rollouts.engine import Engine
from grpo.sampling import Sampling
from grpo.types import TokenSequence
from ranker import ConfigurationError, GroupError
from tests.grpo_models import TEMPLATE, llama, scripted, tokenizer

PAD, END, UNK, STOP, SYSTEM, USER, ASSISTANT, TOOL = range(8)
CALL = '<tool_call>{"name":"look","arguments":{"x":1}}</tool_call>'
BROKEN = '<tool_call>{"name":"look",</tool_call>'
TOKENIZER = tokenizer(words=(CALL, BROKEN), size=64)
CALLS, BREAKS, W0, W1, W2, W3 = 8, 9, 10, 11, 12, 13
SAYS_TWO_WORDS = {ASSISTANT: (W1,), W1: (W2,), W2: (END,)}
CALLS_A_TOOL = {ASSISTANT: (W1,), W1: (CALLS,), CALLS: (END,)}
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {}}}]


def policy_of(
    follow: dict[int, tuple[int, ...]],
    tokenizer: Any = TOKENIZER,
    ends: tuple[int, ...] = (END,),
    context: int | None = None,
    most: int = 8,
) -> Policy:
    engine = Engine(scripted(follow), ends, Sampling(max_completion_length=most), context=context)
    return Policy(engine, tokenizer, np.random.default_rng(0))


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


async def test_a_reply_is_a_chat_completion() -> None:
    policy = policy_of(SAYS_TWO_WORDS)
    made = await policy.chat([user("w5")])
    assert isinstance(made, ChatCompletion)
    (choice,) = made.choices
    assert (choice.message.role, choice.message.content, choice.finish_reason) == (
        "assistant",
        "w1w2",
        "stop",
    )
    assert made.usage is not None
    assert (made.usage.prompt_tokens, made.usage.completion_tokens, made.usage.total_tokens) == (4, 3, 7)
    assert not policy.truncated


async def test_turns_continue_the_tokens_and_only_what_was_sampled_is_flagged() -> None:
    policy = policy_of(CALLS_A_TOOL)
    messages: list[Any] = [user("w5")]
    made = await policy.chat(messages, tools=TOOLS)
    (before,) = policy.sequences
    reply = made.choices[0].message
    assert made.choices[0].finish_reason == "tool_calls"
    (call,) = reply.tool_calls or []
    assert call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)) == ("look", {"x": 1})
    messages += [reply, {"role": "tool", "tool_call_id": call.id, "content": "w7 w8"}]
    await policy.chat(messages, tools=TOOLS)
    (after,) = policy.sequences
    assert after.tokens_T[: len(before.tokens_T)].tolist() == before.tokens_T.tolist()
    ids = TOKENIZER.convert_tokens_to_ids
    assert after.tokens_T.tolist() == [
        *(SYSTEM, UNK, END, USER, ids("w5"), END, ASSISTANT),
        *(W1, CALLS, END),
        *(TOOL, ids("w7"), ids("w8"), END, ASSISTANT),
        *(W1, CALLS, END),
    ]
    assert np.flatnonzero(after.sampled_T).tolist() == [7, 8, 9, 15, 16, 17]
    assert (after.logps_T[~after.sampled_T] == 0).all()
    again = TOKENIZER("w1" + CALL)["input_ids"]
    assert again != [W1, CALLS], "the text, tokenised again, would be other tokens"


@pytest.mark.parametrize("form", ["object", "dump", "by hand"])
async def test_a_reply_is_known_again_in_any_form(form: str) -> None:
    policy = policy_of(CALLS_A_TOOL)
    reply = (await policy.chat([user("w5")])).choices[0].message
    call = reply.tool_calls[0]
    by_hand = {
        "role": "assistant",
        "content": reply.content,
        "tool_calls": [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.function.name, "arguments": call.function.arguments},
            }
        ],
    }
    said = {"object": reply, "dump": reply.model_dump(), "by hand": by_hand}[form]
    await policy.chat([user("w5"), said, {"role": "tool", "tool_call_id": call.id, "content": "w7"}])
    assert len(policy.sequences) == 1


@pytest.mark.parametrize(
    "call",
    [
        {"id": "c", "type": "function", "function": "look", "arguments": {"x": 1}},
        {"id": "c", "type": "tool_call", "name": "look", "args": {"x": 1}},
        json.dumps({"name": "look", "parameters": {"x": 1}}),
    ],
)
async def test_calls_of_other_dialects_are_rendered_as_openais(call: Any) -> None:
    said = {"role": "assistant", "content": "w6", "tool_calls": [call]}
    policy = policy_of(SAYS_TWO_WORDS)
    await policy.chat([user("w5"), said, user("w7")])
    (sequence,) = policy.sequences
    assert TOKENIZER.convert_tokens_to_ids("w7") in sequence.tokens_T
    usual = {"id": "c", "type": "function", "function": {"name": "look", "arguments": '{"x": 1}'}}
    other = policy_of(SAYS_TWO_WORDS)
    await other.chat([user("w5"), {**said, "tool_calls": [usual]}, user("w7")])
    assert other.sequences[0].tokens_T.tolist() == sequence.tokens_T.tolist()


async def test_what_a_chat_template_cannot_be_given_is_refused() -> None:
    custom = {"id": "c", "type": "custom", "custom": {"name": "look", "input": "w5"}}
    said = {"role": "assistant", "content": "w6", "tool_calls": [custom]}
    with pytest.raises(GroupError, match="only be given calls of functions"):
        await policy_of(SAYS_TWO_WORDS).chat([user("w5"), said, user("w7")])
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    with pytest.raises(GroupError, match="reads text only"):
        await policy_of(SAYS_TWO_WORDS).chat([{"role": "user", "content": [image]}])


async def test_parts_of_text_and_arrays_are_the_text() -> None:
    """As Parquet files give them; a chat template of a text model takes text."""
    plain, parts = policy_of(SAYS_TWO_WORDS), policy_of(SAYS_TWO_WORDS)
    await plain.chat([user("w5\nw6")], tools=TOOLS)
    words = np.array([{"type": "text", "text": "w5"}, {"type": "text", "text": "w6"}], dtype=object)
    await parts.chat(np.array([{"role": "user", "content": words}], dtype=object), tools=np.array(TOOLS))
    assert parts.sequences[0].tokens_T.tolist() == plain.sequences[0].tokens_T.tolist()


async def test_an_edited_history_starts_a_new_sequence() -> None:
    policy = policy_of(SAYS_TWO_WORDS)
    reply = (await policy.chat([user("w5")])).choices[0].message
    first = policy.sequences[0].tokens_T.tolist()
    await policy.chat([user("w6"), reply, user("w7")])
    one, two = policy.sequences
    assert one.tokens_T.tolist() == first
    assert int(one.sampled_T.sum()) == 3
    assert np.flatnonzero(two.sampled_T).tolist() == list(range(len(two.tokens_T) - 3, len(two.tokens_T)))


async def test_other_tools_start_a_new_sequence() -> None:
    policy = policy_of(SAYS_TWO_WORDS)
    reply = (await policy.chat([user("w5")])).choices[0].message
    await policy.chat([user("w5"), reply, user("w7")], tools=TOOLS)
    assert len(policy.sequences) == 2


async def test_no_tools_and_an_empty_list_are_the_same() -> None:
    policy = policy_of(SAYS_TWO_WORDS)
    reply = (await policy.chat([user("w5")])).choices[0].message
    await policy.chat([user("w5"), reply, user("w7")], tools=[])
    assert len(policy.sequences) == 1


async def test_a_history_may_branch() -> None:
    policy = policy_of(SAYS_TWO_WORDS)
    reply = (await policy.chat([user("w5")])).choices[0].message
    made = await asyncio.gather(
        policy.chat([user("w5"), reply, user("w6")]), policy.chat([user("w5"), reply, user("w7")])
    )
    assert [m.choices[0].message.content for m in made] == ["w1w2", "w1w2"]
    one, two = policy.sequences
    ids = TOKENIZER.convert_tokens_to_ids
    assert ids("w6") in one.tokens_T
    assert ids("w6") not in two.tokens_T
    assert ids("w7") in two.tokens_T
    assert ids("w7") not in one.tokens_T
    assert (int(one.sampled_T.sum()), int(two.sampled_T.sum())) == (6, 3)


async def test_branches_one_after_the_other_train_no_token_twice() -> None:
    policy = policy_of(SAYS_TWO_WORDS)
    reply = (await policy.chat([user("w5")])).choices[0].message
    await policy.chat([user("w5"), reply, user("w6")])
    await policy.chat([user("w5"), reply, user("w7")])
    assert sum(int(s.sampled_T.sum()) for s in policy.sequences) == 9


async def test_attempts_at_one_prompt_side_by_side() -> None:
    policy = policy_of({ASSISTANT: (W1, W2, W3), W1: (END,), W2: (END,), W3: (END,)})
    made = await asyncio.gather(*(policy.chat([user("w5")]) for _ in range(6)))
    said = {m.choices[0].message.content for m in made}
    assert len(said) > 1
    assert len(policy.sequences) == 6
    last = made[2].choices[0].message
    await policy.chat([user("w5"), last, user("w6")])
    grown = [s for s in policy.sequences if int(s.sampled_T.sum()) > 2]
    assert len(grown) == 1
    assert TOKENIZER.decode([grown[0].tokens_T[4]]) == last.content


async def test_a_conversation_in_flight_is_not_continued() -> None:
    bare = tokenizer(words=(CALL, BROKEN), size=64, template=TEMPLATE.partition("{% if add_gen")[0])
    policy = policy_of({END: (W1,), W1: (W2,), W2: (STOP,)}, bare, ends=(STOP,))
    await asyncio.gather(
        policy.chat([user("w5")]),
        policy.chat([user("w5"), {"role": "assistant", "content": "w6"}, user("w7")]),
    )
    assert [s.tokens_T.tolist()[-3:] for s in policy.sequences] == [[W1, W2, STOP]] * 2
    assert [int(s.sampled_T.sum()) for s in policy.sequences] == [3, 3]


async def test_ids_of_calls_differ_within_a_conversation() -> None:
    policy = policy_of(CALLS_A_TOOL)
    messages: list[Any] = [user("w5")]
    ids = []
    for turn in range(3):
        reply = (await policy.chat(messages)).choices[0].message
        ids.append(reply.tool_calls[0].id)
        messages += [reply, {"role": "tool", "tool_call_id": ids[-1], "content": "w7"}]
        if turn == 0:
            await policy.chat([user("w9")])  # a side conversation
    assert len(set(ids)) == 3


async def test_sampling_settings_are_refused() -> None:
    policy = policy_of(SAYS_TWO_WORDS)
    with pytest.raises(ConfigurationError, match="temperature, top_p"):
        await policy.chat([user("w5")], temperature=0.3, top_p=1.0)
    with pytest.raises(ConfigurationError, match=r"stop: .* Leave it out"):
        await policy.chat([user("w5")], stop=["x"])
    assert policy.sequences == ()
    made = await policy.chat([user("w5")], max_tokens=1, tool_choice="auto", n=1, stream=False, seed=None)
    assert made.usage is not None
    assert made.usage.completion_tokens == 1


async def test_without_a_chat_template_there_is_no_chat() -> None:
    bare = tokenizer(template=None, size=64)
    policy = policy_of(SAYS_TWO_WORDS, bare)
    with pytest.raises(ConfigurationError, match="no chat template"):
        await policy.chat([user("w5")])


async def test_replies_side_by_side_do_not_depend_on_the_batch() -> None:
    """Nor, then, on what a run resumed with."""
    model = llama()

    async def tokens(others: int, rows: int) -> list[list[int]]:
        engine = Engine(model, (END,), Sampling(max_completion_length=8), max_num_seqs=rows)

        async def rollout(seed: int) -> list[list[int]]:
            policy = Policy(engine, TOKENIZER, np.random.default_rng(seed))
            await asyncio.gather(policy.chat([user("w5")]), policy.chat([user("w6 w7")]))
            return [s.tokens_T.tolist() for s in policy.sequences]

        return (await asyncio.gather(*(rollout(i) for i in range(1 + others))))[0]

    alone = await tokens(0, 64)
    assert await tokens(0, 1) == alone
    assert await tokens(5, 3) == alone


async def test_a_sequence_survives_json_to_the_bit() -> None:
    engine = Engine(llama(), (END,), Sampling(max_completion_length=8, top_k=5))
    policy = Policy(engine, TOKENIZER, np.random.default_rng(0))
    await policy.chat([user("w5")])
    (sequence,) = policy.sequences
    again = TokenSequence.from_dict(json.loads(json.dumps(sequence.to_dict())))
    for name in ("tokens_T", "sampled_T", "logps_T"):
        one, two = getattr(sequence, name), getattr(again, name)
        assert one.dtype == two.dtype
        assert one.tobytes() == two.tobytes()
    assert [k.tolist() for k in again.support] == [k.tolist() for k in sequence.support]
