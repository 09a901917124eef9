"""Tool calls as each model family writes them: read, or said to be unread."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from grpo.rollouts import replies
from grpo.rollouts.replies import parse_calls
from ranker import ConfigurationError
from tests.grpo.test_grpo_chat import ASSISTANT, BREAKS, BROKEN, CALL, END, TOOLS, policy_of, user
from tests.grpo_models import llama, tokenizer
from tests.grpo_runs import begin

WEATHER = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {
        "city": {"type": "string"}, "days": {"type": "integer"}, "units": {"type": "array"}}}}}
    for name in ("get_weather", "get_time")
]  # fmt: skip
OSLO = {"name": "get_weather", "arguments": {"city": "Oslo"}}
TIME = {"name": "get_time", "arguments": {}}
LLAMA = '{"name": "get_weather", "parameters": {"city": "Oslo"}}'
CODER = "<function=get_weather>\n<parameter=city>\nOslo\n</parameter>\n</function>"
READ = {
    "Hermes": ('So\n<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call>', "So", [OSLO]),
    "Hermes with parameters": (f"<tool_call>{LLAMA}</tool_call>", None, [OSLO]),
    "Hermes, two": (f'<tool_call>{LLAMA}</tool_call>\n<tool_call>{{"name": "get_time"}}</tool_call>', None, [OSLO, TIME]),
    "Llama 3": (LLAMA, None, [OSLO]),
    "Llama 3 with a type": (' {"type": "function", "name": "get_time", "parameters": {}}\n', None, [TIME]),
    "Llama 3, two": (f'{LLAMA}; {{"name": "get_time", "parameters": {{}}}}', None, [OSLO, TIME]),
    "Llama 3 with its tag": (f"<|python_tag|>{LLAMA}", None, [OSLO]),
    "Mistral": ('Well [TOOL_CALLS][{"name": "get_weather", "arguments": {"city": "Oslo"}}, {"name": "get_time", "arguments": {}}]', "Well", [OSLO, TIME]),
    "Mistral since 3.1": ('[TOOL_CALLS]get_weather[ARGS]{"city": "Oslo"}[TOOL_CALLS]get_time[ARGS]{}', None, [OSLO, TIME]),
    "Mistral with ids": ('[TOOL_CALLS]get_weather[CALL_ID]ab12[ARGS]{"city": "Oslo"}', None, [OSLO]),
    "Qwen3-Coder": (f"Now.\n<tool_call>\n{CODER}\n</tool_call>", "Now.", [OSLO]),
    "Qwen3-Coder without the first tag": (f"Now.\n{CODER}\n</tool_call>", "Now.", [OSLO]),
    "a list": (f"[{LLAMA}]", None, [OSLO]),
}  # fmt: skip


@pytest.mark.parametrize("family", READ)
def test_calls_of_each_family_are_read(family: str) -> None:
    text, content, calls = READ[family]
    read, found = parse_calls(text, WEATHER)
    assert read == content
    assert [{"name": c["name"], "arguments": c["arguments"]} for c in found] == calls


def test_values_of_qwen3_coder_have_the_types_of_the_tools_parameters() -> None:
    said = {"city": "7", "days": "3", "units": '["C", "F"]', "other": "x y"}
    inside = "".join(f"<parameter={k}>\n{v}\n</parameter>\n" for k, v in said.items())
    ((call,)) = parse_calls(f"<tool_call><function=get_weather>{inside}</function></tool_call>", WEATHER)[1]
    assert call["arguments"] == {"city": "7", "days": 3, "units": ["C", "F"], "other": "x y"}


def find_order(zip_code: str | None, count: int) -> None:
    """Find an order.

    Args:
        zip_code: where
        count: how many
    """


FREE = {
    "list": {"type": ["string", "null"]},
    "any": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    "referred": {"$ref": "#/$defs/Zip"},
    "values": {"enum": ["10115", "10117"]},
    "unstated": {"description": "a zip code"},
}


@pytest.mark.parametrize("said", ["10115", "8472910E2", "true", "[1]"])
@pytest.mark.parametrize("parameter", [*FREE, "no_such_parameter"])
def test_qwen3_coders_text_stays_text_wherever_a_string_may_stand(parameter: str, said: str) -> None:
    parameters = {"type": "object", "properties": FREE, "$defs": {"Zip": {"type": "string"}}}
    tools = [{"type": "function", "function": {"name": "find", "parameters": parameters}}]
    text = f"<function=find><parameter={parameter}>\n{said}\n</parameter></function>"
    assert parse_calls(text, tools)[1][0]["arguments"] == {parameter: said}


def test_qwen3_coders_null_numbers_and_functions_as_tools() -> None:
    number = {"anyOf": [{"type": "integer"}, {"$ref": "#/$defs/Loop"}]}
    parameters = {
        "properties": {**FREE, "n": number},
        "$defs": {"Loop": {"allOf": [{"$ref": "#/$defs/Loop"}]}},
    }
    tools: list[Any] = [{"name": "find", "parameters": parameters}, find_order]
    said = {"list": "null", "any": "null", "unstated": "null", "n": "3"}
    inside = "".join(f"<parameter={k}>{v}</parameter>" for k, v in said.items())
    order = "<parameter=zip_code>10115</parameter><parameter=count>2</parameter>"
    text = f"<function=find>{inside}</function><function=find_order>{order}</function>"
    found = [call["arguments"] for call in parse_calls(text, tools)[1]]
    assert found[0] == {"list": None, "any": None, "unstated": "null", "n": 3}
    assert found[1] == {"zip_code": "10115", "count": 2}


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "Anna", "parameters": {"age": 3}}',  # of no tool
        '{"name": "get_weather"}',  # an answer that names it
        f"The call is {LLAMA}",
        f"{LLAMA} is the call",
        f'{LLAMA}; {{"name": "get_time", "parame',
        "<|python_tag|>get_weather.call(city='Oslo')",
        "[TOOL_CALLS]get_weather[ARGS]Oslo",
        '[TOOL_CALLS][{"name": "get_weather", "arguments"',
        "<function=other><parameter=a>1</parameter></function>",
        "<function=get_weather><parameter=city>Oslo</parameter>",
        "[" * 100_000,
    ],
)
def test_what_is_no_call_stays_text(text: str) -> None:
    assert parse_calls(text, WEATHER) == (text, [])


@pytest.mark.parametrize(
    "inside", ["{", "[1]", "3", '{"arguments": {}}', '{"name": 3}', "", "null", "[" * 100_000]
)
def test_what_is_no_call_is_not_made_one(inside: str) -> None:
    text = f"a <tool_call>{inside}</tool_call> b"
    assert parse_calls(text) == (text, [])


def test_calls_and_text_are_parted() -> None:
    content, calls = parse_calls(
        'so <tool_call>\n{"name": "f"}\n</tool_call><tool_call>{"name":"g"}</tool_call> '
    )
    assert (content, [c["name"] for c in calls]) == ("so", ["f", "g"])
    assert parse_calls('<tool_call>{"name":"g"}</tool_call>')[0] is None
    assert parse_calls("") == ("", [])
    assert parse_calls(LLAMA) == (LLAMA, []), "without tools, JSON is an answer"


def replying(word: str, special: bool = False) -> Any:
    """A policy whose one reply is `word`, and its tokenizer."""
    words = tokenizer(words=(CALL, word), size=64)
    if special:
        words.add_special_tokens({"additional_special_tokens": [word]})
    return policy_of({ASSISTANT: (BREAKS,), BREAKS: (END,)}, words), words


async def test_a_call_that_cannot_be_read_stays_text_and_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    replies._warn.cache_clear()
    with caplog.at_level(logging.WARNING, "ranker"):
        for _ in range(3):
            message = (await replying(BROKEN)[0].chat([user("w5")], tools=TOOLS)).choices[0].message
            assert message.tool_calls is None
            assert message.content == BROKEN
        await replying("<|channel|>commentary")[0].chat([user("w5")])  # no tools: nothing to read
    (warning,) = caplog.messages
    assert "'<tool_call>'" in warning
    assert "tokenizer.response_template" in warning


def test_a_broken_call_of_a_policy_whose_calls_are_read_is_its_own_mistake(
    caplog: pytest.LogCaptureFixture,
) -> None:
    replies._warn.cache_clear()
    _, words = replying(BROKEN)
    with caplog.at_level(logging.WARNING, "ranker"):
        for text in (CALL, BROKEN):
            message = replies.read_reply(words, [*words(text)["input_ids"], END], True, "", TOOLS)
            assert bool(message.calls) == (text == CALL)
    assert caplog.messages == []


@pytest.mark.parametrize(
    "said",
    [
        "<|channel|>commentary",
        "<｜tool▁calls▁begin｜>",
        "look(x=1)",
        '{"name":"look"}',
        "<start_function_call>",
    ],
)
async def test_signs_of_calls_of_other_families_are_named(
    said: str, caplog: pytest.LogCaptureFixture
) -> None:
    replies._warn.cache_clear()
    with caplog.at_level(logging.WARNING, "ranker"):
        await replying(said, special=True)[0].chat([user("w5")], tools=TOOLS)
        await replying("w9w9w9")[0].chat([user("w5")], tools=TOOLS)
    (warning,) = caplog.messages
    assert "no tool call that can be read" in warning
    assert said[1:5] in warning


TEMPLATE = {
    "defaults": {"role": "assistant"},
    "start_anchor": "assistant ",
    "fields": {
        "thinking": {"open": "<t>", "close": "</t>", "content": "text"},
        "tool_calls": {
            "open": "<call>", "close": "</call>", "repeats": True, "content": "json",
            "transform": {"type": "function", "function": "{content}"},
        },
        "content": {"close": "<|end|>", "content": "text"},
    },
}  # fmt: skip


async def test_the_tokenizers_own_format_is_believed(caplog: pytest.LogCaptureFixture) -> None:
    """What transformers reads by it is the message, thoughts included; a reply that is not in it is text."""
    call = {"name": "look", "arguments": {"x": 1}}
    policy, words = replying(f"<t>hm</t><call>{json.dumps(call, separators=(',', ':'))}</call>")
    words.response_template = TEMPLATE
    message = (await policy.chat([user("w5")], tools=TOOLS)).choices[0].message
    (made,) = message.tool_calls or []
    assert (made.function.name, json.loads(made.function.arguments)) == ("look", {"x": 1})
    assert message.model_extra == {"thinking": "hm"}
    again = await policy.chat(
        [user("w5"), message, {"role": "tool", "tool_call_id": made.id, "content": "w7"}], tools=TOOLS
    )
    assert len(policy.sequences) == 1
    assert again.choices[0].finish_reason == "tool_calls"
    policy, words = replying("<call>{</call>")
    words.response_template = TEMPLATE
    with caplog.at_level(logging.WARNING, "ranker"):
        message = (await policy.chat([user("w5")], tools=TOOLS)).choices[0].message
    assert (message.content, message.tool_calls) == ("<call>{</call>", None)


async def test_a_format_that_this_transformers_does_not_read_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    replies._warn.cache_clear()
    policy, words = replying("w9w9")
    words.response_schema = {"type": "object", "properties": {}, "x-regex": "^(?P<content>.*)$"}
    with caplog.at_level(logging.WARNING, "ranker"):
        assert (await policy.chat([user("w5")])).choices[0].message.content == "w9w9"
    assert "response_template" in caplog.text


def test_tokens_without_an_embedding_are_refused_at_the_start() -> None:
    words = tokenizer()
    begin(model=(llama(), words), rows=[{"prompt": "w5"}]).close()
    words.add_tokens(["<obs>", "</obs>"])
    with pytest.raises(
        ConfigurationError, match=r"60 tokens, .* 2 .*'<obs>', '</obs>'.*resize_token_embeddings\(62\)"
    ):
        begin(model=(llama(), words), rows=[{"prompt": "w5"}])
