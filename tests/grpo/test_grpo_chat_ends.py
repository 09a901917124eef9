"""How replies end, and what then stands between turns."""

from __future__ import annotations

import asyncio
import json

import pytest

from grpo.errors import ContextError
from tests.grpo.test_grpo_chat import (
    ASSISTANT,
    BROKEN,
    CALL,
    END,
    SAYS_TWO_WORDS,
    STOP,
    TOKENIZER,
    USER,
    W0,
    W1,
    W2,
    policy_of,
    user,
)
from tests.grpo_models import TEMPLATE, tokenizer


async def test_a_reply_cut_off_gets_the_end_token_but_is_not_said_to_have_sampled_it() -> None:
    policy = policy_of({ASSISTANT: (W1,), W1: (W1,)}, most=3)
    made = await policy.chat([user("w5")])
    assert made.choices[0].finish_reason == "length"
    assert policy.truncated
    await policy.chat([user("w5"), made.choices[0].message, user("w6")])
    (sequence,) = policy.sequences
    assert sequence.tokens_T[4:9].tolist() == [W1, W1, W1, END, USER]
    assert sequence.sampled_T[4:9].tolist() == [True, True, True, False, False]


async def test_a_reply_cut_off_where_the_turn_ends_with_another_token_than_the_text() -> None:
    other = tokenizer(words=(CALL, BROKEN), size=64, end="<|stop|>")
    policy = policy_of({ASSISTANT: (W1,), W1: (W1,)}, other, ends=(END, STOP), most=3)
    made = await policy.chat([user("w5")])
    await policy.chat([user("w5"), made.choices[0].message, user("w6")])
    assert policy.sequences[0].tokens_T[4:9].tolist() == [W1, W1, W1, END, USER]


async def test_a_reply_that_ended_with_another_end_token_keeps_what_the_template_puts_between_turns() -> None:
    spaced = tokenizer(
        words=(CALL, BROKEN),
        size=64,
        template=TEMPLATE.replace(" <|end|> {% endfor %}{% if add", " <|end|> w0 {% endfor %}{% if add"),
    )
    for end, ends in ((END, (END, STOP)), (STOP, (END, STOP))):
        policy = policy_of({ASSISTANT: (W1,), W1: (end,)}, spaced, ends=ends)
        reply = (await policy.chat([user("w5")])).choices[0].message
        await policy.chat([user("w5"), reply, user("w6")])
        assert policy.sequences[0].tokens_T[5:9].tolist() == [W1, end, W0, USER]


async def test_a_text_is_continued() -> None:
    policy = policy_of(SAYS_TWO_WORDS)
    assert await policy.complete("w5 assistant") == "w1w2"
    (sequence,) = policy.sequences
    assert sequence.tokens_T.tolist() == [*TOKENIZER("w5 assistant")["input_ids"], W1, W2, END]
    assert sequence.sampled_T.tolist() == [False, False, True, True, True]


async def test_a_text_and_a_conversation_in_one_rollout_do_not_mix() -> None:
    policy = policy_of(SAYS_TWO_WORDS)
    await policy.complete("w5 assistant")
    reply = (await policy.chat([user("w5")])).choices[0].message
    await policy.complete("w5 assistant")
    await policy.chat([user("w5"), reply, user("w6")])
    assert [int(s.sampled_T.sum()) for s in policy.sequences] == [3, 6, 3]


async def test_half_an_emoji_is_read_as_judges_are_shown_it() -> None:
    """Texts cut by length, and JSON, hold lone surrogates."""
    half, written = "w5 \ud83d w6", "w5 \\ud83d w6"
    runs = []
    for text in (half, written):
        policy = policy_of(SAYS_TWO_WORDS)
        await policy.complete(f"{text} assistant")
        reply = (await policy.chat([user(text)])).choices[0].message
        await policy.chat([user(text), reply, {"role": "tool", "tool_call_id": "c", "content": text}])
        runs.append([s.tokens_T.tolist() for s in policy.sequences])
    assert len(runs[0]) == 2
    assert runs[0] == runs[1]


async def test_half_an_emoji_in_a_call_of_the_policy() -> None:
    said = r'<tool_call>{"name":"look\ud83d","arguments":{"x":"\ud83d"}}</tool_call>'
    policy = policy_of({ASSISTANT: (8,), 8: (END,)}, tokenizer(words=(said,), size=64))
    reply = (await policy.chat([user("w5")])).choices[0].message
    (call,) = reply.tool_calls or []
    assert json.loads(call.function.arguments) == {"x": "\ud83d"}
    reply.model_dump_json().encode()
    await policy.chat([user("w5"), reply, {"role": "tool", "tool_call_id": call.id, "content": "w6"}])
    assert len(policy.sequences) == 1


async def test_nothing_cannot_be_continued_and_harms_nobody_else() -> None:
    policy = policy_of(SAYS_TWO_WORDS)
    empty, good = await asyncio.gather(
        policy.complete(""), policy.complete("w5 assistant"), return_exceptions=True
    )
    assert isinstance(empty, ContextError)
    assert good == "w1w2"


async def test_a_shorter_limit_for_one_reply() -> None:
    policy = policy_of({ASSISTANT: (W1,), W1: (W1,)}, most=5)
    made = await policy.chat([user("w5")], max_completion_tokens=2)
    assert made.usage.completion_tokens == 2
    made = await policy.chat([user("w5")], max_completion_tokens=50)
    assert made.usage.completion_tokens == 5


async def test_the_context_ends_a_reply_and_then_the_conversation() -> None:
    policy = policy_of({ASSISTANT: (W1,), W1: (W1,)}, context=6)
    made = await policy.chat([user("w5")])
    assert made.usage.completion_tokens == 2
    assert policy.truncated
    with pytest.raises(ContextError, match="context 6"):
        await policy.chat([user("w5"), made.choices[0].message, user("w6")])
    assert int(policy.sequences[0].sampled_T.sum()) == 2
    again = await policy.chat([user("w6")])
    assert again.usage.completion_tokens == 2


async def test_an_end_token_that_the_tokenizer_does_not_know() -> None:
    small = tokenizer(words=(CALL, BROKEN), size=60)
    policy = policy_of({ASSISTANT: (W1,), W1: (W1,)}, small, ends=(END, 62), most=2)
    made = await policy.chat([user("w5")])
    await policy.chat([user("w5"), made.choices[0].message, user("w6")])
    assert policy.sequences[0].tokens_T[4:8].tolist() == [W1, W1, END, USER]
